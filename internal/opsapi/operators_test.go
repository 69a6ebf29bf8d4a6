package opsapi_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/callback"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/inbox"
	"aorta/internal/operator"
	"aorta/internal/opsapi"
	"aorta/internal/project"
	"aorta/internal/risk"
	"aorta/internal/store/storetest"

	"github.com/prometheus/client_golang/prometheus"
)

// office is an ops door with people, over a real store.
type office struct {
	t      *testing.T
	db     storetest.DB
	book   *book.Book
	flows  *flow.Flows
	door   http.Handler
	tokens map[string]string // by the operator's name
	sealer operator.Sealer
	settle func() // does what is due
	find   func(int64) (project.Project, bool)
	rules  *risk.Rules // nil: no project has any
	sent   func() int  // payouts that the PSP was asked for

	mu  sync.Mutex
	now time.Time
}

func (o *office) clock() time.Time { o.mu.Lock(); defer o.mu.Unlock(); return o.now }

// newOffice opens one. opsToken is the configuration's.
func newOffice(t *testing.T, db storetest.DB, opsToken string) *office {
	t.Helper()
	o := &office{t: t, db: db, tokens: map[string]string{}, now: start, sealer: operator.NewSealer([32]byte{9})}
	random := &locked{r: seeded{rand.NewChaCha8([32]byte{7})}}
	b, err := book.New(t.Context(), []book.Home{{Store: db}}, book.Options{Now: o.clock, Random: random, Epoch: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	projects := func(n int64) (project.Project, bool) { return project.Project{ID: n, MerchantID: 1}, n == 200 }
	o.book = b
	o.flows = flow.New(b, db, flow.Options{Projects: projects, Now: o.clock})
	endpoints := callback.NewEndpoints(b, db, callback.EndpointOptions{Projects: projects, Random: random, Now: o.clock})
	callbacks := callback.New(b, db, callback.Options{Projects: projects, Now: o.clock, Endpoints: endpoints})
	o.door = opsapi.New(opsapi.Options{
		Read: db, Metrics: prometheus.NewRegistry(), Token: opsToken, Projects: projects, Endpoints: endpoints, ReplayTo: callbacks.ReplayTo,
		ReplayDelivery: callbacks.Replay, ReplayNotification: inbox.New(b, db, inbox.Options{}).Replay,
		Operators: &opsapi.Operators{Flows: o.flows, Hash: operator.NewHasher([32]byte{9}), Sealer: o.sealer, Random: random, Now: o.clock},
		Keys: &opsapi.Keys{
			Project: projects, Hash: project.NewKeyHasher([32]byte{9}), Random: random, New: o.flows.NewKey, Now: o.clock,
			Put: o.flows.PutKey, Revoke: o.flows.RevokeKey, Expire: o.flows.ExpireKey,
		},
	})
	return o
}

// locked is randomness for several at once.
type locked struct {
	mu sync.Mutex
	r  seeded
}

func (l *locked) Read(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(b)
}

// hire makes operators who may act at once, each named after their role.
func (o *office) hire(roles ...operator.Role) {
	o.t.Helper()
	for _, r := range roles {
		o.name(string(r), r)
	}
}

func (o *office) name(name string, roles ...operator.Role) {
	o.t.Helper()
	all, err := operator.RolesOf(roles...)
	if err != nil {
		o.t.Fatal(err)
	}
	var secret operator.Secret
	copy(secret[:], name)
	o.tokens[name] = operator.TokenText(o.flows.OperatorKey(name), secret)
	if _, err := o.flows.InstallOperator(o.t.Context(), name, all, operator.NewHasher([32]byte{9}).Hash(o.tokens[name]), operator.Automatic("test", "start")); err != nil {
		o.t.Fatal(err)
	}
}

// as calls by an operator's name, or by a text that is no name.
func (o *office) as(who, method, path, body string) (int, map[string]any) {
	o.t.Helper()
	text, named := o.tokens[who]
	if !named {
		text = who
	}
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if text != "" {
		r.Header.Set("Authorization", "Bearer "+text)
	}
	w := httptest.NewRecorder()
	o.door.ServeHTTP(w, r)
	var out map[string]any
	if w.Body.Len() > 0 && strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			o.t.Fatalf("%s %s by %s: %d %q: %v", method, path, who, w.Code, w.Body, err)
		}
	}
	return w.Code, out
}

func (o *office) want(who, method, path, body string, status int) map[string]any {
	o.t.Helper()
	code, out := o.as(who, method, path, body)
	if code != status {
		o.t.Errorf("%s %s %s by %q = %d %v, want %d", method, path, body, who, code, out, status)
	}
	return out
}

// log gives the whole log as "who what" and fails the test unless it holds.
func (o *office) log() []operator.Entry {
	o.t.Helper()
	all, err := o.db.ScanAudit(o.t.Context(), id.Audit{}, 100_000)
	if err != nil {
		o.t.Fatal(err)
	}
	heads, err := o.db.ScanAuditHeads(o.t.Context(), id.Raw{}, 1000)
	if err != nil {
		o.t.Fatal(err)
	}
	check := operator.NewAudit()
	for _, e := range all {
		check.Take(e)
	}
	if found := check.End(heads); len(found) > 0 {
		o.t.Errorf("the log does not hold: %v", found)
	}
	slices.SortFunc(all, func(x, y operator.Entry) int { return int(x.Number - y.Number) })
	return all
}

// logged counts the entries of somebody doing something.
func (o *office) logged(who, what string) int {
	o.t.Helper()
	n := 0
	for _, e := range o.log() {
		if e.Who == who && e.What == what {
			n++
		}
	}
	return n
}

// path fills the ids of a route.
func path(route string) (method, target string) {
	method, target, _ = strings.Cut(route, " ")
	return method, strings.ReplaceAll(target, "{id}", "x")
}

// TestMatrixTimesRoutes: every route opens to those whom the matrix names and to
// nobody else (security.md S08). Whom it opens to, it may refuse for another
// reason: the body here means nothing.
func TestMatrixTimesRoutes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		o := newOffice(t, db, "sesame")
		o.hire(operator.AllRoles()...)
		open := newOffice(t, db, "") // the same people, and no ops_token
		open.tokens = o.tokens
		opened := map[string]int{}
		for _, rule := range operator.House().Rules() {
			if strings.HasPrefix(rule.What, "CASE ") || strings.HasPrefix(rule.What, "SEE ") || strings.HasPrefix(rule.What, "GET /debug/pprof/") && rule.What != "GET /debug/pprof/" {
				continue // no route; and profiles take their time
			}
			method, target := path(rule.What)
			call := func(o *office, who string) int {
				status, _ := o.as(who, method, target, "{}")
				return status
			}
			for _, role := range operator.AllRoles() {
				want := slices.Contains(rule.Roles, role)
				if got := call(o, string(role)); (got != http.StatusForbidden) != want || got == http.StatusUnauthorized || got == http.StatusMethodNotAllowed {
					t.Errorf("%s by %s = %d, want that it opens: %t", rule.What, role, got, want)
				}
				if want {
					opened[rule.What]++
				}
			}
			for who, want := range map[string]int{"": 401, "sesam": 401, operator.TokenText(o.flows.OperatorKey("viewer"), operator.Secret{1}): 401} {
				if got := call(o, who); got != want {
					t.Errorf("%s by %q = %d, want %d", rule.What, who, got, want)
				}
			}
			if got, want := call(o, "sesame"), slices.Contains(rule.Others, operator.Bootstrap); (got != http.StatusForbidden) != want {
				t.Errorf("%s by ops_token = %d, want that it opens: %t", rule.What, got, want)
			}
			if got, want := call(open, ""), slices.Contains(rule.Others, operator.Anyone); (got != http.StatusUnauthorized) != want {
				t.Errorf("%s by nothing = %d, want that it opens: %t", rule.What, got, want)
			}
		}
		if len(opened) < 25 {
			t.Errorf("only %d routes were tried", len(opened))
		}
	})
}

// TestEveryRuleHasARoute: the matrix says nothing of what there is not. (That every
// route has a rule is why this door opens at all.)
func TestEveryRuleHasARoute(t *testing.T) {
	t.Parallel()
	routes := opsapi.Routes()
	for _, rule := range operator.House().Rules() {
		if !strings.HasPrefix(rule.What, "CASE ") && !strings.HasPrefix(rule.What, "SEE ") && !slices.Contains(routes, rule.What) {
			t.Errorf("%s is in the matrix, and is no route", rule.What)
		}
	}
	for _, what := range routes {
		if _, ok := operator.House().Of(what); !ok {
			t.Errorf("%s is a route, and not in the matrix", what)
		}
	}
}

// TestHire: the first operators are made by ops_token, which can make no more once
// there are two admins; then it takes two people.
func TestHire(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		o := newOffice(t, db, "sesame")
		make := func(who, name string, status int, roles ...string) map[string]any {
			t.Helper()
			body, _ := json.Marshal(map[string]any{"name": name, "roles": roles})
			out := o.want(who, "POST", "/admin/operators", string(body), status)
			if text, ok := out["token"].(string); ok {
				o.tokens[name] = text
			}
			return out
		}
		for _, bad := range []string{`{}`, `{"name":"Ann","roles":["admin"]}`, `{"name":"ann"}`, `{"name":"ann","roles":["root"]}`, `{"name":"ann","roles":["admin"],"token":"x"}`} {
			o.want("sesame", "POST", "/admin/operators", bad, http.StatusUnprocessableEntity)
		}
		o.want("sesame", "POST", "/admin/operators", "[", http.StatusBadRequest)
		if out := make("sesame", "ann", 200, "admin"); out["state"] != "active" || !strings.HasPrefix(o.tokens["ann"], "op_") {
			t.Fatalf("the first is %v", out)
		}
		make("sesame", "ann", 409, "admin")
		make("sesame", "eve", 403, "payout_approver")
		make("sesame", "eve", 403, "admin", "payout_approver")
		if out := make("ann", "pete", 200, "payout_approver"); out["state"] != "waiting" {
			t.Errorf("made by a person is %v", out)
		}
		o.want("pete", "GET", "/admin/cases", "", 401)
		for _, who := range []string{"sesame", "ann"} {
			if out := o.want(who, "POST", "/admin/operators/pete/confirm", "{}", 403); out["error"] != "forbidden" {
				t.Errorf("confirmed by %s: %v", who, out)
			}
		}
		make("sesame", "bob", 200, "admin")
		make("sesame", "cid", 403, "viewer")
		o.want("bob", "POST", "/admin/operators/pete/confirm", "{}", 200)
		o.want("bob", "POST", "/admin/operators/pete/confirm", "{}", 409)
		o.want("pete", "GET", "/admin/cases", "", 200)
		o.want("pete", "POST", "/admin/operators", `{"name":"x","roles":["admin"]}`, 403)
		o.want("pete", "POST", "/admin/operators/bob/revoke", "{}", 403)
		for _, unknown := range []string{"nobody", "x y", id.Operator(o.book.Mint(operator.Bucket(32))).String(), id.Operator(o.book.Mint(31 - operator.Bucket(32))).String()} {
			o.want("ann", "POST", "/admin/operators/"+strings.ReplaceAll(unknown, " ", "%20")+"/revoke", "{}", 404)
			o.want("ann", "POST", "/admin/operators/"+strings.ReplaceAll(unknown, " ", "%20")+"/confirm", "{}", 404)
		}
		list := o.want("ann", "GET", "/admin/operators", "", 200)["operators"].([]any)
		if text := fmt.Sprint(list); len(list) != 3 || strings.Contains(text, "op_") || strings.Contains(text, "1:") {
			t.Errorf("the list is %s", text)
		}
		petes := list[2].(map[string]any)["id"].(string)
		o.want("ann", "POST", "/admin/operators/"+petes+"/revoke", "{}", 200)
		o.want("pete", "GET", "/admin/cases", "", 401)
		o.want("sesame", "POST", "/admin/operators/bob/revoke", "{}", 403) // who has ops_token must not be able to make room for one of theirs
		o.want("ann", "POST", "/admin/operators/bob/revoke", "{}", 200)
		o.want("bob", "GET", "/admin/operators", "", 401)
		make("sesame", "cid", 403, "admin")
		make("sesame", "bob", 403, "admin")
		for what, want := range map[[2]string]int{
			{"ops:token", "operator.create"}: 2, {"ann", "operator.create"}: 1, {"bob", "operator.confirm"}: 1, {"ann", "operator.revoke"}: 2,
			{"ops:token", "operator.revoke"}: 0, {"ann", "signin"}: 1, {"bob", "signin"}: 1, {"pete", "signin"}: 1,
		} {
			if got := o.logged(what[0], what[1]); got != want {
				t.Errorf("%s by %s is logged %d times, want %d", what[1], what[0], got, want)
			}
		}
	})
}

// TestSignIns: a person's work is one sign-in an hour; wrong tokens are logged, and
// cannot fill the log.
func TestSignIns(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		o := newOffice(t, db, "sesame")
		o.hire(operator.Viewer)
		for range 3 {
			o.want("viewer", "GET", "/admin/cases", "", 200)
		}
		o.mu.Lock()
		o.now = o.now.Add(time.Hour)
		o.mu.Unlock()
		o.want("viewer", "GET", "/admin/cases", "", 200)
		if got := o.logged("viewer", "signin"); got != 2 {
			t.Errorf("%d sign-ins are logged, want 2", got)
		}
		stolen := operator.TokenText(o.flows.OperatorKey("viewer"), operator.Secret{1})
		far := operator.TokenText(id.Operator{6: 200, 1: 1}, operator.Secret{1})
		for n := range 50 {
			o.want([]string{stolen, "sesam", far}[n%3], "GET", "/admin/cases", "", 401)
		}
		if got := o.logged("ops:unknown", "signin.refused"); got != 10 {
			t.Errorf("%d of 50 wrong tokens at once are logged, want 10", got)
		}
		o.mu.Lock()
		o.now = o.now.Add(10 * time.Second)
		o.mu.Unlock()
		o.want(stolen, "GET", "/admin/cases", "", 401)
		last := o.log()[len(o.log())-1]
		if last.About != o.flows.OperatorKey("viewer").String() || !strings.Contains(last.Details, `"not_logged_before":40`) || strings.Contains(last.Details, "op_") {
			t.Errorf("the last wrong token is logged as %s %s, want it with the 40 before it", last.About, last.Details)
		}
	})
}

// TestLoggedCalls: what changes something is in the log with who did it (S35), and
// the log is there to be read.
func TestLoggedCalls(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		o := newOffice(t, db, "sesame")
		o.hire(operator.Admin, operator.MLRO)
		key := o.want("admin", "POST", "/admin/keys", `{"project":200,"name":"shop","scopes":["read"]}`, 200)
		o.want("admin", "POST", "/admin/keys/"+key["id"].(string)+"/rotate", `{"overlap":60}`, 200)
		o.want("admin", "POST", "/admin/keys/"+key["id"].(string)+"/revoke", `{}`, 200)
		o.want("sesame", "POST", "/admin/replay", `{"what":"deliveries","dead":true}`, 200)
		o.want("sesame", "GET", "/admin/cases", "", 200)
		o.want("admin", "POST", "/admin/endpoints", `{"project":200,"url":"https://ann:pw@shop.example/hook?token=t0p#x"}`, 422) // no such address is taken
		e := o.want("admin", "POST", "/admin/endpoints", `{"project":200,"url":"https://shop.example/hook?token=t0p"}`, 201)
		one := "/admin/endpoints/" + e["id"].(string)
		o.want("sesame", "PATCH", one, `{"url":"https://shop.example/other?token=t1p"}`, 200)
		o.want("sesame", "POST", one+"/test", "", 202)
		o.want("sesame", "POST", one+"/rotate", `{"overlap_hours":1}`, 200)
		o.want("admin", "DELETE", one, "", 204)
		for what, want := range map[string]string{
			"POST /admin/endpoints":             `{"project":200,"to":"https://shop.example/hook"}`,
			"PATCH /admin/endpoints/{id}":       `{"project":200,"to":"https://shop.example/other","url":"https://shop.example/hook"}`,
			"POST /admin/endpoints/{id}/test":   `{"project":200,"url":"https://shop.example/other"}`,
			"POST /admin/endpoints/{id}/rotate": `{"project":200,"url":"https://shop.example/other"}`,
			"DELETE /admin/endpoints/{id}":      `{"project":200,"url":"https://shop.example/other"}`,
		} {
			all := o.log()
			if n := slices.IndexFunc(all, func(e operator.Entry) bool { return e.What == what }); n < 0 || all[n].Details != want {
				t.Errorf("%s is logged as %+v, want %s", what, all[max(n, 0)], want)
			}
		}
		for _, x := range o.log() {
			for _, secret := range []string{"t0p", "t1p", "pw@"} {
				if strings.Contains(x.Details, secret) {
					t.Errorf("%s is logged with a secret: %s", x.What, x.Details)
				}
			}
		}
		for what, want := range map[[2]string]int{
			{"admin", "key.create"}: 2, {"admin", "key.expire"}: 1, {"admin", "key.revoke"}: 1, {"ops:token", "replay"}: 1, {"ops:token", "case.list"}: 1,
			{"admin", "POST /admin/endpoints"}: 2, {"admin", "DELETE /admin/endpoints/{id}"}: 1, {"ops:token", "signin"}: 1,
		} {
			if got := o.logged(what[0], what[1]); got != want {
				t.Errorf("%s by %s is logged %d times, want %d", what[1], what[0], got, want)
			}
		}
		read := o.want("mlro", "GET", "/admin/audit", "", 200)["entries"].([]any)
		if all := o.log(); len(read) != len(all) || o.logged("mlro", "audit.read") != 1 {
			t.Errorf("the log is read as %d entries, has %d, and of its being read %d", len(read), len(all), o.logged("mlro", "audit.read"))
		}
		for _, x := range read {
			if text := fmt.Sprint(x); strings.Contains(text, "sk_") || strings.Contains(text, "whsec_") {
				t.Errorf("the log holds a secret: %s", text)
			}
		}
		text, err := json.Marshal(o.want("mlro", "GET", "/admin/audit/heads", "", 200))
		if err != nil {
			t.Fatal(err)
		}
		var st operator.Statement
		if err := json.Unmarshal(text, &st); err != nil || st.Check(o.sealer.Public()) != nil || len(st.Heads) == 0 {
			t.Errorf("the heads are %s (%v, %v)", text, err, st.Check(o.sealer.Public()))
		}
	})
}

// TestNothingUnlogged: what cannot be logged is not done (S37).
func TestNothingUnlogged(t *testing.T) {
	t.Parallel()
	home := book.NewMemory()
	b, err := book.New(t.Context(), []book.Home{{Store: home}}, book.Options{Now: func() time.Time { return start }, Random: seeded{rand.NewChaCha8([32]byte{3})}, Epoch: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	flows := flow.New(b, home, flow.Options{Now: func() time.Time { return start }})
	hash := operator.NewHasher([32]byte{})
	text := operator.TokenText(flows.OperatorKey("ann"), operator.Secret{})
	if _, err := flows.InstallOperator(t.Context(), "ann", "admin", hash.Hash(text), operator.Automatic("test", "start")); err != nil {
		t.Fatal(err)
	}
	door := opsapi.New(opsapi.Options{
		Read: home, Metrics: prometheus.NewRegistry(), Token: "sesame",
		Operators: &opsapi.Operators{Flows: flows, Hash: hash, Now: func() time.Time { return start }},
	})
	home.Fail = func(s book.Step) book.Fault {
		if s == book.StepCommit {
			return book.FaultAway
		}
		return book.FaultNone
	}
	for _, token := range []string{"sesame", text} {
		r := httptest.NewRequest("POST", "/admin/replay", strings.NewReader(`{"what":"deliveries","dead":true}`))
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		door.ServeHTTP(w, r)
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("replay while the log cannot be written = %d %s, want 503", w.Code, w.Body)
		}
	}
}

// TestForeignPages: a page of another site cannot call through the browser of who
// reaches the listener (security.md S12), also where nothing is asked for.
func TestForeignPages(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		o := newOffice(t, db, "")
		for n, test := range []struct {
			header, value string
			want          int
		}{
			{"Origin", "https://evil.example", 403},
			{"Origin", "null", 403},
			{"Origin", "http://ops.example:1", 403},
			{"Origin", "http://ops.example", 200},
			{"Sec-Fetch-Site", "cross-site", 403},
			{"Sec-Fetch-Site", "same-site", 403},
			{"Sec-Fetch-Site", "same-origin", 200},
			{"Sec-Fetch-Site", "none", 200},
		} {
			for _, call := range []string{"POST /admin/keys", "GET /admin/cases"} {
				method, target, _ := strings.Cut(call, " ")
				r := httptest.NewRequest(method, target, strings.NewReader(fmt.Sprintf(`{"project":200,"name":"k%d","scopes":["read"]}`, n)))
				r.Host = "ops.example"
				r.Header.Set(test.header, test.value)
				w := httptest.NewRecorder()
				o.door.ServeHTTP(w, r)
				if w.Code != test.want || test.want == 403 && !strings.Contains(w.Body.String(), `"forbidden"`) {
					t.Errorf("%s with %s: %s = %d %s, want %d", call, test.header, test.value, w.Code, w.Body, test.want)
				}
			}
		}
		if got := o.logged(operator.Anyone, "key.create"); got != 3 {
			t.Errorf("%d keys were made, want 3", got)
		}
	})
}
