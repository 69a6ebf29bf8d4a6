package api_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/callback"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/sign"
)

const hooksPath = "/v1/webhook_endpoints"

// verifies reports whether a message is signed with a secret.
func (h *house) verifies(m taken, secret string) bool {
	h.t.Helper()
	key, err := sign.ParseWebhookKey(secret)
	if err != nil {
		h.t.Fatalf("secret %q: %v", secret, err)
	}
	return sign.VerifyWebhook(m.header.Values, []byte(m.body), h.clock(), key) == nil
}

// secrets are all rows in which a secret could lie, as a database has them.
func (h *house) secrets() string {
	h.t.Helper()
	var all strings.Builder
	for _, m := range h.homes {
		answers, err1 := m.ScanAnswers(h.t.Context(), id.Answer{}, 1<<20)
		endpoints, err2 := m.ScanEndpoints(h.t.Context(), id.Endpoint{}, 1<<20)
		if err1 != nil || err2 != nil {
			h.t.Fatal(err1, err2)
		}
		fmt.Fprintf(&all, "%+v %+v", answers, endpoints)
	}
	return all.String()
}

// TestEndpoints: made, told of a payment, looked at, changed, rotated, tested,
// replayed and ended.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.shop.open.Store(true)
	body := `{"url":"https://shop.example/hooks","events":["payment.captured"],"description":"The shop"}`
	made := h.post(hooksPath, "k", body)
	secret, hook := made.text("secret"), hooksPath+"/"+made.text("endpoint_id")
	if made.Code != 200 || made.text("state") != "enabled" || made.text("events") != `["payment.captured"]` || !strings.HasPrefix(secret, "whsec_") {
		t.Fatalf("create = %d %s", made.Code, made.Body)
	}
	again := h.post(hooksPath, "k", body)
	if again.Header().Get("Idempotent-Replayed") != "true" || again.text("endpoint_id") != made.text("endpoint_id") || again.text("secret") != "" {
		t.Errorf("create again = %v %s, want all but the secret", again.Header(), again.Body)
	}
	wants(t, "another under the key", h.post(hooksPath, "k", strings.Replace(body, `["payment.captured"]`, `[]`, 1)), 409, "idempotency_conflict")
	if got := h.get(hook); got.Code != 200 || got.text("secret") != "" || got.text("description") != "The shop" {
		t.Errorf("get = %d %s", got.Code, got.Body)
	}
	if got := h.get(hooksPath); len(got.doc["data"].([]any)) != 1 || strings.Contains(got.Body.String(), "whsec_") {
		t.Errorf("list = %s", got.Body)
	}
	if rows := h.secrets(); !strings.Contains(rows, made.text("endpoint_id")) || strings.Contains(rows, secret) || strings.Contains(rows, "whsec_") {
		t.Errorf("the secret lies open in %s", rows)
	}

	pay := h.post(initPath, "pay", sale("1.00")).text("payment_id")
	h.work.Wait()
	got := h.shop.taken()
	if len(got) != 1 || !h.verifies(got[0], secret) || !strings.Contains(got[0].body, pay) {
		t.Fatalf("the shop has %v", got)
	}
	log := h.get(hook + "/deliveries")
	if log.text("data", "0", "state") != "delivered" || log.text("data", "0", "payment_id") != pay || log.text("data", "0", "last_status") != "204" ||
		log.text("data", "0", "webhook_id") != got[0].header.Get(sign.WebhookID) || log.text("data", "0", "attempts") != "1" {
		t.Errorf("deliveries = %s", log.Body)
	}

	rotated := h.post(hook+"/rotate", "k", `{"overlap_hours":2}`)
	fresh := rotated.text("secret")
	if rotated.Code != 200 || fresh == secret || rotated.text("old_secret_until") != "2026-01-02T05:04:05.000678Z" {
		t.Errorf("rotate = %d %s", rotated.Code, rotated.Body)
	}
	if again := h.post(hook+"/rotate", "k", `{"overlap_hours":2}`); again.text("secret") != "" || again.text("updated_at") != rotated.text("updated_at") {
		t.Errorf("rotate again = %s", again.Body)
	}
	if rows := h.secrets(); strings.Contains(rows, fresh) || strings.Contains(rows, "whsec_") {
		t.Errorf("the new secret lies open in %s", rows)
	}
	tested := h.post(hook+"/test", "k", `{}`)
	h.work.Wait()
	if got = h.shop.taken(); len(got) != 2 || tested.text("type") != "endpoint.test" || !h.verifies(got[1], secret) || !h.verifies(got[1], fresh) {
		t.Errorf("after a test (%s) the shop has %v", tested.Body, got)
	}
	if again := h.post(hook+"/test", "k", `{}`); again.Body.String() != tested.Body.String() {
		t.Errorf("test again = %s", again.Body)
	}
	h.pass(2*time.Hour + time.Second)
	h.post(hook+"/test", "k2", `{}`)
	h.work.Wait()
	if got = h.shop.taken(); len(got) != 3 || h.verifies(got[2], secret) || !h.verifies(got[2], fresh) {
		t.Errorf("after the overlap the shop has %v", got)
	}

	off := h.send(h.request("PATCH", hook, `{"state":"disabled","description":"","events":[]}`, "Idempotency-Key", "off"))
	if off.Code != 200 || off.text("state") != "disabled" || off.text("description") != "" || off.text("events") != "[]" || off.text("url") != "https://shop.example/hooks" {
		t.Errorf("disable = %d %s", off.Code, off.Body)
	}
	h.send(h.request("PATCH", hook, `{}`, "Idempotency-Key", "nothing"))
	wants(t, "all events under the key of no change", h.send(h.request("PATCH", hook, `{"events":[]}`, "Idempotency-Key", "nothing")), 409, "idempotency_conflict")
	wants(t, "a test of a disabled endpoint", h.post(hook+"/test", "k3", `{}`), 409, "state_conflict")
	wants(t, "a replay to a disabled endpoint", h.post(hook+"/replay", "k3", `{}`), 409, "state_conflict")
	h.post(initPath, "pay-2", sale("1.00"))
	h.work.Wait()
	if on := h.send(h.request("PATCH", hook, `{"state":"enabled"}`, "Idempotency-Key", "on")); on.text("state") != "enabled" || on.text("events") != "[]" {
		t.Errorf("enable = %s", on.Body)
	}
	if parked := h.get(hook + "/deliveries?state=parked"); len(h.shop.taken()) != 3 || parked.text("data", "0", "type") != "payment.captured" {
		t.Errorf("the shop has %d messages, parked are %s", len(h.shop.taken()), parked.Body)
	}
	for _, tt := range []struct{ name, body, want string }{
		{"before there was anything", `{"created_to":"2026-01-01T00:00:00Z"}`, "0"},
		{"of another type", `{"type":"payment.declined"}`, "0"},
		{"of another payment", `{"payment_id":"` + pay + `"}`, "0"},
		{"what it has not got", `{"created_from":"2026-01-02T03:04:05Z"}`, "1"},
		{"and then nothing", `{}`, "0"},
		{"by its state", `{"state":"delivered","payment_id":"` + pay + `"}`, "1"},
	} {
		a := h.post(hook+"/replay", "replay-"+fmt.Sprintf("%d-%d", len(tt.name), len(tt.body)), tt.body)
		h.work.Wait()
		if a.Code != 200 || a.text("replayed") != tt.want || a.text("has_more") != "false" {
			t.Errorf("replay %s = %d %s, want %s", tt.name, a.Code, a.Body, tt.want)
		}
	}
	if got = h.shop.taken(); len(got) != 5 || got[4].header.Get(sign.WebhookID) != got[0].header.Get(sign.WebhookID) || got[4].body != got[0].body {
		t.Errorf("after the replays the shop has %v", got)
	}

	gone := h.send(h.request("DELETE", hook, "", "Idempotency-Key", "end"))
	if gone.Code != 200 || gone.text("state") != "deleted" {
		t.Errorf("delete = %d %s", gone.Code, gone.Body)
	}
	if again := h.send(h.request("DELETE", hook, "", "Idempotency-Key", "end")); again.Body.String() != gone.Body.String() || again.Header().Get("Idempotent-Replayed") != "true" {
		t.Errorf("delete again = %d %s", again.Code, again.Body)
	}
	wants(t, "delete under another key", h.send(h.request("DELETE", hook, "", "Idempotency-Key", "end-2")), 404, "not_found")
	wants(t, "delete without a key", h.send(h.request("DELETE", hook, "")), 400, "idempotency_key_missing")
	wants(t, "a look at what is gone", h.get(hook), 404, "not_found")
	wants(t, "its log", h.get(hook+"/deliveries"), 404, "not_found")
}

// TestEndpointLog: pages, states, types and times, each message once.
func TestEndpointLog(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.shop.open.Store(true)
	hook := hooksPath + "/" + h.post(hooksPath, "k", `{"url":"https://shop.example/hooks"}`).text("endpoint_id")
	for n := range 7 {
		if n == 4 {
			h.shop.answers(500)
		}
		h.post(hook+"/test", fmt.Sprint("k", n), `{}`)
		h.work.Wait()
		h.pass(time.Second)
	}
	count := func(query string) (n int) {
		seen := map[string]bool{}
		for cursor := ""; ; {
			a := h.get(hook + "/deliveries?" + query + cursor)
			if a.Code != 200 {
				t.Fatalf("%s = %d %s", query, a.Code, a.Body)
			}
			for _, row := range a.doc["data"].([]any) {
				name := row.(map[string]any)["delivery_id"].(string)
				if seen[name] {
					t.Errorf("%s has %s twice", query, name)
				}
				seen[name] = true
			}
			if a.text("has_more") != "true" {
				return len(seen)
			}
			cursor = "&cursor=" + a.text("next_cursor")
		}
	}
	for query, want := range map[string]int{
		"limit=100": 7, "limit=2": 7, "limit=1": 7, "limit=3&state=delivered": 4, "state=pending": 3, "state=dead": 0, "type=endpoint.test": 7,
		"type=payment.captured": 0, "created_from=2026-01-02T03:04:08Z": 4, "created_to=2026-01-02T03:04:08Z&limit=2": 3,
	} {
		if got := count(query); got != want {
			t.Errorf("%s finds %d, want %d", query, got, want)
		}
	}
}

// TestBadEndpoints: each refusal names its member, and gives the key back.
func TestBadEndpoints(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	good := `{"url":"https://shop.example/hooks"}`
	hook := hooksPath + "/" + h.post(hooksPath, "k", good).text("endpoint_id")
	for _, tt := range []struct{ name, method, path, body, field, code string }{
		{"no address", "POST", hooksPath, `{}`, "url", "required"},
		{"not https", "POST", hooksPath, `{"url":"http://shop.example/hooks"}`, "url", "url"},
		{"another port", "POST", hooksPath, `{"url":"https://shop.example:6379/"}`, "url", "url"},
		{"a user name", "POST", hooksPath, `{"url":"https://a:b@shop.example/"}`, "url", "url"},
		{"a fragment", "POST", hooksPath, `{"url":"https://shop.example/#x"}`, "url", "url"},
		{"no address at all", "POST", hooksPath, `{"url":"hooks"}`, "url", "url"},
		{"an unknown type", "POST", hooksPath, `{"url":"https://shop.example/","events":["payment.captured","payment.lost"]}`, "events.1", "enum"},
		{"the type of tests", "POST", hooksPath, `{"url":"https://shop.example/","events":["endpoint.test"]}`, "events.0", "enum"},
		{"a type that is no text", "POST", hooksPath, `{"url":"https://shop.example/","events":[1]}`, "events.0", "enum"},
		{"types that are no list", "POST", hooksPath, `{"url":"https://shop.example/","events":"payment.captured"}`, "events", "type"},
		{"very many types", "POST", hooksPath, `{"url":"https://shop.example/","events":["payment.captured"` + strings.Repeat(`,"payment.captured"`, 40) + `]}`, "events", "too_many"},
		{"a long description", "POST", hooksPath, `{"url":"https://shop.example/","description":"` + strings.Repeat("é", 128) + `"}`, "description", "too_long"},
		{"an unknown member", "POST", hooksPath, `{"url":"https://shop.example/","secret":"whsec_x"}`, "secret", "unknown"},
		{"a change to http", "PATCH", hook, `{"url":"http://shop.example/"}`, "url", "url"},
		{"a state of ours", "PATCH", hook, `{"state":"deleted"}`, "state", "enum"},
		{"a long overlap", "POST", hook + "/rotate", `{"overlap_hours":169}`, "overlap_hours", "hours"},
		{"a negative overlap", "POST", hook + "/rotate", `{"overlap_hours":-1}`, "overlap_hours", "hours"},
		{"half an hour", "POST", hook + "/rotate", `{"overlap_hours":0.5}`, "overlap_hours", "hours"},
		{"an overlap in quotes", "POST", hook + "/rotate", `{"overlap_hours":"24"}`, "overlap_hours", "type"},
		{"a replay of no type", "POST", hook + "/replay", `{"type":"payment"}`, "type", "enum"},
		{"a replay of no state", "POST", hook + "/replay", `{"state":"lost"}`, "state", "enum"},
		{"a log of no state", "GET", hook + "/deliveries?state=lost", "", "state", "enum"},
		{"a log of no type", "GET", hook + "/deliveries?type=x", "", "type", "enum"},
		{"a cursor of another list", "GET", hook + "/deliveries?cursor=pay_01k4aq3x8n0g2v5b7d9f1h3j5m", "", "cursor", "id"},
	} {
		a := h.send(h.request(tt.method, tt.path, tt.body, "Idempotency-Key", "bad"))
		wants(t, tt.name, a, 422, "validation_failed")
		if a.text("details", "fields", "0", "path") != tt.field || a.text("details", "fields", "0", "code") != tt.code {
			t.Errorf("%s = %s, want %s %s", tt.name, a.text("details"), tt.field, tt.code)
		}
		if tt.code == "enum" && strings.HasPrefix(tt.field, "events.") && !strings.Contains(a.text("details"), strings.Join(event.Types(), ", ")) {
			t.Errorf("%s does not say which types there are: %s", tt.name, a.text("details"))
		}
	}
	wants(t, "a card number", h.post(hooksPath, "bad", `{"url":"https://shop.example/4111111111111111"}`), 422, "pan_not_allowed")
	if a := h.post(hooksPath, "bad", good); a.Code != 200 {
		t.Errorf("the key of refused calls = %d %s", a.Code, a.Body)
	}
	reader := h.newKey(200, "", slices.DeleteFunc(scopes(), func(s project.Scope) bool { return s == project.ScopeWebhooks })...)
	wants(t, "without the scope", h.post(hooksPath, "s", good, "Authorization", "Bearer "+reader), 403, "forbidden")
	if a := h.send(h.request("GET", hook, "", "Authorization", "Bearer "+reader)); a.Code != 200 {
		t.Errorf("a look with the scope read = %d %s", a.Code, a.Body)
	}
	for n := range callback.MaxEndpoints - 2 {
		if a := h.post(hooksPath, fmt.Sprint("many-", n), good); a.Code != 200 {
			t.Fatalf("endpoint %d = %d %s", n+2, a.Code, a.Body)
		}
	}
	full := h.post(hooksPath, "last", good)
	wants(t, "one too many", full, 409, "state_conflict")
	if full.text("details", "most") != "50" {
		t.Errorf("one too many = %s", full.Body)
	}
	h.send(h.request("DELETE", hook, "", "Idempotency-Key", "room"))
	if a := h.post(hooksPath, "last", good); a.Code != 200 {
		t.Errorf("with room = %d %s", a.Code, a.Body)
	}
}

// TestEndpointUnanswered: a process that dies between an act and its answer leaves
// one endpoint, one rotation and one end; the repeat is told the secret that nobody
// had.
func TestEndpointUnanswered(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.shop.open.Store(true)
	// dies writes nothing more once what the call does is written.
	dies := func(method, target, key, body string, done func() bool) {
		t.Helper()
		for _, m := range h.homes {
			m.Fail = func(book.Step) book.Fault {
				if done() {
					return book.FaultAway
				}
				return book.FaultNone
			}
		}
		h.send(h.request(method, target, body, "Idempotency-Key", key))
		for _, m := range h.homes {
			m.Fail = nil
		}
	}
	rows := func() []event.Endpoint {
		list, err := h.homes[0].ScanEndpoints(t.Context(), id.Endpoint{}, 100)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	body := `{"url":"https://shop.example/hooks"}`
	dies("POST", hooksPath, "k", body, func() bool { return len(rows()) > 0 })
	first := rows()[0]
	made := h.post(hooksPath, "k", body)
	secret := made.text("secret")
	if made.Code != 200 || len(rows()) != 1 || made.text("endpoint_id") != first.ID.String() || secret == "" {
		t.Fatalf("the repeat = %d %s, of %v", made.Code, made.Body, rows())
	}
	hook := hooksPath + "/" + first.ID.String()
	dies("POST", hook+"/rotate", "k", `{}`, func() bool { return rows()[0].Secret != first.Secret })
	between := rows()[0]
	rotated := h.post(hook+"/rotate", "k", `{}`)
	if now := rows()[0]; rotated.Code != 200 || now.Secret != between.Secret || now.OldSecret != between.OldSecret || between.OldSecret == "" {
		t.Errorf("the repeat of a rotation = %d %s, and changes %v to %v", rotated.Code, rotated.Body, between, now)
	}
	h.post(hook+"/test", "k", `{}`)
	h.work.Wait()
	if got := h.shop.taken(); len(got) != 1 || !h.verifies(got[0], secret) || !h.verifies(got[0], rotated.text("secret")) {
		t.Errorf("the shop has %v", got)
	}
	dies("DELETE", hook, "k", "", func() bool { return rows()[0].State == event.EndpointDeleted })
	if gone := h.send(h.request("DELETE", hook, "", "Idempotency-Key", "k")); gone.Code != 200 || gone.text("state") != "deleted" {
		t.Errorf("the repeat of an end = %d %s", gone.Code, gone.Body)
	}
	answers, err := h.homes[0].ScanAnswers(t.Context(), id.Answer{}, 100)
	if err != nil || len(answers) != 4 || slices.ContainsFunc(answers, func(a payment.Answer) bool {
		return a.Status != 200 || !json.Valid([]byte(a.Body)) || strings.Contains(a.Body, "secret\"")
	}) {
		t.Errorf("answers = %v, %v", answers, err)
	}

	for n := range callback.MaxEndpoints - 1 {
		h.post(hooksPath, fmt.Sprint("many-", n), body)
	}
	before := len(rows())
	dies("POST", hooksPath, "last", body, func() bool { return len(rows()) > before })
	if a := h.post(hooksPath, "last", body); a.Code != 200 || a.text("secret") == "" || len(rows()) != before+1 {
		t.Errorf("the repeat of the last that there may be = %d %s", a.Code, a.Body)
	}
}
