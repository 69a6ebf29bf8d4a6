package opsapi_test

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/callback"
	"aorta/internal/id"
	"aorta/internal/opsapi"
	"aorta/internal/project"

	"github.com/prometheus/client_golang/prometheus"
)

// TestEndpoints: an operator makes, sees, changes, tests, rotates and deletes an
// endpoint; its secret is shown when it is made, and nowhere else.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	home := book.NewMemory()
	now := func() time.Time { return start }
	random := seeded{rand.NewChaCha8([32]byte{5})}
	b, err := book.New(t.Context(), []book.Home{{Store: home}}, book.Options{Now: now, Random: random, Epoch: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	projects := func(n int64) (project.Project, bool) { return project.Project{ID: n, MerchantID: 1}, n == 200 }
	endpoints := callback.NewEndpoints(b, home, callback.EndpointOptions{Projects: projects, Random: random, Now: now})
	callbacks := callback.New(b, home, callback.Options{Projects: projects, Now: now, Endpoints: endpoints})
	door := opsapi.New(opsapi.Options{
		Read: home, Metrics: prometheus.NewRegistry(), Projects: projects, Endpoints: endpoints, ReplayTo: callbacks.ReplayTo,
	})
	var made, rotated string
	call := func(method, path, body string, want int) map[string]any {
		t.Helper()
		w := httptest.NewRecorder()
		door.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		if w.Code != want {
			t.Fatalf("%s %s %s: %d %s, want %d", method, path, body, w.Code, w.Body, want)
		}
		text := w.Body.String()
		if made != "" && strings.Contains(text, made) || rotated != "" && strings.Contains(text, rotated) {
			t.Errorf("%s %s shows a secret once more: %s", method, path, text)
		}
		var out map[string]any
		if text != "" {
			if err := json.Unmarshal([]byte(text), &out); err != nil {
				t.Fatal(err)
			}
		}
		return out
	}
	e := call("POST", "/admin/endpoints", `{"project":200,"url":"https://shop.example/hook","types":["payment.captured"],"description":"the shop"}`, http.StatusCreated)
	made, _ = e["secret"].(string)
	path := "/admin/endpoints/" + e["id"].(string)
	if !strings.HasPrefix(made, "whsec_") || e["state"] != "enabled" || !strings.HasPrefix(path, "/admin/endpoints/we_") {
		t.Fatalf("a new endpoint is %v", e)
	}
	for _, bad := range []string{
		`{"project":201,"url":"https://shop.example/hook"}`, `{"project":200}`, `{"project":200,"url":"http://shop.example/hook"}`,
		`{"project":200,"url":"https://shop.example/hook","types":["x"]}`, `{"project":200,"url":"https://shop.example/hook","secret":"whsec_c2hvcnQ="}`,
		`{"project":200,"link":"https://shop.example/hook"}`, `{"project":200,"url":7}`,
		`{"project":200,"url":"https://shop.example/hook","description":"card 4111 1111 1111 1111"}`,
	} {
		call("POST", "/admin/endpoints", bad, http.StatusUnprocessableEntity)
	}
	call("POST", "/admin/endpoints", "[]", http.StatusBadRequest)
	if list := call("GET", "/admin/endpoints?project=200", "", http.StatusOK)["endpoints"].([]any); len(list) != 1 {
		t.Errorf("the list has %d", len(list))
	}
	if list := call("GET", "/admin/endpoints?project=7", "", http.StatusOK)["endpoints"].([]any); len(list) != 0 {
		t.Errorf("the list of another project has %d", len(list))
	}
	if got := call("GET", path, "", http.StatusOK); got["description"] != "the shop" {
		t.Errorf("it is shown as %v", got)
	}
	told := call("POST", path+"/test", "", http.StatusAccepted)
	if told["type"] != "endpoint.test" || told["endpoint"] != e["id"] {
		t.Errorf("the test is %v", told)
	}
	log := call("GET", path+"/deliveries?state=pending&type=endpoint.test&from=2026-01-02T03:04:05Z&to=2026-01-02T04:00:00Z", "", http.StatusOK)
	if list := log["deliveries"].([]any); len(list) != 1 {
		t.Errorf("the log has %v", log)
	}
	for _, query := range []string{"state=lost", "from=yesterday", "payment=pay_1", "before=x"} {
		call("GET", path+"/deliveries?"+query, "", http.StatusUnprocessableEntity)
	}
	for _, k := range []string{id.Payment{1}.String(), id.Payout{1}.String()} { // a payout by its own name, too
		if log := call("GET", path+"/deliveries?payment="+k, "", http.StatusOK); len(log["deliveries"].([]any)) != 0 {
			t.Errorf("of %s the log has %v", k, log)
		}
		if got := call("POST", "/admin/replay", `{"what":"webhooks","endpoint":"`+e["id"].(string)+`","state":"pending","payment":"`+k+`"}`, http.StatusOK); got["replayed"] != 0.0 {
			t.Errorf("of %s replayed %v", k, got)
		}
	}
	r := call("POST", path+"/rotate", `{"overlap_hours":1.5}`, http.StatusOK)
	rotated, _ = r["secret"].(string)
	if rotated == "" || rotated == made || r["old_secret_until"] != "2026-01-02T04:34:05Z" {
		t.Errorf("a rotation gives %v", r)
	}
	call("POST", path+"/rotate", `{"overlap_hours":169}`, http.StatusUnprocessableEntity)
	if off := call("PATCH", path, `{"enabled":false}`, http.StatusOK); off["state"] != "disabled" {
		t.Errorf("disabled, it is %v", off)
	}
	call("POST", path+"/test", "", http.StatusUnprocessableEntity)
	call("POST", "/admin/replay", `{"what":"webhooks","endpoint":"`+e["id"].(string)+`"}`, http.StatusUnprocessableEntity)
	call("PATCH", path, `{"enabled":true}`, http.StatusOK)
	if got := call("POST", "/admin/replay", `{"what":"webhooks","endpoint":"`+e["id"].(string)+`","state":"pending"}`, http.StatusOK); got["replayed"] != 1.0 {
		t.Errorf("replayed %v", got)
	}
	call("POST", "/admin/replay", `{"what":"webhooks","endpoint":"x"}`, http.StatusUnprocessableEntity)
	call("DELETE", path, "", http.StatusNoContent)
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		call(method, path, "{}", http.StatusNotFound)
	}
	call("POST", path+"/rotate", "{}", http.StatusNotFound)
	call("POST", "/admin/replay", `{"what":"webhooks","endpoint":"`+e["id"].(string)+`"}`, http.StatusNotFound)
}
