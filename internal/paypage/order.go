package paypage

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"aorta/internal/connector"
	"aorta/internal/flow"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/sign"
	"aorta/web"
)

// order is a purchase as a merchant has signed it, checked and ready to be
// confirmed.
type order struct {
	project     project.Project
	paymentID   string
	customerID  string
	description string
	callbackURL string
	amount      money.Amount
	bestBefore  time.Time // zero: no limit
	methods     []project.Method
	preselected string // code of the method to offer first, or ""
	person      connector.Person
	kept        flow.Kept
}

// farAhead is beyond what best_before limits anything; such a limit is ignored.
const farAhead = 30 * 24 * time.Hour

// readForm reads parameters as a browser sends them, and finds the project that
// they name. With an error it answers what it could read.
func (p *Page) readForm(raw string) (*sign.Doc, project.Project, error) {
	doc, err := sign.ParseForm(raw)
	if err != nil {
		return nil, project.Project{}, malformedError(err)
	}
	number, notNumber := strconv.ParseInt(doc.Get("project_id").Text(), 10, 64)
	if notNumber != nil {
		number = 0 // nobody's
	}
	pr, known := p.opts.Projects(number)
	if !known {
		pr, err = project.Project{}, errProject
	}
	if holdsCard(doc) {
		err = errCard
	}
	return doc, pr, err
}

// readOrder checks what readForm has read. The error is an *invalidError or
// errMethod.
func (p *Page) readOrder(doc *sign.Doc, pr project.Project) (order, error) {
	if problems := p.validate(doc, pr.CustomerOptional); len(problems) > 0 {
		return order{}, &invalidError{problems}
	}
	get := func(field string) string { return doc.Get(field).Text() }
	minor, err := strconv.ParseInt(get("payment_amount"), 10, 64)
	if err != nil {
		return order{}, &invalidError{[]problem{{"payment_amount", "must be an integer"}}}
	}
	o := order{
		project: pr, paymentID: get("payment_id"), customerID: get("customer_id"), description: get("payment_description"),
		callbackURL: get(callbackField), amount: money.Amount{Minor: minor, Currency: money.Currency(get("payment_currency"))},
		person: connector.Person{
			FirstName: get("customer_first_name"), LastName: get("customer_last_name"), Email: get("customer_email"), Phone: get("customer_phone"),
		},
		kept: keep(doc),
	}
	if o.callbackURL == "" {
		o.callbackURL = pr.CallbackURL
	}
	if t, ok := parseInstant(get("best_before")); ok && t.Sub(p.opts.Now()) <= farAhead {
		o.bestBefore = t
	}
	o.methods, err = usable(pr, o.amount, get)
	if err != nil {
		return order{}, err
	}
	for _, m := range o.methods {
		if m.Code == get("default_payment_method") {
			o.preselected = m.Code
		}
	}
	return o, nil
}

// usable gives the project's methods that fit the request. A currency or amount
// that no method of the project takes is a wrong request; methods that the
// request itself rules out leave none to use.
func usable(pr project.Project, amount money.Amount, get func(string) string) ([]project.Method, error) {
	inCurrency := func(m project.Method) bool { return m.Currency == amount.Currency }
	if len(pr.Methods) > 0 && !slices.ContainsFunc(pr.Methods, inCurrency) {
		return nil, &invalidError{[]problem{{"payment_currency", "is not allowed for this project"}}}
	}
	hidden := strings.FieldsFunc(get("hide"), func(r rune) bool { return r == ',' || r == ' ' })
	var offered []project.Method
	for _, m := range pr.Methods {
		forced, group := get("force_payment_method"), get("force_payment_group")
		if inCurrency(m) && (forced == "" || forced == m.Code) && (group == "" || group == m.Group) &&
			!slices.Contains(hidden, m.Code) && !slices.Contains(hidden, m.Group) {
			offered = append(offered, m)
		}
	}
	if len(offered) == 0 {
		return nil, errMethod
	}
	fitting := slices.DeleteFunc(slices.Clone(offered), func(m project.Method) bool {
		return amount.Minor < m.MinMinor || m.MaxMinor > 0 && amount.Minor > m.MaxMinor
	})
	if len(fitting) == 0 {
		m := offered[0]
		return nil, &invalidError{[]problem{{"payment_amount", fmt.Sprintf("must be from %d to %d for %s", m.MinMinor, m.MaxMinor, m.Code)}}}
	}
	return fitting, nil
}

// keptFields are the parameters that the page needs after the confirmation, and
// those that the protocol has us pass through. Nothing of the customer's is among
// them.
var keptFields = strings.Fields(`
	merchant_success_url merchant_success_enabled merchant_success_redirect_mode
	merchant_fail_url merchant_fail_enabled merchant_fail_redirect_mode
	merchant_return_url merchant_return_enabled merchant_return_redirect_mode
	redirect_success_mode redirect_success_enabled redirect_fail_mode redirect_fail_enabled
	frame_mode interface_type style_id terminal_id descriptor
	receipt_data booking_info addendum_data cash_voucher_data payment_extra_param merchant_data`)

// referrer is where the widget says which page it is on, outside the signature.
const referrer = "_referrer"

// keep gathers what is kept beside the payment. The whole request is bounded, so
// this is too.
func keep(doc *sign.Doc) flow.Kept {
	get := func(field string) string { return doc.Get(field).Text() }
	k := flow.Kept{
		ReturnSuccess: get("redirect_success_url"), ReturnDecline: get("redirect_fail_url"), ReturnBack: get("redirect_return_url"),
		Language: get("language_code"), Params: map[string]string{},
	}
	for _, field := range keptFields {
		if v := get(field); v != "" {
			k.Params[field] = v
		}
	}
	// Its origin alone: the address is nobody's business, and the frame needs no more.
	if origin := web.Origin(get(referrer)); origin != "" {
		k.Params[referrer] = origin
	}
	return k
}

// same says whether a known payment is this very purchase (ecommpay.md 2.3).
func (o order) same(known payment.Payment) bool {
	return known.Type == payment.TypePurchase && known.Amount == o.amount && known.CustomerID == o.customerID
}

// method gives the method of that code, if it can be used.
func (o order) method(code string) (project.Method, bool) {
	for _, m := range o.methods {
		if m.Code == code {
			return m, true
		}
	}
	return project.Method{}, false
}
