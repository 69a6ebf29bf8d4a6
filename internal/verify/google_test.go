package verify_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"regexp"
	"testing"
	"time"

	"aorta/internal/connector"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/recon"
	"aorta/internal/sms"
	"aorta/internal/verify"
)

// googleSide is Google and the SMS gateway of a house whose wallets are linked.
type googleSide struct {
	lines map[string][]flow.StatementLine // by statement
	deaf  bool                            // Google is not there
	sent  func(sms.Message)               // a message is on its way
}

func (g *googleSide) Contract(string) (flow.Contract, bool) { return flow.Contract{}, true }

func (g *googleSide) Tell(context.Context, fop.Told) flow.Heard {
	if g.deaf {
		return flow.Heard{Again: true, Said: "no answer"}
	}
	return flow.Heard{OK: true, Status: 200, Answer: "{}"}
}

func (g *googleSide) Lines(_ context.Context, s fop.Statement, _ string, _ int) (flow.StatementPage, flow.Heard) {
	all := g.lines[s.Name]
	return flow.StatementPage{Total: int64(len(all)), Lines: all}, flow.Heard{OK: true, Status: 200}
}

func (g *googleSide) Send(_ context.Context, m sms.Message) sms.Outcome {
	if g.sent != nil {
		g.sent(m)
	}
	return sms.Outcome{Kind: sms.Accepted, ProviderID: "SM1"}
}

// bought has the rows of a house of which Google has bought in every way: at once, with
// a code, declined, given back in part, waiting for the customer, refused by them; over
// links that are open and closed; with a statement that is paid and one that differs. At
// that moment a code is on its way.
func bought(t *testing.T) rows {
	t.Helper()
	h := newHouse(t)
	side := &googleSide{lines: map[string][]flow.StatementLine{}}
	pr, _ := projects(wallets)
	text, err := sms.NewText(sms.DefaultText)
	must(t, err)
	vault := fop.NewVault([32]byte{1}, rand.Reader)
	now := func() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.now }
	h.flows = flow.New(h.book, h.memory, flow.Options{
		Projects:   func(int64) (project.Project, bool) { return pr, true },
		Connectors: func(string, string) (connector.Connector, bool) { return h, true },
		NotifyURL:  func(string, string) string { return "https://pay.example/n" }, Now: now,
		Google: side, Vault: vault, Codes: flow.Codes{Sender: side, Text: text},
		Integrations: func(name string) (flow.GoogleTerms, bool) {
			return flow.GoogleTerms{Project: pr, AsyncTime: time.Hour, CodeTime: 5 * time.Minute}, name == "main"
		},
	})
	ctx := t.Context()
	call := func(m fop.Method, name string) flow.GoogleCall {
		c := flow.GoogleCall{
			Name: fop.Name{Integration: "main", Method: m, RequestID: name}, Print: name,
			Members: func(a flow.Answered) string { return fmt.Sprintf(`{"result":%q}`, a.Call.Result) },
		}
		if m == fop.CaptureNow || m == fop.CaptureLater || m == fop.Refund || m == fop.StatementNotified {
			c.Account = "SHOP"
		}
		return c
	}
	done := func(c fop.Call, err error) fop.Call {
		t.Helper()
		must(t, err)
		h.pump()
		h.later(time.Second)
		return c
	}
	link := func(name string) fop.Call {
		_, err := h.flows.Prove(ctx, flow.Proving{Project: pr, Integration: "main", RequestID: "proof of " + name, CustomerID: "ann", How: "password", Lasts: time.Hour})
		must(t, err)
		return done(h.flows.LinkWallet(ctx, flow.Linking{
			GoogleCall: call(fop.AssociateAccount, name), Token: "token of " + name, Association: "association of " + name, Evidence: flow.Evidence{RequestID: "proof of " + name},
		}))
	}
	buying := func(m fop.Method, name string, minor int64, by flow.Evidence) flow.Buying {
		return flow.Buying{GoogleCall: call(m, name), Token: "token of link", Amount: rupees(minor), Description: "gems", Evidence: by}
	}
	note := func(name string, minor int64, lines ...flow.StatementLine) {
		side.lines[name] = lines
		at := now()
		done(h.flows.NoteStatement(ctx, flow.Noting{GoogleCall: call(fop.StatementNotified, name), Statement: fop.Statement{
			Currency: "INR", DueMicros: minor * 10_000, Memo: "memo", AtUS: at.UnixMicro(), FromUS: at.Add(-time.Hour).UnixMicro(), UntoUS: at.UnixMicro(), PayUS: at.Add(time.Hour).UnixMicro(),
		}}))
	}
	line := func(k recon.Kind, name string, minor int64) flow.StatementLine {
		return flow.StatementLine{Details: "{}", Event: recon.Event{Kind: k, Name: name, Currency: "INR", Micros: minor * 10_000, HasFee: true, AtMS: now().Add(-time.Minute).UnixMilli()}}
	}

	_, err = h.flows.Credit(ctx, flow.WalletMove{Project: pr, CustomerID: "ann", TxnID: "gift", Amount: rupees(10_000)})
	must(t, err)
	link("link")
	done(h.flows.Purchase(ctx, buying(fop.CaptureNow, "buy", 5_000, flow.Evidence{})))
	done(h.flows.GiveBack(ctx, flow.GivingBack{GoogleCall: call(fop.Refund, "back"), Capture: "buy", Amount: rupees(2_000)}))
	h.later(30 * time.Minute)
	note("paid", 3_000, line(recon.Capture, "buy", 5_000), line(recon.Refund, "back", 2_000))
	paid := pick(read(t, h.memory.ScanStatements), func(s *fop.Statement) bool { return s.Name == "paid" })
	for _, who := range []string{"ann", "bob"} {
		_, err := h.flows.SettleCase(ctx, flow.CaseChange{Case: paid.Case, By: operator.Actor{Name: who, Roles: "finance"}, Note: "seen"}, flow.SettlePay)
		must(t, err)
	}
	_, err = h.flows.PaidStatement(ctx, flow.StatementChange{Statement: paid.ID, By: operator.Actor{Name: "ann", Roles: "finance"}, Note: "seen", Reference: "bank 1"})
	must(t, err)
	h.pump()
	h.later(2 * time.Hour)
	note("differs", 1, line(recon.Capture, "ghost", 1))

	phone, err := customer.ParsePhone("+918067218010")
	must(t, err)
	must(t, h.flows.SetContact(ctx, flow.CustomerChange{Project: pr, CustomerID: "ann", By: flow.Player(pr)}, phone))
	code := func(name string) flow.SendingCode {
		return flow.SendingCode{GoogleCall: call(fop.SendOTP, name), Phone: phone, Matching: "Q7w8E9r0T1y"}
	}
	done(h.flows.SendCode(ctx, code("code")))
	done(h.flows.Purchase(ctx, buying(fop.CaptureNow, "challenged", 100, flow.Evidence{RequestID: "code", Digits: vault.Digits("main", "code")})))
	done(h.flows.Purchase(ctx, buying(fop.CaptureNow, "too much", 1_000_000, flow.Evidence{})))
	waited := done(h.flows.BeginPurchase(ctx, buying(fop.CaptureLater, "confirmed", 10, flow.Evidence{})))
	done(h.flows.ConfirmPurchase(ctx, waited.Customer, waited.ID, true))
	closed := link("closed link")
	must(t, h.flows.CloseLink(ctx, pr, "ann", closed.Association))
	side.deaf = true
	for _, name := range []string{"refused", "waits"} {
		c := done(h.flows.BeginPurchase(ctx, buying(fop.CaptureLater, name, 10, flow.Evidence{})))
		if name == "refused" {
			done(h.flows.ConfirmPurchase(ctx, c.Customer, c.ID, false))
		}
	}
	var out rows
	side.sent = func(sms.Message) {
		h.barrier()
		out = allRows(t, h.memory)
	}
	done(h.flows.SendCode(ctx, code("on its way")))
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (r rows) call(name string) *fop.Call {
	return pick(r.Calls.Insert, func(c *fop.Call) bool { return c.RequestID == name })
}

func (r rows) link(name string) *fop.Association {
	return pick(r.Associations.Insert, func(a *fop.Association) bool { return a.Name == "association of "+name })
}

func (r rows) proof() *fop.Proof {
	return pick(r.Proofs.Insert, func(p *fop.Proof) bool { return p.Name == "proof of link" })
}

func (r rows) code(name string) *fop.Code {
	return pick(r.Codes.Insert, func(c *fop.Code) bool { return c.Name == name })
}

func (r rows) told(s fop.ToldState) *fop.Told {
	return pick(r.Told.Insert, func(x *fop.Told) bool { return x.State == s })
}

// news is what Google is told of a purchase.
func (r rows) news(name string) *fop.Told {
	k := r.call(name).ID.Raw()
	return pick(r.Told.Insert, func(x *fop.Told) bool { return x.Subject == k })
}

func (r rows) statement(name string) *fop.Statement {
	return pick(r.Statements.Insert, func(s *fop.Statement) bool { return s.Name == name })
}

func (r rows) line(k fop.LineKind) *fop.Line {
	return pick(r.Lines.Insert, func(l *fop.Line) bool { return l.Kind == k })
}

// made is the transfer of a call of Google's.
func (r rows) made(name string) *ledger.Transfer {
	k := r.call(name).Transfer
	return pick(r.Transfers, func(x *ledger.Transfer) bool { return x.ID == k })
}

// unnamed drops a ref.
func (r rows) unnamed(scope string, target id.Raw) {
	drop(&r.Refs.Insert, func(x *payment.Ref) bool { return x.Scope == scope && x.Target == target })
}

func (r rows) isDue(subject id.Raw, k due.Kind) {
	r.Due.Insert = append(r.Due.Insert, due.At(subject, k, 1))
}

// Each defect of Google's rows must be found, and be called what it is.
func TestCorruptionsOfGoogles(t *testing.T) {
	t.Parallel()
	if report := run(t, bought(t).store(t), verify.Options{}); !report.OK {
		t.Fatalf("violations in a house that is healthy: %s", list(report.Violations))
	}
	tests := []struct {
		name    string
		check   verify.Check
		corrupt func(r rows)
		want    string
	}{
		// Calls
		{"done, and due", verify.C11, func(r rows) { r.isDue(r.call("buy").ID.Raw(), due.Purchase) }, "is done, and work waits for it"},
		{"begun, with a result", verify.C5, func(r rows) { r.call("on its way").Result = fop.Success }, "has no answer yet, and the result"},
		{"a purchase begun", verify.C5, func(r rows) { r.call("too much").State = fop.CallBegun }, "has no answer yet"},
		{"waiting, with a result", verify.C5, func(r rows) { r.call("waits").Result = fop.Success }, `waits, with the result "SUCCESS"`},
		{"a purchase at once that waits", verify.C5, func(r rows) { r.call("too much").State = fop.CallWaiting }, `\(capture\) waits`},
		{"waiting, and nothing ends it", verify.C11, func(r rows) { r.dropDue(r.call("waits").ID.Raw()) }, "nothing will end it"},
		{"in no state", verify.C5, func(r rows) { r.call("buy").State = "lost" }, `is in state "lost"`},
		{"success without money", verify.C3, func(r rows) { r.call("buy").Transfer = id.Transfer{} }, `ended with "SUCCESS", and has the transfer ""`},
		{"declined, with money", verify.C3, func(r rows) { r.call("buy").Result = fop.InsufficientFunds }, `ended with "INSUFFICIENT_FUNDS", and has the transfer "txn_`},
		{"a refund declined, with money", verify.C3, func(r rows) { r.call("back").Result = fop.NoMoneyLeft }, `\(refund\) ended with "NO_MONEY_LEFT`},
		{"of nobody", verify.C13, func(r rows) { r.call("too much").Customer = mint(r.call("too much").Customer) }, "who does not exist"},
		{"of another amount than its transfer", verify.C3, func(r rows) { r.call("challenged").Amount.Minor++ }, "has not made just that transfer"},
		{"of another account of Google's", verify.C3, func(r rows) { r.call("challenged").Account = "SHOP2" }, "has not made just that transfer"},
		{"with another's transfer", verify.C3, func(r rows) { r.call("challenged").Transfer = r.call("buy").Transfer }, "has not made just that transfer"},
		{"lost", verify.C3, func(r rows) {
			drop(&r.Calls.Insert, func(c *fop.Call) bool { return c.RequestID == "challenged" })
		}, `\(capture_fop .*\) is of no call of Google's`},
		{"money moved twice", verify.C3, func(r rows) {
			x := *r.made("challenged")
			x.ID[2]++
			r.Transfers = append(r.Transfers, x)
		}, "move the money of one call of Google's"},
		{"money moved before, too", verify.C3, func(r rows) {
			x := *r.made("challenged")
			x.ID[2]--
			r.Transfers = append(r.Transfers, x)
		}, "move the money of one call of Google's"},
		{"money never moved", verify.C3, func(r rows) {
			k := r.made("challenged").ID
			drop(&r.Transfers, func(x *ledger.Transfer) bool { return x.ID == k })
		}, "has not made just that transfer"},
		{"money of another customer", verify.C3, func(r rows) { r.made("challenged").Customer = mint(r.made("challenged").Customer) }, "is of no call of Google's|has not made just that transfer"},
		{"given back beyond the capture", verify.C3, func(r rows) { r.call("buy").RefundedMinor = 5_001 }, "of 5000 minor units had 5001 given back"},
		{"less than nothing given back", verify.C3, func(r rows) { r.call("buy").RefundedMinor = -1 }, "had -1 given back"},
		{"a decline given back", verify.C3, func(r rows) { r.call("too much").RefundedMinor = 1 }, "had 1 given back"},
		{"less given back than its refunds say", verify.C3, func(r rows) { r.call("buy").RefundedMinor = 1_999 }, "1999 minor units were given back; its refunds say 2000"},
		{"more given back than its refunds say", verify.C3, func(r rows) { r.call("challenged").RefundedMinor = 1 }, "1 minor units were given back; its refunds say 0"},
		{"a refund of another capture", verify.C3, func(r rows) { r.call("back").About = r.call("challenged").ID.Raw() }, "0 minor units were given back; its refunds say 2000"},
		{"without its name", verify.C13, func(r rows) { r.unnamed("google:main:capture:SHOP", r.call("buy").ID.Raw()) }, `is called "buy" in google:main:capture:SHOP, but there is no such ref`},
		{"whose name is another's", verify.C13, func(r rows) {
			k := r.call("buy").ID.Raw()
			pick(r.Refs.Insert, func(x *payment.Ref) bool { return x.Target == k }).Target = r.call("challenged").ID.Raw()
		}, `is called "buy" in google:main:capture:SHOP, but that ref names`},
		{"a name of no call", verify.C13, func(r rows) {
			r.Refs.Insert = append(r.Refs.Insert, payment.Ref{RefKey: payment.RefKey{Scope: "google:main:refund:SHOP", Text: "ghost"}})
		}, `The ref "ghost" in google:main:refund:SHOP`},

		// Links
		{"a link of nobody", verify.C13, func(r rows) { r.link("link").Customer = mint(r.link("link").Customer) }, "is of customer cus_.* who does not exist"},
		{"a link in no state", verify.C5, func(r rows) { r.link("link").State = "lost" }, `Association \w+ is in state "lost"`},
		{"closed, and it is not said when", verify.C5, func(r rows) { r.link("closed link").ClosedUS = 0 }, `Association \w+ is closed, by "customer" at 0`},
		{"closed, and it is not said why", verify.C5, func(r rows) { r.link("closed link").Reason = "" }, `Association \w+ is closed, by ""`},
		{"open, with a reason", verify.C5, func(r rows) { r.link("link").Reason = fop.ClosedByHouse }, `Association \w+ is active, by "house"`},
		{"a link that is not counted", verify.C13, func(r rows) { r.Linked.Insert[0].Open-- }, "has 1 open links; their row counts 0"},
		{"links of whom nothing is counted", verify.C13, func(r rows) { r.Linked.Insert = nil }, "has 1 open links; their row counts 0"},
		{"what is had of links lies elsewhere", verify.C13, func(r rows) { r.Linked.Insert[0].ID = mint(r.Linked.Insert[0].ID) }, "has of links lies elsewhere"},
		{"a link without its token's name", verify.C13, func(r rows) { r.unnamed("gpt:main", r.link("link").ID.Raw()) }, `Association \w+ is called .* in gpt:main, but there is no such ref`},
		{"a link without its name", verify.C13, func(r rows) { r.unnamed("association:main", r.link("link").ID.Raw()) }, "in association:main, but there is no such ref"},
		{"what was bought lies elsewhere", verify.C13, func(r rows) { r.Spent.Insert[0].ID = mint(r.Spent.Insert[0].ID) }, "or lies elsewhere"},
		{"what was bought cannot be read", verify.C13, func(r rows) { r.Spent.Insert[0].Sums = "?" }, `What was bought with association \w+ cannot be read`},
		{"one that waits is not counted", verify.C13, func(r rows) { r.Spent.Insert[0].Waiting-- }, "purchases that wait; its row counts"},
		{"of what was bought nothing is counted", verify.C13, func(r rows) { r.Spent.Insert = nil }, "purchases that wait; its row counts 0"},

		// Proofs and codes
		{"a proof used up by nobody", verify.C5, func(r rows) { r.proof().Call = id.Call{} }, `Proof \w+ is consumed, by call ""`},
		{"a proof that can be used once more", verify.C5, func(r rows) { r.proof().State = fop.ProofProven }, `Proof \w+ is proven, by call "\w+"`},
		{"a proof used up by another call", verify.C3, func(r rows) { r.proof().Call = r.call("challenged").ID }, "says that call .* has used it up; of calls"},
		{"a proof used up twice", verify.C3, func(r rows) { r.call("buy").Proven = r.proof().ID.Raw() }, "have used up the same proof"},
		{"a proof that is not there", verify.C13, func(r rows) { r.call("buy").Proven = id.Raw(mint(r.proof().ID)) }, "which does not exist"},
		{"a proof without its name", verify.C13, func(r rows) { r.unnamed("proof:main", r.proof().ID.Raw()) }, `is called "proof of link" in proof:main, but there is no such ref`},
		{"a code that nobody sends", verify.C11, func(r rows) { r.dropDue(r.code("on its way").ID.Raw()) }, "is begun, and whether something will end its sending: false"},
		{"a code that was sent, and is due", verify.C11, func(r rows) { r.isDue(r.code("code").ID.Raw(), due.Code) }, "is used, and whether something will end its sending: true"},
		{"a code with more tries", verify.C5, func(r rows) { r.code("code").TriesLeft = 6 }, "has 6 tries left"},
		{"a code guessed at too often", verify.C5, func(r rows) { r.code("code").TriesLeft = -1 }, "has -1 tries left"},
		{"a code in the clear", verify.C5, func(r rows) { r.code("code").Hash = "123456" }, "or no keyed hash"},
		{"a code that is right once more", verify.C5, func(r rows) { r.code("code").State = fop.CodeSent }, `Code \w+ is sent, by call`},
		{"a code used up by another call", verify.C3, func(r rows) { r.code("code").Used = r.call("buy").ID }, "has used it up; of calls"},
		{"a phone in the clear", verify.C10, func(r rows) { r.Linked.Insert[0].Phone = "+918067218010" }, "is not sealed and hashed"},
		{"a phone without its hash", verify.C10, func(r rows) { r.Linked.Insert[0].PhoneHash = "" }, "is not sealed and hashed"},
		{"when codes were sent cannot be read", verify.C10, func(r rows) { r.Linked.Insert[0].Codes = "?" }, "when codes were sent cannot be read"},

		// What Google is told
		{"nobody tells it", verify.C11, func(r rows) { r.dropDue(r.told(fop.ToldWaiting).ID.Raw()) }, "is waiting, and whether it is due: false"},
		{"heard, and told again", verify.C11, func(r rows) { r.isDue(r.told(fop.ToldHeard).ID.Raw(), due.Tell) }, "is heard, and whether it is due: true"},

		{"how a purchase ended is not told", verify.C6, func(r rows) {
			k := r.news("confirmed").ID
			drop(&r.Told.Insert, func(x *fop.Told) bool { return x.ID == k })
		}, `has ended with "SUCCESS", and Google is told ""`},
		{"told otherwise than it ended", verify.C6, func(r rows) {
			r.news("confirmed").Body = r.news("refused").Body
		}, `has ended with "SUCCESS", and Google is told "RISK_DECLINED"`},
		{"told of a purchase that waits", verify.C6, func(r rows) {
			x := *r.news("confirmed")
			x.ID, x.Subject = mint(x.ID), r.call("waits").ID.Raw()
			r.Told.Insert = append(r.Told.Insert, x)
		}, "which is no purchase that has ended"},
		{"told twice", verify.C6, func(r rows) {
			x := *r.news("confirmed")
			x.ID = mint(x.ID)
			r.Told.Insert = append(r.Told.Insert, x)
		}, "is told twice of purchase"},
		{"what Google must hear cannot be read", verify.C13, func(r rows) { r.news("confirmed").Body = "{" }, "cannot be read"},

		// Statements
		{"a statement in no state", verify.C5, func(r rows) { r.statement("differs").State = "lost" }, `Statement \w+ is in state "lost"`},
		{"nobody reads on", verify.C11, func(r rows) { r.statement("differs").State = fop.StatementPulling }, "is pulling, but nothing goes on with it"},
		{"paid without an order", verify.C5, func(r rows) { r.statement("paid").Order = "" }, "is paid without an order"},
		{"an order in words alone", verify.C13, func(r rows) { r.statement("paid").Order = "" }, "was settled by pay, but statement"},
		{"a statement lost", verify.C13, func(r rows) {
			drop(&r.Statements.Insert, func(s *fop.Statement) bool { return s.Name == "paid" })
		}, `Line \w+ is of statement \w+, which is not there`},
		{"a case of no statement", verify.C13, func(r rows) {
			drop(&r.Statements.Insert, func(s *fop.Statement) bool { return s.Name == "paid" })
		}, "is about statement .* which is not there"},
		{"a line lost", verify.C13, func(r rows) {
			k := r.line(fop.LineRefund).ID
			drop(&r.Lines.Insert, func(l *fop.Line) bool { return l.ID == k })
		}, "has read 2 lines, and 1 are there"},
		{"a bucket gave up more", verify.C1, func(r rows) { r.line(fop.LineShare).AmountMicros++ }, "it claims 30000000 micros, and its buckets gave up 30000001"},
		{"a bucket gave up nothing", verify.C1, func(r rows) {
			k := r.line(fop.LineShare).ID
			drop(&r.Lines.Insert, func(l *fop.Line) bool { return l.ID == k })
		}, "it claims 30000000 micros, and its buckets gave up 0"},
		{"a bucket gave up before it was paid", verify.C1, func(r rows) { r.statement("paid").State = fop.StatementAccepted }, "is accepted, and its buckets gave up 30000000 micros"},
		{"a call claimed twice", verify.C3, func(r rows) {
			l := pick(r.Lines.Insert, func(l *fop.Line) bool { return l.Name == "ghost" })
			l.State, l.Call = "claim", r.call("buy").ID
		}, "is claimed twice"},
		{"a call claimed that is not there", verify.C13, func(r rows) {
			pick(r.Lines.Insert, func(l *fop.Line) bool { return l.Name == "buy" }).Call = mint(r.call("buy").ID)
		}, `claims call \w+, which is not there`},
		{"a decline claimed", verify.C1, func(r rows) {
			l := pick(r.Lines.Insert, func(l *fop.Line) bool { return l.Name == "ghost" })
			l.State, l.Call = "claim", r.call("too much").ID
		}, "which has moved no money"},
		{"a call of another statement", verify.C3, func(r rows) { r.call("buy").Statement = r.statement("differs").ID }, "which is statement"},
		{"a call in another currency", verify.C1, func(r rows) { r.statement("paid").Currency = "USD" }, "in USD claims call .* INR"},
		{"a payment that no statement names", verify.C13, func(r rows) { r.statement("paid").Transfer = id.Transfer{} }, "pays a statement, and belongs to none"},
		{"a payment that pays nothing", verify.C13, func(r rows) { r.statement("paid").Transfer = r.call("buy").Transfer }, "which pays none, or another"},
		{"a share that moved nothing", verify.C13, func(r rows) { r.line(fop.LineShare).Transfer = id.Transfer{} }, "pays a statement, and belongs to none"},
		{"money on its way for ever", verify.C1, func(r rows) { r.account(ledger.Transit).Minor++ }, "are on their way between buckets"},
	}
	base := bought(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			all := base.copied(t)
			test.corrupt(all)
			report := run(t, all.store(t), verify.Options{})
			want := regexp.MustCompile(`(?m)^  ` + string(test.check) + `: .*(` + test.want + `)`)
			if report.OK || report.Checks[test.check] == 0 || !want.MatchString(list(report.Violations)) {
				t.Errorf("found %t, want a violation of %s like %q; got %s", !report.OK, test.check, test.want, list(report.Violations))
			}
		})
	}
}

// A redirect's name is reserved before its customer is proved, where the two lie in two
// homes; the customer may not come back.
func TestProofThatCameToNothing(t *testing.T) {
	t.Parallel()
	all := bought(t)
	ghost := id.Proof(mint(all.proof().ID))
	all.Refs.Insert = append(all.Refs.Insert, payment.Ref{RefKey: payment.RefKey{Scope: "proof:main", Text: "ghost"}, Target: ghost.Raw()})
	for _, homes := range []bool{true, false} {
		if report := run(t, all.copied(t).store(t), verify.Options{Homes: homes}); report.OK != homes {
			t.Errorf("in several homes %t: %s", homes, list(report.Violations))
		}
	}
	all.unnamed("proof:main", all.proof().ID.Raw())
	want := regexp.MustCompile(`"proof of link" in proof:main, but there is no such ref`)
	if report := run(t, all.copied(t).store(t), verify.Options{Homes: true}); len(report.Violations) != 1 || !want.MatchString(report.Violations[0]) {
		t.Errorf("a proof without its name: %s", list(report.Violations))
	}
}

// copied are the same rows, to be changed.
func (r rows) copied(t *testing.T) rows {
	t.Helper()
	return allRows(t, r.store(t))
}
