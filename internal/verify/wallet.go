package verify

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"aorta/internal/customer"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/limit"
	"aorta/internal/money"
)

// person is a customer as their row has them.
type person struct {
	owner, merchant string // of their accounts; of their merchant's
	currencies      []string
	counted         []money.Currency // those of windows that their limits count
	paid            []money.Currency // and of windows of payouts
	lowerUS         int64            // when a limit was last lowered; limit.NotKnown of who is restricted
	lastNote        id.Note
	reviews         int64 // open cases that their payouts wait for, as the row counts them, less the cases met
}

// scanCustomers reads all customers: the owners of wallets.
func (c *checker) scanCustomers(ctx context.Context) error {
	all := pages[customer.Customer, id.Customer]{scan: c.read.ScanCustomers, key: func(x *customer.Customer) id.Customer { return x.ID }, take: func(x *customer.Customer) {
		merchant := strconv.FormatInt(x.MerchantID, 10)
		if want := customer.KeyOf(x.ID.Bucket(), merchant, x.Name); want != x.ID {
			c.violation(C13, "Customer %s is not the one of its names: that one is %s.", x.ID, want)
		}
		limits, err := customer.DecodeLimits(x.Limits)
		if err != nil {
			c.violation(C13, "The limits of customer %s cannot be read: %v.", x.ID, err)
		}
		who := person{
			owner: wallet + merchant + ":" + x.Name, merchant: "merchant:" + merchant, currencies: x.List(), counted: limits.Currencies, paid: limits.Paid, lastNote: x.LastNote,
			reviews: x.Review, lowerUS: limits.LowerUS(),
		}
		if x.Restriction != customer.Unrestricted {
			who.lowerUS = limit.NotKnown
		}
		c.customers[x.ID] = who
		c.takeVerified(x)
	}}
	return merge(ctx, &all)
}

// chain is what a customer's transfers in one currency say of their order,
// without any of them being held: each is named once, by the one after it or by
// the account, if and only if the sums of both sides are equal.
type chain struct {
	sum    fingerprint // of all transfers, less those that are named
	firsts int         // that name none
}

func (s *chain) add(t id.Transfer, sign uint64) {
	raw := t.Raw()
	sum := sha256.Sum256(raw[:])
	for k := range s.sum {
		s.sum[k] += sign * binary.BigEndian.Uint64(sum[8*k:])
	}
}

const minus = ^uint64(0) // in the arithmetic of uint64

// takeChain: a transfer is in the statement of the customer whose accounts it
// touches, and in no other (C13).
func (c *checker) takeChain(t *ledger.Transfer) {
	touches := false
	for _, p := range t.Postings {
		if b := c.accounts[p.Account]; b != nil && !b.customer.IsZero() {
			touches = true
			if b.customer != t.Customer {
				c.violation(C13, "Transfer %s moves money of customer %s, but is not in their statement.", t.ID, b.customer)
			}
		}
	}
	if t.Customer.IsZero() {
		return
	}
	who, ok := c.customers[t.Customer]
	switch {
	case !ok:
		c.violation(C13, "Transfer %s names customer %s, who does not exist.", t.ID, t.Customer)
		return
	case !touches:
		c.violation(C13, "Transfer %s is in the statement of customer %s, whose accounts it does not touch.", t.ID, t.Customer)
		return
	}
	b := c.accounts[ledger.AccountID(t.ID.Bucket(), who.owner, ledger.Available, t.Currency())]
	if b == nil {
		c.violation(C13, "Transfer %s has no statement to be in: customer %s has no account in %s.", t.ID, t.Customer, t.Currency())
		return
	}
	b.chain.add(t.ID, 1)
	if t.Prev.IsZero() {
		b.chain.firsts++
	} else {
		b.chain.add(t.Prev, minus)
	}
}

// judgeChain: the statement that begins at an account has all transfers that
// belong in it, each once.
func (c *checker) judgeChain(k id.Account, b *balance) {
	if b.customer.IsZero() {
		return
	}
	firsts := 0
	if !b.last.IsZero() {
		b.chain.add(b.last, minus)
		firsts = 1
		if who := c.customers[b.customer]; !slices.Contains(who.currencies, string(b.currency)) {
			c.violation(C13, "Customer %s has an account in %s, which their row does not say.", b.customer, b.currency)
		}
	}
	if b.chain.sum != (fingerprint{}) || b.chain.firsts != firsts {
		c.violation(C13, "The statement of account %s has not all transfers of its customer, each once.", k)
	}
}

// moveKinds are the moves of a wallet, and whether they are part of a round.
var moveKinds = map[ledger.Kind]bool{
	ledger.KindStake: true, ledger.KindWin: true, ledger.KindRollback: true,
	ledger.KindDebit: false, ledger.KindCredit: false, ledger.KindBonusGrant: false, ledger.KindBonusRelease: false,
}

// moveScope reports whether refs of a scope name moves, and rollbacks.
func moveScope(scope string) (move, rollback bool) {
	k, _, _ := strings.Cut(scope, ":")
	_, move = moveKinds[ledger.Kind(k)]
	return move, k == string(ledger.KindRollback)
}

// takeMove checks a transfer that is a move of a wallet: it is named, and moves
// money between the accounts that design section 5 says (C3, C13).
func (c *checker) takeMove(t *ledger.Transfer) {
	if fopKinds[t.Kind] {
		c.bought.moved.add(movedBy(t))
		return
	}
	if t.Kind == ledger.KindRemittance || t.Kind == ledger.KindRemittanceShare {
		c.takeRemittance(t)
		return
	}
	inRound, ok := moveKinds[t.Kind]
	if !ok {
		c.violation(C13, "Transfer %s (%s) belongs to no payment.", t.ID, t.Kind)
		return
	}
	if t.Name == "" || t.Project == 0 || t.Customer.IsZero() || inRound == t.Round.IsZero() {
		c.violation(C13, "Transfer %s (%s) lacks its name, project, customer or round, or has a round that it is not part of.", t.ID, t.Kind)
		return
	}
	c.named.add(moveName(t))
	c.hearOf(t)
	who, ok := c.customers[t.Customer]
	if !ok || len(t.Postings) == 0 {
		return // said already
	}
	if !c.moved(t, who, c.played.add) {
		c.violation(C3, "Transfer %s (%s) does not move money between the accounts of customer %s that it must.", t.ID, t.Kind, t.Customer)
	}
}

// moveName is the name under which a move must be found, and what it is of: a
// rollback's is of its round.
func moveName(t *ledger.Transfer) (name, id.Raw) {
	n := name{string(t.Kind) + ":" + strconv.FormatInt(t.Project, 10), t.Name}
	if t.Kind == ledger.KindRollback {
		return n, t.Round.Raw()
	}
	return n, t.ID.Raw()
}

// rollbackName is the name of a rollback that found nothing to undo; false for
// other rounds.
func rollbackName(r *ledger.Round) (name, bool) {
	return name{string(ledger.KindRollback) + ":" + strconv.FormatInt(r.Project, 10), r.RolledBack}, r.RolledBack != "" && r.Rollback.IsZero()
}

// moved reports whether a move's postings are what they must be, and tells what
// they say of its round.
func (c *checker) moved(t *ledger.Transfer, who person, tell func(r id.Round, what string, minor int64)) bool {
	account := func(owner string, p ledger.Purpose) id.Account {
		return ledger.AccountID(t.ID.Bucket(), owner, p, t.Currency())
	}
	available, bonus := account(who.owner, ledger.Available), account(who.owner, ledger.Bonus)
	games, payable := account("house", ledger.Games), account(who.merchant, ledger.Payable)
	type way struct{ debit, credit id.Account }
	ways := map[way]string{}
	switch t.Kind {
	case ledger.KindStake:
		ways = map[way]string{{available, games}: "staked", {bonus, games}: "bonus staked"}
		tell(t.Round, "stakes", 1)
	case ledger.KindWin:
		ways = map[way]string{{games, available}: "won", {games, bonus}: "bonus won"}
		tell(t.Round, "wins", 1)
	case ledger.KindRollback:
		ways = map[way]string{
			{games, available}: "undone staked", {games, bonus}: "undone bonus staked", {available, games}: "undone won", {bonus, games}: "undone bonus won",
		}
		tell(t.Round, "rollback "+t.ID.String()+" "+t.Name, 1)
	case ledger.KindDebit:
		ways = map[way]string{{available, payable}: "", {bonus, payable}: ""}
	case ledger.KindCredit:
		ways = map[way]string{{payable, available}: ""}
	case ledger.KindBonusGrant:
		ways = map[way]string{{payable, bonus}: ""}
	case ledger.KindBonusRelease:
		ways = map[way]string{{bonus, available}: ""}
	case ledger.KindDeposit, ledger.KindLateSuccess, ledger.KindLateCredit,
		ledger.KindRefundReserve, ledger.KindRefundSettle, ledger.KindRefundRelease,
		ledger.KindPayoutReserve, ledger.KindPayoutSettle, ledger.KindPayoutRelease, ledger.KindBonusForfeit, // of payments
		ledger.KindCaptureFOP, ledger.KindRefundFOP, ledger.KindRemittance, ledger.KindRemittanceShare: // of Google
	}
	if !t.Round.IsZero() {
		tell(t.Round, ofRound(t.Project, t.Customer, t.Currency()), 1)
	}
	for pairs := slices.Collect(slices.Chunk(t.Postings, 2)); len(pairs) > 0; pairs = pairs[1:] {
		p := pairs[0]
		if len(p) != 2 || p[0].Minor <= 0 || p[0].Minor != -p[1].Minor || p[0].Currency != p[1].Currency {
			return false
		}
		field, ok := ways[way{p[0].Account, p[1].Account}]
		if !ok || t.Kind != ledger.KindRollback && len(t.Postings) != 2 {
			return false
		}
		if field != "" {
			tell(t.Round, field, p[0].Minor)
		}
	}
	return true
}

// ofRound is what all transfers of a round have in common with it.
func ofRound(project int64, c id.Customer, currency money.Currency) string {
	return fmt.Sprint("of ", project, " ", c, " ", currency)
}

// totals are sums by round and by what is summed, without any being held: each
// amount times a number that follows from both. Equal totals give equal sums,
// and others do not, but by a chance that nobody has.
type totals fingerprint

func (f *totals) add(r id.Round, what string, minor int64) {
	raw := r.Raw()
	sum := sha256.Sum256(append(raw[:], what...))
	for k := range f {
		f[k] += binary.BigEndian.Uint64(sum[8*k:]) * uint64(minor)
	}
}

// judgeRounds: a round has what its transfers have put into it (C3), and is
// rolled back if one of them says so (C5).
func (c *checker) judgeRounds(ctx context.Context) error {
	var rounds totals
	err := c.eachRound(ctx, func(r *ledger.Round) {
		c.judgeRound(r)
		roundSays(r, rounds.add)
		if n, ok := rollbackName(r); ok {
			c.named.add(n, r.ID.Raw())
		}
	})
	if err != nil || rounds == c.played {
		return err
	}
	return c.explainRounds(ctx)
}

func (c *checker) eachRound(ctx context.Context, do func(*ledger.Round)) error {
	all := pages[ledger.Round, id.Round]{scan: c.read.ScanRounds, key: func(r *ledger.Round) id.Round { return r.ID }, take: do}
	return merge(ctx, &all)
}

// roundSays tells what a round's row says of its transfers.
func roundSays(r *ledger.Round, tell func(r id.Round, what string, minor int64)) {
	sums := map[string]int64{"staked": r.Staked, "won": r.Won, "bonus staked": r.BonusStaked, "bonus won": r.BonusWon}
	transfers := r.Stakes + r.Wins
	for what, minor := range sums {
		tell(r.ID, what, minor)
		if !r.Rollback.IsZero() {
			tell(r.ID, "undone "+what, minor)
		}
	}
	tell(r.ID, "stakes", r.Stakes)
	tell(r.ID, "wins", r.Wins)
	if !r.Rollback.IsZero() {
		tell(r.ID, "rollback "+r.Rollback.String()+" "+r.RolledBack, 1)
		transfers++
	}
	if transfers > 0 {
		tell(r.ID, ofRound(r.Project, r.Customer, r.Currency), transfers)
	}
}

// judgeRound checks a round's row by itself.
func (c *checker) judgeRound(r *ledger.Round) {
	if want := ledger.RoundID(r.Project, r.Customer, r.Name); want != r.ID {
		c.violation(C13, "Round %s is not the one of its names: that one is %s.", r.ID, want)
	}
	played := r.Stakes+r.Wins > 0
	if _, ok := c.customers[r.Customer]; !ok && played {
		c.violation(C13, "Round %s is of customer %s, who does not exist.", r.ID, r.Customer)
	}
	switch {
	case played != (r.Currency != ""), !played && r.RolledBack == "":
		c.violation(C5, "Round %s has %d stakes and %d wins in %q, and is rolled back by %q.", r.ID, r.Stakes, r.Wins, r.Currency, r.RolledBack)
	case r.RolledBack == "" && !r.Rollback.IsZero(), r.RolledBack != "" && played == r.Rollback.IsZero():
		c.violation(C5, "Round %s, rolled back by %q, was undone by transfer %q.", r.ID, r.RolledBack, r.Rollback)
	}
}

// explainRounds finds out which rounds differ from their transfers. It holds
// all of them in memory, which a store that is found wrong is worth.
func (c *checker) explainRounds(ctx context.Context) error {
	says := map[id.Round]map[string]int64{}
	tell := func(r id.Round, what string, minor int64) {
		if says[r] == nil {
			says[r] = map[string]int64{}
		}
		says[r][what] += minor
	}
	transfers := pages[ledger.Transfer, id.Transfer]{scan: c.read.ScanTransfers, key: transferKey, take: func(t *ledger.Transfer) {
		if who, ok := c.customers[t.Customer]; ok && !t.Round.IsZero() && len(t.Postings) > 0 {
			c.moved(t, who, tell)
		}
	}}
	if err := merge(ctx, &transfers); err != nil {
		return err
	}
	err := c.eachRound(ctx, func(r *ledger.Round) {
		roundSays(r, func(k id.Round, what string, minor int64) { tell(k, what, -minor) })
		for _, what := range slices.Sorted(maps.Keys(says[r.ID])) {
			if n := says[r.ID][what]; n != 0 {
				c.violation(C3, "Round %s differs from its transfers by %d in what is %s.", r.ID, n, what)
			}
		}
		delete(says, r.ID)
	})
	if err != nil {
		return err
	}
	for _, r := range slices.SortedFunc(maps.Keys(says), id.Round.Compare) {
		c.violation(C13, "Transfers name round %s, which does not exist.", r)
	}
	return nil
}

func transferKey(t *ledger.Transfer) id.Transfer { return t.ID }
