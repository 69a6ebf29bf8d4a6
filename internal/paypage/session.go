package paypage

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"aorta/internal/connector"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/internal/sign"
	"aorta/web"
)

// Where a customer comes from, as the session's address says it. It decides
// whether they are led to the provider by themselves, and nothing else.
const (
	fromField    = "from"
	fromConfirm  = ""         // just confirmed: go on to the provider
	fromShop     = "shop"     // opened the same link again: the provider is a button away
	fromProvider = "provider" // has been there
)

// token names a payment to whoever holds it: the id and 256 bits that only we can
// make (S31).
func (p *Page) token(pay id.Payment) string {
	text := pay.String()
	mac := hmac.New(sha256.New, p.opts.Key[:])
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// payment gives the payment that a token names, or errSession.
func (p *Page) payment(ctx context.Context, token string) (payment.Payment, error) {
	text, _, _ := strings.Cut(token, ".")
	name, err := id.ParsePayment(text)
	if err != nil || !hmac.Equal([]byte(token), []byte(p.token(name))) {
		return payment.Payment{}, errSession
	}
	pay, ok, err := p.opts.Read.Payment(ctx, name)
	if err != nil {
		return pay, away("read the payment", err)
	}
	if !ok || pay.Type != payment.TypePurchase {
		return pay, errSession
	}
	return pay, nil
}

func (p *Page) sessionPath(pay id.Payment, from string) string {
	return pathOf("/payment/s/"+p.token(pay), from)
}

// SessionURL is where the browser of a customer who is back from the provider
// goes on, whichever door the payment came through: it waits for the outcome
// there, sees it, and is sent on to the merchant.
func (p *Page) SessionURL(pay id.Payment) string {
	return strings.TrimSuffix(p.opts.PublicURL(), "/") + p.sessionPath(pay, fromProvider)
}

// PayURL is where the browser of a customer goes to pay, of a payment that a
// merchant has begun by another door: from there the page leads to the provider.
func (p *Page) PayURL(pay id.Payment) string {
	return strings.TrimSuffix(p.opts.PublicURL(), "/") + p.sessionPath(pay, fromConfirm)
}

// comeBack takes a POST to a session for what it is: a provider's form that
// brings the customer back.
func (p *Page) comeBack(w http.ResponseWriter, r *http.Request, _ *visit) error {
	pay, err := p.payment(r.Context(), r.PathValue("token"))
	if err != nil {
		return err
	}
	p.leadTo(w, p.sessionPath(pay.ID, fromProvider))
	return nil
}

// again answers the button "try again": it begins another try and leads to the
// provider. Pressed twice, or too late, it leads to where the payment stands.
func (p *Page) again(w http.ResponseWriter, r *http.Request, v *visit) error {
	pay, err := p.payment(r.Context(), r.PathValue("token"))
	if err != nil {
		return err
	}
	v.retry = p.sessionPath(pay.ID, fromShop)
	if err := p.learn(r.Context(), pay, v); err != nil {
		return err
	}
	if !p.ownForm(r) {
		return errForeign
	}
	body, err := formBody(w, r, maxAgain)
	if err != nil {
		return err
	}
	form, err := sign.ParseForm(body)
	if err != nil {
		return malformedError(err)
	}
	declined, ok := payment.OperationOf(form.Get(afterField).Text())
	if !ok {
		return errNotForm
	}
	begun, err := p.opts.Flows.TryAgain(r.Context(), pay, declined, connector.Person{IP: p.opts.ClientIP(r)})
	if err != nil {
		return err
	}
	if begun.Asked != nil {
		p.await(r.Context(), begun.Asked)
	}
	p.leadTo(w, p.sessionPath(pay.ID, fromConfirm))
	return nil
}

const (
	afterField = "after" // request id of the sale after whose decline the offer was made
	maxAgain   = 1024    // bytes of that form
)

// learn fills a visit's looks from what is kept of a payment.
func (p *Page) learn(ctx context.Context, pay payment.Payment, v *visit) error {
	kept, ok, err := p.opts.Read.Request(ctx, pay.ID.Raw())
	if err != nil {
		return away("read what was kept", err)
	}
	pr, known := p.opts.Projects(pay.ProjectID)
	if !known {
		return errProject
	}
	v.looks.project, v.looks.callback = pr, pay.CallbackURL
	if ok {
		v.looks.kept, err = flow.DecodeKept(kept.Body)
	}
	return err
}

// stay is a customer's visit to a session.
type stay struct {
	from  string
	looks looks
	view  flow.View
	sale  flow.OperationView
	next  *payment.Redirect // where the provider awaits the customer; nil: nowhere
}

// newest is how many operations the result object has (ecommpay.md 3.5).
const newest = 10

// visitSession reads all that the session's screens show.
func (p *Page) visitSession(r *http.Request, v *visit) (stay, error) {
	ctx := r.Context()
	pay, err := p.payment(ctx, r.PathValue("token"))
	if err != nil {
		return stay{}, err
	}
	s := stay{from: r.URL.Query().Get(fromField)}
	if s.from != fromShop && s.from != fromProvider {
		s.from = fromConfirm
	}
	if err := p.learn(ctx, pay, v); err != nil {
		return s, err
	}
	s.looks = v.looks
	if s.view, err = p.opts.Flows.Status(ctx, pay, newest); err != nil {
		return s, away("read the operations", err)
	}
	for _, o := range s.view.Operations { // of several tries the one that paid, else the newest
		if o.Operation.Kind == payment.KindSale && s.sale.Operation.Status != payment.OperationSuccess {
			s.sale = o
		}
	}
	s.next, err = awaited(s.view.Payment, s.sale.Attempt)
	return s, err
}

// awaited gives the provider's page while the customer is awaited there.
func awaited(pay payment.Payment, a payment.Attempt) (*payment.Redirect, error) {
	if pay.Status != payment.StatusAwaitingCustomer || pay.RetryOffered() || a.Redirect == "" {
		return nil, nil
	}
	var next payment.Redirect
	if err := json.Unmarshal([]byte(a.Redirect), &next); err != nil {
		return nil, fmt.Errorf("redirect of %s: %w", a.ID, err)
	}
	if web.Origin(next.URL) == "" {
		return nil, fmt.Errorf("redirect of %s leads to no web address", a.ID) // S23: a provider's answer is checked like anybody's
	}
	return &next, nil
}

// session shows where the payment stands. Reading it changes nothing, however
// often it is loaded.
func (p *Page) session(w http.ResponseWriter, r *http.Request, v *visit) error {
	v.retry = pathOf(r.URL.Path, r.URL.Query().Get(fromField))
	s, err := p.visitSession(r, v)
	if err != nil {
		return err
	}
	outcome := outcomeOf(s.view.Payment.Status)
	switch {
	case outcome != web.OutcomePending:
		return p.result(w, r, s, outcome)
	case p.secondsToRetry(s.view.Payment) > 0:
		p.offer(w, r, s)
	case s.next != nil && s.from == fromConfirm:
		p.handoff(w, r, s)
	default:
		p.waiting(w, r, s)
	}
	return nil
}

// handoff leads to the provider's page.
func (p *Page) handoff(w http.ResponseWriter, r *http.Request, s stay) {
	address, fields := formOf(*s.next)
	view := web.HandoffView{
		Provider: p.methodName(s), URL: address, Method: s.next.Method, Fields: fields, RequestID: s.sale.Operation.RequestID(),
	}
	p.show(w, r, s.looks, http.StatusOK, func(page web.Page) web.View { view.Page = page; return view }, []string{s.next.URL})
}

// formOf takes a redirect apart for a form. A form sent by GET replaces the
// query of its address, so there the query becomes fields.
func formOf(next payment.Redirect) (address string, fields []web.Field) {
	address = next.URL
	if u, err := url.Parse(next.URL); err == nil && next.Method == http.MethodGet {
		query := u.Query()
		for _, name := range slices.Sorted(maps.Keys(query)) {
			for _, value := range query[name] {
				fields = append(fields, web.Field{Name: name, Value: value})
			}
		}
		u.RawQuery = ""
		address = u.String()
	}
	for _, name := range slices.Sorted(maps.Keys(next.Fields)) {
		fields = append(fields, web.Field{Name: name, Value: next.Fields[name]})
	}
	return address, fields
}

// patience is how long an outcome is waited for with a spinner, where the project
// has no base time of its own (ecommpay.md section 5).
const patience = 5 * time.Minute

// waiting shows that the outcome is open.
func (p *Page) waiting(w http.ResponseWriter, r *http.Request, s stay) {
	pay := s.view.Payment
	path := "/payment/s/" + p.token(pay.ID)
	amount := format(pay.Amount, s.looks, r)
	lookFrom := s.from
	if s.next == nil && lookFrom == fromShop {
		lookFrom = fromConfirm // there is no way on yet to leave to the customer: lead them once there is
	}
	statusURL, pageURL := pathOf(path+"/status", lookFrom), pathOf(path, s.from)
	age := p.opts.Now().Sub(time.UnixMicro(s.sale.Operation.CreatedUS))
	if s.next == nil && age > cmp.Or(s.looks.project.BaseTime, patience) {
		view := web.ResultView{
			Outcome: web.OutcomePending, Amount: amount, Description: pay.Description, Order: pay.Called(), MethodName: p.methodName(s),
			StatusURL: statusURL, PageURL: pageURL, Returned: s.from == fromProvider,
		}
		if b := s.looks.back(); b != nil {
			view.Buttons = []web.Button{*b}
		}
		p.show(w, r, s.looks, http.StatusOK, func(page web.Page) web.View { view.Page = page; return view }, nil)
		return
	}
	view := web.ProcessingView{
		StatusURL: statusURL, PageURL: pageURL, Returned: s.from == fromProvider, Amount: amount, Return: s.looks.back(),
	}
	if s.next != nil {
		view.Continue = &web.Onward{Provider: p.methodName(s), URL: path}
	}
	p.show(w, r, s.looks, http.StatusOK, func(page web.Page) web.View { view.Page = page; return view }, nil)
}

// result shows the outcome, or takes the customer where the merchant wants them.
func (p *Page) result(w http.ResponseWriter, r *http.Request, s stay, outcome web.Outcome) error {
	pay := s.view.Payment
	reason, kind := web.Reason(""), web.ButtonSuccess
	if outcome == web.OutcomeDecline {
		reason, kind = reasonOf(pay.Code), web.ButtonFail
	}
	redirect := s.looks.redirect(outcome, reason)
	if redirect != nil && redirect.Mode != web.ModeBlank && !s.looks.framed() {
		p.leadTo(w, redirect.URL) // a tab of our own, with nobody around it to tell first
		return nil
	}
	object, err := p.resultObject(s)
	if err != nil {
		return err
	}
	view := web.ResultView{
		Outcome: outcome, Reason: reason, Amount: format(pay.Amount, s.looks, r), Description: pay.Description, Order: pay.Called(),
		MethodName: p.methodName(s), Redirect: redirect, Returned: s.from == fromProvider, Result: object,
	}
	if b := s.looks.end(kind); b != nil {
		view.Buttons = []web.Button{*b}
	}
	p.show(w, r, s.looks, http.StatusOK, func(page web.Page) web.View { view.Page = page; return view }, nil)
	return nil
}

// secondsToRetry is how long the customer may still try again; 0: not at all.
// An offer whose time is over is about to be ended by the flow.
func (p *Page) secondsToRetry(pay payment.Payment) int {
	if !pay.RetryOffered() {
		return 0
	}
	left := time.UnixMicro(pay.RetryUS).Sub(p.opts.Now())
	return max(0, int((left+time.Second-1)/time.Second))
}

// offer shows that this try was declined, and that there may be another.
func (p *Page) offer(w http.ResponseWriter, r *http.Request, s stay) {
	pay := s.view.Payment
	view := web.ResultView{
		Outcome: web.OutcomeDecline, Reason: reasonOf(s.sale.Operation.Code), Amount: format(pay.Amount, s.looks, r), Description: pay.Description,
		Order: pay.Called(), MethodName: p.methodName(s), Returned: s.from == fromProvider,
		Retry: &web.Retry{
			Action: "/payment/s/" + p.token(pay.ID) + "/again", SecondsLeft: p.secondsToRetry(pay), AttemptsLeft: int(pay.TriesLeft),
			Fields: []web.Field{{Name: afterField, Value: s.sale.Operation.RequestID()}},
		},
	}
	if b := s.looks.back(); b != nil {
		view.Buttons = []web.Button{*b}
	}
	p.show(w, r, s.looks, http.StatusOK, func(page web.Page) web.View { view.Page = page; return view }, s.looks.leaves())
}

// methodName is what the customer knows the method by.
func (p *Page) methodName(s stay) string {
	if m, ok := s.looks.project.MethodByCode(s.view.Payment.Method); ok {
		return m.Name
	}
	return s.view.Payment.Method // taken from the project's list since
}

// statusAnswer is what page.js asks for (web.ProcessingView).
type statusAnswer struct {
	Status   string        `json:"status"`
	Final    bool          `json:"final"`
	Location string        `json:"location"`
	Result   *resultObject `json:"result,omitempty"`
}

// status answers where the payment stands, for scripts.
func (p *Page) status(w http.ResponseWriter, r *http.Request) {
	answer, err := p.readStatus(r)
	if err != nil {
		code, kind := screenOf(err)
		if code >= http.StatusInternalServerError {
			p.opts.Log.ErrorContext(r.Context(), "payment page status not answered", "error", err)
		}
		p.answerJSON(w, r, code, map[string]web.ErrorKind{"error": kind})
		return
	}
	p.answerJSON(w, r, http.StatusOK, answer)
}

func (p *Page) readStatus(r *http.Request) (statusAnswer, error) {
	s, err := p.visitSession(r, &visit{})
	if err != nil {
		return statusAnswer{}, err
	}
	outcome := outcomeOf(s.view.Payment.Status)
	answer := statusAnswer{Status: sessionStatus(outcome), Final: outcome != web.OutcomePending}
	if answer.Final {
		answer.Result, err = p.resultObject(s)
	}
	if p.secondsToRetry(s.view.Payment) > 0 {
		answer.Status, answer.Final = sessionStatus(web.OutcomeDecline), true // of this try: the page has more to say
	}
	if s.next != nil && s.from == fromConfirm {
		answer.Location = p.sessionPath(s.view.Payment.ID, fromConfirm)
	}
	return answer, err
}
