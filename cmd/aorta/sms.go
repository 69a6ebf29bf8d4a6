package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"aorta/internal/connector/exchange"
	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/risk"
	"aorta/internal/sms"
	"aorta/internal/sms/twilio"
)

// smsConfig is the gateway that codes are sent by (docs/google.md, "Codes by SMS").
type smsConfig struct {
	Type    string `toml:"type"` // "twilio": the protocol, whoever speaks it
	BaseURL string `toml:"base_url"`
	Account string `toml:"account"`
	User    string `toml:"user"`
	Key     string `toml:"key"`
	Sender  string `toml:"sender"`
	Text    string `toml:"text"`
	PerHour *int64 `toml:"per_hour"` // to one customer
	PerDay  *int64 `toml:"per_day"`
}

// smsConnections are kept to the gateway while nothing is sent.
const smsConnections = 4

// codes makes what flows send codes by; nothing is sent. A nil configuration sends
// nothing. Errors are joined FieldErrors of package twilio.
func (c *smsConfig) codes(transport http.RoundTripper) (flow.Codes, error) {
	if c == nil {
		text, err := sms.NewText(sms.DefaultText)
		return flow.Codes{Text: text}, err
	}
	out := flow.Codes{PerHour: flow.DefaultPerHour, PerDay: flow.DefaultPerDay}
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, &twilio.FieldError{Field: field, What: fmt.Sprintf(format, args...)})
	}
	for _, n := range []struct {
		field string
		said  *int64
		into  *int64
	}{{"per_hour", c.PerHour, &out.PerHour}, {"per_day", c.PerDay, &out.PerDay}} {
		if n.said == nil {
			continue
		}
		if *n.said < 1 || *n.said > fop.MaxSendings {
			wrong(n.field, "write how many codes one customer gets at most: 1 to %d", fop.MaxSendings)
			continue
		}
		*n.into = *n.said
	}
	text := c.Text
	if text == "" {
		text = sms.DefaultText
	}
	var err error
	if out.Text, err = sms.NewText(text); err != nil {
		wrong("text", "%v", err)
	}
	if c.Type != "twilio" {
		wrong("type", "write \"twilio\": the protocol of Twilio's Messages, which other gateways speak too")
		return flow.Codes{}, errors.Join(errs...)
	}
	gateway, err := twilio.New(twilio.Config{
		BaseURL: c.BaseURL, Account: c.Account, User: c.User, Key: exchange.NewSecret(c.Key), Sender: c.Sender, Transport: transport,
	})
	if err != nil {
		errs = append(errs, flat(err)...)
	}
	out.Sender = gateway
	if len(errs) > 0 {
		return flow.Codes{}, errors.Join(errs...)
	}
	return out, nil
}

// addSMS checks the gateway of a file, and gives each problem its line.
func (s *settings) addSMS(c *smsConfig, path string, env func(string) string) error {
	if c == nil {
		return nil
	}
	if v := env("AORTA_SMS_KEY"); v != "" {
		c.Key = v
	}
	s.SMS = c
	_, err := c.codes(nil)
	if err == nil {
		return nil
	}
	text, unread := os.ReadFile(path)
	if unread != nil {
		return fmt.Errorf("read configuration: %w", unread)
	}
	var errs []error
	for _, e := range flat(err) {
		key := "sms"
		var field *twilio.FieldError
		if errors.As(e, &field) {
			key += "." + field.Field
		}
		errs = append(errs, fmt.Errorf("%s:%d: [sms] %w", path, risk.LineIn(string(text), key), e))
	}
	return errors.Join(errs...)
}

// sms says by whom codes are sent.
func (e *examination) sms(cfg settings) {
	switch {
	case cfg.SMS == nil && len(cfg.Google) == 0:
		return
	case cfg.SMS == nil:
		e.warn("SMS", "add [sms] to the configuration, unless all links are made by the redirect page", "no gateway: sendOtp is declined")
		return
	}
	base := cfg.SMS.BaseURL
	if base == "" {
		base = twilio.DefaultBaseURL
	}
	if u, err := url.Parse(base); err != nil || u.Scheme != "https" && !loopback(u.Hostname()) {
		e.fail("SMS", "use https: codes are in what is sent", "the gateway is reached by %s", base)
		return
	}
	if len(cfg.Google) == 0 {
		e.warn("SMS", "nothing, if a [[google]] is to come", "%s is configured, and nothing sends by it", base)
		return
	}
	e.ok("SMS", "by %s", base)
}
