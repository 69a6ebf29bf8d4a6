package paypage

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"time"

	"aorta/internal/flow"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/sign"
	"aorta/web"
)

// open answers /payment: the confirm screen. It stores nothing and tells nobody.
func (p *Page) open(w http.ResponseWriter, r *http.Request, v *visit) error {
	raw, err := rawParameters(w, r)
	if err != nil {
		return err
	}
	o, err := p.verify(r, raw, v)
	if err != nil {
		return err
	}
	known, err := p.known(r.Context(), o)
	switch {
	case err != nil:
		return err
	case known.ID.IsZero():
	case known.Status.Final():
		v.back = v.looks.afterwards(outcomeOf(known.Status))
		return errFinished
	default:
		p.leadTo(w, p.sessionPath(known.ID, fromShop))
		return nil
	}
	left, err := o.secondsLeft(p.opts.Now())
	if err != nil {
		return err
	}
	view := web.ConfirmView{
		Amount: format(o.amount, v.looks, r), Description: o.description, Order: o.paymentID, Action: "/payment/confirm",
		// One field for all parameters, byte by byte: a browser rewrites line ends in
		// fields of its own, and a merchant's parameter may be called like one of ours.
		Fields:      []web.Field{{Name: requestField, Value: base64.RawURLEncoding.EncodeToString([]byte(raw))}},
		SecondsLeft: left, Return: v.looks.button(web.ButtonReturn),
	}
	for _, m := range o.methods {
		view.Methods = append(view.Methods, web.Method{Code: m.Code, Name: m.Name, Selected: m.Code == o.preselected})
	}
	p.show(w, r, v.looks, http.StatusOK, func(page web.Page) web.View { view.Page = page; return view }, v.looks.leaves())
	return nil
}

// The fields of the confirm form.
const (
	requestField = "request" // the parameters of /payment, base64url
	methodField  = "method"  // code of the chosen method
)

// maxConfirm bounds the body of a confirmation: the request in base64, and the method.
const maxConfirm = maxRequest/3*4 + 1024

// confirm answers the confirm screen's form: it verifies everything anew, begins
// the payment and leads to its session. Pressing twice, or in two windows, finds
// the same payment.
func (p *Page) confirm(w http.ResponseWriter, r *http.Request, v *visit) error {
	body, err := formBody(w, r, maxConfirm)
	if err != nil {
		return err
	}
	form, err := sign.ParseForm(body)
	if err != nil {
		return malformedError(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(form.Get(requestField).Text())
	switch {
	case err != nil:
		return errNotForm
	case len(raw) == 0:
		return errEmpty
	case len(raw) > maxRequest:
		return errTooLarge
	}
	o, err := p.verify(r, string(raw), v)
	if err != nil {
		return err
	}
	if !p.ownForm(r) {
		return errForeign
	}
	if known, err := p.known(r.Context(), o); err != nil {
		return err
	} else if !known.ID.IsZero() {
		p.leadTo(w, p.sessionPath(known.ID, fromConfirm))
		return nil
	}
	if _, err := o.secondsLeft(p.opts.Now()); err != nil {
		return err
	}
	method, ok := o.method(form.Get(methodField).Text())
	if !ok {
		return errMethod
	}
	o.person.IP = p.opts.ClientIP(r)
	begun, err := p.opts.Flows.BeginSale(r.Context(), flow.SaleRequest{
		Project: o.project, Method: method, Door: Door, PaymentID: o.paymentID, CustomerID: o.customerID, Description: o.description,
		CallbackURL: o.callbackURL, Amount: o.amount, Person: o.person, Keep: o.kept.Encode(), Retries: v.looks.retries(), Declines: true,
	})
	if err != nil {
		return err
	}
	if begun.Repeat && !o.same(begun.Payment) {
		return errConflict
	}
	if begun.Asked != nil {
		p.await(r.Context(), begun.Asked)
	}
	p.leadTo(w, p.sessionPath(begun.Payment.ID, fromConfirm))
	return nil
}

// Door is the name of this door on its payments.
const Door = "page"

// await gives the provider a moment to answer, so that most customers never see
// the waiting screen. Whether it did is read from the payment.
func (p *Page) await(ctx context.Context, asked <-chan struct{}) {
	timer := time.NewTimer(p.opts.Wait)
	defer timer.Stop()
	select {
	case <-asked:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// ownForm says whether the request comes from a page of ours. /payment itself
// is opened from merchants' sites by design.
func (p *Page) ownForm(r *http.Request) bool {
	if r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "null" {
		// Our pages send no referrer, and from such a page browsers of before 2023
		// name no origin even to ourselves. What is confirmed has the merchant's
		// signature in any case, and what is tried again the session's token.
		return true
	}
	return p.cross.Check(r) == nil
}

// verify reads and checks the parameters of a purchase. What it learns on the way
// it leaves in the visit, the merchant's addresses only once the signature is
// found right.
func (p *Page) verify(r *http.Request, raw string, v *visit) (order, error) {
	doc, pr, err := p.readForm(raw)
	if doc != nil {
		v.looks = v.looks.unverified(pr, keep(doc))
	}
	if err != nil {
		return order{}, err
	}
	if err := sign.VerifyForm(doc, pr.Secret); err != nil {
		return order{}, err
	}
	o, err := p.readOrder(doc, pr)
	if errors.Is(err, errMethod) || err == nil {
		// All parameters have passed their rules, addresses included.
		v.looks.kept, v.looks.callback = keep(doc), doc.Get(callbackField).Text()
	}
	if r.Method == http.MethodGet || len(raw) <= maxRetry {
		v.retry = "/payment?" + raw
	}
	return o, err
}

// maxRetry bounds an address that is offered to try again: longer ones do not
// pass every proxy.
const maxRetry = 4 << 10

// known gives the payment of that name, or one without id. One that is not this
// purchase is errConflict.
func (p *Page) known(ctx context.Context, o order) (payment.Payment, error) {
	pay, err := p.opts.Flows.Find(ctx, o.project, o.paymentID)
	switch {
	case errors.Is(err, payment.ErrNoPayment):
		return payment.Payment{}, nil
	case err != nil:
		return payment.Payment{}, away("find the payment", err)
	case !o.same(pay):
		return payment.Payment{}, errConflict
	}
	return pay, nil
}

// secondsLeft is the time until best_before, 0 without one; errTimeOver.
func (o order) secondsLeft(now time.Time) (int, error) {
	if o.bestBefore.IsZero() {
		return 0, nil
	}
	left := o.bestBefore.Sub(now)
	if left <= 0 {
		return 0, errTimeOver
	}
	return int((left + time.Second - 1) / time.Second), nil
}

// rawParameters gives the parameters as they came, by GET or POST.
func rawParameters(w http.ResponseWriter, r *http.Request) (string, error) {
	raw := r.URL.RawQuery
	if r.Method == http.MethodPost {
		body, err := formBody(w, r, maxRequest)
		if err != nil {
			return "", err
		}
		if raw != "" {
			body += "&" + raw // all that came is signed or refused; nothing is silently left out
		}
		raw = body
	}
	switch {
	case raw == "":
		return "", errEmpty
	case len(raw) > maxRequest:
		return "", errTooLarge
	}
	return raw, nil
}

// formBody reads the body of a form, at most that many bytes of it.
func formBody(w http.ResponseWriter, r *http.Request, most int64) (string, error) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/x-www-form-urlencoded" {
		return "", errNotForm
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return "", errTooLarge
	case err != nil:
		return "", errNotForm // the browser hung up
	}
	return string(body), nil
}

// format writes an amount as the customer reads it.
func format(a money.Amount, l looks, r *http.Request) string {
	locale := web.Language(l.kept.Language, r.Header.Get("Accept-Language"))
	if locale == "en" && a.Currency == "INR" {
		locale = "en-IN" // lakh and crore, for those who pay in rupees
	}
	return a.Format(locale)
}

// answerJSON writes a JSON answer with the page's headers.
func (p *Page) answerJSON(w http.ResponseWriter, r *http.Request, status int, body any) {
	p.protect(w)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		p.opts.Log.ErrorContext(r.Context(), "answer not written", "error", err) // the customer has gone
	}
}

// check answers /params/check: whether /payment would take these parameters, were
// they signed (ecommpay.md 2.3). It looks at no payment, since nobody has proved
// to be the merchant.
func (p *Page) check(w http.ResponseWriter, r *http.Request) {
	body := struct {
		Errors []string `json:"errors,omitempty"`
	}{}
	status := http.StatusOK
	if err := p.checkParameters(r); err != nil {
		status, body.Errors = http.StatusBadRequest, explain(err)
	}
	p.answerJSON(w, r, status, body)
}

func (p *Page) checkParameters(r *http.Request) error {
	if len(r.URL.RawQuery) > maxRequest {
		return errTooLarge
	}
	doc, pr, err := p.readForm(r.URL.RawQuery)
	if errors.Is(err, errProject) {
		problems := p.validate(doc, false) // of interest all the same
		if !slices.ContainsFunc(problems, func(p problem) bool { return p.Field == "project_id" }) {
			problems = append([]problem{{"project_id", "is not known"}}, problems...)
		}
		return &invalidError{problems}
	}
	if err != nil {
		return err
	}
	o, err := p.readOrder(doc, pr)
	if err != nil {
		return err
	}
	_, err = o.secondsLeft(p.opts.Now())
	return err
}

// explain gives the texts of a refusal to a developer.
func explain(err error) []string {
	var invalid *invalidError
	if !errors.As(err, &invalid) {
		return []string{err.Error()}
	}
	texts := make([]string, len(invalid.problems))
	for i, p := range invalid.problems {
		texts[i] = p.Field + ": " + p.Text
	}
	return texts
}

// pathOf is the path of a page's own address with what it says of where the
// customer comes from.
func pathOf(path, from string) string {
	if from == "" {
		return path
	}
	return path + "?" + url.Values{fromField: {from}}.Encode()
}
