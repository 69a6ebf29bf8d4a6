package sms_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"aorta/internal/sandbox/fault"
	"aorta/internal/sandbox/sms"
)

func start(t *testing.T, clock func() time.Time, opts sms.Options) (*sms.Simulator, string) {
	t.Helper()
	opts.Prefix = "/sms"
	s, err := sms.New([]sms.Account{{SID: "AC0", Key: "key"}}, clock, opts)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(func() { s.Close(); server.Close() })
	return s, server.URL + "/sms"
}

func send(t *testing.T, base, key string, form url.Values) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/2010-04-01/Accounts/AC0/Messages.json", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("AC0", key)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func get(t *testing.T, address string) string {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s = %d, %v", address, resp.StatusCode, err)
	}
	return string(text)
}

// TestPhones: the page and the list show what has arrived, escaped; what comes late is
// not there yet; a restarted simulator remembers.
func TestPhones(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	faults := &fault.Queue{}
	s, base := start(t, clock, sms.Options{Faults: faults, LateAfter: time.Minute})
	message := url.Values{"To": {"+919800000001"}, "From": {"AORTA"}, "Body": {"<b>204815</b>"}}
	if status := send(t, base, "key", message); status != http.StatusCreated {
		t.Fatalf("send = %d", status)
	}
	if status := send(t, base, "other", message); status != http.StatusUnauthorized {
		t.Errorf("with another key = %d, want 401", status)
	}
	if err := faults.Add(fault.Rule{Next: fault.Late, Left: 1}); err != nil {
		t.Fatal(err)
	}
	message.Set("To", "+919800000002")
	send(t, base, "key", message)
	if text := get(t, base+"/"); !strings.Contains(text, "&lt;b&gt;204815") || strings.Contains(text, "<b>204815") || strings.Contains(text, "0002") {
		t.Errorf("the page is %s", text)
	}
	now = now.Add(time.Minute)

	again, other := start(t, clock, sms.Options{})
	if err := s.Dump(again.Load); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{base, other} {
		if text := get(t, at+"/inbox?to=%2B919800000002"); strings.Count(text, `"sid":"SM`) != 1 || strings.Contains(text, "0001") {
			t.Errorf("the phone has %s", text)
		}
		if text := get(t, at+"/inbox"); strings.Index(text, "0002") > strings.Index(text, "0001") {
			t.Errorf("not the newest first: %s", text)
		}
	}
	if text := get(t, base+"/inbox"); !strings.Contains(text, `"asked":2`) {
		t.Errorf("asked twice by one who may: %s", text)
	}
}

// TestRefused: what the gateway takes from nobody.
func TestRefused(t *testing.T) {
	t.Parallel()
	_, base := start(t, time.Now, sms.Options{})
	for name, form := range map[string]url.Values{
		"no number":  {"From": {"A"}, "Body": {"x"}},
		"bad number": {"To": {"12345"}, "From": {"A"}, "Body": {"x"}},
		"no sender":  {"To": {"+919800000001"}, "Body": {"x"}},
		"no text":    {"To": {"+919800000001"}, "From": {"A"}},
		"long text":  {"To": {"+919800000001"}, "From": {"A"}, "Body": {strings.Repeat("x", 1601)}},
	} {
		if status := send(t, base, "key", form); status != http.StatusBadRequest {
			t.Errorf("%s = %d, want 400", name, status)
		}
	}
	if text := get(t, base+"/inbox"); !strings.Contains(text, `"messages":[]`) {
		t.Errorf("somebody got something: %s", text)
	}
}
