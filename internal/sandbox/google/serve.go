package google

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"aorta/internal/sandbox/desk"
	"aorta/internal/sandbox/fault"
)

// failure is an ErrorResponse (section 1.6).
type failure struct {
	status int
	code   string
	says   string
}

func (f *failure) Error() string { return f.code + ": " + f.says }

// The codes that this Google uses.
func badVersion(says string) error {
	return &failure{http.StatusBadRequest, "INVALID_API_VERSION", says}
}

func malformed(says string) error {
	return &failure{http.StatusBadRequest, "INVALID_DECRYPTED_REQUEST", says}
}

func stale(says string) error {
	return &failure{http.StatusBadRequest, "REQUEST_TIMESTAMP_OUT_OF_RANGE", says}
}
func unknown(says string) error { return &failure{http.StatusNotFound, "INVALID_IDENTIFIER", says} }
func violates(says string) error {
	return &failure{http.StatusPreconditionFailed, "IDEMPOTENCY_VIOLATION", says}
}

func badValue(says string) error { return &failure{http.StatusBadRequest, "INVALID_FIELD_VALUE", says} }

func missing(name string) error {
	return &failure{http.StatusBadRequest, "MISSING_REQUIRED_FIELD", name}
}

func precondition(says string) error {
	return &failure{http.StatusBadRequest, "PRECONDITION_VIOLATION", says}
}

// errSilent: who calls has not proved to be the integrator, and learns nothing:
// an empty 404 (section 2.4).
var errSilent = errors.New("an empty 404")

// hosted are Google's methods (section 4). Each gives the members of its 200, and
// what it changes in the book; it runs with the book locked.
var hosted = map[string]func(p *Peer, body object) (object, []line, error){
	"echo":                                       (*Peer).hearEcho,
	"captureResultNotification":                  (*Peer).hearCapture,
	"refundResultNotification":                   (*Peer).hearRefund,
	"remittanceStatementDetails":                 (*Peer).hearDetails,
	"acceptRemittanceStatement":                  (*Peer).hearAccept,
	"acceptRemittanceStatementWithModifications": (*Peer).hearModified,
}

// Operations are the names that a fault rule may be limited to: Google's methods.
var Operations = []string{
	"echo", "captureResultNotification", "refundResultNotification", "remittanceStatementDetails", "acceptRemittanceStatement",
	"acceptRemittanceStatementWithModifications",
}

// Behaviours are those of Google's methods: how it answers the integrator.
var Behaviours = []fault.Behaviour{fault.Approve, fault.Timeout, fault.WrongSignature, fault.HTTP500, fault.HTTP429, fault.Slow}

// reads are the methods that change nothing, so no repeat of them is known.
var reads = map[string]bool{"echo": true, "remittanceStatementDetails": true}

// hear answers a call of the integrator's: POST /secure-serving/gsp/v1/{method}/{account}.
func (p *Peer) hear(w http.ResponseWriter, r *http.Request) {
	began := p.clock()
	method, account := r.PathValue("method"), r.PathValue("account")
	e := exchange{AtMS: began.UnixMilli(), Method: method}
	defer func() {
		e.MS = p.clock().Sub(began).Milliseconds()
		p.log.add(e)
	}()
	empty := func(status int, why string) {
		e.Status, e.Trouble = status, why
		w.WriteHeader(status)
	}
	if _, known := hosted[method]; !known {
		empty(http.StatusNotFound, "no such method")
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		empty(http.StatusMethodNotAllowed, "not POST")
		return
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/octet-stream" {
		empty(http.StatusUnsupportedMediaType, "content type "+r.Header.Get("Content-Type"))
		return
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxText))
	if err != nil {
		empty(http.StatusRequestEntityTooLarge, err.Error())
		return
	}
	rule := p.opts.Faults.Take(method)
	if p.fail(w, r, rule, &e) {
		return
	}
	answer, err := p.judge(r.Context(), method, account, text, &e)
	if errors.Is(err, errSilent) {
		empty(http.StatusNotFound, err.Error())
		return
	}
	status := http.StatusOK
	if err != nil {
		var f *failure
		if !errors.As(err, &f) {
			p.opts.Log.Error("google sandbox: "+method, "error", err)
			f = &failure{status: http.StatusInternalServerError}
		}
		status, answer = f.status, object{}
		if f.code != "" {
			answer["errorResponseCode"], answer["errorDescription"] = f.code, f.says
		}
	}
	p.reply(w, r, rule, status, answer, &e)
}

// fail does what a fault rule wants in place of an answer.
func (p *Peer) fail(w http.ResponseWriter, r *http.Request, rule fault.Rule, e *exchange) bool {
	broken := map[fault.Behaviour]int{fault.HTTP500: http.StatusInternalServerError, fault.HTTP429: http.StatusTooManyRequests}
	if status, fails := broken[rule.Next]; fails {
		e.Status, e.Trouble = status, "as the control door wished"
		w.WriteHeader(status)
		return true
	}
	if rule.Next == fault.Slow {
		p.held.Hold(r, desk.OrElse(rule.Delay, p.opts.SlowFor))
	}
	return false
}

// reply signs, encrypts and sends an answer, unless it is to be lost.
func (p *Peer) reply(w http.ResponseWriter, r *http.Request, rule fault.Rule, status int, members object, e *exchange) {
	all := object{"responseHeader": object{"responseTimestamp": millis(p.clock())}}
	for name, v := range members {
		all[name] = v
	}
	plain, err := json.Marshal(all)
	if err != nil {
		panic("google sandbox: plain members cannot fail to encode: " + err.Error())
	}
	e.Status, e.Answered = status, string(plain)
	var text string
	if rule.Next == fault.WrongSignature {
		var other string
		if other, err = p.opts.Keys.stranger(r.Context()); err == nil {
			known := p.opts.Keys.integrator()
			text, err = p.seal(r.Context(), plain, []string{other}, known[len(known)-1:])
		}
		e.Trouble = "signed by a key that the integrator does not know, as the control door wished"
	} else {
		text, err = p.sealed(r.Context(), plain)
	}
	if err != nil {
		p.opts.Log.Error("google sandbox: seal an answer", "error", err)
		e.Status, e.Trouble = http.StatusInternalServerError, err.Error()
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	if rule.Next == fault.Timeout {
		e.Trouble = "done, and the answer held back, as the control door wished"
		p.held.Hold(r, desk.OrElse(rule.Delay, p.opts.HoldFor))
		panic(http.ErrAbortHandler) // net/http's way to drop a connection
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // the integrator going away is its own affair
}

// judge checks a message in the order of section 2.4 and does what it asks.
func (p *Peer) judge(ctx context.Context, method, account string, text []byte, e *exchange) (object, error) {
	plain, err := p.open(ctx, text)
	if err != nil {
		return nil, errors.Join(errSilent, err)
	}
	e.Asked = string(plain)
	if account != p.opts.Integrator.Account {
		return nil, errors.Join(errSilent, errors.New("an account that is not the integrator's"))
	}
	body, err := strict(plain)
	if err != nil {
		return nil, malformed(err.Error())
	}
	head, isObject := body["requestHeader"].(object)
	if !isObject {
		return nil, missing("requestHeader")
	}
	if err := p.checkHeader(head); err != nil {
		return nil, err
	}
	id := head.text("requestId")
	e.ID = id
	if said, has := body["paymentIntegratorAccountId"]; method != "echo" && said != account || has && said != account {
		return nil, errors.Join(errSilent, errors.New("the body's account is not the URL's"))
	}
	p.book.Lock()
	defer p.book.Unlock()
	if reads[method] {
		answer, _, err := hosted[method](p, body)
		return answer, err
	}
	key, print := method+" "+account+" "+id, printOf(body)
	if old, known := p.book.heard.rows[key]; known {
		if old.Print != print {
			return nil, violates("requestId " + id + " was another request")
		}
		return old.Answer, nil
	}
	answer, changes, err := hosted[method](p, body)
	if err != nil {
		return nil, err
	}
	for _, l := range append(changes, line{Heard: &heard{key, print, answer}}) {
		if err := p.keepLocked(l); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

// idAlphabet is what a requestId may be written with.
const idAlphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_"

// checkHeader checks a request's header (section 1.2).
func (p *Peer) checkHeader(head object) error {
	id := head.text("requestId")
	if id == "" {
		return missing("requestHeader.requestId")
	}
	if len(id) > 100 || strings.ContainsFunc(id, func(r rune) bool { return !strings.ContainsRune(idAlphabet, r) }) {
		return badValue("requestHeader.requestId")
	}
	version, isObject := head["protocolVersion"].(object)
	if !isObject {
		return missing("requestHeader.protocolVersion")
	}
	if major, ok := version["major"].(json.Number); !ok || major.String() != "1" {
		return badVersion("protocolVersion.major must be 1")
	}
	for _, name := range []string{"minor", "revision"} {
		if n, ok := version[name].(json.Number); !ok || strings.Trim(n.String(), "0123456789") != "" {
			return badValue("protocolVersion." + name)
		}
	}
	at, ok := head.integer("requestTimestamp")
	if !ok {
		return badValue("requestHeader.requestTimestamp")
	}
	if off := time.Duration(p.clock().UnixMilli()-at) * time.Millisecond; off > window || off < -window {
		return stale("requestTimestamp is " + off.String() + " from our clock")
	}
	return nil
}

// printOf is what two requests have in common that are the same: all but their
// time, and parts of the header that decide nothing (section 1.5).
func printOf(body object) string {
	same := object{}
	for name, v := range body {
		if name != "requestHeader" {
			same[name] = v
		}
	}
	text, err := json.Marshal(same)
	if err != nil {
		panic("google sandbox: what was read as JSON can be written: " + err.Error())
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

func (p *Peer) hearEcho(body object) (object, []line, error) {
	message, isText := body["clientMessage"].(string)
	if !isText {
		return nil, nil, missing("clientMessage")
	}
	return object{"clientMessage": message, "serverMessage": "google sandbox"}, nil, nil
}

// hearCapture takes how a purchase ended. The first word holds for ever.
func (p *Peer) hearCapture(body object) (object, []line, error) {
	id, code := body.text("captureRequestId"), body.object("captureResult").text("captureResultCode")
	switch {
	case id == "":
		return nil, nil, missing("captureRequestId")
	case code == "":
		return nil, nil, missing("captureResult.captureResultCode")
	}
	b, known := p.book.purchases.rows[id]
	if !known {
		return nil, nil, unknown("captureRequestId")
	}
	theirs := body.text("paymentIntegratorTransactionId")
	if final(b.State) && b.Code != code {
		return nil, nil, violates("the capture has the result " + b.Code)
	}
	if b.Theirs != "" && theirs != "" && theirs != b.Theirs {
		return nil, nil, violates("the capture is " + b.Theirs)
	}
	b.conclude(code, theirs, p.clock().UnixMilli())
	changes := append([]line{{Purchase: &b}}, p.closeFor(b.AssociationID, code)...)
	return object{"result": "SUCCESS"}, changes, nil
}

// hearRefund takes how a refund ended.
func (p *Peer) hearRefund(body object) (object, []line, error) {
	id, code := body.text("refundRequestId"), body.text("refundResult")
	switch {
	case id == "":
		return nil, nil, missing("refundRequestId")
	case code == "":
		return nil, nil, missing("refundResult")
	}
	r, known := p.book.refunds.rows[id]
	if !known {
		return nil, nil, unknown("refundRequestId")
	}
	theirs := body.text("paymentIntegratorRefundId")
	if final(r.State) && r.Code != code {
		return nil, nil, violates("the refund has the result " + r.Code)
	}
	if r.Theirs != "" && theirs != "" && theirs != r.Theirs {
		return nil, nil, violates("the refund is " + r.Theirs)
	}
	r.conclude(code, theirs, p.clock().UnixMilli())
	return object{"result": "SUCCESS"}, []line{{Refund: &r}}, nil
}

// maxEvents is the most of one page of a statement, and what it has unless it
// says how many it wants.
const maxEvents = 1_000

// hearDetails gives a page of a statement.
func (p *Peer) hearDetails(body object) (object, []line, error) {
	s, err := p.statementOf(body)
	if err != nil {
		return nil, nil, err
	}
	offset, many := int64(0), int64(maxEvents)
	for name, into := range map[string]*int64{"eventOffset": &offset, "numberOfEvents": &many} {
		if _, has := body[name]; !has {
			continue
		}
		n, ok := body.integer(name)
		if !ok {
			return nil, nil, badValue(name)
		}
		*into = n
	}
	if offset < 0 || offset > int64(len(s.Lines)) {
		return nil, nil, badValue("eventOffset")
	}
	if many < 1 || many > maxEvents {
		return nil, nil, badValue("numberOfEvents")
	}
	end := min(offset+min(many, int64(p.pageSize.Load())), int64(len(s.Lines)))
	answer := object{
		"eventOffset": offset, "totalEvents": len(s.Lines), "remittanceStatementSummary": s.summary(),
		"captureEvents": []any{}, "refundEvents": []any{},
	}
	if end < int64(len(s.Lines)) {
		answer["nextEventOffset"] = end
	}
	for _, l := range s.Lines[offset:end] {
		kind, own := "captureEvents", "paymentIntegratorTransactionId"
		if l.Refund {
			kind, own = "refundEvents", "paymentIntegratorRefundId"
		}
		row := object{"eventRequestId": l.ID, "eventDate": text(l.AtMS), "currencyCode": Currency, "amount": text(l.Micros), "fee": text(l.Fee)}
		if l.Theirs != "" {
			row[own] = l.Theirs
		}
		answer[kind] = append(answer[kind].([]any), row)
	}
	if read := int(end); read > s.Read {
		s.Read = read
		if err := p.keepLocked(line{Statement: &s}); err != nil {
			return nil, nil, err
		}
	}
	return answer, nil, nil
}

func (p *Peer) statementOf(body object) (statement, error) {
	id := body.text("statementId")
	if id == "" {
		return statement{}, missing("statementId")
	}
	s, known := p.book.statements.rows[id]
	if !known {
		return statement{}, unknown("statementId")
	}
	return s, nil
}

func (p *Peer) hearAccept(body object) (object, []line, error) {
	s, err := p.statementOf(body)
	if err != nil {
		return nil, nil, err
	}
	if s.State == accepted || s.State == acceptedWith {
		return nil, nil, precondition("the statement is accepted already")
	}
	s.State, s.Says = accepted, "accepted; the money is due "+day(s.DueMS)
	return object{"acceptRemittanceStatementResultCode": "SUCCESS"}, []line{{Statement: &s}}, nil
}

func (p *Peer) hearModified(body object) (object, []line, error) {
	s, err := p.statementOf(body)
	if err != nil {
		return nil, nil, err
	}
	if s.State == accepted || s.State == acceptedWith {
		return nil, nil, precondition("the statement is accepted already")
	}
	if _, has := body["feeToVatModification"].(object); !has {
		return nil, nil, missing("feeToVatModification")
	}
	ratio, ok := body.object("feeToVatModification").integer("vatToFeeRatioInMicros")
	if !ok || ratio <= 0 {
		return nil, nil, badValue("feeToVatModification.vatToFeeRatioInMicros")
	}
	s.State, s.Says = acceptedWith, "accepted; of the fees, VAT is "+text(ratio)+" millionths of the rest"
	return object{"acceptRemittanceStatementWithModificationsResultCode": "SUCCESS"}, []line{{Statement: &s}}, nil
}
