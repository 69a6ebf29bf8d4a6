package main

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"time"

	"aorta/internal/connector"
	"aorta/internal/connector/exchange"
	"aorta/internal/connector/generic"
	"aorta/internal/connector/paytm"
	"aorta/internal/money"
)

// connect is the one list of PSPs: it makes the connector of an account, which
// reaches its PSP by transport.
func connect(c connectorConfig, transport http.RoundTripper) (connector.Connector, error) {
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

// connectorsByName makes all accounts' connectors and the look-up that the
// flows use. Together they keep at most idle connections while nothing is asked.
func connectorsByName(list []connectorConfig, idle int) (func(name, account string) (connector.Connector, bool), error) {
	type key struct{ name, account string }
	made := make(map[key]connector.Connector, len(list))
	transport := connector.NewTransport(idle)
	for _, c := range list {
		conn, err := connect(c, transport)
		if err != nil {
			return nil, err
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
