package paytm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"aorta/internal/connector"
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
	member, ok := findSignature(raw)
	if !ok {
		return connector.News{}, malformed("not one JSON object with every member once")
	}
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil || len(e.Body) == 0 || e.Body[0] != '{' {
		return connector.News{}, malformed("JSON without head and body")
	}
	matched := "json body"
	if !p.checksum.Verify(e.Body, e.Head.Signature) {
		matched = "json document"
		if member == (span{}) || !p.checksum.Verify(member.cutFrom(raw), e.Head.Signature) {
			return connector.News{}, connector.ErrSignature
		}
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
		EventID: n.reference + "/" + clean(n.status, 24) + "/" + n.matched,
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
	odd := func(r rune) bool { return !nameRune(r) && r != '@' && r != '.' }
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

// findSignature walks the whole document and gives where head.signature lies
// with its comma, the zero span if there is none. It says no if raw is not one
// JSON object, or if an object in it has a name twice, counting those as the same
// that encoding/json takes for the same: of two, another reader might believe
// the other.
func findSignature(raw []byte) (found span, ok bool) {
	type object struct {
		name  string // of the member being read
		names map[string]bool
		key   bool // a name comes next
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	var open []object // an array has no names
	for {
		before := int(d.InputOffset())
		token, err := d.Token()
		if err != nil {
			return span{}, false
		}
		if len(open) == 0 && token != json.Delim('{') {
			return span{}, false
		}
		if delim, is := token.(json.Delim); is {
			switch delim {
			case '{':
				open = append(open, object{names: map[string]bool{}, key: true})
			case '[':
				open = append(open, object{})
			case '}', ']':
				open = open[:len(open)-1]
			}
			if len(open) > maxDepth {
				return span{}, false
			}
			if len(open) == 0 {
				_, err := d.Token()
				return found, err == io.EOF
			}
			if delim == '{' || delim == '[' {
				continue
			}
		} else if top := &open[len(open)-1]; top.key {
			top.name, _ = token.(string)
			folded := strings.ToLower(strings.ToUpper(top.name)) // also the Kelvin sign and the long s
			if top.names[folded] {
				return span{}, false
			}
			top.names[folded], top.key = true, false
			if len(open) == 2 && open[0].name == "head" && top.name == "signature" {
				found = span{from: before}
			}
			continue
		}
		// A value has ended.
		if top := &open[len(open)-1]; top.names != nil {
			if len(open) == 2 && open[0].name == "head" && top.name == "signature" {
				found.to = int(d.InputOffset())
				if raw[found.from-1] == '{' { // the first member: the comma behind it goes too
					if rest := bytes.TrimLeft(raw[found.to:], " \t\r\n"); len(rest) > 0 && rest[0] == ',' {
						found.to = len(raw) - len(rest) + 1
					}
				}
			}
			top.key = true
		}
	}
}
