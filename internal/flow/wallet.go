package flow

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/project"
)

// WalletMove is what a door knows of a move of a customer's money once it has
// checked it.
type WalletMove struct {
	Project     project.Project
	CustomerID  string       // the merchant's
	TxnID       string       // the caller's name of the move, unique per project and kind
	RoundID     string       // of Stake, Win and Rollback; others have none
	Amount      money.Amount // above zero; of a Rollback what the round has staked, or zero
	Bonus       bool         // Stake, Win, Debit: bonus, in place of what is available
	Description string

	// Told has the act itself write what the move is answered under a key. The same
	// key again is an *AnsweredError, whatever it asks for.
	Told *Told
}

// Moved is what became of a move.
type Moved struct {
	Transfer  ledger.Transfer // its ID is zero where a rollback found nothing to undo
	Available money.Amount    // what the customer has now
	Bonus     money.Amount    // set where the move touches bonus
	Repeat    bool            // the name was known: Transfer is the first one
}

var (
	// ErrInsufficient: the customer has not got so much. Nothing was written.
	ErrInsufficient = ledger.ErrInsufficient
	// ErrTxnConflict: the name is that of another move, or of one with other content.
	ErrTxnConflict = errors.New("txn_id is that of another move")
	// ErrRoundState: the round was rolled back, or is in another currency.
	ErrRoundState = errors.New("the round's state does not allow this")
	// ErrNoWallet: the project keeps no wallets, or no customer is named.
	ErrNoWallet = errors.New("no wallet")
	// ErrAmount: not above zero, or of a rollback not what the round has staked.
	ErrAmount = errors.New("not the amount that it must be")
)

// Debit takes money from the customer, for the merchant. Like all moves it is
// an act of its own: it answers once it is durable, and the same name with the
// same content gives the first transfer.
//
// Errors of all moves: ErrInsufficient, ErrTxnConflict, ErrNoWallet, ErrAmount,
// money.ErrRange; of those in a round ErrRoundState; book.ErrBusy, book.ErrNotRun
// and book.ErrUnknown, after which the same move may be asked for again.
func (f *Flows) Debit(ctx context.Context, m WalletMove) (Moved, error) {
	return f.move(ctx, ledger.KindDebit, m)
}

// Credit gives the customer money of the merchant's.
func (f *Flows) Credit(ctx context.Context, m WalletMove) (Moved, error) {
	m.Bonus = false
	return f.move(ctx, ledger.KindCredit, m)
}

// GrantBonus gives the customer bonus of the merchant's: money to play with,
// which cannot leave until it is released.
func (f *Flows) GrantBonus(ctx context.Context, m WalletMove) (Moved, error) {
	return f.move(ctx, ledger.KindBonusGrant, m)
}

// ReleaseBonus makes bonus the customer's own.
func (f *Flows) ReleaseBonus(ctx context.Context, m WalletMove) (Moved, error) {
	return f.move(ctx, ledger.KindBonusRelease, m)
}

// move is a WalletMove with what follows from it.
type move struct {
	WalletMove
	kind   ledger.Kind
	bucket id.Bucket // the customer's: all of them lies in it
	wallet wallet
	round  id.Round // zero: none

	licence *licence // nil: nothing is counted
	key     payment.RefKey

	// own: the act writes the name itself. Else the name lies in another home and
	// was reserved before, for this transfer; a rollback's, for its round.
	own      bool
	reserved id.Transfer
}

func (f *Flows) move(ctx context.Context, k ledger.Kind, w WalletMove) (Moved, error) {
	m, err := f.moveOf(k, w)
	if err != nil {
		return Moved{}, err
	}
	if m.own = f.book.SameHome(m.key.Bucket, m.bucket); m.own {
		return f.write(ctx, m)
	}
	want := f.book.Mint(m.bucket)
	if k == ledger.KindRollback {
		want = m.round.Raw()
	}
	owner, err := f.book.Reserve(ctx, m.key, want)
	switch {
	case err != nil:
		return Moved{}, fmt.Errorf("reserve txn id: %w", err)
	case k == ledger.KindRollback && owner != want, owner.Bucket() != m.bucket:
		// Even if that one came to nothing: a name stays with whom it was first used for.
		return Moved{}, ErrTxnConflict
	case k != ledger.KindRollback:
		m.reserved = id.Transfer(owner)
	}
	return f.write(ctx, m)
}

func (f *Flows) moveOf(k ledger.Kind, w WalletMove) (move, error) {
	if !w.Project.Wallet || w.CustomerID == "" {
		return move{}, ErrNoWallet
	}
	inRound := k == ledger.KindStake || k == ledger.KindWin || k == ledger.KindRollback
	if w.TxnID == "" || inRound != (w.RoundID != "") {
		return move{}, fmt.Errorf("%s %q in round %q: %w", k, w.TxnID, w.RoundID, errNameless)
	}
	if w.Amount.Minor < 0 || w.Amount.Minor == 0 && k != ledger.KindRollback {
		return move{}, ErrAmount
	}
	m := move{WalletMove: w, kind: k, licence: f.licence(w.Project.ID), bucket: w.Project.PaymentBucket(f.book.Buckets(), "", w.CustomerID)}
	m.wallet = walletOf(m.bucket, w.Project.Payee(w.CustomerID))
	m.key = f.book.RefKey(string(k)+":"+strconv.FormatInt(w.Project.ID, 10), w.TxnID)
	if inRound {
		m.round = ledger.RoundID(w.Project.ID, m.wallet.customer, w.RoundID)
	}
	return m, nil
}

// errNameless: a door let through what it must not: a move without txn_id, or
// with a round where there is none, or none where there must be one.
var errNameless = errors.New("a move is not named as it must be")

// written is what the act of a move answers.
type written struct {
	transfer ledger.Transfer
	currency money.Currency
	held     held
	known    id.Raw    // what the name is of already; zero: the transfer is new
	answered id.Answer // what the key of the call was answered already; zero: nothing
}

func (f *Flows) write(ctx context.Context, m move) (Moved, error) {
	decide := m.decide
	if m.kind == ledger.KindRollback {
		decide = m.rollBack
	}
	if to := m.hearers(f.opts.Endpoints()(m.Project.ID)); len(to) > 0 {
		decide = m.heard(to, decide)
	}
	hint := m.hint
	if m.Told != nil {
		key := f.callKey(m.Told.Call)
		decide, hint = m.telling(key, decide), m.hintTelling(key)
	}
	w, err := book.Do(ctx, f.book, book.Act[written]{Name: moveNames[m.kind], Bucket: m.bucket, Hint: hint, Decide: decide})
	if err != nil {
		return Moved{}, fmt.Errorf("%s: %w", m.kind, err)
	}
	if !w.answered.IsZero() {
		return Moved{}, &AnsweredError{w.answered}
	}
	if !w.known.IsZero() {
		return f.repeat(ctx, m, w.known)
	}
	return w.moved(), nil
}

// moved is what a new transfer is told as.
func (w *written) moved() Moved {
	out := Moved{Transfer: w.transfer, Available: money.Amount{Minor: w.held.available, Currency: w.currency}}
	if w.held.ofBonus {
		out.Bonus = money.Amount{Minor: w.held.bonus, Currency: w.currency}
	}
	return out
}

// moveNames are the names of the acts.
var moveNames = map[ledger.Kind]string{
	ledger.KindStake: "wallet.stake", ledger.KindWin: "wallet.win", ledger.KindRollback: "wallet.rollback", ledger.KindDebit: "wallet.debit",
	ledger.KindCredit: "wallet.credit", ledger.KindBonusGrant: "wallet.bonus_grant", ledger.KindBonusRelease: "wallet.bonus_release",
}

// repeat answers a move whose name is known. The act that said so was committed
// after what it saw, so the first transfer can be read.
func (f *Flows) repeat(ctx context.Context, m move, known id.Raw) (Moved, error) {
	t := ledger.Transfer{Kind: m.kind, Name: m.TxnID, Project: m.Project.ID, Customer: m.wallet.customer, Round: m.round}
	made := id.Transfer(known)
	if m.kind == ledger.KindRollback {
		r, ok, err := f.read.Round(ctx, m.round)
		switch {
		case err != nil || !ok:
			return Moved{}, fmt.Errorf("read round %s (found %t): %w", m.round, ok, err)
		case r.Stakes > 0 && !m.undoes(r):
			return Moved{}, ErrTxnConflict
		}
		made, t.CreatedUS = r.Rollback, r.ChangedUS
		if m.Amount.Currency == "" {
			m.Amount.Currency = r.Currency
		}
	}
	if !made.IsZero() {
		first, ok, err := f.read.Transfer(ctx, made)
		switch {
		case err != nil:
			return Moved{}, fmt.Errorf("read transfer %s: %w", made, err)
		case !ok && m.own && made.Bucket() == m.bucket:
			m.own, m.reserved = false, made // reserved when the buckets lay in two homes: go on with it
			return f.write(ctx, m)
		case !ok || !m.same(first):
			return Moved{}, ErrTxnConflict
		}
		t = first
	}
	out := Moved{Transfer: t, Repeat: true}
	if m.Amount.Currency == "" {
		return out, nil // a tombstone, and nobody has said in what currency
	}
	var err error
	if out.Available, err = f.balance(ctx, m.wallet, ledger.Available, m.Amount.Currency); err != nil {
		return Moved{}, err
	}
	if t.Touches(ledger.AccountID(m.bucket, m.wallet.owner, ledger.Bonus, m.Amount.Currency)) {
		out.Bonus, err = f.balance(ctx, m.wallet, ledger.Bonus, m.Amount.Currency)
	}
	return out, err
}

// same reports whether the first transfer of a name is what is asked for again.
// What it was for, in words, may be said differently.
func (m *move) same(first ledger.Transfer) bool {
	if first.Kind != m.kind || first.Customer != m.wallet.customer || first.Round != m.round {
		return false
	}
	if m.kind == ledger.KindRollback {
		return true // the round was compared
	}
	debit, credit := m.between()
	is := func(p ledger.Posting, n accountName, minor int64) bool {
		return p == ledger.Posting{Account: ledger.AccountID(m.bucket, n.owner, n.purpose, m.Amount.Currency), Currency: m.Amount.Currency, Minor: minor}
	}
	return len(first.Postings) == 2 && is(first.Postings[0], debit, m.Amount.Minor) && is(first.Postings[1], credit, -m.Amount.Minor)
}

// between gives the accounts that a move debits and credits (design section 5).
func (m *move) between() (debit, credit accountName) {
	available, bonus := accountName{m.wallet.owner, ledger.Available}, accountName{m.wallet.owner, ledger.Bonus}
	games := accountName{"house", ledger.Games}
	merchant := func() accountName { return accountName{m.Project.Payee(""), ledger.Payable} }
	purse := available
	if m.Bonus {
		purse = bonus
	}
	switch m.kind {
	case ledger.KindStake:
		return purse, games
	case ledger.KindWin:
		return games, purse
	case ledger.KindDebit:
		return purse, merchant()
	case ledger.KindCredit:
		return merchant(), available
	case ledger.KindBonusGrant:
		return merchant(), bonus
	case ledger.KindBonusRelease:
		return bonus, available
	case ledger.KindRollback, ledger.KindDeposit, ledger.KindLateSuccess, ledger.KindLateCredit,
		ledger.KindRefundReserve, ledger.KindRefundSettle, ledger.KindRefundRelease,
		ledger.KindPayoutReserve, ledger.KindPayoutSettle, ledger.KindPayoutRelease, ledger.KindBonusForfeit,
		ledger.KindCaptureFOP, ledger.KindRefundFOP, ledger.KindRemittance, ledger.KindRemittanceShare:
	}
	return debit, credit
}

// hint names the rows that the act will want.
func (m *move) hint(p *book.Page) {
	if m.own || m.kind != ledger.KindRollback {
		m.known(p)
	}
	if !m.round.IsZero() {
		p.Rounds.Get(m.round)
	}
	m.hintPlay(p)
	p.Accounts.Get(ledger.AccountID(m.bucket, m.wallet.owner, ledger.Available, m.Amount.Currency))
	if debit, credit := m.between(); m.kind != ledger.KindRollback {
		p.Accounts.Get(ledger.AccountID(m.bucket, debit.owner, debit.purpose, m.Amount.Currency))
		p.Accounts.Get(ledger.AccountID(m.bucket, credit.owner, credit.purpose, m.Amount.Currency))
	}
}

// decide is the act of every move but a rollback.
func (m *move) decide(p *book.Page) (written, error) {
	if known := m.known(p); !known.IsZero() {
		return written{known: known}, nil
	}
	var r ledger.Round
	if !m.round.IsZero() {
		var err error
		if r, err = m.join(p); err != nil {
			return written{}, err
		}
	}
	if err := m.play(p); err != nil {
		return written{}, err
	}
	debit, credit := m.between()
	t, h, err := post(p, m.transfer(), m.wallet, m.Amount.Currency, leg{debit, m.Amount.Minor}, leg{credit, -m.Amount.Minor})
	if err != nil {
		return written{}, err
	}
	if !m.round.IsZero() {
		p.Rounds.Put(r)
	}
	if mutation != "nameless" {
		p.Refs.Put(payment.Ref{RefKey: m.name(), Target: t.ID.Raw()})
	}
	return written{transfer: t, currency: m.Amount.Currency, held: h}, nil
}

func (m *move) transfer() ledger.Transfer {
	return ledger.Transfer{
		ID: m.reserved, Kind: m.kind, Project: m.Project.ID, Name: m.TxnID, Round: m.round, Description: m.Description,
	}
}

// name is the ref that the act writes: the caller's, or where that is reserved,
// one that says that the reserved transfer was made. It lies with the customer,
// and keeps a second act from making the transfer again.
func (m *move) name() payment.RefKey {
	if m.own {
		return m.key
	}
	return payment.RefKey{Bucket: m.bucket, Scope: scopeMoved, Text: m.reserved.String()}
}

const scopeMoved = "moved"

// known is what the move's name is of already; zero: nothing.
func (m *move) known(p *book.Page) id.Raw {
	ref, _ := p.Refs.Get(m.name())
	return ref.Target
}

// balance reads what a customer has.
func (f *Flows) balance(ctx context.Context, w wallet, purpose ledger.Purpose, c money.Currency) (money.Amount, error) {
	a, _, err := f.read.Account(ctx, ledger.AccountID(w.customer.Bucket(), w.owner, purpose, c))
	if err != nil {
		return money.Amount{}, fmt.Errorf("read %s account: %w", purpose, err)
	}
	return money.Amount{Minor: -a.Minor, Currency: c}, nil // credit-normal, and zero if there is none
}

// DepositOf gives the transfer by which a payment came into its customer's
// wallet. The payment is named by its id or by the merchant's name of it.
//
// Errors: payment.ErrNoPayment; ErrState while it is not captured; ErrNoWallet
// where its money went to the merchant.
func (f *Flows) DepositOf(ctx context.Context, pr project.Project, paymentID string) (Moved, error) {
	pay, err := f.paymentOf(ctx, pr, paymentID)
	if err != nil {
		return Moved{}, err
	}
	if pay.CapturedMinor == 0 {
		return Moved{}, ErrState
	}
	a, err := f.captured(ctx, pay)
	if err != nil {
		return Moved{}, err
	}
	t, ok, err := f.read.Transfer(ctx, a.Transfer)
	switch {
	case err != nil || !ok:
		return Moved{}, fmt.Errorf("read deposit %s of %s (found %t): %w", a.Transfer, pay.ID, ok, err)
	case t.Customer.IsZero():
		return Moved{}, ErrNoWallet
	}
	available, err := f.balance(ctx, wallet{a.Payee, t.Customer}, ledger.Available, a.Amount.Currency)
	return Moved{Transfer: t, Available: available, Repeat: true}, err
}

// paymentOf finds a project's payment by its id or by the merchant's name.
func (f *Flows) paymentOf(ctx context.Context, pr project.Project, paymentID string) (payment.Payment, error) {
	k, err := id.ParsePayment(paymentID)
	if err != nil {
		return f.Find(ctx, pr, paymentID)
	}
	if int(k.Bucket()) >= f.book.Buckets() {
		return payment.Payment{}, payment.ErrNoPayment
	}
	pay, ok, err := f.read.Payment(ctx, k)
	if err != nil {
		return pay, fmt.Errorf("read payment: %w", err)
	}
	if !ok || pay.ProjectID != pr.ID || pay.Type != payment.TypePurchase {
		return payment.Payment{}, payment.ErrNoPayment
	}
	return pay, nil
}

// Balance is what a customer has in one currency.
type Balance struct {
	Currency                   money.Currency
	Available, Reserved, Bonus int64 // minor units
}

// Balances gives what a customer has, in the order in which the currencies came;
// none for a customer of whom nothing is known.
func (f *Flows) Balances(ctx context.Context, pr project.Project, customerID string) ([]Balance, error) {
	w, list, err := f.currencies(ctx, pr, customerID)
	if err != nil {
		return nil, err
	}
	out := make([]Balance, 0, len(list))
	for _, c := range list {
		b := Balance{Currency: c}
		for purpose, minor := range map[ledger.Purpose]*int64{ledger.Available: &b.Available, ledger.Reserved: &b.Reserved, ledger.Bonus: &b.Bonus} {
			a, err := f.balance(ctx, w, purpose, c)
			if err != nil {
				return nil, err
			}
			*minor = a.Minor
		}
		out = append(out, b)
	}
	return out, nil
}

func (f *Flows) currencies(ctx context.Context, pr project.Project, customerID string) (wallet, []money.Currency, error) {
	if !pr.Wallet || customerID == "" {
		return wallet{}, nil, ErrNoWallet
	}
	w := walletOf(pr.PaymentBucket(f.book.Buckets(), "", customerID), pr.Payee(customerID))
	row, _, err := f.read.Customer(ctx, w.customer)
	if err != nil {
		return w, nil, fmt.Errorf("read customer: %w", err)
	}
	var out []money.Currency
	for _, c := range row.List() {
		out = append(out, money.Currency(c))
	}
	return w, out, nil
}

// CustomerOf gives the id of a project's customer.
func (f *Flows) CustomerOf(pr project.Project, customerID string) id.Customer {
	return customer.KeyOf(pr.PaymentBucket(f.book.Buckets(), "", customerID), strconv.FormatInt(pr.MerchantID, 10), customerID)
}
