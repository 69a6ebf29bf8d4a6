package api_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"aorta/internal/id"
	"aorta/internal/store/storetest"
)

// TestSealedCursors: lists over rows of all merchants end at rows whose ids are
// hashes of names, so their cursors name none; and they go on all the same.
func TestSealedCursors(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		h := newHouseOn(t, db)
		other := h.newKey(203, "", scopes()...)
		want := map[string][]string{}
		for n := range 9 {
			key := []string{h.key, h.key, other}[n%3]
			name := fmt.Sprint("c", n)
			a := h.send(h.request("POST", "/v1/wallet/credit", fmt.Sprintf(`{"txn_id":"%s","customer_id":"%[1]s","amount":"5.00","currency":"EUR"}`, name),
				"Authorization", "Bearer "+key, "Idempotency-Key", name))
			if a.Code != 200 {
				t.Fatalf("credit = %d %s", a.Code, a.Body)
			}
			want[key] = append(want[key], name)
		}
		ids := map[string]bool{} // the texts of all ids there are, without their prefixes
		for _, k := range pagesOf(t, db) {
			_, text, _ := strings.Cut(k, "_")
			ids[text] = true
		}
		for _, key := range []string{h.key, other} {
			for _, list := range []string{"customers", "accounts"} {
				var names, cursors []string
				for cursor := ""; ; {
					a := h.send(h.request("GET", "/v1/"+list+"?limit=1"+cursor, "", "Authorization", "Bearer "+key))
					if a.Code != 200 {
						t.Fatalf("%s%s = %d %s", list, cursor, a.Code, a.Body)
					}
					if len(a.doc["data"].([]any)) > 0 {
						name, _ := strings.CutPrefix(a.text("data", "0", "owner"), "customer:"+map[string]string{h.key: "1", other: "2"}[key]+":")
						names = append(names, name+a.text("data", "0", "customer_id"))
					}
					if a.text("has_more") != "true" {
						break
					}
					c := a.text("next_cursor")
					_, text, _ := strings.Cut(c, "_")
					if slices.Contains(cursors, c) || ids[text] || !strings.HasPrefix(c, "cur_") {
						t.Errorf("%s goes on at %s, which repeats, or is an id of a row", list, c)
					}
					cursors, cursor = append(cursors, c), "&cursor="+c
				}
				names = slices.DeleteFunc(names, func(n string) bool { return strings.HasPrefix(n, "merchant:") })
				slices.Sort(names)
				if !slices.Equal(names, want[key]) {
					t.Errorf("%s page by page = %v, want %v", list, names, want[key])
				}
			}
		}
		for _, target := range []string{"/v1/customers?cursor=cus_01k4aq3x8n0g2v5b7d9f1h3j5m", "/v1/accounts?cursor=acc_01k4aq3x8n0g2v5b7d9f1h3j5m", "/v1/accounts?cursor=cur_x"} {
			wants(t, target, h.get(target), 422, "validation_failed")
		}
	})
}

// pagesOf gives the ids of all customers and accounts.
func pagesOf(t *testing.T, db storetest.DB) (out []string) {
	t.Helper()
	customers, err1 := db.ScanCustomers(context.Background(), id.Customer{}, 1000)
	accounts, err2 := db.ScanAccounts(context.Background(), id.Account{}, 1000)
	if err1 != nil || err2 != nil || len(customers) < 9 || len(accounts) < 10 {
		t.Fatalf("%d customers, %d accounts, %v, %v", len(customers), len(accounts), err1, err2)
	}
	for _, x := range customers {
		out = append(out, x.ID.String())
	}
	for _, x := range accounts {
		out = append(out, x.ID.String())
	}
	return out
}
