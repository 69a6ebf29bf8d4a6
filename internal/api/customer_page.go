package api

import (
	"context"
	"strconv"
	"strings"
	"time"

	"aorta/internal/payment"
)

// pageLinkBody asks for the link to a customer's own page.
type pageLinkBody struct {
	ExpiresIn      string `json:"expires_in" kind:"number" doc:"For how many seconds the link opens the page: 60 to 86400; 3600 if you do not say." ex:"3600"`
	ReturnURL      string `json:"return_url" kind:"url" doc:"Where the page's button leads back to." ex:"https://house.example/account"`
	Language       string `json:"language" kind:"word" doc:"The page's language: ar, en, es, hi or ru. Without it, or with another one, the browser's." ex:"en"`
	IdempotencyKey string `json:"idempotency_key" kind:"key" doc:"Instead of the header Idempotency-Key." ex:"page-1"`
}

// pageLinkView is that link.
type pageLinkView struct {
	URL       string `json:"url" kind:"url" need:"yes" doc:"Where to send the customer's browser. Whoever has it sees the page." ex:"https://pay.example/customer/eyJwIjozMDB9.c2lnbmVk"`
	ExpiresAt string `json:"expires_at" kind:"time" need:"yes" doc:"When it opens the page no more: ask for a new one each time." ex:"2025-10-17T10:41:00Z"`
}

// How long a link may open a customer's page.
const (
	minPageTime     = time.Minute
	defaultPageTime = time.Hour
	maxPageTime     = 24 * time.Hour
)

// createCustomerPage gives the link to a customer's own page. It writes nothing: the link
// says all itself.
func (a *API) createCustomerPage(_ context.Context, c *call) (once, error) {
	b, name := c.body.(*pageLinkBody), c.vars["customer_id"]
	if bad, message := checkName(name); bad != "" {
		return once{}, invalid(problem{"customer_id", bad, message})
	}
	lasts := time.Duration(numberOf(b.ExpiresIn)) * time.Second
	if b.ExpiresIn == "" {
		lasts = defaultPageTime
	}
	if lasts < minPageTime || lasts > maxPageTime {
		return once{}, invalid(problem{"expires_in", "number", "must be " + strconv.Itoa(int(minPageTime.Seconds())) + " to " + strconv.Itoa(int(maxPageTime.Seconds()))})
	}
	if b.ReturnURL != "" && !a.opts.Insecure && !strings.HasPrefix(b.ReturnURL, "https://") {
		return once{}, invalid(problem{"return_url", "url", "must begin with https://"})
	}
	switch {
	case a.opts.Flows.Rules(c.project.ID) == nil && (a.opts.Links == nil || !a.opts.Links(c.project.ID)):
		return once{}, refuse(codeState, map[string]any{"state": "no_rules"})
	case !c.project.Wallet:
		return once{}, invalid(problem{"customer_id", "no_wallet", "there is no wallet for it: the project keeps none"})
	}
	return once{begin: func(context.Context, payment.Answer, bool) (any, error) {
		until := a.opts.Now().Add(lasts).Truncate(time.Second)
		return pageLinkView{URL: a.opts.CustomerURL(c.project, name, b.ReturnURL, b.Language, until), ExpiresAt: instant(until.UnixMicro())}, nil
	}}, nil
}
