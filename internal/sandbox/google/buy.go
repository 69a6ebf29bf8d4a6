package google

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// good is something in the store.
type good struct {
	ID, Title string
	Micros    int64
}

// goods are priced as in the worked example of the statements (section 7).
var goods = []good{
	{"album", "Album of songs", 728_000_000}, {"gems", "500 gems", 499_000_000}, {"film", "Film, to rent", 199_000_000}, {"castle", "A castle", 9_999_999_000_000},
}

// Price is the text of the price.
func (g good) Price() string { return rupees(g.Micros) }

// rupees writes micros for people.
func rupees(micros int64) string {
	sign := ""
	if micros < 0 {
		sign, micros = "−", -micros
	}
	whole, rest := strconv.FormatInt(micros/1_000_000, 10), strings.TrimRight(fmt.Sprintf("%06d", micros%1_000_000), "0")
	for len(rest) < 2 {
		rest += "0"
	}
	for n := len(whole) - 3; n > 0; n -= 2 { // lakhs: the last three digits, then twos
		whole = whole[:n] + "," + whole[n:]
	}
	return sign + "₹" + whole + "." + rest
}

var errAmount = errors.New("write an amount in rupees, such as 208.00")

// microsOf reads an amount that a person has written, in rupees with at most two
// decimals.
func microsOf(text string) (int64, error) {
	whole, rest, _ := strings.Cut(strings.TrimSpace(text), ".")
	if len(rest) > 2 || whole == "" || len(whole) > 9 {
		return 0, errAmount
	}
	n, err := strconv.ParseUint(whole+rest+strings.Repeat("0", 2-len(rest)), 10, 63)
	if err != nil || n == 0 {
		return 0, errAmount
	}
	return int64(n) * 10_000, nil
}

// buy takes the price of something from a linked wallet, at once or, with
// confirmation, once the customer has confirmed it at the integrator's.
func (p *Peer) buy(ctx context.Context, association, product string, confirm bool, more object) string {
	n := slices.IndexFunc(goods, func(g good) bool { return g.ID == product })
	if n < 0 {
		return "There is no such good."
	}
	i, err := find(p, &p.book.instruments, association)
	switch {
	case err != nil:
		return err.Error()
	case i.State == refreshNeeded:
		return "First refresh the wallet: Aorta wants you to say again who you are."
	case i.State != active:
		return "This wallet is not linked."
	}
	b := purchase{
		ID: p.name("cap-"), AssociationID: association, Title: goods[n].Title, Currency: Currency, Micros: goods[n].Micros, Async: confirm,
		State: sent, AtMS: p.clock().UnixMilli(),
	}
	if err := p.keep(line{Purchase: &b}); err != nil {
		return err.Error()
	}
	c := call{Method: "capture", ID: b.ID, Members: object{
		"paymentIntegratorAccountId": p.opts.Integrator.Account, "transactionDescription": "Google - " + b.Title, "currencyCode": b.Currency, "amount": text(b.Micros),
	}}
	if confirm {
		c.Method, c.Minor = "asynchronousCapture", 1
		c.Members["tokenizedInstrumentDetails"] = object{"googlePaymentToken": i.GPT}
	} else {
		c.Members["googlePaymentToken"], c.Members["captureContext"] = i.GPT, object{}
	}
	for name, v := range more {
		c.Members[name] = v
	}
	a, err := p.call(ctx, c)
	if err != nil {
		return err.Error()
	}
	return p.bought(b.ID, a)
}

// bought takes the answer of capture or asynchronousCapture.
func (p *Peer) bought(id string, a answer) string {
	p.book.Lock()
	defer p.book.Unlock()
	b, known := p.book.purchases.rows[id]
	if !known {
		return "There is no such purchase."
	}
	b.Says = a.says()
	if a.ok() {
		theirs := a.Body.text("paymentIntegratorTransactionId")
		switch {
		case a.result() != "ACKNOWLEDGED":
			b.conclude(a.result(), theirs, p.clock().UnixMilli())
		case b.State == sent: // else the result has come before the answer
			b.State, b.Theirs = acknowledged, theirs
		}
	}
	for _, l := range append([]line{{Purchase: &b}}, p.closeFor(b.AssociationID, b.Code)...) {
		if err := p.keepLocked(l); err != nil {
			return err.Error()
		}
	}
	return b.Title + ", " + rupees(b.Micros) + ": " + b.word() + "."
}

// word says how a purchase stands.
func (b purchase) word() string {
	switch b.State {
	case done:
		return "bought"
	case declined:
		return "declined, " + b.Code
	case acknowledged:
		return "waits for the customer to confirm it at Aorta"
	}
	return "no final answer yet, " + b.Says
}

// giveBack refunds a purchase, in part or whole.
func (p *Peer) giveBack(ctx context.Context, id string, micros int64) string {
	b, err := find(p, &p.book.purchases, id)
	if err != nil {
		return err.Error()
	}
	r := refund{ID: p.name("rfd-"), Purchase: id, Micros: micros, State: sent, AtMS: p.clock().UnixMilli()}
	if err := p.keep(line{Refund: &r}); err != nil {
		return err.Error()
	}
	a, err := p.call(ctx, call{Method: "refund", ID: r.ID, Members: object{
		"paymentIntegratorAccountId": p.opts.Integrator.Account, "captureRequestId": id, "currencyCode": b.Currency, "refundAmount": text(micros),
	}})
	if err != nil {
		return err.Error()
	}
	return p.gaveBack(r.ID, a)
}

// gaveBack takes the answer of refund.
func (p *Peer) gaveBack(id string, a answer) string {
	r, err := change(p, &p.book.refunds, id, func(r *refund) line { return line{Refund: r} }, func(r *refund) bool {
		r.Says = a.says()
		if a.ok() {
			r.conclude(a.result(), a.Body.text("paymentIntegratorRefundId"), p.clock().UnixMilli())
		}
		return true
	})
	if err != nil {
		return err.Error()
	}
	return "Refund of " + rupees(r.Micros) + ": " + r.word() + "."
}

// word says how a refund stands.
func (r refund) word() string {
	switch r.State {
	case done:
		return "given back"
	case declined:
		return "declined, " + r.Code
	}
	return "no final answer yet, " + r.Says
}

// again sends what has no final answer once more: under the same requestId, as
// Google reconciles (section 1.5).
func (p *Peer) again(ctx context.Context, id string) string {
	calls := read(p, func(b *book) []call { return b.calls.all() })
	n := slices.IndexFunc(calls, func(c call) bool { return c.ID == id })
	if n < 0 {
		return "There is no such call."
	}
	c := calls[n]
	a, err := p.call(ctx, c)
	if err != nil {
		return err.Error()
	}
	return p.heardAgain(c, a)
}

// heardAgain takes the answer of a call that was sent once more.
func (p *Peer) heardAgain(c call, a answer) string {
	switch c.Method {
	case "capture", "asynchronousCapture":
		return p.bought(c.ID, a)
	case "refund":
		return p.gaveBack(c.ID, a)
	case "associateAccount":
		return p.associated(c.Members.text("associationId"), a)
	case "remittanceStatementNotification":
		return p.noted(c.ID, a)
	}
	return c.Method + ": " + a.says()
}
