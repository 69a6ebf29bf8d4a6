// Package exchange is one request to a provider over HTTP and its one answer:
// bounded in time and size, no redirect followed, and with the one thing told
// that the flows must know of a failure, whether a byte of the request can have
// left (payment-loop.md L15). It is what connectors have in common; a protocol's
// words, signatures and verdicts are each connector's own.
package exchange

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"aorta/internal/connector"
	"aorta/internal/crash"
	"aorta/internal/payment"
)

// DefaultTimeout bounds one call. security.md S21 says 15 s and means waiting
// for the answer, which the transport bounds; the other five are the dial's.
const DefaultTimeout = 20 * time.Second

// ownIdle are the connections that a peer keeps which shares none.
const ownIdle = 512

// maxAnswer bounds an answer's body unless Options say otherwise (S21).
const maxAnswer = 64 << 10

// Options are the parts of a Peer with a default.
type Options struct {
	Transport http.RoundTripper // nil keeps connections of its own
	Timeout   time.Duration     // for one call; 0 means DefaultTimeout
	MaxAnswer int64             // bytes of an answer's body; 0 means 64 KiB
}

// Peer is a provider that can be asked. It is safe for concurrent use.
type Peer struct {
	transport http.RoundTripper
	timeout   time.Duration
	max       int64
}

// New makes a peer; nothing is sent.
func New(o Options) *Peer {
	p := &Peer{transport: o.Transport, timeout: o.Timeout, max: o.MaxAnswer}
	if p.transport == nil {
		p.transport = connector.NewTransport(ownIdle)
	}
	if p.timeout == 0 {
		p.timeout = DefaultTimeout
	}
	if p.max == 0 {
		p.max = maxAnswer
	}
	return p
}

// Request is what is asked. Nobody may change it, or what it points to, for good:
// net/http may go on reading the body after an answer has come.
type Request struct {
	Method string
	URL    *url.URL
	Header http.Header
	Body   []byte // nil: none
}

// Answer is a whole answer within its bounds, of any status but 5xx.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte // valid until the reader of the answer returns
}

// Lost says why there is no answer to go by. Sent is false only where no byte of
// the request can have left.
type Lost struct {
	Sent   bool
	Reason string // for the record; no secret, no text of the provider's
	Alarm  string // not empty: an operator must look
}

// Outcome of a call that asked for something to be done.
func (l *Lost) Outcome() connector.Outcome {
	out := connector.Outcome{Kind: connector.Unknown, ProviderMessage: l.Reason, Alarm: l.Alarm}
	if !l.Sent {
		out.Kind, out.Code = connector.NotSent, payment.CodeProviderUnavailable
	}
	return out
}

// Unanswered is the outcome of a look-up: that a question was not sent says
// nothing about what it asked for.
func (l *Lost) Unanswered() connector.Outcome {
	return connector.Outcome{Kind: connector.Unknown, ProviderMessage: l.Reason, Alarm: l.Alarm}
}

// Call sends one request and has read judge the answer. It follows no redirect,
// since a RoundTripper does not. A 5xx is nobody's word on anything and is not
// read.
func (p *Peer) Call(ctx context.Context, r Request, read func(Answer) *Lost) *Lost {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	if crash.On {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(w httptrace.WroteRequestInfo) {
			if w.Err == nil {
				crash.At(crash.RequestSent)
			}
		}})
	}
	request := &http.Request{
		Method: r.Method, URL: r.URL, Host: r.URL.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: r.Header,
	}
	if r.Body != nil {
		request.ContentLength = int64(len(r.Body))
		request.Body = io.NopCloser(bytes.NewReader(r.Body))
		// Lets net/http take another connection when it finds, before any byte was
		// written, that the one it kept is closed. It repeats no POST after that.
		request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(r.Body)), nil }
	}
	response, err := p.transport.RoundTrip(request.WithContext(ctx))
	if err != nil {
		if dialFailed(err) {
			return &Lost{Reason: "no connection"}
		}
		return &Lost{Sent: true, Reason: "the answer was lost"}
	}
	defer response.Body.Close()

	buf := buffers.Get().(*bytes.Buffer)
	defer func() {
		if buf.Cap() <= 2*maxAnswer { // a statement is seldom and large
			buffers.Put(buf)
		}
	}()
	buf.Reset()
	// One byte more than allowed tells too long from just fitting. Reading to the
	// end gives the connection back.
	n, err := buf.ReadFrom(io.LimitReader(response.Body, p.max+1))
	switch {
	case response.StatusCode/100 == 5:
		return Status(response.StatusCode)
	case err != nil:
		return &Lost{Sent: true, Reason: "the answer was cut off"}
	case n > p.max:
		return &Lost{Sent: true, Reason: "the answer is too long"}
	}
	return read(Answer{Status: response.StatusCode, Header: response.Header, Body: buf.Bytes()})
}

var buffers = sync.Pool{New: func() any { return bytes.NewBuffer(make([]byte, 0, 4<<10)) }}

// Status is an answer of which nothing counts but that it came.
func Status(code int) *Lost {
	return &Lost{Sent: true, Reason: fmt.Sprintf("HTTP status %d", code)}
}

// dialFailed holds only when no connection was made, so that no byte of the
// request can have left (payment-loop.md L15). A dial that the caller gave up on
// comes as the context's error and counts as sent.
func dialFailed(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// Base reads a base URL and refuses what would make every URL wrong. Its path
// ends in "/". Plain http is let through for simulators; which it is the operator
// reads in the setting (S23).
func Base(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("it cannot be read") // url's error would repeat a password in it
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http", u.Host == "":
		return nil, errors.New("it must be https://host")
	case u.User != nil, u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return nil, errors.New("it must have no user, query or fragment")
	}
	u.Path = strings.TrimRight(u.Path, "/") + "/"
	return u, nil
}

// IsName holds for 1 to limit characters that need no escaping in JSON or a query.
func IsName(text string, limit int) bool {
	return text != "" && len(text) <= limit && !strings.ContainsFunc(text, func(r rune) bool { return !NameRune(r) })
}

// NameRune holds for the characters of IsName.
func NameRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-'
}

// Visible gives an id of 1 to 64 visible ASCII characters, and nothing for any
// other text.
func Visible(text string) string {
	if len(text) > 64 {
		return ""
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return ""
		}
	}
	return text
}

// Clean makes a provider's text fit for our rows: valid, no control characters,
// at most limit bytes.
func Clean(text string, limit int) string {
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
