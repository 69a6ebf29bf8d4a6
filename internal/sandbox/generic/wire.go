package generic

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"aorta/internal/sandbox/desk"
	"aorta/internal/sandbox/fault"
	"aorta/internal/sandbox/signed"
)

// The words of the protocol that all our simulators speak.
type (
	call   = signed.Call[*account]
	answer = signed.Answer
	crash  = signed.Crash
)

// asked is the body of the three inits.
type asked struct {
	Amount           string `json:"amount"`
	Currency         string `json:"currency"`
	Method           string `json:"method"`
	Reference        string `json:"reference"`
	PaymentID        string `json:"payment_id"`
	PaymentReference string `json:"payment_reference"` // of a refund
	TransactionID    string `json:"transaction_id"`    // of a refund: its payment's
	CustomerID       string `json:"customer_id"`
	Description      string `json:"description"`
	Destination      string `json:"destination"`
	ReturnURL        string `json:"return_url"`
	NotifyURL        string `json:"notify_url"`
}

// told is what is said of an operation, in answers and webhooks.
type told struct {
	EventID       string `json:"event_id,omitempty"`
	Type          string `json:"type"`
	Reference     string `json:"reference"`
	PaymentID     string `json:"payment_id,omitempty"`
	TransactionID string `json:"transaction_id"`
	Status        string `json:"status"`
	Amount        string `json:"amount"`
	Currency      string `json:"currency"`
	Code          string `json:"code,omitempty"`
	Message       string `json:"message,omitempty"`
	RedirectURL   string `json:"redirect_url,omitempty"`
	Timestamp     string `json:"timestamp"`

	Instrument *instrument `json:"instrument,omitempty"`
}

// tell says how an operation stands. The caller holds the desk.
func (o *operation) tell() told {
	t := told{
		Type: o.kind, Reference: o.reference, PaymentID: o.paymentID, TransactionID: o.transactionID(), Status: "pending",
		Amount: o.reported(), Currency: o.currency, Timestamp: instant(o.CreatedUS), Instrument: o.instrument(),
	}
	if o.kind == sale {
		t.Type = "payment"
	}
	switch o.State {
	case paid:
		t.Status, t.Timestamp = "succeeded", instant(o.DecidedUS)
		if o.kind == sale {
			t.Status = "captured"
		}
	case failed:
		t.Status, t.Code, t.Message, t.Timestamp = "failed", "declined", "Declined by the provider", instant(o.DecidedUS)
		if o.kind == refunding {
			t.Code, t.Message = "insufficient_funds", "The account's balance at the provider is too low"
		}
		if o.why != "" {
			t.Code, t.Message = o.why, "The customer did not confirm the payment"
		}
	case waiting:
	}
	return t
}

func instant(us int64) string { return time.UnixMicro(us).UTC().Format(time.RFC3339) }

// letter is the webhook about an operation: L11's body, signed over its bytes.
func (s *Simulator) letter(o *operation, forged bool) (desk.Letter, error) {
	t := o.tell()
	t.EventID = o.eventID()
	body, err := json.Marshal(t)
	secret := o.account.Secret
	if forged {
		secret = "not " + secret
	}
	return desk.Letter{Header: http.Header{"X-Signature": {signed.Sign(secret, string(body))}}, Body: body}, err
}

// read takes the body of an init; the answer is a refusal, or zero.
func read(c call, kind string) (asked, order, answer) {
	var b asked
	decoder := json.NewDecoder(strings.NewReader(string(c.Body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&b); err != nil {
		return b, order{}, signed.Refuse(http.StatusBadRequest, "malformed_json", "The body is not a request of this kind.")
	}
	minor, ok := parse(b.Amount, b.Currency)
	idempotency := c.HTTP.Header.Get("Idempotency-Key")
	invalid := func(code, message string) (asked, order, answer) {
		return b, order{}, signed.Refuse(http.StatusUnprocessableEntity, code, message)
	}
	_, method := methods[b.Method]
	switch {
	case idempotency == "":
		return b, order{}, signed.Refuse(http.StatusBadRequest, "idempotency_key_missing", "The header Idempotency-Key is missing.")
	case idempotency != b.Reference:
		return b, order{}, signed.Refuse(http.StatusBadRequest, "bad_header", "The header Idempotency-Key must be the reference.")
	case !isReference(b.Reference):
		return invalid("validation_failed", "reference must be 1 to 64 of a-z, A-Z, 0-9, _ and -.")
	case exponents[b.Currency] == 0 && b.Currency != "JPY":
		return invalid("currency_not_supported", "currency must be EUR, INR or JPY.")
	case !ok:
		return invalid("validation_failed", "amount must be a decimal number of the currency.")
	case kind != refunding && !method:
		return invalid("method_not_supported", "method must be card, bank or wallet.")
	case !isAddress(b.ReturnURL) || !isAddress(b.NotifyURL):
		return invalid("validation_failed", "return_url and notify_url must be http or https addresses.")
	case len(b.CustomerID)+len(b.Description)+len(b.Destination)+len(b.PaymentID) > maxText:
		return invalid("validation_failed", "texts are too long.")
	}
	return b, order{
		kind: kind, reference: b.Reference, paymentID: b.PaymentID, method: b.Method, minor: minor, currency: b.Currency, customer: b.CustomerID,
		description: b.Description, destination: b.Destination, returnURL: b.ReturnURL, notifyURL: b.NotifyURL,
	}, answer{}
}

func isReference(text string) bool {
	odd := func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-')
	}
	return text != "" && len(text) <= 64 && text != "init" && !strings.ContainsFunc(text, odd)
}

// isAddress takes no address, or one that a browser can be led to.
func isAddress(text string) bool {
	u, err := url.Parse(text)
	return text == "" || err == nil && len(text) <= maxText && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// begin records a new operation, or finds that of an identical request. of checks
// what a new one needs; the desk is held.
func (s *Simulator) begin(c call, asked order, of func() (*operation, answer)) (*operation, answer, crash) {
	s.desk.Lock()
	defer s.desk.Unlock()
	if o := s.known[key{c.Account.Name, asked.kind, asked.reference}]; o != nil {
		if o.order != asked {
			return nil, signed.Refuse(http.StatusConflict, "idempotency_conflict", "The reference was used for another request."), nil
		}
		return o, answer{}, nil
	}
	payment, refusal := of()
	if refusal.Status != 0 {
		return nil, refusal, nil
	}
	rule := s.opts.Faults.Take(asked.kind)
	if rule.Next == fault.HTTP500 {
		return nil, answer{}, func(w http.ResponseWriter, r *http.Request) { s.desk.Crash(w, r, rule) }
	}
	o := newOperation(c.Account, asked, rule)
	o.of = payment
	err := s.add(o)
	if err == nil && o.Moves && o.Next == fault.Timeout {
		err = s.desk.Settle(o, paid) // done before the connection is left hanging, so that a look-up finds it
	}
	if err != nil {
		if !errors.Is(err, desk.ErrFull) {
			s.opts.Log.Error("generic sandbox: record an operation", "error", err)
		}
		return nil, answer{}, func(w http.ResponseWriter, r *http.Request) { s.desk.Crash(w, r, fault.Rule{}) }
	}
	if o.Next == fault.Timeout {
		return nil, answer{}, func(_ http.ResponseWriter, r *http.Request) { s.desk.Unanswered(r, &o.Fate) }
	}
	return o, answer{}, nil
}

// about says how an operation stands when the answer leaves, slow as it may be.
func (s *Simulator) about(c call, o *operation) (answer, crash) {
	s.desk.Drag(c.HTTP, &o.Fate)
	s.desk.Lock()
	defer s.desk.Unlock()
	t := o.tell()
	if o.kind == sale && o.State == waiting {
		t.RedirectURL = s.own(c.HTTP) + "/pay/" + o.account.Name + "/" + o.reference + "?token=" + o.token()
	}
	return signed.OK(t), nil
}

// own is where a browser finds the simulator.
func (s *Simulator) own(r *http.Request) string {
	if s.opts.Own != nil && s.opts.Own() != "" {
		return strings.TrimSuffix(s.opts.Own(), "/") + s.opts.Prefix
	}
	return "http://" + r.Host + s.opts.Prefix
}

func nothingMore() (*operation, answer) { return nil, answer{} }

// paymentInit is POST /v1/payments/init: it makes a page, and no money moves.
func (s *Simulator) paymentInit(c call) (answer, crash) {
	_, asked, refusal := read(c, sale)
	if refusal.Status != 0 {
		return refusal, nil
	}
	return s.end(c)(s.begin(c, asked, nothingMore))
}

// end answers what begin gave.
func (s *Simulator) end(c call) func(*operation, answer, crash) (answer, crash) {
	return func(o *operation, refusal answer, broken crash) (answer, crash) {
		if o == nil {
			return refusal, broken
		}
		return s.about(c, o)
	}
}

// refundInit is POST /v1/refunds/init.
func (s *Simulator) refundInit(c call) (answer, crash) {
	b, asked, refusal := read(c, refunding)
	if refusal.Status != 0 {
		return refusal, nil
	}
	return s.end(c)(s.begin(c, asked, func() (*operation, answer) {
		p := s.known[key{c.Account.Name, sale, b.PaymentReference}]
		switch {
		case p == nil || b.TransactionID != "" && b.TransactionID != p.transactionID():
			return nil, signed.Refuse(http.StatusNotFound, "not_found", "There is no such payment.")
		case p.State != paid:
			return nil, signed.Refuse(http.StatusConflict, "state_conflict", "The payment is not captured.")
		case p.currency != asked.currency:
			return nil, signed.Refuse(http.StatusUnprocessableEntity, "currency_not_supported", "The payment is in another currency.")
		case asked.minor > p.minor-p.sum(true):
			return nil, signed.Refuse(http.StatusUnprocessableEntity, "refund_exceeds_captured", "More than is left of the payment.")
		}
		return p, answer{}
	}))
}

// payoutInit is POST /v1/payouts/init.
func (s *Simulator) payoutInit(c call) (answer, crash) {
	_, asked, refusal := read(c, payout)
	if refusal.Status != 0 {
		return refusal, nil
	}
	return s.end(c)(s.begin(c, asked, func() (*operation, answer) {
		// A destination is the customer's own, of the kind that is asked for: nothing else was ever told them.
		if own := c.Account.instrumentOf(asked.customer, asked.method); asked.destination != "" && (own == nil || own.Token != asked.destination) {
			return nil, signed.Refuse(http.StatusUnprocessableEntity, "destination_unknown", "The customer has no such instrument of that method.")
		}
		return nil, answer{}
	}))
}

// find is a look-up of one kind.
func (s *Simulator) find(kind string) func(call) (answer, crash) {
	return func(c call) (answer, crash) {
		s.desk.Lock()
		o := s.known[key{c.Account.Name, kind, c.HTTP.PathValue("reference")}]
		s.desk.Unlock()
		if o == nil {
			return signed.Refuse(http.StatusNotFound, "not_found", "There is nothing of that reference."), nil
		}
		return s.about(c, o)
	}
}

// statementLine is one movement of a day.
type statementLine struct {
	Type          string `json:"type"`
	Reference     string `json:"reference"`
	TransactionID string `json:"transaction_id"`
	Amount        string `json:"amount"`
	Fee           string `json:"fee"`
	Currency      string `json:"currency"`
	Timestamp     string `json:"timestamp"`
}

type statementPage struct {
	Date  string          `json:"date"`
	Lines []statementLine `json:"lines"`
	Next  string          `json:"next,omitempty"`
}

// statement is GET /v1/statements/{date}: what moved on a day, UTC, by the true
// amounts. A payment costs one in a hundred, rounded down.
func (s *Simulator) statement(c call) (answer, crash) {
	date := c.HTTP.PathValue("date")
	day, err := time.Parse(time.DateOnly, date)
	after := int64(0)
	if text := c.HTTP.URL.Query().Get("after"); err == nil && text != "" {
		after, err = strconv.ParseInt(text, 10, 64)
	}
	if err != nil || after < 0 {
		return signed.Refuse(http.StatusUnprocessableEntity, "validation_failed", "There is no such day, or no such page."), nil
	}
	from, until := day.UnixMicro(), day.AddDate(0, 0, 1).UnixMicro()
	page := statementPage{Date: date, Lines: []statementLine{}}
	s.desk.Lock()
	defer s.desk.Unlock()
	for _, o := range s.desk.From(after) {
		if o.account != c.Account || o.State != paid || o.DecidedUS < from || o.DecidedUS >= until {
			continue
		}
		if len(page.Lines) == pageLines {
			break
		}
		t := o.tell()
		fee := int64(0)
		if o.kind == sale {
			fee = o.minor / 100
		}
		page.Lines = append(page.Lines, statementLine{
			Type: t.Type, Reference: t.Reference, TransactionID: t.TransactionID, Amount: decimal(o.minor, o.currency), Fee: decimal(fee, o.currency),
			Currency: o.currency, Timestamp: t.Timestamp,
		})
		page.Next = strconv.FormatInt(o.Seq, 10)
	}
	if len(page.Lines) < pageLines {
		page.Next = ""
	}
	return signed.OK(page), nil
}
