package model_test

import (
	"slices"
	"strings"
	"testing"

	"aorta/test/model"
)

// cashOut is a customer with 100 who has 60 of it sent, and what becomes of that.
type cashOut struct {
	m     *model.Model
	asked *model.AskedPayout
	now   int64 // seconds
}

func (c *cashOut) account(purpose string) model.AccountName {
	if purpose == "clearing" {
		return walletAccount("psp:x:one", purpose)
	}
	return walletAccount("customer:1:c", purpose)
}

func (c *cashOut) rich() {
	asked := c.m.MoveAsked(model.Move{Kind: "credit", Name: "x", Customer: "c", Currency: "INR", Minor: 100}, 0)
	c.m.Committed(model.Commit{Transfers: []model.Transfer{
		booked("t1", "credit", "x", "", walletAccount("merchant:1", "payable"), c.account("available"), 100),
	}})
	c.m.MoveAnswered(asked, model.MoveAnswer{Transfer: "t1", Currency: "INR", Available: 100})
}

func (c *cashOut) ask(id string, minor int64) {
	c.asked = c.m.PayoutAsked(model.Payout{ID: id, Name: "out", Customer: "c", Currency: "INR", Minor: minor})
}

func payoutRow(id, status string) model.Payment {
	return model.Payment{ID: id, Type: "payout", Name: "out", Customer: "c", Status: status, Currency: "INR", Place: 3, Minor: 60, CreatedUS: 1 * second}
}

// commit writes a step: the payout is now as told, its operation and attempt are
// so, and its money went from one purpose to another; empty: it stays.
func (c *cashOut) commit(event, from, to, operation, attempt, debit, credit string) {
	c.now++
	in := model.Commit{
		Payments:   []model.Payment{payoutRow("po", to)},
		Operations: []model.Operation{{ID: "opp", Payment: "po", Kind: "payout", Status: operation, Minor: 60}},
		Attempts: []model.Attempt{{
			ID: "atp", Operation: "opp", Payment: "po", Kind: "payout", Status: attempt, PSP: "psp:x:one", Currency: "INR", Minor: 60, ChangedUS: c.now * second,
		}},
		Events: []model.Event{{Payment: "po", Operation: "opp", Attempt: "atp", Kind: event, From: from, To: to, AtUS: c.now * second}},
	}
	if debit != "" {
		in.Transfers = []model.Transfer{{Of: "t-" + event, Operation: "opp", Debit: c.account(debit), Credit: c.account(credit), Minor: 60}}
	}
	c.m.Committed(in)
}

func (c *cashOut) begin() {
	c.rich()
	c.ask("po", 60)
	c.commit("payout.pending", "requested", "submitting", "processing", "asking", "available", "reserved")
	c.m.PayoutAnswered(c.asked, "po", false)
}

func (c *cashOut) sent() { c.begin(); c.m.Asks("atp") }

func (c *cashOut) heard(kind string, minor int64, noRecord bool) {
	c.now++
	o := model.Outcome{Attempt: "atp", Kind: kind, NoRecord: noRecord, AtUS: c.now * second}
	if kind == "approved" {
		o.Minor, o.Currency = minor, "INR"
	}
	c.m.Heard(o)
}

func (c *cashOut) unknown() {
	c.sent()
	c.heard("unknown", 0, false)
	c.commit("payout.unknown", "submitting", "unknown", "processing", "unknown", "", "")
}

func (c *cashOut) paid(from string) {
	c.commit("payout.paid", from, "paid", "success", "approved", "reserved", "clearing")
}

func (c *cashOut) failed(from, attempt string) {
	c.commit("payout.failed", from, "failed", "decline", attempt, "reserved", "available")
}

// end tells how it is stored in the end.
func (c *cashOut) end(status string, available, reserved, clearing int64) []string {
	account := func(n model.AccountName, minor int64) model.Account {
		return model.Account{AccountName: n, Minor: -minor}
	}
	return c.m.End([]model.Payment{payoutRow("po", status)}, []model.Account{
		account(walletAccount("merchant:1", "payable"), -100), account(c.account("available"), available),
		account(c.account("reserved"), reserved), account(c.account("clearing"), clearing),
	}, nil)
}

// A true history of a payout is believed; one with a wrong step is not. want is ""
// or in what the model says.
func TestPayouts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		story func(*cashOut) []string
		want  string
	}{
		{name: "paid at once", story: func(c *cashOut) []string {
			c.sent()
			c.heard("approved", 60, false)
			c.paid("submitting")
			return c.end("paid", 40, 0, 60)
		}},
		{name: "unknown, and paid", story: func(c *cashOut) []string {
			c.unknown()
			c.heard("approved", 60, false)
			c.paid("unknown")
			return c.end("paid", 40, 0, 60)
		}},
		{name: "declined", story: func(c *cashOut) []string {
			c.sent()
			c.heard("declined", 0, false)
			c.failed("submitting", "declined")
			return c.end("failed", 100, 0, 0)
		}},
		{name: "never taken", story: func(c *cashOut) []string {
			c.unknown()
			c.heard("pending", 0, true)
			c.now += 600
			c.heard("pending", 0, true)
			c.failed("unknown", "not_sent")
			return c.end("failed", 100, 0, 0)
		}},
		{name: "never taken, and heard of before that is booked", story: func(c *cashOut) []string {
			c.unknown()
			c.heard("pending", 0, true)
			c.now += 600
			c.heard("pending", 0, true)
			c.heard("approved", 60, false)
			c.failed("unknown", "not_sent")
			return c.m.Wrong()
		}},
		{name: "the first again", story: func(c *cashOut) []string {
			c.sent()
			c.ask("po2", 60)
			c.m.PayoutAnswered(c.asked, "po", true)
			c.heard("approved", 60, false)
			c.paid("submitting")
			return c.end("paid", 40, 0, 60)
		}},
		{name: "no money", story: func(c *cashOut) []string {
			c.sent()
			other := c.m.PayoutAsked(model.Payout{ID: "po3", Name: "more", Customer: "c", Currency: "INR", Minor: 41})
			c.m.PayoutRefused(other, model.RefusedShort)
			c.heard("approved", 60, false)
			c.paid("submitting")
			return c.end("paid", 40, 0, 60)
		}},

		{name: "nobody asked", want: "nobody asked for it", story: func(c *cashOut) []string {
			c.rich()
			c.commit("payout.pending", "requested", "submitting", "processing", "asking", "available", "reserved")
			return c.m.Wrong()
		}},
		{name: "of money that is not there", want: "without the wallet to bear it", story: func(c *cashOut) []string {
			c.ask("po", 60)
			c.commit("payout.pending", "requested", "submitting", "processing", "asking", "available", "reserved")
			return c.m.Wrong()
		}},
		{name: "not reserved", want: "money moved: []; must be", story: func(c *cashOut) []string {
			c.rich()
			c.ask("po", 60)
			c.commit("payout.pending", "requested", "submitting", "processing", "asking", "", "")
			return c.m.Wrong()
		}},
		{name: "unknown is taken for no", want: "without the provider's no", story: func(c *cashOut) []string {
			c.unknown()
			c.failed("unknown", "not_sent")
			return c.m.Wrong()
		}},
		{name: "not known once is taken for no", want: "without the provider's no", story: func(c *cashOut) []string {
			c.unknown()
			c.heard("pending", 0, true)
			c.failed("unknown", "not_sent")
			return c.m.Wrong()
		}},
		{name: "paid by nobody's word", want: "without an approved outcome", story: func(c *cashOut) []string {
			c.sent()
			c.paid("submitting")
			return c.m.Wrong()
		}},
		{name: "paid in another amount", want: "without an approved outcome", story: func(c *cashOut) []string {
			c.sent()
			c.heard("approved", 61, false)
			c.paid("submitting")
			return c.m.Wrong()
		}},
		{name: "paid and given back", want: "failed starts from unknown, but it was paid", story: func(c *cashOut) []string {
			c.unknown()
			c.heard("approved", 60, false)
			c.paid("unknown")
			c.failed("unknown", "not_sent")
			return c.m.Wrong()
		}},
		{name: "sent twice", want: "is asked for twice", story: func(c *cashOut) []string {
			c.unknown()
			c.m.Asks("atp")
			return c.m.Wrong()
		}},
		{name: "sent under another reference", want: "another attempt at the", story: func(c *cashOut) []string {
			c.unknown()
			c.m.Committed(model.Commit{Attempts: []model.Attempt{{
				ID: "atp2", Operation: "opp", Payment: "po", Kind: "payout", Status: "asking", PSP: "psp:x:one", Currency: "INR", Minor: 60, ChangedUS: 50 * second,
			}}})
			return c.m.Wrong()
		}},
		{name: "made twice", want: "is made twice", story: func(c *cashOut) []string {
			c.begin()
			c.ask("po2", 60)
			c.m.Committed(model.Commit{Payments: []model.Payment{payoutRow("po2", "requested")}})
			return c.m.Wrong()
		}},
		{name: "told and not written", want: "but is \"\" in what was committed", story: func(c *cashOut) []string {
			c.ask("po", 60)
			c.m.PayoutAnswered(c.asked, "po", false)
			return c.m.Wrong()
		}},
		{name: "refused with money enough", want: "and nothing was so", story: func(c *cashOut) []string {
			c.rich()
			c.ask("po", 60)
			c.m.PayoutRefused(c.asked, model.RefusedShort)
			return c.m.Wrong()
		}},
		{name: "refused and made", want: "and had been made", story: func(c *cashOut) []string {
			c.begin()
			c.ask("po", 60)
			c.m.PayoutRefused(c.asked, model.RefusedShort)
			return c.m.Wrong()
		}},
		{name: "unknown after news of another amount", want: "which says that it is known", story: func(c *cashOut) []string {
			c.unknown()
			odd := model.Outcome{Attempt: "atp", Kind: "approved", Currency: "INR", Minor: 61, AtUS: 9 * second}
			c.m.News(odd, true)
			c.m.NewsTaken(odd, true)
			return c.m.Wrong()
		}},
		{name: "known by news of another amount, and taken for not sent", want: "no rule lets it become not_sent from accepted", story: func(c *cashOut) []string {
			c.unknown()
			odd := model.Outcome{Attempt: "atp", Kind: "declined", Currency: "INR", Minor: 61, AtUS: 9 * second}
			c.m.News(odd, true)
			known := model.Attempt{ID: "atp", Operation: "opp", Payment: "po", Kind: "payout", Status: "accepted", PSP: "psp:x:one", Currency: "INR", Minor: 60}
			c.m.Committed(model.Commit{Attempts: []model.Attempt{known}})
			c.m.NewsTaken(odd, true)
			if wrong := c.m.Wrong(); len(wrong) > 0 {
				return wrong
			}
			c.heard("pending", 0, true)
			c.now += 600
			c.heard("pending", 0, true)
			c.failed("unknown", "not_sent")
			return c.m.Wrong()
		}},
		{name: "refused in another amount", want: "without the provider's no", story: func(c *cashOut) []string {
			c.sent()
			c.m.Heard(model.Outcome{Attempt: "atp", Kind: "declined", Currency: "INR", Minor: 61, AtUS: 9 * second})
			c.failed("submitting", "declined")
			return c.m.Wrong()
		}},
		{name: "open in the end", want: "is unknown in the end", story: func(c *cashOut) []string {
			c.unknown()
			return c.end("unknown", 40, 60, 0)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := &cashOut{m: model.New(model.Settings{Merchant: "1", Wallet: true, Late: "hold", LimitUS: 1800 * second, MovesMoney: true})}
			wrong := tt.story(c)
			switch {
			case tt.want == "" && len(wrong) > 0:
				t.Errorf("the model says %q of a true history", wrong)
			case tt.want != "" && !slices.ContainsFunc(wrong, func(s string) bool { return strings.Contains(s, tt.want) }):
				t.Errorf("the model says %q, want %q", wrong, tt.want)
			}
		})
	}
}
