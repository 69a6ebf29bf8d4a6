package paytm

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"aorta/internal/connector"
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

// DefaultCallTimeout bounds one call. security.md S21 says 15 s and means waiting
// for the answer, which the transport bounds; the other five are the dial's.
const DefaultCallTimeout = 20 * time.Second

// ownIdle are the connections that an account keeps which shares none.
const ownIdle = 512

// Config is one merchant account at Paytm. All but the marked ones are needed.
type Config struct {
	BaseURL  string // "https://secure.paytmpayments.com"; a path below it is kept, for simulators
	MID      string // merchant id, at most 20 characters
	Key      Secret // merchant key, 16 bytes
	Website  string // "DEFAULT", in staging "WEBSTAGING"
	ClientID string // optional: only for merchants with several keys, "C11"

	Now    func() time.Time
	Random io.Reader // for salts; it is read by many goroutines at once

	Transport   http.RoundTripper // optional: nil keeps connections of its own
	CallTimeout time.Duration     // optional: for one call; 0 means DefaultCallTimeout
}

// Paytm is the connector of one merchant account. It is safe for concurrent use.
type Paytm struct {
	mid, website, clientID string
	now                    func() time.Time
	timeout                time.Duration
	checksum               *Checksummer
	transport              http.RoundTripper
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
	base, err := parseBase(c.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("paytm: base URL: %w", err)
	}
	switch {
	case !isName(c.MID, 20):
		return nil, errors.New("paytm: the MID must be 1 to 20 letters and digits")
	case !isName(c.Website, 64):
		return nil, errors.New("paytm: the website name must be 1 to 64 letters and digits, usually DEFAULT (WEBSTAGING in staging)")
	case c.ClientID != "" && !isName(c.ClientID, 16):
		return nil, errors.New("paytm: the client id must be at most 16 letters and digits, or empty")
	case c.Now == nil, c.Random == nil:
		return nil, errors.New("paytm: a clock and a source of randomness are needed")
	case c.CallTimeout < 0:
		return nil, errors.New("paytm: the call timeout must not be negative")
	}
	checksum, err := NewChecksummer(c.Key.reveal(), c.Random)
	if err != nil {
		return nil, err
	}
	p := &Paytm{
		mid: c.MID, website: c.Website, clientID: c.ClientID,
		now: c.Now, timeout: c.CallTimeout, checksum: checksum, transport: c.Transport,
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
	if p.timeout == 0 {
		p.timeout = DefaultCallTimeout
	}
	if p.transport == nil {
		p.transport = connector.NewTransport(ownIdle)
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

// parseBase refuses what would make every URL wrong. Plain http is let through
// for simulators; which it is the operator reads in the setting (S23).
func parseBase(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("it cannot be read") // url's error would repeat a password in it
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http", u.Host == "":
		return nil, errors.New("it must be https://host")
	case u.User != nil, u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return nil, errors.New("it must have no user, query or fragment")
	}
	u.Path = strings.TrimRight(u.Path, "/") + "/"
	return u, nil
}

// isName holds for 1 to max characters that need no escaping in JSON or a query.
func isName(text string, limit int) bool {
	return text != "" && len(text) <= limit && !strings.ContainsFunc(text, func(r rune) bool { return !nameRune(r) })
}

func nameRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-'
}
