package bubble

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aorta/internal/book"
	"aorta/internal/callback"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/worker"
	"aorta/test/torture"
)

const (
	slowHosts = 200
	goodHosts = 50
)

// slowRun is what a run with slow merchants has shown.
type slowRun struct {
	p99     time.Duration // from a good merchant's event to his answer's being recorded
	longest time.Duration // of all calls
	called  map[string]bool
	waiting int // deliveries to good merchants that had not arrived
}

// slowly has callbacks for good merchants, and slow ones if slow is set, come in
// for a minute, done by a worker that serve makes.
func slowly(t *testing.T, slow bool, serve func(w *worker.Worker, h worker.Handler)) (out slowRun) {
	synctest.Test(t, func(t *testing.T) {
		world := &world{t: t, seed: 16}
		network := newNetwork()
		out.called = map[string]bool{}
		var mu sync.Mutex
		var servers []*http.Server
		stop := make(chan struct{})
		listen := func(host string, h http.HandlerFunc) {
			s := &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
			servers = append(servers, s)
			go s.Serve(network.listen(host))
		}
		for n := range goodHosts {
			listen(fmt.Sprint("good", n), func(_ http.ResponseWriter, r *http.Request) {
				time.Sleep(50*time.Millisecond + world.span(100*time.Millisecond, r.URL.Path))
			})
		}
		var raw sync.WaitGroup
		for n := range slowHosts {
			host := fmt.Sprint("slow", n)
			l := network.listen(host)
			raw.Go(func() { dawdle(l, n, stop, &raw, world) })
		}
		memory := book.NewMemory()
		w := worker.New(worker.Options{Now: time.Now, Pool: 192})
		var callbacks *callback.Callbacks
		serve(w, func(ctx context.Context, d due.Due) error { return callbacks.Handle(ctx, d) })
		epoch, err := memory.Enter(t.Context(), "slow", time.Now())
		must(t, err)
		b, err := book.New(t.Context(), []book.Home{{Store: memory, Lanes: 1}}, book.Options{Now: time.Now, Random: rand.Reader, Epoch: epoch, Work: w.Work})
		must(t, err)
		dial := func(ctx context.Context, n, address string) (net.Conn, error) {
			if host, _, _ := strings.Cut(address, ":"); strings.HasPrefix(host, "slow") {
				mu.Lock()
				out.called[host] = true
				mu.Unlock()
			}
			return network.dial(ctx, n, address)
		}
		sender := timed{callback.NewHTTPSenderOver(dial), func(took time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			out.longest = max(out.longest, took)
		}}
		render := func(w event.Work, _ project.Project) ([]byte, http.Header, error) {
			return []byte(w.Event.ID.String()), nil, nil
		}
		callbacks = callback.New(b, memory, callback.Options{
			Styles:   map[string]callback.Style{"x": {Render: render, Delivered: callback.Status200}},
			Projects: func(int64) (project.Project, bool) { return project.Project{}, true },
			Sender:   sender, Now: time.Now,
		})
		run, end := context.WithCancel(t.Context())
		w.Start(run, b, memory, memory, epoch)
		for step := range 40 { // a second each
			for n := range goodHosts {
				tell(t, b, fmt.Sprintf("http://good%d/%d", n, step))
			}
			for n := range slowHosts {
				if slow && (n+step)%2 == 0 {
					tell(t, b, fmt.Sprintf("http://slow%d/%d", n, step))
				}
			}
			time.Sleep(time.Second)
		}
		time.Sleep(5 * time.Second)
		rows, err := memory.ScanDeliveries(t.Context(), id.Delivery{}, all)
		must(t, err)
		var delays []time.Duration
		for _, d := range rows {
			if !strings.HasPrefix(d.URL, "http://good") {
				continue
			}
			took := time.Duration(d.ChangedUS-d.CreatedUS) * time.Microsecond
			if d.State != event.DeliveryDelivered {
				out.waiting++
				took = time.Since(time.UnixMicro(d.CreatedUS))
			}
			delays = append(delays, took)
		}
		slices.Sort(delays)
		out.p99 = delays[len(delays)*99/100]
		end()
		w.Wait(context.Background())
		b.Close()
		close(stop)
		for _, s := range servers {
			s.Close()
		}
		network.mu.Lock()
		for _, l := range network.hosts {
			l.Close()
		}
		network.mu.Unlock()
		raw.Wait()
		time.Sleep(2 * time.Minute) // idle connections end
	})
	return out
}

// tell writes an event of a payment of its own, and the delivery of it.
func tell(t *testing.T, b *book.Book, address string) {
	bucket := id.BucketOf(b.Buckets(), "slow", address)
	_, err := book.Do(t.Context(), b, book.Act[struct{}]{Name: "tell", Bucket: bucket, Decide: func(p *book.Page) (struct{}, error) {
		pay := payment.Payment{ID: id.Payment(p.Mint()), CallbackURL: address}
		snap := event.Snapshot{Payment: pay}
		e := event.Event{ID: id.Event(p.Mint()), Payment: pay.ID, Kind: event.PaymentCaptured, AtUS: p.NowUS(), Snapshot: snap.Encode()}
		d := event.Delivery{
			ID: id.Delivery(p.Mint()), Event: e.ID, Payment: pay.ID, URL: address, Door: "x", State: event.DeliveryPending,
			CreatedUS: p.NowUS(), ChangedUS: p.NowUS(),
		}
		p.Events.Append(e)
		p.Deliveries.New(d)
		p.Due.New(due.Now(d.ID.Raw(), due.Deliver, p.NowUS(), p.Epoch(), &event.Work{Delivery: d, Event: e, Snapshot: snap}))
		return struct{}{}, nil
	}})
	must(t, err)
}

// dawdle answers calls as a slow merchant does: after 0 to 120 s, or by a byte a
// second, or by a header that has no end, or not at all.
func dawdle(l *listener, n int, stop <-chan struct{}, wg *sync.WaitGroup, w *world) {
	for call := 0; ; call++ {
		c, err := l.Accept()
		if err != nil {
			return
		}
		wg.Go(func() {
			defer c.Close()
			gone := make(chan struct{})
			wg.Go(func() { // what the platform sends, until it hangs up
				defer close(gone)
				buf := make([]byte, 4096)
				for {
					if _, err := c.Read(buf); err != nil {
						return
					}
				}
			})
			wait := func(d time.Duration) bool {
				select {
				case <-time.After(d):
					return true
				case <-gone:
				case <-stop:
				}
				return false
			}
			text, pause := "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", time.Second
			switch n % 4 {
			case 0:
				if wait(time.Duration(w.draw("waits", n, call) * float64(120*time.Second))) {
					_, _ = c.Write([]byte(text))
				}
				<-gone
				return
			case 1: // a byte a second
			case 2:
				text, pause = "HTTP/1.1 200 OK\r\n"+strings.Repeat("X-More: and more\r\n", 1000), 100*time.Millisecond
			case 3:
				text = "" // nothing
				wait(120 * time.Second)
			}
			for i := range len(text) {
				if !wait(pause) {
					return
				}
				if _, err := c.Write([]byte{text[i]}); err != nil {
					return
				}
			}
		})
	}
}

// timed tells how long a call took.
type timed struct {
	callback.Sender
	took func(time.Duration)
}

func (s timed) Send(ctx context.Context, url string, header http.Header, body []byte) (callback.Answer, error) {
	begun := time.Now()
	defer func() { s.took(time.Since(begun)) }()
	return s.Sender.Send(ctx, url, header, body)
}

// T16: merchants who are slow in every way do not delay the others.
func TestSlowMerchants(t *testing.T) {
	t.Parallel()
	wide := func(w *worker.Worker, h worker.Handler) { w.ServeWide(due.Deliver, h, callback.MostAtOnce) }
	before, after := slowly(t, false, wide), slowly(t, true, wide)
	t.Logf("a good merchant's p99: %s without, %s with %d slow merchants (%d of them called)", before.p99, after.p99, slowHosts, len(after.called))
	row := torture.Row{ID: "T16", Fault: "slow merchant", Store: "memory", Planned: slowHosts, Injected: len(after.called), Survived: len(after.called)}
	if float64(after.p99) > 1.2*float64(before.p99) || after.waiting > before.waiting {
		t.Errorf("p99 is %s with slow merchants, want at most a fifth more than %s; %d deliveries still wait", after.p99, before.p99, after.waiting)
		row.Violations++
	}
	if after.longest > 15100*time.Millisecond || after.longest < 15*time.Second {
		t.Errorf("the longest call lasted %s, want it cut after 15 s", after.longest)
		row.Violations++
	}
	torture.Report(t, row)
	// One pool for all, as it was, is seen to fail.
	narrow := slowly(t, true, func(w *worker.Worker, h worker.Handler) { w.Serve(due.Deliver, h) })
	if float64(narrow.p99) <= 1.2*float64(before.p99) {
		t.Errorf("with a narrow pool p99 is %s, so this test would see nothing", narrow.p99)
	}
}
