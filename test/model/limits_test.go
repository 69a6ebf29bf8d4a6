package model_test

import (
	"slices"
	"strings"
	"testing"

	"aorta/test/model"
)

// saver is a customer with a limit who pays in.
type saver struct {
	m     *model.Model
	begun map[string]int64 // seconds
}

// limit is asked for and written, by the commit of those restrictions. raise: it waits.
func (s *saver) limit(minor, at int64, raise bool, steps ...model.Restriction) {
	l := model.Limit{Kind: "deposit", Customer: "c", Period: "day", Currency: "INR", Minor: minor}
	s.m.LimitAsked(l)
	written := l
	written.AtUS, written.Raise = at*second, raise
	s.m.Committed(model.Commit{Limits: []model.Limit{written}, Restrictions: steps})
	s.m.LimitAnswered(l)
}

// restriction is a step that the house has asked for.
func (s *saver) restriction(at int64, lifted bool) model.Restriction {
	r := model.Restriction{Customer: "c", Type: "operator_excluded", Lifted: lifted, AtUS: at * second}
	s.m.RestrictionAsked(r.Customer, r.Type, lifted)
	return r
}

// restricted is a commit of such a step.
func (s *saver) restricted(at int64, lifted bool) {
	s.m.Committed(model.Commit{Restrictions: []model.Restriction{s.restriction(at, lifted)}})
}

// confirm has a raise hold that has waited for as long as the rules want, which is no time.
func (s *saver) confirm(minor, at int64) {
	s.m.Committed(model.Commit{Limits: []model.Limit{{Kind: "deposit", Customer: "c", Period: "day", Currency: "INR", Minor: minor, AtUS: at * second, Confirmed: true}}})
}

func (s *saver) row(name, status string, minor, at int64) model.Payment {
	p := model.Payment{ID: "pay-" + name, Type: "purchase", Name: name, Customer: "c", Status: status, Currency: "INR", Place: 3, Minor: minor, CreatedUS: at * second}
	p.LimitUS = p.CreatedUS + 1800*second
	if status == "captured" {
		p.Captured = minor
	}
	return p
}

func (s *saver) asks(name string, minor int64) *model.AskedSale {
	return s.m.SaleOnItsWay(model.Sale{Name: name, Customer: "c", Currency: "INR", Minor: minor}, 0)
}

// begin has a sale asked for and made.
func (s *saver) begin(name string, minor, at int64) {
	a := s.asks(name, minor)
	s.begun[name] = at
	s.m.Committed(model.Commit{
		Payments:   []model.Payment{s.row(name, "new", minor, at)},
		Operations: []model.Operation{{ID: "op-" + name, Payment: "pay-" + name, Kind: "sale", Status: "processing", Minor: minor}},
		Attempts:   []model.Attempt{s.attempt(name, "asking", minor, at)},
	})
	s.m.SaleHeard(a)
}

func (s *saver) attempt(name, status string, minor, at int64) model.Attempt {
	return model.Attempt{
		ID: "att-" + name, Operation: "op-" + name, Payment: "pay-" + name, Kind: "sale", Status: status, PSP: "psp:x:one", Currency: "INR", Minor: minor, ChangedUS: at * second,
	}
}

// comes has the provider say that it is paid, and the platform make that of it.
func (s *saver) comes(name, status string, minor, at int64) {
	s.m.Asks("att-" + name)
	s.m.Heard(model.Outcome{Attempt: "att-" + name, Kind: "approved", Currency: "INR", Minor: minor, AtUS: at * second})
	c := model.Commit{
		Payments:   []model.Payment{s.row(name, status, minor, s.begun[name])},
		Operations: []model.Operation{{ID: "op-" + name, Payment: "pay-" + name, Kind: "sale", Status: map[string]string{"captured": "success", "declined": "decline"}[status], Minor: minor}},
		Events: []model.Event{{
			Payment: "pay-" + name, Operation: "op-" + name, Attempt: "att-" + name, Kind: "payment." + status, From: "new", To: status, Code: "600", AtUS: at * second,
		}},
	}
	if status == "captured" {
		from, to := walletAccount("psp:x:one", "clearing"), walletAccount("customer:1:c", "available")
		c.Attempts = []model.Attempt{s.attempt(name, "approved", minor, at)}
		c.Transfers = []model.Transfer{{Of: "t-" + name, Operation: "op-" + name, Debit: from, Credit: to, Minor: minor}}
	}
	s.m.Committed(c)
}

// A true history of limits is believed; one with a wrong step is not.
func TestLimits(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		story func(*saver)
		want  string
	}{
		{name: "kept", story: func(s *saver) {
			s.limit(100, 1, false)
			s.begin("a", 60, 2)
			s.comes("a", "captured", 60, 3)
			s.begin("b", 40, 4)
		}},
		{name: "refused by what is open", story: func(s *saver) {
			s.limit(100, 1, false)
			s.begin("a", 60, 2)
			s.m.SaleRefused(s.asks("b", 41), model.RefusedFull)
		}},
		{name: "a day later there is room", story: func(s *saver) {
			s.limit(100, 1, false)
			s.begin("a", 60, 2)
			s.comes("a", "captured", 60, 3)
			s.begin("b", 100, 24*3600+4)
		}},
		{name: "lowered after it came", story: func(s *saver) {
			s.limit(100, 1, false)
			s.begin("a", 60, 2)
			s.comes("a", "captured", 60, 3)
			s.limit(50, 4, false)
			s.limit(80, 5, true)
		}},
		{name: "raised by the commit that lets them in", story: func(s *saver) {
			s.limit(100, 1, false)
			s.restricted(2, false)
			s.limit(200, 3, true, s.restriction(3, true))
		}},
		{name: "raised by a commit that excludes them and lets them in", story: func(s *saver) {
			s.limit(100, 1, false)
			s.limit(200, 3, true, s.restriction(3, false), s.restriction(3, true))
			s.confirm(200, 3)
		}},
		{name: "lowered before it came", story: func(s *saver) {
			s.begin("a", 60, 2)
			s.limit(50, 3, false)
			s.comes("a", "declined", 60, 4)
		}},
		{name: "lowered by a clock that is behind", story: func(s *saver) {
			s.begin("a", 60, 10)
			s.limit(50, 6, false)
			s.comes("a", "declined", 60, 11)
		}},
		{name: "played with, for all that a clock behind knows", story: func(s *saver) {
			s.begin("a", 60, 10)
			s.limit(50, 6, false)
			s.comes("a", "captured", 60, 11)
		}},
		{name: "lowered by a clock that is too far behind", want: "payment.declined, new → declined, without", story: func(s *saver) {
			s.begin("a", 60, 10)
			s.limit(50, 4, false)
			s.comes("a", "declined", 60, 11)
		}},

		{name: "passed", want: "is let in", story: func(s *saver) {
			s.limit(100, 1, false)
			s.begin("a", 60, 2)
			s.begin("b", 41, 3)
		}},
		{name: "passed by a raise that waits", want: "is let in", story: func(s *saver) {
			s.limit(100, 1, false)
			s.limit(200, 2, true)
			s.begin("a", 101, 3)
		}},
		{name: "refused with room", want: "no limit of c was reached", story: func(s *saver) {
			s.limit(100, 1, false)
			s.m.SaleRefused(s.asks("a", 100), model.RefusedFull)
		}},
		{name: "refused and made", want: "had been made", story: func(s *saver) {
			a := s.asks("a", 60)
			s.begin("a", 60, 2)
			s.m.SaleRefused(a, model.RefusedFull)
		}},
		{name: "raised at once", want: "goes from 100 to 101", story: func(s *saver) {
			s.limit(100, 1, false)
			s.limit(101, 2, false)
		}},
		{name: "raised while they are excluded", want: "raises a limit while operator_excluded", story: func(s *saver) {
			s.limit(100, 1, false)
			s.restricted(2, false)
			s.limit(200, 3, true)
		}},
		{name: "confirmed though an exclusion ended it", want: "is raised from 100 to 200", story: func(s *saver) {
			s.limit(100, 1, false)
			s.limit(200, 2, true)
			s.restricted(3, false)
			s.restricted(4, true)
			s.confirm(200, 5)
		}},
		{name: "a lower one waits", want: "goes from 100 to 99", story: func(s *saver) {
			s.limit(100, 1, false)
			s.limit(99, 2, true)
		}},
		{name: "a first one waits", want: "waits like a raise", story: func(s *saver) { s.limit(100, 1, true) }},
		{name: "set by nobody", want: "nobody asked for it", story: func(s *saver) {
			s.m.Committed(model.Commit{Limits: []model.Limit{{Kind: "deposit", Customer: "c", Period: "day", Currency: "INR", Minor: 5}}})
		}},
		{name: "told and not written", want: "was never committed", story: func(s *saver) {
			s.m.LimitAnswered(model.Limit{Kind: "deposit", Customer: "c", Period: "day", Currency: "INR", Minor: 5})
		}},
		{name: "played with after it was lowered", want: "without a clear way", story: func(s *saver) {
			s.begin("a", 60, 2)
			s.limit(50, 3, false)
			s.comes("a", "captured", 60, 4)
		}},
		{name: "sent back for no reason", want: "payment.declined, new → declined, without", story: func(s *saver) {
			s.begin("a", 60, 2)
			s.limit(60, 3, false)
			s.comes("a", "declined", 60, 4)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &saver{begun: map[string]int64{}, m: model.New(model.Settings{Merchant: "1", Wallet: true, Late: "refund", LimitUS: 1800 * second, Rules: &model.Rules{ConfirmUS: 3600 * second}})}
			tt.story(s)
			wrong := s.m.Wrong()
			switch {
			case tt.want == "" && len(wrong) > 0:
				t.Errorf("the model says %q of a true history", wrong)
			case tt.want != "" && !slices.ContainsFunc(wrong, func(w string) bool { return strings.Contains(w, tt.want) }):
				t.Errorf("the model says %q, want %q", wrong, tt.want)
			}
		})
	}
}
