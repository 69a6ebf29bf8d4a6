package flow

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"aorta/internal/book"
	"aorta/internal/due"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/internal/recon"
)

// What Google must hear is a row that the act writes which makes it true, with a due
// row beside it (google-tokenized-fop.md section 4). Its id is the requestId of the
// call, however often that is made, so that Google hears it once.

// Methods of Google's that are told. What they answer with is in their row.
const (
	tellCapture = "captureResultNotification" // always after an asynchronous capture
	tellRefund  = "refundResultNotification"  // only where our answer may have been lost
	tellAccept  = "acceptRemittanceStatement"
	tellChanged = "acceptRemittanceStatementWithModifications"
)

// Google is Google's side of our integrations. Package google implements it.
type Google interface {
	// Tell makes the call of a row: it may have been made before.
	Tell(ctx context.Context, t fop.Told) Heard

	// Lines asks for lines of a statement, from an offset on, under a requestId.
	Lines(ctx context.Context, s fop.Statement, requestID string, most int) (StatementPage, Heard)

	// Contract is what an integration says of statements; false: there is none of that name.
	Contract(integration string) (Contract, bool)
}

// Heard is what became of a call of ours. That it is not known whether Google took it
// is no refusal: the call is made again.
type Heard struct {
	OK       bool
	Again    bool   // not OK, and the same call is to be made again
	Stranger bool   // Google knows neither us nor our key: somebody must look, and the call is made again meanwhile
	Status   int    // HTTP; 0: no answer
	Answer   string // members of the answer without its header, JSON
	Said     string // what was wrong; nothing secret
}

// Contract is what an integration says of statements.
type Contract struct {
	Terms      recon.Terms
	VAT        recon.FeeToVAT // with a ratio, statements are accepted with it
	AckAccepts bool           // to acknowledge a statement was to accept it
}

// caseUntold: Google has refused a call of ours, or has not answered it for days.
const caseUntold = "google_untold"

// SettleAgain settles a case of a call that Google did not take: it is made again.
const SettleAgain = "again"

// Telling is tried for three days, from a second apart to a quarter of an hour.
const (
	tellFor   = 72 * time.Hour
	tellFirst = time.Second
	tellMost  = 15 * time.Minute
)

// tellGoogle has Google hear something of a call or statement, once for each method,
// from this act on. Body are the members of the request.
func tellGoogle(p *book.Page, about id.Raw, integration, account, method string, body any) {
	k := id.Told(id.Derive(p.Bucket(), "told", string(about[:]), method))
	if _, known := p.Told.Get(k); known {
		return
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic("what Google is told are plain values: " + err.Error())
	}
	t := fop.Told{
		ID: k, Subject: about, Integration: integration, Method: method, Account: account, Body: string(text),
		State: fop.ToldWaiting, UntilUS: p.NowUS() + tellFor.Microseconds(), CreatedUS: p.NowUS(), ChangedUS: p.NowUS(),
	}
	p.Told.Put(t)
	p.Due.Get(k.Raw())
	p.Due.Put(due.Now(k.Raw(), due.Tell, p.NowUS(), p.Epoch(), nil))
}

// captureTold is the body of captureResultNotification.
type captureTold struct {
	Account string `json:"paymentIntegratorAccountId"`
	Capture string `json:"captureRequestId"`
	Result  struct {
		Code fop.Result `json:"captureResultCode"`
	} `json:"captureResult"`
	Ours string `json:"paymentIntegratorTransactionId"`
}

// tellCaptured has Google hear how an asynchronous capture ended. It is part of the act
// that ends it, since its result cannot change after that.
func tellCaptured(p *book.Page, c fop.Call) {
	body := captureTold{Account: c.Account, Capture: c.RequestID, Ours: c.ID.String()}
	body.Result.Code = c.Result
	tellGoogle(p, c.ID.Raw(), c.Integration, c.Account, tellCapture, body)
}

// refundTold is the body of refundResultNotification.
type refundTold struct {
	Account string     `json:"paymentIntegratorAccountId"`
	Refund  string     `json:"refundRequestId"`
	Result  fop.Result `json:"refundResult"`
	Ours    string     `json:"paymentIntegratorRefundId"`
}

// RefundUnheard has Google hear how a refund ended, since the answer to it may have been
// lost on its way.
func (f *Flows) RefundUnheard(ctx context.Context, c fop.Call) error {
	if c.Method != fop.Refund || c.State != fop.CallDone {
		return fmt.Errorf("call %s is no refund that has ended", c.ID)
	}
	_, err := book.Do(ctx, f.book, book.Act[struct{}]{
		Name: "google.unheard", Bucket: c.ID.Bucket(), Background: true,
		Decide: func(p *book.Page) (struct{}, error) {
			tellGoogle(p, c.ID.Raw(), c.Integration, c.Account, tellRefund, refundTold{c.Account, c.RequestID, c.Result, c.ID.String()})
			return struct{}{}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("tell of refund %s: %w", c.ID, err)
	}
	return nil
}

// tell makes a call of ours, and books what came of it.
func (f *Flows) tell(ctx context.Context, d due.Due) error {
	t, ok, err := f.read.Told(ctx, id.Told(d.ID))
	if err != nil || !ok {
		return fmt.Errorf("read what Google is told (found %t): %w", ok, err)
	}
	if t.State != fop.ToldWaiting {
		return f.told(ctx, t.ID, Heard{})
	}
	if f.opts.Google == nil {
		return errNoGoogle
	}
	heard := f.opts.Google.Tell(ctx, t)
	if heard.Stranger {
		f.opts.Log.Error("ALARM: Google does not know us: compare keys and accounts", "integration", t.Integration, "account", t.Account, "method", t.Method, "said", heard.Said)
	}
	return f.told(ctx, t.ID, heard)
}

// errNoGoogle: there are rows of an integration that is not configured any more.
var errNoGoogle = errors.New("no integration with Google is configured")

// told books what came of a call.
func (f *Flows) told(ctx context.Context, k id.Told, h Heard) error {
	_, err := book.Do(ctx, f.book, book.Act[struct{}]{
		Name: "google.told", Bucket: k.Bucket(), Background: true,
		Hint: func(p *book.Page) { p.Told.Get(k); p.Due.Get(k.Raw()) },
		Decide: func(p *book.Page) (struct{}, error) {
			t, ok := p.Told.Get(k)
			p.Due.Get(k.Raw())
			if !ok || t.State != fop.ToldWaiting { // somebody else was faster
				p.Due.Delete(k.Raw())
				return struct{}{}, nil
			}
			now := p.NowUS()
			t.Tries, t.Status, t.LastError, t.ChangedUS = t.Tries+1, int64(h.Status), clip(h.Said), now
			next := now + tellPause(k, t.Tries).Microseconds()
			switch {
			case h.OK:
				t.State, t.Answer = fop.ToldHeard, h.Answer
				if err := f.heardBy(p, t); err != nil {
					return struct{}{}, err
				}
			case h.Again && next < t.UntilUS:
				p.Due.Put(due.At(k.Raw(), due.Tell, next))
				p.Told.Put(t)
				return struct{}{}, nil
			case h.Again:
				t.State = fop.ToldGivenUp
				untold(p, t)
			default:
				t.State = fop.ToldRefused
				untold(p, t)
			}
			p.Told.Put(t)
			p.Due.Delete(k.Raw())
			return struct{}{}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("book what became of %s: %w", k, err)
	}
	return nil
}

// heardBy does what follows from Google's having heard.
func (f *Flows) heardBy(p *book.Page, t fop.Told) error {
	if t.Method == tellAccept || t.Method == tellChanged {
		return accepted(p, id.Statement(t.Subject))
	}
	return nil
}

// untold opens the case of a call that Google has not taken.
func untold(p *book.Page, t fop.Told) {
	openAgain(p, caseUntold, t.ID.String(), map[string]any{
		"told": t.ID.String(), "integration": t.Integration, "account": t.Account, "method": t.Method, "body": json.RawMessage(t.Body),
		"state": t.State, "status": t.Status, "said": t.LastError, "tries": t.Tries,
	})
}

// openAgain opens a case, or takes it up again if it was settled.
func openAgain(p *book.Page, kind, about string, details map[string]any) id.Case {
	k := caseKey(p.Bucket(), kind, about)
	if openCase(p, id.Payment{}, id.Customer{}, kind, about, details) {
		return k
	}
	moveCase(p, kind, about, byGoogle, payment.CaseStep{Did: "reopen", To: payment.CaseOpen, Note: "it came again"}, payment.CaseState.Settled)
	if c, ok := p.Cases.Get(k); ok {
		c.Details = string(encoded(details))
		p.Cases.Put(c)
	}
	return k
}

// byGoogle has moved a case that no person moved.
const byGoogle = "google:news"

// maxSaid bounds what is kept of an error, in bytes.
const maxSaid = 500

func clip(s string) string {
	if len(s) > maxSaid {
		return s[:maxSaid]
	}
	return s
}

// tellPause doubles from a second to a quarter of an hour; up to half of it is taken
// away by chance that is the row's own, so that what failed together does not come back
// together.
func tellPause(k id.Told, tries int64) time.Duration {
	raw := k.Raw()
	dice := rand.New(rand.NewPCG(binary.BigEndian.Uint64(raw[8:]), uint64(tries)))
	pause := min(tellFirst<<min(tries-1, 20), tellMost)
	return pause - time.Duration(dice.Int64N(int64(pause/2)))
}

// untoldCase settles a case of a call that Google did not take.
type untoldCase struct {
	page  *book.Page
	about payment.Case
}

func (u untoldCase) row() (fop.Told, error) {
	var details struct {
		Told id.Told `json:"told"`
	}
	if err := json.Unmarshal([]byte(u.about.Details), &details); err != nil || details.Told.Bucket() != u.page.Bucket() {
		return fop.Told{}, no("it names no call")
	}
	t, ok := u.page.Told.Get(details.Told)
	if !ok {
		return t, no("its call is not there")
	}
	return t, nil
}

func (u untoldCase) check(how string) error {
	t, err := u.row()
	switch {
	case how == SettleClose || err != nil:
		return err
	case how != SettleAgain:
		return ErrResolution
	case t.State == fop.ToldHeard:
		return no("Google has heard it meanwhile: close the case")
	}
	return nil
}

// book makes the call again, with three days more, under the same requestId.
func (u untoldCase) book(how string) error {
	t, err := u.row()
	if err != nil || how != SettleAgain {
		return err
	}
	now := u.page.NowUS()
	t.State, t.UntilUS, t.Tries, t.ChangedUS = fop.ToldWaiting, now+tellFor.Microseconds(), 0, now
	u.page.Told.Put(t)
	u.page.Due.Get(t.ID.Raw())
	u.page.Due.Put(due.Now(t.ID.Raw(), due.Tell, now, u.page.Epoch(), nil))
	return nil
}
