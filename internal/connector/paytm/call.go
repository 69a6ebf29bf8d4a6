package paytm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"aorta/internal/connector"
	"aorta/internal/connector/exchange"
)

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
	return connector.Outcome{Kind: kind, ProviderCode: exchange.Clean(r.Code, 64), ProviderMessage: exchange.Clean(r.Message, 500)}
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

// call sends one signed request and reads the verified body of the answer into
// answer. It follows no redirect, since a RoundTripper does not.
func (p *Paytm) call(ctx context.Context, to *url.URL, query string, m *message, body, answer any) *exchange.Lost {
	content, err := m.seal(p.checksum, body)
	if err != nil {
		return &exchange.Lost{Reason: "not signed", Alarm: "paytm: a request could not be signed: " + err.Error()}
	}
	u := *to
	u.RawQuery = query
	return p.peer.Call(ctx, exchange.Request{Method: http.MethodPost, URL: &u, Header: p.header, Body: content}, func(a exchange.Answer) *exchange.Lost {
		switch a.Status {
		case http.StatusOK:
			return p.open(a.Body, answer)
		case http.StatusTooManyRequests:
			return exchange.Status(a.Status)
		}
		// Also a redirect. Paytm says no in an answer of 200, so this is not Paytm's
		// word on anything, and most likely not the right address.
		l := exchange.Status(a.Status)
		l.Alarm = "paytm: " + l.Reason + " from " + to.Path + ": check the base URL"
		return l
	})
}

// open verifies an answer and reads its body. An unsigned answer is taken for
// none: refusals of a wrong key or MID come unsigned, or signed with another
// key, and so end up here with an alarm, never as a decline.
func (p *Paytm) open(raw []byte, answer any) *exchange.Lost {
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		return &exchange.Lost{Sent: true, Reason: "the answer is not JSON of the agreed shape"}
	}
	if !p.checksum.Verify(e.Body, e.Head.Signature) {
		// The code is for the operator's eyes; nothing is decided by it.
		var b struct {
			Result resultInfo `json:"resultInfo"`
		}
		_ = json.Unmarshal(e.Body, &b)
		return &exchange.Lost{
			Sent: true, Reason: "the answer's signature is wrong",
			Alarm: fmt.Sprintf("paytm: an answer's signature is missing or wrong (it says %q %q): check merchant key, MID and base URL",
				exchange.Clean(b.Result.Status, 24), exchange.Clean(b.Result.Code, 24)),
		}
	}
	if err := json.Unmarshal(e.Body, answer); err != nil {
		return &exchange.Lost{Sent: true, Reason: "the answer's body is not of the agreed shape"}
	}
	return nil
}
