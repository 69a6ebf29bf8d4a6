package scenario_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"aorta/test/demo"
)

// likelier gives how likely it is that a call of a takes longer than one of b, by
// all pairs of them: 0.5 of equal distributions, however they look and however
// slow the machine is. By chance it is off by 0.013 of 1,000 calls each.
func likelier(a, b []time.Duration) float64 {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	wins, below, equal := 0.0, 0, 0
	for _, x := range a {
		for below < len(b) && b[below] < x {
			below++
		}
		for equal = max(equal, below); equal < len(b) && b[equal] == x; {
			equal++
		}
		wins += float64(below) + float64(equal-below)/2
	}
	return wins / float64(len(a)) / float64(len(b))
}

// tellable is when a difference could be used: more than five times what chance does.
const tellable = 0.07

// TestRefusedKeysTakeTheSameTime: 1,000 calls each with no key, an unknown, a
// mistyped, a revoked and an expired one, in turns, so that what the machine does
// besides falls on all of them (security.md S01).
func TestRefusedKeysTakeTheSameTime(t *testing.T) {
	t.Parallel()
	for store, flags := range demo.Stores(t) {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			d := demo.Start(t, flags...)
			admin := func(path, body string) (key struct{ ID, Key string }) {
				t.Helper()
				resp, err := http.Post(d.Ops+path, "application/json", strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if err := json.NewDecoder(resp.Body).Decode(&key); err != nil || resp.StatusCode != http.StatusOK {
					t.Fatalf("%s %s = %d: %v", path, body, resp.StatusCode, err)
				}
				return key
			}
			made := func(seconds int) struct{ ID, Key string } {
				t.Helper()
				return admin("/admin/keys", fmt.Sprintf(`{"project":%d,"name":"x","scopes":["read"],"expires_in":%d}`, d.Project.ID, seconds))
			}
			expired, revoked := made(1), made(0)
			admin("/admin/keys/"+revoked.ID+"/revoke", "{}")
			time.Sleep(1100 * time.Millisecond)
			headers := map[string]string{
				"missing": "", "unknown": "Bearer sk_" + strings.Repeat("0", 26) + "_" + strings.Repeat("k", 32),
				"mistyped": "Bearer " + d.APIKey[:len(d.APIKey)-1] + "!", "revoked": "Bearer " + revoked.Key, "expired": "Bearer " + expired.Key,
			}
			var kinds []string
			for kind := range headers {
				kinds = append(kinds, kind)
			}
			slices.Sort(kinds)
			body := ""
			call := func(kind string, status int) time.Duration {
				t.Helper()
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.Public+"/v1/payments", nil)
				if err != nil {
					t.Fatal(err)
				}
				if headers[kind] != "" {
					r.Header.Set("Authorization", headers[kind])
				}
				begun := time.Now()
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(resp.Body)
				took := time.Since(begun)
				resp.Body.Close()
				trace := resp.Header.Get("Aorta-Trace-Id")
				said := strings.ReplaceAll(string(text), trace, "")
				if body == "" {
					body = said
				}
				if err != nil || resp.StatusCode != status || len(trace) != 32 || status == http.StatusUnauthorized && said != body {
					t.Fatalf("%s = %d %s (%v), want %d and the same as the others", kind, resp.StatusCode, text, err, status)
				}
				return took
			}
			samples := 1000
			if testing.Short() {
				samples = 200
			}
			took := map[string][]time.Duration{}
			for n := range samples + 50 {
				rand.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
				for _, kind := range kinds {
					if at := call(kind, http.StatusUnauthorized); n >= 50 { // the first warm everything up
						took[kind] = append(took[kind], at)
					}
				}
			}
			slices.Sort(kinds)
			most := tellable
			if testing.Short() {
				most *= math.Sqrt(5)
			}
			for n, x := range kinds {
				sorted := slices.Sorted(slices.Values(took[x]))
				t.Logf("%s: median %v, quarters %v %v", x, sorted[len(sorted)/2], sorted[len(sorted)/4], sorted[3*len(sorted)/4])
				for _, y := range kinds[n+1:] {
					if p := likelier(took[x], took[y]); math.Abs(p-0.5) > most {
						t.Errorf("%s takes longer than %s in %.1f %% of all pairs, want 50 %%: the time tells them apart", x, y, 100*p)
					}
				}
			}
			// What is tried here does see a difference: of a key that costs something more, as far apart as the middle half lies.
			missing := slices.Sorted(slices.Values(took["missing"]))
			more := missing[3*len(missing)/4] - missing[len(missing)/4] + time.Microsecond
			slow := slices.Clone(took["unknown"])
			for n := range slow {
				slow[n] += more
			}
			if p := likelier(slow, took["missing"]); p-0.5 <= most {
				t.Errorf("calls that take %v longer are found to do so in %.1f %% of all pairs", more, 100*p)
			}
		})
	}
}
