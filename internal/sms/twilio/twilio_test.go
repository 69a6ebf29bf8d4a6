package twilio_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"aorta/internal/connector/exchange"
	"aorta/internal/customer"
	"aorta/internal/sandbox/fault"
	sim "aorta/internal/sandbox/sms"
	"aorta/internal/sms"
	"aorta/internal/sms/twilio"
)

const key = "a key of the account"

func gateway(t *testing.T, base string, change func(*twilio.Config)) *twilio.Gateway {
	t.Helper()
	c := twilio.Config{
		BaseURL: base, Account: "AC0", Key: exchange.NewSecret(key), Sender: "AORTA", CallTimeout: 2 * time.Second,
		Transport: &http.Transport{DisableKeepAlives: true},
	}
	if change != nil {
		change(&c)
	}
	g, err := twilio.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func message(t *testing.T, to string) sms.Message {
	t.Helper()
	p, err := customer.ParsePhone(to)
	if err != nil {
		t.Fatal(err)
	}
	return sms.Message{To: p, Text: "Your code is 204815 & more.\nQ7w8E9r0T1y", Life: 5 * time.Minute}
}

// phones is the simulator behind a listener.
type phones struct {
	url    string
	faults *fault.Queue
}

func start(t *testing.T) phones {
	t.Helper()
	faults := &fault.Queue{}
	s, err := sim.New([]sim.Account{{SID: "AC0", Key: key}}, time.Now, sim.Options{
		Prefix: "/sms", Faults: faults, LateAfter: time.Hour, SlowFor: 20 * time.Millisecond, HoldFor: 20 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(func() { s.Close(); server.Close() })
	return phones{server.URL + "/sms", faults}
}

func (p phones) inbox(t *testing.T, to string) (got []sim.Message) {
	t.Helper()
	resp, err := http.Get(p.url + "/inbox?to=" + url.QueryEscape(to))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct{ Messages []sim.Message }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer.Messages
}

// TestOutcomes: what the gateway does, and what we make of it. A message that may
// have arrived is never taken for one that did not.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		next    fault.Behaviour
		to      string
		want    sms.Kind
		arrives bool
		alarm   bool
	}{
		{name: "brought", next: fault.Approve, want: sms.Accepted, arrives: true},
		{name: "slow", next: fault.Slow, want: sms.Accepted, arrives: true},
		{name: "to nobody", next: fault.Silent, want: sms.Accepted},
		{name: "later", next: fault.Late, want: sms.Accepted},
		{name: "stopped by its owner", next: fault.Decline, want: sms.Refused},
		{name: "answer lost", next: fault.Timeout, want: sms.Unknown, arrives: true},
		{name: "broken", next: fault.HTTP500, want: sms.Unknown},
		{name: "too often", next: fault.HTTP429, want: sms.NotSent},
		{name: "no number", to: "+15005550001", want: sms.BadNumber},
		{name: "no way", to: "+15005550002", want: sms.Refused, alarm: true},
		{name: "not allowed there", to: "+15005550003", want: sms.Refused, alarm: true},
		{name: "blocked", to: "+15005550004", want: sms.Refused},
		{name: "landline", to: "+15005550009", want: sms.BadNumber},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			if test.next != "" {
				if err := p.faults.Add(fault.Rule{Next: test.next, Left: 1}); err != nil {
					t.Fatal(err)
				}
			}
			if test.to == "" {
				test.to = "+919800000001"
			}
			m := message(t, test.to)
			out := gateway(t, p.url, nil).Send(t.Context(), m)
			if out.Kind != test.want || (out.Alarm != "") != test.alarm || (out.ProviderID != "") != (test.want == sms.Accepted) {
				t.Errorf("Send = %+v, want %s", out, test.want)
			}
			for _, text := range []string{out.Reason, out.Alarm} {
				if strings.Contains(text, test.to[1:]) || strings.Contains(text, "204815") {
					t.Errorf("the outcome tells the number or the text: %q", text)
				}
			}
			got := p.inbox(t, test.to)
			if (len(got) == 1) != test.arrives || len(got) == 1 && (got[0].Text != m.Text || got[0].From != "AORTA") {
				t.Errorf("the phone has %+v, arrives %v", got, test.arrives)
			}
		})
	}
}

// TestAnswers: answers that the simulator does not give.
func TestAnswers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		status int
		body   string
		want   sms.Kind
		alarm  bool
	}{
		{name: "accepted", status: 201, body: `{"sid":"SM1","status":"accepted","error_code":null}`, want: sms.Accepted},
		{name: "of another maker", status: 200, body: `{"sid":"8a","status":"queued"}`, want: sms.Accepted},
		{name: "failed at once", status: 201, body: `{"sid":"SM1","status":"failed","error_code":30006}`, want: sms.BadNumber},
		{name: "failed, nobody says why", status: 201, body: `{"sid":"SM1","status":"undelivered","error_code":null}`, want: sms.Refused},
		{name: "a code, yet under way", status: 201, body: `{"sid":"SM1","status":"queued","error_code":30006}`, want: sms.Accepted},
		{name: "no name", status: 201, body: `{"status":"queued"}`, want: sms.Unknown, alarm: true},
		{name: "no JSON", status: 200, body: `<html>`, want: sms.Unknown, alarm: true},
		{name: "wrong key", status: 401, body: `{"code":20003,"message":"Authenticate","status":401}`, want: sms.NotSent, alarm: true},
		{name: "wrong sender", status: 400, body: `{"code":21603,"message":"","status":400}`, want: sms.NotSent, alarm: true},
		{name: "wrong place", status: 404, body: `not here`, want: sms.NotSent, alarm: true},
		{name: "conflict", status: 409, body: `{}`, want: sms.Unknown, alarm: true},
		{name: "redirect", status: 302, body: ``, want: sms.Unknown, alarm: true},
		{name: "unavailable", status: 503, body: `{"code":20503}`, want: sms.Unknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				w.Write([]byte(test.body))
			}))
			defer server.Close()
			if out := gateway(t, server.URL, nil).Send(t.Context(), message(t, "+919800000001")); out.Kind != test.want || (out.Alarm != "") != test.alarm {
				t.Errorf("Send = %+v, want %s, alarm %v", out, test.want, test.alarm)
			}
		})
	}
}

// TestRequest: what is sent is what the protocol's documentation says, with nothing of
// the message in the URL.
func TestRequest(t *testing.T) {
	t.Parallel()
	seen := make(chan *http.Request, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		seen <- r
		w.WriteHeader(http.StatusCreated)
		w.Write([]byte(`{"sid":"SM1","status":"queued"}`))
	}))
	defer server.Close()
	service := "MG" + strings.Repeat("0", 32)
	g := gateway(t, server.URL+"/api/laml", func(c *twilio.Config) { c.User, c.Sender = "SK1", service })
	m := message(t, "+919800000001")
	if out := g.Send(t.Context(), m); out.Kind != sms.Accepted || out.ProviderID != "SM1" {
		t.Fatalf("Send = %+v", out)
	}
	r := <-seen
	user, password, _ := r.BasicAuth()
	want := url.Values{"To": {"+919800000001"}, "MessagingServiceSid": {service}, "Body": {m.Text}, "ValidityPeriod": {"300"}}
	if r.Method != http.MethodPost || r.RequestURI != "/api/laml/2010-04-01/Accounts/AC0/Messages.json" || user != "SK1" || password != key || r.PostForm.Encode() != want.Encode() {
		t.Errorf("%s %s by %s with %v, want %v", r.Method, r.RequestURI, user, r.PostForm, want)
	}
}

// TestNotSent: without a connection nothing can have been sent; a caller that stops
// waiting says nothing.
func TestNotSent(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + l.Addr().String()
	l.Close()
	if out := gateway(t, address, nil).Send(t.Context(), message(t, "+919800000001")); out.Kind != sms.NotSent {
		t.Errorf("nobody listens: %+v, want not_sent", out)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if out := gateway(t, address, nil).Send(ctx, message(t, "+919800000001")); out.Kind != sms.Unknown {
		t.Errorf("the caller has gone: %+v, want unknown", out)
	}
}

// TestNew: each wrong setting is named, and the key never.
func TestNew(t *testing.T) {
	t.Parallel()
	tests := []struct {
		field  string
		change func(*twilio.Config)
	}{
		{"base_url", func(c *twilio.Config) { c.BaseURL = "ftp://x" }},
		{"account", func(c *twilio.Config) { c.Account = "" }},
		{"user", func(c *twilio.Config) { c.User = "a/b" }},
		{"key", func(c *twilio.Config) { c.Key = exchange.NewSecret("tooshort") }},
		{"sender", func(c *twilio.Config) { c.Sender = "" }},
		{"sender", func(c *twilio.Config) { c.Sender = "ANAMETHATISLONG" }},
		{"sender", func(c *twilio.Config) { c.Sender = "12" }},
		{"sender", func(c *twilio.Config) { c.Sender = "+0123" }},
		{"call_timeout", func(c *twilio.Config) { c.CallTimeout = -1 }},
	}
	good := twilio.Config{Account: "AC0", Key: exchange.NewSecret(key), Sender: "+15005550006"}
	for _, sender := range []string{"AORTA", "My Shop 1", "12345", "+15005550006", "MG" + strings.Repeat("a", 32)} {
		c := good
		c.Sender = sender
		if _, err := twilio.New(c); err != nil {
			t.Errorf("sender %q: %v", sender, err)
		}
	}
	for _, test := range tests {
		c := good
		test.change(&c)
		_, err := twilio.New(c)
		var field *twilio.FieldError
		if !errors.As(err, &field) || field.Field != test.field || strings.Contains(err.Error(), "tooshort") {
			t.Errorf("wrong %s: %v", test.field, err)
		}
	}
}
