package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"aorta/internal/api"
)

// TestList: newest first, page by page, by status, customer, name and time.
func TestList(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var all []string
	for n := range 7 {
		amount := "50.00"
		if n%2 == 0 {
			amount = "1.00"
		}
		a := h.post(initPath, fmt.Sprint("k", n), sale(amount, fmt.Sprintf(`,"customer_id":"c%d","merchant_payment_id":"o%d","meta":{"n":"%d"}`, n%3, n, n)))
		all = append(all, a.text("payment_id"))
		h.pass(time.Second)
	}
	slices.Reverse(all)
	ids := func(target string) []string { t.Helper(); return h.ids(target, "payment_id") }
	for _, tt := range []struct {
		target string
		want   []string
	}{
		{"/v1/payments", all},
		{"/v1/payments?limit=2", all},
		{"/v1/payments?limit=7", all},
		{"/v1/payments?status=captured", []string{all[0], all[2], all[4], all[6]}},
		{"/v1/payments?status=pending", []string{all[1], all[3], all[5]}},
		{"/v1/payments?status=refunded", nil},
		{"/v1/payments?customer_id=c0", []string{all[0], all[3], all[6]}},
		{"/v1/payments?customer_id=c0&status=captured", []string{all[0], all[6]}},
		{"/v1/payments?merchant_payment_id=O3", []string{all[3]}},
		{"/v1/payments?merchant_payment_id=o3&status=captured", nil},
		{"/v1/payments?merchant_payment_id=nothing", nil},
		{"/v1/payments?created_from=2026-01-02T03:04:08Z", all[:4]},
		{"/v1/payments?created_to=2026-01-02T03:04:08Z", all[4:]},
		{"/v1/payments?created_from=2026-01-02T03:04:06Z&created_to=2026-01-02T03:04:08Z", all[4:6]},
	} {
		if got := ids(tt.target); !slices.Equal(got, tt.want) {
			t.Errorf("%s = %v\nwant %v", tt.target, got, tt.want)
		}
	}
	if a := h.get("/v1/payments?expand=meta&limit=1"); a.text("data", "0", "meta", "n") != "6" {
		t.Errorf("expand=meta = %s", a.Body)
	}
	if a := h.get("/v1/payments?limit=1"); a.text("data", "0", "meta") != "" {
		t.Errorf("without = %s", a.Body)
	}
}

// ids goes through a list to its end, and gives what each line has under a name.
func (h *house) ids(target, name string) (out []string) {
	h.t.Helper()
	with := "?"
	if strings.Contains(target, "?") {
		with = "&"
	}
	for cursor := ""; ; {
		a := h.get(target + cursor)
		if a.Code != 200 {
			h.t.Fatalf("%s%s = %d %s", target, cursor, a.Code, a.Body)
		}
		for n := range a.doc["data"].([]any) {
			out = append(out, a.text("data", fmt.Sprint(n), name))
		}
		if a.text("has_more") != "true" {
			return out
		}
		cursor = with + "cursor=" + a.text("next_cursor")
	}
}

// TestListsOfAProject: operations, refunds and events of all payments, newest
// first, page by page, by kind, status and time; each of them alone, too.
func TestListsOfAProject(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var sales, refunds, captured, refunded []string
	for n := range 3 {
		pay := h.post(initPath, fmt.Sprint("s", n), sale("1.00")).text("payment_id")
		sales = append(sales, h.get("/v1/payments/"+pay+"/operations").text("data", "0", "operation_id"))
		h.pass(time.Second)
		refunds = append(refunds, h.post("/v1/payments/"+pay+"/refunds", fmt.Sprint("r", n), `{"amount":"0.40","currency":"EUR"}`).text("refund_id"))
		events := h.get("/v1/payments/" + pay + "/events")
		refunded = append(refunded, events.text("data", "0", "event_id"))
		captured = append(captured, events.text("data", fmt.Sprint(len(events.doc["data"].([]any))-1), "event_id"))
		h.pass(time.Second)
	}
	odd := h.post("/v1/payments/"+h.ids("/v1/payments", "payment_id")[0]+"/refunds", "odd", `{"amount":"0.13","currency":"EUR"}`)
	failed := odd.text("refund_id")
	h.pass(time.Second)
	pending := h.post(initPath, "p", sale("50.00")).text("payment_id")
	waiting := h.get("/v1/payments/"+pending+"/operations").text("data", "0", "operation_id")
	back := func(lists ...[]string) (out []string) {
		for n := range lists[0] {
			for _, list := range lists {
				out = append(out, list[n])
			}
		}
		slices.Reverse(out)
		return out
	}
	all := append([]string{waiting, failed}, back(sales, refunds)...)
	for _, tt := range []struct {
		target, name string
		want         []string
	}{
		{"/v1/operations", "operation_id", all},
		{"/v1/operations?limit=2", "operation_id", all},
		{"/v1/operations?kind=sale", "operation_id", append([]string{waiting}, back(sales)...)},
		{"/v1/operations?kind=refund&limit=1", "operation_id", append([]string{failed}, back(refunds)...)},
		{"/v1/operations?kind=manual_change", "operation_id", nil},
		{"/v1/operations?status=pending", "operation_id", []string{waiting}},
		{"/v1/operations?status=failed&kind=sale", "operation_id", nil},
		{"/v1/operations?created_from=2026-01-02T03:04:07Z&created_to=2026-01-02T03:04:09Z", "operation_id", back(sales[1:2], refunds[1:2])},
		{"/v1/refunds?limit=3", "refund_id", append([]string{failed}, back(refunds)...)},
		{"/v1/refunds?status=succeeded", "refund_id", back(refunds)},
		{"/v1/refunds?status=failed", "refund_id", []string{failed}},
		{"/v1/refunds?created_to=2026-01-02T03:04:08Z", "refund_id", refunds[:1]},
		{"/v1/events?type=payment.captured&limit=1", "event_id", back(captured)},
		{"/v1/events?type=refund.succeeded", "event_id", back(refunded)},
		{"/v1/events?type=payment.late_success", "event_id", nil},
		{"/v1/events?type=payment.captured&created_from=2026-01-02T03:04:07Z", "event_id", back(captured[1:])},
	} {
		if got := h.ids(tt.target, tt.name); !slices.Equal(got, tt.want) {
			t.Errorf("%s = %v\nwant %v", tt.target, got, tt.want)
		}
	}
	if of := h.ids("/v1/events", "payment_id"); len(of) < 8 || slices.Contains(of, "") {
		t.Errorf("events are of %v", of)
	}
	for _, target := range []string{"/v1/operations/" + sales[1], "/v1/events/" + captured[2]} {
		one := h.get(target)
		list, _, _ := strings.Cut(strings.TrimPrefix(target, "/v1/"), "/")
		found := false
		for _, line := range h.get("/v1/" + list + "?limit=100").doc["data"].([]any) {
			found = found || fmt.Sprint(line) == fmt.Sprint(one.doc)
		}
		if one.Code != 200 || !found {
			t.Errorf("%s = %d %s, which is not in the list", target, one.Code, one.Body)
		}
	}
	for _, target := range []string{"/v1/operations/op_01k4aq3x8n0g2v5b7d9f1h3j5m", "/v1/events/evt_" + strings.Repeat("7", 26), "/v1/operations/x", "/v1/transfers/txn_01k4aq3x8n0g2v5b7d9f1h3j5m"} {
		wants(t, target, h.get(target), 404, "not_found")
	}
	for _, target := range []string{"/v1/operations?kind=void", "/v1/events?type=x", "/v1/events?type=nothing.known", "/v1/events?type=endpoint.test", "/v1/events?type=wallet.stake", "/v1/refunds?cursor=pay_01k4aq3x8n0g2v5b7d9f1h3j5m", "/v1/customers?cursor=c1", "/v1/events?limit=0", "/v1/transfers?kind=gift", "/v1/transfers?cursor=op_01k4aq3x8n0g2v5b7d9f1h3j5m"} {
		wants(t, target, h.get(target), 422, "validation_failed")
	}
}

// TestCustomersAndTransfers: a merchant's customers, and a transfer with what it
// changed.
func TestCustomersAndTransfers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	shop := h.projects[203]
	shop.Wallet = false
	h.projects[203] = shop
	pay := h.post(initPath, "k", sale("1.00", `,"customer_id":"c1"`)).text("payment_id")
	h.post("/v1/wallet/credit", "k", `{"txn_id":"gift","customer_id":"c2","amount":"5.00","currency":"EUR"}`)
	stake := h.post("/v1/rounds/stake", "k", `{"txn_id":"bet","round_id":"spin","customer_id":"c2","amount":"2.00","currency":"EUR","description":"Red"}`)
	names := h.ids("/v1/customers?limit=1", "customer_id")
	slices.Sort(names)
	if !slices.Equal(names, []string{"c1", "c2"}) {
		t.Errorf("customers = %v", names)
	}
	for n := range 2 {
		line := h.get("/v1/customers?expand=balances")
		name, has := line.text("data", fmt.Sprint(n), "customer_id"), line.text("data", fmt.Sprint(n), "balances", "0", "available")
		if has != map[string]string{"c1": "1.00", "c2": "3.00"}[name] {
			t.Errorf("%s has %q", name, has)
		}
		if got := h.get("/v1/customers").text("data", fmt.Sprint(n), "balances"); got != "" {
			t.Errorf("without expand: balances = %s", got)
		}
	}
	keeper := h.newKey(203, "", scopes()...)
	if a := h.send(h.request("GET", "/v1/customers", "", "Authorization", "Bearer "+keeper)); a.Code != 200 || len(a.doc["data"].([]any)) != 0 {
		t.Errorf("of a project without wallets = %d %s", a.Code, a.Body)
	}

	bet := h.get("/v1/transfers/" + stake.text("transfer_id") + "?expand=payment")
	for path, want := range map[string]string{
		"txn_id": "bet", "kind": "stake", "round_id": "spin", "customer_id": "c2", "currency": "EUR", "description": "Red", "payment_id": "", "payment": "",
	} {
		if bet.text(path) != want {
			t.Errorf("a stake: %s = %q, want %q: %s", path, bet.text(path), want, bet.Body)
		}
	}
	if len(bet.doc["postings"].([]any)) != 1 || bet.text("postings", "0", "owner") != "customer:1:c2" || bet.text("postings", "0", "purpose") != "available" || bet.text("postings", "0", "change") != "-2.00" {
		t.Errorf("a stake = %s, want the customer's posting alone", bet.Body)
	}
	deposit := h.get("/v1/customers/c1/transfers").text("data", "0", "transfer_id")
	got := h.get("/v1/transfers/" + deposit + "?expand=payment")
	if got.text("kind") != "deposit" || got.text("payment_id") != pay || got.text("payment", "payment_id") != pay || got.text("payment", "status") != "captured" || got.text("postings", "0", "change") != "1.00" {
		t.Errorf("a deposit = %d %s", got.Code, got.Body)
	}
	if got := h.get("/v1/transfers/" + deposit); got.text("payment") != "" {
		t.Errorf("without expand: %s", got.Body)
	}

	gift := h.get("/v1/customers/c2/transfers?limit=2").text("data", "1", "transfer_id")
	h.pass(time.Second)
	since := instantOf(h.clock())
	refund := h.post("/v1/payments/"+pay+"/refunds", "r", `{"amount":"0.40","currency":"EUR"}`)
	back := h.ids("/v1/transfers?created_from="+since, "transfer_id")
	all := append(slices.Clone(back), stake.text("transfer_id"), gift, deposit)
	if len(back) != 2 || refund.Code != 202 && refund.Code != 200 {
		t.Fatalf("the refund's transfers = %v: %d %s", back, refund.Code, refund.Body)
	}
	for target, want := range map[string][]string{
		"/v1/transfers": all, "/v1/transfers?limit=1": all, "/v1/transfers?limit=2": all, "/v1/transfers?kind=stake": {stake.text("transfer_id")},
		"/v1/transfers?customer_id=c1": append(slices.Clone(back), deposit), "/v1/transfers?customer_id=c2&kind=credit": {gift},
		"/v1/transfers?customer_id=nobody": nil, "/v1/transfers?created_to=" + since: all[2:], "/v1/transfers?kind=win": nil,
	} {
		got := h.ids(target, "transfer_id")
		slices.Sort(got)
		want = slices.Sorted(slices.Values(want))
		if !slices.Equal(got, want) {
			t.Errorf("%s = %v\nwant %v", target, got, want)
		}
	}
	for n := range all {
		one := h.get("/v1/transfers?expand=payment").doc["data"].([]any)[n].(map[string]any)
		if alone := h.get("/v1/transfers/" + fmt.Sprint(one["transfer_id"]) + "?expand=payment"); fmt.Sprint(alone.doc) != fmt.Sprint(one) {
			t.Errorf("in the list %v\nalone %v", one, alone.doc)
		}
	}
	if a := h.send(h.request("GET", "/v1/transfers", "", "Authorization", "Bearer "+keeper)); a.Code != 200 || len(a.doc["data"].([]any)) != 0 {
		t.Errorf("a stranger's transfers = %d %s", a.Code, a.Body)
	}
	if a := h.send(h.request("GET", "/v1/transfers?customer_id=c1", "", "Authorization", "Bearer "+keeper)); a.Code != 200 || len(a.doc["data"].([]any)) != 0 {
		t.Errorf("of a customer, where there are no wallets = %d %s", a.Code, a.Body)
	}

	sole := newHouse(t, func(_ *house, o *api.Options) { o.Sole = true })
	moved := sole.post("/v1/wallet/credit", "k", `{"txn_id":"gift","customer_id":"c","amount":"5.00","currency":"EUR"}`)
	if got := sole.get("/v1/transfers/" + moved.text("transfer_id")); len(got.doc["postings"].([]any)) != 2 {
		t.Errorf("where the merchant is alone: %s", got.Body)
	}
}

func instantOf(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// TestListsHavePayouts: what is of a payout names it, and no payment.
func TestListsHavePayouts(t *testing.T) {
	t.Parallel()
	h := rich(t, 1)
	made := h.post(payoutPath, "k", payout("1.00")).text("payout_id")
	h.work.Wait()
	for _, target := range []string{"/v1/operations?kind=payout", "/v1/events?type=payout.paid", "/v1/operations?status=succeeded"} {
		a := h.get(target)
		if list := a.doc["data"].([]any); len(list) != 1 || a.text("data", "0", "payout_id") != made || a.text("data", "0", "payment_id") != "" {
			t.Errorf("%s = %s, want one, of %s", target, a.Body, made)
		}
	}
	operation, event := h.ids("/v1/operations", "operation_id")[0], h.ids("/v1/events", "event_id")[0]
	for _, target := range []string{"/v1/operations/" + operation, "/v1/events/" + event} {
		if a := h.get(target); a.text("payout_id") != made {
			t.Errorf("%s = %d %s", target, a.Code, a.Body)
		}
		stranger := h.newKey(203, "", scopes()...)
		wants(t, "a stranger's "+target, h.send(h.request("GET", target, "", "Authorization", "Bearer "+stranger)), 404, "not_found")
	}
	moved := slices.DeleteFunc(h.ids("/v1/transfers", "payout_id"), func(k string) bool { return k != made })
	if len(moved) != 2 {
		t.Errorf("%d transfers are of the payout, want 2", len(moved))
	}
	lines := h.ids("/v1/customers/c/transfers", "transfer_id")
	if a := h.get("/v1/transfers/" + lines[0] + "?expand=payment"); a.text("payout_id") != made || a.text("payment_id") != "" || a.text("payout", "payout_id") != made || a.text("payout", "status") != "paid" || a.text("operation_id") != operation {
		t.Errorf("its transfer = %d %s", a.Code, a.Body)
	}
}
