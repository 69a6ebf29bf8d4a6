package paytm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"aorta/internal/connector"
	"aorta/internal/crash"
	"aorta/internal/payment"
)

// maxAnswer bounds an answer's body (security.md S21).
const maxAnswer = 64 << 10

// envelope is what Paytm answers. Body keeps the very bytes that were signed.
type envelope struct {
	Head struct {
		Signature string `json:"signature"`
	} `json:"head"`
	Body json.RawMessage `json:"body"`
}

// resultInfo is in every answer's body.
type resultInfo struct {
	Status  string `json:"resultStatus"`
	Code    string `json:"resultCode"`
	Message string `json:"resultMsg"`
}

// heard starts an Outcome with Paytm's own words.
func (r resultInfo) heard(kind connector.Kind) connector.Outcome {
	return connector.Outcome{Kind: kind, ProviderCode: clean(r.Code, 64), ProviderMessage: clean(r.Message, 500)}
}

// message is a request in the making: an envelope whose head has room for the
// signature of a body that is written behind it, so that the bytes that are
// signed are the bytes that are sent (paytm.md section 2).
//
// Its bytes are never used twice: net/http may go on reading them after
// RoundTrip has returned.
type message struct {
	buf       bytes.Buffer
	signature int // where the signature's room begins
}

const signatureRoom = "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"

// begin writes the head. members are those before the signature, each with its
// comma.
func begin(members ...string) *message {
	m := &message{}
	m.buf.Grow(1 << 10)
	m.buf.WriteString(`{"head":{`)
	for _, text := range members {
		m.buf.WriteString(text)
	}
	m.buf.WriteString(`"signature":"`)
	m.signature = m.buf.Len()
	m.buf.WriteString(signatureRoom)
	m.buf.WriteString(`"},"body":`)
	return m
}

// seal writes the body, signs it and gives the whole request.
func (m *message) seal(c *Checksummer, body any) ([]byte, error) {
	start := m.buf.Len()
	encoder := json.NewEncoder(&m.buf)
	encoder.SetEscapeHTML(false) // as the vendor's own libraries write it: "&", not "\u0026"
	if err := encoder.Encode(body); err != nil {
		return nil, err
	}
	m.buf.Truncate(m.buf.Len() - 1) // the encoder's line feed
	signature, err := c.Sign(m.buf.Bytes()[start:])
	if err != nil {
		return nil, err
	}
	copy(m.buf.Bytes()[m.signature:], signature)
	m.buf.WriteByte('}')
	return m.buf.Bytes(), nil
}

// lost says why there is no answer to go by. sent is false only where no byte
// of the request can have left.
type lost struct {
	sent   bool
	reason string // for the record; no secret, no text of the provider's
	alarm  string
}

// outcome of a call that asked for something to be done.
func (l *lost) outcome() connector.Outcome {
	out := connector.Outcome{Kind: connector.Unknown, ProviderMessage: l.reason, Alarm: l.alarm}
	if !l.sent {
		out.Kind, out.Code = connector.NotSent, payment.CodeProviderUnavailable
	}
	return out
}

// unanswered is the outcome of a look-up: that a question was not sent says
// nothing about what it asked for.
func (l *lost) unanswered() connector.Outcome {
	return connector.Outcome{Kind: connector.Unknown, ProviderMessage: l.reason, Alarm: l.alarm}
}

// call sends one signed request and reads the verified body of the answer into
// answer. It follows no redirect, since a RoundTripper does not.
func (p *Paytm) call(ctx context.Context, to *url.URL, query string, m *message, body, answer any) *lost {
	content, err := m.seal(p.checksum, body)
	if err != nil {
		return &lost{reason: "not signed", alarm: "paytm: a request could not be signed: " + err.Error()}
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	if crash.On {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(w httptrace.WroteRequestInfo) {
			if w.Err == nil {
				crash.At(crash.RequestSent)
			}
		}})
	}

	u := *to
	u.RawQuery = query
	request := (&http.Request{
		Method: http.MethodPost, URL: &u, Host: u.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: p.header, ContentLength: int64(len(content)), Body: io.NopCloser(bytes.NewReader(content)),
		// Lets net/http take another connection when it finds, before any byte was
		// written, that the one it kept is closed. It repeats no POST after that.
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
	}).WithContext(ctx)
	response, err := p.transport.RoundTrip(request)
	if err != nil {
		if dialFailed(err) {
			return &lost{reason: "no connection"}
		}
		return &lost{sent: true, reason: "the answer was lost"}
	}
	defer response.Body.Close()

	buf := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(buf)
	buf.Reset()
	// One byte more than allowed tells too long from just fitting. Reading to the
	// end gives the connection back.
	n, err := buf.ReadFrom(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case response.StatusCode/100 == 5 || response.StatusCode == http.StatusTooManyRequests:
		return &lost{sent: true, reason: fmt.Sprintf("HTTP status %d", response.StatusCode)}
	case response.StatusCode != http.StatusOK:
		// Also a redirect. Paytm says no in an answer of 200, so this is not Paytm's
		// word on anything, and most likely not the right address.
		reason := fmt.Sprintf("HTTP status %d", response.StatusCode)
		return &lost{sent: true, reason: reason, alarm: "paytm: " + reason + " from " + to.Path + ": check the base URL"}
	case err != nil:
		return &lost{sent: true, reason: "the answer was cut off"}
	case n > maxAnswer:
		return &lost{sent: true, reason: "the answer is too long"}
	}
	return p.open(buf.Bytes(), answer)
}

var buffers = sync.Pool{New: func() any { return bytes.NewBuffer(make([]byte, 0, 4<<10)) }}

// open verifies an answer and reads its body. An unsigned answer is taken for
// none: refusals of a wrong key or MID come unsigned, or signed with another
// key, and so end up here with an alarm, never as a decline.
func (p *Paytm) open(raw []byte, answer any) *lost {
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		return &lost{sent: true, reason: "the answer is not JSON of the agreed shape"}
	}
	if !p.checksum.Verify(e.Body, e.Head.Signature) {
		// The code is for the operator's eyes; nothing is decided by it.
		var b struct {
			Result resultInfo `json:"resultInfo"`
		}
		_ = json.Unmarshal(e.Body, &b)
		return &lost{
			sent: true, reason: "the answer's signature is wrong",
			alarm: fmt.Sprintf("paytm: an answer's signature is missing or wrong (it says %q %q): check merchant key, MID and base URL",
				clean(b.Result.Status, 24), clean(b.Result.Code, 24)),
		}
	}
	if err := json.Unmarshal(e.Body, answer); err != nil {
		return &lost{sent: true, reason: "the answer's body is not of the agreed shape"}
	}
	return nil
}

// dialFailed holds only when no connection was made, so that no byte of the
// request can have left (payment-loop.md L15). A dial that the caller gave up on
// comes as the context's error and counts as sent.
func dialFailed(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// clean makes a provider's text fit for our rows: valid, no control characters,
// at most limit bytes.
func clean(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, text)
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}
