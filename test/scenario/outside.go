package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/due"
	"aorta/internal/id"
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
	j.mu.Lock() // no half of a line
	raw, err := os.ReadFile(j.file.Name())
	j.mu.Unlock()
	if err != nil {
		j.t.Fatal(err)
	}
	c := &verify.Clients{Again: Again}
	for lines := json.NewDecoder(bytes.NewReader(raw)); lines.More(); {
		var a verify.Asked
		if err := lines.Decode(&a); err != nil {
			j.t.Fatalf("clients' journal: %v", err)
		}
		c.Asked = append(c.Asked, a)
	}
	return c
}

// Entry is a line of a provider's own journal: a sale, a refund or a payout.
type Entry struct {
	Provider    string `json:"-"` // whose: paytm, generic
	Seq         int64  `json:"seq"`
	Kind        string `json:"kind"`      // sale, refund or payout
	Account     string `json:"account"`   // as the provider calls it
	Reference   string `json:"reference"` // what we call it: the attempt's id
	PaymentID   string `json:"payment_id"`
	Currency    string `json:"currency"`
	State       string `json:"state"`
	AmountMinor int64  `json:"amount_minor"`
	Told        bool   `json:"told"` // of its end, and we have taken it
	Behaviour   string `json:"behaviour"`
}

// Moved reports whether the provider has moved its money.
func (e Entry) Moved() bool { return e.State == "paid" }

// Change is by how much it has changed what the provider holds of ours.
func (e Entry) Change() int64 {
	switch {
	case !e.Moved():
		return 0
	case e.Kind == string(payment.KindSale):
		return e.AmountMinor
	}
	return -e.AmountMinor
}

// Providers are those of a sandbox that keep a journal.
func Providers() []string { return []string{"paytm", "generic"} }

// ProviderOf reads a provider's journal after an entry; 0 is from the beginning.
func ProviderOf(ctx context.Context, sandbox, name string, after int64) ([]Entry, error) {
	var all []Entry
	for {
		var page struct {
			Entries []Entry `json:"entries"`
			Next    int64   `json:"next"`
			More    bool    `json:"more"`
		}
		if err := Get(ctx, fmt.Sprintf("%s/control/journal?connector=%s&limit=10000&after=%d", sandbox, name, after), &page); err != nil {
			return all, fmt.Errorf("journal of %s: %w", name, err)
		}
		for n := range page.Entries {
			page.Entries[n].Provider = name
		}
		all = append(all, page.Entries...)
		if after = page.Next; !page.More {
			return all, nil
		}
	}
}

// Books reads the journals of all providers.
func Books(ctx context.Context, sandbox string) ([]Entry, error) {
	var all []Entry
	for _, name := range Providers() {
		entries, err := ProviderOf(ctx, sandbox, name, 0)
		if err != nil {
			return all, err
		}
		all = append(all, entries...)
	}
	return all, nil
}

// Waiting lists the refunds and payouts that wait for it to be sure that their
// provider has never heard of them: it has said so, is asked again ten minutes
// later (payment-loop.md L15), and books, its own, lack them indeed.
func Waiting(r book.Reader, books func() ([]Entry, error)) (out []payment.Attempt, err error) {
	watched := map[id.Raw]bool{}
	if err := Every(r.ScanDue, func(d due.Due) id.Raw {
		watched[d.ID] = d.Kind == due.Watch && d.DueUS > time.Now().Add(-time.Minute).UnixMicro()
		return d.ID
	}); err != nil {
		return nil, err
	}
	if err := Every(r.ScanAttempts, func(a payment.Attempt) id.Attempt {
		if a.Kind != payment.KindSale && a.Status == payment.AttemptUnknown && a.NoRecords > 0 && watched[a.ID.Raw()] {
			out = append(out, a)
		}
		return a.ID
	}); err != nil || len(out) == 0 {
		return nil, err
	}
	entries, err := books()
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, e := range entries {
		known[e.Reference] = true
	}
	return slices.DeleteFunc(out, func(a payment.Attempt) bool { return known[a.ID.String()] }), nil
}

// Movements are entries as package verify takes them. psp gives the owner of an
// account's money in our ledger.
func Movements(entries []Entry, psp func(Entry) string) []verify.Movement {
	out := []verify.Movement{} // of none: the provider knows of nothing
	for _, e := range entries {
		out = append(out, verify.Movement{
			Reference: e.Reference, Kind: payment.OperationKind(e.Kind), PSP: psp(e),
			Amount: money.Amount{Minor: e.AmountMinor, Currency: money.Currency(e.Currency)}, Moved: e.Moved(),
		})
	}
	return out
}

// Callback is one callback that the sandbox's merchant got.
type Callback struct {
	Body           map[string]any `json:"body"`
	Raw            string         `json:"raw"`
	ValidSignature bool           `json:"valid_signature"`
	ReceivedAt     string         `json:"received_at"`
	Answer         int            `json:"answer"`
}

// Callbacks reads those of a payment, oldest first, or lately of all if none is named.
func Callbacks(ctx context.Context, sandbox, paymentID string) ([]Callback, error) {
	var out []Callback
	err := Get(ctx, sandbox+"/merchant/callbacks?payment_id="+url.QueryEscape(paymentID), &out)
	return out, err
}

// Word is "payment status/operation type operation status code".
func (c Callback) Word() string {
	p, _ := c.Body["payment"].(map[string]any)
	o, _ := c.Body["operation"].(map[string]any)
	return fmt.Sprintf("%v/%v %v %v", p["status"], o["type"], o["status"], o["code"])
}

// Of is the callback as package verify takes it.
func (c Callback) Of(project int64) (verify.Callback, error) {
	named, _ := c.Body["payment"].(map[string]any)
	about, _ := named["id"].(string)
	at, err := time.Parse(time.RFC3339Nano, c.ReceivedAt)
	if err != nil {
		return verify.Callback{}, fmt.Errorf("callback received: %w", err)
	}
	return verify.Callback{Project: project, Payment: about, Body: c.Raw, AtUS: at.UnixMicro(), Answer: c.Answer}, nil
}

// Read shows the database of the moment, whether or not a process runs: that at
// an address, or without one the SQLite in a directory.
func Read(ctx context.Context, database, data string, do func(book.Reader) error) error {
	var s *store.Snapshot
	var err error
	if database == "" {
		s, err = store.SnapshotSQLite(ctx, filepath.Join(data, "aorta.db"))
	} else {
		var db *store.Postgres
		if db, err = store.OpenPostgres(ctx, database, store.Options{}); err == nil {
			defer db.Close()
			s, err = db.Snapshot(ctx)
		}
	}
	if err != nil {
		return fmt.Errorf("read the database: %w", err)
	}
	defer s.Close()
	return do(s)
}

// Every gives all rows of a kind to do, which answers the row's key.
func Every[R, K any](scan func(context.Context, K, int) ([]R, error), do func(R) K) error {
	const page = 1000
	var after K
	for {
		rows, err := scan(context.Background(), after, page)
		if err != nil {
			return fmt.Errorf("read rows: %w", err)
		}
		for _, r := range rows {
			after = do(r)
		}
		if len(rows) < page {
			return nil
		}
	}
}

// Books are those of the demo's providers, which all know it as demo.
func (d *Demo) Books() []verify.Movement {
	d.t.Helper()
	entries, err := Books(d.t.Context(), d.Sandbox)
	if err != nil {
		d.t.Fatal(err)
	}
	return Movements(entries, func(e Entry) string { return "psp:" + e.Provider + ":demo" })
}

// Received gives what the merchant received of a payment, or lately of all if
// none is named.
func (d *Demo) Received(paymentID string) []verify.Callback {
	d.t.Helper()
	var out []verify.Callback
	for _, c := range d.Callbacks(paymentID) {
		x, err := c.Of(200)
		if err != nil {
			d.t.Fatal(err)
		}
		out = append(out, x)
	}
	return out
}

// Read shows the demo's database of the moment, also while the demo is dead.
func (d *Demo) Read(do func(book.Reader) error) {
	d.t.Helper()
	if err := Read(d.t.Context(), d.Database, d.Data, do); err != nil {
		d.t.Fatal(err)
	}
}

// Judge checks every invariant on the database of the moment, also while the
// demo is dead, and gives the violations.
func (d *Demo) Judge(o verify.Options) []string {
	d.t.Helper()
	var report verify.Report
	d.Read(func(r book.Reader) (err error) {
		report, err = verify.Run(d.t.Context(), r, o)
		return err
	})
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
