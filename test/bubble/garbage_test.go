package bubble

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aorta/internal/id"
	"aorta/internal/sandbox"
	psp "aorta/internal/sandbox/paytm"
	"aorta/internal/sign"
	"aorta/test/torture"
)

// size is how many rows of each kind there are.
func (w *world) size() string {
	ctx := context.Background()
	counts := make([]int, 0, 8)
	add := func(n int, err error) {
		must(w.t, err)
		counts = append(counts, n)
	}
	pays, err := w.db.ScanPayments(ctx, id.Payment{}, all)
	add(len(pays), err)
	ops, err := w.db.ScanOperations(ctx, id.Operation{}, all)
	add(len(ops), err)
	attempts, err := w.db.ScanAttempts(ctx, id.Attempt{}, all)
	add(len(attempts), err)
	notes, err := w.db.ScanInbox(ctx, id.Inbox{}, all)
	add(len(notes), err)
	events, err := w.db.ScanEvents(ctx, id.Event{}, all)
	add(len(events), err)
	transfers, err := w.db.ScanTransfers(ctx, id.Transfer{}, all)
	add(len(transfers), err)
	cases, err := w.db.Cases(ctx, id.Case{}, all)
	add(len(cases), err)
	rest, err := w.db.ScanDue(ctx, id.Raw{}, all)
	add(len(rest), err)
	return fmt.Sprint(counts)
}

// bring hands a request to the platform's own handler.
func (w *world) bring(path, kind string, body []byte) (int, string) {
	r := httptest.NewRequest(http.MethodPost, "http://pay"+path, bytes.NewReader(body))
	r.Header.Set("Content-Type", kind)
	answer := httptest.NewRecorder()
	w.life.server.Handler.ServeHTTP(answer, r)
	return answer.Code, answer.Body.String()
}

// signedSale is a Gate request whose signature is right.
func (w *world) signedSale(name string) []byte {
	text := fmt.Sprintf(`{"customer":{"id":"c1","ip_address":"192.0.2.10"},"general":{"payment_id":%q,"project_id":200},"payment":{"amount":250,"currency":"INR"}}`, name)
	doc, err := sign.ParseJSON([]byte(text))
	must(w.t, err)
	return []byte(strings.Replace(text, `"general":{`, fmt.Sprintf(`"general":{"signature":%q,`, sign.Sign(doc, w.project.Secret)), 1))
}

// signedPage are parameters of the payment page whose signature is right.
func (w *world) signedPage(name string) []byte {
	v := url.Values{"project_id": {"200"}, "payment_id": {name}, "payment_amount": {"250"}, "payment_currency": {"INR"}, "customer_id": {"c1"}}
	doc, err := sign.ParseForm(v.Encode())
	must(w.t, err)
	return []byte(v.Encode() + "&signature=" + url.QueryEscape(sign.Sign(doc, w.project.Secret)))
}

// signedNews is a JSON notification whose checksum is right.
func signedNews(t testing.TB, key *psp.Key, order string) []byte {
	body, err := json.Marshal(map[string]string{
		"mid": sandbox.DemoMID, "orderId": order, "txnId": "T1", "txnAmount": "2.50", "currency": "INR", "status": "TXN_SUCCESS", "respCode": "01",
		"respMsg": "Txn Success", "txnDate": "2000-01-01 10:00:00.0",
	})
	must(t, err)
	return fmt.Appendf(nil, `{"head":{"signature":"%s"},"body":%s}`, key.Checksum(body, "salt"), body)
}

// garbled runs f on a world that has one payment, at rest, on SQLite.
func garbled(t *testing.T, f func(w *world, order string)) {
	path := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 12, path)
		time.Sleep(quietFrom + time.Minute) // nothing is drawn: what is tried here does not go over the wires
		w.witness.Sale((&buyer{w: w, n: 1, name: "order-0", minor: 250}).request())
		if status, text := w.bring("/v2/payment/wallet/paytm/sale", "application/json", w.signedSale("order-0")); status != http.StatusOK {
			t.Fatalf("sale = %d %s", status, text)
		}
		time.Sleep(10 * time.Second)
		attempts, err := w.db.ScanAttempts(t.Context(), id.Attempt{}, all)
		must(t, err)
		f(w, attempts[0].ID.String())
		w.close()
	})
}

const confirmPath = "/payment/confirm"

// confirm wraps the page's parameters as its form does.
func confirm(raw []byte) []byte {
	return []byte(url.Values{"request": {base64.RawURLEncoding.EncodeToString(raw)}, "method": {"paytm-wallet"}}.Encode())
}

// T12: a signed request or notification in which one bit is another is refused,
// and leaves no row. What is flipped is signed, or the signature itself: of a
// notification's envelope the rest says nothing.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	n := torture.Count(t, 5_000, 1_000)
	row := torture.Row{ID: "T12", Fault: "bits of signed requests and notifications flipped", Store: "sqlite", Planned: n}
	garbled(t, func(w *world, order string) {
		key, err := psp.NewKey(sandbox.DemoKey)
		must(t, err)
		before := w.size()
		for i := range n {
			var path, kind, text string
			var body []byte
			switch i % 3 {
			case 0:
				path, kind, body = "/v2/payment/wallet/paytm/sale", "application/json", w.signedSale(fmt.Sprint("flip-", i))
			case 1:
				path, kind, body = confirmPath, formKind, w.signedPage(fmt.Sprint("flip-", i))
			case 2:
				path, kind, body = "/n/paytm/demo", "application/json", signedNews(t, key, order)
			}
			whole := bytes.Clone(body)
			bit := byte(1) << uint(w.draw("bit", i)*8)
			at := int(w.draw("byte", i) * float64(len(body)))
			if i%3 == 2 { // its signature, or what that is of
				from, to := len(`{"head":{"signature":"`), bytes.Index(body, []byte(`"},"body":`))
				if w.draw("part", i) < 0.5 {
					from, to = to+len(`"},"body":`), len(body)-1
				}
				at = from + int(w.draw("byte", i)*float64(to-from))
			}
			body[at] ^= bit
			if i%3 == 1 {
				a, errA := url.ParseQuery(string(whole))
				b, errB := url.ParseQuery(string(body))
				if errA == nil && errB == nil && a.Encode() == b.Encode() { // %3d is %3D
					body[0] ^= 1
				}
				body = confirm(body)
			}
			row.Injected++
			status, answer := w.bring(path, kind, body)
			text = answer
			if status < 400 || status >= 500 {
				t.Errorf("%s with bit %d of byte %d flipped = %d: %s\n%s", path, bit, at, status, text, body)
				row.Violations++
				continue
			}
			row.Survived++
		}
		time.Sleep(time.Minute)
		if after := w.size(); after != before {
			t.Errorf("rows (payments, operations, attempts, notices, events, transfers, cases, due) were %s, and are %s", before, after)
			row.Violations++
		}
		// The whole ones are taken: what was refused was refused for its bit.
		if status, text := w.bring("/v2/payment/wallet/paytm/sale", "application/json", w.signedSale("flip")); status != http.StatusOK {
			t.Errorf("the whole sale = %d %s", status, text)
		}
		if status, text := w.bring("/n/paytm/demo", "application/json", signedNews(t, key, order)); status != http.StatusOK {
			t.Errorf("the whole notification = %d %s", status, text)
		}
		if status, text := w.bring(confirmPath, formKind, confirm(w.signedPage("flip-page"))); status != http.StatusSeeOther {
			t.Errorf("the whole confirmation = %d %s", status, text)
		}
		time.Sleep(time.Minute)
	})
	torture.Report(t, row)
}

// garbage is a body that nobody should send. %s is where the order's name belongs.
var garbage = []struct {
	name string
	body func(w *world, n int) string
}{
	{"unknown event type", func(_ *world, n int) string {
		return fmt.Sprintf(`{"mid":%q,"orderId":"%%s","status":"SPINNING%d","respCode":"%d","txnAmount":"2.50","currency":"INR"}`, sandbox.DemoMID, n, n)
	}},
	{"extra fields", func(_ *world, n int) string {
		var b strings.Builder
		for i := range 100 + n%400 {
			fmt.Fprintf(&b, `"x%d":{"y":[%d]},`, i, i)
		}
		return fmt.Sprintf(`{%s"mid":%q,"orderId":"%%s","status":"PENDING","respCode":"402","txnAmount":"2.50","currency":"INR"}`, b.String(), sandbox.DemoMID)
	}},
	{"huge body", func(_ *world, n int) string { return `{"orderId":"` + strings.Repeat("x", 1<<20+n) + `"}` }},
	{"deep JSON", func(_ *world, n int) string { return strings.Repeat(`[`, 5_000+n) + strings.Repeat(`]`, 5_000+n) }},
	{"deep objects", func(_ *world, n int) string {
		return strings.Repeat(`{"a":`, 20_000+n) + "1" + strings.Repeat(`}`, 20_000+n)
	}},
	{"bad UTF-8", func(_ *world, n int) string {
		return "{\"orderId\":\"%s\",\"mid\":\"\xff\xfe" + strconv.Itoa(n) + "\"}"
	}},
	{"half a surrogate and NUL", func(_ *world, n int) string { return `{"orderId":"%s","mid":"\ud800\u0000` + strconv.Itoa(n) + `"}` }},
	{"duplicate keys", func(_ *world, n int) string {
		return fmt.Sprintf(`{"orderId":"%%s","orderId":"att_%d","status":"TXN_SUCCESS","status":"TXN_FAILURE","general":{},"general":{}}`, n)
	}},
	{"numbers beyond all bounds", func(_ *world, n int) string {
		return fmt.Sprintf(`{"orderId":"%%s","txnAmount":1e4%02d,"payment":{"amount":-1e9999}}`, n%100)
	}},
	{"cut off", func(_ *world, n int) string { return `{"orderId":"%s","status":"TXN_SUC`[:5+n%25] }},
	{"noise", func(w *world, n int) string {
		b := make([]byte, n%3000)
		for i := range b {
			b[i] = byte(w.draw("noise", n, i) * 256)
		}
		return strings.ReplaceAll(string(b), "%", "")
	}},
}

// T14: what nobody should send is answered 2xx (stored, and without effect) or
// 4xx, on all doors, signed or not, and takes no memory.
func TestGarbage(t *testing.T) {
	t.Parallel()
	n := torture.Count(t, 5_000, 1_000)
	row := torture.Row{ID: "T14", Fault: "unknown events, huge, deep, malformed bodies", Store: "sqlite", Planned: n}
	garbled(t, func(w *world, order string) {
		key, err := psp.NewKey(sandbox.DemoKey)
		must(t, err)
		doors := []struct {
			path, kind string
			signed     bool
		}{
			{"/n/paytm/demo", "application/json", true},
			{"/v2/payment/wallet/paytm/sale", "application/json", false},
			{"/n/paytm/demo", formKind, false},
			{"/v2/payment/status", "application/json", true},
			{"/payment", formKind, false},
			{confirmPath, formKind, true},
		}
		heap := func() uint64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc >> 20
		}
		var most uint64
		var first uint64
		for i := range n {
			g, door := garbage[i%len(garbage)], doors[i/len(garbage)%len(doors)]
			body := []byte(strings.Replace(g.body(w, i), "%s", order, 1))
			switch {
			case door.signed && strings.HasPrefix(door.path, "/n/"):
				body = fmt.Appendf(nil, `{"head":{"signature":"%s"},"body":%s}`, key.Checksum(body, "salt"), body)
			case door.signed && door.path == confirmPath:
				body = confirm(body)
			case door.signed:
				if doc, err := sign.ParseJSON(body); err == nil && len(body) > 2 && body[0] == '{' {
					body = fmt.Appendf(nil, `{"general":{"project_id":200,"payment_id":"order-0","signature":%q},%s`, sign.Sign(doc, w.project.Secret), body[1:])
				}
			}
			row.Injected++
			if status, text := w.bring(door.path, door.kind, body); status < 200 || status >= 500 {
				t.Errorf("%s to %s = %d: %s", g.name, door.path, status, text)
				row.Violations++
				continue
			}
			row.Survived++
			if i == n/5 {
				first = heap()
			} else if i%(n/5) == 0 && i > 0 {
				most = max(most, heap())
			}
		}
		if most > first+48 {
			t.Errorf("the heap grew from %d MiB to %d MiB", first, most)
			row.Violations++
		}
		t.Logf("heap %d MiB after a fifth, then at most %d MiB", first, most)
		time.Sleep(30 * time.Minute) // dead letters end, and so does the one payment, by its time
		if got := w.size(); !strings.HasPrefix(got, "[1 1 ") {
			t.Errorf("rows (payments, operations, attempts, notices, events, transfers, cases, due) are %s, want the one payment", got)
			row.Violations++
		}
		transfers, err := w.db.ScanTransfers(context.Background(), id.Transfer{}, all)
		must(t, err)
		if r := w.judge(); len(r.Broken) > 0 || len(transfers) > 0 {
			t.Errorf("after it: %d transfers, %q", len(transfers), r.Broken)
			row.Violations++
		}
	})
	torture.Report(t, row)
}
