package flow

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/money"
)

// accountName is an account by its parts, before it is known to exist.
type accountName struct {
	owner   string
	purpose ledger.Purpose
}

func (x *application) clearing() accountName { return accountName{x.attempt.PSP(), ledger.Clearing} }

func (x *application) payee() accountName {
	return accountName{x.attempt.Payee, payeePurpose(x.attempt.Payee)}
}

func (x *application) reserved() accountName  { return accountName{x.attempt.Payee, ledger.Reserved} }
func (x *application) refundDue() accountName { return accountName{"house", ledger.RefundDue} }

// payeePurpose: a customer's money is available in the wallet, a merchant's is
// payable by us.
func payeePurpose(owner string) ledger.Purpose {
	if strings.HasPrefix(owner, ofCustomer) {
		return ledger.Available
	}
	return ledger.Payable
}

// ofCustomer begins the owner of a customer's accounts (project.Payee).
const ofCustomer = "customer:"

// transfer moves the attempt's amount between two accounts of the bucket.
func (x *application) transfer(k ledger.Kind, debit, credit accountName) error {
	t := ledger.Transfer{Kind: k, Payment: x.op.Payment, Operation: x.op.ID}
	amount := x.attempt.Amount
	var w wallet
	if owner := x.attempt.Payee; (debit.owner == owner || credit.owner == owner) && strings.HasPrefix(owner, ofCustomer) {
		w = x.wallet()
	}
	t, _, err := post(x.page, t, w, amount.Currency, leg{debit, amount.Minor}, leg{credit, -amount.Minor})
	x.attempt.Transfer = t.ID
	return err
}

// leg is a posting before its account is known to exist.
type leg struct {
	of    accountName
	minor int64 // debit positive, credit negative
}

// wallet is a customer whose accounts a transfer touches; the zero wallet is
// nobody's.
type wallet struct {
	owner    string // of the accounts
	customer id.Customer
}

// wallet is the one that the attempt is of: it must be a customer's.
func (x *application) wallet() wallet {
	if x.whose.owner != x.attempt.Payee {
		x.whose = walletOf(x.page.Bucket(), x.attempt.Payee)
	}
	return x.whose
}

func walletOf(b id.Bucket, owner string) wallet {
	merchant, name := person(owner)
	return wallet{owner, customer.KeyOf(b, merchant, name)}
}

// person gives the merchant and the name of the customer who owns a wallet.
func person(owner string) (merchant, name string) {
	merchant, name, _ = strings.Cut(owner[len(ofCustomer):], ":")
	return merchant, name
}

// held is what a customer has after a transfer that touches their accounts.
type held struct {
	available int64
	bonus     int64
	ofBonus   bool // the transfer touched bonus; else its balance was not looked at
}

// post makes the transfer t of its legs, minting its id unless it has one, and
// changes their accounts; an account that is in several legs is changed once, by
// their sum. Where it touches a wallet, it becomes the newest of the customer's
// transfers in that currency. ledger.ErrInsufficient: nothing may be written.
func post(p *book.Page, t ledger.Transfer, w wallet, c money.Currency, legs ...leg) (ledger.Transfer, held, error) {
	var list [6]ledger.Account // two sides, or a rollback's three, or a statement's six; and available, whose row is the chain's head
	var sums [6]int64
	accounts := list[:0]
	postings := make([]ledger.Posting, 0, len(legs))
	at := func(n accountName) int {
		k := ledger.AccountID(p.Bucket(), n.owner, n.purpose, c)
		i := slices.IndexFunc(accounts, func(a ledger.Account) bool { return a.ID == k })
		if i < 0 {
			i = len(accounts)
			accounts = append(accounts, account(p, k, n, c))
		}
		return i
	}
	for _, l := range legs {
		i := at(l.of)
		var err error
		if sums[i], err = add(sums[i], l.minor); err != nil {
			return t, held{}, fmt.Errorf("%s: %w", t.Kind, err)
		}
		postings = append(postings, ledger.Posting{Account: accounts[i].ID, Currency: c, Minor: l.minor})
	}
	if t.ID.IsZero() {
		t.ID = id.Transfer(p.Mint())
	}
	made, err := ledger.New(t.ID, t.Kind, postings...)
	if err != nil {
		return t, held{}, fmt.Errorf("%s: %w", t.Kind, err)
	}
	t.Postings, t.CreatedUS = made.Postings, p.NowUS()
	head := -1
	if w.owner != "" {
		head = at(accountName{w.owner, ledger.Available})
	}
	for i := range accounts {
		if accounts[i], err = accounts[i].Post(sums[i]); err != nil {
			return t, held{}, fmt.Errorf("%s: %w", t.Kind, err)
		}
	}
	var h held
	if head >= 0 {
		t.Customer, t.Prev = w.customer, accounts[head].Last
		if t.Prev.IsZero() {
			enrol(p, w, c)
		}
		accounts[head].Last = t.ID
		h.available = accounts[head].Balance()
	}
	for _, a := range accounts {
		p.Accounts.Put(a)
		if a.Purpose == ledger.Bonus {
			h.bonus, h.ofBonus = a.Balance(), true
		}
	}
	p.Transfers.Append(t)
	return t, h, nil
}

// add refuses a sum beyond what an account can hold.
func add(a, b int64) (int64, error) {
	sum := a + b
	if (b > 0) != (sum > a) && b != 0 {
		return a, money.ErrRange
	}
	return sum, nil
}

func account(p *book.Page, k id.Account, n accountName, c money.Currency) ledger.Account {
	if a, ok := p.Accounts.Get(k); ok {
		return a
	}
	return ledger.Open(p.Bucket(), n.owner, n.purpose, c)
}

// enrol notes on the customer's row that they have accounts in a currency. So
// all accounts of a customer are found by key, and only the first transfer in a
// currency touches the row.
func enrol(p *book.Page, w wallet, c money.Currency) {
	p.Customers.Put(customerOn(p, w).With(string(c)))
}

// customerOn gives the row of a wallet's owner, as it will be if it is not there yet.
func customerOn(p *book.Page, w wallet) customer.Customer {
	row, ok := p.Customers.Get(w.customer)
	if !ok {
		merchant, name := person(w.owner)
		number, err := strconv.ParseInt(merchant, 10, 64)
		if err != nil {
			panic("flow: the owner of a wallet is not one: " + w.owner)
		}
		row = customer.Customer{ID: w.customer, MerchantID: number, Name: name, CreatedUS: p.NowUS()}
	}
	return row
}
