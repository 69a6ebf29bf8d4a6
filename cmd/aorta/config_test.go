package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"aorta/internal/money"
)

// loaded reads a configuration with the environment given as name, value, …
func loaded(t *testing.T, text string, env ...string) (settings, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "aorta.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return load(path, func(name string) string {
		for i := 0; i+1 < len(env); i += 2 {
			if env[i] == name {
				return env[i+1]
			}
		}
		return ""
	})
}

func TestGateRate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text string
		env        string
		want       float64
		err        string
	}{
		{name: "none"},
		{name: "in the file", text: "gate_rate = 50", want: 50},
		{name: "of a fraction", text: "gate_rate = 0.5", want: 0.5},
		{name: "the environment wins", text: "gate_rate = 50", env: "20", want: 20},
		{name: "none by the environment", text: "gate_rate = 50", env: "0", want: 0},
		{name: "less than none", text: "gate_rate = -1", err: "gate_rate"},
		{name: "not a number", env: "NaN", err: "gate_rate"},
		{name: "a word", env: "fast", err: "AORTA_GATE_RATE"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, err := loaded(t, test.text, "AORTA_GATE_RATE", test.env)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("load() = %v, want an error that names %s", err, test.err)
				}
				return
			}
			if err != nil || s.GateRate != test.want {
				t.Errorf("load() = %v, %v, want %v", s.GateRate, err, test.want)
			}
		})
	}
}

func TestInsecureCallbacksWherePrivateNetworksAreAllowed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"": false, `callback_networks = ["10.1.0.0/16"]`: true} {
		s, err := loaded(t, text)
		if err != nil || s.insecureCallbacks() != want {
			t.Errorf("%q: insecureCallbacks() = %t, %v, want %t", text, s.insecureCallbacks(), err, want)
		}
	}
	if s := (demoCmd{}).settings("http://127.0.0.1:1", demoHouse{secret: "secret"}); !s.insecureCallbacks() {
		t.Error("the demo asks for https callbacks")
	}
}

// TestGenericMethods: a method in several currencies is several methods, and a
// project may take some of them.
func TestGenericMethods(t *testing.T) {
	t.Parallel()
	base := "data = \"d\"\n[[connector]]\nname = \"generic\"\naccount = \"main\"\nbase_url = \"https://psp.example\"\nkey = \"at least 14 characters\"\n" +
		"[[project]]\nid = 1\nsecret = \"s\"\n"
	method := func(rest string) string {
		return base + "[[project.method]]\ncode = \"generic-card\"\naccount = \"main\"\n" + rest
	}
	tests := []struct {
		name, text string
		want       []money.Currency // none: refused
		err        string
	}{
		{name: "all", text: method(""), want: []money.Currency{"EUR", "INR", "JPY"}},
		{name: "two", text: method("currencies = [\"JPY\", \"EUR\"]\n"), want: []money.Currency{"EUR", "JPY"}},
		{name: "one that it has not", text: method("currencies = [\"EUR\", \"USD\"]\n"), err: "in all of EUR, USD"},
		{name: "one twice", text: method("currencies = [\"EUR\"]\n[[project.method]]\ncode = \"generic-card\"\naccount = \"main\"\n"), err: "there twice in EUR"},
		{name: "no such method", text: strings.Replace(method(""), "generic-card", "generic-cash", 1), err: "does not exist"},
	}
	for _, test := range tests {
		cfg, err := loaded(t, test.text)
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: %v, want an error with %q", test.name, err, test.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got := cfg.Projects[0].CurrenciesOf("generic-card"); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	if _, err := connect(connectorConfig{Name: "generic", Account: "main", BaseURL: "https://psp.example", Key: "short"}, nil); err == nil {
		t.Error("a generic account with a short secret was made")
	}
	if _, err := connect(connectorConfig{Name: "generic", Account: "main", BaseURL: "https://psp.example", Key: "at least 14 characters", Currencies: []string{"XYZ"}}, nil); err == nil {
		t.Error("a generic account in no currency was made")
	}
}
