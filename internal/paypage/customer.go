package paypage

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"aorta/internal/customer"
	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/sign"
	"aorta/web"
)

// A customer has a page of their own: where their payouts stand, what they were told and
// what limits them, of a licensed house; and what Google has of their wallet: links, and
// purchases that wait for them (purchase.go).
// The merchant's server asks for its link, which ends after a while.
//
//	/customer/{token}         shows
//	POST /customer/{token}    cancels a payout that waits, begins a check, closes a link,
//	                          confirms or refuses a purchase
//
// As with a payment's session the token is the whole authority, and there is no cookie
// (S31). Its known weakness: whoever has the link sees the page until it ends. It names
// no rule, no case and no operator: what the merchant is not told the customer is not.

// customerLink is what a token says.
type customerLink struct {
	Project  int64       `json:"p"`
	Customer id.Customer `json:"c"`
	Until    int64       `json:"u"` // unix seconds
	Return   string      `json:"r,omitempty"`
	Language string      `json:"l,omitempty"`
}

// CustomerURL is where a customer of a project finds their page, until an instant.
// returnURL leads back to the merchant and language chooses the texts; both may be empty.
func (p *Page) CustomerURL(pr project.Project, customerID, returnURL, language string, until time.Time) string {
	return strings.TrimSuffix(p.opts.PublicURL(), "/") + p.customerPath(customerLink{
		Project: pr.ID, Customer: p.opts.Flows.CustomerOf(pr, customerID), Until: until.Unix(), Return: returnURL, Language: language,
	})
}

func (p *Page) customerPath(l customerLink) string {
	text, err := json.Marshal(l)
	if err != nil {
		panic("plain fields cannot fail to encode: " + err.Error())
	}
	body := base64.RawURLEncoding.EncodeToString(text)
	return "/customer/" + body + "." + p.customerMAC(body)
}

// customerMAC is over another text than a payment's token, so neither opens the other.
func (p *Page) customerMAC(body string) string {
	mac := hmac.New(sha256.New, p.opts.Key[:])
	mac.Write([]byte("customer:" + body))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// customerVisit is a customer's visit to their page.
type customerVisit struct {
	link customerLink
	path string            // of the page
	name string            // the merchant's of the customer; "": nobody has met them yet
	news flow.CustomerNews // of a licensed house
	fop  []flow.CustomerLink

	named    fop.Call       // the purchase that the address names; its ID is zero: none
	balances []flow.Balance // if there are purchases that wait
}

// visitCustomer reads whose page a token opens. Errors: errSession, errLinkOver.
func (p *Page) visitCustomer(r *http.Request, v *visit) (customerVisit, error) {
	var c customerVisit
	body, mac, _ := strings.Cut(r.PathValue("token"), ".")
	if !hmac.Equal([]byte(mac), []byte(p.customerMAC(body))) {
		return c, errSession
	}
	text, err := base64.RawURLEncoding.DecodeString(body)
	if err == nil {
		err = json.Unmarshal(text, &c.link)
	}
	pr, known := p.opts.Projects(c.link.Project)
	if err != nil || !known || int(c.link.Customer.Bucket()) >= p.opts.Flows.Buckets() {
		return c, errSession // of a version or configuration that is gone
	}
	v.looks.project, v.looks.kept = pr, flow.Kept{Language: c.link.Language, ReturnBack: c.link.Return}
	if p.opts.Now().Unix() >= c.link.Until {
		return c, errLinkOver
	}
	c.path = p.customerPath(c.link)
	v.retry = c.path
	row, found, err := p.opts.Read.Customer(r.Context(), c.link.Customer)
	switch {
	case err != nil:
		return c, away("read the customer", err)
	case found && row.MerchantID != pr.MerchantID:
		return c, errSession
	}
	c.name = row.Name
	return c, nil
}

// customerPage shows the page.
func (p *Page) customerPage(w http.ResponseWriter, r *http.Request, v *visit) error {
	c, err := p.visitCustomer(r, v)
	if err != nil {
		return err
	}
	if c.name != "" {
		if p.licensed(v.looks.project) {
			if c.news, err = p.opts.Flows.NewsOf(r.Context(), v.looks.project, c.name); err != nil {
				return err
			}
		}
		if c.fop, err = p.opts.Flows.LinksOf(r.Context(), v.looks.project, c.name); err != nil {
			return err
		}
		if err := p.readPurchases(r, v, &c); err != nil {
			return err
		}
	}
	view := p.customerView(c, v.looks, r)
	p.show(w, r, v.looks, http.StatusOK, func(page web.Page) web.View { view.Page = page; return view }, nil)
	return nil
}

// licensed says whether a project has rules: customers of others have links alone to see.
func (p *Page) licensed(pr project.Project) bool { return p.opts.Flows.Rules(pr.ID) != nil }

// The fields of the page's forms.
const (
	doField     = "do"
	doCancel    = "cancel"
	doVerify    = "verify"
	doUnlink    = "unlink"
	doConfirm   = "confirm"
	doRefuse    = "refuse"
	payoutField = "payout"
	linkField   = "link"
	maxCustomer = 1024 // bytes of such a form
)

// customerPress answers the buttons. Pressed twice, or too late, they lead to the page,
// which shows how things stand.
func (p *Page) customerPress(w http.ResponseWriter, r *http.Request, v *visit) error {
	c, err := p.visitCustomer(r, v)
	if err != nil {
		return err
	}
	if !p.ownForm(r) { // a provider's form that brings the customer back: nothing is pressed here
		p.leadTo(w, c.path)
		return nil
	}
	body, err := formBody(w, r, maxCustomer)
	if err != nil {
		return err
	}
	form, err := sign.ParseForm(body)
	if err != nil {
		return malformedError(err)
	}
	if c.name == "" {
		return errNotForm
	}
	do := form.Get(doField).Text()
	switch do {
	case doUnlink:
		return p.unlink(w, r, v.looks.project, c, form.Get(linkField).Text())
	case doConfirm, doRefuse:
		return p.answerPurchase(w, r, v, c, form.Get(purchaseField).Text(), do == doConfirm)
	}
	payout, err := id.ParsePayout(form.Get(payoutField).Text())
	if err != nil {
		return errNotForm
	}
	switch do {
	case doCancel:
		err = p.opts.Flows.CancelByCustomer(r.Context(), v.looks.project, c.name, id.Payment(payout))
	case doVerify:
		err = p.verifyCustomer(r.Context(), v.looks.project, c, id.Payment(payout))
	default:
		return errNotForm
	}
	switch {
	case err == nil, errors.Is(err, flow.ErrState), errors.Is(err, flow.ErrNotAllowed), errors.Is(err, flow.ErrNoVerifier), errors.Is(err, customer.ErrTooMany):
		p.leadTo(w, c.path)
		return nil
	case errors.Is(err, payment.ErrNoPayment):
		return errNotForm
	}
	return err
}

// unlink closes a link with Google.
func (p *Page) unlink(w http.ResponseWriter, r *http.Request, pr project.Project, c customerVisit, link string) error {
	k, err := id.ParseAssociation(link)
	if err != nil {
		return errNotForm
	}
	switch err := p.opts.Flows.CloseLink(r.Context(), pr, c.name, k); {
	case errors.Is(err, flow.ErrNoLink):
		return errNotForm
	case err != nil:
		return err
	}
	p.leadTo(w, c.path)
	return nil
}

// verifyCustomer begins the check that a payout waits for.
func (p *Page) verifyCustomer(ctx context.Context, pr project.Project, c customerVisit, payout id.Payment) error {
	row, ok, err := p.opts.Read.Payment(ctx, payout)
	switch {
	case err != nil:
		return away("read the payout", err)
	case !ok || row.CustomerID != c.name || row.ProjectID != pr.ID || row.Type != payment.TypePayout:
		return payment.ErrNoPayment
	}
	review, _, err := p.opts.Read.Review(ctx, payout.Raw())
	switch {
	case err != nil:
		return away("read the review", err)
	case row.Status != payment.StatusStepUp:
		return flow.ErrState
	}
	_, err = p.opts.Flows.StartCheck(ctx, flow.CheckRequest{
		Project: pr, CustomerID: c.name, Level: review.RequiredLevel, ReturnURL: strings.TrimSuffix(p.opts.PublicURL(), "/") + c.path,
	})
	return err
}

// customerView says what is known in the page's words.
func (p *Page) customerView(c customerVisit, l looks, r *http.Request) web.CustomerView {
	view := web.CustomerView{Return: l.back(), Restricted: restrictedOf(c.news.Standing.Restraint), Unlicensed: !p.licensed(l.project)}
	shown := map[id.Payment]payment.Payment{}
	for _, x := range c.news.Payouts {
		shown[x.Payment.ID] = x.Payment
		view.Payouts = append(view.Payouts, p.payoutOf(x, c, l, r))
	}
	for _, x := range c.news.Standing.Limits {
		limit := web.Limit{Kind: string(x.Kind), Period: string(x.Period), Amount: format(x.Amount, l, r), ByHouse: x.House, Remove: x.Pending.Remove}
		if !x.Uncounted && x.Used.Minor > 0 {
			limit.Used = format(x.Used, l, r)
		}
		if x.HasAsked {
			limit.From = web.At(x.Pending.FromUS)
			if !x.Pending.Remove {
				limit.Asked = format(x.Pending.Amount, l, r)
			}
		}
		view.Limits = append(view.Limits, limit)
	}
	view.Ended = p.endedPurchase(c.named, l, r)
	for _, x := range c.fop {
		view.Purchases = append(view.Purchases, p.waitingPurchases(x, c, l, r)...)
		link := web.Link{
			Name: fop.Nickname(x.Association.Account), Since: web.At(x.Association.CreatedUS),
			Close: web.Action{URL: c.path, Fields: []web.Field{{Name: linkField, Value: x.Association.ID.String()}}},
		}
		if !x.Last.ID.IsZero() {
			link.Last, link.Amount = web.At(x.Last.CreatedUS), format(x.Last.Amount, l, r)
		}
		view.Links = append(view.Links, link)
	}
	for _, n := range c.news.Standing.Notes {
		if x, ok := noticeOf(n, shown, l, r); ok {
			view.Notices = append(view.Notices, x)
		}
	}
	return view
}

func (p *Page) payoutOf(x flow.CustomerPayout, c customerVisit, l looks, r *http.Request) web.Payout {
	pay := x.Payment
	out := web.Payout{Name: id.Payout(pay.ID).String(), State: payoutStateOf(pay.Status), Amount: format(pay.Amount, l, r), Asked: web.At(pay.CreatedUS)}
	part := pay.Amount
	if part.Minor = pay.CapturedMinor; part.Minor > 0 && part.Minor < pay.Amount.Minor {
		out.Paid = format(part, l, r)
	}
	if part.Minor = pay.RefundedMinor; part.Minor > 0 && part.Minor < pay.Amount.Minor {
		out.Returned = format(part, l, r)
	}
	action := func() *web.Action {
		return &web.Action{URL: c.path, Fields: []web.Field{{Name: payoutField, Value: out.Name}}}
	}
	switch out.State {
	case web.PayoutFailed:
		out.Reason = payoutReasonOf(pay.Code)
	case web.PayoutDeferred:
		out.ETA = web.At(x.Review.NextUS)
	case web.PayoutVerify:
		out.Check = checkOf(c.news.Verified.Checks, x.Review.RequiredLevel)
		if out.Check == (web.Check{}) && p.opts.Flows.Verifies(x.Review.RequiredLevel) {
			out.Check.Begin = action()
		}
	case web.PayoutProcessing, web.PayoutReview, web.PayoutPartly, web.PayoutPaid, web.PayoutCancelled:
	}
	if x.Cancels {
		out.Cancel = action()
	}
	return out
}

// checkOf is where a customer goes on with a check of a level that is under way.
func checkOf(checks []flow.CheckView, level int64) web.Check {
	for _, k := range checks {
		if k.Check.State != customer.CheckOpen || k.Check.Level != level {
			continue
		}
		if web.Origin(k.URL) == "" { // nobody's page, or none that we may lead to (S23)
			return web.Check{Under: true}
		}
		return web.Check{URL: k.URL}
	}
	return web.Check{}
}

// payoutStateOf says where a payout stands to its customer.
func payoutStateOf(s payment.Status) web.PayoutState {
	switch s {
	case payment.StatusRequested, payment.StatusSubmitting, payment.StatusUnknown:
		return web.PayoutProcessing
	case payment.StatusStepUp:
		return web.PayoutVerify
	case payment.StatusHold:
		return web.PayoutReview
	case payment.StatusDeferred:
		return web.PayoutDeferred
	case payment.StatusPartiallyPaid:
		return web.PayoutPartly
	case payment.StatusPaid:
		return web.PayoutPaid
	case payment.StatusFailed:
		return web.PayoutFailed
	case payment.StatusCancelled:
		return web.PayoutCancelled
	case payment.StatusNew, payment.StatusPending, payment.StatusAwaitingCustomer, payment.StatusAuthorized, payment.StatusCaptured,
		payment.StatusPartiallyRefunded, payment.StatusRefunded, payment.StatusDeclined, payment.StatusChargedBack: // no payout's
	}
	return "" // not one of ours
}

// payoutReasonOf says to the customer why a payout was not made.
func payoutReasonOf(code string) web.PayoutReason {
	switch code {
	case payment.CodeGeneralDecline, payment.CodeHouseDecline, payment.CodeReject, payment.CodeRejectCustomer, payment.CodeRejectAmount:
		return web.PayoutRefused
	case payment.CodeExternalDecline:
		return web.PayoutProvider
	case payment.CodeExternalLimit:
		return web.PayoutLimit
	case payment.CodeProviderUnavailable, payment.CodeExternalDown, payment.CodeExternalTimeout:
		return web.PayoutUnavailable
	}
	return web.PayoutOther
}

// restrictedOf says what restricts a customer. What the house, a register or a list has
// made is told alike: which it was is for support.
func restrictedOf(r customer.Restraint) *web.Restricted {
	if r.Restriction == customer.Unrestricted {
		return nil
	}
	out := &web.Restricted{Kind: "house"}
	if r.Restriction.Own() && !r.Linked() {
		out.Kind = string(r.Restriction)
		out.Until = web.At(r.UntilUS)
		if r.Restriction == customer.SelfExcluded {
			out.Until = web.At(r.EndingUS) // before that it does not end by itself
		}
	}
	return out
}

// noted is what notes say, whatever their kind.
type noted struct {
	Status   payment.Status       `json:"status"` // of a payout
	To       int64                `json:"to"`     // of a level
	Required int64                `json:"required_level"`
	State    customer.CheckState  `json:"state"` // of a check
	Kind     string               `json:"kind"`  // of a limit
	Period   string               `json:"period"`
	Removed  bool                 `json:"removed"`
	FromUS   int64                `json:"from_us"`
	Type     customer.Restriction `json:"type"` // of a restriction
	UntilUS  int64                `json:"until_us"`
	EndingUS int64                `json:"ending_us"`
}

// limitNoted is what a note of a limit says besides. A note of a payout has an amount of
// another shape, which its row has, too.
type limitNoted struct {
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
}

// noticeOf says to a customer what a note of theirs means; false of what is not for
// them, such as what a refused payout was judged by. shown are the payouts of the page.
func noticeOf(n customer.Note, shown map[id.Payment]payment.Payment, l looks, r *http.Request) (web.Notice, bool) {
	var x noted
	if err := json.Unmarshal([]byte(n.Body), &x); err != nil {
		return web.Notice{}, false // of a shape that this version does not know
	}
	out := web.Notice{Kind: n.Kind, At: web.At(n.AtUS)}
	switch n.Kind {
	case flow.NotePayout:
		k, _ := flow.PayoutOfNote(n)
		pay, ok := shown[k]
		out.State = payoutStateOf(x.Status)
		if out.Amount = format(pay.Amount, l, r); !ok || out.State == "" {
			return out, false
		}
	case flow.NoteLevel:
		out.Level = strconv.FormatInt(x.To, 10)
	case flow.NoteLevelNeed:
		out.Level = strconv.FormatInt(x.Required, 10)
	case flow.NoteCheck:
		out.Kind = "check_" + string(x.State)
	case flow.NoteLimitSet, flow.NoteLimitConfirmed, flow.NoteLimitAsked, flow.NoteHouseLimit:
		out.Limit, out.Period, out.From = x.Kind, x.Period, web.At(x.FromUS)
		if n.Kind == flow.NoteLimitConfirmed {
			out.Kind = "limit_set"
			if x.Removed {
				out.Kind = "limit"
			}
		}
		if x.Removed {
			out.Kind += "_gone"
			break
		}
		var a limitNoted
		if err := json.Unmarshal([]byte(n.Body), &a); err != nil {
			return out, false
		}
		amount, err := money.ParseDecimal(a.Amount, money.Currency(a.Currency))
		if err != nil {
			return out, false
		}
		out.Amount = format(amount, l, r)
	case flow.NoteRestricted:
		out.Kind = "restricted"
		if x.Type.Own() && strings.HasPrefix(n.By, "project:") {
			out.Kind = string(x.Type)
		}
		if x.Type == customer.CoolOff {
			out.From = web.At(x.UntilUS)
		}
	case flow.NoteLifted:
		out.Kind = "lifted"
	case flow.NoteEndAsked:
		out.Kind, out.From = "end_asked", web.At(x.EndingUS)
	default:
		return out, false
	}
	return out, slices.Contains(web.NoticeKinds(), out.Kind)
}
