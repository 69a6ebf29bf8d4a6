package paytm

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"aorta/internal/connector"
	"aorta/internal/connector/exchange"
	"aorta/internal/money"
)

// What Paytm takes (paytm.md sections 1 and 7). Paytm knows only rupees.
const (
	currency       = money.Currency("INR")
	minMinor       = 1_00
	maxMinor       = 9_999_999_99
	minRefundMinor = 1_00 // 635: "Partial Refund under Rupee 1 is not allowed"
)

// lookupSchedule is Paytm's own advice, 30 s, 2 m and 5 m after acceptance; the
// last step repeats until our limit time (paytm.md section 5).
var lookupSchedule = []time.Duration{30 * time.Second, 90 * time.Second, 3 * time.Minute}

// Config is one merchant account at Paytm. All but the marked ones are needed.
type Config struct {
	BaseURL  string          // "https://secure.paytmpayments.com"; a path below it is kept, for simulators
	MID      string          // merchant id, at most 20 characters
	Key      exchange.Secret // merchant key, 16 bytes
	Website  string          // "DEFAULT", in staging "WEBSTAGING"
	ClientID string          // optional: only for merchants with several keys, "C11"

	Now    func() time.Time
	Random io.Reader // for salts; it is read by many goroutines at once

	Transport   http.RoundTripper // optional: nil keeps connections of its own
	CallTimeout time.Duration     // optional: for one call; 0 means exchange.DefaultTimeout
}

// Paytm is the connector of one merchant account. It is safe for concurrent use.
type Paytm struct {
	mid, website, clientID string
	now                    func() time.Time
	checksum               *Checksummer
	peer                   *exchange.Peer
	header                 http.Header // shared by all requests; a RoundTripper must not change it

	initiate, orderStatus, refundApply, refundStatus *url.URL

	initiateQuery string // the order id follows
	pageURL       string // the order id follows
	headStart     string // of an initiate's head; the timestamp follows
	headEnd       string // what follows the timestamp
	refundHead    string
}

var (
	_ connector.Connector          = (*Paytm)(nil)
	_ connector.Looker             = (*Paytm)(nil)
	_ connector.Refunder           = (*Paytm)(nil)
	_ connector.NotificationReader = (*Paytm)(nil)
)

// New makes the connector of one account. An error says which setting is wrong,
// never the key's text. Nothing is sent.
func New(c Config) (*Paytm, error) {
	base, err := exchange.Base(c.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("paytm: base URL: %w", err)
	}
	switch {
	case !exchange.IsName(c.MID, 20):
		return nil, errors.New("paytm: the MID must be 1 to 20 letters and digits")
	case !exchange.IsName(c.Website, 64):
		return nil, errors.New("paytm: the website name must be 1 to 64 letters and digits, usually DEFAULT (WEBSTAGING in staging)")
	case c.ClientID != "" && !exchange.IsName(c.ClientID, 16):
		return nil, errors.New("paytm: the client id must be at most 16 letters and digits, or empty")
	case c.Now == nil, c.Random == nil:
		return nil, errors.New("paytm: a clock and a source of randomness are needed")
	case c.CallTimeout < 0:
		return nil, errors.New("paytm: the call timeout must not be negative")
	}
	checksum, err := NewChecksummer(c.Key.Reveal(), c.Random)
	if err != nil {
		return nil, err
	}
	p := &Paytm{
		mid: c.MID, website: c.Website, clientID: c.ClientID,
		now: c.Now, checksum: checksum, peer: exchange.New(exchange.Options{Transport: c.Transport, Timeout: c.CallTimeout}),
		header: http.Header{
			"Content-Type": {"application/json"},
			"Accept":       {"application/json"},
			"User-Agent":   {"Aorta"},
		},
		initiate:      base.JoinPath("theia/api/v1/initiateTransaction"),
		orderStatus:   base.JoinPath("v3/order/status"),
		refundApply:   base.JoinPath("refund/apply"),
		refundStatus:  base.JoinPath("v2/refund/status"),
		initiateQuery: "mid=" + c.MID + "&orderId=",
		headStart:     `"version":"v1","channelId":"WEB","requestTimestamp":"`,
		headEnd:       `",`,
	}
	p.pageURL = base.JoinPath("theia/api/v1/showPaymentPage").String() + "?" + p.initiateQuery
	if c.ClientID != "" {
		p.headEnd += `"clientId":"` + c.ClientID + `",`
		p.refundHead = `"clientId":"` + c.ClientID + `",`
	}
	return p, nil
}

// Capabilities says what Paytm can do for us (paytm.md section 7, ecommpay.md
// section 2.5): no capture, no void, no payout, no saved instrument.
func (p *Paytm) Capabilities() connector.Capabilities {
	return connector.Capabilities{
		Methods:        []string{"paytm-wallet"},
		Currencies:     []money.Currency{currency},
		MinMinor:       minMinor,
		MaxMinor:       maxMinor,
		Refund:         true,
		PartialRefund:  true,
		MinRefundMinor: minRefundMinor,
		// Initiate makes a page token; the money moves when the customer pays there.
		SaleMovesMoney:  false,
		LookupSchedule:  slices.Clone(lookupSchedule),
		Notifications:   true,
		RedirectsToPage: true,
	}
}
