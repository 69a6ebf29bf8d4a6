package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"aorta/internal/book"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/test/scenario"
)

// Buyers are merchants whose stores may fail under them: each asks for a sale,
// and for the same one again until it is told that it is taken, now or before;
// some are refunded in part the same way. Their journal is what the books are
// judged by in the end.
type Buyers struct {
	w         *World
	platforms []*Platform
	dice      *rand.Rand
	mu        sync.Mutex // of dice and what follows
	sales     map[string]taken
	refunds   map[string]taken
	refused   map[int]int // by HTTP status
	wrong     []string
	slowest   time.Duration     // the longest wait for an answer of any kind
	waiting   []payment.Attempt // refunds that were found to wait, the last time that the books were judged
	declined  int               // sales that were found declined, then

	begun atomic.Int64
	acked atomic.Int64
	stop  chan struct{}
	wg    sync.WaitGroup

	// Brief is how long a buyer waits before it asks again; less than it is told to, since time is dear here.
	Brief time.Duration

	// MayDecline lets a sale end declined: its provider could not be called, for want of a descriptor.
	MayDecline bool
}

// taken is a sale or refund that a platform has acknowledged.
type taken struct {
	project int
	minor   int64
	payment string
}

// Buyers gives buyers who go to any of these platforms, a new one for each try.
func (w *World) Buyers(platforms ...*Platform) *Buyers {
	return &Buyers{
		w: w, platforms: platforms, dice: rand.New(rand.NewPCG(rand.Uint64(), 1)), sales: map[string]taken{}, refunds: map[string]taken{},
		refused: map[int]int{}, stop: make(chan struct{}), Brief: 50 * time.Millisecond,
	}
}

// thinking is a buyer's pause between two sales.
const thinking = 20 * time.Millisecond

// Go lets n buyers in.
func (b *Buyers) Go(n int) {
	for range n {
		b.wg.Go(func() {
			for {
				select {
				case <-b.stop:
					return
				case <-time.After(thinking):
					b.buy()
				}
			}
		})
	}
}

// Stop lets nothing new begin and waits until all that was begun is taken, or
// for so long.
func (b *Buyers) Stop(within time.Duration) {
	b.w.t.Helper()
	close(b.stop)
	all := make(chan struct{})
	go func() { b.wg.Wait(); close(all) }()
	select {
	case <-all:
	case <-time.After(within):
		b.w.t.Errorf("what the buyers began was not all taken %v after they stopped", within)
	}
}

// Taken is how many sales and refunds were acknowledged so far.
func (b *Buyers) Taken() int64 { return b.acked.Load() }

// AwaitMore waits until so many more were acknowledged than have been.
func (b *Buyers) AwaitMore(n int64, within time.Duration) error {
	return b.AwaitTaken(b.Taken()+n, within)
}

// AwaitTaken waits until so many were acknowledged.
func (b *Buyers) AwaitTaken(n int64, within time.Duration) error {
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if b.Taken() >= n {
			return nil
		}
	}
	return fmt.Errorf("%d were taken in %v, want %d", b.Taken(), within, n)
}

// Refused is how many tries were refused with this status.
func (b *Buyers) Refused(status int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refused[status]
}

// Declined is how many sales were found declined when the books were judged last.
func (b *Buyers) Declined() int { return b.declined }

// Slowest is the longest that a buyer waited for an answer, or its absence.
func (b *Buyers) Slowest() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.slowest
}

func (b *Buyers) roll(n int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dice.IntN(n)
}

func (b *Buyers) notRight(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wrong = append(b.wrong, fmt.Sprintf(format, args...))
}

func (b *Buyers) buy() {
	s := taken{project: b.roll(Accounts), minor: int64(1000 + b.roll(1_000_000)), payment: fmt.Sprintf("buyer-%d", b.begun.Add(1))}
	if !b.insist("sale "+s.payment, "3041", func(ctx context.Context, p *Platform) (Answer, error) {
		return p.Sell(ctx, s.project, s.payment, s.minor)
	}) {
		return
	}
	b.mu.Lock()
	b.sales[s.payment] = s
	b.mu.Unlock()
	b.acked.Add(1)
	if b.roll(5) != 0 || !b.paid(s) {
		return
	}
	name, part := s.payment+"-back", s
	part.minor = 1 + s.minor/3
	if !b.insist("refund "+name, "3230", func(ctx context.Context, p *Platform) (Answer, error) {
		return p.Gate(ctx, "/v2/payment/wallet/paytm/refund", s.project, Refund(s.payment, part.minor, name))
	}) {
		return
	}
	b.mu.Lock()
	b.refunds[name] = part
	b.mu.Unlock()
	b.acked.Add(1)
}

// paid waits a moment for a sale's end.
func (b *Buyers) paid(s taken) bool {
	for range 20 {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		status := b.anyone().Status(ctx, s.project, s.payment)
		cancel()
		if status == "success" {
			return true
		}
		select {
		case <-b.stop:
			return false
		case <-time.After(b.Brief):
		}
	}
	return false
}

func (b *Buyers) anyone() *Platform {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.platforms[b.dice.IntN(len(b.platforms))]
}

// Only sends the buyers to these platforms from now on, as a load balancer does
// that has seen the others fall silent.
func (b *Buyers) Only(platforms ...*Platform) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.platforms = platforms
}

// patience is how long a buyer insists on one thing, and how long on one answer.
const (
	patience  = 3 * time.Minute
	perAnswer = 45 * time.Second
)

// insist asks until it is told yes, or that it was told so before: known is the
// code of that. Refusals must be 503 or 429 and say when to come again.
func (b *Buyers) insist(what, known string, ask func(context.Context, *Platform) (Answer, error)) bool {
	lost := false // an answer was, so it may be known already
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(b.Brief) {
		ctx, cancel := context.WithTimeout(context.Background(), perAnswer)
		begun := time.Now()
		a, err := ask(ctx, b.anyone())
		cancel()
		took := time.Since(begun)
		b.mu.Lock()
		b.slowest = max(b.slowest, took)
		if err == nil && a.Status != http.StatusOK {
			b.refused[a.Status]++
		}
		b.mu.Unlock()
		switch {
		case err != nil:
			lost = true
		case a.Status == http.StatusOK && a.Body["status"] == "success":
			return true
		case a.Body["code"] == known && lost:
			return true
		case (a.Status == http.StatusServiceUnavailable || a.Status == http.StatusTooManyRequests) && a.Header.Get("Retry-After") != "":
		case a.Status == http.StatusInternalServerError:
			lost = true // written or not: nobody knows
		default:
			b.notRight("%s was answered %d %v, Retry-After %q", what, a.Status, a.Body, a.Header.Get("Retry-After"))
			return false
		}
	}
	b.notRight("%s was not taken in %v", what, patience)
	return false
}

// Settle waits until the books tell of everything that was taken, as ended, and
// nothing is left to do, then compares them with the journals of provider and
// merchant. It gives what is not as it must be (C2, C4, C6, C11). The provider is
// made to tell of what it would repeat hours later: of an order whose answer was lost
// and whose page nobody was led to (payment-loop.md L15), which the simulator has
// paid all the same, only its news can tell.
func (b *Buyers) Settle(within time.Duration) []string {
	b.w.t.Helper()
	b.mu.Lock()
	wrong := slices.Clone(b.wrong)
	b.mu.Unlock()
	var open []string
	deadline := time.Now().Add(within)
	for {
		open = nil
		if err := b.w.Read(func(r book.Reader) error { open = b.judge(r); return nil }); err != nil {
			b.w.t.Fatal(err)
		}
		if len(open) == 0 || time.Now().After(deadline) {
			break
		}
		if _, _, err := b.w.Tell(); err != nil {
			b.w.t.Fatal(err)
		}
		time.Sleep(250 * time.Millisecond)
	}
	for _, a := range b.waiting {
		b.w.t.Logf("refund %s is %s: the provider had no record of it %d times, %v after it was begun", a.ID, a.Status, a.NoRecords,
			time.Duration(a.NoRecordUS-a.CreatedUS)*time.Microsecond)
	}
	return append(wrong, open...)
}

// scanAll gives all rows of a kind.
func scanAll[R, K any](w *World, scan func(context.Context, K, int) ([]R, error), key func(R) K) (out []R) {
	w.t.Helper()
	err := scenario.Every(scan, func(r R) K { out = append(out, r); return key(r) })
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// judge lists what is missing or not ended in the books, and what differs from
// the provider's and the merchant's.
func (b *Buyers) judge(r book.Reader) (out []string) {
	w := b.w
	missing := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	left := map[id.Raw]due.Due{}
	for _, d := range scanAll(w, r.ScanDue, func(d due.Due) id.Raw { return d.ID }) {
		left[d.ID] = d
	}
	var err error
	if b.waiting, err = w.Waiting(r); err != nil {
		w.t.Fatal(err)
	}
	waits := map[id.Operation]bool{}
	for _, a := range b.waiting {
		waits[a.Operation] = true
		delete(left, a.ID.Raw())
	}
	if len(left) > 0 {
		var what []string
		for _, d := range left {
			what = append(what, fmt.Sprintf("%s of %s, due in %v, owner %d, try %d", d.Kind, d.ID, time.Until(time.UnixMicro(d.DueUS)).Round(time.Millisecond), d.Owner, d.Tries))
		}
		missing("%d pieces of work are not done: %s", len(left), Some(what))
	}
	payments := map[string]payment.Payment{}
	for _, p := range scanAll(w, r.ScanPayments, func(p payment.Payment) id.Payment { return p.ID }) {
		payments[p.MerchantPaymentID] = p
	}
	operations := scanAll(w, r.ScanOperations, func(o payment.Operation) id.Operation { return o.ID })
	b.declined = 0
	b.mu.Lock()
	for name, s := range b.sales {
		p, ok := payments[name]
		if !ok || p.ProjectID != int64(FirstProject+s.project) || p.Amount.Minor != s.minor {
			missing("sale %s was acknowledged and is not in the books", name)
		} else if p.Status == payment.StatusDeclined && b.MayDecline {
			b.declined++
		} else if p.Status != payment.StatusCaptured && p.Status != payment.StatusPartiallyRefunded {
			missing("sale %s was acknowledged and is %s", name, p.Status)
		}
	}
	back := map[id.Payment]int64{}
	for _, o := range operations {
		if !o.Status.Final() && waits[o.ID] {
			back[o.Payment] += o.Amount.Minor
		} else if !o.Status.Final() {
			missing("operation %s is %s", o.ID, o.Status)
		}
		if o.Kind == payment.KindRefund && o.Status == payment.OperationSuccess {
			back[o.Payment] += o.Amount.Minor
		}
	}
	for name, s := range b.refunds {
		if back[payments[s.payment].ID] != s.minor {
			missing("refund %s of %d was acknowledged, the books gave %d back", name, s.minor, back[payments[s.payment].ID])
		}
	}
	b.mu.Unlock()
	deliveries := scanAll(w, r.ScanDeliveries, func(d event.Delivery) id.Delivery { return d.ID })
	for _, d := range deliveries {
		if d.State != event.DeliveryDelivered {
			missing("callback %s is %s after %d tries: %s", d.ID, d.State, d.Tries, d.LastError)
		}
	}
	if len(out) == 0 { // the rest is for who has come to an end
		differences, err := w.Differences(r)
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(differences, w.heard(payments, deliveries)...)
	}
	return out
}

// heard lists where what merchants were sent differs from what the books say
// they were sent: each body that came must be one that is stored, byte for byte,
// and each that is stored must have come (C6).
func (w *World) heard(payments map[string]payment.Payment, deliveries []event.Delivery) (out []string) {
	stored := map[id.Payment]map[string]bool{}
	for _, d := range deliveries {
		if stored[d.Payment] == nil {
			stored[d.Payment] = map[string]bool{}
		}
		stored[d.Payment][d.Body] = true
	}
	for name, p := range payments {
		got, err := w.Callbacks(name)
		if err != nil {
			w.t.Fatal(err)
		}
		came := map[string]bool{}
		for _, c := range got {
			came[c.Raw] = true
			if !c.ValidSignature || !stored[p.ID][c.Raw] {
				out = append(out, fmt.Sprintf("payment %s: a callback came that is not stored so, or not signed: %s", name, c.Raw))
			}
		}
		for body := range stored[p.ID] {
			if !came[body] {
				out = append(out, fmt.Sprintf("payment %s: a callback counts as delivered and never came: %s", name, body))
			}
		}
	}
	return out
}

// Some shows the first of many sentences.
func Some(list []string) string {
	return strings.Join(list[:min(5, len(list))], "; ")
}
