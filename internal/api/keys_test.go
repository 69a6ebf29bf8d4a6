package api_test

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"aorta/internal/api"
	"aorta/internal/id"
	"aorta/internal/operator"
	"aorta/internal/project"
)

// counting counts how often keys are looked for, and how often one is found.
type counting struct {
	reader
	asked, found *int
}

func (c counting) Key(ctx context.Context, k id.Key) (project.Key, bool, error) {
	row, ok, err := c.reader.Key(ctx, k)
	*c.asked++
	if ok {
		*c.found++
	}
	return row, ok, err
}

// TestRefusedKeys: whatever is wrong with a key, the answer is the same and so is
// the work, each of a thousand times (security.md S01). That the time is the same,
// too, is measured from outside: test/scenario.
func TestRefusedKeys(t *testing.T) {
	t.Parallel()
	var asked, found int
	h := newHouse(t, func(h *house, o *api.Options) { o.Read = counting{reader{h.homes[0], h.homes}, &asked, &found} })
	revoked, expired, elsewhere := h.newKey(200, "", scopes()...), h.newKey(200, "", scopes()...), h.newKey(203, "", scopes()...)
	name, _ := project.KeyOf(revoked)
	if err := h.api.RevokeKey(t.Context(), name, operator.Actor{}); err != nil {
		t.Fatal(err)
	}
	name, _ = project.KeyOf(expired)
	if err := h.api.ExpireKey(t.Context(), name, h.clock().UnixMicro(), operator.Actor{}); err != nil {
		t.Fatal(err)
	}
	delete(h.projects, 203)
	unknown := project.KeyText(id.Key{5: 1}, strings.Repeat("k", project.KeySecretLen))
	kinds := map[string]string{
		"missing": "", "no bearer": "Basic " + h.key, "no key": "Bearer x", "unknown": "Bearer " + unknown,
		"of no bucket": "Bearer sk_" + strings.Repeat("7", 26) + "_" + strings.Repeat("k", 32),
		"mistyped":     "Bearer " + h.key[:len(h.key)-1] + "x", "revoked": "Bearer " + revoked, "expired": "Bearer " + expired,
		"of a project that is not here": "Bearer " + elsewhere, "another scheme": "Digest " + revoked,
	}
	if a := h.get("/v1/payments"); a.Code != 200 {
		t.Fatalf("a good key = %d %s", a.Code, a.Body)
	}
	samples := 1000
	if testing.Short() {
		samples = 50
	}
	var first answer
	for n := range samples {
		if n == samples/2 {
			h.pass(time.Hour) // nothing is known any more
		}
		for kind, header := range kinds {
			asked, found = 0, 0
			a := h.send(h.request("GET", "/v1/payments", "", "Authorization", header))
			if first.ResponseRecorder == nil {
				first = a
			}
			same := strings.ReplaceAll(a.Body.String(), a.text("trace_id"), first.text("trace_id")) == first.Body.String()
			a.Header().Del("Aorta-Trace-Id")
			first.Header().Del("Aorta-Trace-Id")
			if a.Code != 401 || a.text("error") != "unauthenticated" || !same || !maps.EqualFunc(a.Header(), first.Header(), func(x, y []string) bool { return strings.Join(x, ",") == strings.Join(y, ",") }) {
				t.Fatalf("%s = %d %v %s, want 401 and what every other is told: %v %s", kind, a.Code, a.Header(), a.Body, first.Header(), first.Body)
			}
			if asked != 2 || found != 1 {
				t.Fatalf("%s: %d keys were looked for and %d found, want one that is there and one that is not", kind, asked, found)
			}
		}
	}
	asked = 0
	h.get("/v1/payments")
	h.get("/v1/payments")
	if asked != 2 {
		t.Errorf("a good key, twice: %d keys were looked for, want 2, the first time", asked)
	}
}
