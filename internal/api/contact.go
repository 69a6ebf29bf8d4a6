package api

import (
	"context"

	"aorta/internal/customer"
	"aorta/internal/flow"
)

// contactBody is how a customer is reached.
type contactBody struct {
	Phone          string `json:"phone" kind:"phone" need:"yes" doc:"In E.164. You have made sure that it is theirs: whoever has it can link their wallet with a Google user." ex:"+918067218010"`
	IdempotencyKey string `json:"idempotency_key" kind:"key" doc:"Instead of the header Idempotency-Key." ex:"phone-1"`
}

// contactView is how a customer is reached, as far as it is shown.
type contactView struct {
	CustomerID string `json:"customer_id" kind:"name" need:"yes" doc:"Your name for the customer." ex:"42"`
	Phone      string `json:"phone,omitempty" kind:"text" doc:"Most of its digits are hidden. Missing: there is none." ex:"+91••••••••10"`
}

// checkPhone is E.164's.
func checkPhone(text string) (string, string) {
	if _, err := customer.ParsePhone(text); err != nil {
		return "phone", "must be a number as E.164 writes it, such as +918067218010"
	}
	return "", ""
}

func (a *API) getContact(ctx context.Context, c *call) (any, error) {
	name := c.vars["customer_id"]
	got, err := a.opts.Flows.ContactOf(ctx, c.project, name)
	if err != nil {
		return nil, refusalOfLimit(err)
	}
	return contactView{CustomerID: name, Phone: got.Phone.Masked()}, nil
}

func (a *API) setContact(_ context.Context, c *call) (once, error) {
	phone, err := customer.ParsePhone(c.body.(*contactBody).Phone)
	if err != nil {
		_, message := checkPhone("")
		return once{}, invalid(problem{"phone", "phone", message})
	}
	return a.contact(c, phone)
}

func (a *API) removeContact(_ context.Context, c *call) (once, error) {
	return a.contact(c, customer.Phone{})
}

func (a *API) contact(c *call, phone customer.Phone) (once, error) {
	return a.changes(c, func(ctx context.Context, x flow.CustomerChange) error {
		return a.opts.Flows.SetContact(ctx, x, phone)
	}, a.getContact)
}
