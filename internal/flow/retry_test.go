package flow_test

import (
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/internal/project"
)

var declined = connector.Outcome{Kind: connector.Declined, Code: payment.CodeExternalFunds}

// patient is a house whose customers may try again within ten minutes.
func patient(t *testing.T) *house {
	t.Helper()
	return newHouse(t, 1, func(p *project.Project) { p.RetryTime = 10 * time.Minute })
}

// beginPatient begins a sale that may be tried again so often.
func (h *house) beginPatient(retries int) flow.Begun {
	h.t.Helper()
	b, err := h.flows.BeginSale(h.t.Context(), flow.SaleRequest{
		Project: h.pr, Method: h.pr.Methods[0], Door: "page", PaymentID: "order-1", CustomerID: "c1", CallbackURL: h.pr.CallbackURL,
		Amount: inr(250), Retries: retries,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return b
}

func (h *house) tryAgain(p id.Payment) flow.Begun {
	h.t.Helper()
	known := h.payment(p)
	b, err := h.flows.TryAgain(h.t.Context(), known, known.LastOperation, connector.Person{})
	if err != nil {
		h.t.Fatal(err)
	}
	return b
}

func (h *house) wantOffer(p id.Payment, left int64) {
	h.t.Helper()
	if got := h.payment(p); !got.RetryOffered() || got.TriesLeft != left {
		h.t.Errorf("payment is %s awaiting %q with %d tries left, want an offer of %d", got.Status, got.Awaiting, got.TriesLeft, left)
	}
}

// A declined try is told and is not yet the end; the next one is a new
// operation, and pays.
func TestTryAgain(t *testing.T) {
	t.Parallel()
	h := patient(t)
	h.psp.sale = []connector.Outcome{redirected}
	b := h.beginPatient(4)
	h.settle()
	h.apply(b.Attempt, declined)
	h.wantOffer(b.Payment.ID, 4)
	h.wantStatus(b.Payment.ID, payment.StatusAwaitingCustomer, "")
	h.apply(b.Attempt, declined) // known news leaves the offer and what ends it

	again := h.tryAgain(b.Payment.ID)
	if again.Repeat || again.Operation.ID == b.Operation.ID || again.Attempt.ID == b.Attempt.ID || again.Operation.Prev != b.Operation.ID {
		t.Fatalf("TryAgain() = repeat %t, operation %s after %s, attempt %s", again.Repeat, again.Operation.ID, again.Operation.Prev, again.Attempt.ID)
	}
	h.wantStatus(b.Payment.ID, payment.StatusPending, "")
	if twice := h.tryAgain(b.Payment.ID); !twice.Repeat {
		t.Error("a second press began another try beside the first")
	}
	h.settle()
	<-again.Asked
	h.wantStatus(b.Payment.ID, payment.StatusAwaitingCustomer, "")
	if h.payment(b.Payment.ID).RetryOffered() {
		t.Error("the customer is at the PSP, and is still offered to try again")
	}
	h.apply(again.Attempt, approved(250))
	h.wantStatus(b.Payment.ID, payment.StatusCaptured, "0")
	h.wantBalances(map[string]int64{"clearing": 250, "payable": 250})
	h.wantTold(b.Payment.ID, event.PaymentAwaiting, event.PaymentRetry, event.PaymentAwaiting, event.PaymentCaptured)
	h.noDue()
}

func TestTriesEnd(t *testing.T) {
	t.Parallel()
	t.Run("by their number", func(t *testing.T) {
		t.Parallel()
		h := patient(t)
		h.psp.sale = []connector.Outcome{declined}
		b := h.beginPatient(2)
		h.settle()
		for left := int64(2); left > 0; left-- {
			h.wantOffer(b.Payment.ID, left)
			h.tryAgain(b.Payment.ID)
			h.settle()
		}
		h.wantStatus(b.Payment.ID, payment.StatusDeclined, payment.CodeExternalFunds)
		h.wantTold(b.Payment.ID, event.PaymentRetry, event.PaymentRetry, event.PaymentDeclined)
		if !h.tryAgain(b.Payment.ID).Repeat {
			t.Error("a declined payment was tried again")
		}
		h.noDue()
	})
	t.Run("by the time since the first decline", func(t *testing.T) {
		t.Parallel()
		h := patient(t)
		h.psp.sale = []connector.Outcome{declined}
		b := h.beginPatient(4)
		h.settle()
		h.pass(9 * time.Minute)
		h.tryAgain(b.Payment.ID)
		h.settle()
		h.wantOffer(b.Payment.ID, 3)
		h.pass(2 * time.Minute)
		h.wantStatus(b.Payment.ID, payment.StatusDeclined, payment.CodeExternalFunds)
		h.wantTold(b.Payment.ID, event.PaymentRetry, event.PaymentRetry, event.PaymentDeclined)
		h.noDue()
	})
	t.Run("by the payment's limit time", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, 1, func(p *project.Project) { p.RetryTime, p.LimitTime = 10*time.Minute, 5*time.Minute })
		h.psp.sale = []connector.Outcome{declined}
		b := h.beginPatient(4)
		h.settle()
		h.pass(4 * time.Minute)
		h.wantOffer(b.Payment.ID, 4)
		h.pass(2 * time.Minute)
		h.wantStatus(b.Payment.ID, payment.StatusDeclined, payment.CodeExternalFunds)
		h.noDue()
	})
	t.Run("before the worker says so", func(t *testing.T) {
		t.Parallel()
		h := patient(t)
		h.psp.sale = []connector.Outcome{declined}
		b := h.beginPatient(4)
		h.settle()
		h.mu.Lock()
		h.now = h.now.Add(10 * time.Minute)
		h.mu.Unlock()
		if !h.tryAgain(b.Payment.ID).Repeat {
			t.Error("TryAgain() after the time began a try")
		}
	})
}

// A try that began in time may last beyond the time of the offer.
func TestTryOutlivesTheOffer(t *testing.T) {
	t.Parallel()
	h := patient(t)
	h.psp.sale = []connector.Outcome{declined, redirected}
	h.psp.lookup = []connector.Outcome{{Kind: connector.Pending}}
	b := h.beginPatient(4)
	h.settle()
	h.pass(9 * time.Minute)
	again := h.tryAgain(b.Payment.ID)
	h.settle()
	h.pass(3 * time.Minute)
	h.wantStatus(b.Payment.ID, payment.StatusAwaitingCustomer, "")
	h.apply(again.Attempt, declined) // and then there is no other
	h.wantStatus(b.Payment.ID, payment.StatusDeclined, payment.CodeExternalFunds)
	h.noDue()
}

// A try that begins shortly before the payment's limit has a limit time of its own.
func TestTryHasItsOwnTime(t *testing.T) {
	t.Parallel()
	h := patient(t)
	h.psp.sale = []connector.Outcome{redirected}
	h.psp.lookup = []connector.Outcome{{Kind: connector.Pending}}
	b := h.beginPatient(4)
	h.settle()
	h.pass(25 * time.Minute)
	h.apply(b.Attempt, declined)
	h.pass(4*time.Minute + 50*time.Second)
	again := h.tryAgain(b.Payment.ID)
	h.settle()
	h.pass(10 * time.Minute)
	h.wantStatus(b.Payment.ID, payment.StatusAwaitingCustomer, "")
	h.apply(again.Attempt, approved(250))
	h.wantBalances(map[string]int64{"clearing": 250, "payable": 250})
}

// The page of a try may still be open when an earlier one has paid: what is paid
// there is found, even if no notification comes.
func TestOpenTryOfAPaidPaymentIsWatched(t *testing.T) {
	t.Parallel()
	h := patient(t)
	h.psp.sale = []connector.Outcome{declined, redirected}
	b := h.beginPatient(4)
	h.settle()
	h.tryAgain(b.Payment.ID)
	h.settle()
	h.apply(b.Attempt, approved(250))
	h.psp.lookup = []connector.Outcome{{Kind: connector.Pending}, {Kind: connector.Pending}, approved(250)}
	h.pass(20 * time.Minute)
	h.wantBalances(map[string]int64{"clearing": 500, "payable": 250, "refund_due": 250})
	h.noDue()
}

// The PSP takes its no back: at once, or while the customer is trying again.
func TestDeclinedTryIsPaidAfterAll(t *testing.T) {
	t.Parallel()
	t.Run("while the offer stands", func(t *testing.T) {
		t.Parallel()
		h := patient(t)
		h.psp.sale = []connector.Outcome{declined}
		b := h.beginPatient(4)
		h.settle()
		h.apply(b.Attempt, approved(250))
		h.wantStatus(b.Payment.ID, payment.StatusCaptured, "0")
		h.wantBalances(map[string]int64{"clearing": 250, "payable": 250})
		h.noDue()
	})
	for _, second := range []struct {
		name string
		out  connector.Outcome
		want map[string]int64
	}{
		{"and the second try is declined", declined, map[string]int64{"clearing": 250, "payable": 250}},
		{"and the second try is paid too", approved(250), map[string]int64{"clearing": 500, "payable": 250, "refund_due": 250}},
		{"and the second try never ends", connector.Outcome{Kind: connector.Pending}, map[string]int64{"clearing": 250, "payable": 250}},
	} {
		t.Run(second.name, func(t *testing.T) {
			t.Parallel()
			h := patient(t)
			h.psp.sale = []connector.Outcome{declined, redirected}
			b := h.beginPatient(4)
			h.settle()
			again := h.tryAgain(b.Payment.ID)
			h.settle()
			h.apply(b.Attempt, approved(250))
			h.wantStatus(b.Payment.ID, payment.StatusCaptured, "0")
			op, _, err := h.read.Operation(t.Context(), again.Operation.ID)
			if err != nil || op.Status != payment.OperationDecline {
				t.Errorf("the second operation is %s, %v; want it declined", op.Status, err)
			}
			h.apply(again.Attempt, second.out)
			h.wantBalances(second.want)
			h.pass(31 * time.Minute)
			h.noDue()
		})
	}
}

// A process that dies between the act and the call leaves a try that another
// takes over: Paytm's initiate moves no money, so it is asked again.
func TestTryIsTakenOver(t *testing.T) {
	t.Parallel()
	h := patient(t)
	h.psp.sale = []connector.Outcome{declined, redirected}
	b := h.beginPatient(4)
	h.settle()
	h.tryAgain(b.Payment.ID)
	barrier(h, b.Payment.ID)
	h.mu.Lock()
	h.work = nil // it died here
	h.mu.Unlock()
	h.pass(2 * time.Minute)
	if got := h.payment(b.Payment.ID); got.Status != payment.StatusAwaitingCustomer || got.RetryOffered() {
		t.Errorf("payment is %s awaiting %q, want the customer awaited at the PSP", got.Status, got.Awaiting)
	}
}

// barrier waits until the book has handed out the work of all acts that were answered.
func barrier(h *house, p id.Payment) {
	h.t.Helper()
	_, err := book.Do(h.t.Context(), h.book, book.Act[struct{}]{
		Name: "test.barrier", Bucket: p.Bucket(), Decide: func(*book.Page) (struct{}, error) { return struct{}{}, nil },
	})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, m := range h.homes {
		rows, err := m.ScanDue(h.t.Context(), id.Raw{}, 100)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, d := range rows {
			if d.Kind == due.Ask {
				return
			}
		}
	}
	h.t.Fatal("no question is due")
}

// Money that is refunded goes back by the try that took it.
func TestRefundOfASecondTry(t *testing.T) {
	t.Parallel()
	h := patient(t)
	h.psp.sale = []connector.Outcome{declined, approved(250)}
	b := h.beginPatient(4)
	h.settle()
	again := h.tryAgain(b.Payment.ID)
	h.settle()
	h.psp.refund = []connector.Outcome{approved(250)}
	refund, err := h.flows.BeginRefund(t.Context(), flow.RefundRequest{Project: h.pr, Payment: h.payment(b.Payment.ID), Amount: inr(250)})
	if err != nil {
		t.Fatal(err)
	}
	if refund.Attempt.Of != again.Attempt.ID {
		t.Errorf("the refund is of attempt %s, want %s", refund.Attempt.Of, again.Attempt.ID)
	}
	h.settle()
	h.wantStatus(b.Payment.ID, payment.StatusRefunded, "0")
	h.wantBalances(nil)
}
