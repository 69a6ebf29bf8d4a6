package model_test

import (
	"bytes"
	"context"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aorta/test/model"
)

const second = 1_000_000

// story is inputs and commits in the order in which they happened.
type story struct {
	settings model.Settings
	parts    []func(*model.Model)
	payments []model.Payment
	accounts []model.Account
	rounds   []model.Round
}

func (s story) tell() []string {
	m := model.New(s.settings)
	for _, p := range s.parts {
		p(m)
	}
	return m.End(s.payments, s.accounts, s.rounds)
}

func clearing(minor int64) model.Account {
	return model.Account{AccountName: model.AccountName{Place: 3, Owner: "psp:x:one", Purpose: "clearing", Currency: "INR"}, Minor: minor}
}

func payable(minor int64) model.Account {
	return model.Account{AccountName: model.AccountName{Place: 3, Owner: "merchant:1", Purpose: "payable", Currency: "INR"}, Minor: minor}
}

func reserved(minor int64) model.Account {
	return model.Account{AccountName: model.AccountName{Place: 3, Owner: "merchant:1", Purpose: "reserved", Currency: "INR"}, Minor: minor}
}

func due(minor int64) model.Account {
	return model.Account{AccountName: model.AccountName{Place: 3, Owner: "house", Purpose: "refund_due", Currency: "INR"}, Minor: minor}
}

func moves(debit, credit model.Account, minor int64) []model.Transfer {
	return []model.Transfer{{Debit: debit.AccountName, Credit: credit.AccountName, Minor: minor}}
}

func payment(status string) model.Payment {
	return model.Payment{
		ID: "pay", Type: "purchase", Name: "order", Status: status, Currency: "INR", Place: 3, Minor: 250, CreatedUS: 1 * second, LimitUS: 1801 * second,
	}
}

func sale(status string) model.Operation {
	return model.Operation{ID: "op", Payment: "pay", Kind: "sale", Status: status, Minor: 250}
}

func asked(status string, atUS int64) model.Attempt {
	return model.Attempt{
		ID: "att", Operation: "op", Payment: "pay", Kind: "sale", Status: status, PSP: "psp:x:one", Currency: "INR", Minor: 250, ChangedUS: atUS,
	}
}

func refunding(status string) (model.Operation, model.Attempt) {
	return model.Operation{ID: "op2", Payment: "pay", Kind: "refund", Status: map[string]string{
			"asking": "processing", "approved": "success", "declined": "decline",
		}[status], Minor: 100},
		model.Attempt{
			ID: "att2", Operation: "op2", Payment: "pay", Kind: "refund", Status: status, PSP: "psp:x:one", Currency: "INR", Minor: 100, ChangedUS: 30 * second,
		}
}

func commit(c model.Commit) func(*model.Model) { return func(m *model.Model) { m.Committed(c) } }

func requested(m *model.Model) { m.SaleAsked(model.Sale{Name: "order", Currency: "INR", Minor: 250}) }

func begun(m *model.Model) {
	m.Committed(model.Commit{
		Payments: []model.Payment{payment("new")}, Operations: []model.Operation{sale("processing")}, Attempts: []model.Attempt{asked("asking", 1*second)},
	})
}

func asks(m *model.Model) { m.Asks("att") }

func hears(kind string, minor int64, atUS int64) func(*model.Model) {
	o := model.Outcome{Attempt: "att", Kind: kind, Minor: minor, AtUS: atUS}
	if kind == "approved" {
		o.Currency = "INR"
	}
	return func(m *model.Model) { m.Heard(o) }
}

func noRecord(atUS int64) func(*model.Model) {
	return func(m *model.Model) {
		m.Heard(model.Outcome{Attempt: "att", Kind: "pending", NoRecord: true, AtUS: atUS})
	}
}

func captured(m *model.Model) {
	p := payment("captured")
	p.Captured = 250
	m.Committed(model.Commit{
		Payments: []model.Payment{p}, Operations: []model.Operation{sale("success")}, Attempts: []model.Attempt{asked("approved", 5*second)},
		Events:    []model.Event{{Payment: "pay", Operation: "op", Attempt: "att", Kind: "payment.captured", From: "new", To: "captured", Code: "0", AtUS: 5 * second}},
		Transfers: moves(clearing(0), payable(0), 250), Accounts: []model.Account{clearing(250), payable(-250)},
	})
}

func declined(code string, atUS int64, as string) func(*model.Model) {
	return commit(model.Commit{
		Payments: []model.Payment{payment("declined")}, Operations: []model.Operation{sale("decline")}, Attempts: []model.Attempt{asked(as, atUS)},
		Events: []model.Event{{Payment: "pay", Operation: "op", Attempt: "att", Kind: "payment.declined", From: "new", To: "declined", Code: code, AtUS: atUS}},
	})
}

// lateMoney is booked, and a case says so.
func lateMoney(m *model.Model) {
	a := asked("approved", 2000*second)
	a.Late = true
	m.Committed(model.Commit{
		Attempts:  []model.Attempt{a},
		Events:    []model.Event{{Payment: "pay", Operation: "op", Attempt: "att", Kind: "payment.late_success", From: "declined", To: "declined", AtUS: 2000 * second}},
		Transfers: moves(clearing(0), due(0), 250), Accounts: []model.Account{clearing(250), due(-250)},
		Cases: []model.Case{{Payment: "pay", Kind: "late_success"}},
	})
}

func refundStarted(m *model.Model) {
	p := payment("captured")
	p.Captured, p.Refunding = 250, 100
	o, a := refunding("asking")
	m.Committed(model.Commit{
		Payments: []model.Payment{p}, Operations: []model.Operation{o}, Attempts: []model.Attempt{a},
		Events:    []model.Event{{Payment: "pay", Operation: "op2", Attempt: "att2", Kind: "refund.processing", From: "captured", To: "captured", AtUS: 30 * second}},
		Transfers: moves(payable(0), reserved(0), 100), Accounts: []model.Account{payable(-150), reserved(-100)},
	})
}

func refundDone(m *model.Model) {
	p := payment("partially_refunded")
	p.Captured, p.Refunded = 250, 100
	o, a := refunding("approved")
	m.Committed(model.Commit{
		Payments: []model.Payment{p}, Operations: []model.Operation{o}, Attempts: []model.Attempt{a},
		Events: []model.Event{{
			Payment: "pay", Operation: "op2", Attempt: "att2", Kind: "refund.succeeded", From: "captured", To: "partially_refunded", AtUS: 40 * second,
		}},
		Transfers: moves(reserved(0), clearing(0), 100), Accounts: []model.Account{clearing(150), reserved(0)},
	})
}

func wantsRefund(minor int64) func(*model.Model) {
	return func(m *model.Model) { m.RefundAsked(model.Refund{Payment: "pay", Minor: minor}) }
}

func refundSaid(kind string) func(*model.Model) {
	return func(m *model.Model) {
		m.Asks("att2")
		m.Heard(model.Outcome{Attempt: "att2", Kind: kind, Currency: "INR", Minor: 100, AtUS: 32 * second})
	}
}

func ends(status string, capturedMinor, refundedMinor int64) []model.Payment {
	p := payment(status)
	p.Captured, p.Refunded = capturedMinor, refundedMinor
	return []model.Payment{p}
}

type parts = []func(*model.Model)

// A true history is believed; one with a wrong step, or without a step that had
// to be, is not. want is "" or in what the model says.
func TestHistories(t *testing.T) {
	t.Parallel()
	hold, moving := model.Settings{Merchant: "1", Late: "hold", LimitUS: 1800 * second}, model.Settings{Merchant: "1", Late: "hold", LimitUS: 1800 * second, MovesMoney: true}
	refundLate, creditLate := hold, hold
	refundLate.Late, creditLate.Late = "refund", "credit"
	sold := []model.Account{clearing(250), payable(-250)}
	owed := []model.Account{clearing(250), due(-250)}
	tests := []struct {
		name     string
		settings model.Settings
		parts    parts
		payments []model.Payment
		accounts []model.Account
		want     string
	}{
		{name: "sale", settings: hold, parts: parts{requested, begun, asks, hears("approved", 250, 3*second), captured}, payments: ends("captured", 250, 0), accounts: sold},
		{name: "sale and refund", settings: hold, parts: parts{
			requested, begun, asks, hears("approved", 250, 3*second), captured, wantsRefund(100), refundStarted, refundSaid("approved"), refundDone,
		}, payments: ends("partially_refunded", 250, 100), accounts: []model.Account{clearing(150), payable(-150), reserved(0)}},
		{name: "declined by the provider", settings: hold, parts: parts{
			requested, begun, asks, hears("declined", 0, 3*second), declined("100", 4*second, "declined"),
		}, payments: ends("declined", 0, 0)},
		{name: "declined by time, and paid late", settings: hold, parts: parts{
			requested, begun, asks, hears("unknown", 0, 3*second), commit(model.Commit{Attempts: []model.Attempt{asked("unknown", 3*second)}}),
			declined("603", 1801*second, "unknown"), hears("approved", 250, 1999*second), lateMoney,
		}, payments: ends("declined", 0, 0), accounts: owed},
		{name: "proved by two look-ups", settings: moving, parts: parts{
			requested, begun, asks, noRecord(10 * second), noRecord(700 * second), declined("314", 700*second, "not_sent"),
		}, payments: ends("declined", 0, 0)},

		{name: "nobody asked", settings: hold, parts: parts{begun, asks, hears("approved", 250, 3*second), captured}, payments: ends("captured", 250, 0), accounts: sold, want: "nobody asked for it"},
		{name: "made twice", settings: hold, parts: parts{requested, begun, func(m *model.Model) {
			p := payment("new")
			p.ID, p.Name = "pay2", "ORDER"
			m.SaleAsked(model.Sale{Name: "ORDER", Currency: "INR", Minor: 250})
			m.Committed(model.Commit{Payments: []model.Payment{p}})
		}}, payments: ends("new", 0, 0), want: "is made twice"},
		{name: "answered and not written", settings: hold, parts: parts{requested, func(m *model.Model) { m.SaleAnswered("order", "pay") }}, want: "was answered as"},
		{name: "asked before it was durable", settings: hold, parts: parts{requested, asks, begun}, payments: ends("new", 0, 0), want: "never committed"},
		{name: "asked twice", settings: hold, parts: parts{requested, begun, asks, asks}, payments: ends("new", 0, 0), want: "twice under one reference"},
		{name: "captured unheard", settings: hold, parts: parts{requested, begun, asks, captured}, payments: ends("captured", 250, 0), accounts: sold, want: "without an approved outcome"},
		{name: "captured on pending", settings: hold, parts: parts{requested, begun, asks, hears("pending", 0, 3*second), captured}, payments: ends("captured", 250, 0), accounts: sold, want: "without an approved outcome"},
		{name: "captured on another amount", settings: hold, parts: parts{requested, begun, asks, hears("approved", 251, 3*second), captured}, payments: ends("captured", 250, 0), accounts: sold, want: "without an approved outcome"},
		{name: "captured before it was heard", settings: hold, parts: parts{requested, begun, asks, captured, hears("approved", 250, 6*second)}, payments: ends("captured", 250, 0), accounts: sold, want: "without an approved outcome"},
		{name: "booked twice", settings: hold, parts: parts{requested, begun, asks, hears("approved", 250, 3*second), captured, func(m *model.Model) {
			m.Committed(model.Commit{
				Events:    []model.Event{{Payment: "pay", Operation: "op", Attempt: "att", Kind: "payment.late_success", From: "captured", To: "captured"}},
				Transfers: moves(clearing(0), due(0), 250), Accounts: []model.Account{clearing(500), due(-250)},
			})
		}}, payments: ends("captured", 250, 0), accounts: []model.Account{clearing(500), payable(-250), due(-250)}, want: "not being booked already"},
		{name: "money elsewhere", settings: hold, parts: parts{requested, begun, asks, hears("approved", 250, 3*second), func(m *model.Model) {
			p := payment("captured")
			p.Captured = 250
			m.Committed(model.Commit{
				Payments: []model.Payment{p}, Operations: []model.Operation{sale("success")}, Attempts: []model.Attempt{asked("approved", 5*second)},
				Events:    []model.Event{{Payment: "pay", Operation: "op", Attempt: "att", Kind: "payment.captured", From: "new", To: "captured"}},
				Transfers: moves(clearing(0), due(0), 250), Accounts: []model.Account{clearing(250), due(-250)},
			})
		}}, payments: ends("captured", 250, 0), accounts: owed, want: "money moved"},
		{name: "unknown taken for no", settings: hold, parts: parts{requested, begun, asks, hears("unknown", 0, 3*second), declined("100", 4*second, "declined")}, payments: ends("declined", 0, 0), want: "without a declined outcome"},
		{name: "declined too early", settings: hold, parts: parts{requested, begun, asks, hears("unknown", 0, 3*second), declined("603", 1800*second, "unknown")}, payments: ends("declined", 0, 0), want: "the limit time to be over"},
		{name: "one look-up is no proof", settings: moving, parts: parts{requested, begun, asks, noRecord(700 * second), declined("314", 700*second, "not_sent")}, payments: ends("declined", 0, 0), want: "proof that the provider did not take it"},
		{name: "two look-ups too near", settings: moving, parts: parts{requested, begun, asks, noRecord(10 * second), noRecord(20 * second), declined("314", 20*second, "not_sent")}, payments: ends("declined", 0, 0), want: "proof that the provider did not take it"},
		{name: "nobody has paid yet is no proof", settings: hold, parts: parts{requested, begun, asks, noRecord(10 * second), noRecord(700 * second), declined("314", 700*second, "not_sent")}, payments: ends("declined", 0, 0), want: "proof that the provider did not take it"},
		{name: "refund nobody asked for", settings: hold, parts: parts{requested, begun, asks, hears("approved", 250, 3*second), captured, refundStarted}, payments: ends("captured", 250, 0), accounts: sold, want: "a merchant's request"},
		{name: "refund of more than was paid", settings: hold, parts: parts{requested, begun, asks, hears("approved", 250, 3*second), captured, wantsRefund(300), func(m *model.Model) {
			p := payment("captured")
			p.Captured, p.Refunding = 250, 300
			o, a := refunding("asking")
			o.Minor, a.Minor = 300, 300
			m.Committed(model.Commit{
				Payments: []model.Payment{p}, Operations: []model.Operation{o}, Attempts: []model.Attempt{a},
				Events: []model.Event{{Payment: "pay", Operation: "op2", Attempt: "att2", Kind: "refund.processing", From: "captured", To: "captured"}},
			})
		}}, payments: ends("captured", 250, 0), accounts: sold, want: "no more than was captured"},
		{name: "refund done unheard", settings: hold, parts: parts{
			requested, begun, asks, hears("approved", 250, 3*second), captured, wantsRefund(100), refundStarted, refundSaid("unknown"), refundDone,
		}, payments: ends("partially_refunded", 250, 100), accounts: []model.Account{clearing(150), payable(-150), reserved(0)}, want: "without an approved outcome"},
		{name: "refund sent twice", settings: hold, parts: parts{
			requested, begun, asks, hears("approved", 250, 3*second), captured, wantsRefund(100), refundStarted, refundSaid("unknown"), refundSaid("approved"), refundDone,
		}, payments: ends("partially_refunded", 250, 100), accounts: []model.Account{clearing(150), payable(-150), reserved(0)}, want: "is sent again without proof"},

		{name: "paid and never booked", settings: hold, parts: parts{requested, begun, asks, hears("approved", 250, 3*second)}, payments: ends("new", 0, 0), want: "was not booked"},
		{name: "never ended", settings: hold, parts: parts{requested, begun, asks}, payments: ends("new", 0, 0), want: "is new in the end"},
		{name: "another amount and no case", settings: hold, parts: parts{
			requested, begun, asks, hears("approved", 251, 3*second), declined("603", 1801*second, "asking"),
		}, payments: ends("declined", 0, 0), want: "no case says so (L6.4)"},
		{name: "late and not sent back", settings: refundLate, parts: parts{
			requested, begun, asks, declined("603", 1801*second, "asking"), hears("approved", 250, 1999*second), lateMoney,
		}, payments: ends("declined", 0, 0), accounts: owed, want: "is not sent back"},
		{name: "late and not credited", settings: creditLate, parts: parts{
			requested, begun, asks, declined("603", 1801*second, "asking"), hears("approved", 250, 1999*second), lateMoney,
		}, payments: ends("declined", 0, 0), accounts: owed, want: "is not credited"},
		{name: "another balance in the end", settings: hold, parts: parts{requested, begun, asks, hears("approved", 250, 3*second), captured}, payments: ends("captured", 250, 0), accounts: []model.Account{clearing(250), payable(-249)}, want: "ends at -249"},
		{name: "an account that is not stored", settings: hold, parts: parts{requested, begun, asks, hears("approved", 250, 3*second), captured}, payments: ends("captured", 250, 0), accounts: []model.Account{clearing(250)}, want: "is not stored"},
		{name: "a payment that is not stored", settings: hold, parts: parts{requested, begun, asks, hears("approved", 250, 3*second), captured}, accounts: sold, want: "0 payments are stored"},
		{name: "a status that changes unseen", settings: hold, parts: parts{requested, begun, asks, hears("approved", 250, 3*second), captured}, payments: ends("refunded", 250, 250), accounts: sold, want: "must be"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := story{test.settings, test.parts, test.payments, test.accounts, nil}.tell()
			if test.want == "" && len(got) > 0 {
				t.Errorf("a true history is wrong for the model:\n%s", strings.Join(got, "\n"))
			}
			if test.want != "" && !slices.ContainsFunc(got, func(g string) bool { return strings.Contains(g, test.want) }) {
				t.Errorf("the model says %q, want %q", got, test.want)
			}
		})
	}
}

// The model shares no code with what it judges.
func TestModelImportsNothingOfThePlatform(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range file.Imports {
			if strings.Contains(i.Path.Value, "aorta") || strings.Contains(i.Path.Value, ".") {
				t.Errorf("%s imports %s", name, i.Path.Value)
			}
		}
	}
}

// Builds with a mistake made on purpose are seen by the model alone: the test
// that they must fail asks none of the simulator's other checks.
func TestModelSeesMistakes(t *testing.T) {
	t.Parallel()
	for tag, sign := range map[string]string{
		"mutation_dedupe":     "is made twice",
		"mutation_unknown":    "without a declined outcome",
		"mutation_early":      "without an approved outcome",
		"mutation_expire":     "the limit time to be over",
		"mutation_late":       "is not sent back",
		"mutation_nameless":   "is made twice: as",
		"mutation_release":    "no, or proof that it did not take it",
		"mutation_recapture":  "is made twice: as gpc_",
		"mutation_overrefund": "with what had been given back",
	} {
		t.Run(tag, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-tags", tag, "-run", "TestModelAlone$", "./test/sim")
			cmd.Dir = "../.."
			out, err := cmd.CombinedOutput()
			if err == nil || !bytes.Contains(out, []byte("model: ")) || !bytes.Contains(out, []byte(sign)) {
				t.Errorf("the model on a build with %s: %v, want it to fail and say %q:\n%s", tag, err, sign, out)
			}
		})
	}
}
