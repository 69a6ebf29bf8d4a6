package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"aorta/internal/connector"
	"aorta/internal/connector/exchange"
	"aorta/internal/verification"
	"aorta/internal/verification/hosted"
	"aorta/internal/verification/manual"
)

// kycConfig is one provider that checks who customers are (docs/kyc.md).
type kycConfig struct {
	Name    string  `toml:"name"`   // ours for it, and part of its webhook's address: /n/kyc/{name}
	Type    string  `toml:"type"`   // "hosted": it has a page and a webhook; "manual": an operator decides
	Levels  []int64 `toml:"levels"` // that it checks for; all unless it says
	BaseURL string  `toml:"base_url"`
	Account string  `toml:"account"` // the provider's name of the account; as name if empty
	Key     string  `toml:"key"`     // the secret that signs both ways

	Screening bool `toml:"screening"` // it searches lists of sanctions for whom it has passed, every day and at payouts
}

// maxProviders bounds the list.
const maxProviders = 16

// verifiers makes the providers, and the key that persons are known again by.
func verifiers(list []kycConfig, personKey string) (verification.Directory, verification.PersonKey, error) {
	var directory verification.Directory
	var persons verification.PersonKey
	if len(list) == 0 {
		return nil, persons, nil
	}
	if len(list) > maxProviders {
		return nil, persons, fmt.Errorf("at most %d providers", maxProviders)
	}
	persons, err := verification.NewPersonKey(exchange.NewSecret(personKey))
	if err != nil {
		return nil, persons, fmt.Errorf("kyc_person_key: %w", err)
	}
	transport := connector.NewTransport(len(list))
	for _, c := range list {
		provider, err := c.provider(transport)
		if err != nil {
			return nil, persons, fmt.Errorf("kyc %q: %w", c.Name, err)
		}
		if _, twice := directory.Of(c.Name); twice {
			return nil, persons, fmt.Errorf("kyc %q is there twice", c.Name)
		}
		if len(c.Levels) == 0 {
			c.Levels = []int64{1, 2, 3}
		}
		for _, level := range c.Levels {
			if level < verification.MinLevel || level > verification.MaxLevel {
				return nil, persons, fmt.Errorf("kyc %q: levels are %d to %d, not %d", c.Name, verification.MinLevel, verification.MaxLevel, level)
			}
			if other, taken := directory.For(level); taken {
				return nil, persons, fmt.Errorf("kyc %q: level %d is checked by %q already", c.Name, level, other.Name)
			}
		}
		directory = append(directory, verification.Named{Name: c.Name, Levels: slices.Clone(c.Levels), Provider: provider})
	}
	return directory, persons, nil
}

func (c kycConfig) provider(transport http.RoundTripper) (verification.Provider, error) {
	if !exchange.IsName(c.Name, 64) {
		return nil, errors.New("its name must be 1 to 64 letters, digits, _ and -")
	}
	switch c.Type {
	case "manual":
		if c.BaseURL != "" || c.Account != "" || c.Key != "" || c.Screening {
			return nil, errors.New("a manual one has neither base_url nor account nor key nor screening: an operator decides")
		}
		return manual.Manual{}, nil
	case "hosted":
		if c.Account == "" {
			c.Account = c.Name
		}
		h, err := hosted.New(hosted.Config{
			BaseURL: c.BaseURL, Account: c.Account, Secret: exchange.NewSecret(c.Key), Now: time.Now, Transport: transport,
		})
		if err == nil && c.Screening {
			return hosted.Screening{Hosted: h}, nil
		}
		return h, err
	}
	return nil, fmt.Errorf("type %q does not exist; there are hosted and manual", c.Type)
}
