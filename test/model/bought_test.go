package model_test

import (
	"testing"

	"aorta/test/model"
)

// store is a customer with 100 whose wallet is linked, and Google, who buys from it.
type store struct {
	m     *model.Model
	asked *model.AskedCall
}

const minute = 60 * second

func receivable() model.AccountName { return walletAccount("google:main:SHOP", "receivable") }

func available() model.AccountName { return walletAccount("customer:1:c", "available") }

func newStore() *store {
	s := &store{m: model.New(model.Settings{Merchant: "1", Wallet: true, Late: "hold", Google: &model.Google{
		Owner: "google:main:SHOP", Limited: "INR", Least: 2, Most: 60, Day: 80, Month: 90, AsyncUS: 20 * minute, TokenUS: 60 * minute,
	}})}
	asked := s.m.MoveAsked(model.Move{Kind: "credit", Name: "x", Customer: "c", Currency: "INR", Minor: 100}, 0)
	s.m.Committed(model.Commit{Transfers: []model.Transfer{booked("t1", "credit", "x", "", walletAccount("merchant:1", "payable"), available(), 100)}})
	s.m.MoveAnswered(asked, model.MoveAnswer{Transfer: "t1", Currency: "INR", Available: 100})
	s.m.Proving("redirect", 0)
	s.m.CallAsked(model.Call{Kind: "associateAccount", Name: "link", Customer: "c", Link: "public", Proof: "redirect", Body: "link"})
	s.m.Committed(model.Commit{
		Calls: []model.CallRow{{ID: "rowl", Kind: "associateAccount", Name: "link", Customer: "c", Link: "l", State: "done", Result: "SUCCESS", Proven: "p"}},
		Links: []model.LinkRow{openLink()},
	})
	return s
}

func openLink() model.LinkRow {
	return model.LinkRow{ID: "l", Name: "public", Customer: "c", Open: true, ExpiresUS: 60 * minute}
}

func bodyOf(kind, name string, minor int64) model.Call {
	c := model.Call{Kind: kind, Name: name, Customer: "c", Link: "public", Currency: "INR", Minor: minor, Body: "body"}
	if kind == "refund" {
		c.Capture, c.Customer, c.Link = "buy", "", ""
	}
	return c
}

func (s *store) ask(kind, name string, minor int64) {
	s.asked = s.m.CallAsked(bodyOf(kind, name, minor))
}

// callRow is a call that is done, a minute in.
func callRow(kind, name string, minor int64, result, transfer string) model.CallRow {
	r := model.CallRow{
		ID: "row-" + name, Kind: kind, Name: name, Customer: "c", Link: "l", State: "done", Result: result, Answer: "{}", Currency: "INR", Transfer: transfer, Minor: minor,
		CreatedUS: minute, ChangedUS: minute,
	}
	switch kind {
	case "refund":
		r.About = "row-buy"
	case "asynchronousCapture":
		r.UntilUS = 21 * minute
	}
	return r
}

func took(name string, minor int64) model.Transfer {
	return booked("t-"+name, "capture_fop", "row-"+name, "", available(), receivable(), minor)
}

func gave(name string, minor int64) model.Transfer {
	return booked("t-"+name, "refund_fop", "row-"+name, "", receivable(), available(), minor)
}

func (s *store) done(rows []model.CallRow, moved ...model.Transfer) {
	s.m.Committed(model.Commit{Calls: rows, Transfers: moved})
}

func one(r model.CallRow) []model.CallRow { return []model.CallRow{r} }

// buy has Google buy for an amount, and hear of it.
func (s *store) buy(name string, minor int64) {
	s.ask("capture", name, minor)
	s.done(one(callRow("capture", name, minor, "SUCCESS", "t-"+name)), took(name, minor))
	s.m.CallAnswered(s.asked, "row-"+name, "{}")
}

// declined has a purchase declined.
func (s *store) declined(minor int64, result string) {
	s.ask("capture", "no", minor)
	s.done(one(callRow("capture", "no", minor, result, "")))
	s.m.CallAnswered(s.asked, "row-no", "{}")
}

// back has Google get an amount back of what it bought for 50, of which so much is back then.
func (s *store) back(name string, minor, all int64) {
	s.ask("refund", name, minor)
	bought := callRow("capture", "buy", 50, "SUCCESS", "t-buy")
	bought.Refunded = all
	s.done([]model.CallRow{bought, callRow("refund", name, minor, "SUCCESS", "t-"+name)}, gave(name, minor))
	s.m.CallAnswered(s.asked, "row-"+name, "{}")
}

// begin has a purchase wait for its customer.
func (s *store) begin() {
	s.ask("asynchronousCapture", "later", 50)
	row := callRow("asynchronousCapture", "later", 50, "", "")
	row.State = "waiting"
	s.done(one(row))
	s.m.CallAnswered(s.asked, "row-later", "{}")
}

// end ends it at some time, and tells of it.
func (s *store) end(atUS int64, result, told string) {
	row := callRow("asynchronousCapture", "later", 50, result, "")
	row.ChangedUS = atUS
	c := model.Commit{Told: []model.ToldRow{{ID: "told", About: row.ID, Method: "captureResultNotification", Result: told}}}
	if result == "SUCCESS" {
		row.Transfer = "t-later"
		c.Transfers = []model.Transfer{took("later", 50)}
	}
	if told == "" {
		c.Told = nil
	}
	c.Calls = one(row)
	s.m.Committed(c)
}

// refuse has Google hear that a call is not done.
func (s *store) refuse(c model.Call, why string) {
	s.m.CallRefused(s.m.CallAsked(c), why, 2*minute)
}

// closes closes the link.
func (s *store) closes() {
	l := openLink()
	l.Open = false
	s.m.Committed(model.Commit{Links: []model.LinkRow{l}})
}

// A true history of Google's calls is believed; one with a wrong step is not. want is ""
// or in what the model says.
func TestWhatGoogleBuys(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		story func(*store)
		want  string
	}{
		{name: "a purchase", story: func(s *store) { s.buy("buy", 50) }},
		{name: "a purchase again", story: func(s *store) {
			s.buy("buy", 50)
			s.ask("capture", "buy", 50)
			s.m.CallAnswered(s.asked, "row-buy", "{}")
		}},
		{name: "given back in parts", story: func(s *store) { s.buy("buy", 50); s.back("b1", 20, 20); s.back("b2", 30, 50) }},
		{name: "money short", story: func(s *store) {
			s.m.MoveAsked(model.Move{Kind: "debit", Name: "d", Customer: "c", Currency: "INR", Minor: 90}, 0)
			s.m.Committed(model.Commit{Transfers: []model.Transfer{booked("t9", "debit", "d", "", available(), walletAccount("merchant:1", "payable"), 90)}})
			s.declined(11, "INSUFFICIENT_FUNDS")
		}},
		{name: "too little", story: func(s *store) { s.declined(1, "CHARGE_UNDER_LIMIT") }},
		{name: "too much at once", story: func(s *store) { s.declined(61, "CHARGE_EXCEEDS_TRANSACTION_LIMIT") }},
		{name: "too much in a day", story: func(s *store) { s.buy("buy", 50); s.declined(31, "CHARGE_EXCEEDS_DAILY_LIMIT") }},
		{name: "of a closed link", story: func(s *store) {
			s.m.ClosingLink("public")
			s.closes()
			s.declined(5, "GOOGLE_PAYMENT_TOKEN_INVALIDATED_BY_USER")
		}},
		{name: "agreed", story: func(s *store) { s.begin(); s.m.Said("later", true); s.end(2*minute, "SUCCESS", "SUCCESS") }},
		{name: "not agreed", story: func(s *store) { s.begin(); s.m.Said("later", false); s.end(2*minute, "RISK_DECLINED", "RISK_DECLINED") }},
		{name: "time over", story: func(s *store) { s.begin(); s.end(21*minute, "RISK_DECLINED", "RISK_DECLINED") }},
		{name: "another amount", story: func(s *store) { s.buy("buy", 50); s.refuse(bodyOf("capture", "buy", 51), model.RefusedOther) }},
		{name: "back before it was bought", story: func(s *store) { s.refuse(bodyOf("refund", "b1", 5), model.RefusedNoCapture) }},
		{name: "back while it waits", story: func(s *store) {
			s.begin()
			s.refuse(model.Call{Kind: "refund", Name: "b1", Capture: "later", Minor: 5}, model.RefusedNotCaptured)
		}},
		{name: "more back than is left", story: func(s *store) {
			s.buy("buy", 50)
			s.back("b1", 20, 20)
			s.refuse(bodyOf("refund", "b2", 31), model.RefusedOver)
		}},
		{name: "a token that is taken", story: func(s *store) {
			s.refuse(model.Call{Kind: "associateAccount", Name: "link2", Customer: "c", Link: "public", Proof: "redirect"}, model.RefusedTaken)
		}},
		{name: "a proof that was used", story: func(s *store) {
			s.refuse(model.Call{Kind: "associateAccount", Name: "link2", Customer: "c", Link: "other", Proof: "redirect"}, model.RefusedProof)
		}},

		{name: "twice", want: "is made twice: as row-buy", story: func(s *store) {
			s.buy("buy", 50)
			again := callRow("capture", "buy", 50, "SUCCESS", "t-2")
			again.ID = "row-2"
			s.done(one(again), booked("t-2", "capture_fop", "row-2", "", available(), receivable(), 50))
		}},
		{name: "money twice for one row", want: "which moves no money now", story: func(s *store) { s.buy("buy", 50); s.done(nil, took("buy", 50)) }},
		{name: "money of no call", want: "which moves no money now", story: func(s *store) { s.done(nil, took("ghost", 5)) }},
		{name: "nobody asked", want: "and nobody asked for call", story: func(s *store) { s.done(one(callRow("capture", "buy", 50, "SUCCESS", "t-buy")), took("buy", 50)) }},
		{name: "of another amount", want: "and nobody asked for call", story: func(s *store) {
			s.ask("capture", "buy", 50)
			s.done(one(callRow("capture", "buy", 51, "SUCCESS", "t-buy")), took("buy", 51))
		}},
		{name: "less than the call says", want: "moves [49", story: func(s *store) {
			s.ask("capture", "buy", 50)
			s.done(one(callRow("capture", "buy", 50, "SUCCESS", "t-buy")), took("buy", 49))
		}},
		{name: "success without money", want: "has ended with \"SUCCESS\", and nothing was so", story: func(s *store) {
			s.ask("capture", "buy", 50)
			s.done(one(callRow("capture", "buy", 50, "SUCCESS", "")))
		}},
		{name: "declined, and taken", want: "for call", story: func(s *store) {
			s.ask("capture", "buy", 50)
			s.done(one(callRow("capture", "buy", 50, "INSUFFICIENT_FUNDS", "t-buy")), took("buy", 50))
		}},
		{name: "declined with money", want: "and nothing was so", story: func(s *store) { s.declined(50, "INSUFFICIENT_FUNDS") }},
		{name: "declined within the day", want: "and nothing was so", story: func(s *store) { s.buy("buy", 50); s.declined(30, "CHARGE_EXCEEDS_DAILY_LIMIT") }},
		{name: "declined for an open link", want: "and nothing was so", story: func(s *store) { s.declined(5, "GOOGLE_PAYMENT_TOKEN_INVALIDATED_BY_USER") }},
		{name: "taken beyond a limit", want: "must be declined with CHARGE_EXCEEDS_DAILY_LIMIT", story: func(s *store) { s.buy("buy", 50); s.buy("b", 31) }},
		{name: "taken with an old token", want: "must be declined with TOKEN_REFRESH_REQUIRED", story: func(s *store) {
			s.ask("capture", "buy", 50)
			row := callRow("capture", "buy", 50, "SUCCESS", "t-buy")
			row.ChangedUS = 60 * minute
			s.done(one(row), took("buy", 50))
		}},
		{name: "taken below zero", want: "leaves -1 in account", story: func(s *store) {
			s.m.MoveAsked(model.Move{Kind: "debit", Name: "d", Customer: "c", Currency: "INR", Minor: 90}, 0)
			s.m.Committed(model.Commit{Transfers: []model.Transfer{booked("t9", "debit", "d", "", available(), walletAccount("merchant:1", "payable"), 90)}})
			s.buy("buy", 11)
		}},
		{name: "more back than was taken", want: "gives back 51 of 50", story: func(s *store) { s.buy("buy", 50); s.back("b1", 51, 51) }},
		{name: "back that is not counted", want: "says that 0 were given back, and it is 20", story: func(s *store) { s.buy("buy", 50); s.back("b1", 20, 0) }},
		{name: "taken without a word", want: "has not agreed in time", story: func(s *store) { s.begin(); s.end(2*minute, "SUCCESS", "SUCCESS") }},
		{name: "taken when time was over", want: "has not agreed in time", story: func(s *store) { s.begin(); s.m.Said("later", true); s.end(21*minute, "SUCCESS", "SUCCESS") }},
		{name: "over before its time", want: "and nothing was so", story: func(s *store) { s.begin(); s.end(2*minute, "RISK_DECLINED", "RISK_DECLINED") }},
		{name: "ended, and not told", want: "and Google is told \"\"", story: func(s *store) { s.begin(); s.end(21*minute, "RISK_DECLINED", "") }},
		{name: "told otherwise", want: "and that is not so", story: func(s *store) { s.begin(); s.end(21*minute, "RISK_DECLINED", "SUCCESS") }},
		{name: "waits for ever", want: "is waiting in the end", story: func(s *store) { s.begin(); s.m.End(nil, nil, nil) }},
		{name: "a row that changes", want: ", was ", story: func(s *store) { s.buy("buy", 50); s.done(one(callRow("capture", "buy", 50, "SUCCESS", "t-other"))) }},
		{name: "told and not written", want: "was never committed (C2)", story: func(s *store) { s.ask("capture", "buy", 50); s.m.CallAnswered(s.asked, "row-buy", "{}") }},
		{name: "told another answer", want: "first answered with", story: func(s *store) {
			s.buy("buy", 50)
			s.ask("capture", "buy", 50)
			s.m.CallAnswered(s.asked, "row-buy", "{1}")
		}},
		{name: "another body told as done", want: "was answered as done", story: func(s *store) {
			s.buy("buy", 50)
			s.ask("capture", "buy", 51)
			s.m.CallAnswered(s.asked, "row-buy", "{}")
		}},
		{name: "refused, and done before", want: "and had been made", story: func(s *store) { s.buy("buy", 50); s.refuse(bodyOf("capture", "buy", 50), model.RefusedOther) }},
		{name: "refused for a free name", want: "and nothing was so (section 1.6)", story: func(s *store) { s.refuse(bodyOf("capture", "buy", 50), model.RefusedOther) }},
		{name: "refused with enough left", want: "and nothing was so (section 1.6)", story: func(s *store) { s.buy("buy", 50); s.refuse(bodyOf("refund", "b1", 50), model.RefusedOver) }},
		{name: "closed by nobody", want: "and nobody asked for that", story: (*store).closes},
		{name: "linked by nobody", want: "no call of this commit links a wallet", story: func(s *store) {
			s.m.Committed(model.Commit{Links: []model.LinkRow{{ID: "l2", Name: "other", Customer: "c", Open: true}}})
		}},
		{name: "good for longer", want: "no call refreshes it", story: func(s *store) {
			l := openLink()
			l.ExpiresUS++
			s.m.Committed(model.Commit{Links: []model.LinkRow{l}})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStore()
			tt.story(s)
			judgeSaid(t, s.m.Wrong(), tt.want)
		})
	}
}
