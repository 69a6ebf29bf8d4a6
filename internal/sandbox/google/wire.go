package google

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"aorta/internal/sandbox/gpg"
)

// contentType is that of every request and answer (section 1.7).
const contentType = "application/octet-stream; charset=utf-8"

// Bounds on what is read.
const (
	maxText  = 256 << 10 // of a message as it travels
	maxPlain = 1 << 20   // of a message in the clear
)

// window is how far the time of a request may be from ours, inclusive.
const window = 60 * time.Second

// Why a message is not read. To the sender it is all one: an empty 404.
var (
	errNotText  = errors.New("not base64url")
	errStranger = errors.New("not signed by a key of the integrator's")
	errWeak     = errors.New("digest or cipher too weak")
)

// seal signs and encrypts, and writes the text that travels.
func (p *Peer) seal(ctx context.Context, plain []byte, signers, recipients []string) (string, error) {
	raw, err := p.opts.Keys.ring.Seal(ctx, plain, gpg.Message{Signers: signers, Recipients: recipients})
	if err != nil {
		return "", err
	}
	return base64.URLEncoding.EncodeToString(raw), nil
}

// sealed is seal as it should be: signed by Google, to the integrator.
func (p *Peer) sealed(ctx context.Context, plain []byte) (string, error) {
	ours := p.opts.Keys.integrator()
	if len(ours) == 0 {
		return "", errors.New("google has no key of the integrator")
	}
	return p.seal(ctx, plain, []string{p.opts.Keys.Fingerprint()}, ours[len(ours)-1:])
}

// open reads a message of the integrator's: encrypted with AES-256, signed with
// SHA-384 or stronger by one of its keys (section 2.2).
func (p *Peer) open(ctx context.Context, text []byte) ([]byte, error) {
	trimmed := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	encoding := base64.URLEncoding
	if len(trimmed)%4 != 0 {
		encoding = base64.RawURLEncoding
	}
	raw, err := encoding.Strict().DecodeString(trimmed)
	if err != nil || strings.ContainsAny(trimmed, "\r\n") { // which the standard library skips
		return nil, errNotText
	}
	opened, err := p.opts.Keys.ring.Open(ctx, raw)
	if err != nil {
		return nil, err
	}
	known := p.opts.Keys.integrator()
	for n, signer := range opened.Signers {
		if !slices.Contains(known, signer) {
			continue
		}
		if digest := opened.Digests[n]; opened.Cipher != "9" || digest != "9" && digest != "10" {
			return nil, errWeak
		}
		if len(opened.Plain) > maxPlain {
			return nil, errors.New("too large in the clear")
		}
		return opened.Plain, nil
	}
	return nil, errStranger
}

// How a call of Google's misbehaves. The zero How is as it should be.
type How struct {
	SkewMS    int64          `json:"skew_ms,omitempty"`   // added to the time that the header says
	Signer    string         `json:"signer,omitempty"`    // "stranger": a key that the integrator never got; "both": that and Google's; "none"; else Google's
	Recipient string         `json:"recipient,omitempty"` // "stranger": encrypted to a key that the integrator has not; "none"; else the integrator's
	Digest    string         `json:"digest,omitempty"`    // gpg's name of another digest, such as "SHA1" or "SHA512"
	Account   string         `json:"account,omitempty"`   // another Payment Integrator Account ID
	Change    map[string]any `json:"change,omitempty"`    // members to put over those of the request; null takes one away
	Text      string         `json:"text,omitempty"`      // sent, signed and encrypted, in place of the JSON
	Copies    int            `json:"copies,omitempty"`    // how many times it is sent; 1 unless given, at most 32
	Together  bool           `json:"together,omitempty"`  // copies at once, not one after the other
	Lose      bool           `json:"lose,omitempty"`      // hang up before the answer comes
	Replay    bool           `json:"replay,omitempty"`    // the very bytes that were sent last under this requestId
}

// maxCopies bounds How.Copies.
const maxCopies = 32

func (h How) check() error {
	if h.Copies < 0 || h.Copies > maxCopies {
		return fmt.Errorf("copies must be from 1 to %d", maxCopies)
	}
	if !slices.Contains([]string{"", "google", "stranger", "both", "none"}, h.Signer) {
		return errors.New(`signer must be "google", "stranger", "both" or "none"`)
	}
	if !slices.Contains([]string{"", "integrator", "stranger", "none"}, h.Recipient) {
		return errors.New(`recipient must be "integrator", "stranger" or "none"`)
	}
	if h.Signer == "none" && h.Recipient == "none" {
		return errors.New("a message that is neither signed nor encrypted is none: send another text instead")
	}
	return nil
}

// call is a request of Google's to the integrator, as it is kept to be sent
// again: a retry has the same requestId and members, and a new time.
type call struct {
	Method  string `json:"method"`
	ID      string `json:"id"`
	Minor   int64  `json:"minor,omitempty"`
	Members object `json:"members"`
	Status  int    `json:"status,omitempty"` // of the newest answer; 0: none came
	Answer  object `json:"answer,omitempty"` // of the newest that was read
}

// answer is what became of one request.
type answer struct {
	Seq     int64  `json:"seq"`
	Status  int    `json:"status"` // 0: none came
	Body    object `json:"body,omitempty"`
	Trouble string `json:"trouble,omitempty"` // why there is no body
	MS      int64  `json:"ms"`
}

// ok reports whether it is a 200 that was read: the one final answer.
func (a answer) ok() bool { return a.Status == http.StatusOK && a.Body != nil }

// result is the word by which a 200 says how it went.
func (a answer) result() string { return a.Body.text("result") }

// says sums an answer up for people.
func (a answer) says() string {
	switch {
	case a.ok():
		return a.result()
	case a.Body != nil:
		return fmt.Sprintf("HTTP %d %s %s", a.Status, a.Body.text("errorResponseCode"), a.Body.text("errorDescription"))
	case a.Status != 0:
		return fmt.Sprintf("HTTP %d, %s", a.Status, a.Trouble)
	}
	return "no answer: " + a.Trouble
}

// plain writes the request, its header with the time of now.
func (c call) plain(now time.Time, how How) ([]byte, error) {
	if how.Text != "" {
		return []byte(how.Text), nil
	}
	all := object{"requestHeader": object{
		"requestId": c.ID, "requestTimestamp": millis(now.Add(time.Duration(how.SkewMS) * time.Millisecond)),
		"protocolVersion": object{"major": 1, "minor": c.Minor, "revision": 0},
	}}
	for name, v := range c.Members {
		all[name] = v
	}
	if how.Account != "" {
		all["paymentIntegratorAccountId"] = how.Account
	}
	for name, v := range how.Change {
		if v == nil {
			delete(all, name)
			continue
		}
		all[name] = v
	}
	return json.Marshal(all)
}

// write makes the text of a request, and what it says in the clear.
func (p *Peer) write(ctx context.Context, c call, how How) (plain []byte, text string, err error) {
	if plain, err = c.plain(p.clock(), how); err != nil {
		return nil, "", err
	}
	google, theirs := p.opts.Keys.Fingerprint(), p.opts.Keys.integrator()
	if len(theirs) == 0 {
		return nil, "", errors.New("google has no key of the integrator")
	}
	m := gpg.Message{Signers: []string{google}, Recipients: theirs[len(theirs)-1:], Digest: how.Digest}
	if how.Digest != "" {
		m.More = []string{"--allow-weak-digest-algos"}
	}
	if how.Signer == "stranger" || how.Signer == "both" || how.Recipient == "stranger" {
		other, err := p.opts.Keys.stranger(ctx)
		if err != nil {
			return nil, "", err
		}
		switch how.Signer {
		case "stranger":
			m.Signers = []string{other}
		case "both":
			m.Signers = []string{other, google}
		}
		if how.Recipient == "stranger" {
			m.Recipients = []string{other}
		}
	}
	if how.Signer == "none" {
		m.Signers = nil
	}
	if how.Recipient == "none" {
		m.Recipients = nil
	}
	raw, err := p.opts.Keys.ring.Seal(ctx, plain, m)
	if err != nil {
		return nil, "", err
	}
	return plain, base64.URLEncoding.EncodeToString(raw), nil
}

// ask sends a request as How says, and gives what became of each copy. What was
// meant is kept before anything is sent, so that it can be asked again.
func (p *Peer) ask(ctx context.Context, c call, how How) ([]answer, error) {
	if err := how.check(); err != nil {
		return nil, err
	}
	texts, plains := make([]string, max(how.Copies, 1)), make([]string, max(how.Copies, 1))
	for n := range texts {
		if how.Replay {
			if texts[n] = p.sent(c); texts[n] == "" {
				return nil, fmt.Errorf("nothing was sent under %s %s since this process began", c.Method, c.ID)
			}
			continue
		}
		plain, text, err := p.write(ctx, c, how)
		if err != nil {
			return nil, err
		}
		texts[n], plains[n] = text, string(plain)
	}
	if err := p.begin(c, texts[len(texts)-1]); err != nil {
		return nil, err
	}
	answers := make([]answer, len(texts))
	var together sync.WaitGroup
	for n := range texts {
		one := func() { answers[n] = p.post(ctx, c, texts[n], plains[n], how) }
		if how.Together {
			together.Go(one)
		} else {
			one()
		}
	}
	together.Wait()
	for _, a := range answers {
		if a.Status != 0 {
			c.Status, c.Answer = a.Status, a.Body
		}
	}
	if how.Replay || how.Change != nil || how.Text != "" {
		return answers, nil // no answer to what is kept
	}
	return answers, p.keep(line{Call: &c})
}

// post sends one message and reads what comes back.
func (p *Peer) post(ctx context.Context, c call, text, plain string, how How) (a answer) {
	began := p.clock()
	e := exchange{AtMS: began.UnixMilli(), Outward: true, Method: c.Method, ID: c.ID, Asked: plain}
	defer func() {
		a.MS = p.clock().Sub(began).Milliseconds()
		e.Status, e.Trouble, e.MS = a.Status, a.Trouble, a.MS
		a.Seq = p.log.add(e)
	}()
	ctx, cancel := context.WithTimeout(ctx, p.opts.CallTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.opts.Integrator.Methods+"/"+c.Method, strings.NewReader(text))
	if err != nil {
		return answer{Trouble: err.Error()}
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := p.client.Do(req)
	if err != nil {
		return answer{Trouble: err.Error()}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxText+1))
	switch {
	case err != nil:
		return answer{Trouble: err.Error()}
	case how.Lose:
		// It was read, so that the other side has done what it does; Google never saw it.
		return answer{Trouble: "it came, and was lost as was wished"}
	case len(body) == 0:
		return answer{Status: resp.StatusCode, Trouble: "an empty answer"}
	}
	opened, err := p.open(ctx, body)
	if err != nil {
		return answer{Status: resp.StatusCode, Trouble: "it does not open: " + err.Error()}
	}
	e.Answered = string(opened)
	read, err := strict(opened)
	if err != nil {
		return answer{Status: resp.StatusCode, Trouble: "it is not strict JSON: " + err.Error()}
	}
	if problem := p.checkAnswer(read, resp); problem != "" {
		return answer{Status: resp.StatusCode, Trouble: problem}
	}
	return answer{Status: resp.StatusCode, Body: read}
}

// checkAnswer says what an answer lacks: its type, and a header with a time that
// is written as times are and is now.
func (p *Peer) checkAnswer(body object, resp *http.Response) string {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || kind != "application/octet-stream" {
		return "its content type is " + resp.Header.Get("Content-Type")
	}
	at, ok := body.object("responseHeader").integer("responseTimestamp")
	if _, isText := body.object("responseHeader")["responseTimestamp"].(string); !ok || !isText {
		return "it has no responseHeader.responseTimestamp"
	}
	if off := time.Duration(p.clock().UnixMilli()-at) * time.Millisecond; off > window || off < -window {
		return "its time is " + off.String() + " from Google's clock"
	}
	if resp.StatusCode == http.StatusOK && resp.Request.URL.Path != "" && !strings.HasSuffix(resp.Request.URL.Path, "/echo") && body.text("result") == "" {
		return "it has no result"
	}
	return ""
}

// millis writes an instant as both sides do.
func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// pauses are how long Google waits before it sends a call again that was not
// answered, or by a status that says "later". After them a person presses.
var pauses = []time.Duration{300 * time.Millisecond, time.Second}

// call asks as it should be asked, and again, with a new time, while the answer
// says that it may be given later.
func (p *Peer) call(ctx context.Context, c call) (a answer, err error) {
	for try := 0; ; try++ {
		answers, err := p.ask(ctx, c, How{})
		if err != nil {
			return answer{}, err
		}
		a = answers[0]
		later := a.Status == 0 || a.Status == http.StatusConflict || a.Status == http.StatusTooManyRequests || a.Status >= http.StatusInternalServerError
		if !later || try == len(pauses) {
			return a, nil
		}
		select {
		case <-time.After(pauses[try]):
		case <-ctx.Done():
			return a, nil
		}
	}
}
