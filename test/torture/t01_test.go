package torture_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"aorta/internal/crash"
	"aorta/internal/sandbox"
	"aorta/internal/sandbox/ecommpay"
	"aorta/test/scenario"
	"aorta/test/torture"
)

// course is something a payment goes through, and where on its way the process
// dies: at these passes of these points, counted from its start.
type course struct {
	name   string
	env    []string
	passes map[crash.Point][]int
	before func(v *victim, name string)      // on a platform that is not to die
	act    func(v *victim, name string)      // what makes a process pass the points; insists until it is answered
	status string                            // how the payment ends; empty: there is none
	told   string                            // the last that the merchant hears; empty: nothing
	done   func(v *victim, name string) bool // what else must be so in the end; nil: nothing
	always []crash.Point                     // which a short run tries here too, whose turn it ever is

	// A refund of which the provider knows nothing is not sent again before that is
	// sure, nor is a payout given up, which takes ten minutes (payment-loop.md L15):
	// it may wait instead.
	mayWait bool
}

// courses are all that exist. The passes are those that occur for certain:
// batches may hold the acts of two steps, so not every step counts.
func courses() []course {
	sale := map[crash.Point][]int{
		crash.BeforeRow: {1}, crash.AfterRow: {1}, crash.InTransaction: {1, 2, 3, 4, 5}, crash.AfterCommit: {1, 2, 3, 4, 5}, crash.AfterAnswer: {1},
		crash.BeforeCall: {1}, crash.RequestSent: {1, 2}, crash.AnswerReceived: {1, 2}, crash.NewsVerified: {1}, crash.NewsStored: {1},
		crash.OutboxClaimed: {1, 2}, crash.CallbackSent: {1, 2},
	}
	refund := map[crash.Point][]int{
		crash.BeforeRow: {1}, crash.AfterRow: {1}, crash.InTransaction: {1, 2, 3, 4}, crash.AfterCommit: {1, 2, 3, 4}, crash.AfterAnswer: {1},
		crash.BeforeCall: {1}, crash.RequestSent: {1, 2}, crash.AnswerReceived: {1, 2}, crash.OutboxClaimed: {1}, crash.CallbackSent: {1},
	}
	timed := map[crash.Point][]int{
		crash.InTransaction: {4, 5, 6}, crash.AfterCommit: {4, 5, 6}, crash.RequestSent: {2}, crash.AnswerReceived: {2},
		crash.OutboxClaimed: {2}, crash.CallbackSent: {2},
	}
	const paid, declined = "success/sale success 0", "decline/sale decline 603"
	sold := func(v *victim, name string) {
		v.w.Control("approve", "sale", 1)
		v.sell(name)
		v.ended(name, "success", paid)
	}
	return []course{
		{
			name: "sale by Gate", passes: sale, status: "success", told: paid,
			before: func(v *victim, _ string) { v.w.Control("approve", "sale", 6) },
			act:    (*victim).sell,
		},
		{
			name: "sale by payment page", passes: sale, status: "success", told: paid,
			before: func(v *victim, _ string) { v.w.Control("approve", "sale", 6) },
			act:    (*victim).buy,
		},
		{
			name: "full refund", passes: refund, mayWait: true, status: "refunded", told: "refunded/refund success 0", before: sold,
			act: func(v *victim, name string) { v.refund(name, 1000) },
		},
		{
			name: "partial refund", passes: refund, mayWait: true, status: "partially refunded", told: "partially refunded/refund success 0", before: sold,
			act: func(v *victim, name string) { v.refund(name, 300) },
		},
		{
			// Look-ups are so far off that the provider's repeated notification must do it.
			name: "notification", env: []string{"AORTA_LOOKUP_SCHEDULE=60s"}, status: "success", told: paid,
			passes: map[crash.Point][]int{
				crash.NewsVerified: {1}, crash.NewsStored: {1}, crash.InTransaction: {1, 2, 3}, crash.AfterCommit: {1, 2, 3}, crash.AfterAnswer: {1},
				crash.RequestSent: {1}, crash.AnswerReceived: {1}, crash.OutboxClaimed: {1}, crash.CallbackSent: {1},
			},
			before: func(v *victim, name string) { v.sell(name); v.handedOver(name) },
			act:    func(v *victim, name string) { v.press(name, "approve") },
		},
		{
			name: "look-up", passes: timed, status: "success", told: paid,
			before: func(v *victim, _ string) { v.w.Control("silent", "sale", 6) },
			act:    (*victim).sell,
		},
		{
			name: "limit time", env: []string{"AORTA_LIMIT_TIME=900ms"}, passes: timed, status: "decline", told: declined,
			act: (*victim).sell,
		},
		{
			name: "callback", status: "success", told: paid,
			passes: map[crash.Point][]int{
				crash.InTransaction: {4, 5, 6}, crash.AfterCommit: {4, 5, 6}, crash.OutboxClaimed: {2, 3}, crash.CallbackSent: {1, 2, 3},
			},
			before: func(v *victim, _ string) {
				v.w.Control("approve", "sale", 6)
				if err := v.w.Wish("merchant", "http_500", "", 1); err != nil {
					v.t.Fatal(err)
				}
			},
			act: (*victim).sell,
		},
		{
			name: "try again", status: "success", told: paid,
			passes: map[crash.Point][]int{
				crash.InTransaction: {1, 2, 3, 4}, crash.AfterCommit: {1, 2, 3, 4}, crash.AfterAnswer: {1}, crash.BeforeCall: {1},
				crash.RequestSent: {1, 2}, crash.AnswerReceived: {1, 2}, crash.NewsVerified: {1}, crash.NewsStored: {1},
				crash.OutboxClaimed: {1, 2}, crash.CallbackSent: {1, 2},
			},
			before: func(v *victim, name string) {
				v.w.Control("decline", "sale", 1)
				v.buy(name)
				v.offered(name)
				v.w.Control("approve", "sale", 6)
			},
			act: (*victim).again,
		},
		{
			// The generic provider's news is its own word, so nobody asks it again.
			name: "payment by /v1",
			passes: map[crash.Point][]int{
				crash.BeforeRow: {1}, crash.AfterRow: {1}, crash.InTransaction: {1, 2, 3, 4, 5}, crash.AfterCommit: {1, 2, 3, 4, 5}, crash.AfterAnswer: {1},
				crash.BeforeCall: {1}, crash.RequestSent: {1}, crash.AnswerReceived: {1}, crash.NewsVerified: {1}, crash.NewsStored: {1},
			},
			before: func(v *victim, _ string) {
				v.keyed()
				v.wish("generic", "approve", "sale", 6)
			},
			act: (*victim).init, done: (*victim).captured,
		},
		{
			name: "payout", mayWait: true,
			passes: map[crash.Point][]int{
				crash.BeforeRow: {1}, crash.AfterRow: {1}, crash.InTransaction: {1, 2, 3, 4}, crash.AfterCommit: {1, 2, 3, 4}, crash.AfterAnswer: {1},
				crash.BeforeCall: {1}, crash.RequestSent: {1}, crash.AnswerReceived: {1}, crash.NewsVerified: {1}, crash.NewsStored: {1},
			},
			always: []crash.Point{crash.RequestSent, crash.AnswerReceived},
			before: func(v *victim, name string) {
				v.keyed()
				v.native("/v1/wallet/credit", "credit-"+name, map[string]any{
					"amount": "10.00", "currency": "EUR", "txn_id": "credit-" + name, "customer_id": name,
				})
			},
			act:  func(v *victim, name string) { v.native(payouts, name, payoutOf(name, name)) },
			done: (*victim).paidOut,
		},
		{
			name: "round", always: []crash.Point{crash.InTransaction, crash.AfterCommit},
			passes: map[crash.Point][]int{
				crash.BeforeRow: {1}, crash.AfterRow: {1}, crash.InTransaction: {1, 2, 3, 4, 5}, crash.AfterCommit: {1, 2, 3, 4, 5}, crash.AfterAnswer: {1, 2, 3, 4, 5},
			},
			before: func(v *victim, _ string) { v.keyed() },
			act:    (*victim).play,
			done:   (*victim).played,
		},
	}
}

// TestT01Directed: at each point, on each course that passes it, the process
// dies, and the next one goes on: the client who insists is answered as at
// first, and everything ends.
func TestT01Directed(t *testing.T) {
	eachStore(t, directed)
}

func directed(t *testing.T, store string) {
	planned, died, survived := 0, map[crash.Point]int{}, 0
	var mu sync.Mutex
	t.Run("courses", func(t *testing.T) {
		for lane := range torture.Count(t, 3, 1) {
			t.Run(fmt.Sprint(lane), func(t *testing.T) {
				t.Parallel()
				tried, deaths, lived := courseByCourse(t, store, lane)
				mu.Lock()
				defer mu.Unlock()
				planned, survived = planned+tried, survived+lived
				for p, n := range deaths {
					died[p] += n
				}
			})
		}
	})
	for n := range torture.Count(t, 3, 1) {
		t.Run(fmt.Sprint("migration ", n), func(t *testing.T) {
			planned++
			if newVictim(t, store).migration() {
				survived++
				died[crash.HalfMigrated]++
			}
		})
	}
	sum := 0
	for _, p := range crash.Points() {
		if died[p] == 0 {
			t.Errorf("nobody died at %s", p)
		}
		sum += died[p]
	}
	t.Logf("%s: deaths by point: %v; not built: %q", store, died, crash.NotBuilt())
	torture.Report(t, torture.Row{
		ID: "T01", Fault: "kill -9 at named points on each course", Store: store, Planned: planned, Injected: sum, Survived: survived,
	})
}

// courseByCourse has a victim die once at each point of each course, in a lane's
// turn of the passes. A short run has each point once, on a course of its turn.
func courseByCourse(t *testing.T, store string, lane int) (planned int, died map[crash.Point]int, survived int) {
	t.Helper()
	died = map[crash.Point]int{}
	v := newVictim(t, store)
	for n, c := range courses() {
		v.env = append(slices.Clip(v.base), c.env...)
		for m, p := range crash.Points() {
			passes := c.passes[p]
			if len(passes) == 0 || (!torture.Full() && !v.turn(n, m, p)) {
				continue
			}
			planned++
			pass := passes[lane%len(passes)]
			if v.trial(c, p, pass, died) {
				survived++
			}
			if t.Failed() {
				t.Fatalf("%s, dead at %s, pass %d, on %s", c.name, p, pass, store)
			}
		}
	}
	v.judge()
	return planned, died, survived
}

// victim is a platform that is told where to die, and who deals with it.
type victim struct {
	t     *testing.T
	w     *torture.World
	p     *torture.Platform
	store string
	base  []string // environment
	env   []string
	made  int
	key   string // for /v1

	yes      sync.Map // what was told yes → request id
	answers  sync.Map // path and key → what /v1 answered
	mu       sync.Mutex
	sessions map[string]string // path of a payment's page, by the payment's name
	offers   map[string]string // request id of the sale after which another try was offered
	books    books
}

func newVictim(t *testing.T, store string) *victim {
	w := torture.NewWorld(t, store)
	// The provider repeats a notification soon, decides when its page is known for certain, and a declined customer
	// may try again.
	w.Sandbox = sandbox.Options{NotifyUnit: 200 * time.Millisecond, RefundAfter: 10 * time.Millisecond, DecideAfter: 150 * time.Millisecond}
	w.Projects = "page_attempts = 3"
	p := w.NewPlatform("victim", "")
	p.Binary = torture.CrashBinary(t)
	v := &victim{t: t, w: w, p: p, store: store, sessions: map[string]string{}, offers: map[string]string{}}
	v.books = books{t: t, w: w}
	v.base = append(slices.Clip(p.Env), "AORTA_LOOKUP_SCHEDULE=100ms,200ms,400ms,60s", "AORTA_CALLBACK_UNIT=100ms")
	return v
}

// turn spreads the points of a short run over the courses.
func (v *victim) turn(course, point int, p crash.Point) bool {
	all := courses()
	var passing []int
	for n, c := range all {
		if len(c.passes[p]) > 0 {
			passing = append(passing, n)
		}
	}
	if passing[point%len(passing)] == course {
		return true
	}
	return slices.Contains(all[course].always, p)
}

func (v *victim) start(wish string) {
	v.t.Helper()
	env := append(slices.Clip(v.env), "AORTA_CRASH="+wish)
	if wish == "" && v.p.Running() && slices.Equal(env, v.p.Env) {
		return // it is not to die, and runs since the trial before
	}
	v.p.Kill()
	v.p.Env = env
	v.p.Start()
}

// trial has the process die once, and reports whether all ended as it must.
func (v *victim) trial(c course, point crash.Point, pass int, died map[crash.Point]int) bool {
	v.t.Helper()
	v.made++
	name := fmt.Sprintf("t01-%d", v.made)
	v.start("")
	if c.before != nil {
		c.before(v, name)
	}
	v.quiet()
	v.start(fmt.Sprintf("%s:%d", point, pass))
	acted := make(chan struct{})
	go func() { defer close(acted); c.act(v, name) }()
	if !v.dead() {
		v.t.Errorf("the process did not reach %s, pass %d", point, pass)
		return false
	}
	died[point]++
	v.start("")
	select {
	case <-acted:
	case <-time.After(patience):
		v.t.Errorf("whoever insisted was not answered in %v", patience)
		return false
	}
	c.act(v, name) // once more: the answer is that it was taken
	ok := (c.mayWait && v.books.waits(name)) || c.status == "" || v.ended(name, c.status, c.told)
	ok = ok && (c.done == nil || c.done(v, name))
	if err := v.w.Forget(); err != nil { // what was wished for too often is not for the next
		v.t.Fatal(err)
	}
	return ok
}

// dead waits until the process has killed itself.
func (v *victim) dead() bool {
	var exit *exec.ExitError
	err := v.p.Wait(10 * time.Second)
	if !errors.As(err, &exit) {
		v.t.Logf("end of the process: %v", err)
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// migration leaves an empty database half migrated, and reports whether the
// next process goes on from there.
func (v *victim) migration() bool {
	v.p.Env = append(slices.Clip(v.base), "AORTA_CRASH="+string(crash.HalfMigrated))
	v.p.Launch()
	if !v.dead() {
		v.t.Errorf("the process did not reach %s", crash.HalfMigrated)
		return false
	}
	v.env = v.base
	v.start("")
	v.w.Control("approve", "sale", 1)
	v.sell("migrated")
	ok := v.ended("migrated", "success", "success/sale success 0")
	v.p.Verify()
	return ok
}

// insist asks until it is answered, also by a later process. The first answer
// must be yes, and each that follows a yes that was heard must be the code of
// what is known; a yes that was lost makes the next answer that code too.
func (v *victim) insist(what, known string, ask func(context.Context) (torture.Answer, error)) {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		a, err := ask(ctx)
		cancel()
		switch {
		case err != nil || a.Status == http.StatusServiceUnavailable:
			continue
		case a.Status == http.StatusOK && a.Body["status"] == "success":
			if _, before := v.yes.LoadOrStore(what, a.Body["request_id"]); before {
				v.t.Errorf("%s: two requests were told that it is new", what)
			}
			return
		case a.Body["code"] == known:
			return
		}
		v.t.Errorf("%s: answer %d %v", what, a.Status, a.Body)
		return
	}
	v.t.Errorf("%s: no answer in 20 s", what)
}

// project is the world's project that a payment belongs to.
func (v *victim) project(name string) int { return len(name) % torture.Accounts }

func (v *victim) sell(name string) {
	v.insist("sale "+name, "3041", func(ctx context.Context) (torture.Answer, error) {
		return v.p.Sell(ctx, v.project(name), name, 1000)
	})
}

func (v *victim) refund(name string, minor int64) {
	v.insist("refund of "+name, "3230", func(ctx context.Context) (torture.Answer, error) {
		return v.p.Gate(ctx, "/v2/payment/wallet/paytm/refund", v.project(name), torture.Refund(name, minor, "r-"+name))
	})
}

// browser follows no redirect: where it leads is the answer.
var browser = &http.Client{
	Timeout: 15 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// post posts a form until it is answered with a redirect, and gives where to.
func (v *victim) post(path string, form url.Values) string {
	var err error
	status := 0
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		var resp *http.Response
		if resp, err = browser.PostForm(v.p.Public+path, form); err != nil {
			continue
		}
		status = resp.StatusCode
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if status == http.StatusSeeOther {
			return resp.Header.Get("Location")
		}
		if status != http.StatusServiceUnavailable {
			break
		}
	}
	v.t.Errorf("POST %s: %d %v, want to be led on", path, status, err)
	return ""
}

// buy confirms a sale on the payment page.
func (v *victim) buy(name string) { v.confirm(name, v.project(name), 1000) }

// confirm confirms a sale on the payment page, and gives the path of its own.
func (v *victim) confirm(name string, project int, minor int64) string {
	fields := map[string]string{
		"project_id": fmt.Sprint(torture.FirstProject + project), "payment_id": name, "payment_amount": fmt.Sprint(minor), "payment_currency": "INR",
		"customer_id": "c1",
	}
	fields["signature"] = ecommpay.SignFields(fields, torture.Secret)
	query := url.Values{}
	for k, text := range fields {
		query.Set(k, text)
	}
	path := v.post("/payment/confirm", url.Values{
		"request": {base64.RawURLEncoding.EncodeToString([]byte(query.Encode()))}, "method": {"paytm-wallet"},
	})
	v.mu.Lock()
	defer v.mu.Unlock()
	if before := v.sessions[name]; before != "" && before != path {
		v.t.Errorf("the page of %s is at %s, and was at %s", name, path, before)
	}
	v.sessions[name] = path
	return path
}

var offer = regexp.MustCompile(`name="?after"? value="?([0-9a-f-]+)`)

// offered waits until the page of a payment offers to try again.
func (v *victim) offered(name string) {
	v.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		resp, err := browser.Get(v.p.Public + v.sessions[name])
		if err != nil {
			continue
		}
		page, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if found := offer.FindSubmatch(page); found != nil {
			v.offers[name] = string(found[1])
			return
		}
	}
	v.t.Fatalf("the page of %s never offered to try again", name)
}

// again presses "try again".
func (v *victim) again(name string) {
	v.post(v.sessions[name]+"/again", url.Values{"after": {v.offers[name]}})
}

// handedOver waits until the merchant knows where the customer pays, and gives
// the provider's page with its fields.
func (v *victim) handedOver(name string) (string, url.Values) {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		for _, c := range v.books.callbacks(name) {
			page, _ := c.Body["redirect_data"].(map[string]any)
			fields, _ := page["body"].(map[string]any)
			if address, _ := page["url"].(string); address != "" {
				form := url.Values{}
				for k, text := range fields {
					form.Set(k, fmt.Sprint(text))
				}
				return address, form
			}
		}
	}
	v.t.Errorf("the merchant was never told where %s is paid", name)
	return "", nil
}

// press presses a button on the provider's page.
func (v *victim) press(name, button string) {
	address, form := v.handedOver(name)
	form.Set("action", button)
	resp, err := browser.PostForm(address, form)
	if err != nil {
		v.t.Errorf("press %s: %v", button, err)
		return
	}
	_ = resp.Body.Close()
}

// ended waits until a payment has ended so, and the merchant was told so.
func (v *victim) ended(name, status, told string) bool {
	v.t.Helper()
	if err := v.p.Await(v.project(name), name, status, 20*time.Second); err != nil {
		v.t.Error(err)
		return false
	}
	if told == "" {
		return true
	}
	var words []string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		words = nil
		for _, c := range v.books.callbacks(name) {
			words = append(words, c.Word())
		}
		if slices.Contains(words, told) {
			return true
		}
	}
	v.t.Errorf("the merchant was told %q of %s, want %q", words, name, told)
	return false
}

// keyed makes an API key, once.
func (v *victim) keyed() {
	if v.key == "" {
		v.key = v.p.Key(playing)
	}
}

func (v *victim) wish(connector, next, operation string, count int) {
	v.t.Helper()
	if err := v.w.Wish(connector, next, operation, count); err != nil {
		v.t.Fatal(err)
	}
}

// native asks /v1 under a key until it is answered, also by a later process. The
// answer must be yes, and the same each time that it is heard.
func (v *victim) native(path, key string, body map[string]any) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		r, err := scenario.Native{URL: v.p.Public, Key: v.key}.Post(ctx, path, key, body)
		cancel()
		switch {
		case err != nil || !r.Final():
			continue
		case r.Status != http.StatusOK:
			v.t.Errorf("%s %s: answer %d %s", path, key, r.Status, r.Text)
			return
		}
		if first, before := v.answers.LoadOrStore(path+" "+key, r.Text); before && first != r.Text {
			v.t.Errorf("%s %s: answered %s and %s", path, key, first, r.Text)
		}
		return
	}
	v.t.Errorf("%s %s: no answer in %v", path, key, patience)
}

// patience is how long who insists does so. On PostgreSQL a call that a process
// was answering when it died is taken over once that has been silent for 15 s.
const patience = time.Minute

// init begins a payment by /v1.
func (v *victim) init(name string) {
	v.native("/v1/payments/init", name, map[string]any{
		"amount": "10.00", "currency": "EUR", "method": "card", "return_url": "https://shop.example/", "merchant_payment_id": name, "customer_id": "c1",
	})
}

// captured reports whether a payment by /v1 ends captured.
func (v *victim) captured(name string) bool {
	status := any(nil)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		r, err := scenario.Native{URL: v.p.Public, Key: v.key}.Get(ctx, "/v1/payments?merchant_payment_id="+name)
		cancel()
		list, _ := r.Body()["data"].([]any)
		if err == nil && len(list) == 1 {
			one, _ := list[0].(map[string]any)
			if status = one["status"]; status == "captured" {
				return true
			}
		}
	}
	v.t.Errorf("payment %s is %v after %v, want it captured", name, status, patience)
	return false
}

// play has a customer play a round that is rolled back, and another one.
func (v *victim) play(name string) {
	for n, m := range []struct{ path, round, amount string }{
		{"/v1/wallet/credit", "", "10.00"},
		{"/v1/rounds/stake", "first", "4.00"},
		{"/v1/rounds/win", "first", "1.50"},
		{"/v1/rounds/rollback", "first", ""},
		{"/v1/rounds/stake", "second", "3.00"},
	} {
		body := map[string]any{"txn_id": fmt.Sprintf("%s-%d", name, n), "customer_id": name}
		if m.round != "" {
			body["round_id"] = name + "-" + m.round
		}
		if m.amount != "" {
			body["amount"], body["currency"] = m.amount, "EUR"
		}
		v.native(m.path, fmt.Sprintf("%s-%d", name, n), body)
	}
}

// played reports whether a customer has what play leaves them.
func (v *victim) played(name string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := scenario.Native{URL: v.p.Public, Key: v.key}.Get(ctx, "/v1/customers/"+name+"/transfers")
	list, _ := r.Body()["data"].([]any)
	var changes []string
	for _, line := range list {
		transfer, _ := line.(map[string]any)
		changes = append(changes, fmt.Sprint(transfer["kind"], " ", transfer["change"]))
	}
	if want := []string{"stake -3.00", "rollback 2.50", "win 1.50", "stake -4.00", "credit 10.00"}; err != nil || !slices.Equal(changes, want) {
		v.t.Errorf("the statement of %s is %q, want %q: %v", name, changes, want, err)
		return false
	}
	return true
}

// paidOut reports whether a customer's payout has ended, or waits for it to be
// sure that the provider has never heard of it.
func (v *victim) paidOut(name string) bool {
	c := cashier{t: v.t, w: v.w, platforms: []*torture.Platform{v.p}, key: v.key}
	wrong := c.end(func(s string) bool { return s == name }, map[string]bool{name: true})
	for _, s := range wrong {
		v.t.Error(s)
	}
	return len(wrong) == 0
}

// quiet waits until nothing is left to do that could be taken for the next
// trial's doing.
func (v *victim) quiet() {
	v.t.Helper()
	why := ""
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if why = v.books.busy(time.Second); why == "" {
			return
		}
	}
	v.t.Fatalf("it never came to rest: %s", why)
}

// judge compares all that there is in the end.
func (v *victim) judge() {
	v.t.Helper()
	v.p.Verify()
	v.books.compare(20 * time.Second)
	v.yes.Range(func(what, request any) bool {
		if text, _ := request.(string); !v.books.knows(text) {
			v.t.Errorf("%s was acknowledged as %s, which the books do not know", what, strings.TrimSpace(text))
		}
		return true
	})
}
