package paypage

import (
	"errors"
	"net/http"
	"net/url"

	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/web"
)

// A purchase of Google's may wait for its customer, who confirms or refuses it on their
// page (google-tokenized-fop.md section 3.8):
//
//	POST /customer/{token}  do=confirm|refuse, purchase=gpc_…  ──303──▶  /customer/{token}?purchase=gpc_…
//
// The address names the purchase alone: what the page says of it is what the books say,
// so that a reload, a second press and a link that somebody has made up say the same.

// purchaseField names a purchase in a form, and in the address after it.
const purchaseField = "purchase"

// answerPurchase ends a purchase that waits as its customer says.
func (p *Page) answerPurchase(w http.ResponseWriter, r *http.Request, v *visit, c customerVisit, purchase string, agreed bool) error {
	k, err := id.ParseCall(purchase)
	if err != nil {
		return errNotForm
	}
	after := c.path + "?" + url.Values{purchaseField: {k.String()}}.Encode()
	v.retry = after
	switch _, err := p.opts.Flows.ConfirmPurchase(r.Context(), c.link.Customer, k, agreed); {
	case err == nil, errors.Is(err, flow.ErrPurchaseOver), errors.Is(err, flow.ErrInsufficient):
		p.leadTo(w, after)
		return nil
	case errors.Is(err, flow.ErrNoPurchase):
		return errNotForm
	default:
		return err
	}
}

// readPurchases reads the purchase that the address names, and what the wallet has for
// those that wait.
func (p *Page) readPurchases(r *http.Request, v *visit, c *customerVisit) error {
	if k, err := id.ParseCall(r.URL.Query().Get(purchaseField)); err == nil {
		switch named, err := p.opts.Flows.PurchaseOf(r.Context(), c.link.Customer, k); {
		case err == nil:
			c.named = named
		case !errors.Is(err, flow.ErrNoPurchase): // of somebody else: the page is as without
			return err
		}
	}
	for _, x := range c.fop {
		if len(x.Waiting) == 0 {
			continue
		}
		var err error
		c.balances, err = p.opts.Flows.Balances(r.Context(), v.looks.project, c.name)
		return err
	}
	return nil
}

// endedPurchase says how a purchase has ended; nil: it has not, or there is none.
func (p *Page) endedPurchase(x fop.Call, l looks, r *http.Request) *web.EndedPurchase {
	end := endOf(x)
	if x.State == fop.CallWaiting && x.LimitUS <= p.opts.Now().UnixMicro() {
		end = web.PurchaseOver // the work that is due ends it
	}
	if end == "" {
		return nil
	}
	return &web.EndedPurchase{End: end, Name: x.ID.String(), What: x.Description, Amount: format(x.Amount, l, r)}
}

// endOf says to the customer how a purchase has ended; "" of one that has not.
func endOf(x fop.Call) web.PurchaseEnd {
	if x.ID.IsZero() || x.State != fop.CallDone {
		return ""
	}
	switch x.Result {
	case fop.Success:
		return web.PurchasePaid
	case fop.NotConfirmed:
		if x.ChangedUS >= x.LimitUS {
			return web.PurchaseOver
		}
		return web.PurchaseRefused
	case fop.AccountOnHold:
		return web.PurchaseHeld
	case fop.UnderLimit, fop.OverTransactionLimit, fop.OverDailyLimit, fop.OverMonthlyLimit:
		return web.PurchaseLimit
	case fop.AccountClosed, fop.AccountTakenOver, fop.AccountFraud, fop.TokenInvalidated, fop.TokenRefreshRequired, fop.NoSuchCurrency,
		fop.InsufficientFunds, fop.NotEligible, fop.OTPNotMatched, fop.OTPAlreadyUsed, fop.InvalidPhoneNumber, fop.MessageNotSent, fop.Acknowledged,
		fop.NoMoneyLeft, fop.RefundWindowExceeded, fop.RefundOverBalance, fop.StatementAcknowledged: // those from the second line on are no such purchase's
	}
	return web.PurchaseFailed
}

// waitingPurchases are those of a link that its customer can still answer.
func (p *Page) waitingPurchases(x flow.CustomerLink, c customerVisit, l looks, r *http.Request) []web.Purchase {
	var out []web.Purchase
	for _, w := range x.Waiting {
		if w.LimitUS <= p.opts.Now().UnixMicro() {
			continue
		}
		out = append(out, web.Purchase{
			Name: w.ID.String(), What: w.Description, Amount: format(w.Amount, l, r), Until: web.At(w.LimitUS), Short: short(w.Amount, c.balances),
			Answer: web.Action{URL: c.path, Fields: []web.Field{{Name: purchaseField, Value: w.ID.String()}}},
		})
	}
	return out
}

// short reports whether a wallet has less than an amount.
func short(a money.Amount, balances []flow.Balance) bool {
	for _, b := range balances {
		if b.Currency == a.Currency {
			return b.Available < a.Minor
		}
	}
	return true
}
