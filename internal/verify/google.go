package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"aorta/internal/due"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/payment"
)

// What Google has bought from linked wallets is said twice: by its calls, and by the
// transfers that they made (decision 028). Sets are compared by their fingerprints.
type bought struct {
	said, moved    fingerprint // what calls say of transfers, and transfers of calls
	used, consumed fingerprint // what calls say of proofs and codes, and these of calls
	ended, told    fingerprint // how purchases ended that had waited, and what Google is told of them

	captures map[id.Call]refunds // of which there are refunds
	links    map[id.Customer]opened
	spent    map[id.Association]waits
}

// refunds are what a capture's row says was given back, and what its refunds say.
type refunds struct{ row, sum int64 }

// opened are the open links of a customer, as their row counts them, and as there are.
type opened struct{ row, links int64 }

// waits are the purchases of a link that wait, as its row counts them, and as there are.
type waits struct{ row, calls int64 }

func newBought() bought {
	return bought{captures: map[id.Call]refunds{}, links: map[id.Customer]opened{}, spent: map[id.Association]waits{}}
}

// tell adds what is said of a key.
func tell[K comparable, V any](m map[K]V, k K, change func(*V)) {
	v := m[k]
	change(&v)
	m[k] = v
}

const (
	scopeGoogle      = "google:"
	scopeToken       = "gpt:"
	scopeAssociation = "association:"
	scopeProof       = "proof:"
)

// googleScope reports whether refs of a scope name rows of Google's.
func googleScope(scope string) bool {
	for _, p := range []string{scopeGoogle, scopeToken, scopeAssociation, scopeProof} {
		if strings.HasPrefix(scope, p) {
			return true
		}
	}
	return false
}

// takeGoogleRef notes the name of a row of Google's, unless it is a proof that came to
// nothing after its name was reserved.
func (c *checker) takeGoogleRef(ctx context.Context, r payment.Ref) error {
	if c.opts.Homes && strings.HasPrefix(r.Scope, scopeProof) {
		_, made, err := c.read.Proof(ctx, id.Proof(r.Target))
		if err != nil {
			return fmt.Errorf("read what a name is of: %w", err)
		}
		if !made {
			return nil
		}
	}
	c.refs.add(name{r.Scope, r.Text}, r.Target)
	return nil
}

func callName(x *fop.Call) name { return name{x.Scope(), x.RequestID} }

// linkNames are the two names of a link.
func linkNames(x *fop.Association) [2]name {
	return [2]name{{fop.TokenScope(x.Integration), x.TokenHash}, {fop.AssociationScope(x.Integration), x.Name}}
}

func proofName(x *fop.Proof) name { return name{fop.ProofScope(x.Integration), x.Name} }

// fopKinds are the transfers that calls make.
var fopKinds = map[ledger.Kind]bool{ledger.KindCaptureFOP: true, ledger.KindRefundFOP: true}

// movedBy is what a transfer says of the call that made it.
func movedBy(t *ledger.Transfer) (name, id.Raw) {
	return name{string(t.Kind) + " " + t.Name, t.Customer.String() + ledger.EncodePostings(t.Postings)}, t.ID.Raw()
}

// movesOf is what a call says of its transfer: just its amount, between the wallet of its
// customer and the account of Google's that it named.
func (c *checker) movesOf(x *fop.Call) (name, id.Raw) {
	kind := ledger.KindCaptureFOP
	wallet := ledger.AccountID(x.ID.Bucket(), c.customers[x.Customer].owner, ledger.Available, x.Amount.Currency)
	google := ledger.AccountID(x.ID.Bucket(), scopeGoogle+x.Integration+":"+x.Account, ledger.Receivable, x.Amount.Currency)
	debit, credit := wallet, google
	if x.Method == fop.Refund {
		kind, debit, credit = ledger.KindRefundFOP, google, wallet
	}
	postings := []ledger.Posting{
		{Account: debit, Currency: x.Amount.Currency, Minor: x.Amount.Minor}, {Account: credit, Currency: x.Amount.Currency, Minor: -x.Amount.Minor},
	}
	return name{string(kind) + " " + x.ID.String(), x.Customer.String() + ledger.EncodePostings(postings)}, x.Transfer.Raw()
}

// takeCall: a call moved money once if its result says so, and never else (C3); what was
// given back of a capture is what its refunds say, and no more than it took (C3).
func (c *checker) takeCall(x *fop.Call) {
	c.named.add(callName(x), x.ID.Raw())
	awaited := c.isDue(x.ID.Raw(), due.Purchase)
	moved := !x.Transfer.IsZero()
	switch x.State {
	case fop.CallDone:
		if awaited {
			c.violation(C11, "Call %s is done, and work waits for it.", x.ID)
		}
		if x.Method == fop.CaptureLater {
			c.bought.ended.add(name{"told", string(x.Result)}, x.ID.Raw())
		}
	case fop.CallBegun:
		if x.Method != fop.SendOTP || x.Result != "" || x.Answer != "" || x.About.IsZero() || moved {
			c.violation(C5, "Call %s (%s) has no answer yet, and the result %q.", x.ID, x.Method, x.Result)
		}
	case fop.CallWaiting:
		if x.Method != fop.CaptureLater || x.Result != "" || moved {
			c.violation(C5, "Call %s (%s) waits, with the result %q.", x.ID, x.Method, x.Result)
		}
		if !awaited {
			c.violation(C11, "Purchase %s waits for its customer, and nothing will end it: it has no due row.", x.ID)
		}
		tell(c.bought.spent, x.Association, func(w *waits) { w.calls++ })
	default:
		c.violation(C5, "Call %s is in state %q, which does not exist.", x.ID, x.State)
	}
	money := x.Purchase() || x.Method == fop.Refund
	if done := x.State == fop.CallDone && x.Result == fop.Success && money; done != moved {
		c.violation(C3, "Call %s (%s) ended with %q, and has the transfer %q.", x.ID, x.Method, x.Result, x.Transfer)
	}
	if moved {
		c.bought.said.add(c.movesOf(x))
	}
	if !x.Proven.IsZero() {
		c.bought.used.add(name{"proven", x.ID.String()}, x.Proven)
	}
	switch {
	case x.RefundedMinor < 0 || x.RefundedMinor > x.Amount.Minor || x.RefundedMinor > 0 && !x.Captured():
		c.violation(C3, "Call %s of %d minor units had %d given back.", x.ID, x.Amount.Minor, x.RefundedMinor)
	case x.RefundedMinor > 0:
		tell(c.bought.captures, x.ID, func(r *refunds) { r.row = x.RefundedMinor })
	case x.Method == fop.Refund && moved:
		tell(c.bought.captures, id.Call(x.About), func(r *refunds) { r.sum += x.Amount.Minor })
	}
	if _, ok := c.customers[x.Customer]; !x.Customer.IsZero() && !ok {
		c.violation(C13, "Call %s is about customer %s, who does not exist.", x.ID, x.Customer)
	}
}

// takeAssociation: a link is of a customer, and its token is a secret (C10).
func (c *checker) takeAssociation(x *fop.Association) {
	for _, n := range linkNames(x) {
		c.named.add(n, x.ID.Raw())
	}
	if _, ok := c.customers[x.Customer]; !ok {
		c.violation(C13, "Association %s is of customer %s, who does not exist.", x.ID, x.Customer)
	}
	switch x.State {
	case fop.AssociationActive:
		tell(c.bought.links, x.Customer, func(o *opened) { o.links++ })
	case fop.AssociationClosed:
	default:
		c.violation(C5, "Association %s is in state %q, which does not exist.", x.ID, x.State)
	}
	if (x.State == fop.AssociationClosed) != (x.ClosedUS != 0) || (x.Reason != "") != (x.ClosedUS != 0) {
		c.violation(C5, "Association %s is %s, by %q at %d.", x.ID, x.State, x.Reason, x.ClosedUS)
	}
}

func (c *checker) takeProof(x *fop.Proof) {
	c.named.add(proofName(x), x.ID.Raw())
	if (x.State == fop.ProofConsumed) != !x.Call.IsZero() {
		c.violation(C5, "Proof %s is %s, by call %q.", x.ID, x.State, x.Call)
	}
	if !x.Call.IsZero() {
		c.bought.consumed.add(name{"proven", x.Call.String()}, x.ID.Raw())
	}
}

func (c *checker) takeCode(x *fop.Code) {
	waits := c.isDue(x.ID.Raw(), due.Code)
	if waits != (x.State == fop.CodeBegun) {
		c.violation(C11, "Code %s is %s, and whether something will end its sending: %t.", x.ID, x.State, waits)
	}
	if x.TriesLeft < 0 || x.TriesLeft > fop.CodeTries || !strings.HasPrefix(x.Hash, "1:") {
		c.violation(C5, "Code %s has %d tries left, or no keyed hash.", x.ID, x.TriesLeft)
	}
	if (x.State == fop.CodeUsed) != !x.Used.IsZero() {
		c.violation(C5, "Code %s is %s, by call %q.", x.ID, x.State, x.Used)
	}
	if !x.Used.IsZero() {
		c.bought.consumed.add(name{"proven", x.Used.String()}, x.ID.Raw())
	}
}

// takeTold: what Google must hear is told until it was heard (C11).
func (c *checker) takeTold(x *fop.Told) {
	if waits := c.isDue(x.ID.Raw(), due.Tell); waits != (x.State == fop.ToldWaiting) {
		c.violation(C11, "What Google must hear, %s, is %s, and whether it is due: %t.", x.ID, x.State, waits)
	}
	if x.Method != tellsCapture {
		return
	}
	result, err := captureTold(x)
	if err != nil {
		c.violation(C13, "What Google must hear, %s, cannot be read: %v.", x.ID, err)
	}
	c.bought.told.add(name{"told", result}, x.Subject)
}

// tellsCapture is the method of Google's that is told how a purchase ended that had waited.
const tellsCapture = "captureResultNotification"

// captureTold is what Google is told of a purchase.
func captureTold(x *fop.Told) (string, error) {
	var body struct {
		Result struct {
			Code string `json:"captureResultCode"`
		} `json:"captureResult"`
	}
	err := json.Unmarshal([]byte(x.Body), &body)
	return body.Result.Code, err
}

// judgeBought: what calls say is what transfers, refunds, proofs and links say (C3, C13).
func (c *checker) judgeBought(ctx context.Context) error {
	linked := pages[fop.Linked, id.Raw]{scan: c.read.ScanLinked, key: func(x *fop.Linked) id.Raw { return x.ID }, take: func(x *fop.Linked) {
		if x.ID != fop.LinkedID(x.Customer) {
			c.violation(C13, "What customer %s has of links lies elsewhere.", x.Customer)
		}
		if _, err := fop.DecodeSendings(x.Codes); err != nil || (x.Phone == "") != (x.PhoneHash == "") || strings.HasPrefix(x.Phone, "+") {
			c.violation(C10, "The phone of customer %s is not sealed and hashed, or when codes were sent cannot be read: %v.", x.Customer, err)
		}
		tell(c.bought.links, x.Customer, func(o *opened) { o.row = x.Open })
	}}
	spent := pages[fop.Spent, id.Raw]{scan: c.read.ScanSpent, key: func(x *fop.Spent) id.Raw { return x.ID }, take: func(x *fop.Spent) {
		if _, err := fop.DecodeSums(x.Sums); err != nil || x.ID != fop.SpentID(x.Association) {
			c.violation(C13, "What was bought with association %s cannot be read, or lies elsewhere: %v.", x.Association, err)
		}
		tell(c.bought.spent, x.Association, func(w *waits) { w.row = x.Waiting })
	}}
	for _, s := range []stream{&linked, &spent} {
		if err := merge(ctx, s); err != nil {
			return err
		}
	}
	for _, k := range sortedKeys(c.bought.captures) {
		if r := c.bought.captures[k]; r.row != r.sum {
			c.violation(C3, "Capture %s says that %d minor units were given back; its refunds say %d.", k, r.row, r.sum)
		}
	}
	for _, k := range sortedKeys(c.bought.links) {
		if o := c.bought.links[k]; o.row != o.links {
			c.violation(C13, "Customer %s has %d open links; their row counts %d.", k, o.links, o.row)
		}
	}
	for _, k := range sortedKeys(c.bought.spent) {
		if w := c.bought.spent[k]; w.row != w.calls {
			c.violation(C13, "Association %s has %d purchases that wait; its row counts %d.", k, w.calls, w.row)
		}
	}
	if c.bought.used != c.bought.consumed {
		if err := c.explainProven(ctx); err != nil {
			return err
		}
	}
	if c.bought.ended != c.bought.told {
		if err := c.explainTold(ctx); err != nil {
			return err
		}
	}
	if c.bought.said != c.bought.moved {
		return c.explainBought(ctx)
	}
	return nil
}

// explainTold finds the purchases that waited of whose end Google is not told, once.
func (c *checker) explainTold(ctx context.Context) error {
	told := map[id.Raw]string{}
	news := pages[fop.Told, id.Told]{scan: c.read.ScanTold, key: func(x *fop.Told) id.Told { return x.ID }, take: func(x *fop.Told) {
		if x.Method != tellsCapture {
			return
		}
		if _, twice := told[x.Subject]; twice {
			c.violation(C6, "Google is told twice of purchase %s.", id.Call(x.Subject))
		}
		told[x.Subject], _ = captureTold(x) // what cannot be read is reported
	}}
	if err := merge(ctx, &news); err != nil {
		return err
	}
	calls := pages[fop.Call, id.Call]{scan: c.read.ScanCalls, key: func(x *fop.Call) id.Call { return x.ID }, take: func(x *fop.Call) {
		if x.Method != fop.CaptureLater || x.State != fop.CallDone {
			return
		}
		if told[x.ID.Raw()] != string(x.Result) {
			c.violation(C6, "Purchase %s has ended with %q, and Google is told %q.", x.ID, x.Result, told[x.ID.Raw()])
		}
		delete(told, x.ID.Raw())
	}}
	if err := merge(ctx, &calls); err != nil {
		return err
	}
	for k, result := range told {
		c.violation(C6, "Google is told %q of %s, which is no purchase that has ended.", result, rawText(k))
	}
	return nil
}

// explainBought finds the calls whose transfers are not what they say, and transfers of
// no call. It holds all in memory, which a store that is found wrong is worth.
func (c *checker) explainBought(ctx context.Context) error {
	made := map[name]id.Raw{}
	transfers := pages[ledger.Transfer, id.Transfer]{scan: c.read.ScanTransfers, key: transferKey, take: func(t *ledger.Transfer) {
		if !fopKinds[t.Kind] {
			return
		}
		n, k := movedBy(t)
		if first, twice := made[n]; twice {
			c.violation(C3, "Transfers %s and %s (%s) move the money of one call of Google's.", id.Transfer(first), t.ID, n.scope)
			return
		}
		made[n] = k
	}}
	if err := merge(ctx, &transfers); err != nil {
		return err
	}
	calls := pages[fop.Call, id.Call]{scan: c.read.ScanCalls, key: func(x *fop.Call) id.Call { return x.ID }, take: func(x *fop.Call) {
		if x.Transfer.IsZero() {
			return
		}
		n, k := c.movesOf(x)
		if made[n] != k {
			c.violation(C3, "Call %s (%s) of %d minor units has not made just that transfer: %s.", x.ID, x.Method, x.Amount.Minor, x.Transfer)
			return
		}
		delete(made, n)
	}}
	if err := merge(ctx, &calls); err != nil {
		return err
	}
	for n, k := range made {
		c.violation(C3, "Transfer %s (%s) is of no call of Google's, or not as that says.", id.Transfer(k), n.scope)
	}
	return nil
}

// explainProven finds the proofs and codes that were not used up just once.
func (c *checker) explainProven(ctx context.Context) error {
	used := map[id.Raw]id.Call{}
	calls := pages[fop.Call, id.Call]{scan: c.read.ScanCalls, key: func(x *fop.Call) id.Call { return x.ID }, take: func(x *fop.Call) {
		if x.Proven.IsZero() {
			return
		}
		if by, twice := used[x.Proven]; twice {
			c.violation(C3, "Calls %s and %s have used up the same proof %s.", by, x.ID, rawText(x.Proven))
		}
		used[x.Proven] = x.ID
	}}
	if err := merge(ctx, &calls); err != nil {
		return err
	}
	check := func(k id.Raw, by id.Call) {
		if used[k] != by {
			c.violation(C3, "Proof or code %s says that call %q has used it up; of calls, %q says so.", rawText(k), by, used[k])
		}
		delete(used, k)
	}
	proofs := pages[fop.Proof, id.Proof]{scan: c.read.ScanProofs, key: func(x *fop.Proof) id.Proof { return x.ID }, take: func(x *fop.Proof) { check(x.ID.Raw(), x.Call) }}
	codes := pages[fop.Code, id.Code]{scan: c.read.ScanCodes, key: func(x *fop.Code) id.Code { return x.ID }, take: func(x *fop.Code) { check(x.ID.Raw(), x.Used) }}
	if err := merge(ctx, &proofs, &codes); err != nil {
		return err
	}
	for k, by := range used {
		c.violation(C13, "Call %s has used up %s, which does not exist.", by, rawText(k))
	}
	return nil
}

// explainGoogle checks the names of calls, links and proofs.
func (c *checker) explainGoogle(ctx context.Context, check func(string, name, id.Raw)) error {
	return merge(
		ctx,
		&pages[fop.Call, id.Call]{scan: c.read.ScanCalls, key: func(x *fop.Call) id.Call { return x.ID }, take: func(x *fop.Call) {
			check("Call "+x.ID.String(), callName(x), x.ID.Raw())
		}},
		&pages[fop.Association, id.Association]{scan: c.read.ScanAssociations, key: func(x *fop.Association) id.Association { return x.ID }, take: func(x *fop.Association) {
			for _, n := range linkNames(x) {
				check("Association "+x.ID.String(), n, x.ID.Raw())
			}
		}},
		&pages[fop.Proof, id.Proof]{scan: c.read.ScanProofs, key: func(x *fop.Proof) id.Proof { return x.ID }, take: func(x *fop.Proof) {
			check("Proof "+x.ID.String(), proofName(x), x.ID.Raw())
		}},
	)
}

// sortedKeys are a map's keys in order.
func sortedKeys[K id.Kind, V any](m map[id.Of[K]]V) []id.Of[K] {
	out := make([]id.Of[K], 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.SortFunc(out, id.Of[K].Compare)
	return out
}
