package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/store"
	"aorta/internal/verify"

	"github.com/jackc/pgx/v5"
)

// Again are the codes by which Gate refuses a name that is in use.
var Again = map[payment.OperationKind]string{payment.KindSale: "3041", payment.KindRefund: "3230"}

// Journal is what all clients of a run were answered. A line is on disk before
// the client reads its next answer.
type Journal struct {
	t       testing.TB
	file    *os.File
	mu      sync.Mutex
	written int // lines
	flush   sync.Mutex
	flushed int // lines
}

// NewJournal begins a journal in a file of its own.
func NewJournal(t testing.TB) *Journal {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "clients.jsonl"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return &Journal{t: t, file: f}
}

// Write notes a request to Gate and what it was answered; status 0: nothing.
func (j *Journal) Write(a verify.Asked, status int, answer map[string]any) {
	a.Status = status
	if status/100 != 2 {
		a.Code, _ = answer["code"].(string)
	}
	rest := map[string]any{}
	for k, v := range answer {
		if k != "request_id" && k != "payment_id" { // new in each answer; as each asker wrote it
			rest[k] = v
		}
	}
	text, err := json.Marshal(rest)
	if err == nil {
		a.Answer = string(text)
		text, err = json.Marshal(a)
	}
	if err == nil {
		err = j.keep(append(text, '\n'))
	}
	if err != nil {
		j.t.Errorf("clients' journal: %v", err)
	}
}

// keep has a line on disk when it returns. One flush serves all who wait for it.
func (j *Journal) keep(line []byte) error {
	j.mu.Lock()
	_, err := j.file.Write(line)
	j.written++
	own := j.written
	j.mu.Unlock()
	if err != nil {
		return err
	}
	j.flush.Lock()
	defer j.flush.Unlock()
	if j.flushed >= own {
		return nil
	}
	j.mu.Lock()
	all := j.written
	j.mu.Unlock()
	if err := j.file.Sync(); err != nil {
		return err
	}
	j.flushed = all
	return nil
}

// Read gives all that the clients have noted.
func (j *Journal) Read() *verify.Clients {
	j.t.Helper()
	f, err := os.Open(j.file.Name())
	if err != nil {
		j.t.Fatal(err)
	}
	defer f.Close()
	c := &verify.Clients{Again: Again}
	for lines := json.NewDecoder(f); lines.More(); {
		var a verify.Asked
		if err := lines.Decode(&a); err != nil {
			j.t.Fatalf("clients' journal: %v", err)
		}
		c.Asked = append(c.Asked, a)
	}
	return c
}

// Books reads the provider's own books from a sandbox, orders and refunds. psp
// gives the owner of an account's money in our ledger by its MID.
func Books(t testing.TB, sandbox string, psp func(mid string) string) []verify.Movement {
	t.Helper()
	out := []verify.Movement{}
	for after := int64(0); ; {
		var page struct {
			Entries []struct {
				Kind        string `json:"kind"`
				MID         string `json:"mid"`
				OrderID     string `json:"order_id"`
				RefID       string `json:"ref_id"`
				State       string `json:"state"`
				AmountMinor int64  `json:"amount_minor"`
			} `json:"entries"`
			Next int64 `json:"next"`
			More bool  `json:"more"`
		}
		if err := get(t.Context(), fmt.Sprintf("%s/control/journal?connector=paytm&limit=10000&after=%d", sandbox, after), &page); err != nil {
			t.Fatalf("provider's books: %v", err)
		}
		for _, e := range page.Entries {
			m := verify.Movement{
				Reference: e.OrderID, Kind: payment.OperationKind(e.Kind), PSP: psp(e.MID),
				Amount: money.Amount{Minor: e.AmountMinor, Currency: "INR"}, Moved: e.State == "paid",
			}
			if m.Kind == payment.KindRefund {
				m.Reference = e.RefID
			}
			out = append(out, m)
		}
		if after = page.Next; !page.More {
			return out
		}
	}
}

// Demo's only account.
func demoPSP(string) string { return "psp:paytm:demo" }

// Books are those of the demo's provider.
func (d *Demo) Books() []verify.Movement { return Books(d.t, d.Sandbox, demoPSP) }

// Received gives what the merchant received of a payment, or lately of all if
// none is named.
func (d *Demo) Received(paymentID string) []verify.Callback {
	d.t.Helper()
	var out []verify.Callback
	for _, c := range d.Callbacks(paymentID) {
		named, _ := c.Body["payment"].(map[string]any)
		about, _ := named["id"].(string)
		at, err := time.Parse(time.RFC3339Nano, c.ReceivedAt)
		if err != nil {
			d.t.Fatalf("callback received at %q: %v", c.ReceivedAt, err)
		}
		out = append(out, verify.Callback{Project: 200, Payment: about, Body: c.Raw, AtUS: at.UnixMicro(), Answer: c.Answer})
	}
	return out
}

// Judge checks every invariant on the database of the moment, also while the
// demo is dead, and gives the violations.
func (d *Demo) Judge(o verify.Options) []string {
	d.t.Helper()
	var s *store.Snapshot
	var err error
	if d.Database == "" {
		s, err = store.SnapshotSQLite(d.t.Context(), filepath.Join(d.Data, "aorta.db"))
	} else {
		var db *store.Postgres
		if db, err = store.OpenPostgres(d.t.Context(), d.Database, store.Options{}); err == nil {
			defer db.Close()
			s, err = db.Snapshot(d.t.Context())
		}
	}
	if err != nil {
		d.t.Fatalf("read the database: %v", err)
	}
	defer s.Close()
	report, err := verify.Run(d.t.Context(), s, o)
	if err != nil {
		d.t.Fatal(err)
	}
	return report.Violations
}

// Outside waits until provider and merchant have seen the same as our books say.
func (d *Demo) Outside() {
	d.t.Helper()
	var violations []string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		o := verify.Options{Provider: d.Books(), Merchants: &verify.Merchants{Received: d.Received(""), Hold: 600 * time.Millisecond}}
		if violations = d.Judge(o); len(violations) == 0 {
			return
		}
	}
	d.t.Errorf("the outside and our books differ: %s", strings.Join(violations, "; "))
}

// Spills looks for canaries in all that the platform has let out or keeps: its
// log, its metrics, its callbacks and its database. It ends the demo.
func (d *Demo) Spills(canaries map[string]string) []string {
	d.t.Helper()
	secrets, err := verify.NewSecrets(canaries)
	if err != nil {
		d.t.Fatal(err)
	}
	var found []string
	search := func(where string, r io.Reader) {
		d.t.Helper()
		got, err := secrets.Search(where, r)
		if err != nil {
			d.t.Fatal(err)
		}
		found = append(found, got...)
	}
	resp, err := client.Get(d.Ops + "/metrics")
	if err != nil {
		d.t.Fatal(err)
	}
	search("/metrics", resp.Body)
	_ = resp.Body.Close()
	for _, c := range d.Received("") {
		search("callback", strings.NewReader(c.Body))
	}
	d.Stop()
	search("log", bytes.NewReader(d.log.Bytes()))
	if d.Database != "" {
		return append(found, d.spillsOfPostgres(secrets)...)
	}
	files, err := filepath.Glob(filepath.Join(d.Data, "aorta.db*"))
	if err != nil || len(files) == 0 {
		d.t.Fatalf("no database files: %v", err)
	}
	got, err := secrets.SearchFiles(files...)
	if err != nil {
		d.t.Fatal(err)
	}
	return append(found, got...)
}

func (d *Demo) spillsOfPostgres(secrets *verify.Secrets) []string {
	d.t.Helper()
	ctx := d.t.Context()
	conn, err := pgx.Connect(ctx, d.Database)
	if err != nil {
		d.t.Fatal(err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
	if err != nil {
		d.t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(tables) < 10 {
		d.t.Fatalf("%d tables: %v", len(tables), err)
	}
	var found []string
	for _, table := range tables {
		var dump bytes.Buffer
		if _, err := conn.PgConn().CopyTo(ctx, &dump, "COPY "+pgx.Identifier{table}.Sanitize()+" TO STDOUT"); err != nil {
			d.t.Fatal(err)
		}
		got, err := secrets.Search(table, &dump)
		if err != nil {
			d.t.Fatal(err)
		}
		found = append(found, got...)
	}
	return found
}
