package api_test

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

const pagePath = "/v1/customers/c/page"

// TestCustomerPageOverV1: the link to a customer's page is of that customer, as long as
// it was asked for, and the same under its key.
func TestCustomerPageOverV1(t *testing.T) {
	t.Parallel()
	onEachLicensed(t, func(t *testing.T, h *house) {
		link := func(a answer) string {
			t.Helper()
			text, err := url.PathUnescape(strings.TrimPrefix(a.text("url"), "https://pay.example/customer/"))
			if a.Code != 200 || err != nil {
				t.Fatalf("a link = %d %s (%v)", a.Code, a.Body, err)
			}
			return text
		}
		until := func(d time.Duration) string { return strconv.FormatInt(h.clock().Add(d).Unix(), 10) }
		first := h.post(pagePath, "p1", `{"return_url":"https://house.example/account","language":"hi","expires_in":60}`)
		if got, want := link(first), "300|c|https://house.example/account|hi|"+until(time.Minute); got != want {
			t.Errorf("the link says %s, want %s", got, want)
		}
		if at, err := time.Parse(time.RFC3339, first.text("expires_at")); err != nil || strconv.FormatInt(at.Unix(), 10) != until(time.Minute) {
			t.Errorf("it ends at %s (%v)", first.text("expires_at"), err)
		}
		again := h.post(pagePath, "p1", `{"return_url":"https://house.example/account","language":"hi","expires_in":60}`)
		if again.Body.String() != first.Body.String() || again.Header().Get("Idempotent-Replayed") != "true" {
			t.Errorf("again = %d %s", again.Code, again.Body)
		}
		if got, want := link(h.post(pagePath, "p2", `{}`)), "300|c|||"+until(time.Hour); got != want {
			t.Errorf("with nothing said the link says %s, want %s", got, want)
		}
		for what, body := range map[string]string{
			"too short": `{"expires_in":59}`, "too long": `{"expires_in":86401}`, "a word": `{"expires_in":"long"}`, "a script": `{"return_url":"javascript:alert(1)"}`,
			"not safe": `{"return_url":"http://house.example/"}`, "a language that is none": `{"language":"<b>"}`,
		} {
			wants(t, what, h.post(pagePath, "bad-"+strings.ReplaceAll(what, " ", "-"), body), 422, "validation_failed")
		}
		wants(t, "of nobody", h.post("/v1/customers/a%3Bb/page", "p3", `{}`), 422, "validation_failed")
		wants(t, "of a card number", h.post("/v1/customers/4111111111111111/page", "p4", `{}`), 422, "pan_not_allowed")
		h.key = h.newKey(300, "", "read")
		wants(t, "without the scope", h.post(pagePath, "p5", `{}`), 403, "forbidden")
	})
}

func TestCustomerPageWithoutRules(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a := h.post(pagePath, "k", `{}`)
	wants(t, "without rules", a, 409, "state_conflict")
	wantText(t, "without rules", a, map[string]string{"details.state": "no_rules"})
}

// TestPayoutsGuide runs the example of docs/payouts.md that takes a licensed project.
func TestPayoutsGuide(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("AORTA_TEST_ALL") != "" {
			t.Fatal("no curl")
		}
		t.Skip("no curl")
	}
	guide, err := os.ReadFile("../../docs/payouts.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```bash\n(.*?)```").FindAllStringSubmatch(string(guide), -1)
	if len(examples) != 1 {
		t.Fatalf("docs/payouts.md has %d examples of a licensed project", len(examples))
	}
	h := newHouse(t).licence()
	server := httptest.NewServer(h.api)
	defer server.Close()
	command := exec.CommandContext(t.Context(), "sh", "-c", examples[0][1])
	command.Env = append(os.Environ(), "AORTA_URL="+server.URL, "AORTA_KEY="+h.key)
	said, err := command.Output()
	var answer struct {
		URL       string    `json:"url"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	if err != nil || json.Unmarshal(said, &answer) != nil || !strings.HasPrefix(answer.URL, "https://pay.example/customer/") || !answer.ExpiresAt.After(h.clock()) {
		t.Errorf("%s\n%v, said: %s", examples[0][1], err, said)
	}
}
