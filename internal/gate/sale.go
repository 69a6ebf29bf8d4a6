package gate

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"aorta/internal/connector"
	"aorta/internal/flow"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/sign"
)

// sale takes the order to have a customer pay. It answers once the payment is
// durable; what the PSP says comes by callback.
func (g *Gate) sale(ctx context.Context, c *call) ([]byte, error) {
	request, err := c.saleRequest()
	if err != nil {
		// A known payment_id is answered as known whatever else is wrong with the
		// request (ecommpay.md section 3.1, "duplicate" before "semantic"). BeginSale
		// finds that out anyway, so only a request that will not get there looks.
		switch _, found := g.opts.Flows.Find(ctx, c.project, c.paymentID); {
		case found == nil:
			return nil, errKnown
		case !errors.Is(found, payment.ErrNoPayment):
			return nil, &awayError{found}
		}
		return nil, err
	}
	begun, err := g.opts.Flows.BeginSale(ctx, request)
	if err != nil {
		return nil, err
	}
	if begun.Repeat {
		return nil, errKnown
	}
	return c.accept(begun), nil
}

// accept acknowledges an operation that was begun.
func (c *call) accept(b flow.Begun) []byte {
	return encode(accepted{
		Status: "success", RequestID: b.Operation.RequestID(), ProjectID: b.Payment.ProjectID, PaymentID: b.Payment.MerchantPaymentID,
	})
}

// saleRequest reads a request whose schema is right, and checks what only the
// project's settings can tell.
func (c *call) saleRequest() (flow.SaleRequest, error) {
	amount, err := c.amount()
	if err != nil {
		return flow.SaleRequest{}, err
	}
	if m, ok := c.project.MethodIn(c.method.Code, amount.Currency); ok {
		c.method = m
	} else {
		return flow.SaleRequest{}, invalid(problem{
			code: codeCurrencyDisabled, field: "payment.currency", constraint: listed(c.project.CurrenciesOf(c.method.Code)),
		})
	}
	if p, bad := outside(c.method, amount); bad {
		return flow.SaleRequest{}, invalid(p)
	}
	callback := c.text("general", "merchant_callback_url")
	if callback == "" {
		callback = c.project.CallbackURL
	}
	return flow.SaleRequest{
		Project: c.project, Method: c.method, Door: Door,
		PaymentID: c.paymentID, CustomerID: c.text("customer", "id"), Description: c.text("payment", "description"),
		CallbackURL: callback, SuccessURL: c.text("general", "merchant_success_callback_url"),
		DeclineURL: c.text("general", "merchant_decline_callback_url"), Delay: c.delay(), Mute: c.says("callback", "force_disable"),
		Amount: amount, Declines: true, // registered, and told by callback (ecommpay.md section 3.1)
		Person: connector.Person{
			FirstName: c.text("customer", "first_name"), LastName: c.text("customer", "last_name"),
			Email: c.text("customer", "email"), Phone: c.text("customer", "phone"), IP: c.text("customer", "ip_address"),
		},
		Keep: c.kept().Encode(),
	}, nil
}

// delay gives callback.delay, which the schema has found to be an integer, or absent.
func (c *call) delay() time.Duration {
	v := c.doc.Get("callback", "delay")
	if v.Kind() != sign.KindNumber {
		return 0
	}
	seconds, _ := v.Int()
	return time.Duration(seconds) * time.Second
}

// says tells whether a member that the schema has found to be a truth, 0 or 1, or
// absent, is true.
func (c *call) says(path ...string) bool {
	v := c.doc.Get(path...)
	if v.Kind() == sign.KindNumber {
		n, _ := v.Int()
		return n != 0
	}
	return v.Kind() == sign.KindBool && v.Text() == "true"
}

// amount gives payment.amount and payment.currency, which the schema has found to
// be an integer and a currency, or absent.
func (c *call) amount() (money.Amount, error) {
	minor, err := c.doc.Get("payment", "amount").Int()
	return money.Amount{Minor: minor, Currency: money.Currency(c.text("payment", "currency"))}, err
}

// listed writes currencies for a constraint: "EUR, JPY".
func listed(all []money.Currency) string {
	var texts []string
	for _, c := range all {
		texts = append(texts, string(c))
	}
	return strings.Join(texts, ", ")
}

// outside tells how an amount in a method's currency breaks its limits. All
// amounts that are not sums of money at all, such as 0, are among them.
func outside(m project.Method, a money.Amount) (problem, bool) {
	switch {
	case a.Minor < m.MinMinor, a.Minor < 1:
		return problem{code: codeTooLittle, field: "payment.amount", constraint: "min " + strconv.FormatInt(max(m.MinMinor, 1), 10)}, true
	case a.Minor > m.MaxMinor:
		return problem{code: codeTooMuch, field: "payment.amount", constraint: "max " + strconv.FormatInt(m.MaxMinor, 10)}, true
	}
	return problem{}, false
}

// kept is what the customer's way back needs, and what is only passed through.
func (c *call) kept() flow.Kept {
	k := flow.Kept{
		ReturnSuccess: c.text("return_url", "success"), ReturnDecline: c.text("return_url", "decline"), ReturnBack: c.text("return_url", "return"),
		Language: c.text("customer", "language"),
	}
	if extra := c.text("payment", "extra_param"); extra != "" {
		k.Params = map[string]string{"extra_param": extra}
	}
	return k
}
