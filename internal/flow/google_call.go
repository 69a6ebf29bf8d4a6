package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/project"
)

// A call of Google's is done once under its name, whatever it asks for, and answered as
// it was first (google-tokenized-fop.md section 1.5). Its row, its name and what it does
// are written by one act; an error of that act leaves nothing, so the same call may come
// again and is judged anew.
//
// Names and wallets must lie in one home: the act writes both.

// GoogleCall is one of Google's calls, opened, read and checked by its door.
type GoogleCall struct {
	fop.Name
	Print   string                // its fingerprint; what is kept of it is a keyed hash, since a guess at a code may be in it
	Members func(Answered) string // of its answer, JSON: they are stored. Pure, and may run again
}

// Answered is what a call is answered from.
type Answered struct {
	Call        fop.Call
	Association fop.Association // of one that linked a wallet or refreshed its token
	Limit       money.Amount    // that a declined purchase passes
}

// GoogleTerms are what acts must know of an integration.
type GoogleTerms struct {
	Project   project.Project // whose customers' wallets are linked
	Limits    []fop.Limit     // a currency without one has none
	AsyncTime time.Duration   // how long a purchase waits for the customer
	TokenTime time.Duration   // how long a token is good; 0: for ever
	CodeTime  time.Duration   // how long a code is right

	ExclusionsStop bool // who may not play, excluded or pausing, buys nothing either
}

var (
	// ErrOtherCall: there was another call of that name. Google: 412.
	ErrOtherCall = errors.New("another call was made under this requestId")
	// ErrTokenTaken: the token or the associationId is that of another link. Google: 412.
	ErrTokenTaken = errors.New("the token or associationId is that of another association")
	// ErrNoToken: no link has that token. Google: 404.
	ErrNoToken = errors.New("no such token")
	// ErrNoProof: no such proof, or it is over, used up, or somebody else's. Google: 404.
	ErrNoProof = errors.New("no such proof")
	// ErrNoCode: no code was asked for by that name, or for somebody else. Google: 404.
	ErrNoCode = errors.New("no such code")
	// ErrNoCapture: no such capture. Google: 404.
	ErrNoCapture = errors.New("no such capture")
	// ErrNotCaptured: the capture took no money, or does not yet. Google: 400.
	ErrNotCaptured = errors.New("the capture took no money")
	// ErrOverRefund: less than that is left of the capture, but something. Google: 400.
	ErrOverRefund = errors.New("more than what is left of the capture")
	// ErrOtherCurrency: the capture was in another currency. Google: 400.
	ErrOtherCurrency = errors.New("the capture was in another currency")

	errNoTerms  = errors.New("no such integration with Google")
	errTwoHomes = errors.New("names of Google's calls lie in another home than the wallet")
)

func (f *Flows) terms(integration string) (GoogleTerms, error) {
	if f.opts.Integrations != nil {
		if t, ok := f.opts.Integrations(integration); ok {
			return t, nil
		}
	}
	return GoogleTerms{}, fmt.Errorf("%w: %s", errNoTerms, integration)
}

// CallOf finds a call by its name. That there is none proves nothing.
func (f *Flows) CallOf(ctx context.Context, n fop.Name) (fop.Call, bool, error) {
	k, named, err := f.book.Find(ctx, n.Scope(), n.RequestID)
	if err != nil || !named {
		return fop.Call{}, false, unread(err)
	}
	row, there, err := f.read.from.Call(ctx, id.Call(k))
	return row, there, unread(err)
}

// first gives the call that was made under the name before, if there is one and it is
// the same; ErrOtherCall if it is not.
func (f *Flows) first(ctx context.Context, g GoogleCall) (fop.Call, bool, error) {
	row, there, err := f.CallOf(ctx, g.Name)
	if err != nil || !there {
		return fop.Call{}, false, err
	}
	if row.Name != g.Name || row.Print != f.opts.Vault.Print(g.Print) {
		return fop.Call{}, false, ErrOtherCall
	}
	if mutation == "recapture" && g.Method == fop.CaptureNow {
		return fop.Call{}, false, nil
	}
	return row, true, nil
}

// once does a call by an act of the wallet's bucket, which writes its row and its name,
// and gives it; or what was there before under that name. decide sets what became of it.
func (f *Flows) once(ctx context.Context, g GoogleCall, act string, b id.Bucket, hint func(*book.Page), decide func(*book.Page, *fop.Call) (Answered, error)) (fop.Call, error) {
	key := f.book.RefKey(g.Scope(), g.RequestID)
	if !f.book.SameHome(key.Bucket, b) {
		return fop.Call{}, errTwoHomes
	}
	row, err := book.Do(ctx, f.book, book.Act[fop.Call]{
		Name: act, Bucket: b,
		Hint: func(p *book.Page) {
			p.Refs.Get(key)
			hint(p)
		},
		Decide: func(p *book.Page) (fop.Call, error) {
			if _, ok := p.Refs.Get(key); ok && (mutation != "recapture" || g.Method != fop.CaptureNow) {
				return fop.Call{}, nil
			}
			c := fop.Call{ID: id.Call(p.Mint()), Name: g.Name, Print: f.opts.Vault.Print(g.Print), State: fop.CallDone, CreatedUS: p.NowUS(), ChangedUS: p.NowUS()}
			said, err := decide(p, &c)
			if err != nil {
				return fop.Call{}, err
			}
			said.Call = c
			c.Answer = g.Members(said)
			p.Calls.New(c)
			p.Refs.Put(payment.Ref{RefKey: key, Target: c.ID.Raw()})
			return c, nil
		},
	})
	if err != nil {
		return fop.Call{}, fmt.Errorf("%s: %w", act, err)
	}
	if !row.ID.IsZero() {
		return row, nil
	}
	// A twin was faster. The act that met its name was committed after it.
	row, there, err := f.first(ctx, g)
	if err == nil && !there {
		err = fmt.Errorf("%s: the call of a name is not there", act)
	}
	return row, err
}

// Evidence is how a call says that the customer has just authenticated: on the page that
// Google sent them to, or by a code. The zero Evidence says nothing.
type Evidence struct {
	RequestID string // of the redirect, or of sendOtp
	Digits    string // of the code; empty: it is a redirect's
}

// evidence is what is there of it: one of both, or neither.
type evidence struct {
	proof id.Proof
	code  id.Code
	hash  string // of the digits
}

// findEvidence finds what a call's evidence names: ErrNoProof or ErrNoCode if there is nothing.
func (f *Flows) findEvidence(ctx context.Context, integration string, e Evidence) (evidence, error) {
	switch {
	case e == Evidence{}:
		return evidence{}, nil
	case e.Digits == "":
		k, named, err := f.book.Find(ctx, fop.ProofScope(integration), e.RequestID)
		if err == nil && !named {
			err = ErrNoProof
		}
		return evidence{proof: id.Proof(k)}, err
	}
	sent, there, err := f.CallOf(ctx, fop.Name{Integration: integration, Method: fop.SendOTP, RequestID: e.RequestID})
	if err == nil && (!there || sent.About.IsZero()) {
		err = ErrNoCode
	}
	return evidence{code: id.Code(sent.About), hash: f.opts.Vault.CodeHash(integration, e.RequestID, e.Digits)}, err
}

func (e *evidence) bucket() id.Bucket {
	if !e.proof.IsZero() {
		return e.proof.Bucket()
	}
	return e.code.Bucket()
}

func (e *evidence) none() bool { return e.proof.IsZero() && e.code.IsZero() }

func (e *evidence) hint(p *book.Page) {
	if !e.proof.IsZero() {
		p.Proofs.Get(e.proof)
	}
	if !e.code.IsZero() {
		p.Codes.Get(e.code)
	}
}

// of says whose evidence it is, and for which of their links; zero: for any, or a new one.
func (e *evidence) of(p *book.Page) (id.Customer, id.Association, error) {
	if !e.proof.IsZero() {
		x, ok := p.Proofs.Get(e.proof)
		if !ok || !x.Good(p.NowUS()) {
			return id.Customer{}, id.Association{}, ErrNoProof
		}
		return x.Customer, x.Association, nil
	}
	x, ok := p.Codes.Get(e.code)
	if !ok || x.Customer.IsZero() {
		return id.Customer{}, id.Association{}, ErrNoCode
	}
	return x.Customer, x.Association, nil
}

// about checks that the evidence is of a link's customer: ErrNoProof, ErrNoCode.
func (e *evidence) about(p *book.Page, link fop.Association) error {
	if e.none() {
		return nil
	}
	wrong := ErrNoProof
	if e.proof.IsZero() {
		wrong = ErrNoCode
	}
	if e.bucket() != p.Bucket() {
		return wrong
	}
	who, which, err := e.of(p)
	if err == nil && (who != link.Customer || !which.IsZero() && which != link.ID) {
		err = wrong
	}
	return err
}

// use uses the evidence up for a call. A code that is not right is no error: the guess
// counts, and is the call's result.
func (e *evidence) use(p *book.Page, c *fop.Call) fop.Result {
	if !e.proof.IsZero() {
		x, _ := p.Proofs.Get(e.proof)
		p.Proofs.Put(x.Consume(c.ID, p.NowUS()))
		c.Proven = x.ID.Raw()
		return fop.Success
	}
	if !e.code.IsZero() {
		x, _ := p.Codes.Get(e.code)
		next, result := x.Try(e.hash, c.ID, p.NowUS())
		if next != x {
			p.Codes.Put(next)
		}
		if result != fop.Success {
			return result
		}
		c.Proven = x.ID.Raw()
	}
	return fop.Success
}

// heldAs is the decline of what a customer may not do at all; Success if they may.
func heldAs(row customer.Customer) fop.Result {
	switch row.Restriction {
	case customer.Frozen:
		return fop.AccountOnHold
	case customer.Closed:
		return fop.AccountClosed
	case customer.Unrestricted, customer.CoolOff, customer.SelfExcluded, customer.OperatorExcluded, customer.RegistryExcluded:
	}
	return fop.Success // who does not play may buy elsewhere with what is theirs
}

// linkByToken finds the link of a token, as it was just now: ErrNoToken if there is none.
func (f *Flows) linkByToken(ctx context.Context, integration, token string) (fop.Association, error) {
	k, named, err := f.book.Find(ctx, fop.TokenScope(integration), f.opts.Vault.TokenHash(integration, token))
	switch {
	case err != nil:
		return fop.Association{}, unread(err)
	case !named:
		return fop.Association{}, ErrNoToken
	}
	link, there, err := f.read.from.Association(ctx, id.Association(k))
	if err != nil || !there {
		return fop.Association{}, fmt.Errorf("read association %s (found %t): %w", id.Association(k), there, unread(err))
	}
	return link, nil
}
