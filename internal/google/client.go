package google

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"aorta/internal/pgp"
	"aorta/internal/sign"
)

// Client calls the methods that Google hosts (section 4). It is safe for
// concurrent use.
//
// A call under the same requestId may be made again: it is the same call to
// Google, which answers it as it did. What an error says is whether that helps,
// see Again.
type Client struct {
	http *http.Client
	now  func() time.Time
}

// NewClient makes a client that reaches Google by transport. It follows no
// redirect: nobody but Google's own host is to get what we say.
func NewClient(transport http.RoundTripper, now func() time.Time) *Client {
	return &Client{now: now, http: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Request is one call of Google's side.
type Request struct {
	Method  string // "captureResultNotification"
	Account string // PIAID
	ID      string // requestId; the same for each try
	Minor   int64  // version of the protocol that the method came with
	Members any    // of the body beside its header: a struct or map
}

var (
	// ErrNoAnswer: it is not known whether Google took the call. Make it again.
	ErrNoAnswer = errors.New("no answer from Google")
	// ErrStranger: Google answered with nothing that its keys had signed. So it
	// does when it does not know our key, our account, or the key that we encrypted
	// to (section 2.4). Somebody must look at keys and accounts; then make it again.
	ErrStranger = errors.New("not known to Google, or it has other keys of ours: compare fingerprints and accounts with it")
)

// AnswerError is a call that Google refused, in a body that it signed.
type AnswerError struct {
	Status      int
	Code        string // one of Code, or one that came later
	Description string // for support
}

func (e *AnswerError) Error() string {
	return fmt.Sprintf("Google refuses with %d %s: %s", e.Status, e.Code, e.Description)
}

// Again says whether a call that failed with err should be made again by itself.
// What Google refused as such needs a person (section 4, client duties).
func Again(err error) bool {
	var refused *AnswerError
	if !errors.As(err, &refused) {
		return true
	}
	return refused.Status == http.StatusConflict || refused.Status == http.StatusTooManyRequests || refused.Status >= http.StatusInternalServerError
}

// Call makes a call and gives the answer of a 200. Errors are ErrNoAnswer,
// ErrStranger, *AnswerError, and pgp.ErrNoKey, with which nothing was sent.
func (c *Client) Call(ctx context.Context, h Hosted, r Request) (*sign.Doc, error) {
	ctx, cancel := context.WithTimeout(ctx, h.CallTimeout)
	defer cancel()
	now := c.now()
	plain, err := withRequestHeader(r, now)
	if err != nil {
		return nil, err
	}
	text, err := h.Ring().Seal(plain, now, pgp.Form{Armor: h.Armor})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Method, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL(r.Method, r.Account), bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Method, err)
	}
	req.Header.Set("Content-Type", ContentType)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", r.Method, ErrNoAnswer, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, pgp.MaxText+lineBreak+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", r.Method, ErrNoAnswer, err)
	}
	doc, err := c.read(h, body)
	switch {
	case resp.StatusCode == http.StatusOK && err != nil:
		// It was taken, by whoever that was; what became of it is not known.
		return nil, fmt.Errorf("%s: %w: an answer that does not open: %w", r.Method, ErrNoAnswer, err)
	case resp.StatusCode == http.StatusOK:
		return doc, nil
	case err != nil && resp.StatusCode >= http.StatusInternalServerError:
		return nil, fmt.Errorf("%s: %w: status %d", r.Method, ErrNoAnswer, resp.StatusCode)
	case err != nil:
		return nil, fmt.Errorf("%s: %w: status %d", r.Method, ErrStranger, resp.StatusCode)
	}
	return nil, fmt.Errorf("%s: %w", r.Method, &AnswerError{
		Status: resp.StatusCode, Code: short(doc.Get("errorResponseCode")), Description: short(doc.Get("errorDescription")),
	})
}

func (c *Client) read(h Hosted, body []byte) (*sign.Doc, error) {
	opened, err := h.Ring().Open(body, c.now())
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	doc, err := sign.ParseJSON(opened.Plain)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	if err := object(doc.Get("responseHeader"), "responseHeader"); err != nil {
		return nil, err
	}
	return doc, nil
}

// short bounds what of Google's text goes into errors and logs.
func short(v sign.Value) string {
	const most = 500
	if s := v.Text(); len(s) <= most {
		return s
	}
	return v.Text()[:most]
}

// withRequestHeader writes a request: its header with the time of now, then its
// members.
func withRequestHeader(r Request, now time.Time) ([]byte, error) {
	if !isRequestID(r.ID) {
		return nil, fmt.Errorf("google: %s: a requestId %q", r.Method, r.ID)
	}
	return headed(struct {
		RequestHeader RequestHeader `json:"requestHeader"`
	}{RequestHeader{RequestID: r.ID, Time: now, Version: Version{Major: major, Minor: r.Minor}}}, r.Members)
}

// Echo asks Google's side to repeat a message under an account, and gives what
// else it said: with it keys are tried after an exchange.
func (c *Client) Echo(ctx context.Context, h Hosted, account, id, message string) (server string, err error) {
	doc, err := c.Call(ctx, h, Request{Method: "echo", Account: account, ID: id, Members: struct {
		ClientMessage string `json:"clientMessage"`
	}{message}})
	if err != nil {
		return "", err
	}
	if said := doc.Get("clientMessage"); said.Kind() != sign.KindString || said.Text() != message {
		return "", fmt.Errorf("echo: %w: another message came back", ErrNoAnswer)
	}
	return short(doc.Get("serverMessage")), nil
}
