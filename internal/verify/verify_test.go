package verify_test

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/limit"
	"aorta/internal/payment"
	"aorta/internal/verify"
)

func TestEveryFlowLeavesTheBookHealthy(t *testing.T) {
	t.Parallel()
	h := busy(t)
	report := run(t, h.memory, verify.Options{})
	if !report.OK {
		t.Errorf("violations after real flows: %s", list(report.Violations))
	}
	all := allRows(t, h.memory)
	if report.Payments != len(all.Payments.Insert) || report.Transfers != len(all.Transfers) || report.Accounts != len(all.Accounts.Insert) {
		t.Errorf("report counts %d payments, %d transfers, %d accounts; want %d, %d, %d", report.Payments, report.Transfers, report.Accounts,
			len(all.Payments.Insert), len(all.Transfers), len(all.Accounts.Insert))
	}
	states := map[payment.Status]bool{}
	for _, p := range all.Payments.Insert {
		states[p.Status] = true
	}
	for _, want := range []payment.Status{
		payment.StatusNew, payment.StatusPending, payment.StatusAwaitingCustomer, payment.StatusCaptured, payment.StatusPartiallyRefunded,
		payment.StatusRefunded, payment.StatusDeclined, payment.StatusSubmitting, payment.StatusUnknown, payment.StatusPaid, payment.StatusFailed,
	} {
		if !states[want] {
			t.Errorf("no payment is %s: the test shows less than it says", want)
		}
	}
}

func TestCopyOfAHealthyBookIsHealthy(t *testing.T) {
	t.Parallel()
	report := run(t, allRows(t, busy(t).memory).store(t), verify.Options{})
	if !report.OK {
		t.Errorf("violations in a copy: %s", list(report.Violations))
	}
}

func TestReportOfAnEmptyBook(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(run(t, book.NewMemory(), verify.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"ok":true,"accounts":0,"transfers":0,"payments":0,"violations":[],"checks":{"C1":0,"C11":0,"C13":0,"C3":0,"C5":0,"C6":0,"C9":0}}`
	if string(text) != want {
		t.Errorf("report of nothing is %s, want %s", text, want)
	}
}

// Each corruption must be found, and be called what it is.
func TestCorruptions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		check   verify.Check // that must be violated
		corrupt func(r rows)
		want    string // how; where there are two ways, it depends on which row comes last
		liveUS  int64
	}{
		// C1
		{name: "balance changed", check: verify.C1, corrupt: func(r rows) { r.account(ledger.Clearing).Minor++ }, want: "postings sum to"},
		{name: "bucket does not sum to zero", check: verify.C1, corrupt: func(r rows) { r.account(ledger.Clearing).Minor++ }, want: "not to zero"},
		{name: "account below zero", check: verify.C1, corrupt: func(r rows) { r.account(ledger.RefundDue).Minor = 5 }, want: "may not be below zero"},
		{name: "account of no purpose", check: verify.C1, corrupt: func(r rows) { r.account(ledger.Clearing).Purpose = "pocket" }, want: "no purpose of an account"},
		{name: "account of another owner", check: verify.C1, corrupt: func(r rows) { r.account(ledger.Payable).Owner = "merchant:99" }, want: "is not the payable account"},
		{name: "account lost", check: verify.C1, corrupt: func(r rows) {
			k := r.account(ledger.Clearing).ID
			drop(&r.Accounts.Insert, func(a *ledger.Account) bool { return a.ID == k })
		}, want: "which does not exist"},
		{name: "transfer does not balance", check: verify.C1, corrupt: func(r rows) {
			x := r.transfer("wallet", ledger.KindDeposit)
			x.Postings = []ledger.Posting{x.Postings[0], {Account: x.Postings[1].Account, Currency: "INR", Minor: -1}}
		}, want: "does not balance"},
		{name: "transfer of nothing", check: verify.C1, corrupt: func(r rows) { r.transfer("wallet", ledger.KindDeposit).Postings = nil }, want: "does not balance"},
		{name: "posting in another bucket", check: verify.C1, corrupt: func(r rows) {
			x := r.transfer("wallet", ledger.KindDeposit)
			x.Postings = append([]ledger.Posting{}, x.Postings...)
			x.Postings[0].Account[6]++
		}, want: "posts to account"},
		{name: "posting in another currency", check: verify.C1, corrupt: func(r rows) {
			x := r.transfer("wallet", ledger.KindDeposit)
			x.Postings = append([]ledger.Posting{}, x.Postings...)
			x.Postings[0].Currency, x.Postings[1].Currency = "USD", "USD"
		}, want: "posts USD to account"},

		// C3
		{name: "captured without transfer", check: verify.C3, corrupt: func(r rows) {
			k := r.transfer("noticed", ledger.KindDeposit).ID
			drop(&r.Transfers, func(x *ledger.Transfer) bool { return x.ID == k })
		}, want: "is captured, but was booked 0 times"},
		{name: "captured twice", check: verify.C3, corrupt: func(r rows) {
			x := *r.transfer("noticed", ledger.KindDeposit)
			x.ID[2]-- // some hours earlier
			r.Transfers = append(r.Transfers, x)
		}, want: `has 2 transfers of kind deposit, want 1|\(deposit\) is one too many`},
		{name: "captured twice, the second much later", check: verify.C3, corrupt: func(r rows) {
			x := *r.transfer("Paid", ledger.KindDeposit)
			x.ID[2]++
			r.Transfers = append(r.Transfers, x)
		}, want: `\(deposit\) is one too many`},
		{name: "captured in part", check: verify.C3, corrupt: func(r rows) { r.payment("noticed").CapturedMinor = 100 }, want: "says that 100 were captured"},
		{name: "declined and booked", check: verify.C3, corrupt: func(r rows) {
			p := r.payment("declined")
			x := *r.transfer("noticed", ledger.KindDeposit)
			x.ID, x.Payment, x.Operation = id.Transfer(mint(p.LastEvent.Raw())), p.ID, p.LastOperation
			r.Transfers = append(r.Transfers, x)
		}, want: `Transfer txn_\w+ \(deposit\) is one too many|is declined, but its money was booked`},
		{name: "refund never reserved", check: verify.C3, corrupt: func(r rows) {
			k := r.transfer("Paid", ledger.KindRefundReserve).ID
			drop(&r.Transfers, func(x *ledger.Transfer) bool { return x.ID == k })
		}, want: "transfers of kind refund_reserve, want 1"},
		{name: "refund settled and released", check: verify.C3, corrupt: func(r rows) {
			x := *r.transfer("Paid", ledger.KindRefundRelease)
			x.ID, x.Operation = mint(x.ID), r.transfer("Paid", ledger.KindRefundSettle).Operation
			r.Transfers = append(r.Transfers, x)
		}, want: `transfers of kind refund_release, want 0|\(refund_release\) is one too many`},
		{name: "refund lost after its reserve", check: verify.C3, corrupt: func(r rows) {
			k := r.transfer("Paid", ledger.KindRefundSettle).ID
			drop(&r.Transfers, func(x *ledger.Transfer) bool { return x.ID == k })
		}, want: "transfers of kind refund, want 1"},
		{name: "refunded sum changed", check: verify.C3, corrupt: func(r rows) { r.payment("Paid").RefundedMinor += 100 }, want: "says that 1100 minor units were refunded"},
		{name: "refunding sum changed", check: verify.C3, corrupt: func(r rows) { r.payment("Paid").RefundingMinor = 0 }, want: "0 are being refunded"},
		{name: "refunds beyond what was captured", check: verify.C3, corrupt: func(r rows) {
			for n := range r.Transfers {
				if x := &r.Transfers[n]; x.Payment == r.payment("Paid").ID && x.Kind == ledger.KindRefundReserve {
					x.Postings = []ledger.Posting{x.Postings[0], x.Postings[1]}
					x.Postings[0].Minor, x.Postings[1].Minor = 2000, -2000
				}
			}
		}, want: "more than the 2500 captured"},
		{name: "money to another account", check: verify.C3, corrupt: func(r rows) {
			x, other := r.transfer("noticed", ledger.KindDeposit), ledger.AccountID(r.payment("noticed").ID.Bucket(), "merchant:99", ledger.Payable, "INR")
			x.Postings = []ledger.Posting{x.Postings[0], {Account: other, Currency: "INR", Minor: -2500}}
		}, want: "between the accounts of attempt"},
		{name: "transfer of another operation", check: verify.C3, corrupt: func(r rows) {
			r.transfer("noticed", ledger.KindDeposit).Operation = r.operation("declined", payment.KindSale).ID
		}, want: "which is not the payment's"},
		{name: "transfer of a strange kind", check: verify.C3, corrupt: func(r rows) { r.transfer("noticed", ledger.KindDeposit).Kind = "gift" }, want: "does not make"},
		{name: "transfer that no attempt made", check: verify.C3, corrupt: func(r rows) { r.attempt("noticed").Status = payment.AttemptDeclined }, want: `has no attempt that made it|\(deposit\) is one too many`},
		{name: "transfer without payment", check: verify.C13, corrupt: func(r rows) { r.transfer("noticed", ledger.KindDeposit).Payment = id.Payment{} }, want: "belongs to no payment"},
		{name: "late money booked twice", check: verify.C3, corrupt: func(r rows) {
			x := *r.transfer("late", ledger.KindLateSuccess)
			x.ID[2]--
			r.Transfers = append(r.Transfers, x)
		}, want: `has 2 transfers of kind late_success, want 1|\(late_success\) is one too many`},
		{name: "late money never credited", check: verify.C3, corrupt: func(r rows) {
			drop(&r.Transfers, func(x *ledger.Transfer) bool { return x.Kind == ledger.KindLateCredit })
		}, want: "transfers of kind late_credit, want 1"},

		// Windows
		{name: "deposit not counted", check: verify.C3, corrupt: func(r rows) {
			r.entries(func(e *limit.Entries) {
				e.List = slices.DeleteFunc(e.List, func(x limit.Entry) bool { return !x.Reserved() })
			})
		}, want: "does not count in the window"},
		{name: "deposit counted with another amount", check: verify.C3, corrupt: func(r rows) {
			r.entries(func(e *limit.Entries) {
				for n := range e.List {
					if !e.List[n].Reserved() {
						e.List[n].Minor--
					}
				}
			})
		}, want: "that no deposit has brought"},
		{name: "deposit counted at another time", check: verify.C3, corrupt: func(r rows) {
			r.entries(func(e *limit.Entries) {
				for n := range e.List {
					e.List[n].AtUS -= 24 * 3600 * 1_000_000
				}
			})
		}, want: "does not count in the window|that no deposit has brought"},
		{name: "deposit counted that never was", check: verify.C3, corrupt: func(r rows) {
			r.entries(func(e *limit.Entries) { e.List = append(e.List, limit.Entry{AtUS: e.SinceUS + 1, Minor: 5}) })
		}, want: "counts 5 minor units"},
		{name: "open payment not reserved", check: verify.C3, corrupt: func(r rows) {
			r.entries(func(e *limit.Entries) { e.Free(r.payment("may come").ID) })
		}, want: "is open and of 2500 minor units, of which its customer's window has 0 reserved"},
		{name: "ended payment reserved", check: verify.C3, corrupt: func(r rows) {
			r.entries(func(e *limit.Entries) { _ = e.Reserve(r.payment("refused").ID, 2500, e.SinceUS+1) })
		}, want: "which is not open"},
		{name: "money that came too late counted", check: verify.C3, corrupt: func(r rows) {
			r.entries(func(e *limit.Entries) {
				e.List = append(e.List, limit.Entry{AtUS: r.payment("too late").ChangedUS, Minor: 2500})
			})
		}, want: "that no deposit has brought"},
		{name: "all that was ever paid in changed", check: verify.C3, corrupt: func(r rows) { r.window(limit.Deposits).EverMinor++ }, want: "has paid in 2501 minor units of INR by their window"},
		{name: "paid in since the last payout changed", check: verify.C3, corrupt: func(r rows) { r.window(limit.Deposits).SinceMinor-- }, want: "was never paid out, and has paid in 2499"},
		{name: "window cannot be read", check: verify.C13, corrupt: func(r rows) { r.window(limit.Deposits).Entries = "?" }, want: "cannot be read"},
		{name: "window of another currency", check: verify.C13, corrupt: func(r rows) { r.window(limit.Deposits).Currency = "EUR" }, want: "is not the one of its names"},
		{name: "window that the limits do not count", check: verify.C13, corrupt: func(r rows) {
			k := r.window(limit.Deposits).Customer
			c := pick(r.Customers.Insert, func(c *customer.Customer) bool { return c.ID == k })
			limits, _ := customer.DecodeLimits(c.Limits)
			limits.Currencies = nil
			c.Limits = limits.Encode()
		}, want: "which their limits do not count"},
		{name: "window that does not know of a lowered limit", check: verify.C5, corrupt: func(r rows) { r.window(limit.Deposits).LowerUS = -1 }, want: "says that a limit was last lowered at -1; their row says"},
		{name: "limits cannot be read", check: verify.C13, corrupt: func(r rows) {
			k := r.window(limit.Deposits).Customer
			pick(r.Customers.Insert, func(c *customer.Customer) bool { return c.ID == k }).Limits = "INR x"
		}, want: "The limits of customer"},
		{name: "stake not counted", check: verify.C3, corrupt: func(r rows) { r.slots(func(s *limit.Slots) { s.Minutes[0].Staked -= 300 }) }, want: "by 300 staked|by -300 staked"},
		{name: "win counted twice", check: verify.C3, corrupt: func(r rows) { r.slots(func(s *limit.Slots) { s.Win(100, s.SinceUS+1) }) }, want: "0 staked, 100 won"},
		{name: "rollback not counted", check: verify.C3, corrupt: func(r rows) {
			r.slots(func(s *limit.Slots) {
				for n := range s.Minutes {
					s.Minutes[n].Back, s.Minutes[n].Taken = 0, 0
				}
			})
		}, want: "-200 given back, -50 taken back"},
		{name: "staked since the last payout changed", check: verify.C3, corrupt: func(r rows) { r.window(limit.Play).StakedMinor++ }, want: "has staked 301 minor units"},
		{name: "note lost", check: verify.C13, corrupt: func(r rows) {
			k := r.Notes[0].ID
			drop(&r.Notes, func(n *customer.Note) bool { return n.ID == k })
		}, want: "has not all of their notes"},
		{name: "history forgotten", check: verify.C13, corrupt: func(r rows) {
			k := r.Notes[0].Customer
			pick(r.Customers.Insert, func(c *customer.Customer) bool { return c.ID == k }).LastNote = id.Note{}
		}, want: "has not all of their notes"},
		{name: "refusal without attempt and with another code", check: verify.C13, corrupt: func(r rows) {
			r.operation("refused", payment.KindSale).Code = payment.CodeExternalDecline
		}, want: "has no attempt"},

		// C5
		{name: "status without event", check: verify.C5, corrupt: func(r rows) { r.payment("pending").Status = payment.StatusDeclined }, want: "but its events end at pending"},
		{name: "status beyond its refunds", check: verify.C5, corrupt: func(r rows) { r.payment("Paid").Status = payment.StatusRefunded }, want: "of 2500 minor units refunded"},
		{name: "forbidden move", check: verify.C5, corrupt: func(r rows) {
			p := r.payment("declined")
			p.Status = payment.StatusRefunded
			r.event("declined", event.PaymentDeclined).To = payment.StatusRefunded
		}, want: "which is forbidden"},
		{name: "history out of order", check: verify.C5, corrupt: func(r rows) { r.event("noticed", event.PaymentCaptured).From = payment.StatusPending }, want: "but it was awaiting_customer"},
		{name: "event of a strange kind", check: verify.C5, corrupt: func(r rows) { r.event("noticed", event.PaymentCaptured).Kind = "payment.lost" }, want: `is a "payment.lost"`},
		{name: "event says another thing than its kind", check: verify.C5, corrupt: func(r rows) { r.event("pending", event.PaymentPending).To = payment.StatusCaptured }, want: "and goes from new to captured"},
		{name: "event of another operation", check: verify.C13, corrupt: func(r rows) {
			r.event("noticed", event.PaymentCaptured).Operation = r.operation("declined", payment.KindSale).ID
		}, want: "which is not among those of payment"},
		{name: "event chain broken", check: verify.C13, corrupt: func(r rows) {
			k := r.event("noticed", event.PaymentAwaiting).ID
			drop(&r.Events, func(e *event.Event) bool { return e.ID == k })
		}, want: `Events of payment \w+ break at`},
		{name: "event outside the chain", check: verify.C13, corrupt: func(r rows) {
			e := *r.event("pending", event.PaymentPending)
			e.ID = mint(e.ID)
			r.Events = append(r.Events, e)
		}, want: `Event evt_\w+ (is not in the chain|is one too many)`},
		{name: "event chain bites its tail", check: verify.C13, corrupt: func(r rows) {
			r.event("noticed", event.PaymentAwaiting).Prev = r.event("noticed", event.PaymentCaptured).ID
		}, want: `Events of payment \w+ break at`},
		{name: "sale does not go with its payment", check: verify.C5, corrupt: func(r rows) { r.operation("noticed", payment.KindSale).Status = payment.OperationDecline }, want: "does not go with payment"},
		{name: "sale of another amount", check: verify.C3, corrupt: func(r rows) { r.operation("pending", payment.KindSale).Amount.Minor++ }, want: `Sale op_\w+ is of 2501 minor units`},
		{name: "operation in another currency", check: verify.C3, corrupt: func(r rows) { r.operation("pending", payment.KindSale).Amount.Currency = "USD" }, want: "2500 USD"},
		{name: "number too large for Gate", check: verify.C5, corrupt: func(r rows) { r.operation("pending", payment.KindSale).Number = 1 << 53 }, want: `not below 2\^53`},
		{name: "refund ended, its attempt not", check: verify.C5, corrupt: func(r rows) {
			o := pick(r.Operations.Insert, func(o *payment.Operation) bool { return o.MerchantRefundID == "r1" })
			pick(r.Attempts.Insert, func(a *payment.Attempt) bool { return a.Operation == o.ID }).Status = payment.AttemptAccepted
		}, want: "but its attempt"},
		{name: "attempt of another amount", check: verify.C3, corrupt: func(r rows) { r.attempt("pending").Amount.Minor = 1 }, want: `Attempt att_\w+ is a sale of 1 minor units`},

		{name: "declined payment revived by its sale", check: verify.C5, corrupt: func(r rows) {
			e := pick(r.Events, func(e *event.Event) bool { return e.From == payment.StatusDeclined && e.To == payment.StatusCaptured })
			p := pick(r.Payments.Insert, func(p *payment.Payment) bool { return p.ID == e.Payment })
			o := pick(r.Operations.Insert, func(o *payment.Operation) bool { return o.Payment == p.ID && o.Kind == payment.KindSale })
			e.Operation = o.ID
		}, want: "from declined to captured\\) is of operation"},
		{name: "refund's event of a sale", check: verify.C5, corrupt: func(r rows) {
			r.event("Paid", event.RefundSucceeded).Operation = r.operation("Paid", payment.KindSale).ID
		}, want: "which is a sale"},

		// C6
		{name: "never told", check: verify.C6, corrupt: func(r rows) {
			p := r.payment("noticed")
			k := p.LastDelivery
			p.LastDelivery = r.delivery("noticed").Prev
			drop(&r.Deliveries.Insert, func(d *event.Delivery) bool { return d.ID == k })
		}, want: "has 0 deliveries, want 1"},
		{name: "told twice", check: verify.C6, corrupt: func(r rows) {
			p := r.payment("noticed")
			d := *r.delivery("noticed")
			d.Prev, d.ID = d.ID, mint(d.ID)
			p.LastDelivery = d.ID
			r.Deliveries.Insert = append(r.Deliveries.Insert, d)
		}, want: "has 2 deliveries, want 1"},
		{name: "told nobody", check: verify.C6, corrupt: func(r rows) { r.payment("noticed").CallbackURL = "" }, want: "deliveries, want 0"},
		{name: "told what is muted", check: verify.C6, corrupt: func(r rows) { r.payment("noticed").CallbackMute = 1 }, want: "deliveries, want 0"},
		{name: "success told elsewhere", check: verify.C6, corrupt: func(r rows) { r.payment("noticed").SuccessURL = "https://shop.example/paid" }, want: "goes elsewhere"},
		{name: "told somebody else", check: verify.C6, corrupt: func(r rows) { r.delivery("noticed").URL = "https://elsewhere.example" }, want: "goes elsewhere"},
		{name: "told of another's event", check: verify.C13, corrupt: func(r rows) {
			r.delivery("noticed").Event = r.event("declined", event.PaymentDeclined).ID
		}, want: "tells of event"},
		{name: "delivery chain broken", check: verify.C13, corrupt: func(r rows) {
			k := r.delivery("noticed").Prev
			drop(&r.Deliveries.Insert, func(d *event.Delivery) bool { return d.ID == k })
		}, want: `Deliveries of payment \w+ break at`},
		{name: "delivery outside the chain", check: verify.C13, corrupt: func(r rows) { r.payment("noticed").LastDelivery = r.delivery("noticed").Prev }, want: `Delivery cb_\w+ (is not in the chain|is one too many)`},
		{name: "delivered without a body", check: verify.C6, corrupt: func(r rows) { r.delivery("noticed").Body = "" }, want: "without having been sent"},
		{name: "delivery of no state", check: verify.C5, corrupt: func(r rows) { r.delivery("noticed").State = "lost" }, want: "which does not exist"},

		// C11
		{name: "work long overdue", check: verify.C11, corrupt: func(r rows) { r.Due.Insert[0].DueUS = 1 }, want: "is overdue by", liveUS: 100_000_000},
		{name: "payment open beyond its limit time", check: verify.C11, corrupt: func(r rows) { r.payment("pending").LimitUS = 1 }, want: `Payment pay_\w+ is pending \d+ s after its limit time`, liveUS: 400_000_000},

		// Wallets
		{name: "stake booked twice", check: verify.C3, corrupt: func(r rows) {
			x := *r.move("s1")
			x.ID, x.Name = mint(x.ID), "s1 again"
			r.Transfers = append(r.Transfers, x)
		}, want: "differs from its transfers by 300 in what is staked"},
		{name: "stake lost", check: verify.C3, corrupt: func(r rows) {
			drop(&r.Transfers, func(x *ledger.Transfer) bool { return x.Name == "s1" })
		}, want: "differs from its transfers by -300 in what is staked"},
		{name: "round that has won more", check: verify.C3, corrupt: func(r rows) { r.round("played").Won++ }, want: "differs from its transfers by -1 in what is won"},
		{name: "two rounds that differ the other way round", check: verify.C3, corrupt: func(r rows) {
			r.round("played").Staked++
			r.round("undone").Staked--
		}, want: "differs from its transfers by -1 in what is staked"},
		{name: "round with another stake", check: verify.C3, corrupt: func(r rows) { r.round("played").Stakes++ }, want: "by -1 in what is stakes"},
		{name: "rollback that undid less", check: verify.C3, corrupt: func(r rows) {
			x := r.move("b1")
			x.Postings = append([]ledger.Posting{}, x.Postings[2:]...)
		}, want: "differs from its transfers by -200 in what is undone staked"},
		{name: "rollback without effect", check: verify.C5, corrupt: func(r rows) { r.round("undone").Rollback = id.Transfer{} }, want: "was undone by transfer"},
		{name: "rollback unknown to its round", check: verify.C5, corrupt: func(r rows) { r.round("undone").RolledBack = "" }, want: "was undone by transfer"},
		{name: "round of nothing", check: verify.C5, corrupt: func(r rows) { r.round("never seen").RolledBack = "" }, want: "has 0 stakes and 0 wins"},
		{name: "round in another currency", check: verify.C3, corrupt: func(r rows) { r.round("played").Currency = "EUR" }, want: "differs from its transfers by"},
		{name: "round of another project", check: verify.C13, corrupt: func(r rows) { r.round("played").Project++ }, want: "is not the one of its names"},
		{name: "round lost", check: verify.C13, corrupt: func(r rows) {
			drop(&r.Rounds.Insert, func(x *ledger.Round) bool { return x.Name == "played" })
		}, want: "Transfers name round rnd_"},
		{name: "round of nobody", check: verify.C13, corrupt: func(r rows) {
			k := r.round("played").Customer
			drop(&r.Customers.Insert, func(x *customer.Customer) bool { return x.ID == k })
		}, want: "is of customer cus_.* who does not exist"},
		{name: "win to the merchant", check: verify.C3, corrupt: func(r rows) {
			x, debit := r.move("w1"), r.move("paid")
			x.Postings = append([]ledger.Posting{}, x.Postings...)
			x.Postings[0].Account = debit.Postings[1].Account
		}, want: "does not move money between the accounts of customer"},
		{name: "move without name", check: verify.C13, corrupt: func(r rows) { r.move("paid").Name = "" }, want: "lacks its name"},
		{name: "debit in a round", check: verify.C13, corrupt: func(r rows) { r.move("paid").Round = r.round("played").ID }, want: "has a round that it is not part of"},
		{name: "move whose name is another's", check: verify.C13, corrupt: func(r rows) {
			x := pick(r.Refs.Insert, func(x *payment.Ref) bool { return x.Scope == "debit:4" && x.Text == "paid" })
			x.Target = mint(x.Target)
		}, want: `is called "paid" in debit:4, but that ref names`},
		{name: "move whose name is lost", check: verify.C13, corrupt: func(r rows) {
			drop(&r.Refs.Insert, func(x *payment.Ref) bool { return x.Scope == "stake:4" && x.Text == "s1" })
		}, want: `is called "s1" in stake:4, but there is no such ref`},
		{name: "tombstone whose name is lost", check: verify.C13, corrupt: func(r rows) {
			drop(&r.Refs.Insert, func(x *payment.Ref) bool { return x.Scope == "rollback:4" && x.Text == "b2" })
		}, want: `Rollback of round rnd_\w+ is called "b2"`},
		{name: "name of no move", check: verify.C13, corrupt: func(r rows) {
			r.Refs.Insert = append(r.Refs.Insert, payment.Ref{RefKey: payment.RefKey{Scope: "win:4", Text: "nothing"}})
		}, want: `The ref "nothing" in win:4 names`},
		{name: "move said to be made", check: verify.C13, corrupt: func(r rows) {
			k := mint(r.move("s1").ID)
			r.Refs.Insert = append(r.Refs.Insert, payment.Ref{RefKey: payment.RefKey{Bucket: k.Bucket(), Scope: "moved", Text: k.String()}, Target: k.Raw()})
		}, want: "says that transfer txn_.* was made, which does not exist"},
		{name: "statement skips a transfer", check: verify.C13, corrupt: func(r rows) { r.move("w1").Prev = r.move("s1").Prev }, want: "has not all transfers of its customer"},
		{name: "statement begins too late", check: verify.C13, corrupt: func(r rows) {
			x := r.move("paid")
			pick(r.Accounts.Insert, func(a *ledger.Account) bool { return a.Last == x.ID }).Last = x.Prev
		}, want: "has not all transfers of its customer"},
		{name: "statement begins nowhere", check: verify.C13, corrupt: func(r rows) {
			pick(r.Accounts.Insert, func(a *ledger.Account) bool { return a.Last == r.move("paid").ID }).Last = id.Transfer{}
		}, want: "has not all transfers of its customer"},
		{name: "statement at a merchant's account", check: verify.C13, corrupt: func(r rows) { r.account(ledger.Payable).Last = r.move("paid").ID }, want: "is no customer's available account"},
		{name: "transfer in nobody's statement", check: verify.C13, corrupt: func(r rows) { r.transfer("wallet", ledger.KindDeposit).Customer = id.Customer{} }, want: "but is not in their statement"},
		{name: "transfer in another's statement", check: verify.C13, corrupt: func(r rows) { r.transfer("noticed", ledger.KindDeposit).Customer = r.move("s1").Customer }, want: "whose accounts it does not touch"},
		{name: "customer whose currency is unknown", check: verify.C13, corrupt: func(r rows) {
			pick(r.Customers.Insert, func(x *customer.Customer) bool { return x.Name == "c2" }).Currencies = "EUR"
		}, want: "has an account in INR, which their row does not say"},
		{name: "customer renamed", check: verify.C13, corrupt: func(r rows) {
			pick(r.Customers.Insert, func(x *customer.Customer) bool { return x.Name == "c2" }).Name = "c3"
		}, want: "is not the one of its names"},
		{name: "wallet below zero", check: verify.C1, corrupt: func(r rows) { r.posted(r.move("start").Postings[1].Account).Minor = 1 }, want: "may not be below zero"},

		// Payouts
		{name: "payout that reserved nothing", check: verify.C3, corrupt: func(r rows) {
			k := r.transfer("on its way", ledger.KindPayoutReserve).ID
			drop(&r.Transfers, func(x *ledger.Transfer) bool { return x.ID == k })
		}, want: "transfers of kind payout_reserve, want 1"},
		{name: "payout paid, and never debited", check: verify.C3, corrupt: func(r rows) {
			k := r.transfer("paid out", ledger.KindPayoutSettle).ID
			drop(&r.Transfers, func(x *ledger.Transfer) bool { return x.ID == k })
		}, want: "transfers of kind payout_settle, want 1"},
		{name: "payout failed, and never given back", check: verify.C3, corrupt: func(r rows) {
			k := r.transfer("not paid out", ledger.KindPayoutRelease).ID
			drop(&r.Transfers, func(x *ledger.Transfer) bool { return x.ID == k })
		}, want: "transfers of kind payout_release, want 1"},
		{name: "payout debited twice", check: verify.C3, corrupt: func(r rows) {
			x := *r.transfer("lost and paid", ledger.KindPayoutSettle)
			x.ID = mint(x.ID)
			r.Transfers = append(r.Transfers, x)
		}, want: `has 2 transfers of kind payout_settle, want 1|\(payout_settle\) is one too many`},
		{name: "payout debited and given back", check: verify.C3, corrupt: func(r rows) {
			x := *r.transfer("not paid out", ledger.KindPayoutRelease)
			p := r.transfer("paid out", ledger.KindPayoutSettle)
			x.ID, x.Payment, x.Operation = mint(p.ID), p.Payment, p.Operation
			r.Transfers = append(r.Transfers, x)
		}, want: `transfers of kind payout_release, want 0|\(payout_release\) is one too many`},
		{name: "payout given back while it is not known", check: verify.C3, corrupt: func(r rows) {
			x := *r.transfer("not paid out", ledger.KindPayoutRelease)
			p := r.transfer("lost", ledger.KindPayoutReserve)
			x.ID, x.Payment, x.Operation = mint(p.ID), p.Payment, p.Operation
			r.Transfers = append(r.Transfers, x)
		}, want: `transfers of kind payout_release, want 0|\(payout_release\) is one too many`},
		{name: "payout from another wallet", check: verify.C3, corrupt: func(r rows) { r.payout("on its way").Payee = "customer:4:c2" }, want: `pays out of what is customer:4:c2's|between the accounts of attempt`},
		{name: "payout of another customer", check: verify.C3, corrupt: func(r rows) { r.payment("on its way").CustomerID = "c2" }, want: "pays out of what is customer:4:c3's"},
		{name: "payout from a merchant", check: verify.C3, corrupt: func(r rows) { r.payout("on its way").Payee = "merchant:4" }, want: `pays out of what is merchant:4's|between the accounts of attempt`},
		{name: "payout to another account", check: verify.C3, corrupt: func(r rows) { r.payout("paid out").Account = "other" }, want: "between the accounts of attempt"},
		{name: "payout of another amount", check: verify.C3, corrupt: func(r rows) { r.payment("paid out").Amount.Minor = 99 }, want: "is of 99 INR, its operation"},
		{name: "payout that an attempt pays in part", check: verify.C3, corrupt: func(r rows) { r.payout("paid out").Amount.Minor = 99 }, want: "is a payout of 99 minor units, its operation"},
		{name: "payout captured", check: verify.C3, corrupt: func(r rows) { r.payment("paid out").CapturedMinor = 100 }, want: "says that 100 were captured"},
		{name: "payout refunding", check: verify.C3, corrupt: func(r rows) { r.payment("paid out").RefundingMinor = 100 }, want: "100 are being refunded"},
		{name: "reservation that nothing holds", check: verify.C13, corrupt: func(r rows) {
			r.operation("on its way", payment.KindPayout).Status = payment.OperationDecline
		}, want: "reserved, but the refunds and payouts under way hold"},
		{name: "payout that holds more than is reserved", check: verify.C13, corrupt: func(r rows) {
			r.operation("on its way", payment.KindPayout).Amount.Minor = 150
		}, want: "reserved, but the refunds and payouts under way hold"},
		{name: "payout that holds where nothing is reserved", check: verify.C13, corrupt: func(r rows) { r.payout("on its way").Payee = "customer:4:c9" }, want: "but there is no account acc_"},
		{name: "payout of the PSP's refusal paid", check: verify.C5, corrupt: func(r rows) { r.payout("not paid out").Status = payment.AttemptApproved }, want: "is failed, but its attempt att_.* is approved"},
		{name: "payout settled on an unknown answer", check: verify.C5, corrupt: func(r rows) { r.payout("paid out").Status = payment.AttemptUnknown }, want: "is paid, but its attempt att_.* is unknown|has no attempt that made it"},
		{name: "payout released on an unknown answer", check: verify.C5, corrupt: func(r rows) { r.payout("not sent").Status = payment.AttemptUnknown }, want: "is failed, but its attempt att_.* is unknown"},
		{name: "payout unknown in secret", check: verify.C5, corrupt: func(r rows) { r.payout("on its way").Status = payment.AttemptUnknown }, want: "is submitting, but its attempt att_.* is unknown"},
		{name: "payout whose operation has ended otherwise", check: verify.C5, corrupt: func(r rows) {
			r.operation("paid out", payment.KindPayout).Status = payment.OperationDecline
		}, want: "which does not go with payout pay_.* being paid"},
		{name: "payout in a payment's status", check: verify.C5, corrupt: func(r rows) { r.payment("on its way").Status = payment.StatusPending }, want: `of type "payout" is "pending"`},
		{name: "payment in a payout's status", check: verify.C5, corrupt: func(r rows) { r.payment("pending").Status = payment.StatusSubmitting }, want: `of type "purchase" is "submitting"`},
		{name: "payment of no type", check: verify.C5, corrupt: func(r rows) { r.payment("pending").Type = "gift" }, want: `of type "gift" is "pending"`},
		{name: "payout that time ends", check: verify.C5, corrupt: func(r rows) { r.payment("on its way").LimitUS = 1 }, want: "nobody is awaited for one"},
		{name: "payout begun by a sale", check: verify.C13, corrupt: func(r rows) {
			r.operation("on its way", payment.KindPayout).Kind = payment.KindSale
		}, want: "want one that pays out"},
		{name: "payment that pays out", check: verify.C13, corrupt: func(r rows) {
			r.operation("pending", payment.KindSale).Kind = payment.KindPayout
		}, want: "has no sale"},
		{name: "payout without its first event", check: verify.C5, corrupt: func(r rows) { r.event("paid out", event.PayoutPaid).From = payment.StatusUnknown }, want: "begins where payment pay_.* is unknown, but it was submitting"},
		{name: "payout's event elsewhere", check: verify.C5, corrupt: func(r rows) { r.event("paid out", event.PayoutPaid).To = payment.StatusFailed }, want: `is a "payout.paid" and goes from submitting to failed`},
		{name: "payout's event of a sale", check: verify.C5, corrupt: func(r rows) { r.event("noticed", event.PaymentCaptured).Kind = event.PayoutPaid }, want: `which is a sale`},
		{name: "payment's event of a payout", check: verify.C5, corrupt: func(r rows) { r.event("paid out", event.PayoutPaid).Kind = event.PaymentCaptured }, want: `which is a payout`},
		{name: "open payout that nobody watches", check: verify.C11, corrupt: func(r rows) { r.dropDue(r.payout("lost").ID.Raw()) }, want: "nothing will be done about its attempt"},
		{name: "payout without its name", check: verify.C13, corrupt: func(r rows) {
			drop(&r.Refs.Insert, func(x *payment.Ref) bool { return x.Text == "paid out" })
		}, want: "there is no such ref"},

		// C13
		{name: "operation without payment", check: verify.C13, corrupt: func(r rows) {
			k := r.payment("pending").ID
			drop(&r.Payments.Insert, func(p *payment.Payment) bool { return p.ID == k })
		}, want: "which does not exist"},
		{name: "attempt without operation", check: verify.C13, corrupt: func(r rows) {
			k := r.operation("pending", payment.KindSale).ID
			drop(&r.Operations.Insert, func(o *payment.Operation) bool { return o.ID == k })
		}, want: `Attempt att_\w+ names operation`},
		{name: "operation without attempt", check: verify.C13, corrupt: func(r rows) {
			k := r.attempt("pending").ID
			drop(&r.Attempts.Insert, func(a *payment.Attempt) bool { return a.ID == k })
		}, want: `Attempts of operation \w+ break at`},
		{name: "operation that never asked", check: verify.C13, corrupt: func(r rows) {
			o := r.operation("pending", payment.KindSale)
			k := o.Attempt
			o.Attempt = id.Attempt{}
			drop(&r.Attempts.Insert, func(a *payment.Attempt) bool { return a.ID == k })
		}, want: "has no attempt"},
		{name: "attempt outside the chain", check: verify.C13, corrupt: func(r rows) {
			a := *r.attempt("pending")
			a.ID = mint(a.ID)
			r.Attempts.Insert = append(r.Attempts.Insert, a)
		}, want: `Attempt att_\w+ (is not in the chain|is one too many)`},
		{name: "operation outside the chain", check: verify.C13, corrupt: func(r rows) {
			o := *r.operation("pending", payment.KindSale)
			o.ID = mint(o.ID)
			r.Operations.Insert = append(r.Operations.Insert, o)
		}, want: `Operation op_\w+ (is not in the chain|is one too many)`},
		{name: "payment without sale", check: verify.C13, corrupt: func(r rows) { r.payment("pending").LastOperation = id.Operation{} }, want: `Operation op_\w+ (is not in the chain|is one too many)`},
		{name: "two sales paid", check: verify.C3, corrupt: func(r rows) {
			o := r.operation("Paid", payment.KindRefund)
			o.Kind, o.Status = payment.KindSale, payment.OperationSuccess
		}, want: "all but one must be declined"},
		{name: "older sale open", check: verify.C3, corrupt: func(r rows) {
			last := r.payment("second pays").LastOperation
			o := pick(r.Operations.Insert, func(o *payment.Operation) bool { return o.ID == last })
			first := pick(r.Operations.Insert, func(f *payment.Operation) bool { return f.ID == o.Prev })
			first.Status = payment.OperationProcessing
		}, want: "all but one must be declined"},
		{name: "the other try paid", check: verify.C5, corrupt: func(r rows) {
			last := r.payment("second pays").LastOperation
			o := pick(r.Operations.Insert, func(o *payment.Operation) bool { return o.ID == last })
			first := pick(r.Operations.Insert, func(f *payment.Operation) bool { return f.ID == o.Prev })
			o.Status, first.Status = first.Status, o.Status
		}, want: "which does not go with its attempts"},
		{name: "offer of no tries", check: verify.C5, corrupt: func(r rows) { r.payment("may try").TriesLeft = 0 }, want: "which does not go together"},
		{name: "offer to try again that is none", check: verify.C5, corrupt: func(r rows) { r.payment("may try").Awaiting = payment.AwaitedAtPSP }, want: "which does not go with payment"},
		{name: "offer to try again that nothing ends", check: verify.C11, corrupt: func(r rows) { r.dropDue(r.attempt("may try").ID.Raw()) }, want: "nothing will end that"},
		{name: "row in another bucket", check: verify.C13, corrupt: func(r rows) {
			o := r.operation("pending", payment.KindSale)
			a, p, e := r.attempt("pending"), r.payment("pending"), r.event("pending", event.PaymentPending)
			o.ID[6]++
			a.Operation, p.LastOperation, e.Operation = o.ID, o.ID, o.ID
		}, want: "lies in bucket"},
		{name: "open sale that nobody watches", check: verify.C11, corrupt: func(r rows) { r.dropDue(r.attempt("pending").ID.Raw()) }, want: "nothing will be done about its attempt"},
		{name: "open refund that nobody watches", check: verify.C11, corrupt: func(r rows) {
			a := pick(r.Attempts.Insert, func(a *payment.Attempt) bool {
				return a.Kind == payment.KindRefund && a.Status == payment.AttemptAccepted
			})
			r.dropDue(a.ID.Raw())
		}, want: "nothing will be done about its attempt"},
		{name: "pending delivery that nobody sends", check: verify.C11, corrupt: func(r rows) { r.dropDue(r.delivery("merchant away").ID.Raw()) }, want: "nothing will send it"},
		{name: "stored notification that nobody applies", check: verify.C11, corrupt: func(r rows) {
			n := pick(r.Inbox.Insert, func(n *payment.Inbox) bool { return n.State == payment.InboxStored })
			r.dropDue(n.ID.Raw())
		}, want: "nothing will apply it"},
		{name: "notification of no state", check: verify.C5, corrupt: func(r rows) { r.Inbox.Insert[0].State = "read" }, want: "which does not exist"},
		{name: "due row without subject", check: verify.C13, corrupt: func(r rows) {
			r.Due.Insert = append(r.Due.Insert, due.At(mint(r.attempt("pending").ID.Raw()), due.Watch, 1))
		}, want: "has no subject"},
		{name: "due row of the wrong kind", check: verify.C13, corrupt: func(r rows) {
			k := r.attempt("pending").ID.Raw()
			pick(r.Due.Insert, func(d *due.Due) bool { return d.ID == k }).Kind = due.Deliver
		}, want: "has no use for"},
		{name: "refund of what nobody took", check: verify.C13, corrupt: func(r rows) {
			pick(r.Attempts.Insert, func(a *payment.Attempt) bool { return a.Kind == payment.KindRefund }).Of = r.attempt("declined").ID
		}, want: "which did not"},
		{name: "late money without a case", check: verify.C13, corrupt: func(r rows) {
			r.late().Kind = "mismatch"
		}, want: "no case tells of it"},
		{name: "case of late money that did not come", check: verify.C13, corrupt: func(r rows) {
			x := *r.late()
			x.ID, x.Details = mint(x.ID), `{"attempt":"`+r.attempt("pending").ID.String()+`"}`
			r.Cases.Insert = append(r.Cases.Insert, x)
		}, want: "did not take"},
		{name: "known by another amount, and taken for unknown", check: verify.C5, corrupt: func(r rows) {
			a := pick(r.Attempts.Insert, func(a *payment.Attempt) bool {
				return a.Kind == payment.KindRefund && a.Status == payment.AttemptAccepted
			})
			a.Status = payment.AttemptUnknown
			x := *r.late()
			x.ID, x.Kind, x.Details = mint(x.ID), "mismatch", `{"attempt":"`+a.ID.String()+`","said":{"Minor":1,"Currency":"INR"}}`
			r.Cases.Insert = append(r.Cases.Insert, x)
		}, want: "has named another amount"},
		{name: "known by another amount, and taken for not sent", check: verify.C5, corrupt: func(r rows) {
			a := pick(r.Attempts.Insert, func(a *payment.Attempt) bool {
				return a.Kind == payment.KindRefund && a.Status == payment.AttemptAccepted
			})
			x := *r.late()
			a.Status, a.ChangedUS = payment.AttemptNotSent, x.CreatedUS+1
			x.ID, x.Kind, x.Details = mint(x.ID), "mismatch", `{"attempt":"`+a.ID.String()+`","said":{"Minor":1,"Currency":"INR"}}`
			r.Cases.Insert = append(r.Cases.Insert, x)
		}, want: "has named another amount"},
		{name: "case about nothing", check: verify.C13, corrupt: func(r rows) { r.late().Payment = mint(r.late().Payment) }, want: "is about payment"},
		{name: "ref to nothing", check: verify.C13, corrupt: func(r rows) {
			r.Refs.Insert = append(r.Refs.Insert, payment.Ref{RefKey: payment.RefKey{Scope: "payment:1", Text: "ghost"}, Target: id.Raw{7}})
		}, want: `The ref "ghost"`},
		{name: "ref to another payment", check: verify.C13, corrupt: func(r rows) {
			pick(r.Refs.Insert, func(x *payment.Ref) bool { return x.Text == "pending" }).Target = r.payment("declined").ID.Raw()
		}, want: `is called "pending" in payment:1, but that ref names`},
		{name: "name there twice", check: verify.C13, corrupt: func(r rows) {
			x := *pick(r.Refs.Insert, func(x *payment.Ref) bool { return x.Text == "pending" })
			x.Bucket++
			r.Refs.Insert = append(r.Refs.Insert, x)
		}, want: "is there twice"},
		{name: "payment without its name", check: verify.C13, corrupt: func(r rows) {
			drop(&r.Refs.Insert, func(x *payment.Ref) bool { return x.Text == "paid" })
		}, want: "there is no such ref"},
		{name: "refund without its name", check: verify.C13, corrupt: func(r rows) {
			drop(&r.Refs.Insert, func(x *payment.Ref) bool { return x.Text == "r1" })
		}, want: "there is no such ref"},
		{name: "name of a strange scope", check: verify.C13, corrupt: func(r rows) {
			r.Refs.Insert = append(r.Refs.Insert, payment.Ref{RefKey: payment.RefKey{Scope: "phone", Text: "1"}})
		}, want: `has scope "phone"`},
		{name: "voided and begun", check: verify.C13, corrupt: func(r rows) {
			k := r.payment("pending").ID
			r.Refs.Insert = append(r.Refs.Insert, payment.Ref{RefKey: payment.RefKey{Scope: "void", Text: k.String()}, Target: k.Raw()})
		}, want: "its id was voided"},
	}
	h := busy(t)
	h.book.Close()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			all := allRows(t, h.memory)
			test.corrupt(all)
			report := run(t, all.store(t), verify.Options{LiveUS: test.liveUS})
			want := regexp.MustCompile(`(?m)^  ` + string(test.check) + `: .*(` + test.want + `)`)
			if report.OK || report.Checks[test.check] == 0 || !want.MatchString(list(report.Violations)) {
				t.Errorf("found %t, want a violation of %s like %q; got %s", !report.OK, test.check, test.want, list(report.Violations))
			}
		})
	}
}

// A tombstone names an id that was given up: that is what it is for.
func TestTombstoneIsNoViolation(t *testing.T) {
	t.Parallel()
	all := allRows(t, busy(t).memory)
	gone := mint(all.payment("pending").ID)
	all.Refs.Insert = append(all.Refs.Insert, payment.Ref{RefKey: payment.RefKey{Scope: "void", Text: gone.String()}, Target: gone.Raw()})
	if report := run(t, all.store(t), verify.Options{}); !report.OK {
		t.Errorf("violations: %s", list(report.Violations))
	}
}

// A key of a request and its answer belong together.
func TestAnswersAndTheirKeys(t *testing.T) {
	t.Parallel()
	all := allRows(t, busy(t).memory)
	row := payment.Answer{ID: id.Answer(mint(all.payment("pending").ID)), ProjectID: 200, Route: "POST /v1/x", Key: "k"}
	ref := payment.Ref{RefKey: payment.RefKey{Scope: "answer:200:POST /v1/x", Text: "k"}, Target: row.ID.Raw()}
	for _, tt := range []struct {
		name    string
		answers []payment.Answer
		refs    []payment.Ref
		want    string
	}{
		{"both", []payment.Answer{row}, []payment.Ref{ref}, ""},
		{"an answer without its key", []payment.Answer{row}, nil, "but there is no such ref"},
		{"a key without an answer", nil, []payment.Ref{ref}, "which does not exist or is called otherwise"},
	} {
		changed := *all.Changes
		changed.Refs.Insert = append(slices.Clone(all.Refs.Insert), tt.refs...)
		changed.Answers.Insert = tt.answers
		report := run(t, rows{&changed}.store(t), verify.Options{})
		if report.OK != (tt.want == "") || !strings.Contains(list(report.Violations), tt.want) {
			t.Errorf("%s: %s", tt.name, list(report.Violations))
		}
	}
}

// Where nobody is at work, work may be as old as it likes.
func TestOldWorkOfAStoppedServerIsNoViolation(t *testing.T) {
	t.Parallel()
	h := busy(t)
	h.now = h.now.Add(24 * time.Hour)
	if report := run(t, h.memory, verify.Options{}); !report.OK {
		t.Errorf("stopped: violations: %s", list(report.Violations))
	}
	if report := run(t, h.memory, verify.Options{LiveUS: h.now.UnixMicro()}); report.OK {
		t.Error("live: work overdue by a day was not found")
	}
}

// A store of pages shows the same as one that fits into the first.
func TestManyPages(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.psp.sale = connector.Outcome{Kind: connector.Pending}
	for n := range 1100 {
		begun := h.begin(shop, "p"+strconv.Itoa(n))
		h.pump()
		if n%2 == 0 {
			h.approve(begun.Attempt)
		}
	}
	report := run(t, h.memory, verify.Options{})
	if !report.OK || report.Payments != 1100 || report.Transfers != 550 {
		t.Errorf("got %d payments, %d transfers, violations: %s", report.Payments, report.Transfers, list(report.Violations))
	}
}

func TestViolationsAreBounded(t *testing.T) {
	t.Parallel()
	all := rows{&book.Changes{}}
	for n := range 1500 {
		all.Due.Insert = append(all.Due.Insert, due.At(id.Raw{byte(n >> 8), byte(n), 1}, due.Ask, 1))
	}
	report := run(t, all.store(t), verify.Options{})
	if len(report.Violations) != 1001 || report.Violations[1000] != "There are 500 more violations." {
		t.Errorf("%d violations, the last %q", len(report.Violations), report.Violations[len(report.Violations)-1])
	}
}

// failing is a store that cannot be read.
type failing struct{ book.Reader }

var errAway = errors.New("the store is away")

func (failing) ScanAccounts(context.Context, id.Account, int) ([]ledger.Account, error) {
	return nil, errAway
}

func TestStoreThatCannotBeReadIsNoVerdict(t *testing.T) {
	t.Parallel()
	if _, err := verify.Run(t.Context(), failing{book.NewMemory()}, verify.Options{}); !errors.Is(err, errAway) {
		t.Errorf("Run = %v, want %v", err, errAway)
	}
}
