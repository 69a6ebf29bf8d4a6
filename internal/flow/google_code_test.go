package flow_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/project"
	"aorta/internal/sms"
	"aorta/internal/store/storetest"
	"aorta/internal/verify"
)

// phones is a gateway that does what the test says with the next messages.
type phones struct {
	mu     sync.Mutex
	got    []sms.Message
	next   []sms.Outcome // without one it accepts
	before func()        // called with each message, before its answer
}

func (p *phones) Send(_ context.Context, m sms.Message) sms.Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, m)
	if p.before != nil {
		p.before()
	}
	if len(p.next) == 0 {
		return sms.Outcome{Kind: sms.Accepted, ProviderID: "SM1"}
	}
	out := p.next[0]
	p.next = p.next[1:]
	return out
}

func (p *phones) count() int { p.mu.Lock(); defer p.mu.Unlock(); return len(p.got) }

// digits gives the code in the newest message.
func (p *phones) digits(t *testing.T) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.got) == 0 {
		t.Fatal("nobody got a message")
	}
	found := regexp.MustCompile(`\b\d{6}\b`).FindString(p.got[len(p.got)-1].Text)
	if found == "" {
		t.Fatal("the message has no code")
	}
	return found
}

// codeHouse sends codes over a store.
type codeHouse struct {
	t     *testing.T
	db    storetest.DB
	book  *book.Book
	flows *flow.Flows
	phone *phones
	pr    project.Project

	mu  sync.Mutex
	now time.Time
}

const (
	annsPhone = "+918067218010"
	matching  = "Q7w8E9r0T1y"
)

func newCodeHouse(t *testing.T, db storetest.DB) *codeHouse {
	h := &codeHouse{t: t, db: db, phone: &phones{}, now: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), pr: project.Project{ID: 200, MerchantID: 1, Wallet: true}}
	h.start(1)
	h.contact("ann", annsPhone)
	return h
}

// start begins a process over the store.
func (h *codeHouse) start(epoch int64) {
	h.t.Helper()
	text, err := sms.NewText(sms.DefaultText)
	if err != nil {
		h.t.Fatal(err)
	}
	if h.book, err = book.New(h.t.Context(), []book.Home{{Store: h.db, Lanes: 1}}, book.Options{
		Buckets: 8, Now: h.clock, Random: rand.Reader, Epoch: epoch, Work: func([]due.Due) {},
	}); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(h.book.Close)
	h.flows = flow.New(h.book, h.db, flow.Options{
		Now: h.clock, Vault: fop.NewVault([32]byte{1}, rand.Reader),
		Integrations: func(name string) (flow.GoogleTerms, bool) {
			return flow.GoogleTerms{Project: h.pr, CodeTime: 5 * time.Minute}, name == "main"
		},
		Codes: flow.Codes{Sender: h.phone, Text: text, PerHour: 3, PerDay: 5},
	})
}

func (h *codeHouse) clock() time.Time            { h.mu.Lock(); defer h.mu.Unlock(); return h.now }
func (h *codeHouse) pass(d time.Duration)        { h.mu.Lock(); defer h.mu.Unlock(); h.now = h.now.Add(d) }
func (h *codeHouse) who(name string) id.Customer { return h.flows.CustomerOf(h.pr, name) }

func (h *codeHouse) contact(name, phone string) {
	h.t.Helper()
	var number customer.Phone
	if phone != "" {
		var err error
		if number, err = customer.ParsePhone(phone); err != nil {
			h.t.Fatal(err)
		}
	}
	if err := h.flows.SetContact(h.t.Context(), flow.CustomerChange{Project: h.pr, CustomerID: name, By: flow.Player(h.pr)}, number); err != nil {
		h.t.Fatal(err)
	}
}

func named(method fop.Method, requestID, print string) flow.GoogleCall {
	return flow.GoogleCall{
		Name: fop.Name{Integration: "main", Method: method, RequestID: requestID}, Print: print,
		Members: func(a flow.Answered) string {
			text, _ := json.Marshal(map[string]string{"id": a.Call.ID.String(), "result": string(a.Call.Result)})
			return string(text)
		},
	}
}

func (h *codeHouse) send(requestID, phone string) (fop.Call, error) {
	number, _ := customer.ParsePhone(phone)
	return h.flows.SendCode(h.t.Context(), flow.SendingCode{GoogleCall: named(fop.SendOTP, requestID, "to "+phone), Phone: number, Matching: matching})
}

func (h *codeHouse) mustSend(requestID, phone string, want fop.Result) fop.Call {
	h.t.Helper()
	c, err := h.send(requestID, phone)
	if err != nil || c.Result != want {
		h.t.Fatalf("sendOtp %s = %s, %v, want %s", requestID, c.Result, err, want)
	}
	return c
}

func (h *codeHouse) verify(requestID, of, digits string) (fop.Call, error) {
	return h.flows.VerifyCode(h.t.Context(), flow.VerifyingCode{
		GoogleCall: named(fop.VerifyOTP, requestID, "is "+digits), Evidence: flow.Evidence{RequestID: of, Digits: digits},
	})
}

func (h *codeHouse) mustVerify(requestID, of, digits string, want fop.Result) fop.Call {
	h.t.Helper()
	c, err := h.verify(requestID, of, digits)
	if err != nil || c.Result != want {
		h.t.Fatalf("verifyOtp %s = %s, %v, want %s", requestID, c.Result, err, want)
	}
	return c
}

// sound checks all that verify does.
func (h *codeHouse) sound() {
	h.t.Helper()
	report, err := verify.Run(h.t.Context(), h.db, verify.Options{})
	if err != nil || len(report.Violations) > 0 {
		h.t.Errorf("verify: %v %v", report.Violations, err)
	}
}

// other is a code that is not the one.
func other(digits string) string {
	if digits == "000000" {
		return "000001"
	}
	return "000000"
}

// TestCodes: a code is sent once, is right once, and a repeat of any call is answered
// as it was first.
func TestCodes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		h := newCodeHouse(t, db)
		first := h.mustSend("s1", annsPhone, fop.Success)
		digits := h.phone.digits(t)
		if m := h.phone.got[0]; m.To.Reveal() != annsPhone || !strings.Contains(m.Text, matching) || m.Life != 5*time.Minute {
			t.Errorf("the message went to %s with life %s", m.To.Masked(), m.Life)
		}
		if again := h.mustSend("s1", annsPhone, fop.Success); again.ID != first.ID || again.Answer != first.Answer || h.phone.count() != 1 {
			t.Errorf("a repeat is %+v after %d messages", again, h.phone.count())
		}
		if _, err := h.send("s1", "+919800000002"); !errors.Is(err, flow.ErrOtherCall) {
			t.Errorf("the same requestId for another number = %v, want ErrOtherCall", err)
		}
		h.mustVerify("v1", "s1", other(digits), fop.OTPNotMatched)
		h.mustVerify("v2", "s1", digits, fop.Success)
		right := h.mustVerify("v2", "s1", digits, fop.Success) // the right code under the same requestId
		h.mustVerify("v3", "s1", digits, fop.OTPAlreadyUsed)
		h.mustVerify("v1", "s1", other(digits), fop.OTPNotMatched)
		if _, err := h.verify("v1", "s1", digits); !errors.Is(err, flow.ErrOtherCall) {
			t.Errorf("another guess under the same requestId = %v, want ErrOtherCall", err)
		}
		if _, err := h.verify("v4", "s9", digits); !errors.Is(err, flow.ErrNoCode) {
			t.Errorf("of a code that was never asked for = %v, want ErrNoCode", err)
		}
		row, ok, err := db.Code(t.Context(), id.Code(first.About))
		if err != nil || !ok || row.State != fop.CodeUsed || row.Used != right.ID || row.TriesLeft != fop.CodeTries-1 || row.Reference != "SM1" || row.Call != first.ID {
			t.Errorf("the code is %+v (%v)", row, err)
		}
		if list, err := db.ScanDue(t.Context(), id.Raw{}, 10); err != nil || len(list) != 0 {
			t.Errorf("still due: %+v, %v", list, err)
		}
		// Nothing that can be read tells the code or the number.
		mine, _, _ := db.Linked(t.Context(), fop.LinkedID(h.who("ann")))
		calls, _ := db.ScanCalls(t.Context(), id.Call{}, 100)
		for _, text := range []string{fmt.Sprintf("%+v", row), fmt.Sprintf("%+v", mine), fmt.Sprintf("%+v", calls)} {
			if strings.Contains(text, digits) || strings.Contains(text, annsPhone[1:]) {
				t.Errorf("a row tells the code or the number: %s", text)
			}
		}
		h.sound()
	})
}

// TestCodesEnd: five guesses, five minutes.
func TestCodesEnd(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		h := newCodeHouse(t, db)
		h.mustSend("s1", annsPhone, fop.Success)
		digits := h.phone.digits(t)
		for n := range fop.CodeTries {
			h.mustVerify(fmt.Sprint("wrong-", n), "s1", other(digits), fop.OTPNotMatched)
		}
		h.mustVerify("right", "s1", digits, fop.OTPNotMatched)

		h.mustSend("s2", annsPhone, fop.Success)
		h.pass(5*time.Minute - time.Millisecond)
		h.mustVerify("in time", "s2", h.phone.digits(t), fop.Success)
		h.mustSend("s3", annsPhone, fop.Success)
		h.pass(5 * time.Minute)
		h.mustVerify("late", "s3", h.phone.digits(t), fop.OTPNotMatched)
		h.sound()
	})
}

// TestCodesRefused: what is answered with a decline is final, and what the gateway did
// not take is judged anew.
func TestCodesRefused(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		h := newCodeHouse(t, db)
		h.mustSend("nobody", "+919800000009", fop.InvalidPhoneNumber)
		h.mustSend("none", "not a number", fop.InvalidPhoneNumber)
		h.contact("bob", annsPhone)
		h.mustSend("two", annsPhone, fop.InvalidPhoneNumber)
		h.contact("bob", "")
		h.mustSend("two", annsPhone, fop.InvalidPhoneNumber) // as it was first
		if h.phone.count() != 0 {
			t.Fatalf("%d messages were sent", h.phone.count())
		}
		h.phone.next = []sms.Outcome{{Kind: sms.BadNumber}, {Kind: sms.Refused}, {Kind: sms.NotSent}, {Kind: sms.NotSent}, {Kind: sms.Accepted}}
		h.mustSend("bad", annsPhone, fop.InvalidPhoneNumber)
		h.mustSend("bad", annsPhone, fop.InvalidPhoneNumber)
		h.mustSend("refused", annsPhone, fop.MessageNotSent)
		for n := range 2 {
			if _, err := h.send("away", annsPhone); !errors.Is(err, flow.ErrCodeNotSent) {
				t.Fatalf("try %d = %v, want ErrCodeNotSent", n, err)
			}
		}
		if _, err := h.verify("v0", "away", "123456"); !errors.Is(err, flow.ErrNoCode) {
			t.Errorf("of a code that was not sent = %v, want ErrNoCode", err)
		}
		tried := h.phone.digits(t)
		c := h.mustSend("away", annsPhone, fop.Success) // three codes within the hour: the tries of one are one
		if h.phone.count() != 5 || h.phone.digits(t) != tried {
			t.Errorf("%d messages; the same request sent two codes: %t", h.phone.count(), h.phone.digits(t) != tried)
		}
		h.mustVerify("v1", "away", tried, fop.Success)
		for _, gone := range []string{"bad", "refused"} {
			if _, err := h.verify("of "+gone, gone, "123456"); !errors.Is(err, flow.ErrNoCode) {
				t.Errorf("of a code that was refused = %v, want ErrNoCode", err)
			}
		}
		if c.Customer != h.who("ann") {
			t.Errorf("the call is of %s", c.Customer)
		}
		h.mustSend("fourth", annsPhone, fop.MessageNotSent) // three an hour
		h.pass(time.Hour)
		h.mustSend("fourth", annsPhone, fop.MessageNotSent) // as it was first
		h.mustSend("fifth", annsPhone, fop.Success)
		h.mustSend("sixth", annsPhone, fop.Success)
		h.pass(time.Hour)
		h.mustSend("seventh", annsPhone, fop.MessageNotSent) // five a day
		h.sound()
	})
}

// TestCodesHeld: who may not have their wallet used gets no code.
func TestCodesHeld(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		h := newCodeHouse(t, db)
		for r, want := range map[customer.Restriction]fop.Result{
			customer.Frozen: fop.AccountOnHold, customer.Closed: fop.AccountClosed, customer.SelfExcluded: fop.Success,
		} {
			k := h.who("ann")
			if _, err := book.Do(t.Context(), h.book, book.Act[struct{}]{Name: "test.restrict", Bucket: k.Bucket(), Decide: func(p *book.Page) (struct{}, error) {
				row, _ := p.Customers.Get(k)
				row.Restriction = r
				p.Customers.Put(row)
				return struct{}{}, nil
			}}); err != nil {
				t.Fatal(err)
			}
			h.mustSend("s-"+strings.ReplaceAll(string(r), "_", "-"), annsPhone, want)
		}
	})
}

// TestCodeOfLostProcess: between the two acts nobody knows whether the phone got the
// code. It is never sent again, and what the phone may have got is right.
func TestCodeOfLostProcess(t *testing.T) {
	t.Parallel()
	for _, sweep := range []bool{false, true} {
		storetest.Each(t, func(t *testing.T, db storetest.DB) {
			h := newCodeHouse(t, db)
			h.phone.before = h.book.Close // the process dies while the gateway answers
			if c, err := h.send("s1", annsPhone); err == nil {
				t.Fatalf("a process that is gone has answered %+v", c)
			}
			h.phone.before = nil
			digits := h.phone.digits(t)
			h.start(2)
			if _, err := h.send("s1", annsPhone); !errors.Is(err, flow.ErrCodeUnderWay) {
				t.Fatalf("while its lease lasts: %v, want ErrCodeUnderWay", err)
			}
			if _, err := h.send("s1", "+919800000009"); !errors.Is(err, flow.ErrOtherCall) {
				t.Fatalf("another number under its name: %v", err)
			}
			h.sound() // a code that is being sent is no violation
			h.pass(due.LeaseUS * time.Microsecond)
			if sweep {
				list, err := db.Overdue(t.Context(), h.clock().UnixMicro(), nil, 10)
				if err != nil || len(list) != 1 || list[0].Kind != due.Code {
					t.Fatalf("due: %+v, %v", list, err)
				}
				if err := h.flows.Handle(t.Context(), list[0]); err != nil {
					t.Fatal(err)
				}
			}
			h.mustSend("s1", annsPhone, fop.Success)
			if h.phone.count() != 1 {
				t.Errorf("%d messages, want 1", h.phone.count())
			}
			h.mustVerify("v1", "s1", digits, fop.Success)
			h.sound()
			if list, err := db.ScanDue(t.Context(), id.Raw{}, 10); err != nil || len(list) != 0 {
				t.Errorf("still due: %+v, %v", list, err)
			}
		})
	}
}

// TestUnknownCode: a lost answer counts as sent.
func TestUnknownCode(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		h := newCodeHouse(t, db)
		h.phone.next = []sms.Outcome{{Kind: sms.Unknown}}
		h.mustSend("s1", annsPhone, fop.Success)
		h.mustSend("s1", annsPhone, fop.Success)
		h.mustVerify("v1", "s1", h.phone.digits(t), fop.Success)
		if h.phone.count() != 1 {
			t.Errorf("%d messages, want 1", h.phone.count())
		}
	})
}

// TestTwinsOfACode: of equal requests at once one sends.
func TestTwinsOfACode(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		h := newCodeHouse(t, db)
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				c, err := h.send("s1", annsPhone)
				if err != nil && !errors.Is(err, flow.ErrCodeUnderWay) || err == nil && c.Result != fop.Success {
					t.Errorf("a twin = %s, %v", c.Result, err)
				}
			})
		}
		all.Wait()
		h.mustSend("s1", annsPhone, fop.Success)
		if h.phone.count() != 1 {
			t.Errorf("%d messages, want 1", h.phone.count())
		}
	})
}

// TestCodeOfALink: a link there is names its customer, whose phone gets the code; a
// closed one gets none.
func TestCodeOfALink(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		h := newCodeHouse(t, db)
		h.mustSend("s1", annsPhone, fop.Success)
		linked, err := h.flows.LinkWallet(t.Context(), flow.Linking{
			GoogleCall: named(fop.AssociateAccount, "a1", "p"), Token: "GPT1", Association: "assoc=1", Evidence: flow.Evidence{RequestID: "s1", Digits: h.phone.digits(t)},
		})
		if err != nil || linked.Result != fop.Success {
			t.Fatalf("link = %s, %v", linked.Result, err)
		}
		again := func(requestID string) (fop.Call, error) {
			return h.flows.SendCode(t.Context(), flow.SendingCode{GoogleCall: named(fop.SendOTP, requestID, "p"), Association: "assoc=1", Matching: matching})
		}
		c, err := again("s2")
		if err != nil || c.Result != fop.Success || c.Association != linked.Association || h.phone.count() != 2 || h.phone.got[1].To.Reveal() != annsPhone {
			t.Fatalf("a code of the link = %s, %v", c.Result, err)
		}
		if _, err := h.flows.LinkWallet(t.Context(), flow.Linking{
			GoogleCall: named(fop.AssociateAccount, "a2", "p"), Token: "GPT2", Association: "assoc=2", Evidence: flow.Evidence{RequestID: "s2", Digits: h.phone.digits(t)},
		}); !errors.Is(err, flow.ErrNoCode) {
			t.Errorf("a code of one link made another: %v, want ErrNoCode", err)
		}
		h.contact("ann", "")
		if c, err := again("s3"); err != nil || c.Result != fop.MessageNotSent {
			t.Errorf("without a phone = %s, %v, want MESSAGE_UNABLE_TO_BE_SENT", c.Result, err)
		}
		if _, err := h.flows.SendCode(t.Context(), flow.SendingCode{GoogleCall: named(fop.SendOTP, "s4", "p"), Association: "assoc=9", Matching: matching}); !errors.Is(err, flow.ErrNoAssociation) {
			t.Errorf("of no link = %v, want ErrNoAssociation", err)
		}
		h.contact("ann", annsPhone)
		if _, err := book.Do(t.Context(), h.book, book.Act[struct{}]{Name: "test.close", Bucket: linked.Association.Bucket(), Decide: func(p *book.Page) (struct{}, error) {
			row, _ := p.Associations.Get(linked.Association)
			p.Associations.Put(row.Close(fop.ClosedByCustomer, p.NowUS()))
			return struct{}{}, nil
		}}); err != nil {
			t.Fatal(err)
		}
		if c, err := again("s5"); err != nil || c.Result != fop.AccountClosed {
			t.Errorf("of a closed link = %s, %v, want ACCOUNT_CLOSED", c.Result, err)
		}
	})
}

// TestContact: a repeat changes nothing, a change is in the customer's history, and no
// row has the number.
func TestContact(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		h := newCodeHouse(t, db)
		h.contact("ann", annsPhone)
		h.contact("ann", "+919800000002")
		h.contact("ann", "")
		h.contact("ann", "")
		row, ok, err := db.Customer(t.Context(), h.who("ann"))
		if err != nil || !ok {
			t.Fatal(err)
		}
		var kinds []string
		for k := row.LastNote; !k.IsZero(); {
			n, _, err := db.Note(t.Context(), k)
			if err != nil {
				t.Fatal(err)
			}
			kinds, k = append(kinds, n.Kind), n.Prev
			if strings.Contains(fmt.Sprintf("%+v", n), "9800000002") {
				t.Error("a note has the number")
			}
		}
		if got := strings.Join(kinds, " "); got != "contact_removed contact_set contact_set" {
			t.Errorf("history %s", got)
		}
		got, err := h.flows.ContactOf(t.Context(), h.pr, "ann")
		if err != nil || !got.Phone.IsZero() {
			t.Errorf("contact = %v, %v", got, err)
		}
		h.contact("ann", annsPhone)
		if got, err := h.flows.ContactOf(t.Context(), h.pr, "ann"); err != nil || got.Phone.Reveal() != annsPhone {
			t.Errorf("contact = %v, %v", got, err)
		}
		if got, err := h.flows.ContactOf(t.Context(), h.pr, "nobody"); err != nil || !got.Phone.IsZero() {
			t.Errorf("contact of nobody = %v, %v", got, err)
		}
		if _, err := h.flows.ContactOf(t.Context(), project.Project{ID: 1}, "ann"); !errors.Is(err, flow.ErrNoWallet) {
			t.Errorf("without wallets = %v, want ErrNoWallet", err)
		}
		// The number of another merchant's customer is not theirs.
		theirs := h.pr
		theirs.MerchantID = 2
		number, _ := customer.ParsePhone("+919800000003")
		if err := h.flows.SetContact(t.Context(), flow.CustomerChange{Project: theirs, CustomerID: "carl", By: flow.Player(theirs)}, number); err != nil {
			t.Fatal(err)
		}
		h.mustSend("s1", "+919800000003", fop.InvalidPhoneNumber)
	})
}
