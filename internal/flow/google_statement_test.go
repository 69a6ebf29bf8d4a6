package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/due"
	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/money"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/recon"
	"aorta/internal/store/storetest"
	"aorta/internal/verify"
)

// The period of google-tokenized-fop.md section 7's statement, and a time in it.
const (
	periodStart = 1_705_190_400_000
	periodEnd   = 1_705_276_799_000
	inPeriod    = 1_705_230_000_000
)

// googleHouse is a wallet's platform over a real store, with Google's side.
type googleHouse struct {
	t     *testing.T
	db    storetest.DB
	book  *book.Book
	flows *flow.Flows
	peer  *peer
	pr    project.Project

	mu   sync.Mutex
	now  time.Time
	work []due.Due
}

// peer is Google's side: it gives the lines of statements by pages, and takes what it is
// told, unless the test has put another answer into its mouth.
type peer struct {
	mu       sync.Mutex
	contract flow.Contract
	lines    map[string][]flow.StatementLine // by statement
	size     int                             // of a page; 0: what it is asked for
	due      *int64
	asked    []string // requestIds of pages
	told     []fop.Told
	next     []flow.Heard // of pages and calls alike
	meddle   func(*flow.StatementPage)
}

func (p *peer) Contract(integration string) (flow.Contract, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.contract, integration == "main"
}

func (p *peer) said() (flow.Heard, bool) {
	if len(p.next) == 0 {
		return flow.Heard{OK: true, Status: 200, Answer: `{"result":"SUCCESS"}`}, false
	}
	h := p.next[0]
	p.next = p.next[1:]
	return h, true
}

func (p *peer) Tell(_ context.Context, t fop.Told) flow.Heard {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = append(p.told, t)
	h, _ := p.said()
	return h
}

func (p *peer) Lines(_ context.Context, s fop.Statement, requestID string, most int) (flow.StatementPage, flow.Heard) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, requestID)
	h, meant := p.said()
	if meant && !h.OK {
		return flow.StatementPage{}, h
	}
	all := p.lines[s.Name]
	if p.size > 0 {
		most = p.size
	}
	end := min(int(s.Offset)+most, len(all))
	page := flow.StatementPage{Offset: s.Offset, Total: int64(len(all)), Lines: all[s.Offset:end], Due: p.due}
	if end < len(all) {
		page.Next = int64(end)
	}
	if p.meddle != nil {
		p.meddle(&page)
	}
	return page, h
}

// methods that were told, in order.
func (p *peer) methods() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := []string{}
	for _, t := range p.told {
		out = append(out, t.Method)
	}
	return out
}

func newGoogleHouse(t *testing.T, db storetest.DB) *googleHouse {
	t.Helper()
	h := &googleHouse{
		t: t, db: db, now: time.UnixMilli(inPeriod),
		peer: &peer{lines: map[string][]flow.StatementLine{}, contract: flow.Contract{Terms: recon.Terms{Checked: true, Fee: 25_000, Tax: 180_000}}},
		pr: project.Project{
			ID: 200, MerchantID: 1, LimitTime: time.Hour, Wallet: true, Methods: []project.Method{{Code: "card", Connector: "psp", Account: "main", Currency: "INR"}},
		},
	}
	random := &lockedSource{r: rand.NewChaCha8([32]byte{31})}
	b, err := book.New(t.Context(), []book.Home{{Store: db}}, book.Options{Now: h.clock, Random: random, Epoch: 1, Work: func(rows []due.Due) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.work = append(h.work, rows...)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	h.book = b
	h.flows = flow.New(b, db, flow.Options{
		Projects:   func(n int64) (project.Project, bool) { return h.pr, n == h.pr.ID },
		Connectors: func(string, string) (connector.Connector, bool) { return &psp{}, true }, NotifyURL: func(string, string) string { return "https://pay.example/n" },
		Now: h.clock, Google: h.peer, Vault: fop.NewVault([32]byte{1}, random),
		Integrations: func(name string) (flow.GoogleTerms, bool) {
			return flow.GoogleTerms{Project: h.pr, AsyncTime: time.Hour}, name == "main"
		},
	})
	return h
}

// lockedSource is randomness for several at once.
type lockedSource struct {
	mu sync.Mutex
	r  *rand.ChaCha8
}

func (l *lockedSource) Read(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(b)
}

func (h *googleHouse) clock() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.now }

func (h *googleHouse) at(ms int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = time.UnixMilli(ms)
}

func (h *googleHouse) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

// settle does what this process has leased to itself.
func (h *googleHouse) settle() {
	h.t.Helper()
	for {
		h.mu.Lock()
		rows := h.work
		h.work = nil
		h.mu.Unlock()
		if len(rows) == 0 {
			return
		}
		for _, d := range rows {
			if err := h.flows.Handle(h.t.Context(), d); err != nil {
				h.t.Errorf("%s of %x: %v", d.Kind, d.ID, err)
			}
		}
	}
}

// later lets time pass, and takes what is due by then as a sweep does.
func (h *googleHouse) later(d time.Duration) {
	h.t.Helper()
	h.pass(d)
	rows, err := h.db.Overdue(h.t.Context(), h.clock().UnixMicro(), nil, 100)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, d := range rows {
		d = d.Claim(h.clock().UnixMicro(), 1)
		_, err := book.Do(h.t.Context(), h.book, book.Act[struct{}]{Name: "test.claim", Bucket: d.ID.Bucket(), Decide: func(p *book.Page) (struct{}, error) {
			p.Due.Get(d.ID)
			p.Due.Put(d)
			return struct{}{}, nil
		}})
		if err != nil {
			h.t.Fatal(err)
		}
	}
	h.settle()
}

func rupees(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "INR"} }

// buyer gives the token of a wallet with money that is linked with a Google user.
func (h *googleHouse) buyer(name string, minor int64) string {
	h.t.Helper()
	b, err := h.flows.BeginSale(h.t.Context(), flow.SaleRequest{Project: h.pr, Method: h.pr.Methods[0], Door: "api", PaymentID: "in-" + name, CustomerID: name, Amount: rupees(minor)})
	if err != nil {
		h.t.Fatal(err)
	}
	h.settle()
	if err := h.flows.Apply(h.t.Context(), b.Attempt, connector.Outcome{Kind: connector.Approved, Amount: rupees(minor)}); err != nil {
		h.t.Fatal(err)
	}
	who := h.flows.CustomerOf(h.pr, name)
	proof := fop.Proof{Customer: who, Integration: "main", Name: "rdr-" + name, State: fop.ProofProven, How: "password", UntilUS: h.clock().Add(time.Hour).UnixMicro(), CreatedUS: h.clock().UnixMicro()}
	key := h.book.RefKey(fop.ProofScope("main"), proof.Name)
	_, err = book.Do(h.t.Context(), h.book, book.Act[struct{}]{Name: "test.proof", Bucket: who.Bucket(), Decide: func(p *book.Page) (struct{}, error) {
		proof.ID = id.Proof(p.Mint())
		p.Proofs.New(proof)
		p.Refs.Get(key)
		p.Refs.Put(payment.Ref{RefKey: key, Target: proof.ID.Raw()})
		return struct{}{}, nil
	}})
	if err != nil {
		h.t.Fatal(err)
	}
	token := "token of " + name
	c, err := h.flows.LinkWallet(h.t.Context(), flow.Linking{
		GoogleCall: h.call(fop.AssociateAccount, "", "asc-"+name, "1"), Token: token, Association: "assoc-" + name, Evidence: flow.Evidence{RequestID: proof.Name},
	})
	if err != nil || c.Result != fop.Success {
		h.t.Fatalf("link %s: %s, %v", name, c.Result, err)
	}
	return token
}

func (h *googleHouse) call(m fop.Method, account, requestID, print string) flow.GoogleCall {
	return flow.GoogleCall{
		Name: fop.Name{Integration: "main", Method: m, Account: account, RequestID: requestID}, Print: print,
		Members: func(a flow.Answered) string { return fmt.Sprintf(`{"result":%q}`, a.Call.Result) },
	}
}

func (h *googleHouse) capture(token, name string, minor int64) {
	h.t.Helper()
	c, err := h.flows.Purchase(h.t.Context(), flow.Buying{GoogleCall: h.call(fop.CaptureNow, "SHOP", name, name), Token: token, Amount: rupees(minor), Description: "gems"})
	if err != nil || c.Result != fop.Success {
		h.t.Fatalf("capture %s: %s, %v", name, c.Result, err)
	}
}

func (h *googleHouse) refund(capture, name string, minor int64) fop.Call {
	h.t.Helper()
	c, err := h.flows.GiveBack(h.t.Context(), flow.GivingBack{GoogleCall: h.call(fop.Refund, "SHOP", name, name), Capture: capture, Amount: rupees(minor)})
	if err != nil || c.Result != fop.Success {
		h.t.Fatalf("refund %s: %s, %v", name, c.Result, err)
	}
	return c
}

// bought has the purchases of section 7's table, of three customers, and their lines.
func (h *googleHouse) bought() []flow.StatementLine {
	h.t.Helper()
	h.capture(h.buyer("c-one", 100_000), "c1", 72_800)
	h.capture(h.buyer("c-two", 100_000), "c2", 49_900)
	h.capture(h.buyer("c-three", 100_000), "c3", 19_900)
	h.refund("c1", "r1", 20_800)
	return []flow.StatementLine{line(recon.Capture, "c1", 728_000_000, 18_200_000), line(recon.Capture, "c2", 499_000_000, 12_475_000), line(recon.Capture, "c3", 199_000_000, 4_975_000), line(recon.Refund, "r1", 208_000_000, 0)}
}

func line(k recon.Kind, name string, micros, fee int64) flow.StatementLine {
	return flow.StatementLine{Event: recon.Event{Kind: k, Name: name, Currency: "INR", Micros: micros, HasFee: true, Fee: fee, AtMS: inPeriod}, Details: `{"eventRequestId":"` + name + `"}`}
}

// owed is what section 7's table comes to.
const owed = 1_175_933_000

func (h *googleHouse) noting(name string, dueMicros int64) flow.Noting {
	return flow.Noting{GoogleCall: h.call(fop.StatementNotified, "SHOP", name, fmt.Sprint(dueMicros)), Statement: fop.Statement{
		Currency: "INR", DueMicros: dueMicros, Memo: "stm-0114-aorta", AtUS: (periodEnd + 1000) * 1000, FromUS: periodStart * 1000, UntoUS: periodEnd * 1000, PayUS: 1_705_881_600_000_000,
	}}
}

// notify tells a statement with lines, a day later, and lets the house work.
func (h *googleHouse) notify(name string, dueMicros int64, lines ...flow.StatementLine) fop.Statement {
	h.t.Helper()
	h.peer.lines[name] = lines
	h.at(periodEnd + 86_400_000)
	if c, err := h.flows.NoteStatement(h.t.Context(), h.noting(name, dueMicros)); err != nil || c.Answer != `{"result":"ACCEPTED"}` {
		h.t.Fatalf("NoteStatement(%s) = %q, %v", name, c.Answer, err)
	}
	h.settle()
	return h.statement(name)
}

func (h *googleHouse) statement(name string) fop.Statement {
	h.t.Helper()
	all, err := h.db.ScanStatements(h.t.Context(), id.Statement{}, 100)
	if err != nil {
		h.t.Fatal(err)
	}
	n := slices.IndexFunc(all, func(s fop.Statement) bool { return s.Name == name })
	if n < 0 {
		h.t.Fatalf("statement %s is not there", name)
	}
	return all[n]
}

// settleCase settles the newest case of a statement by the word of people.
func (h *googleHouse) settleCase(k id.Case, how string, by ...operator.Actor) (c payment.Case, err error) {
	h.t.Helper()
	for _, who := range by {
		if c, err = h.flows.SettleCase(h.t.Context(), flow.CaseChange{Case: k, By: who, Note: "looked at it"}, how); err != nil {
			return c, err
		}
	}
	h.settle()
	return c, nil
}

// balances of the accounts that a purchase and its payment touch, over all buckets.
func (h *googleHouse) balances() map[ledger.Purpose]int64 {
	h.t.Helper()
	out := map[ledger.Purpose]int64{}
	all, err := h.db.ScanAccounts(h.t.Context(), id.Account{}, 10_000)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, a := range all {
		if a.Minor != 0 && !strings.HasPrefix(a.Owner, "customer:") && !strings.HasPrefix(a.Owner, "psp:") {
			out[a.Purpose] += a.Balance()
			if a.Purpose == ledger.Transit && a.Balance() != 0 {
				out["in a bucket's transit"]++
			}
		}
	}
	delete(out, "in a bucket's transit")
	return out
}

func (h *googleHouse) wantBalances(want map[ledger.Purpose]int64) {
	h.t.Helper()
	got := h.balances()
	for p, minor := range got {
		if minor == 0 {
			delete(got, p)
		}
		if want[p] != minor {
			h.t.Errorf("%s stands at %d, want %d", p, minor, want[p])
		}
	}
	for p, minor := range want {
		if got[p] != minor {
			h.t.Errorf("%s stands at %d, want %d", p, got[p], minor)
		}
	}
}

func (h *googleHouse) sound() {
	h.t.Helper()
	report, err := verify.Run(h.t.Context(), h.db, verify.Options{})
	if err != nil || !report.OK {
		h.t.Errorf("verify: %v %v", report.Violations, err)
	}
}

func onGoogle(t *testing.T, fn func(t *testing.T, h *googleHouse)) {
	t.Helper()
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		h := newGoogleHouse(t, db)
		fn(t, h)
		h.sound()
	})
}

// TestRemittance: the worked example, from purchases to what the bank paid, with the
// ledger at each step.
func TestRemittance(t *testing.T) {
	onGoogle(t, func(t *testing.T, h *googleHouse) {
		lines := h.bought()
		h.wantBalances(map[ledger.Purpose]int64{ledger.Receivable: 121_800})
		s := h.notify("stm-1", owed, lines...)
		if s.State != fop.StatementAccepted || s.Lines != 4 || !slices.Equal(h.peer.methods(), []string{"acceptRemittanceStatement"}) ||
			h.peer.told[0].Body != `{"paymentIntegratorAccountId":"SHOP","statementId":"stm-1"}` {
			t.Fatalf("the statement is %+v; told: %+v", s, h.peer.told)
		}
		found, err := flow.FoundIn(s)
		want := flow.FoundSums{Captures: 1_426_000_000, Refunds: 208_000_000, Fees: 35_650_000, Tax: 6_417_000, Due: owed, DueTo: owed}
		if err != nil || found.Sums == nil || *found.Sums != want || !found.FeesChecked || len(found.Classes) != 0 {
			t.Errorf("found %s, %v, want %+v", s.Found, err, want)
		}

		// The same again is answered as it was; other figures under its name are refused.
		if c, err := h.flows.NoteStatement(t.Context(), h.noting("stm-1", owed)); err != nil || c.About != s.ID.Raw() {
			t.Errorf("told again: %+v, %v", c, err)
		}
		if _, err := h.flows.NoteStatement(t.Context(), h.noting("stm-1", owed+1)); !errors.Is(err, flow.ErrOtherCall) {
			t.Errorf("other figures: %v, want ErrOtherCall", err)
		}
		h.wantBalances(map[ledger.Purpose]int64{ledger.Receivable: 121_800})

		// Two people agree to the order, and only then is it paid.
		paid := flow.StatementChange{Statement: s.ID, By: dan, Note: "seen at the bank", Reference: "UTR-1"}
		var stands *flow.CaseStateError
		if _, err := h.flows.PaidStatement(t.Context(), paid); !errors.As(err, &stands) {
			t.Errorf("paid before anybody agreed: %v", err)
		}
		if _, err := h.settleCase(s.Case, flow.SettlePay, dan, dan); !errors.Is(err, flow.ErrSamePerson) {
			t.Errorf("one person twice: %v, want ErrSamePerson", err)
		}
		if _, err := h.settleCase(s.Case, flow.SettlePay, sam); !errors.Is(err, flow.ErrRole) {
			t.Errorf("support: %v, want ErrRole", err)
		}
		if _, err := h.settleCase(s.Case, flow.SettlePay, erin); err != nil {
			t.Fatal(err)
		}
		order, agreed, err := flow.OrderOf(h.statement("stm-1"))
		if err != nil || !agreed || order.Direction != flow.ToGoogle || order.Amount != "1175.93" || order.Rest != 3_000 || order.Memo != "stm-0114-aorta" || !slices.Equal(order.By, []string{"dan", "erin"}) {
			t.Errorf("order %+v, %t, %v", order, agreed, err)
		}
		if _, err := h.flows.PaidStatement(t.Context(), flow.StatementChange{Statement: s.ID, By: dan, Note: "x"}); !errors.Is(err, flow.ErrNote) {
			t.Errorf("paid without the bank's reference: %v", err)
		}
		for range 2 { // the second changes nothing
			if got, err := h.flows.PaidStatement(t.Context(), paid); err != nil || got.State != fop.StatementPaid {
				t.Fatalf("paid: %s, %v", got.State, err)
			}
			h.settle()
		}
		other := paid
		other.Reference = "UTR-2"
		if _, err := h.flows.PaidStatement(t.Context(), other); !errors.As(err, &stands) {
			t.Errorf("paid once more by another reference: %v", err)
		}
		h.wantBalances(map[ledger.Purpose]int64{ledger.Bank: -117_593, ledger.Revenue: 3_565, ledger.Taxes: 642})
	})
}

// TestStatementDiffers: each class keeps a statement from being accepted until two
// people have agreed to it.
func TestStatementDiffers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(h *googleHouse, lines []flow.StatementLine) ([]flow.StatementLine, int64)
		want   map[recon.Class]int64
	}{
		{"of less than we have", func(_ *googleHouse, l []flow.StatementLine) ([]flow.StatementLine, int64) {
			return l[1:], owed - 728_000_000 + 18_200_000 + 3_276_000
		}, map[recon.Class]int64{recon.MissingAtGoogle: 1}},
		{"of what we do not have", func(_ *googleHouse, l []flow.StatementLine) ([]flow.StatementLine, int64) {
			return append(l, line(recon.Capture, "c9", 100_000_000, 2_500_000)), owed + 100_000_000 - 2_500_000 - 450_000
		}, map[recon.Class]int64{recon.MissingAtUs: 1}},
		{"a refund is not a capture", func(_ *googleHouse, l []flow.StatementLine) ([]flow.StatementLine, int64) {
			l[3].Name = "c1"
			return l, owed
		}, map[recon.Class]int64{recon.MissingAtUs: 1, recon.MissingAtGoogle: 1}},
		{"another amount", func(_ *googleHouse, l []flow.StatementLine) ([]flow.StatementLine, int64) {
			l[0] = line(recon.Capture, "c1", 729_000_000, 18_225_000)
			return l, owed + 1_000_000 - 25_000 - 4_500
		}, map[recon.Class]int64{recon.AmountDiff: 1}},
		{"another currency", func(_ *googleHouse, l []flow.StatementLine) ([]flow.StatementLine, int64) {
			l[0].Currency = "USD"
			return l, owed
		}, map[recon.Class]int64{recon.CurrencyDiff: 1}},
		{"twice", func(_ *googleHouse, l []flow.StatementLine) ([]flow.StatementLine, int64) {
			return append(l, l[2]), owed + 199_000_000 - 4_975_000 - 895_500
		}, map[recon.Class]int64{recon.DuplicateEvent: 1}},
		{"of another day", func(_ *googleHouse, l []flow.StatementLine) ([]flow.StatementLine, int64) {
			l[1].AtMS = periodEnd + 1000
			return l, owed
		}, map[recon.Class]int64{recon.WrongPeriod: 1}},
		{"another fee", func(_ *googleHouse, l []flow.StatementLine) ([]flow.StatementLine, int64) {
			l[1].Fee -= 1_000_000
			return l, owed + 1_180_000
		}, map[recon.Class]int64{recon.FeeDiff: 1}},
		{"another total", func(_ *googleHouse, l []flow.StatementLine) ([]flow.StatementLine, int64) {
			return l, owed + 1
		}, map[recon.Class]int64{recon.TotalDiff: 1}},
		{"events that we know nothing of", func(_ *googleHouse, l []flow.StatementLine) ([]flow.StatementLine, int64) {
			return append(l, flow.StatementLine{Event: recon.Event{Kind: "unknown", Name: "x1"}}), owed
		}, map[recon.Class]int64{recon.MissingAtUs: 1}},
		{"a total beyond all numbers", func(_ *googleHouse, l []flow.StatementLine) ([]flow.StatementLine, int64) {
			big := line(recon.Capture, "c8", 1<<62, 0)
			big.HasFee = false
			return append(l, big, big, big), owed
		}, map[recon.Class]int64{recon.MissingAtUs: 3, recon.DuplicateEvent: 2, recon.TotalDiff: 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			onGoogle(t, func(t *testing.T, h *googleHouse) {
				lines, micros := test.change(h, h.bought())
				s := h.notify("stm-1", micros, lines...)
				found, err := flow.FoundIn(s)
				if err != nil || s.State != fop.StatementMismatch || fmt.Sprint(found.Classes) != fmt.Sprint(test.want) {
					t.Fatalf("it is %s; found %s, %v; want %v", s.State, s.Found, err, test.want)
				}
				if told := h.peer.methods(); len(told) != 0 {
					t.Errorf("Google was told %v", told)
				}
				if _, err := h.settleCase(s.Case, flow.SettleAccept, dan); err != nil || h.statement("stm-1").State != fop.StatementMismatch {
					t.Fatalf("accepted by one: %s, %v", h.statement("stm-1").State, err)
				}
				if _, err := h.settleCase(s.Case, flow.SettleAccept, erin); err != nil || h.statement("stm-1").State != fop.StatementAccepted {
					t.Fatalf("accepted by two: %s, %v", h.statement("stm-1").State, err)
				}
				s = h.statement("stm-1")
				if _, err := h.settleCase(s.Case, flow.SettlePay, dan, erin); err != nil {
					t.Fatal(err)
				}
				if _, err := h.flows.PaidStatement(t.Context(), flow.StatementChange{Statement: s.ID, By: dan, Note: "paid", Reference: "UTR-1"}); err != nil {
					t.Fatal(err)
				}
				h.settle()
				// What was paid beyond or below our books stays visible, and nothing is lost: verify says so.
				got := h.balances()
				if sum := got[ledger.Receivable] + got[ledger.Revenue] + got[ledger.Taxes] + got[ledger.Suspense] + got[ledger.Rounding] - got[ledger.Bank]; sum != 121_800 || got[ledger.Transit] != 0 {
					t.Errorf("balances are %v, which make %d of 121800", got, sum)
				}
			})
		})
	}
}

// TestDispute: a disputed statement gives its captures up to the one that replaces it; a
// second statement of the same time is not accepted by itself.
func TestDispute(t *testing.T) {
	onGoogle(t, func(t *testing.T, h *googleHouse) {
		lines := h.bought()
		first := h.notify("stm-1", owed+1, lines...)
		second := h.notify("stm-2", owed, lines...)
		found, err := flow.FoundIn(second)
		if err != nil || second.State != fop.StatementMismatch || fmt.Sprint(found.Classes) != fmt.Sprint(map[recon.Class]int64{recon.DuplicateEvent: 4, recon.WrongPeriod: 1}) || !slices.Equal(found.Overlaps, []string{"stm-1"}) {
			t.Fatalf("the second is %s: %s, %v", second.State, second.Found, err)
		}
		if _, err := h.settleCase(first.Case, flow.SettleDispute, dan); err != nil || h.statement("stm-1").State != fop.StatementDisputed {
			t.Fatalf("disputed: %s, %v", h.statement("stm-1").State, err)
		}
		if _, err := h.settleCase(second.Case, flow.SettleRecheck, dan); err != nil || h.statement("stm-2").State != fop.StatementAccepted {
			t.Fatalf("compared once more: %s %s, %v", h.statement("stm-2").State, h.statement("stm-2").Found, err)
		}
		// Nothing but to compare it again leads out of a dispute.
		if _, err := h.flows.ReopenCase(t.Context(), flow.CaseChange{Case: first.Case, By: dan, Note: "they say it is right"}); err != nil {
			t.Fatal(err)
		}
		var stands *flow.CaseStateError
		if _, err := h.settleCase(first.Case, flow.SettleAccept, dan); !errors.As(err, &stands) {
			t.Errorf("a disputed one was accepted: %v", err)
		}
		if _, err := h.settleCase(first.Case, flow.SettleRecheck, dan); err != nil {
			t.Fatal(err)
		}
		again := h.statement("stm-1")
		if found, err := flow.FoundIn(again); err != nil || again.State != fop.StatementMismatch || found.Classes[recon.DuplicateEvent] != 4 {
			t.Errorf("compared again, the first is %s: %s, %v", again.State, again.Found, err)
		}
		if c, _ := h.flows.ReadCase(t.Context(), first.Case, dan); c.State != payment.CaseOpen {
			t.Errorf("its case is %s, want that it is open again", c.State)
		}
	})
}

// TestPages: a statement is read page by page; what breaks off goes on where it was,
// under the same requestId, and one that changes is read from its start.
func TestPages(t *testing.T) {
	onGoogle(t, func(t *testing.T, h *googleHouse) {
		lines := h.bought()
		h.peer.size = 1
		ok := flow.Heard{OK: true, Status: 200}
		h.peer.next = []flow.Heard{ok, ok, {Again: true, Said: "no answer"}}
		s := h.notify("stm-1", owed, lines...)
		if s.State != fop.StatementPulling || s.Offset != 2 || s.Events != 4 || len(h.peer.asked) != 3 {
			t.Fatalf("broken off: %+v, asked %v", s, h.peer.asked)
		}
		h.later(2 * time.Second)
		if s := h.statement("stm-1"); s.State != fop.StatementAccepted || len(h.peer.asked) != 5 || h.peer.asked[3] != h.peer.asked[2] {
			t.Fatalf("went on: %s, asked %v", s.State, h.peer.asked)
		}
		seen := slices.Clone(h.peer.asked)
		slices.Sort(seen)
		if n := len(slices.Compact(seen)); n != 4 {
			t.Errorf("%d requestIds for 4 pages: %v", n, h.peer.asked)
		}
	})
}

func TestPagesThatChange(t *testing.T) {
	onGoogle(t, func(t *testing.T, h *googleHouse) {
		lines := h.bought()
		h.peer.size = 2
		pages := 0
		h.peer.meddle = func(p *flow.StatementPage) {
			if pages++; pages == 1 { // the first was made before the refund
				p.Total = 3
			}
		}
		s := h.notify("stm-1", owed, lines...)
		if s.State != fop.StatementPulling || s.Offset != 0 || s.Events != fop.EventsUnknown {
			t.Fatalf("it changed: %+v", s)
		}
		h.later(2 * time.Second)
		if s := h.statement("stm-1"); s.State != fop.StatementAccepted || s.Lines != 4 {
			t.Errorf("read from the start: %+v", s)
		}
	})
}

// TestUnreadable: what cannot be read for three days, or is refused, is a person's.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		ruin  func(p *peer)
		waits bool // until three days are over
	}{
		{"refused", func(p *peer) {
			p.next = []flow.Heard{{Status: 404, Said: "404 INVALID_IDENTIFIER: statementId unknown"}}
		}, false},
		{"no answer", func(p *peer) { p.next = slices.Repeat([]flow.Heard{{Again: true, Said: "no answer"}}, 2) }, true},
		{"an offset that leads nowhere", func(p *peer) { p.meddle = func(x *flow.StatementPage) { x.Next = x.Offset + 1; x.Lines = nil } }, true},
		{"too many", func(p *peer) { p.meddle = func(x *flow.StatementPage) { x.Total = 1_000_001 } }, false},
		{"another total", func(p *peer) { other := int64(owed - 1); p.due = &other }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			onGoogle(t, func(t *testing.T, h *googleHouse) {
				lines := h.bought()
				test.ruin(h.peer)
				s := h.notify("stm-1", owed, lines...)
				if test.waits {
					if s.State != fop.StatementPulling {
						t.Fatalf("it is %s", s.State)
					}
					h.later(73 * time.Hour)
					s = h.statement("stm-1")
				}
				found, err := flow.FoundIn(s)
				if err != nil || s.State != fop.StatementMismatch || found.Unread == "" {
					t.Fatalf("it is %s: %s, %v", s.State, s.Found, err)
				}
				var stands *flow.CaseStateError
				if _, err := h.settleCase(s.Case, flow.SettleAccept, dan); !errors.As(err, &stands) {
					t.Errorf("accepted unread: %v", err)
				}
				h.peer.next, h.peer.meddle, h.peer.due = nil, nil, nil
				if _, err := h.settleCase(s.Case, flow.SettleRecheck, dan); err != nil || h.statement("stm-1").State != fop.StatementAccepted {
					t.Errorf("read again: %s, %v", h.statement("stm-1").State, err)
				}
			})
		})
	}
}

// TestAcceptedOtherwise: with a part of the fee as VAT, or by having acknowledged it.
func TestAcceptedOtherwise(t *testing.T) {
	t.Parallel()
	t.Run("with a modification", func(t *testing.T) {
		onGoogle(t, func(t *testing.T, h *googleHouse) {
			h.peer.contract.VAT.Ratio = 150_000
			s := h.notify("stm-1", owed, h.bought()...)
			want := `{"paymentIntegratorAccountId":"SHOP","statementId":"stm-1","feeToVatModification":{"vatToFeeRatioInMicros":"150000"}}`
			if s.State != fop.StatementAccepted || !slices.Equal(h.peer.methods(), []string{"acceptRemittanceStatementWithModifications"}) || h.peer.told[0].Body != want {
				t.Errorf("it is %s, told %+v", s.State, h.peer.told)
			}
			if s.Changes != `{"feeToVatModification":{"vatToFeeRatioInMicros":"150000"},"fee_micros":"31000000","vat_micros":"4650000"}` {
				t.Errorf("changes are %s", s.Changes)
			}
		})
	})
	t.Run("by acknowledging", func(t *testing.T) {
		onGoogle(t, func(t *testing.T, h *googleHouse) {
			h.peer.contract.AckAccepts = true
			s := h.notify("stm-1", owed, h.bought()...)
			if s.State != fop.StatementAccepted || len(h.peer.told) != 0 || s.Case.IsZero() {
				t.Errorf("it is %s, told %+v", s.State, h.peer.told)
			}
		})
	})
	t.Run("without terms", func(t *testing.T) {
		onGoogle(t, func(t *testing.T, h *googleHouse) {
			h.peer.contract.Terms = recon.Terms{}
			s := h.notify("stm-1", 1_182_350_000, h.bought()...)
			if found, err := flow.FoundIn(s); err != nil || s.State != fop.StatementAccepted || found.FeesChecked {
				t.Errorf("it is %s: %s, %v", s.State, s.Found, err)
			}
		})
	})
}

// TestTelling: what Google must hear is told until it has heard it, under one requestId;
// what it refuses, and what it does not hear for days, is a person's.
func TestTelling(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		heard flow.Heard
		state fop.ToldState
	}{
		{"no answer", flow.Heard{Again: true, Said: "no answer"}, fop.ToldWaiting},
		{"a stranger", flow.Heard{Again: true, Stranger: true, Status: 404, Said: "not known"}, fop.ToldWaiting},
		{"refused", flow.Heard{Status: 412, Said: "412 IDEMPOTENCY_VIOLATION"}, fop.ToldRefused},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			onGoogle(t, func(t *testing.T, h *googleHouse) {
				h.bought()
				refund := h.refund("c2", "r2", 100)
				h.peer.next = []flow.Heard{test.heard}
				if err := h.flows.RefundUnheard(t.Context(), refund); err != nil {
					t.Fatal(err)
				}
				h.settle()
				row := func() fop.Told {
					all, err := h.db.ScanTold(t.Context(), id.Told{}, 10)
					if err != nil || len(all) != 1 {
						t.Fatalf("told: %v, %v", all, err)
					}
					return all[0]
				}
				if got := row(); got.State != test.state || got.Tries != 1 || got.LastError != test.heard.Said || got.Status != int64(test.heard.Status) {
					t.Fatalf("after a try it is %+v", got)
				}
				if test.state == fop.ToldWaiting {
					h.later(73 * time.Hour) // it is heard at the last try, however late
				} else {
					cases, err := h.db.Cases(t.Context(), id.Case{}, 10)
					if err != nil || len(cases) != 1 || cases[0].Kind != "google_untold" {
						t.Fatalf("cases are %+v, %v", cases, err)
					}
					if _, err := h.settleCase(cases[0].ID, flow.SettleAgain, sam); err != nil {
						t.Fatal(err)
					}
				}
				got := row()
				var body map[string]string
				if err := json.Unmarshal([]byte(got.Body), &body); err != nil {
					t.Fatal(err)
				}
				want := map[string]string{"paymentIntegratorAccountId": "SHOP", "refundRequestId": "r2", "refundResult": "SUCCESS", "paymentIntegratorRefundId": refund.ID.String()}
				if got.State != fop.ToldHeard || got.Method != "refundResultNotification" || fmt.Sprint(body) != fmt.Sprint(want) || got.Answer != `{"result":"SUCCESS"}` {
					t.Errorf("in the end it is %+v", got)
				}
				if len(h.peer.told) != 2 || h.peer.told[0].ID != h.peer.told[1].ID {
					t.Errorf("told %+v, want the same call twice", h.peer.told)
				}
			})
		})
	}
}

// TestGivenUp: after three days of silence a person decides, and may have it told again.
func TestGivenUp(t *testing.T) {
	onGoogle(t, func(t *testing.T, h *googleHouse) {
		h.bought()
		refund := h.refund("c2", "r2", 100)
		h.peer.next = slices.Repeat([]flow.Heard{{Again: true, Said: "no answer"}}, 400)
		if err := h.flows.RefundUnheard(t.Context(), refund); err != nil {
			t.Fatal(err)
		}
		h.settle()
		for range 300 {
			h.later(15 * time.Minute)
		}
		all, err := h.db.ScanTold(t.Context(), id.Told{}, 10)
		if err != nil || len(all) != 1 || all[0].State != fop.ToldGivenUp || all[0].Tries < 280 || all[0].Tries > 300 {
			t.Fatalf("told %+v, %v", all, err)
		}
		cases, err := h.db.Cases(t.Context(), id.Case{}, 10)
		if err != nil || len(cases) != 1 {
			t.Fatalf("cases %+v, %v", cases, err)
		}
		h.peer.next = nil
		if _, err := h.settleCase(cases[0].ID, flow.SettleClose, dan); err != nil {
			t.Fatal(err)
		}
		if _, err := h.flows.ReopenCase(t.Context(), flow.CaseChange{Case: cases[0].ID, By: dan, Note: "they are back"}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.settleCase(cases[0].ID, flow.SettleAgain, dan); err != nil {
			t.Fatal(err)
		}
		if all, err = h.db.ScanTold(t.Context(), id.Told{}, 10); err != nil || all[0].State != fop.ToldHeard {
			t.Errorf("told %+v, %v", all, err)
		}
	})
}

// TestCaptureIsTold: an asynchronous capture's end is told once, as section 11 writes it.
func TestCaptureIsTold(t *testing.T) {
	onGoogle(t, func(t *testing.T, h *googleHouse) {
		c, err := h.flows.BeginPurchase(t.Context(), flow.Buying{GoogleCall: h.call(fop.CaptureLater, "SHOP", "c2", "c2"), Token: h.buyer("c-two", 100_000), Amount: rupees(49_900)})
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []error{nil, flow.ErrPurchaseOver} {
			if _, err := h.flows.ConfirmPurchase(t.Context(), c.Customer, c.ID, true); !errors.Is(err, want) {
				t.Fatalf("confirming: %v, want %v", err, want)
			}
			h.settle()
		}
		want := `{"paymentIntegratorAccountId":"SHOP","captureRequestId":"c2","captureResult":{"captureResultCode":"SUCCESS"},"paymentIntegratorTransactionId":"` + c.ID.String() + `"}`
		if len(h.peer.told) != 1 || h.peer.told[0].Body != want || h.peer.told[0].Method != "captureResultNotification" {
			t.Errorf("told %+v, want once %s", h.peer.told, want)
		}
	})
}
