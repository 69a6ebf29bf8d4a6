package flow

import (
	"encoding/json"
	"time"

	"aorta/internal/book"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/money"
)

// A wallet moves thousands of times a second, and hardly anybody wants to hear of
// each. So an event of it is written for the endpoints alone that name its type,
// with all that they are told; where there are none, nothing is.

// moveEvents are the types under which endpoints may ask for moves.
var moveEvents = map[ledger.Kind]event.Kind{
	ledger.KindStake: event.WalletStake, ledger.KindWin: event.WalletWin, ledger.KindRollback: event.WalletRollback,
	ledger.KindDebit: event.WalletDebit, ledger.KindCredit: event.WalletCredit,
	ledger.KindBonusGrant: event.WalletBonusGranted, ledger.KindBonusRelease: event.WalletBonusReleased,
}

// hearers are the endpoints that ask for the move by name.
func (m *move) hearers(all []event.Endpoint) []event.Endpoint {
	var out []event.Endpoint
	typ := string(moveEvents[m.kind])
	for _, ep := range all {
		if ep.Names(typ) {
			out = append(out, ep)
		}
	}
	return out
}

// heard is a move's act that also tells endpoints of it, if it moves something.
func (m *move) heard(to []event.Endpoint, decide func(*book.Page) (written, error)) func(*book.Page) (written, error) {
	return func(p *book.Page) (written, error) {
		w, err := decide(p)
		if err != nil || !w.known.IsZero() || w.transfer.ID.IsZero() {
			return w, err
		}
		e := event.Event{ID: id.Event(p.Mint()), Kind: moveEvents[m.kind], AtUS: p.NowUS(), Snapshot: m.news(w)}
		p.Events.Append(e)
		for _, ep := range to {
			d := ep.Delivery(id.Delivery(p.Mint()), e, string(e.Kind), p.NowUS())
			p.Deliveries.New(d)
			if d.State == event.DeliveryPending {
				p.Due.New(due.Now(d.ID.Raw(), due.Deliver, p.NowUS(), p.Epoch(), &event.Work{Delivery: d, Event: e}))
			}
		}
		return w, nil
	}
}

// moveNews is what is told of a move, in the words of /v1.
type moveNews struct {
	Transfer   id.Transfer    `json:"transfer_id"`
	TxnID      string         `json:"txn_id"`
	Kind       ledger.Kind    `json:"kind"`
	RoundID    string         `json:"round_id,omitempty"`
	CustomerID string         `json:"customer_id"`
	Amount     string         `json:"amount"` // of a rollback the stakes that went back
	Currency   money.Currency `json:"currency"`
	Available  string         `json:"available"` // right after it
	Bonus      string         `json:"bonus,omitempty"`
	CreatedAt  string         `json:"created_at"`
}

func (m *move) news(w written) string {
	told := w.moved()
	amount := m.Amount
	if m.kind == ledger.KindRollback {
		amount = money.Amount{Currency: w.currency}
		games := ledger.AccountID(m.bucket, "house", ledger.Games, w.currency)
		for _, x := range w.transfer.Postings {
			if x.Account == games && x.Minor > 0 {
				amount.Minor += x.Minor
			}
		}
	}
	n := moveNews{
		Transfer: w.transfer.ID, TxnID: m.TxnID, Kind: m.kind, RoundID: m.RoundID, CustomerID: m.CustomerID, Amount: amount.Decimal(), Currency: w.currency,
		Available: told.Available.Decimal(), CreatedAt: time.UnixMicro(w.transfer.CreatedUS).UTC().Format(time.RFC3339Nano),
	}
	if told.Bonus.Currency != "" {
		n.Bonus = told.Bonus.Decimal()
	}
	text, err := json.Marshal(n)
	if err != nil {
		panic("plain values cannot fail to encode: " + err.Error())
	}
	return string(text)
}
