package torture

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // to spoil a database with
)

// TestBuyersSee: what the buyers are there to find, they find, when it is done
// to the books on purpose.
func TestBuyersSee(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, "sqlite")
	p := w.NewPlatform("p", "")
	p.Start()
	w.Control("approve", "sale", 1_000_000)
	w.Control("http_500", "refund", 1) // one that the provider never had, and whose answer says nothing
	b := w.Buyers(p)
	b.Go(4)
	refunded := func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.refunds) > 0
	}
	for deadline := time.Now().Add(30 * time.Second); !refunded() && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
	}
	if err := b.AwaitTaken(20, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	b.Stop(time.Minute)
	if wrong := b.Settle(40 * time.Second); len(wrong) > 0 {
		t.Fatalf("before anything was spoiled: %s", Some(wrong))
	}
	if len(b.waiting) != 1 {
		t.Errorf("refunds that wait for it to be sure that they were not sent: %+v, want the one that met 500", b.waiting)
	}
	p.Kill()
	db, err := sql.Open("sqlite", filepath.Join(p.Data, "aorta.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	sees := func(what, want string) {
		t.Helper()
		if wrong := b.Settle(0); len(wrong) == 0 || !strings.Contains(strings.Join(wrong, "\n"), want) {
			t.Errorf("%s: found %q, want %q", what, wrong, want)
		}
	}
	spoil := func(do, undo, want string) {
		t.Helper()
		if _, err := db.Exec(do); err != nil {
			t.Fatalf("%s: %v", do, err)
		}
		sees(do, want)
		if _, err := db.Exec(undo); err != nil {
			t.Fatalf("%s: %v", undo, err)
		}
	}
	b.sales["ghost"] = taken{payment: "ghost", minor: 1}
	sees("a sale that is nowhere", "sale ghost was acknowledged and is not in the books")
	delete(b.sales, "ghost")
	spoil("UPDATE attempt SET status = 'declined' WHERE kind = 'sale' AND status = 'approved'",
		"UPDATE attempt SET status = 'approved' WHERE kind = 'sale' AND status = 'declined'", "at the provider \"paid\"")
	spoil("UPDATE delivery SET body = body || ' '", "UPDATE delivery SET body = rtrim(body)", "a callback came that is not stored so")
	spoil("UPDATE account SET minor = minor + 1 WHERE purpose = 'clearing'", "UPDATE account SET minor = minor - 1 WHERE purpose = 'clearing'", "clearing holds")
	spoil("UPDATE attempt SET no_records = -no_records WHERE status = 'unknown'", "UPDATE attempt SET no_records = -no_records WHERE status = 'unknown'",
		"is processing")
	if wrong := b.Settle(0); len(wrong) > 0 {
		t.Errorf("when all was put right again: %s", Some(wrong))
	}
}
