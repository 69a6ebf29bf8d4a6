package google

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/money"
	"aorta/internal/recon"
	"aorta/internal/sign"
)

// Side is Google's side of all integrations, as flows call it: it knows how calls and
// answers are written, and nothing of what follows from them.
type Side struct {
	client *Client
	hosted []Hosted
}

var _ flow.Google = (*Side)(nil)

// NewSide makes it.
func NewSide(c *Client, hosted []Hosted) *Side { return &Side{c, hosted} }

// Contract is what an integration says of statements.
func (s *Side) Contract(integration string) (flow.Contract, bool) {
	h, ok := s.of(integration)
	return flow.Contract{Terms: h.Terms.Terms, VAT: h.Terms.VAT, AckAccepts: h.AckAccepts}, ok
}

func (s *Side) of(integration string) (Hosted, bool) {
	n := slices.IndexFunc(s.hosted, func(h Hosted) bool { return h.Name == integration })
	if n < 0 {
		return Hosted{}, false
	}
	return s.hosted[n], true
}

// taken are the members in which Google says that it has taken a call: each must be
// SUCCESS. A method that is not here is not told.
var taken = map[string]struct {
	member string
	minor  int64 // version that the method came with
}{
	"captureResultNotification":                  {"result", 1},
	"refundResultNotification":                   {"result", 1},
	"acceptRemittanceStatement":                  {"acceptRemittanceStatementResultCode", 0},
	"acceptRemittanceStatementWithModifications": {"acceptRemittanceStatementWithModificationsResultCode", 0},
}

// Tell makes the call of a row. A 200 that does not say SUCCESS is a refusal: nothing
// is made of a word that we do not know.
func (s *Side) Tell(ctx context.Context, t fop.Told) flow.Heard {
	method, known := taken[t.Method]
	if !known {
		return flow.Heard{Said: fmt.Sprintf("%q is no method that is told", t.Method)}
	}
	doc, heard := s.call(ctx, t.Integration, Request{Method: t.Method, Account: t.Account, ID: t.ID.String(), Minor: method.minor, Members: json.RawMessage(t.Body)})
	if !heard.OK {
		return heard
	}
	heard.Answer = membersOf(doc)
	if said := short(doc.Get(method.member)); said != string(fop.Success) {
		return flow.Heard{Status: heard.Status, Answer: heard.Answer, Said: fmt.Sprintf("%s is %q, not SUCCESS", method.member, said)}
	}
	return heard
}

func (s *Side) call(ctx context.Context, integration string, r Request) (*sign.Doc, flow.Heard) {
	h, known := s.of(integration)
	switch {
	case !known:
		return nil, flow.Heard{Again: true, Said: fmt.Sprintf("integration %q is not configured", integration)}
	case !slices.Contains(h.Accounts, r.Account):
		return nil, flow.Heard{Again: true, Said: fmt.Sprintf("account %q is not one of integration %q", r.Account, integration)}
	}
	doc, err := s.client.Call(ctx, h, r)
	if err == nil {
		return doc, flow.Heard{OK: true, Status: 200}
	}
	out := flow.Heard{Again: Again(err), Stranger: errors.Is(err, ErrStranger), Said: plain(err.Error())}
	var refused *AnswerError
	if errors.As(err, &refused) {
		out.Status = refused.Status
	}
	return nil, out
}

// plain is a text of others as every store takes it: without control characters, and
// valid UTF-8.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// maxAnswer bounds what is kept of an answer, in bytes.
const maxAnswer = 4096

// membersOf writes the members of an answer without its header, for support.
func membersOf(doc *sign.Doc) string {
	kept := map[string]json.RawMessage{}
	for m := range doc.Root().Members() {
		if m.Key() != "responseHeader" {
			kept[m.Key()] = rawOf(m)
		}
	}
	text, err := json.Marshal(kept)
	if err != nil || len(text) > maxAnswer {
		return "{}"
	}
	return string(text)
}

// statementRequest asks for lines of a statement.
type statementRequest struct {
	Account   string `json:"paymentIntegratorAccountId"`
	Statement string `json:"statementId"`
	Offset    int64  `json:"eventOffset"`
	Most      int    `json:"numberOfEvents"`
}

// Lines asks for lines of a statement. An answer that is not as it must be is asked for
// again: what it was is in Said.
func (s *Side) Lines(ctx context.Context, st fop.Statement, requestID string, most int) (flow.StatementPage, flow.Heard) {
	doc, heard := s.call(ctx, st.Integration, Request{
		Method: "remittanceStatementDetails", Account: st.Account, ID: requestID, Members: statementRequest{st.Account, st.Name, st.Offset, most},
	})
	if !heard.OK {
		return flow.StatementPage{}, heard
	}
	page, err := readPage(doc)
	if err != nil {
		return flow.StatementPage{}, flow.Heard{Again: true, Status: heard.Status, Said: plain(err.Error())}
	}
	return page, heard
}

// eventArrays are those whose members we know. How an event is written past its
// eventRequestId could not be read anywhere (section 4), so the names are here alone.
var eventArrays = map[string]struct {
	kind recon.Kind
	ours string // the member with our name of it
}{
	"captureEvents": {recon.Capture, "paymentIntegratorTransactionId"},
	"refundEvents":  {recon.Refund, "paymentIntegratorRefundId"},
}

// readPage reads an answer of remittanceStatementDetails. Any other array of events is
// read as events that we know nothing of, so that nothing of a statement goes unseen.
func readPage(doc *sign.Doc) (flow.StatementPage, error) {
	var p flow.StatementPage
	var err error
	if v := doc.Get("eventOffset"); v.Exists() {
		if p.Offset, err = whole(v, "eventOffset"); err != nil {
			return p, err
		}
	}
	if v := doc.Get("nextEventOffset"); v.Exists() && v.Kind() != sign.KindNull {
		if p.Next, err = whole(v, "nextEventOffset"); err != nil {
			return p, err
		}
	}
	if p.Total, err = whole(doc.Get("totalEvents"), "totalEvents"); err != nil {
		return p, err
	}
	if v := doc.Get("remittanceStatementSummary"); v.Exists() {
		due, err := micros(v.Get("totalDueByIntegrator"), "remittanceStatementSummary.totalDueByIntegrator")
		if err != nil {
			return p, err
		}
		p.Due = &due
	}
	for m := range doc.Root().Members() {
		array, known := eventArrays[m.Key()]
		switch {
		case !known && !strings.HasSuffix(m.Key(), "Events") || m.Key() == "totalEvents":
			continue
		case m.Kind() != sign.KindList:
			return p, malformed(m.Key() + " must be a list")
		}
		n := 0
		for e := range m.Members() {
			name := fmt.Sprintf("%s[%d]", m.Key(), n)
			n++
			line := flow.StatementLine{Event: recon.Event{Kind: recon.Kind(unknownEvent)}, Details: detailsOf(e)}
			if known {
				if line, err = readEvent(e, name, array.kind, array.ours); err != nil {
					return p, err
				}
			} else if line.Name, err = text(e.Get("eventRequestId"), name+".eventRequestId"); err != nil {
				return p, err
			}
			p.Lines = append(p.Lines, line)
		}
	}
	return p, nil
}

// unknownEvent is the kind of an event of an array that we do not know.
const unknownEvent = "unknown"

func readEvent(e sign.Value, name string, kind recon.Kind, ours string) (flow.StatementLine, error) {
	line := flow.StatementLine{Event: recon.Event{Kind: kind}, Details: detailsOf(e)}
	if err := object(e, name); err != nil {
		return line, err
	}
	var err error
	if line.Name, err = text(e.Get("eventRequestId"), name+".eventRequestId"); err != nil {
		return line, err
	}
	code, err := text(e.Get("currencyCode"), name+".currencyCode")
	if err != nil {
		return line, err
	}
	if line.Currency = money.Currency(code); !line.Currency.Valid() {
		return line, invalid(name + ".currencyCode must be an ISO 4217 code")
	}
	if line.Micros, err = micros(e.Get("amount"), name+".amount"); err != nil {
		return line, err
	}
	if line.Micros < 0 {
		return line, invalid(name + ".amount is below zero: whether it is taken or given back, its array says")
	}
	if v := e.Get("fee"); v.Exists() && v.Kind() != sign.KindNull {
		line.HasFee = true
		if line.Fee, err = micros(v, name+".fee"); err != nil {
			return line, err
		}
		if line.Fee == math.MinInt64 {
			return line, invalid(name + ".fee is out of range")
		}
	}
	if v := e.Get("eventDate"); v.Exists() && v.Kind() != sign.KindNull {
		at, err := instant(v, name+".eventDate")
		if err != nil {
			return line, err
		}
		if line.AtMS = at.UnixMilli(); line.AtMS > maxMillis {
			return line, invalid(name + ".eventDate is too far away")
		}
	}
	if v := e.Get(ours); v.Exists() && v.Kind() != sign.KindNull {
		if line.Ours, err = text(v, name+"."+ours); err != nil {
			return line, err
		}
	}
	return line, nil
}

// maxMillis is the last instant that microseconds can say, in milliseconds.
const maxMillis = math.MaxInt64 / 1000

// maxDetails bounds what is kept of an event as it was told, in bytes.
const maxDetails = 2048

// detailsOf keeps an event as it was told, for who must look at it; one that is too long
// for that is kept by what we read of it alone.
func detailsOf(e sign.Value) string {
	if raw := rawOf(e); len(raw) <= maxDetails {
		return string(raw)
	}
	return ""
}

// rawOf writes a value as JSON, with numbers as texts: what is kept for support is read
// by people.
func rawOf(v sign.Value) json.RawMessage {
	var b bytes.Buffer
	canonical(&b, v, "[")
	return b.Bytes()
}
