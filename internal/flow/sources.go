package flow

import (
	"fmt"
	"strings"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/id"
	"aorta/internal/instrument"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/risk"
)

// sources are what a customer's instruments have paid in and got back, as an act
// reads and changes them. An attempt that they count has a way (payment.Attempt.Way);
// what was paid before its project had rules has none, and is not counted.
//
// They lie in the window of deposits. The rest of that is not theirs: it may change
// between their reading and their saving.
type sources struct {
	customer id.Customer
	window   id.Window
	currency money.Currency
	list     []limit.Source
}

func sourcesOf(p *book.Page, c id.Customer, cur money.Currency) (sources, error) {
	return sourcesIn(p, limit.WindowID(c, limit.Deposits, cur), c, cur)
}

// sourcesIn is sourcesOf where the id of the window is known.
func sourcesIn(p *book.Page, k id.Window, c id.Customer, cur money.Currency) (sources, error) {
	s := sources{customer: c, window: k, currency: cur}
	row, _ := p.Windows.Get(s.window)
	var err error
	if s.list, err = limit.DecodeSources(row.Sources); err != nil {
		return s, fmt.Errorf("sources of %s: %w", c, err)
	}
	return s, nil
}

func (s *sources) save(p *book.Page) {
	row, ok := p.Windows.Get(s.window)
	if !ok {
		row = limit.Window{ID: s.window, Customer: s.customer, Kind: limit.Deposits, Currency: s.currency}
	}
	row.Sources, row.ChangedUS = limit.EncodeSources(s.list), p.NowUS()
	p.Windows.Put(row)
}

// at finds the source of a way at a PSP account, or adds it.
func (s *sources) at(connectorName, account, way string, kind instrument.Kind) *limit.Source {
	method, token, _ := strings.Cut(way, " ")
	for n := range s.list {
		if x := &s.list[n]; x.Connector == connectorName && x.Account == account && x.Method == method && x.Token == token {
			return x
		}
	}
	s.list = append(s.list, limit.Source{
		Instrument: instrumentID(s.customer, connectorName, account, way), Kind: kind,
		Connector: connectorName, Account: account, Method: method, Token: token,
	})
	return &s.list[len(s.list)-1]
}

// instrumentID is the id of what a customer has at a PSP account: it follows from
// the way, so that it needs no look-up.
func instrumentID(c id.Customer, connectorName, account, way string) id.Instrument {
	return id.Instrument(id.Derive(c.Bucket(), "instrument", c.String(), connectorName, account, way))
}

// kindOf says what a method pays with, of a PSP that does not: by its code's last
// word. What says nothing counts as a wallet: it is neither a card, which comes
// first, nor a bank account, which takes all.
func kindOf(method string) instrument.Kind {
	switch word := method[strings.LastIndexByte(method, '-')+1:]; instrument.Kind(word) {
	case instrument.Card:
		return instrument.Card
	case instrument.Bank:
		return instrument.Bank
	case instrument.Wallet:
	}
	return instrument.Wallet
}

// wayOf is what an approved sale was paid with. What comes beyond the number of
// instruments that are told apart counts as what the PSP has not named.
func (s *sources) wayOf(method string, a payment.Attempt, said connector.Instrument) (way string, kind instrument.Kind) {
	if said.Token == "" || len(s.list) >= limit.MaxSources && !s.knows(a, payment.WayOf(method, said.Token)) {
		return payment.WayOf(method, ""), kindOf(method)
	}
	return payment.WayOf(method, said.Token), said.Kind
}

func (s *sources) knows(a payment.Attempt, way string) bool {
	for n := range s.list {
		if x := &s.list[n]; x.Connector == a.Connector && x.Account == a.Account && payment.WayOf(x.Method, x.Token) == way {
			return true
		}
	}
	return false
}

// countDeposit notes what a deposit of a project with rules was paid with, where its
// money has just become the customer's.
func (x *application) countDeposit() error {
	if !strings.HasPrefix(x.attempt.Payee, ofCustomer) || x.rules() == nil {
		return nil
	}
	c := x.wallet().customer
	if x.window.IsZero() {
		x.window = limit.WindowID(c, limit.Deposits, x.attempt.Amount.Currency)
	}
	s, err := sourcesIn(x.page, x.window, c, x.attempt.Amount.Currency)
	if err != nil {
		return err
	}
	way, kind := s.wayOf(x.pay.Method, x.attempt, x.out.Instrument)
	x.attempt.Way = way
	src := s.at(x.attempt.Connector, x.attempt.Account, way, kind)
	src.Captured += x.attempt.Amount.Minor
	if src.FirstUS == 0 { // what has paid in before has its row
		src.FirstUS = x.page.NowUS()
		meetInstrument(x.page, c, src, x.out.Instrument)
	}
	s.save(x.page)
	return nil
}

// rules are those of the payment's project; nil if it has none.
func (x *application) rules() *risk.Rules {
	if x.licence == nil {
		return nil
	}
	if l := x.licence(x.pay.ProjectID); l != nil {
		return l.rules
	}
	return nil
}

// meetInstrument makes an instrument's row when it is first paid with.
func meetInstrument(p *book.Page, c id.Customer, s *limit.Source, said connector.Instrument) {
	if _, ok := p.Instruments.Get(s.Instrument); ok {
		return
	}
	label := said.Label
	if s.Token == "" {
		label = ""
	}
	p.Instruments.Put(instrument.Instrument{
		ID: s.Instrument, Customer: c, Connector: s.Connector, Account: s.Account, Token: s.Token, Label: label, CreatedUS: p.NowUS(),
	})
}

// countRefund notes that a refund of a counted deposit was begun (refunding), or how
// it has ended.
func (x *application) countRefund(refunding, refunded int64) error {
	if x.attempt.Way == "" {
		return nil
	}
	s, err := sourcesOf(x.page, x.wallet().customer, x.attempt.Amount.Currency)
	if err != nil {
		return err
	}
	src := s.at(x.attempt.Connector, x.attempt.Account, x.attempt.Way, kindOf(x.pay.Method))
	src.Refunding += refunding
	src.Refunded += refunded
	s.save(x.page)
	return nil
}
