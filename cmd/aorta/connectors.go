package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"aorta/internal/connector"
	"aorta/internal/connector/exchange"
	"aorta/internal/connector/generic"
	"aorta/internal/connector/paytm"
	"aorta/internal/money"
)

var (
	// errNoKey: the account has no key, so nothing that its PSP sends could be
	// verified. Give it one.
	errNoKey = errors.New("it has no key: what its provider sends could not be verified")
	// errUnverified: the connector takes what nobody has signed, or can read no
	// notification at all. Only a demo may use it.
	errUnverified = errors.New("its connector cannot verify what the provider sends, and is for the demo alone")
)

// connect is the one list of PSPs: it makes the connector of an account, which
// reaches its PSP by transport.
func connect(c connectorConfig, transport http.RoundTripper) (connector.Connector, error) {
	if c.Key == "" && (c.Name == "paytm" || c.Name == "generic") {
		return nil, fmt.Errorf("account %s: %w", c.Account, errNoKey)
	}
	switch c.Name {
	case "paytm":
		p, err := paytm.New(paytm.Config{
			BaseURL: c.BaseURL, MID: c.MID, Key: exchange.NewSecret(c.Key), Website: c.Website, Now: time.Now, Random: rand.Reader,
			Transport: transport,
		})
		if err != nil {
			return nil, fmt.Errorf("account %s: %w", c.Account, err)
		}
		return p, nil
	case "generic":
		if c.MID == "" {
			c.MID = c.Account
		}
		var currencies []money.Currency
		for _, each := range c.Currencies {
			currencies = append(currencies, money.Currency(each))
		}
		g, err := generic.New(generic.Config{
			BaseURL: c.BaseURL, Account: c.MID, Secret: exchange.NewSecret(c.Key), Currencies: currencies, Now: time.Now, Transport: transport,
		})
		if err != nil {
			return nil, fmt.Errorf("account %s: %w", c.Account, err)
		}
		return g, nil
	}
	return nil, fmt.Errorf("connector %q does not exist; there are paytm and generic", c.Name)
}

// verifies reports whether a connector tells its provider's notifications from
// those of strangers: one that has no signature must not be read.
func verifies(c connector.Connector) bool {
	reader, ok := c.(connector.NotificationReader)
	if !ok {
		return false
	}
	for _, body := range []string{"", "{}", "a=b"} {
		if _, err := reader.ReadNotification(connector.Notification{Method: http.MethodPost, Header: http.Header{}, Body: []byte(body)}); err == nil {
			return false
		}
	}
	return true
}

// maker makes the connector of an account: connect, but in tests.
type maker func(connectorConfig, http.RoundTripper) (connector.Connector, error)

// connectorsByName makes all accounts' connectors and the look-up that the
// flows use. Together they keep at most idle connections while nothing is asked.
// Outside of a demo each must verify what its provider sends.
func connectorsByName(list []connectorConfig, idle int, demo bool, connect maker) (accounts, error) {
	type key struct{ name, account string }
	made := make(map[key]connector.Connector, len(list))
	transport := connector.NewTransport(idle)
	for _, c := range list {
		conn, err := connect(c, transport)
		if err != nil {
			return nil, err
		}
		if !demo && !verifies(conn) {
			return nil, fmt.Errorf("account %s: %w", c.Account, errUnverified)
		}
		if _, twice := made[key{c.Name, c.Account}]; twice {
			return nil, fmt.Errorf("connector %s/%s is there twice", c.Name, c.Account)
		}
		made[key{c.Name, c.Account}] = conn
	}
	return func(name, account string) (connector.Connector, bool) {
		c, ok := made[key{name, account}]
		return c, ok
	}, nil
}
