// Package ledger is double entry: accounts, and transfers of balanced postings.
// A transfer that does not balance cannot be made, and an account that may not
// go below zero does not.
//
// Sign convention: a posting's Minor is positive for a debit and negative for a
// credit, so a transfer's postings sum to zero per currency and an account's
// Minor is the sum of its postings. Its known weakness: postings to more than
// 16 accounts must be split over several transfers.
package ledger

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"aorta/internal/id"
	"aorta/internal/money"
)

// Purpose is what an account is for (design section 5).
type Purpose string

// The purposes in use so far.
const (
	Available Purpose = "available"  // customer: free wallet money
	Reserved  Purpose = "reserved"   // customer or merchant: held for refunds and payouts under way
	Bonus     Purpose = "bonus"      // customer: what was given to play with, and is not theirs yet
	Payable   Purpose = "payable"    // merchant: shop sales we owe
	Clearing  Purpose = "clearing"   // PSP account: what the PSP holds for us
	RefundDue Purpose = "refund_due" // house: taken after we had declined; must go back or be credited
	Games     Purpose = "games"      // house: what customers have lost, less what they have won

	// Of what is bought by Google, and paid by statements.
	Receivable Purpose = "receivable" // an account of Google's: its claim on us; below zero when refunds prevail
	Transit    Purpose = "transit"    // house: on its way between two buckets; all together nothing
	Bank       Purpose = "bank"       // house: what the bank holds for us
	Revenue    Purpose = "revenue"    // house: fees that are ours
	Taxes      Purpose = "taxes"      // house: owed to the state
	Suspense   Purpose = "suspense"   // house: accepted in a statement without being in our books, or the other way round
	Rounding   Purpose = "rounding"   // house: what is left of rounding to minor units
)

// rule says which side of an account is its normal one, and whether its
// balance may go below zero.
type rule struct {
	debitNormal, mayGoBelow bool
}

var rules = map[Purpose]rule{
	Available: {},
	Reserved:  {},
	Bonus:     {},
	Payable:   {mayGoBelow: true},
	Clearing:  {debitNormal: true, mayGoBelow: true},
	RefundDue: {},
	Games:     {mayGoBelow: true},

	Receivable: {mayGoBelow: true},
	Transit:    {mayGoBelow: true},
	Bank:       {debitNormal: true, mayGoBelow: true},
	Revenue:    {mayGoBelow: true},
	Taxes:      {mayGoBelow: true},
	Suspense:   {mayGoBelow: true},
	Rounding:   {mayGoBelow: true},
}

// Account is one balance: of an owner, for a purpose, in a currency, in a bucket.
type Account struct {
	ID       id.Account
	Owner    string // "psp:paytm:demo", "merchant:200", "customer:200:c1", "house"
	Purpose  Purpose
	Currency money.Currency
	Minor    int64 // sum of the account's postings: debits positive, credits negative

	// Last is set on a customer's available account alone: the newest of the
	// customer's transfers in this currency. Each names the one before it.
	Last id.Transfer
}

// Open gives the account of (bucket, owner, purpose, currency) as it is before
// its first posting. Its id follows from the four, so it needs no look-up.
func Open(b id.Bucket, owner string, p Purpose, c money.Currency) Account {
	return Account{ID: AccountID(b, owner, p, c), Owner: owner, Purpose: p, Currency: c}
}

// AccountID is the id of that account.
func AccountID(b id.Bucket, owner string, p Purpose, c money.Currency) id.Account {
	return id.Account(id.Derive(b, "account", owner, string(p), string(c)))
}

// Balance is the account's balance on its normal side: what a person means.
func (a Account) Balance() int64 {
	if rules[a.Purpose].debitNormal {
		return a.Minor
	}
	return -a.Minor
}

// ErrInsufficient: the posting would take an account below zero. The act must
// refuse what it was asked.
var ErrInsufficient = errors.New("insufficient funds")

// ErrUnbalanced: postings that do not sum to zero. Always a bug.
var ErrUnbalanced = errors.New("transfer does not balance")

// Post gives the account after a posting of minor units (debit positive). It
// answers ErrInsufficient, or money.ErrRange beyond what an account can hold.
func (a Account) Post(minor int64) (Account, error) {
	sum := a.Minor + minor
	if (minor > 0) != (sum > a.Minor) || sum == math.MinInt64 { // the last has no opposite, which Balance needs
		return a, fmt.Errorf("account %s: %w", a.ID, money.ErrRange)
	}
	a.Minor = sum
	if r := rules[a.Purpose]; !r.mayGoBelow && a.Balance() < 0 {
		return a, fmt.Errorf("account %s (%s): %w", a.ID, a.Purpose, ErrInsufficient)
	}
	return a, nil
}

// MayGoBelow reports whether accounts of p may have a negative balance.
func (p Purpose) MayGoBelow() bool { return rules[p].mayGoBelow }

// NeverBelow are the purposes whose accounts are credit-normal and may not have
// a negative balance, in order.
func NeverBelow() []Purpose {
	var out []Purpose
	for p, r := range rules {
		if !r.mayGoBelow && !r.debitNormal {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return out
}

// Known reports whether p is one of the house's purposes.
func (p Purpose) Known() bool { _, ok := rules[p]; return ok }

// Kind is the business reason of a transfer.
type Kind string

// The kinds of transfer in use so far.
const (
	KindDeposit       Kind = "deposit"        // sale settled
	KindLateSuccess   Kind = "late_success"   // captured after our decline: to refund_due
	KindLateCredit    Kind = "late_credit"    // refund_due to the payee, by the project's rule
	KindRefundReserve Kind = "refund_reserve" // refund begun
	KindRefundSettle  Kind = "refund"         // refund done
	KindRefundRelease Kind = "refund_release" // refund failed: back
	KindPayoutReserve Kind = "payout_reserve" // payout begun: available to reserved
	KindPayoutSettle  Kind = "payout_settle"  // payout done: reserved to clearing
	KindPayoutRelease Kind = "payout_release" // payout failed: back
	KindBonusForfeit  Kind = "bonus_forfeit"  // payout begun, and the customer agreed to lose their bonus: bonus to payable

	// The moves of a wallet that its project asks for, each under a name of its own.
	KindStake        Kind = "stake"         // available (or bonus) to games
	KindWin          Kind = "win"           // the reverse
	KindRollback     Kind = "rollback"      // all stakes and wins of a round, the other way
	KindDebit        Kind = "debit"         // available (or bonus) to payable
	KindCredit       Kind = "credit"        // payable to available
	KindBonusGrant   Kind = "bonus_grant"   // payable to bonus
	KindBonusRelease Kind = "bonus_release" // bonus to available

	// Of Google's purchases. A statement is paid by one remittance, and by a share in
	// each bucket that has a part of it.
	KindCaptureFOP      Kind = "capture_fop"      // available to receivable
	KindRefundFOP       Kind = "refund_fop"       // the reverse
	KindRemittance      Kind = "remittance"       // transit to bank, revenue, taxes, suspense and rounding
	KindRemittanceShare Kind = "remittance_share" // receivable to transit
)

// Posting is one side of a transfer.
type Posting struct {
	Account  id.Account
	Currency money.Currency
	Minor    int64 // debit positive, credit negative; never zero
}

// Transfer is a balanced set of postings. It is never changed once made.
type Transfer struct {
	ID        id.Transfer
	Kind      Kind
	Payment   id.Payment   // zero: of no payment, but a move of the wallet
	Operation id.Operation // of the payment
	Postings  []Posting
	CreatedUS int64

	// Of a transfer that touches a customer's accounts; else zero.
	Customer id.Customer
	Prev     id.Transfer // the customer's transfer in this currency before this one

	// Of a move of the wallet; else zero and empty.
	Project     int64    // who asked for it
	Name        string   // and calls it so: txn_id, unique per project and kind
	Round       id.Round // that it is part of
	Description string
}

// Move makes the transfer that debits one account and credits another.
func Move(t id.Transfer, k Kind, debit, credit id.Account, a money.Amount) (Transfer, error) {
	return New(t, k,
		Posting{Account: debit, Currency: a.Currency, Minor: a.Minor},
		Posting{Account: credit, Currency: a.Currency, Minor: -a.Minor})
}

// maxPostings bounds one transfer.
const maxPostings = 16

// New makes a transfer of 2..16 postings in one bucket that sum to zero per
// currency, or answers ErrUnbalanced.
func New(t id.Transfer, k Kind, postings ...Posting) (Transfer, error) {
	if len(postings) < 2 || len(postings) > maxPostings {
		return Transfer{}, fmt.Errorf("%d postings: %w", len(postings), ErrUnbalanced)
	}
	for n, p := range postings {
		if p.Minor == 0 || p.Account.Bucket() != t.Bucket() {
			return Transfer{}, fmt.Errorf("posting %d of zero, or outside bucket %d: %w", n, t.Bucket(), ErrUnbalanced)
		}
	}
	if !Balanced(postings) {
		return Transfer{}, ErrUnbalanced
	}
	return Transfer{ID: t, Kind: k, Postings: postings}, nil
}

// Balanced reports whether the postings sum to zero in each currency.
func Balanced(postings []Posting) bool {
	sums := make(map[money.Currency]int64, 1)
	for _, p := range postings {
		before := sums[p.Currency]
		sum := before + p.Minor
		if (p.Minor > 0) != (sum > before) {
			return false // overflow, or a posting of zero
		}
		sums[p.Currency] = sum
	}
	for _, sum := range sums {
		if sum != 0 {
			return false
		}
	}
	return true
}

// Touches reports whether t posts to an account.
func (t Transfer) Touches(a id.Account) bool {
	for _, p := range t.Postings {
		if p.Account == a {
			return true
		}
	}
	return false
}

// Currency is what the transfer moves.
func (t Transfer) Currency() money.Currency { return t.Postings[0].Currency }

// After reports whether t came after x, as a list of several chains has them:
// by time, and where that is equal by id.
func (t Transfer) After(x Transfer) bool {
	return cmp.Or(cmp.Compare(t.CreatedUS, x.CreatedUS), t.ID.Compare(x.ID)) > 0
}

// EncodePostings writes postings as the stores keep them:
// [["acc_…","INR",250],["acc_…","INR",-250]].
func EncodePostings(postings []Posting) string {
	out := make([]byte, 0, 56*len(postings))
	out = append(out, '[')
	for n, p := range postings {
		if n > 0 {
			out = append(out, ',')
		}
		out = append(out, '[', '"')
		out = append(out, p.Account.String()...)
		out = append(out, '"', ',', '"')
		out = append(out, p.Currency...)
		out = append(out, '"', ',')
		out = strconv.AppendInt(out, p.Minor, 10)
		out = append(out, ']')
	}
	return string(append(out, ']'))
}

// DecodePostings reads what EncodePostings wrote.
func DecodePostings(text string) ([]Posting, error) {
	var rows [][3]json.RawMessage
	if err := json.Unmarshal([]byte(text), &rows); err != nil {
		return nil, fmt.Errorf("postings: %w", err)
	}
	out := make([]Posting, len(rows))
	for n, r := range rows {
		if err := errors.Join(json.Unmarshal(r[0], &out[n].Account), json.Unmarshal(r[1], &out[n].Currency),
			json.Unmarshal(r[2], &out[n].Minor)); err != nil {
			return nil, fmt.Errorf("posting %d: %w", n, err)
		}
	}
	return out, nil
}
