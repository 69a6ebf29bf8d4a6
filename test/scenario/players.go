package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/payment"
)

// Players are customers who play rounds over /v1, two to a wallet, and cash out,
// and their merchant, who gives to it and takes from it, at a platform that may
// die under them. Who has no answer asks the same again, some ask again for what was
// answered long ago, and some under a known name for something else. What they
// were told is on disk before the next is asked, and is what the books are
// judged by.
type Players struct {
	t       testing.TB
	journal *Journal
	door    func() Native
	name    string
	stop    chan struct{}
	once    sync.Once
	wg      sync.WaitGroup
	made    atomic.Int64
	told    atomic.Int64
	mu      sync.Mutex
	wrong   []string
}

// playersCurrency is the one that they play in.
const playersCurrency = "EUR"

// asked is a move that was asked for, and what was answered: a line of the
// players' journal.
type asked struct {
	Kind     ledger.Kind `json:"kind"`
	Txn      string      `json:"txn"`
	Key      string      `json:"key"`
	Customer string      `json:"customer"`
	Round    string      `json:"round,omitempty"`
	Minor    int64       `json:"minor,omitempty"`
	Bonus    bool        `json:"bonus,omitempty"`
	Other    bool        `json:"other,omitempty"` // under a name that is in use, or was used up, on purpose
	Status   int         `json:"status"`          // 0: no answer came
	Text     string      `json:"text,omitempty"`
}

// cashOut is the kind of a payout, which is named beside the moves.
const cashOut ledger.Kind = "payout"

// paths are where moves are asked for.
var paths = map[ledger.Kind]string{
	ledger.KindStake: "/v1/rounds/stake", ledger.KindWin: "/v1/rounds/win", ledger.KindRollback: "/v1/rounds/rollback",
	ledger.KindCredit: "/v1/wallet/credit", ledger.KindDebit: "/v1/wallet/debit",
	ledger.KindBonusGrant: "/v1/wallet/bonus_grant", ledger.KindBonusRelease: "/v1/wallet/bonus_release", cashOut: "/v1/payouts/init",
}

// NewPlayers makes players whose names all begin with name; door says at each
// try where they go.
func NewPlayers(t testing.TB, name string, door func() Native) *Players {
	return &Players{t: t, journal: NewJournal(t), door: door, name: name, stop: make(chan struct{})}
}

// Go lets n players in.
func (p *Players) Go(n int) {
	for k := range n {
		dice := rand.New(rand.NewPCG(rand.Uint64(), uint64(k)))
		p.wg.Go(func() { p.play(k, dice) })
	}
}

// Stop lets nothing new begin, and returns when all that was asked is answered.
func (p *Players) Stop() {
	p.once.Do(func() { close(p.stop) })
	p.wg.Wait()
}

// Told is how many answers there were so far.
func (p *Players) Told() int64 { return p.told.Load() }

func (p *Players) notRight(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wrong = append(p.wrong, fmt.Sprintf(format, args...))
}

// again ends the key under which a move that was made is asked for once more.
const again = "-again"

// play is one player.
func (p *Players) play(k int, dice *rand.Rand) {
	customer, rounds := fmt.Sprintf("%s-%d", p.name, k/2), 0
	name := func() string { return fmt.Sprintf("%s-%d-%d", p.name, k, p.made.Add(1)) }
	give := func(kind ledger.Kind, minor int64) asked {
		txn := name()
		return asked{Kind: kind, Txn: txn, Key: "key-" + txn, Customer: customer, Minor: minor}
	}
	answered := []asked{p.insist(give(ledger.KindCredit, 100_00)), p.insist(give(ledger.KindBonusGrant, 50_00))}
	for {
		select {
		case <-p.stop:
			return
		case <-time.After(time.Duration(5+dice.IntN(50)) * time.Millisecond):
		}
		m := give(ledger.KindStake, int64(1+dice.IntN(5_00)))
		m.Round, m.Bonus = fmt.Sprintf("%s-%d-round-%d", p.name, k, rounds), dice.IntN(5) == 0
		switch roll := dice.IntN(100); {
		case roll < 12: // the same once more
			old := answered[dice.IntN(len(answered))]
			p.insist(old)
			continue
		case roll < 17: // a move that was made, under another key
			if old := answered[dice.IntN(len(answered))]; old.Status/100 == 2 {
				old.Key, old.Other = old.Key+again, true
				p.insist(old)
			}
			continue
		case roll < 22: // the same key, another move
			old := answered[dice.IntN(len(answered))]
			old.Minor, old.Other = old.Minor+1, true
			p.insist(old)
			continue
		case roll < 42:
			m.Kind = ledger.KindWin
		case roll < 48:
			m.Kind, m.Minor, m.Bonus = ledger.KindRollback, 0, false
		case roll < 56:
			m.Kind, m.Round, m.Bonus = ledger.KindCredit, "", false
		case roll < 62:
			m.Kind, m.Round = ledger.KindDebit, ""
		case roll < 66:
			m.Kind, m.Round, m.Bonus = ledger.KindBonusRelease, "", false
		case roll < 74:
			m.Kind, m.Round, m.Bonus = cashOut, "", false
		}
		if m = p.insist(m); m.Status/100 == 2 || m.Status == http.StatusPaymentRequired {
			answered = append(answered, m) // its key keeps this answer
		}
		if dice.IntN(8) == 0 {
			rounds++
		}
	}
}

// playersPatience is how long a player insists on one answer: a platform that is killed
// three times a second, for minutes, need not find the time for it before that is over.
const playersPatience = 10 * time.Minute

// insist asks until there is an answer that is the last word, and gives the move
// with it. Each try is written down.
func (p *Players) insist(m asked) asked {
	body := map[string]any{"txn_id": m.Txn, "customer_id": m.Customer}
	if m.Kind == cashOut {
		body = map[string]any{"merchant_payout_id": m.Txn, "customer_id": m.Customer, "method": "card"}
	}
	if m.Minor > 0 {
		body["amount"], body["currency"] = fmt.Sprintf("%d.%02d", m.Minor/100, m.Minor%100), playersCurrency
	}
	if m.Round != "" {
		body["round_id"] = m.Round
	}
	if m.Bonus {
		body["purse"] = "bonus"
	}
	for deadline := time.Now().Add(playersPatience); ; time.Sleep(10 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		r, err := p.door().Post(ctx, paths[m.Kind], m.Key, body)
		cancel()
		m.Status, m.Text = 0, ""
		if err == nil {
			m.Status, m.Text = r.Status, r.Text
			p.told.Add(1)
		}
		if line, err := json.Marshal(m); err != nil {
			p.notRight("players' journal: %v", err)
		} else if err := p.journal.keep(append(line, '\n')); err != nil {
			p.notRight("players' journal: %v", err)
		}
		switch {
		case err == nil && r.Final():
			return m
		case time.Now().After(deadline):
			p.notRight("%s %s has no answer after %v: %d %s %v", m.Kind, m.Txn, playersPatience, r.Status, r.Text, err)
			return m
		}
	}
}

// lines are all that the players have noted.
func (p *Players) lines() []asked {
	p.t.Helper()
	p.journal.mu.Lock() // no half of a line
	raw, err := os.ReadFile(p.journal.file.Name())
	p.journal.mu.Unlock()
	if err != nil {
		p.t.Fatal(err)
	}
	var all []asked
	for lines := json.NewDecoder(bytes.NewReader(raw)); lines.More(); {
		var m asked
		if err := lines.Decode(&m); err != nil {
			p.t.Fatalf("players' journal: %v", err)
		}
		all = append(all, m)
	}
	return all
}

// moved is the part of an answer that is judged.
type moved struct {
	TransferID string `json:"transfer_id"`
	TxnID      string `json:"txn_id"`
	Kind       string `json:"kind"`
	Amount     string `json:"amount"`
	PayoutID   string `json:"payout_id"`
}

// Judge gives what is not as the players were told: each move that was
// acknowledged is there once (C2, C7), its answer is the same each time, and one
// that was refused for good has moved nothing. With rest, all were answered, and
// then each wallet has what these answers make (C1). It may be called while the
// platform is dead and the players still ask.
func (p *Players) Judge(r book.Reader, rest bool) []string {
	p.t.Helper()
	p.mu.Lock()
	x := trial{
		out: append([]string(nil), p.wrong...), there: map[string]ledger.Transfer{}, payouts: map[string]payment.Payment{},
		first: map[string]asked{}, kept: map[string]asked{},
	}
	p.mu.Unlock()
	lines := p.lines()
	accounts := map[id.Account]ledger.Account{}
	if err := Every(r.ScanAccounts, func(a ledger.Account) id.Account { accounts[a.ID] = a; return a.ID }); err != nil {
		p.t.Fatal(err)
	}
	if err := Every(r.ScanTransfers, func(t ledger.Transfer) id.Transfer {
		if strings.HasPrefix(t.Name, p.name+"-") {
			name := string(t.Kind) + " " + t.Name
			if before, twice := x.there[name]; twice {
				x.wrong("C7: %s is made twice: as %s and %s", name, before.ID, t.ID)
			}
			x.there[name] = t
		}
		return t.ID
	}); err != nil {
		p.t.Fatal(err)
	}
	if err := Every(r.ScanPayments, func(pay payment.Payment) id.Payment {
		if pay.Type == payment.TypePayout && strings.HasPrefix(pay.MerchantPaymentID, p.name+"-") {
			name := string(cashOut) + " " + pay.MerchantPaymentID
			if before, twice := x.payouts[name]; twice {
				x.wrong("C7: %s is made twice: as %s and %s", name, before.ID, pay.ID)
			}
			x.payouts[name] = pay
		}
		return pay.ID
	}); err != nil {
		p.t.Fatal(err)
	}
	for _, m := range lines {
		x.line(m)
	}
	wanted := map[string]bool{}
	for _, m := range lines {
		wanted[string(m.Kind)+" "+m.Txn] = true
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(x.there)), slices.Collect(maps.Keys(x.payouts))) {
		if !wanted[name] {
			x.wrong("C7: %s is there, and nobody asked for it", name)
		}
		if _, told := x.first[name]; rest && !told {
			x.wrong("C7: %s is there, and whoever asked was never told so", name)
		}
	}
	if rest {
		x.balances(accounts)
	}
	return x.out
}

// trial is one judgement.
type trial struct {
	out     []string
	there   map[string]ledger.Transfer // by kind and name
	payouts map[string]payment.Payment // by the same
	first   map[string]asked           // moves that were acknowledged, by kind and name
	kept    map[string]asked           // the first answer that a key keeps, by key
}

func (x *trial) wrong(format string, args ...any) {
	x.out = append(x.out, fmt.Sprintf(format, args...))
}

// line judges one try.
func (x *trial) line(m asked) {
	name := string(m.Kind) + " " + m.Txn
	accepted, final := m.Status/100 == 2, m.Status != 0 && Reply{Status: m.Status, Text: m.Text}.Final()
	switch before, ok := x.kept[m.Key]; {
	case m.Other && strings.HasSuffix(m.Key, again) && m.Kind == cashOut: // its name is used up
		if accepted {
			x.wrong("C7: %s was accepted once more, under another key: %s", name, m.Text)
		}
		return
	case m.Other && strings.HasSuffix(m.Key, again):
		if final && !accepted {
			x.wrong("C7: %s was made, and refused under another key: %d %s", name, m.Status, m.Text)
		}
	case m.Other:
		if accepted {
			x.wrong("C7: %s was accepted with another amount under key %s: %s", name, m.Key, m.Text)
		}
		return
	case ok && final && (before.Status != m.Status || before.Text != m.Text):
		x.wrong("C7: %s was answered %d %s and %d %s", name, before.Status, before.Text, m.Status, m.Text)
	case !ok && (accepted || m.Status == http.StatusPaymentRequired): // such an answer is kept under its key
		x.kept[m.Key] = m
	}
	if !accepted {
		return
	}
	t, there := x.there[name]
	var is moved
	if err := json.Unmarshal([]byte(m.Text), &is); err != nil {
		x.wrong("%s was answered %s: %v", name, m.Text, err)
		return
	}
	payout, sent := x.payouts[name]
	switch {
	case m.Kind == cashOut && (!sent || is.PayoutID != id.Payout(payout.ID).String() || payout.Amount.Minor != m.Minor):
		x.wrong("C2: %s of %d was acknowledged as %s, there is %s of %d (found: %t)", name, m.Minor, is.PayoutID, payout.ID, payout.Amount.Minor, sent)
	case m.Kind == cashOut:
	case is.TxnID != m.Txn || is.Kind != string(m.Kind):
		x.wrong("C7: %s was answered as %s %s", name, is.Kind, is.TxnID)
	case is.TransferID == "" && m.Kind == ledger.KindRollback: // found nothing, and left a tombstone
		if there {
			x.wrong("C2: %s was answered as of nothing, and there is %s", name, t.ID)
		}
	case !there || t.ID.String() != is.TransferID:
		x.wrong("C2: %s was acknowledged as %s, there is %s (found: %t)", name, is.TransferID, t.ID, there)
	case m.Kind != ledger.KindRollback && is.Amount != fmt.Sprintf("%d.%02d", m.Minor/100, m.Minor%100):
		x.wrong("C2: %s of %d was acknowledged as of %s", name, m.Minor, is.Amount)
	}
	if _, ok := x.first[name]; !ok && !m.Other {
		x.first[name] = m
	}
}

// balances: each wallet has what the acknowledged moves have left in it.
func (x *trial) balances(accounts map[id.Account]ledger.Account) {
	type purse struct {
		customer string
		bonus    bool
	}
	want := map[purse]int64{}
	rounds := map[string]map[purse]int64{}
	var undone []string
	for name, m := range x.first {
		of := purse{m.Customer, m.Bonus}
		if _, ok := want[of]; !ok {
			want[of] = 0
		}
		change := m.Minor
		switch m.Kind { //nolint:exhaustive // the others are no moves of wallets
		case ledger.KindStake, ledger.KindDebit:
			change = -m.Minor
		case ledger.KindBonusGrant:
			of.bonus = true
		case ledger.KindBonusRelease:
			want[purse{m.Customer, true}] -= m.Minor
		case ledger.KindRollback:
			if _, there := x.there[name]; there {
				undone = append(undone, m.Customer+" "+m.Round)
			}
			continue
		case cashOut: // its money has left, or is reserved, unless it failed
			change = -m.Minor
			if x.payouts[name].Status == payment.StatusFailed {
				change = 0
			}
		case ledger.KindCredit, ledger.KindWin:
		}
		want[of] += change
		if m.Round != "" {
			k := m.Customer + " " + m.Round
			if rounds[k] == nil {
				rounds[k] = map[purse]int64{}
			}
			rounds[k][of] += change
		}
	}
	for _, k := range undone {
		for of, change := range rounds[k] {
			want[of] -= change
		}
	}
	have := map[purse]int64{}
	for _, a := range accounts {
		at := strings.LastIndexByte(a.Owner, ':')
		if at < 0 || !strings.HasPrefix(a.Owner, "customer:") || a.Currency != playersCurrency {
			continue
		}
		switch a.Purpose { //nolint:exhaustive // the others are not a customer's to play with
		case ledger.Available:
			have[purse{a.Owner[at+1:], false}] = a.Balance()
		case ledger.Bonus:
			have[purse{a.Owner[at+1:], true}] = a.Balance()
		}
	}
	for of, minor := range want {
		if have[of] != minor {
			x.wrong("C1: the wallet of %s (bonus: %t) has %d, the moves that were acknowledged leave %d", of.customer, of.bonus, have[of], minor)
		}
	}
	if len(x.first) == 0 {
		x.wrong("nothing was acknowledged")
	}
}
