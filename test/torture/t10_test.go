package torture_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/payment"
	"aorta/internal/sandbox/paytm"
	"aorta/test/scenario"
	"aorta/test/torture"
)

// herald sends a platform notifications and requests that the provider's
// simulator would not. It signs with the simulator's own code, which shares
// nothing with the platform's.
type herald struct {
	t    *testing.T
	w    *torture.World
	p    *torture.Platform
	b    books
	keys [torture.Accounts]*paytm.Key
	dice *rand.Rand
	http *http.Client
}

func newHerald(t *testing.T, store string, env ...string) *herald {
	w := torture.NewWorld(t, store)
	p := w.NewPlatform("heard", "")
	p.Env = append(p.Env, env...)
	p.Start()
	h := &herald{
		t: t, w: w, p: p, dice: rand.New(rand.NewPCG(rand.Uint64(), 1)),
		http: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
	}
	t.Cleanup(h.http.CloseIdleConnections)
	h.b = books{t: t, w: w}
	for n := range h.keys {
		var err error
		if h.keys[n], err = paytm.NewKey(torture.Account(n).Key); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// order is a sale as the provider knows it.
type order struct {
	id      string
	account int
	minor   int64
}

// orders sells n payments and gives their orders.
func (h *herald) orders(n int, next string) []order {
	h.t.Helper()
	entries, err := h.w.Provider("paytm", 0)
	if err != nil {
		h.t.Fatal(err)
	}
	before := len(entries)
	if next != "" {
		h.w.Control(next, "sale", n)
	}
	h.parallel(n, func(k int) {
		if a, err := h.p.Sell(context.Background(), k%torture.Accounts, fmt.Sprintf("o-%d-%d", before, k), int64(1000+100*k)); err != nil || a.Status != http.StatusOK {
			h.t.Errorf("sale: %+v %v", a, err)
		}
	})
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if entries, err = h.w.Provider("paytm", 0); err == nil && len(entries) == before+n {
			break
		}
	}
	var out []order
	for _, e := range entries[before:] {
		account, err := strconv.Atoi(e.Account[len(e.Account)-1:])
		if err != nil {
			h.t.Fatal(err)
		}
		out = append(out, order{e.Reference, account, e.AmountMinor})
	}
	if len(out) != n {
		h.t.Fatalf("the provider has %d orders, want %d", len(out), n)
	}
	return out
}

// parallel does n things, sixteen at once.
func (h *herald) parallel(n int, do func(k int)) {
	var wg sync.WaitGroup
	turns := make(chan struct{}, 16)
	for k := range n {
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			do(k)
		})
	}
	wg.Wait()
}

func rupees(minor int64) string { return fmt.Sprintf("%d.%02d", minor/100, minor%100) }

// paid is the body of the news that an order was paid.
func (o order) paid() string {
	return fmt.Sprintf(`{"mid":%q,"orderId":%q,"txnId":"20261122000000800110168000000000001","txnAmount":%q,"currency":"INR","status":"TXN_SUCCESS","respCode":"01","respMsg":"Txn Success","txnType":"SALE","paymentMode":"PPI"}`,
		torture.Account(o.account).MID, o.id, rupees(o.minor))
}

// sealed is a notification of this body, signed by an account.
func (h *herald) sealed(account int, body string) string {
	return h.salted(account, body, "AbC=")
}

func (h *herald) salted(account int, body, salt string) string {
	return fmt.Sprintf(`{"head":{"signature":%q},"body":%s}`, h.keys[account].Checksum([]byte(body), salt), body)
}

// send posts to an account's address and gives the status; 0: no answer.
func (h *herald) send(account int, contentType, body string) int {
	return h.post(fmt.Sprintf("%s/n/paytm/a%d", h.p.Public, account), contentType, body)
}

func (h *herald) post(address, contentType, body string) int {
	resp, err := h.http.Post(address, contentType, strings.NewReader(body))
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// rows counts what is stored.
type rows struct {
	payments, attempts, inbox, transfers, cases, mismatches int
	captured                                                int
	clearing                                                int64
}

func (h *herald) rows() (n rows) {
	h.t.Helper()
	err := h.w.Read(func(r book.Reader) error {
		if err := scenario.Every(r.ScanPayments, func(p payment.Payment) id.Payment {
			n.payments++
			if p.Status == payment.StatusCaptured {
				n.captured++
			}
			return p.ID
		}); err != nil {
			return err
		}
		if err := scenario.Every(r.ScanAttempts, func(a payment.Attempt) id.Attempt { n.attempts++; return a.ID }); err != nil {
			return err
		}
		if err := scenario.Every(r.ScanInbox, func(i payment.Inbox) id.Inbox { n.inbox++; return i.ID }); err != nil {
			return err
		}
		if err := scenario.Every(r.ScanTransfers, func(x ledger.Transfer) id.Transfer { n.transfers++; return x.ID }); err != nil {
			return err
		}
		if err := scenario.Every(r.ScanAccounts, func(a ledger.Account) id.Account {
			if a.Purpose == ledger.Clearing {
				n.clearing += a.Minor
			}
			return a.ID
		}); err != nil {
			return err
		}
		return scenario.Every(r.Cases, func(c payment.Case) id.Case {
			n.cases++
			if c.Kind == "mismatch" {
				n.mismatches++
			}
			return c.ID
		})
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

// until waits until what is stored is so.
func (h *herald) until(what string, is func(rows) bool) rows {
	h.t.Helper()
	var n rows
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if n = h.rows(); is(n) {
			return n
		}
	}
	h.t.Errorf("%s never came: %+v", what, n)
	return n
}

// TestT10: the same news 2 to 50 times, at once and later, in the same bytes and
// in others: 200 each time, and one effect.
func TestT10(t *testing.T) {
	eachStore(t, func(t *testing.T, store string) {
		h := newHerald(t, store)
		planned := torture.Count(t, 10_000, 300)
		orders := h.orders(max(planned/26, 2), "silent")
		sent, answered, distinct := 0, 0, 0
		var mu sync.Mutex
		again := func(k, times int) {
			o := orders[k]
			bodies := []string{h.sealed(o.account, o.paid()), h.salted(o.account, o.paid(), "zZ9=")}
			var wg sync.WaitGroup
			for n := range times {
				wg.Go(func() {
					status := h.send(o.account, "application/json", bodies[n%2])
					mu.Lock()
					defer mu.Unlock()
					sent++
					if status == http.StatusOK {
						answered++
					}
				})
			}
			wg.Wait()
		}
		for k := range orders {
			distinct += 2
			again(k, 2+h.dice.IntN(49))
		}
		n := h.until("the capture of all", func(n rows) bool { return n.captured == len(orders) })
		for k := 0; sent < planned; k++ { // later, until there were as many as planned
			again(k%len(orders), 10)
		}
		after := h.rows()
		if after.inbox != distinct || after.transfers != len(orders) || after.captured != len(orders) || after.clearing != n.clearing || after.cases != 0 {
			t.Errorf("stored is %+v; want %d notifications, one transfer for each of %d payments, and no case", after, distinct, len(orders))
		}
		h.p.Verify()
		h.b.compare(20 * time.Second)
		torture.Report(t, torture.Row{ID: "T10", Fault: "the same notification 2 to 50 times", Store: store, Planned: planned, Injected: sent, Survived: answered})
	})
}

// TestT12: what is not signed as it must be is refused, and leaves nothing.
func TestT12(t *testing.T) {
	eachStore(t, func(t *testing.T, store string) {
		h := newHerald(t, store)
		planned := torture.Count(t, 5_000, 400)
		orders := h.orders(4*torture.Accounts, "")
		h.until("a page for each", func(n rows) bool { return n.attempts == len(orders) })
		before := h.rows()
		stranger, err := paytm.NewKey("0123456789abcdef")
		if err != nil {
			t.Fatal(err)
		}
		flip := func(text string, from, to int) string {
			b := []byte(text)
			b[from+h.dice.IntN(to-from)] ^= 1 << h.dice.IntN(7) // the text stays ASCII
			return string(b)
		}
		form := func(o order, change func(map[string]string)) string {
			fields := map[string]string{
				"MID": torture.Account(o.account).MID, "ORDERID": o.id, "STATUS": "TXN_SUCCESS", "RESPCODE": "01", "TXNAMOUNT": rupees(o.minor), "CURRENCY": "INR",
			}
			fields["CHECKSUMHASH"] = h.keys[o.account].Checksum(paytm.FormText(fields), "AbC=")
			change(fields)
			v := url.Values{}
			for name, value := range fields {
				v.Set(name, value)
			}
			return v.Encode()
		}
		const formType, jsonType = "application/x-www-form-urlencoded", "application/json"
		gate := func(k int, change func(string) string) int {
			raw, err := torture.Signed(k%torture.Accounts, torture.Sale(fmt.Sprintf("forged-%d", k), 1000))
			if err != nil {
				t.Fatal(err)
			}
			return h.post(h.p.Public+"/v2/payment/wallet/paytm/sale", jsonType, change(string(raw)))
		}
		signature := regexp.MustCompile(`"signature":"[^"]*",?`)
		kinds := []func(k int, o order) int{
			func(_ int, o order) int { // a bit of the body
				return h.send(o.account, jsonType, fmt.Sprintf(`{"head":{"signature":%q},"body":%s}`, h.keys[o.account].Checksum([]byte(o.paid()), "AbC="), flip(o.paid(), 1, len(o.paid())-1)))
			},
			func(_ int, o order) int { // a bit of the signature, not of its last digits, some bits of which say nothing
				sum := h.keys[o.account].Checksum([]byte(o.paid()), "AbC=")
				return h.send(o.account, jsonType, `{"head":{"signature":"`+strings.ReplaceAll(strings.ReplaceAll(flip(sum, 0, 100), `"`, "!"), `\`, "!")+`"},"body":`+o.paid()+`}`)
			},
			func(_ int, o order) int { return h.send(o.account, jsonType, `{"head":{},"body":`+o.paid()+`}`) },
			func(_ int, o order) int {
				return h.send(o.account, jsonType, `{"head":{"signature":""},"body":`+o.paid()+`}`)
			},
			func(_ int, o order) int {
				return h.send(o.account, jsonType, fmt.Sprintf(`{"head":{"signature":%q},"body":%s}`, stranger.Checksum([]byte(o.paid()), "AbC="), o.paid()))
			},
			func(_ int, o order) int {
				return h.send(o.account, jsonType, h.sealed((o.account+1)%torture.Accounts, o.paid()))
			},
			func(_ int, o order) int {
				return h.send((o.account+1)%torture.Accounts, jsonType, h.sealed(o.account, o.paid()))
			},
			func(_ int, o order) int {
				return h.send(o.account, formType, form(o, func(f map[string]string) { f["TXNAMOUNT"] = rupees(o.minor + 100) }))
			},
			func(_ int, o order) int {
				return h.send(o.account, formType, form(o, func(f map[string]string) { delete(f, "CHECKSUMHASH") }))
			},
			func(_ int, o order) int { // only values are signed: a name in the same place
				return h.send(o.account, formType, form(o, func(f map[string]string) { f["STATUSX"] = f["STATUS"]; delete(f, "STATUS") }))
			},
			func(_ int, o order) int { // a bar moved between neighbours
				return h.send(o.account, formType, form(o, func(f map[string]string) { f["CURRENCY"] = "INR|" + f["MID"]; f["MID"] = "" }))
			},
			func(k int, _ order) int { // a bit of a Gate request
				return gate(k, func(s string) string { return flip(s, 1, len(s)-1) })
			},
			func(k int, _ order) int {
				return gate(k, func(s string) string { return signature.ReplaceAllString(s, "") })
			},
			func(k int, _ order) int {
				return gate(k, func(s string) string { return strings.Replace(s, `"amount":1000`, `"amount":1`, 1) })
			},
			func(k int, _ order) int { // another project's signature
				return gate(k, func(s string) string {
					return strings.Replace(s, fmt.Sprintf(`"project_id":%d`, torture.FirstProject+k%torture.Accounts), fmt.Sprintf(`"project_id":%d`, torture.FirstProject+(k+1)%torture.Accounts), 1)
				})
			},
		}
		refused := 0
		for k := range planned {
			status := kinds[k%len(kinds)](k, orders[k%len(orders)])
			if status == http.StatusUnauthorized || status == http.StatusBadRequest || status == http.StatusUnprocessableEntity {
				refused++
			} else {
				t.Errorf("forgery %d of kind %d was answered %d", k, k%len(kinds), status)
			}
		}
		if after := h.rows(); after != before {
			t.Errorf("what was forged left traces: stored is %+v, was %+v", after, before)
		}
		h.p.Verify()
		torture.Report(t, torture.Row{ID: "T12", Fault: "tampered, unsigned, wrongly signed", Store: store, Planned: planned, Injected: planned, Survived: refused})
	})
}

// TestT13: genuine news that does not fit what we asked for is taken from the
// provider, and is a case for a person; no money is booked by it.
func TestT13(t *testing.T) {
	eachStore(t, func(t *testing.T, store string) {
		h := newHerald(t, store)
		each := torture.Count(t, 500, 12)
		kinds := []struct {
			name string
			send func(o, other order) int
		}{
			{"amount", func(o, _ order) int {
				body := strings.Replace(o.paid(), rupees(o.minor), rupees(o.minor+1), 1)
				return h.send(o.account, "application/json", h.sealed(o.account, body))
			}},
			{"currency", func(o, _ order) int {
				body := strings.Replace(o.paid(), `"INR"`, `"USD"`, 1)
				return h.send(o.account, "application/json", h.sealed(o.account, body))
			}},
			{"account", func(o, _ order) int {
				there := order{o.id, (o.account + 1) % torture.Accounts, o.minor}
				return h.send(there.account, "application/json", h.sealed(there.account, there.paid()))
			}},
			{"payment", func(o, other order) int { // the news of another one, under this one's name
				there := order{o.id, o.account, other.minor}
				return h.send(o.account, "application/json", h.sealed(o.account, there.paid()))
			}},
		}
		orders := h.orders(each*len(kinds), "")
		h.until("a page for each", func(n rows) bool { return n.attempts == len(orders) })
		before := h.rows()
		var answered [4]int
		var mu sync.Mutex
		h.parallel(len(orders), func(k int) {
			status := kinds[k%4].send(orders[k], orders[(k+1)%len(orders)])
			mu.Lock()
			defer mu.Unlock()
			if status == http.StatusOK {
				answered[k%4]++
			}
		})
		n := h.until("a case for each", func(n rows) bool { return n.mismatches == len(orders) })
		violations := 0
		if n.cases != len(orders) || n.captured != 0 || n.transfers != before.transfers || n.clearing != before.clearing {
			violations++
			t.Errorf("stored is %+v, was %+v; want %d cases and no money", n, before, len(orders))
		}
		h.p.Verify()
		for k, kind := range kinds {
			torture.Report(t, torture.Row{
				ID: "T13", Fault: "a notification of another " + kind.name, Store: store, Planned: each, Injected: each, Survived: answered[k], Violations: violations,
			})
		}
	})
}

// TestT14: whatever is sent, signed or not, is answered by 2xx, or refused as
// what it is, in constant memory; and the platform goes on selling.
func TestT14(t *testing.T) {
	eachStore(t, func(t *testing.T, store string) {
		h := newHerald(t, store)
		planned := torture.Count(t, 5_000, 300)
		orders := h.orders(torture.Accounts, "")
		h.until("a page for each", func(n rows) bool { return n.attempts == len(orders) })
		huge := strings.Repeat("x", 2<<20)
		bodies := []func(o order, k int) string{
			func(o order, _ int) string { return strings.Replace(o.paid(), "TXN_SUCCESS", "TXN_WONDERFUL", 1) },
			func(o order, k int) string { return fmt.Sprintf(`{"event":"unheard.of","orderId":%q,"n":%d}`, o.id, k) },
			func(o order, k int) string {
				return strings.TrimSuffix(strings.Replace(o.paid(), "TXN_SUCCESS", "PENDING", 1), "}") + fmt.Sprintf(`,"more":{"n":[%d,null,true]}}`, k)
			},
			func(o order, _ int) string { return strings.Replace(o.paid(), `"respMsg":"`, `"respMsg":"`+huge, 1) },
			func(o order, k int) string {
				deep := 40 + k%5000
				return strings.TrimSuffix(o.paid(), "}") + `,"deep":` + strings.Repeat("[", deep) + strings.Repeat("]", deep) + `}`
			},
			func(o order, _ int) string { return strings.Replace(o.paid(), "Txn Success", "Txn \xff\xfe\xc0", 1) },
			func(o order, _ int) string { return strings.TrimSuffix(o.paid(), "}") + `,"txnAmount":"1.00"}` },
			func(o order, _ int) string { return strings.TrimSuffix(o.paid(), "}") + `,"TXNAMOUNT":"1.00"}` },
			func(o order, _ int) string {
				return strings.Replace(o.paid(), `"txnAmount":"`+rupees(o.minor)+`"`, `"txnAmount":1e400`, 1)
			},
			func(o order, _ int) string {
				return strings.Replace(o.paid(), `"txnAmount":"`+rupees(o.minor)+`"`, `"txnAmount":"1e400"`, 1)
			},
			func(o order, _ int) string { return o.paid() + "\x00" },
			func(order, int) string { return `[]` },
			func(order, int) string { return `null` },
			func(order, int) string { return `` },
			func(o order, _ int) string { return strings.Replace(o.paid(), "Txn Success", `\ud800`, 1) },
		}
		answered, most, early := 0, int64(0), int64(0)
		for k := range planned {
			o := orders[k%len(orders)]
			body := bodies[k%len(bodies)](o, k)
			status := 0
			switch k / len(bodies) % 3 {
			case 0: // genuine, so that all of it is read
				status = h.send(o.account, "application/json", h.sealed(o.account, body))
			case 1:
				status = h.send(o.account, "application/json", body)
			case 2:
				status = h.post(h.p.Public+"/v2/payment/wallet/paytm/sale", "application/json", body)
			}
			switch {
			case status/100 == 2, status == http.StatusBadRequest, status == http.StatusUnauthorized, status == http.StatusRequestEntityTooLarge,
				status == http.StatusUnprocessableEntity:
				answered++
			case status == 0 && len(body) > 1<<20:
				answered++ // refused while it was still being sent
			default:
				t.Errorf("body %d of kind %d was answered %d: %.200q", k, k%len(bodies), status, body)
			}
			if k%20 == 0 {
				most = max(most, h.resident())
			}
			if k == planned/5 {
				early = most
			}
		}
		t.Logf("%d MiB at most, %d MiB after the first fifth", most>>20, early>>20)
		// The runtime's own bound is 136 MiB, SQLite's caches come on top of it.
		if most > 320<<20 || most > early+64<<20 {
			t.Errorf("memory grew from %d to %d MiB", early>>20, most>>20)
		}
		if n := h.rows(); n.transfers != 0 || n.captured != 0 {
			t.Errorf("money was booked by nonsense: %+v", n)
		}
		h.w.Control("approve", "sale", 1)
		if a, err := h.p.Sell(t.Context(), 0, "afterwards", 1000); err != nil || a.Status != http.StatusOK {
			t.Errorf("afterwards a sale is answered %+v %v", a, err)
		}
		if err := h.p.Await(0, "afterwards", "success", 20*time.Second); err != nil {
			t.Error(err)
		}
		h.p.Verify()
		torture.Report(t, torture.Row{
			ID: "T14", Fault: "unknown, huge, deep, not UTF-8, twice, 1e400", Store: store, Planned: planned, Injected: planned, Survived: answered,
		})
	})
}

// resident is the platform's memory in bytes.
func (h *herald) resident() int64 { return statusKiB(h.t, h.p.PID(), "VmRSS") << 10 }
