package main

import (
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

func TestParseSpan(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"2s": 2 * time.Second, "200ms": 200 * time.Millisecond, "1m30s": 90 * time.Second, "3": 3 * time.Second, " 5 ": 5 * time.Second,
		"0": 0, "0.5s": 500 * time.Millisecond,
	} {
		if got, err := parseSpan(text); err != nil || got != want {
			t.Errorf("parseSpan(%q) = %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0.5", "1 m", "soon", "99999999999999"} {
		if got, err := parseSpan(text); err == nil {
			t.Errorf("parseSpan(%q) = %s, want an error", text, got)
		}
	}
}

// TestKnobs: demo and serve read the same texts alike, from flags and from the
// environment, where empty is unset.
func TestKnobs(t *testing.T) {
	for _, name := range []string{"AORTA_BASE_TIME", "AORTA_TLS_CERT", "AORTA_TLS_KEY", "AORTA_CALLBACK_UNIT", "AORTA_DATA"} {
		t.Setenv(name, "")
	}
	t.Setenv("AORTA_LOOKUP_SCHEDULE", "1, 200ms,2m")
	dropEmpty(os.Environ())
	var c commands
	parser, err := newParser(&c, streams{io.Discard, io.Discard}, kong.Exit(func(int) { t.Error("it exits") }))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"demo", "--limit-time", "3"}); err != nil {
		t.Fatalf("demo: %v", err)
	}
	served, err := load("", func(name string) string {
		if name == "AORTA_LIMIT_TIME" {
			return "3"
		}
		return os.Getenv(name)
	})
	if err != nil {
		t.Fatalf("serve: %v", err)
	}
	for verb, k := range map[string]knobs{"demo": c.Demo.knobs, "serve": served.knobs} {
		if k.BaseTime != 5*time.Minute || k.LimitTime != 3*time.Second || k.CallbackUnit != 10*time.Second || k.TLSCert != "" ||
			!slices.Equal(k.LookupSchedule, []time.Duration{time.Second, 200 * time.Millisecond, 2 * time.Minute}) {
			t.Errorf("%s has %+v", verb, k)
		}
	}
	if c.Demo.Data != "./aorta-data" {
		t.Errorf("an empty AORTA_DATA gives %q", c.Demo.Data)
	}
	if _, err := parser.Parse([]string{"demo", "--limit-time", "soon"}); err == nil || !strings.Contains(err.Error(), "1m30s") {
		t.Errorf("demo --limit-time soon: %v", err)
	}
	t.Setenv("AORTA_BASE_TIME", "soon")
	if _, err := load("", os.Getenv); err == nil || !strings.Contains(err.Error(), "1m30s") {
		t.Errorf("serve with AORTA_BASE_TIME=soon: %v", err)
	}
}
