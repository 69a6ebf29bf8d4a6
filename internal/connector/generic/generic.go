// Package generic speaks the minimal payment API of payment-loop.md L11 as its
// wire protocol, so that a provider without a connector of its own can be reached
// through a small adapter: sale by a hosted page, refund, payout, their look-ups,
// a day's statement, and a webhook that is the provider's own word.
// docs/connector.md is the protocol's description.
//
// It keeps no state and takes nothing for true that is not signed with the
// account's secret. Its known weakness is the one secret for both directions:
// whoever has it can speak for either side.
package generic

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"aorta/internal/connector"
	"aorta/internal/connector/exchange"
	"aorta/internal/money"
	"aorta/internal/payment"
)

// Amounts that are sent at all; the provider has bounds of its own.
const (
	minMinor = 1
	maxMinor = 999_999_999_99
)

// methods are ours by their codes, and their names on the wire.
var methods = map[string]string{"generic-card": "card", "generic-bank": "bank", "generic-wallet": "wallet"}

// defaultCurrencies are an account's unless it is told otherwise.
var defaultCurrencies = []money.Currency{"EUR", "INR", "JPY"}

// lookupSchedule is for accepted payments whose webhook does not come: soon at
// first, then every five minutes until the limit time.
var lookupSchedule = []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute}

// Bounds of a statement: pages of at most 1,000 lines.
const (
	maxPage  = 4 << 20
	maxPages = 1_000
)

// Config is one account at a provider. All but the marked ones are needed.
type Config struct {
	BaseURL    string // "https://psp.example/aorta"; paths such as /v1/payments/init follow
	Account    string // the provider's name of the account, at most 64 letters, digits, "_" and "-"
	Secret     exchange.Secret
	Currencies []money.Currency // optional: nil means EUR, INR and JPY

	Now func() time.Time

	Transport   http.RoundTripper // optional: nil keeps connections of its own
	CallTimeout time.Duration     // optional: for one call; 0 means exchange.DefaultTimeout
}

// Generic is the connector of one account. It is safe for concurrent use.
type Generic struct {
	account    string
	key        key
	now        func() time.Time
	base       *url.URL
	currencies []money.Currency
	peer       *exchange.Peer
	pages      *exchange.Peer // for statements: longer answers
}

var (
	_ connector.Connector          = (*Generic)(nil)
	_ connector.Looker             = (*Generic)(nil)
	_ connector.Refunder           = (*Generic)(nil)
	_ connector.Payouter           = (*Generic)(nil)
	_ connector.StatementReader    = (*Generic)(nil)
	_ connector.NotificationReader = (*Generic)(nil)
)

// minSecret is how many bytes a secret must have at least: what can be guessed
// signs nothing.
const minSecret = 14

// New makes the connector of one account. An error says which setting is wrong,
// never the secret's text. Nothing is sent.
func New(c Config) (*Generic, error) {
	base, err := exchange.Base(c.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("generic: base URL: %w", err)
	}
	switch {
	case !exchange.IsName(c.Account, 64):
		return nil, errors.New("generic: the account must be 1 to 64 letters, digits, _ and -")
	case len(c.Secret.Reveal()) < minSecret:
		return nil, fmt.Errorf("generic: the secret must have at least %d bytes", minSecret)
	case c.Now == nil:
		return nil, errors.New("generic: a clock is needed")
	case c.CallTimeout < 0:
		return nil, errors.New("generic: the call timeout must not be negative")
	}
	g := &Generic{
		account: c.Account, key: newKey(c.Secret), now: c.Now, base: base, currencies: slices.Clone(c.Currencies),
		peer:  exchange.New(exchange.Options{Transport: c.Transport, Timeout: c.CallTimeout}),
		pages: exchange.New(exchange.Options{Transport: c.Transport, Timeout: c.CallTimeout, MaxAnswer: maxPage}),
	}
	if len(g.currencies) == 0 {
		g.currencies = slices.Clone(defaultCurrencies)
	}
	for _, each := range g.currencies {
		if !each.Valid() {
			return nil, fmt.Errorf("generic: %q is no currency", each)
		}
	}
	return g, nil
}

// Capabilities says what the protocol can.
//
// A sale moves no money: init only makes a page, on which the customer then pays
// or does not, so a lost answer leaves at most a page that nobody was sent to.
// A charge of a stored token, once there is one, will move money and must be
// declared so, as another call.
func (g *Generic) Capabilities() connector.Capabilities {
	codes := make([]string, 0, len(methods))
	for code := range methods {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	return connector.Capabilities{
		Methods:         codes,
		Currencies:      slices.Clone(g.currencies),
		MinMinor:        minMinor,
		MaxMinor:        maxMinor,
		PayoutBeyond:    true, // an adapter that cannot refuses with 422
		Refund:          true,
		PartialRefund:   true,
		MinRefundMinor:  minMinor,
		SaleMovesMoney:  false,
		LookupSchedule:  slices.Clone(lookupSchedule),
		Notifications:   true,
		NewsHeaders:     []string{signatureHeader, keptHeader},
		RedirectsToPage: true,
	}
}

// unfit says why an order is not even sent; nil if nothing speaks against it.
func (g *Generic) unfit(o connector.Order, kind payment.OperationKind) *connector.Outcome {
	amount := o.Attempt.Amount
	switch {
	case o.Reference() == "":
		return refused(payment.CodeProviderUnavailable, fmt.Sprintf("generic: a %s without an attempt", kind))
	case !slices.Contains(g.currencies, amount.Currency):
		return refused(payment.CodeProviderUnavailable, fmt.Sprintf("generic: a %s in a currency that the account does not have was routed here", kind))
	case amount.Minor < minMinor || amount.Minor > maxMinor:
		return refused(payment.CodeExternalLimit, "")
	}
	return nil
}

// refused is an order that we did not even send.
func refused(code, alarm string) *connector.Outcome {
	return &connector.Outcome{Kind: connector.NotSent, Code: code, Alarm: alarm}
}

// pageURL takes the address of a hosted page for what a browser can be sent to:
// https, or http where the provider itself is reached so (a simulator).
func (g *Generic) pageURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || len(text) > 2048 || strings.ContainsAny(text, " \t\r\n\\") ||
		u.Scheme != "https" && (u.Scheme != "http" || g.base.Scheme != "http") {
		return ""
	}
	return text
}
