package main

import (
	"errors"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"aorta/internal/sms"
	"aorta/internal/sms/twilio"
)

const goodSMS = "[sms]\ntype = \"twilio\"\naccount = \"AC0\"\nkey = \"a key of the account\"\nsender = \"AORTA\"\n"

// TestSMSSettings: the example in docs/google.md has every key, and is what it says that
// defaults are.
func TestSMSSettings(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/google.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, found := strings.Cut(string(guide), "```toml\n[sms]\n")
	example, _, _ = strings.Cut("[sms]\n"+example, "```")
	for _, field := range reflect.VisibleFields(reflect.TypeFor[smsConfig]()) {
		if key := field.Tag.Get("toml"); !found || !regexp.MustCompile(`(?m)^[# ]*`+key+` *=`).MatchString(example) {
			t.Errorf("the example has no key %q", key)
		}
	}
	whole := regexp.MustCompile(`(?m)^# `).ReplaceAllString(example, "")
	whole = strings.NewReplacer(`"AC…"`, `"AC0"`, `"SK…"`, `"AC0"`, `"…"`, `"a key of the account"`).Replace(whole)
	said, err := loaded(t, walletProject+whole)
	if err != nil {
		t.Fatal(err)
	}
	short, err := loaded(t, walletProject+strings.Replace(goodSMS, "AORTA", "YOURNAME", 1))
	if err != nil {
		t.Fatal(err)
	}
	a, errA := said.SMS.codes(nil)
	b, errB := short.SMS.codes(nil)
	if errA != nil || errB != nil || a.Text != b.Text || a.PerHour != b.PerHour || a.PerDay != b.PerDay || said.SMS.BaseURL != twilio.DefaultBaseURL {
		t.Errorf("the example is %+v (%v), the shortest %+v (%v)", a, errA, b, errB)
	}
	var none *smsConfig
	if c, err := none.codes(nil); err != nil || c.Sender != nil || c.Text == (sms.Text{}) {
		t.Errorf("without [sms]: %+v, %v", c, err)
	}
}

// TestSMSMistakes: each is told with its line and its field, and no key is repeated.
func TestSMSMistakes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, key, says string }{
		{"type", strings.Replace(goodSMS, "twilio", "smpp", 1), "type", `"twilio"`},
		{"account", strings.Replace(goodSMS, "AC0", "", 1), "account", "SID"},
		{"key", strings.Replace(goodSMS, "a key of the account", "short-one", 1), "key", "at least"},
		{"sender", strings.Replace(goodSMS, "AORTA", "A name that is too long", 1), "sender", "E.164"},
		{"base URL", goodSMS + "base_url = \"sms.example\"\n", "base_url", "https://"},
		{"text", goodSMS + "text = \"Your code is {code}\"\n", "text", "{token} once"},
		{"long text", goodSMS + "text = \"" + strings.Repeat("x", 150) + " {code} {token}\"\n", "text", "one message has 160"},
		{"per hour", goodSMS + "per_hour = 0\n", "per_hour", "1 to"},
		{"per day", goodSMS + "per_day = 1000\n", "per_day", "1 to"},
		{"user", goodSMS + "user = \"a b\"\n", "user", "API key"},
	} {
		text := walletProject + tt.text
		line := strconv.Itoa(1 + strings.Count(text[:strings.LastIndex(text, "\n"+tt.key+" ")+1], "\n"))
		_, err := loaded(t, text)
		if err == nil || !strings.Contains(err.Error(), ":"+line+": [sms] "+tt.key+": ") || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "short-one") {
			t.Errorf("%s: %v, want line %s and %q", tt.name, err, line, tt.says)
		}
		var field *twilio.FieldError
		if !errors.As(err, &field) {
			t.Errorf("%s: %v names no field", tt.name, err)
		}
	}
}

// TestSMSKeyOfEnvironment: the key need not be in the file.
func TestSMSKeyOfEnvironment(t *testing.T) {
	t.Parallel()
	text := walletProject + strings.Replace(goodSMS, "key = \"a key of the account\"\n", "", 1)
	if _, err := loaded(t, text, "AORTA_SMS_KEY", "a key of the account"); err != nil {
		t.Error(err)
	}
	if _, err := loaded(t, text); err == nil {
		t.Error("without any key it was taken")
	}
}

// TestSMSDoctor: a gateway in the clear is no gateway for codes.
func TestSMSDoctor(t *testing.T) {
	t.Parallel()
	google := []hostedGoogle{{}}
	at := func(base string) *smsConfig { return &smsConfig{BaseURL: base} }
	for _, tt := range []struct {
		name string
		cfg  settings
		want verdict
	}{
		{"neither", settings{}, ""},
		{"Google without SMS", settings{Google: google}, checkWarn},
		{"SMS without Google", settings{SMS: at("")}, checkWarn},
		{"both", settings{SMS: at(""), Google: google}, checkOK},
		{"a simulator", settings{SMS: at("http://127.0.0.1:8082/sms"), Google: google}, checkOK},
		{"in the clear", settings{SMS: at("http://sms.example"), Google: google}, checkFail},
	} {
		var e examination
		e.sms(tt.cfg)
		var got verdict
		if len(e.checks) > 0 {
			got = e.checks[0].Verdict
		}
		if got != tt.want || len(e.checks) > 1 {
			t.Errorf("%s: %+v, want %q", tt.name, e.checks, tt.want)
		}
	}
}
