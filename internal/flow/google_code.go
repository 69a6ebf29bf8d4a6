package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/internal/sms"
)

// A code leaves between two acts. The first writes the call, which has no answer yet, its
// name, the code, and a due row for the case that this process dies; the second writes
// the answer. In between nobody knows whether the phone got the code: so one that was
// begun is never sent again, and whoever finds it so takes it for sent. Only what the
// gateway certainly did not take leaves nothing, and may come again; the digits follow
// from the request's name and the master key, so that even then the same ones are sent
// (google-tokenized-fop.md sections 1.5, 3.2 and 5.1).

// Codes are by whom and how codes are sent.
type Codes struct {
	Sender          sms.Sender // nil: by nobody
	Text            sms.Text   // what a message says
	PerHour, PerDay int64      // to one customer; 0 means DefaultPerHour and DefaultPerDay
}

// How many codes one customer gets at most, unless the configuration says otherwise.
const (
	DefaultPerHour = 5
	DefaultPerDay  = 10
)

var (
	// ErrCodeUnderWay: the same request is being done, and will soon have an answer. Google: 409.
	ErrCodeUnderWay = errors.New("the code is being sent")
	// ErrCodeNotSent: the gateway did not take the message, so the same request may come again. Google: 503.
	ErrCodeNotSent = errors.New("the code could not be given to the SMS gateway")
	// ErrNoAssociation: no link has that associationId. Google: 404.
	ErrNoAssociation = errors.New("no such association")
)

// SendingCode is a call to send a customer a code.
type SendingCode struct {
	GoogleCall
	Phone       customer.Phone // whose wallet is to be linked; zero with an Association, else nobody's
	Association string         // associationId of a link that there is; empty: it is the first one
	Matching    string         // a matching token: sms.IsToken
}

// SendCode sends a code (sendOtp): once, however often it is asked by that name. A number
// that is nobody's, or that two customers have, is declined; so is who may not have their
// wallet used, and who got too many codes of late.
//
// Errors: ErrOtherCall, ErrCodeUnderWay, ErrCodeNotSent, ErrNoAssociation, sms.ErrToken;
// those of the book, after which the same may come again.
func (f *Flows) SendCode(ctx context.Context, s SendingCode) (fop.Call, error) {
	if row, known, err := f.first(ctx, s.GoogleCall); err != nil || known {
		return f.codeOf(ctx, s.GoogleCall, row, err)
	}
	terms, err := f.terms(s.Integration)
	if err != nil {
		return fop.Call{}, err
	}
	x := sending{SendingCode: s, terms: terms}
	found, err := x.find(ctx, f)
	switch {
	case err != nil:
		return fop.Call{}, err
	case !found:
		return f.declineCode(ctx, &x, f.book.RefKey(s.Scope(), s.RequestID).Bucket, fop.InvalidPhoneNumber)
	}
	text, err := f.opts.Codes.Text.Fill(f.opts.Vault.Digits(s.Integration, s.RequestID), s.Matching)
	if err != nil {
		return fop.Call{}, fmt.Errorf("send a code: %w", err)
	}
	began, err := f.beginCode(ctx, &x)
	switch {
	case err != nil:
		return fop.Call{}, fmt.Errorf("send a code: %w", err)
	case began.named: // by a twin
		row, known, err := f.first(ctx, s.GoogleCall)
		if err == nil && !known {
			err = ErrCodeUnderWay // and the gateway did not take it
		}
		return f.codeOf(ctx, s.GoogleCall, row, err)
	case began.declined != "":
		return f.declineCode(ctx, &x, x.code.Bucket(), began.declined)
	}
	out := f.giveToGateway(ctx, sms.Message{To: x.to, Text: text, Life: terms.CodeTime})
	ctx = context.WithoutCancel(ctx) // the message is out, whoever waits for the answer
	if out.Kind == sms.NotSent {
		gone, err := f.takeBack(ctx, s.GoogleCall, began.call)
		if err != nil {
			return fop.Call{}, err
		}
		if gone {
			return fop.Call{}, ErrCodeNotSent
		}
	}
	return f.codeSent(ctx, s.GoogleCall, began.call, out, false)
}

// codeOf is the answer of a call that is there. One that has none yet is being done, or
// was by a process that has died.
func (f *Flows) codeOf(ctx context.Context, g GoogleCall, row fop.Call, err error) (fop.Call, error) {
	if err != nil || row.State != fop.CallBegun {
		return row, err
	}
	return f.codeSent(ctx, g, row, sms.Outcome{Kind: sms.Unknown}, true)
}

// sending is a code on its way.
type sending struct {
	SendingCode
	terms GoogleTerms
	mine  fop.Linked     // as it was just now: whose code it is and where it goes
	link  id.Association // that it is for; zero: the first one
	to    customer.Phone
	code  id.Code
}

// find says whose code it is; false if the number is nobody's alone. ErrNoAssociation.
func (x *sending) find(ctx context.Context, f *Flows) (bool, error) {
	if x.Association == "" {
		if x.Phone.IsZero() {
			return false, nil
		}
		list, err := f.read.from.LinkedByPhone(ctx, f.opts.Vault.PhoneHash(x.terms.Project.MerchantID, x.Phone.Reveal()), 2)
		if err != nil || len(list) != 1 {
			return false, unread(err)
		}
		x.mine, x.to = list[0], x.Phone
	} else {
		k, named, err := f.book.Find(ctx, fop.AssociationScope(x.Integration), x.Association)
		if err != nil || !named {
			return false, orNoAssociation(err)
		}
		link, there, err := f.read.from.Association(ctx, id.Association(k))
		if err != nil || !there {
			return false, orNoAssociation(err)
		}
		x.link = link.ID
		if x.mine, there, err = f.read.from.Linked(ctx, fop.LinkedID(link.Customer)); err != nil || !there {
			return false, fmt.Errorf("read what a customer has of links (found %t): %w", there, unread(err))
		}
		if x.mine.Phone != "" {
			number, err := f.opts.Vault.Open(x.mine.Phone, fop.PhonePlace(x.mine.ID))
			if err == nil {
				x.to, err = customer.ParsePhone(number)
			}
			if err != nil {
				return false, fmt.Errorf("the phone of customer %s: %w", x.mine.Customer, err)
			}
		}
	}
	x.code = fop.CodeID(x.mine.Customer.Bucket(), x.Integration, x.RequestID)
	return true, nil
}

func orNoAssociation(err error) error {
	if err == nil {
		return ErrNoAssociation
	}
	return unread(err)
}

// begunCode is what the first act has found or made.
type begunCode struct {
	named    bool       // the name is taken meanwhile
	declined fop.Result // not empty: no code is sent
	call     fop.Call
}

// beginCode makes the rows of a code that is to be sent.
func (f *Flows) beginCode(ctx context.Context, x *sending) (begunCode, error) {
	key := f.book.RefKey(x.Scope(), x.RequestID)
	if !f.book.SameHome(key.Bucket, x.code.Bucket()) {
		return begunCode{}, errTwoHomes
	}
	hash := f.opts.Vault.CodeHash(x.Integration, x.RequestID, f.opts.Vault.Digits(x.Integration, x.RequestID))
	return book.Do(ctx, f.book, book.Act[begunCode]{
		Name: "code.begin", Bucket: x.code.Bucket(),
		Hint: func(p *book.Page) {
			p.Refs.Get(key)
			p.Codes.Get(x.code)
			p.Due.Get(x.code.Raw())
			p.Customers.Get(x.mine.Customer)
			p.Linked.Get(x.mine.ID)
			if !x.link.IsZero() {
				p.Associations.Get(x.link)
			}
		},
		Decide: func(p *book.Page) (begunCode, error) {
			if _, ok := p.Refs.Get(key); ok {
				return begunCode{named: true}, nil
			}
			_, again := p.Codes.Get(x.code) // of a sending that the gateway did not take
			mine, result, err := f.mayHaveCode(p, x, again)
			if err != nil || result != fop.Success {
				return begunCode{declined: result}, err
			}
			c := fop.Call{
				ID: id.Call(p.Mint()), Name: x.Name, Print: f.opts.Vault.Print(x.Print), State: fop.CallBegun,
				Customer: mine.Customer, Association: x.link, About: x.code.Raw(), CreatedUS: p.NowUS(), ChangedUS: p.NowUS(),
			}
			p.Calls.New(c)
			p.Refs.Put(payment.Ref{RefKey: key, Target: c.ID.Raw()})
			p.Linked.Put(mine)
			p.Codes.Put(fop.Code{
				ID: x.code, Customer: mine.Customer, Association: x.link, Call: c.ID, Integration: x.Integration, Name: x.RequestID,
				State: fop.CodeBegun, Hash: hash, TriesLeft: fop.CodeTries, UntilUS: p.NowUS() + x.terms.CodeTime.Microseconds(),
				CreatedUS: p.NowUS(), ChangedUS: p.NowUS(),
			})
			p.Due.Get(x.code.Raw())
			p.Due.Put(due.At(x.code.Raw(), due.Code, p.NowUS()+due.LeaseUS))
			return begunCode{call: c}, nil
		},
	})
}

// mayHaveCode says whether a customer may be sent a code now, and gives their row with
// this one counted: one that failed was counted when it was begun.
func (f *Flows) mayHaveCode(p *book.Page, x *sending, again bool) (fop.Linked, fop.Result, error) {
	mine, _ := p.Linked.Get(x.mine.ID)
	who, known := p.Customers.Get(x.mine.Customer)
	if !known {
		return mine, "", fmt.Errorf("customer %s, who has a phone, is not there", x.mine.Customer)
	}
	if !x.link.IsZero() {
		link, _ := p.Associations.Get(x.link)
		r := closedAs(link)
		if r == fop.TokenInvalidated { // sendOtp has no such result
			r = fop.AccountClosed
		}
		if r != fop.Success {
			return mine, r, nil
		}
	}
	switch r := heldAs(who); {
	case r != fop.Success:
		return mine, r, nil
	case f.opts.Codes.Sender == nil, x.to.IsZero():
		return mine, fop.MessageNotSent, nil
	case mine.Phone != x.mine.Phone: // another number since it was looked up
		return mine, "", fmt.Errorf("the customer's phone is another one by now: %w", book.ErrNotRun)
	case again:
		return mine, fop.Success, nil
	}
	sent, err := fop.DecodeSendings(mine.Codes)
	if err != nil {
		return mine, "", err
	}
	perHour, perDay := f.opts.Codes.PerHour, f.opts.Codes.PerDay
	if perHour == 0 {
		perHour = DefaultPerHour
	}
	if perDay == 0 {
		perDay = DefaultPerDay
	}
	sent, ok := sent.Allow(perHour, perDay, p.NowUS())
	if !ok {
		return mine, fop.MessageNotSent, nil
	}
	mine.Codes, mine.ChangedUS = sent.Encode(), p.NowUS()
	return mine, fop.Success, nil
}

// giveToGateway has a message sent, whoever waits for it. It takes less time than the
// code's lease.
func (f *Flows) giveToGateway(ctx context.Context, m sms.Message) sms.Outcome {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), gatewayLimit)
	defer cancel()
	out := f.opts.Codes.Sender.Send(ctx, m)
	if out.Alarm != "" {
		f.opts.Log.ErrorContext(ctx, "ALARM: "+out.Alarm)
	}
	if out.Kind != sms.Accepted {
		f.opts.Log.WarnContext(ctx, "an SMS was not accepted", "kind", string(out.Kind), "reason", out.Reason)
	}
	return out
}

const gatewayLimit = 20 * time.Second

// codeSent writes the answer of a call whose code has left, or may have, or was refused
// for good. Who resumes it must wait for the lease of whoever is sending it.
func (f *Flows) codeSent(ctx context.Context, g GoogleCall, begun fop.Call, out sms.Outcome, resumed bool) (fop.Call, error) {
	k := id.Code(begun.About)
	done, err := book.Do(ctx, f.book, book.Act[fop.Call]{
		Name: "code.sent", Bucket: k.Bucket(), Hint: f.hintCode(begun),
		Decide: func(p *book.Page) (fop.Call, error) {
			c, there := p.Calls.Get(begun.ID)
			row, known := p.Codes.Get(k)
			work, leased := p.Due.Get(k.Raw())
			switch {
			case !there || !known: // it was taken back
				return fop.Call{}, ErrCodeNotSent
			case c.State != fop.CallBegun:
				return c, nil
			case resumed && leased && p.NowUS() < work.DueUS:
				return fop.Call{}, ErrCodeUnderWay
			}
			c.State, c.Result, c.ChangedUS = fop.CallDone, fop.Success, p.NowUS()
			if row.State == fop.CodeBegun {
				switch out.Kind {
				case sms.Accepted, sms.Unknown, sms.NotSent:
					row = row.Sent(out.ProviderID, p.NowUS())
				case sms.BadNumber:
					c.Result, c.About = fop.InvalidPhoneNumber, id.Raw{}
					row = row.Failed(p.NowUS())
				case sms.Refused:
					c.Result, c.About = fop.MessageNotSent, id.Raw{}
					row = row.Failed(p.NowUS())
				}
				p.Codes.Put(row)
			}
			c.Answer = g.Members(Answered{Call: c})
			p.Calls.Put(c)
			p.Due.Delete(k.Raw())
			return c, nil
		},
	})
	if err != nil {
		return fop.Call{}, fmt.Errorf("code.sent: %w", err)
	}
	return done, nil
}

func (f *Flows) hintCode(c fop.Call) func(*book.Page) {
	return func(p *book.Page) {
		p.Calls.Get(c.ID)
		p.Codes.Get(id.Code(c.About))
		p.Due.Get(c.About)
	}
}

// takeBack makes a call undone whose code certainly has not left; false if it counts as
// sent by now, since the lease was over.
func (f *Flows) takeBack(ctx context.Context, g GoogleCall, begun fop.Call) (bool, error) {
	key := f.book.RefKey(g.Scope(), g.RequestID)
	gone, err := book.Do(ctx, f.book, book.Act[bool]{
		Name: "code.not_sent", Bucket: begun.ID.Bucket(),
		Hint: func(p *book.Page) {
			f.hintCode(begun)(p)
			p.Refs.Get(key)
		},
		Decide: func(p *book.Page) (bool, error) {
			c, there := p.Calls.Get(begun.ID)
			row, _ := p.Codes.Get(id.Code(begun.About))
			p.Due.Get(begun.About)
			p.Refs.Get(key)
			if !there || c.State != fop.CallBegun || row.State != fop.CodeBegun {
				return false, nil
			}
			p.Calls.Delete(begun.ID)
			p.Refs.Delete(key)
			p.Due.Delete(begun.About)
			p.Codes.Put(row.Failed(p.NowUS())) // what was counted stays counted
			return true, nil
		},
	})
	if err != nil {
		return false, fmt.Errorf("code.not_sent: %w", err)
	}
	return gone, nil
}

// codeLost takes a code for sent whose process has died between its two acts. The call
// gets its answer when Google repeats it, as it will: it has none.
func (f *Flows) codeLost(ctx context.Context, d due.Due) error {
	k := id.Code(d.ID)
	_, err := book.Do(ctx, f.book, book.Act[struct{}]{
		Name: "code.lost", Bucket: k.Bucket(),
		Hint: func(p *book.Page) {
			p.Codes.Get(k)
			p.Due.Get(d.ID)
		},
		Decide: func(p *book.Page) (struct{}, error) {
			if _, ok := p.Due.Get(d.ID); !ok {
				return struct{}{}, nil // it was not lost
			}
			if row, ok := p.Codes.Get(k); ok && row.State == fop.CodeBegun {
				p.Codes.Put(row.Sent("", p.NowUS()))
			}
			p.Due.Delete(d.ID)
			return struct{}{}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("code.lost: %w", err)
	}
	return nil
}

// declineCode answers that no code is sent.
func (f *Flows) declineCode(ctx context.Context, x *sending, b id.Bucket, r fop.Result) (fop.Call, error) {
	return f.once(ctx, x.GoogleCall, "code.decline", b, func(*book.Page) {}, func(_ *book.Page, c *fop.Call) (Answered, error) {
		c.Result, c.Customer, c.Association = r, x.mine.Customer, x.link // nobody's and none, if nobody was found
		return Answered{}, nil
	})
}

// VerifyingCode is a call to say whether digits are those of a code.
type VerifyingCode struct {
	GoogleCall
	Evidence Evidence // a code's
}

// VerifyCode says whether digits are those of a code (verifyOtp), which they are once:
// success uses the code up. A guess that is wrong counts, under each name once.
//
// Errors: ErrOtherCall, ErrNoCode; those of the book.
func (f *Flows) VerifyCode(ctx context.Context, v VerifyingCode) (fop.Call, error) {
	if row, known, err := f.first(ctx, v.GoogleCall); err != nil || known {
		return row, err
	}
	by, err := f.findEvidence(ctx, v.Integration, v.Evidence)
	if err != nil {
		return fop.Call{}, err
	}
	if by.code.IsZero() {
		return fop.Call{}, ErrNoCode
	}
	return f.once(ctx, v.GoogleCall, "code.verify", by.code.Bucket(), by.hint, func(p *book.Page, c *fop.Call) (Answered, error) {
		who, link, err := by.of(p)
		if err != nil {
			return Answered{}, err
		}
		c.Customer, c.Association, c.About = who, link, by.code.Raw()
		c.Result = by.use(p, c)
		return Answered{}, nil
	})
}
