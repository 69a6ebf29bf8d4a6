package store_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/store/storetest"
)

// BenchmarkPayments takes payments through the three acts of a sale, with 512
// callers, and reports complete payments per second. The acts touch the rows
// that package flow's do; nothing else of a payment is in it.
//
//	AORTA_TEST_POSTGRES=postgres://… go test -run - -bench Payments -benchtime 100000x ./internal/store/
//
// AORTA_BENCH_TRACE=1 prints the rate of each second, to see whether it decays.
func BenchmarkPayments(b *testing.B) {
	b.Run("memory", func(b *testing.B) { benchPayments(b, book.Home{Store: book.NewMemory(), Lanes: 1, Keep: true}) })
	b.Run("sqlite", func(b *testing.B) { benchPayments(b, book.Home{Store: storetest.SQLite(b), Lanes: 1, Keep: true}) })
	b.Run("postgres", func(b *testing.B) { benchPayments(b, book.Home{Store: storetest.Postgres(b), Lanes: 2}) })
}

const benchCallers = 512

func benchPayments(b *testing.B, home book.Home) {
	bk, err := book.New(b.Context(), []book.Home{home}, book.Options{Now: time.Now, Random: rand.Reader, Epoch: 1})
	if err != nil {
		b.Fatalf("book.New: %v", err)
	}
	defer bk.Close()
	var started, done atomic.Int64
	if os.Getenv("AORTA_BENCH_TRACE") != "" {
		stop := make(chan struct{})
		defer close(stop)
		go func() {
			for last := int64(0); ; {
				select {
				case <-stop:
					return
				case <-time.After(time.Second):
					n := done.Load()
					fmt.Fprintln(os.Stderr, "payments in the last second:", n-last)
					last = n
				}
			}
		}()
	}
	b.ResetTimer()
	begun := time.Now()
	var wg sync.WaitGroup
	for range benchCallers {
		wg.Go(func() {
			for n := started.Add(1); n <= int64(b.N); n = started.Add(1) {
				if err := benchPayment(b.Context(), bk, n); err != nil {
					b.Errorf("payment %d: %v", n, err)
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/time.Since(begun).Seconds(), "payments/s")
	b.ReportMetric(0, "ns/op")
}

// benchPayment is one sale.
func benchPayment(ctx context.Context, bk *book.Book, n int64) error {
	name := fmt.Sprintf("order-%09d", n)
	customer := fmt.Sprintf("customer-%d", n%10_000)
	key := bk.RefKey("payment:200", name)
	bucket := id.BucketOf(bk.Buckets(), "200", customer)
	begun, err := book.Do(ctx, bk, book.Act[payment.Attempt]{
		Name: "bench.begin", Bucket: bucket,
		Hint: func(p *book.Page) { p.Refs.Get(key) },
		Decide: func(p *book.Page) (payment.Attempt, error) {
			if _, ok := p.Refs.Get(key); ok {
				return payment.Attempt{}, fmt.Errorf("%s exists", name)
			}
			now := p.NowUS()
			amount := money.Amount{Minor: 2500, Currency: "INR"}
			pay := payment.Payment{
				ID: id.Payment(p.Mint()), ProjectID: 200, MerchantPaymentID: name, Type: payment.TypePurchase,
				Status: payment.StatusNew, Method: "paytm-wallet", Amount: amount, CustomerID: customer, Description: "a game of chess",
				CallbackURL: "https://merchant.example/callback", Door: "gate", CreatedUS: now, ChangedUS: now, LimitUS: now + 900e6,
			}
			op := payment.Operation{
				ID: id.Operation(p.Mint()), Payment: pay.ID, Number: p.Number(), Kind: payment.KindSale,
				Status: payment.OperationProcessing, Amount: amount, CreatedUS: now, ChangedUS: now,
			}
			at := payment.Attempt{
				ID: id.Attempt(p.Mint()), Operation: op.ID, Payment: pay.ID, Payee: "customer:200:" + customer, Connector: "paytm",
				Account: "demo", Kind: payment.KindSale, Status: payment.AttemptAsking, Amount: amount, CreatedUS: now, ChangedUS: now,
			}
			op.Attempt, pay.LastOperation = at.ID, op.ID
			p.Refs.Put(payment.Ref{RefKey: key, Target: pay.ID.Raw()})
			p.Payments.New(pay)
			p.Operations.New(op)
			p.Attempts.New(at)
			p.Requests.Append(payment.Request{ID: pay.ID.Raw(), Body: `{"return_url":"https://merchant.example/return","ip":"192.0.2.1"}`})
			p.Due.New(due.Now(at.ID.Raw(), due.Ask, now, p.Epoch(), nil))
			return at, nil
		},
	})
	if err != nil {
		return err
	}
	_, err = book.Do(ctx, bk, book.Act[bool]{
		Name: "bench.submitted", Bucket: bucket, Hint: func(p *book.Page) { benchHint(p, begun) },
		Decide: func(p *book.Page) (bool, error) {
			pay, op, at, work := benchRows(p, begun)
			now := p.NowUS()
			at.Status, at.ProviderID, at.ChangedUS = payment.AttemptAccepted, "T"+name, now
			at.Redirect = `{"url":"https://psp.example/pay/` + name + `","method":"GET"}`
			op.Status, op.ChangedUS = payment.OperationAwaitingCustomer, now
			work.Kind, work.DueUS, work.Owner = due.Watch, now+60e6, 0
			p.Due.Put(work)
			return true, benchTell(p, pay, op, at, event.PaymentAwaiting, payment.StatusAwaitingCustomer)
		},
	})
	if err != nil {
		return err
	}
	debit := ledger.Open(bucket, "psp:paytm:demo", ledger.Clearing, "INR")
	credit := ledger.Open(bucket, "customer:200:"+customer, ledger.Available, "INR")
	_, err = book.Do(ctx, bk, book.Act[bool]{
		Name: "bench.settle", Bucket: bucket,
		Hint: func(p *book.Page) {
			benchHint(p, begun)
			p.Accounts.Get(debit.ID)
			p.Accounts.Get(credit.ID)
		},
		Decide: func(p *book.Page) (bool, error) {
			pay, op, at, _ := benchRows(p, begun)
			now := p.NowUS()
			at.Status, at.ProviderCode, at.ProviderUS, at.ChangedUS = payment.AttemptApproved, "01", now, now
			op.Status, op.Code, op.Message, op.ChangedUS = payment.OperationSuccess, payment.CodeSuccess, "Success", now
			pay.Code, pay.Message, pay.CapturedMinor = payment.CodeSuccess, "Success", pay.Amount.Minor
			t, err := ledger.Move(id.Transfer(p.Mint()), ledger.KindDeposit, debit.ID, credit.ID, pay.Amount)
			if err != nil {
				return false, err
			}
			t.Payment, t.Operation, t.CreatedUS = pay.ID, op.ID, now
			for n, open := range []ledger.Account{debit, credit} {
				acc, ok := p.Accounts.Get(open.ID)
				if !ok {
					acc = open
				}
				if acc, err = acc.Post(t.Postings[n].Minor); err != nil {
					return false, err
				}
				p.Accounts.Put(acc)
			}
			p.Transfers.Append(t)
			p.Due.Delete(at.ID.Raw())
			return true, benchTell(p, pay, op, at, event.PaymentCaptured, payment.StatusCaptured)
		},
	})
	return err
}

func benchHint(p *book.Page, at payment.Attempt) {
	p.Attempts.Get(at.ID)
	p.Operations.Get(at.Operation)
	p.Payments.Get(at.Payment)
	p.Due.Get(at.ID.Raw())
}

func benchRows(p *book.Page, begun payment.Attempt) (payment.Payment, payment.Operation, payment.Attempt, due.Due) {
	at, _ := p.Attempts.Get(begun.ID)
	op, _ := p.Operations.Get(begun.Operation)
	pay, _ := p.Payments.Get(begun.Payment)
	work, _ := p.Due.Get(begun.ID.Raw())
	return pay, op, at, work
}

// benchTell moves the payment and writes what tells of it.
func benchTell(p *book.Page, pay payment.Payment, op payment.Operation, at payment.Attempt, k event.Kind, to payment.Status) error {
	now := p.NowUS()
	from := pay.Status
	pay, err := pay.Move(to, now)
	if err != nil {
		return err
	}
	e := event.Event{
		ID: id.Event(p.Mint()), Payment: pay.ID, Operation: op.ID, Prev: pay.LastEvent, Kind: k, From: from, To: to, AtUS: now,
		Snapshot: event.Snapshot{Payment: pay, Operation: op, Attempt: at}.Encode(),
	}
	d := event.Delivery{
		ID: id.Delivery(p.Mint()), Event: e.ID, Payment: pay.ID, Prev: pay.LastDelivery, URL: pay.CallbackURL, Door: pay.Door,
		State: event.DeliveryPending, CreatedUS: now, ChangedUS: now,
	}
	pay.LastEvent, pay.LastDelivery = e.ID, d.ID
	p.Payments.Put(pay)
	p.Operations.Put(op)
	p.Attempts.Put(at)
	p.Events.Append(e)
	p.Deliveries.New(d)
	p.Due.New(due.Now(d.ID.Raw(), due.Deliver, now, p.Epoch(), nil))
	return nil
}
