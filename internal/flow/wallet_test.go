package flow_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/project"
)

func walletHouse(t *testing.T, homes int) *house {
	t.Helper()
	return newHouse(t, homes, func(p *project.Project) { p.Wallet = true })
}

// player is a customer of a house, whose moves are named.
type player struct {
	*house
	name string
}

func (p player) ask(kind, txn, round string, minor int64, bonus bool) (flow.Moved, error) {
	p.t.Helper()
	p.tick()
	m := flow.WalletMove{Project: p.pr, CustomerID: p.name, TxnID: txn, RoundID: round, Amount: inr(minor), Bonus: bonus, Description: kind + " " + txn}
	do := map[string]func(context.Context, flow.WalletMove) (flow.Moved, error){
		"stake": p.flows.Stake, "win": p.flows.Win, "rollback": p.flows.Rollback, "debit": p.flows.Debit, "credit": p.flows.Credit,
		"grant": p.flows.GrantBonus, "release": p.flows.ReleaseBonus,
	}[kind]
	return do(p.t.Context(), m)
}

// tick lets a moment pass, so that ids of different moments order by them.
func (h *house) tick() { h.mu.Lock(); defer h.mu.Unlock(); h.now = h.now.Add(time.Millisecond) }

func (p player) must(kind, txn, round string, minor int64) flow.Moved {
	p.t.Helper()
	out, err := p.ask(kind, txn, round, minor, false)
	if err != nil {
		p.t.Fatalf("%s %s: %v", kind, txn, err)
	}
	return out
}

func (p player) want(available, bonus int64) {
	p.t.Helper()
	owner := "customer:1:" + p.name
	if a, b := p.balance(owner, ledger.Available), p.balance(owner, ledger.Bonus); a != available || b != bonus {
		p.t.Errorf("%s has %d and a bonus of %d, want %d and %d", p.name, a, b, available, bonus)
	}
}

// said is a move and what it is answered.
type said struct {
	kind, txn, round string
	minor            int64
	bonus            bool
	want             error
	repeat, nothing  bool  // the first transfer again; a rollback that moved nothing
	available        int64 // after it, where it was done
}

// What a round is, in every order: payment-loop.md L3.4 and docs/wallet.md.
func TestRounds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name             string
		moves            []said
		available, bonus int64 // in the end, of 1000 and a bonus of 100
	}{
		{"stake and win", []said{
			{kind: "stake", txn: "s1", round: "r", minor: 300, available: 700},
			{kind: "win", txn: "w1", round: "r", minor: 500, available: 1200},
		}, 1200, 100},
		{"several of each", []said{
			{kind: "stake", txn: "s1", round: "r", minor: 300, available: 700},
			{kind: "stake", txn: "s2", round: "r", minor: 200, available: 500},
			{kind: "win", txn: "w1", round: "r", minor: 50, available: 550},
			{kind: "stake", txn: "s3", round: "r", minor: 550, available: 0},
			{kind: "win", txn: "w2", round: "r", minor: 1, available: 1},
		}, 1, 100},
		{"the win comes first", []said{
			{kind: "win", txn: "w1", round: "r", minor: 500, available: 1500},
			{kind: "stake", txn: "s1", round: "r", minor: 300, available: 1200},
		}, 1200, 100},
		{"repeats give the first transfer", []said{
			{kind: "stake", txn: "x", round: "r", minor: 300, available: 700},
			{kind: "stake", txn: "x", round: "r", minor: 300, repeat: true, available: 700},
			{kind: "win", txn: "x", round: "r", minor: 300, available: 1000},
			{kind: "stake", txn: "x", round: "r", minor: 300, repeat: true, available: 1000},
			{kind: "win", txn: "x", round: "r", minor: 300, repeat: true, available: 1000},
		}, 1000, 100},
		{"one name, other content", []said{
			{kind: "stake", txn: "s1", round: "r", minor: 300, available: 700},
			{kind: "stake", txn: "s1", round: "r", minor: 301, want: flow.ErrTxnConflict},
			{kind: "stake", txn: "s1", round: "q", minor: 300, want: flow.ErrTxnConflict},
			{kind: "stake", txn: "s1", round: "r", minor: 300, bonus: true, want: flow.ErrTxnConflict},
		}, 700, 100},
		{"more than there is", []said{
			{kind: "stake", txn: "s1", round: "r", minor: 1001, want: flow.ErrInsufficient},
			{kind: "stake", txn: "s1", round: "r", minor: 1000, available: 0},
			{kind: "stake", txn: "s2", round: "r", minor: 1, want: flow.ErrInsufficient},
			{kind: "debit", txn: "d1", minor: 1, want: flow.ErrInsufficient},
		}, 0, 100},
		{"rollback of a stake", []said{
			{kind: "stake", txn: "s1", round: "r", minor: 300, available: 700},
			{kind: "rollback", txn: "b1", round: "r", minor: 300, available: 1000},
			{kind: "rollback", txn: "b1", round: "r", minor: 300, repeat: true, available: 1000},
			{kind: "rollback", txn: "b1", round: "r", repeat: true, available: 1000},
			{kind: "rollback", txn: "b1", round: "r", minor: 299, want: flow.ErrTxnConflict},
			{kind: "rollback", txn: "b2", round: "r", minor: 300, want: flow.ErrRoundState},
			{kind: "rollback", txn: "b1", round: "q", minor: 300, want: flow.ErrTxnConflict},
			{kind: "win", txn: "w1", round: "r", minor: 1, want: flow.ErrRoundState},
			{kind: "stake", txn: "s2", round: "r", minor: 1, want: flow.ErrRoundState},
			{kind: "stake", txn: "s1", round: "r", minor: 300, repeat: true, available: 1000},
		}, 1000, 100},
		{"rollback of all that a round had", []said{
			{kind: "stake", txn: "s1", round: "r", minor: 300, available: 700},
			{kind: "stake", txn: "s2", round: "r", minor: 200, available: 500},
			{kind: "win", txn: "w1", round: "r", minor: 900, available: 1400},
			{kind: "rollback", txn: "b1", round: "r", minor: 300, want: flow.ErrAmount},
			{kind: "rollback", txn: "b1", round: "r", minor: 500, available: 1000},
		}, 1000, 100},
		{"rollback of what comes out even", []said{
			{kind: "stake", txn: "s1", round: "r", minor: 300, available: 700},
			{kind: "win", txn: "w1", round: "r", minor: 300, available: 1000},
			{kind: "rollback", txn: "b1", round: "r", available: 1000},
		}, 1000, 100},
		{"rollback of a win that is spent", []said{
			{kind: "win", txn: "w1", round: "r", minor: 500, available: 1500},
			{kind: "debit", txn: "d1", minor: 1400, available: 100},
			{kind: "rollback", txn: "b1", round: "r", want: flow.ErrInsufficient},
			{kind: "credit", txn: "c1", minor: 400, available: 500},
			{kind: "rollback", txn: "b1", round: "r", available: 0},
		}, 0, 100},
		{"rollback comes first", []said{
			{kind: "rollback", txn: "b1", round: "r", minor: 300, nothing: true, available: 1000},
			{kind: "rollback", txn: "b1", round: "r", minor: 300, nothing: true, repeat: true, available: 1000},
			{kind: "rollback", txn: "b2", round: "r", minor: 300, want: flow.ErrRoundState},
			{kind: "stake", txn: "s1", round: "r", minor: 300, want: flow.ErrRoundState},
			{kind: "win", txn: "w1", round: "r", minor: 300, want: flow.ErrRoundState},
			{kind: "stake", txn: "s1", round: "q", minor: 300, available: 700},
		}, 700, 100},
		{"bonus", []said{
			{kind: "stake", txn: "s1", round: "r", minor: 101, bonus: true, want: flow.ErrInsufficient},
			{kind: "stake", txn: "s1", round: "r", minor: 60, bonus: true, available: 1000},
			{kind: "stake", txn: "s2", round: "r", minor: 10, available: 990},
			{kind: "win", txn: "w1", round: "r", minor: 5, bonus: true, available: 990},
			{kind: "win", txn: "w2", round: "r", minor: 7, available: 997},
			{kind: "rollback", txn: "b1", round: "r", minor: 70, available: 1000},
			{kind: "release", txn: "f1", minor: 101, want: flow.ErrInsufficient},
			{kind: "release", txn: "f1", minor: 40, available: 1040},
			{kind: "debit", txn: "d1", minor: 60, bonus: true, available: 1040},
			{kind: "debit", txn: "d2", minor: 1, bonus: true, want: flow.ErrInsufficient},
		}, 1040, 0},
		{"nothing", []said{
			{kind: "stake", txn: "s1", round: "r", minor: 0, want: flow.ErrAmount},
			{kind: "credit", txn: "c1", minor: -5, want: flow.ErrAmount},
		}, 1000, 100},
	}
	for _, tt := range tests {
		for homes := 1; homes <= 2; homes++ {
			t.Run(fmt.Sprint(tt.name, ", homes ", homes), func(t *testing.T) {
				t.Parallel()
				p := player{walletHouse(t, homes), "c1"}
				p.must("credit", "start", "", 1000)
				if _, err := p.ask("grant", "start", "", 100, false); err != nil {
					t.Fatal(err)
				}
				p.play(tt.moves)
				p.want(tt.available, tt.bonus)
			})
		}
	}
}

func (p player) play(moves []said) {
	p.t.Helper()
	first := map[string]flow.Moved{}
	for n, m := range moves {
		what := fmt.Sprintf("%d: %s %s of %d in round %q", n, m.kind, m.txn, m.minor, m.round)
		got, err := p.ask(m.kind, m.txn, m.round, m.minor, m.bonus)
		if !errors.Is(err, m.want) || err != nil && m.want == nil {
			p.t.Fatalf("%s = %v, want %v", what, err, m.want)
		}
		if err != nil {
			continue
		}
		if got.Available != inr(m.available) {
			p.t.Errorf("%s leaves %v, want %d", what, got.Available, m.available)
		}
		key := m.kind + m.txn
		if m.repeat != got.Repeat || m.repeat && got.Transfer.ID != first[key].Transfer.ID || got.Transfer.ID.IsZero() != m.nothing {
			p.t.Errorf("%s gives %v (repeat %t), the first gave %v", what, got.Transfer, got.Repeat, first[key].Transfer)
		}
		if !m.repeat {
			first[key] = got
		}
		if x := got.Transfer; x.Name != m.txn || x.Customer.IsZero() || x.Project != p.pr.ID || x.Round.IsZero() != (m.round == "") {
			p.t.Errorf("%s is transfer %+v", what, x)
		}
	}
}

// Refused moves leave no row.
func TestRefusedMoveWritesNothing(t *testing.T) {
	t.Parallel()
	p := player{walletHouse(t, 1), "c1"}
	p.must("credit", "c", "", 100)
	before := p.rows()
	for _, m := range []said{{kind: "stake", minor: 101, round: "r"}, {kind: "debit", minor: 101}, {kind: "stake", minor: 1, round: "r", bonus: true}} {
		if _, err := p.ask(m.kind, "x", m.round, m.minor, m.bonus); !errors.Is(err, flow.ErrInsufficient) {
			t.Errorf("%s = %v, want ErrInsufficient", m.kind, err)
		}
	}
	if after := p.rows(); after != before {
		t.Errorf("refused moves changed the rows:\n%s\n%s", before, after)
	}
}

// rows shows all rows that moves write.
func (h *house) rows() string {
	h.t.Helper()
	var out strings.Builder
	for _, m := range h.homes {
		transfers, err1 := m.ScanTransfers(h.t.Context(), id.Transfer{}, 100_000)
		accounts, err2 := m.ScanAccounts(h.t.Context(), id.Account{}, 100_000)
		refs, err3 := m.ScanRefs(h.t.Context(), payment.RefKey{}, 100_000)
		rounds, err4 := m.ScanRounds(h.t.Context(), id.Round{}, 100_000)
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			h.t.Fatal(err)
		}
		fmt.Fprint(&out, transfers, accounts, refs, rounds)
	}
	return out.String()
}

// A name is one project's and one kind's, whoever of its customers it is for.
func TestMoveNamesAreOfTheProject(t *testing.T) {
	t.Parallel()
	for homes := 1; homes <= 2; homes++ {
		h := walletHouse(t, homes)
		one := player{h, "c1"}
		one.must("credit", "x", "", 100)
		for n := range 20 { // in both homes
			other := player{h, fmt.Sprint("other", n)}
			if _, err := other.ask("credit", "x", "", 100, false); !errors.Is(err, flow.ErrTxnConflict) {
				t.Errorf("another customer's credit of that name = %v, want ErrTxnConflict", err)
			}
		}
		one.must("debit", "x", "", 100)
		h.pr.ID = 201
		one = player{h, "c1"}
		one.must("credit", "x", "", 5)
		one.want(5, 0)
	}
}

// Rounds of one name are each customer's own, as players of one table have them.
func TestRoundsOfOneTable(t *testing.T) {
	t.Parallel()
	h := walletHouse(t, 1)
	one, two := player{h, "c1"}, player{h, "c2"}
	one.must("credit", "1", "", 100)
	two.must("credit", "2", "", 100)
	one.must("stake", "s1", "table", 10)
	two.must("stake", "s2", "table", 20)
	one.must("rollback", "b1", "table", 10)
	two.must("win", "w2", "table", 30)
	one.want(100, 0)
	two.want(110, 0)
}

func TestRoundKeepsItsCurrency(t *testing.T) {
	t.Parallel()
	p := player{walletHouse(t, 1), "c1"}
	p.must("credit", "1", "", 100)
	p.must("stake", "s", "r", 10)
	win := flow.WalletMove{Project: p.pr, CustomerID: "c1", TxnID: "w", RoundID: "r", Amount: money.Amount{Minor: 5, Currency: "EUR"}}
	if _, err := p.flows.Win(t.Context(), win); !errors.Is(err, flow.ErrRoundState) {
		t.Errorf("a win in another currency = %v, want ErrRoundState", err)
	}
	win.Amount.Minor, win.TxnID = 10, "b"
	if _, err := p.flows.Rollback(t.Context(), win); !errors.Is(err, flow.ErrAmount) {
		t.Errorf("a rollback in another currency = %v, want ErrAmount", err)
	}
}

func TestNoWallet(t *testing.T) {
	t.Parallel()
	p := player{newHouse(t, 1, nil), "c1"}
	if _, err := p.ask("credit", "x", "", 1, false); !errors.Is(err, flow.ErrNoWallet) {
		t.Errorf("a shop's credit = %v, want ErrNoWallet", err)
	}
	p = player{walletHouse(t, 1), ""}
	if _, err := p.ask("credit", "x", "", 1, false); !errors.Is(err, flow.ErrNoWallet) {
		t.Errorf("nobody's credit = %v, want ErrNoWallet", err)
	}
}

// One name from many at once is one transfer, in one home and over two.
func TestOneMoveFromMany(t *testing.T) {
	t.Parallel()
	for homes := 1; homes <= 2; homes++ {
		p := player{walletHouse(t, homes), "c1"}
		p.must("credit", "start", "", 1000)
		for n := range 8 { // names that lie in either home
			name := fmt.Sprint("s", n)
			var wg sync.WaitGroup
			got := make([]flow.Moved, 16)
			for i := range got {
				wg.Go(func() {
					m := flow.WalletMove{Project: p.pr, CustomerID: "c1", TxnID: name, RoundID: name, Amount: inr(10)}
					var err error
					if got[i], err = p.flows.Stake(t.Context(), m); err != nil {
						t.Errorf("stake %s: %v", name, err)
					}
				})
			}
			wg.Wait()
			fresh := 0
			for _, g := range got {
				if !g.Repeat {
					fresh++
				}
				if g.Transfer.ID != got[0].Transfer.ID {
					t.Errorf("stake %s is %s and %s", name, g.Transfer.ID, got[0].Transfer.ID)
				}
			}
			if fresh != 1 {
				t.Errorf("stake %s was made %d times", name, fresh)
			}
		}
		p.want(1000-80, 0)
	}
}

// A name that was reserved over two homes is gone on with, even once the buckets
// lie in one.
func TestOrphanMoveName(t *testing.T) {
	t.Parallel()
	p := player{walletHouse(t, 1), "c1"}
	p.must("credit", "start", "", 1000)
	bucket := p.pr.PaymentBucket(32, "", "c1")
	orphan := p.book.Mint(bucket)
	key := p.book.RefKey("stake:200", "s1")
	if _, err := p.book.Reserve(t.Context(), key, orphan); err != nil {
		t.Fatal(err)
	}
	for n, repeat := range []bool{false, true} {
		got := p.must("stake", "s1", "r", 10)
		if got.Transfer.ID != id.Transfer(orphan) || got.Repeat != repeat {
			t.Errorf("stake %d under a reserved name gives %s (repeat %t), want %s", n, got.Transfer.ID, got.Repeat, id.Transfer(orphan))
		}
	}
	p.want(990, 0)
}

func (p player) statement(currency money.Currency, limit int) []ledger.Transfer {
	p.t.Helper()
	var out []ledger.Transfer
	q := flow.StatementQuery{Project: p.pr, CustomerID: p.name, Currency: currency, Limit: limit}
	for {
		s, err := p.flows.Statement(p.t.Context(), q)
		if err != nil {
			p.t.Fatalf("Statement(%+v): %v", q, err)
		}
		out = append(out, s.Transfers...)
		if q.Cursor = s.Next; q.Cursor == "" {
			return out
		}
		if len(s.Transfers) != limit {
			p.t.Fatalf("a page has %d transfers, want %d", len(s.Transfers), limit)
		}
	}
}

// A statement has all transfers of the customer, newest first, each once,
// whatever they are for.
func TestStatement(t *testing.T) {
	t.Parallel()
	for homes := 1; homes <= 2; homes++ {
		p := player{walletHouse(t, homes), "c1"}
		p.psp.sale = append(p.psp.sale, approved(500))
		paid := p.begin("order", 500)
		p.settle()
		p.must("stake", "s", "r", 100)
		p.must("rollback", "b", "r", 0)
		euro := flow.WalletMove{Project: p.pr, CustomerID: "c1", TxnID: "euro", Amount: money.Amount{Minor: 7, Currency: "EUR"}}
		p.tick()
		if _, err := p.flows.Credit(t.Context(), euro); err != nil {
			t.Fatal(err)
		}
		if _, err := p.ask("grant", "g", "", 5, false); err != nil {
			t.Fatal(err)
		}
		p.psp.refund = append(p.psp.refund, approved(200))
		if _, err := p.flows.BeginRefund(t.Context(), flow.RefundRequest{Project: p.pr, Payment: p.payment(paid.Payment.ID), Amount: inr(200)}); err != nil {
			t.Fatal(err)
		}
		p.settle()
		want := "refund refund_reserve bonus_grant credit rollback stake deposit"
		for limit := 1; limit <= 8; limit++ {
			if got := kinds(p.statement("", limit)); got != want {
				t.Errorf("the statement by pages of %d is %q, want %q", limit, got, want)
			}
		}
		if got := kinds(p.statement("EUR", 1)); got != "credit" {
			t.Errorf("the statement in EUR is %q", got)
		}
		balances, err := p.flows.Balances(t.Context(), p.pr, "c1")
		if want := []flow.Balance{{"INR", 300, 0, 5}, {"EUR", 7, 0, 0}}; err != nil || fmt.Sprint(balances) != fmt.Sprint(want) {
			t.Errorf("Balances = %v, %v; want %v", balances, err, want)
		}
	}
}

func kinds(list []ledger.Transfer) string {
	var out []string
	for _, t := range list {
		out = append(out, string(t.Kind))
	}
	return strings.Join(out, " ")
}

func TestForeignCursors(t *testing.T) {
	t.Parallel()
	h := walletHouse(t, 1)
	one, two := player{h, "c1"}, player{h, "c2"}
	mine := one.must("credit", "1", "", 1).Transfer.ID.String()
	foreign := two.must("credit", "2", "", 1).Transfer.ID.String()
	for _, cursor := range []string{"x", foreign, mine + "." + foreign, mine + "." + mine, mine + ".", strings.Repeat("z", 1000)} {
		q := flow.StatementQuery{Project: h.pr, CustomerID: "c1", Cursor: cursor, Limit: 10}
		if _, err := h.flows.Statement(t.Context(), q); !errors.Is(err, flow.ErrCursor) {
			t.Errorf("Statement from %.40q = %v, want ErrCursor", cursor, err)
		}
	}
	if s, err := h.flows.Statement(t.Context(), flow.StatementQuery{Project: h.pr, CustomerID: "nobody"}); err != nil || len(s.Transfers) > 0 {
		t.Errorf("Statement of nobody = %v, %v", s, err)
	}
}

func TestDepositOf(t *testing.T) {
	t.Parallel()
	h := walletHouse(t, 2)
	h.psp.sale = append(h.psp.sale, redirected, approved(500))
	open := h.begin("open", 500)
	h.settle()
	paid := h.begin("paid", 500)
	h.settle()
	if _, err := h.flows.DepositOf(t.Context(), h.pr, open.Payment.ID.String()); !errors.Is(err, flow.ErrState) {
		t.Errorf("DepositOf an open payment = %v, want ErrState", err)
	}
	h.psp.refund = append(h.psp.refund, approved(500))
	for range 2 { // whatever comes after it
		for _, name := range []string{paid.Payment.ID.String(), "PAID"} {
			got, err := h.flows.DepositOf(t.Context(), h.pr, name)
			if err != nil || got.Transfer.Kind != ledger.KindDeposit || got.Transfer.Payment != paid.Payment.ID {
				t.Errorf("DepositOf(%s) = %+v, %v", name, got, err)
			}
		}
		if _, err := h.flows.BeginRefund(t.Context(), flow.RefundRequest{Project: h.pr, Payment: h.payment(paid.Payment.ID)}); err != nil {
			t.Fatal(err)
		}
		h.settle()
	}
	other := h.pr
	other.ID = 999
	far := paid.Payment.ID
	far[6] = 200 // a bucket that there is not
	for _, name := range []string{"nobody's", far.String(), id.Payment(h.book.Mint(3)).String()} {
		if _, err := h.flows.DepositOf(t.Context(), h.pr, name); !errors.Is(err, payment.ErrNoPayment) {
			t.Errorf("DepositOf(%s) = %v, want ErrNoPayment", name, err)
		}
	}
	if _, err := h.flows.DepositOf(t.Context(), other, paid.Payment.ID.String()); !errors.Is(err, payment.ErrNoPayment) {
		t.Errorf("DepositOf another project's payment = %v, want ErrNoPayment", err)
	}
	shop := newHouse(t, 1, nil)
	shop.psp.sale = append(shop.psp.sale, approved(500))
	sold := shop.begin("sold", 500)
	shop.settle()
	if _, err := shop.flows.DepositOf(t.Context(), shop.pr, sold.Payment.ID.String()); !errors.Is(err, flow.ErrNoWallet) {
		t.Errorf("DepositOf a shop's payment = %v, want ErrNoWallet", err)
	}
}

// Moves survive what befalls the store: whatever is answered, asking again gives
// one transfer.
func TestMovesOnAFailingStore(t *testing.T) {
	t.Parallel()
	p := player{walletHouse(t, 2), "c1"}
	p.must("credit", "start", "", 1000)
	step := 0
	for _, m := range p.homes {
		m.Fail = func(s book.Step) book.Fault {
			step++
			switch {
			case s != book.StepCommit && step%7 == 0:
				return book.FaultConflict
			case s == book.StepCommit:
				return []book.Fault{book.FaultNone, book.FaultLostDone, book.FaultAway, book.FaultLostDead, book.FaultConflict}[step%5]
			}
			return book.FaultNone
		}
	}
	for n := range 40 {
		name := fmt.Sprint("s", n)
		for try := 0; ; try++ {
			_, err := p.ask("stake", name, name, 10, false)
			if err == nil {
				break
			}
			if !errors.Is(err, book.ErrNotRun) && !errors.Is(err, book.ErrUnknown) || try > 50 {
				t.Fatalf("stake %s: %v", name, err)
			}
		}
	}
	p.want(600, 0)
}
