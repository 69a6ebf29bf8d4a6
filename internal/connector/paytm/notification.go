package paytm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"aorta/internal/connector"
	"aorta/internal/connector/exchange"
	"aorta/internal/money"
)

// ReadNotification reads what Paytm posts: the form of a browser's callback, of
// the payment webhook and of the refund ARN notification, and the JSON webhooks
// of payments and refunds (paytm.md sections 4 and 6). What it tells is a hint.
//
// GET is ErrMalformed: some browsers repeat the callback so on "back", and
// nothing may change by it.
func (p *Paytm) ReadNotification(n connector.Notification) (connector.News, error) {
	if n.Method != http.MethodPost {
		return connector.News{}, malformed("method is not POST")
	}
	switch kind := n.Header.Get("Content-Type"); mediaType(kind, n.Body) {
	case "application/json":
		return p.readJSON(n.Body)
	case "application/x-www-form-urlencoded":
		return p.readForm(n.Body)
	}
	return connector.News{}, malformed("content type is neither form nor JSON")
}

// mediaType goes by the body where nothing is said.
func mediaType(header string, body []byte) string {
	if header == "" {
		if body = bytes.TrimLeft(body, " \t\r\n"); len(body) > 0 && body[0] == '{' {
			return "application/json"
		}
		return "application/x-www-form-urlencoded"
	}
	kind, _, err := mime.ParseMediaType(header)
	if err != nil {
		return ""
	}
	return kind
}

func malformed(why string) error { return fmt.Errorf("%w: %s", connector.ErrMalformed, why) }

// paymentFields and arnFields are all the names that a form may have, true where
// it must. The checksum covers values only, in the order of their names, so an
// unknown name could carry a signed value to where it does not belong, and with
// the needed ones in place no value of theirs can be renamed away (section 2).
var (
	paymentFields = map[string]bool{
		"MID": true, "ORDERID": true, "STATUS": true, "RESPCODE": true, "TXNAMOUNT": true, "CURRENCY": true, "CHECKSUMHASH": true,
		"TXNID": false, "PAYMENTMODE": false, "TXNDATE": false, "RESPMSG": false, "GATEWAYNAME": false,
		"BANKTXNID": false, "BANKNAME": false, "MERC_UNQ_REF": false, "CUSTID": false,
	}
	arnFields = map[string]bool{
		"MID": true, "ORDERID": true, "REFID": true, "REFUNDID": true, "REFUNDAMOUNT": true, "CHECKSUMHASH": true,
		"TXNID": false, "TXNAMOUNT": false, "TXNDATETIME": false, "REFUNDDATETIME": false, "PAYMENTMODE": false,
		"GATEWAYNAME": false, "BANKNAME": false, "ARN": false, "RRN": false,
	}
)

// maxFields bounds what a stranger can have us sort before the signature is
// looked at. Paytm's forms have at most sixteen fields.
const maxFields = 32

func (p *Paytm) readForm(body []byte) (connector.News, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return connector.News{}, malformed("form cannot be decoded")
	}
	_, refund := form["REFID"]
	fields := paymentFields
	if refund {
		fields = arnFields
	}
	if len(form) > maxFields {
		return connector.News{}, malformed("form has more fields than Paytm's")
	}
	params := make(map[string]string, len(form))
	for name, values := range form {
		if len(values) != 1 {
			return connector.News{}, malformed("form has a field twice")
		}
		params[name] = values[0]
	}
	// The signature first: a stranger is told that he is one, whatever else is wrong.
	if !p.checksum.VerifyParams(params, params[checksumField]) {
		return connector.News{}, connector.ErrSignature
	}
	for name, value := range params {
		if _, known := fields[name]; !known {
			return connector.News{}, malformed("form has a field that Paytm does not send")
		}
		// Moved between neighbours a "|" would leave the signed text as it is.
		if strings.Contains(value, "|") || !utf8.ValidString(value) {
			return connector.News{}, malformed("form has a value with a pipe, or that is no text")
		}
	}
	for name, needed := range fields {
		if _, there := params[name]; needed && !there {
			return connector.News{}, malformed("form has no " + name)
		}
	}
	said := notice{
		mid: params["MID"], reference: params["ORDERID"], status: params["STATUS"],
		kind:   paymentKind(params["STATUS"], params["RESPCODE"]),
		amount: params["TXNAMOUNT"], currency: params["CURRENCY"], matched: "form",
	}
	if refund {
		// An ARN comes after the refund was sent out and reconciled (section 6).
		said.reference, said.status, said.kind = params["REFID"], "ARN", connector.Approved
		said.amount, said.currency = params["REFUNDAMOUNT"], string(currency)
	}
	return p.news(said)
}

// webhook is what matters of a JSON webhook's body, of a payment or, with refId,
// of a refund. The pages of the refund webhooks leave out mid or status.
type webhook struct {
	MID          string `json:"mid"`
	OrderID      string `json:"orderId"`
	TxnAmount    string `json:"txnAmount"`
	Currency     string `json:"currency"`
	Status       string `json:"status"`
	RespCode     string `json:"respCode"`
	RefID        string `json:"refId"`
	RefundAmount string `json:"refundAmount"`
	CreditTime   string `json:"userCreditInitiateTimestamp"`
}

// readJSON takes a signature over the raw body value, as the payload's example
// has it, or over the whole document, as the sample code does: the latter without
// the signature, which cannot cover itself (paytm.md section 4).
func (p *Paytm) readJSON(raw []byte) (connector.News, error) {
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil || len(e.Body) == 0 || e.Body[0] != '{' {
		return connector.News{}, malformed("JSON without head and body")
	}
	matched := "json body"
	if !p.checksum.Verify(e.Body, e.Head.Signature) {
		matched = "json document"
		signature := findSignature(raw)
		if signature == (span{}) || !p.checksum.Verify(signature.cutFrom(raw), e.Head.Signature) {
			return connector.News{}, connector.ErrSignature
		}
	}
	if !everyNameOnce(raw) {
		return connector.News{}, malformed("JSON has a name twice in one object, or is too large for one of Paytm's")
	}
	var w webhook
	if err := json.Unmarshal(e.Body, &w); err != nil {
		return connector.News{}, malformed("JSON body has a value of another type")
	}
	if w.RefID != "" {
		status, kind := refundKind(w)
		mid := w.MID
		if mid == "" {
			mid = p.mid // the accept page leaves it out; the signature is of our key
		}
		return p.news(notice{
			mid: mid, reference: w.RefID, status: status, kind: kind,
			amount: w.RefundAmount, currency: string(currency), matched: matched,
		})
	}
	return p.news(notice{
		mid: w.MID, reference: w.OrderID, status: w.Status, kind: paymentKind(w.Status, w.RespCode),
		amount: w.TxnAmount, currency: w.Currency, matched: matched,
	})
}

// paymentKind is what a STATUS hints at. It has exactly three values (section 4).
func paymentKind(status, code string) connector.Kind {
	switch {
	case status == "TXN_SUCCESS":
		return connector.Approved
	case status == "TXN_FAILURE" && code != "501":
		return connector.Declined
	case status == "PENDING":
		return connector.Pending
	}
	return connector.Unknown
}

// refundKind tells the accept webhook (the amount was taken from our balance, or
// not) from the success webhook (sent to the acquirer), which has no status.
func refundKind(w webhook) (string, connector.Kind) {
	switch {
	case w.Status == "FAILED":
		return "FAILED", connector.Declined
	case w.CreditTime != "":
		return "CREDITED", connector.Approved
	case w.Status == "SUCCESS":
		return "ACCEPTED", connector.Pending
	}
	return "OTHER", connector.Unknown
}

// notice is a verified notification in whichever form it came.
type notice struct {
	mid, reference, status string
	kind                   connector.Kind
	amount, currency       string
	matched                string // what the signature was over
}

// news checks what a signature cannot prove.
func (p *Paytm) news(n notice) (connector.News, error) {
	if !isReference(n.reference) {
		return connector.News{}, malformed("names no order or refund of ours")
	}
	news := connector.News{
		Reference: n.reference,
		Kind:      n.kind,
		// Paytm names no event and signs no time, so the same news is the same name:
		// replays are found by reference and status (paytm.md section 2).
		EventID: n.reference + "/" + exchange.Clean(n.status, 24) + "/" + n.matched,
	}
	amount, err := money.ParseDecimal(n.amount, money.Currency(n.currency))
	switch {
	case n.mid != p.mid:
		news.Mismatch = "it names another MID than ours"
	case n.amount == "": // it names none
	case err != nil:
		news.Mismatch = "its amount or currency cannot be read"
	default:
		news.Amount = amount
	}
	return news, nil
}

// isReference holds for what Paytm takes for orderId and refId (section 3).
func isReference(text string) bool {
	odd := func(r rune) bool { return !exchange.NameRune(r) && r != '@' && r != '.' }
	return text != "" && len(text) <= 50 && !strings.ContainsFunc(text, odd)
}

// maxDepth bounds how deep a notification may nest; Paytm's nest four deep.
const maxDepth = 32

// span is a part of a document, from and up to these bytes.
type span struct{ from, to int }

// cutFrom gives the document without the span.
func (s span) cutFrom(raw []byte) []byte {
	return append(raw[:s.from:s.from], raw[s.to:]...)
}

// findSignature gives where head.signature lies in a valid JSON document, with
// its comma; the zero span if there is none.
func findSignature(raw []byte) (found span) {
	walk(raw, func(path []member, start, end int) bool {
		if len(path) != 2 || !path[0].is("head") || !path[1].is("signature") {
			return true
		}
		found = span{start, end}
		if raw[start-1] == '{' { // the first member: the comma behind it goes too
			if rest := bytes.TrimLeft(raw[end:], " \t\r\n"); rest[0] == ',' {
				found.to = len(raw) - len(rest) + 1
			}
		}
		return false
	})
	return found
}

// maxMembers bounds the members of one object; Paytm's have about twenty.
const maxMembers = 64

// everyNameOnce says whether no object of a valid JSON document has a name twice,
// counting those as the same that encoding/json takes for the same: of two,
// another reader might believe the other. It says no to what is nested deeper or
// has more members than Paytm's would.
func everyNameOnce(raw []byte) bool {
	return walk(raw, func(path []member, _, _ int) bool {
		last := path[len(path)-1]
		for _, name := range last.before {
			if bytes.EqualFold(name, last.name) {
				return false
			}
		}
		return len(last.before) < maxMembers
	})
}

// member is where a walk is within one object or array.
type member struct {
	name   []byte   // without escapes; nil in an array
	before [][]byte // the names before it
}

func (m member) is(name string) bool { return bytes.EqualFold(m.name, []byte(name)) }

// walk reads a valid JSON document and reports each member of its objects when
// the member's value ends: the path to it, and where it lies from the end of what
// stands before. Names that escapes hide are read as what they stand for. It says
// no, and stops, when report does or where it gets deeper than maxDepth. Much quicker than a json.Decoder's tokens, of which
// each notification would cost a hundred allocations.
func walk(raw []byte, report func(path []member, start, end int) bool) bool {
	type level struct {
		object bool
		start  int  // end of what stood before the member being read
		inName bool // a name comes next
	}
	var levels []level
	var path []member
	last := 0 // end of the last token that is neither comma nor colon
	for i := 0; i < len(raw); {
		top := len(levels) - 1
		switch c := raw[i]; c {
		case ' ', '\t', '\r', '\n', ':':
			i++
			continue
		case ',':
			levels[top].inName = levels[top].object
			i++
			continue
		case '{', '[':
			if len(levels) == maxDepth {
				return false
			}
			levels = append(levels, level{object: c == '{', inName: c == '{'})
			path = append(path, member{})
			i++
			last = i
			continue
		case '}', ']':
			levels, path = levels[:top], path[:top]
			i++
			top--
		case '"':
			end := i + 1
			for raw[end] != '"' {
				if raw[end] == '\\' {
					end++
				}
				end++
			}
			text := raw[i : end+1]
			i = end + 1
			if levels[top].inName {
				m := &path[top]
				if m.name != nil {
					m.before = append(m.before, m.name)
				}
				m.name = unquoted(text)
				levels[top].inName, levels[top].start = false, last
				last = i
				continue
			}
		default: // a number, true, false or null
			for i < len(raw) && bytes.IndexByte([]byte(" \t\r\n,}]"), raw[i]) < 0 {
				i++
			}
		}
		last = i // a value has ended
		if top >= 0 && levels[top].object && !report(path, levels[top].start, last) {
			return false
		}
	}
	return true
}

// unquoted is the name that a JSON string stands for; never nil.
func unquoted(text []byte) []byte {
	if bytes.IndexByte(text, '\\') < 0 {
		return text[1 : len(text)-1]
	}
	var name string
	if json.Unmarshal(text, &name) != nil {
		return []byte{}
	}
	return []byte(name)
}
