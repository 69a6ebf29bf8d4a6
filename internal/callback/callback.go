// Package callback brings events to merchants: the outbox's other end. An
// event is rendered by the door that owns its style, its bytes are stored
// before they leave, and the same bytes are sent again by a schedule until the
// merchant answers or the schedule is exhausted (ecommpay.md section 4.1).
//
// To an address that a payment names it keeps order per payment: a newer event
// waits while an older one is still in the first phase of its schedule. To the
// endpoints of a project it tells the same events by Standard Webhooks, which
// promise none (webhook.go, endpoint.go). It never follows a redirect and never
// reads more than a little of an answer. Merchants who do not answer quickly get
// few calls at once, so that the others do not wait for them (crowd). Its known
// weakness: that is counted by host and process, so a merchant with many hosts
// has the room of many.
package callback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"time"

	"aorta/internal/book"
	"aorta/internal/crash"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/project"

	"github.com/prometheus/client_golang/prometheus"
)

// Render makes the body that tells of an event, in the style of one door. It
// is pure: equal work gives equal bytes. The header goes with the first try; a
// retry has the stored bytes and says that they are JSON.
type Render func(w event.Work, p project.Project) ([]byte, http.Header, error)

// Sender posts one body to a merchant.
type Sender interface {
	// Send posts body byte for byte. A non-2xx answer is an Answer; an error
	// means that we do not know whether it arrived.
	Send(ctx context.Context, url string, header http.Header, body []byte) (Answer, error)
}

// Answer is what a merchant's endpoint said.
type Answer struct {
	Status     int
	RetryAfter time.Duration // how long it asks to be left alone; 0: it does not
}

// Style is how one kind of endpoint wants to be called.
type Style struct {
	Render    Render
	Delivered func(status int) bool // whether an answer ends the delivery
	Unit      time.Duration         // pause of the schedule's first phase; the rest is in proportion. 0 means 10s
}

// Options are what Callbacks must be given, and its parts with a default.
type Options struct {
	Styles      map[string]Style                              // by door; required
	Projects    func(projectID int64) (project.Project, bool) // required
	Sender      Sender                                        // required
	Endpoints   *Endpoints                                    // whom webhooks go to; nil: there are none
	WebhookUnit time.Duration                                 // of the webhooks' schedule, which is the specification's at 10s; 0 means 10s
	Now         func() time.Time                              // required
	Log         *slog.Logger                                  // nil discards
	Metrics     prometheus.Registerer                         // nil: counted, not registered
}

// Callbacks deliver events.
type Callbacks struct {
	book *book.Book
	read book.Reader
	opts Options

	results  *prometheus.CounterVec
	webhooks *prometheus.CounterVec
	crowd    crowd
}

// New makes the deliverer over a book.
func New(b *book.Book, r book.Reader, o Options) *Callbacks {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.WebhookUnit == 0 {
		o.WebhookUnit = 10 * time.Second
	}
	c := &Callbacks{book: b, read: r, opts: o, crowd: crowd{now: o.Now}, results: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "aorta_callback_tries_total", Help: "Callback tries by result: delivered, refused, unanswered, dead, postponed, repeated.",
	}, []string{"result"}), webhooks: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "aorta_webhook_tries_total", Help: "Webhook tries by result: delivered, refused, unanswered, gone, dead, parked, repeated.",
	}, []string{"result"})}
	if o.Metrics != nil {
		o.Metrics.MustRegister(c.results, c.webhooks)
	}
	return c
}

const (
	firstTries = 6    // tries a unit apart
	maxTries   = 120  // then the delivery is dead
	longest    = 1440 // units between tries at most: 4 h of 10-s units
)

// Pause is how long to wait after try n (1 is the first) failed: six times a
// unit, then 7 + 1.12^(n-4) units until that exceeds 1,440, then 1,440 units.
// With the documented unit of 10 s that is 10 s, …, 4 h, about 11 days in all.
func Pause(n int64, unit time.Duration) time.Duration {
	if n < firstTries+1 {
		return unit
	}
	units := 7 + math.Pow(1.12, float64(n-4))
	return time.Duration(min(units, longest) * float64(unit))
}

var (
	// errStyle: no door of that name renders callbacks. A bug.
	errStyle = errors.New("no style for door")
	// errProject: the event's project is not among the settings any more.
	errProject = errors.New("project is not configured")
	// errEmpty: a door rendered nothing. A bug.
	errEmpty = errors.New("callback has no body")
	// errNoEvent: a delivery without its event. A bug.
	errNoEvent = errors.New("no such event")
)

// Handle makes one try of a delivery. Its bytes are rendered for the first try
// alone: a retry needs neither the project nor the event. What cannot be
// rendered counts as a try that failed, so that it shows in the delivery's log
// and ends as a dead letter instead of coming again for ever.
func (c *Callbacks) Handle(ctx context.Context, d due.Due) error {
	if crash.Armed(crash.AfterAnswer) { // the answer must be first, and the process dies with it
		return context.Canceled
	}
	crash.At(crash.OutboxClaimed)
	w, err := c.claimed(ctx, d)
	if err != nil {
		return err
	}
	if w.Delivery.Door == event.DoorWebhook {
		return c.webhook(ctx, w)
	}
	style, known := c.opts.Styles[w.Delivery.Door]
	if style.Unit == 0 {
		style.Unit = 10 * time.Second
	}
	if !known {
		return c.result(ctx, w.Delivery, style, Answer{}, fmt.Errorf("%w %q", errStyle, w.Delivery.Door))
	}
	news := w.Delivery.Tries == 0
	if at, ok := c.crowd.room(w.Delivery.URL, news); !ok {
		return c.postpone(ctx, w.Delivery, at)
	}
	var fresh []byte
	var header http.Header
	if w.Delivery.Body == "" || rerender {
		if err := c.complete(ctx, &w); err != nil {
			return err
		}
		if fresh, header, err = c.render(style, w); err != nil {
			return c.result(ctx, w.Delivery, style, Answer{}, fmt.Errorf("render %s: %w", w.Event.ID, err))
		}
	}
	body, err := c.prepare(ctx, w.Delivery, string(fresh), firstPhase(w, style))
	if err != nil || body == "" {
		return err
	}
	visit, at, ok := c.crowd.enter(w.Delivery.URL, news)
	if !ok {
		return c.postpone(ctx, w.Delivery, at)
	}
	answer, err := c.opts.Sender.Send(ctx, w.Delivery.URL, header, []byte(body))
	visit.end()
	crash.At(crash.CallbackSent)
	return c.result(ctx, w.Delivery, style, answer, err)
}

// Behind reports whether what is new reaches the merchant at an address seconds
// late though he answers quickly: more is begun than can be told of.
func (c *Callbacks) Behind(address string) bool { return c.crowd.behind(address) }

// postpone has a delivery wait for room. That is no try.
func (c *Callbacks) postpone(ctx context.Context, known event.Delivery, at time.Time) error {
	_, err := book.Do(ctx, c.book, book.Act[struct{}]{
		Name: "callback.postpone", Bucket: known.ID.Bucket(), Background: true,
		Hint: func(p *book.Page) { p.Deliveries.Get(known.ID); p.Due.Get(known.ID.Raw()) },
		Decide: func(p *book.Page) (struct{}, error) {
			if d, ok := p.Deliveries.Get(known.ID); !ok || d.State != event.DeliveryPending {
				endDue(p, known.ID)
				return struct{}{}, nil
			}
			setDue(p, due.At(known.ID.Raw(), due.Deliver, at.UnixMicro()))
			return struct{}{}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("postpone %s: %w", known.ID, err)
	}
	c.results.WithLabelValues("postponed").Inc()
	return nil
}

func (c *Callbacks) render(style Style, w event.Work) ([]byte, http.Header, error) {
	pr, ok := c.opts.Projects(w.Snapshot.Payment.ProjectID)
	if !ok {
		return nil, nil, fmt.Errorf("%w: %d", errProject, w.Snapshot.Payment.ProjectID)
	}
	body, header, err := style.Render(w, pr)
	if err == nil && len(body) == 0 {
		err = errEmpty
	}
	return body, header, err
}

// claimed gives all there is to know of a delivery, if the act that made it
// carried that here; else the delivery alone.
func (c *Callbacks) claimed(ctx context.Context, d due.Due) (event.Work, error) {
	if w, ok := d.Carry.(*event.Work); ok {
		return *w, nil
	}
	known, ok, err := c.read.Delivery(ctx, id.Delivery(d.ID))
	if err != nil {
		return event.Work{}, fmt.Errorf("read delivery: %w", err)
	}
	if !ok {
		return event.Work{}, fmt.Errorf("read delivery %s: %w", id.Delivery(d.ID), ErrNoDelivery)
	}
	return event.Work{Delivery: known}, nil
}

// complete reads what a delivery tells of, unless that is known.
func (c *Callbacks) complete(ctx context.Context, w *event.Work) (err error) {
	if !w.Event.ID.IsZero() {
		return nil
	}
	var ok bool
	if w.Event, ok, err = c.read.Event(ctx, w.Delivery.Event); err != nil {
		return fmt.Errorf("read event of %s: %w", w.Delivery.ID, err)
	}
	if !ok {
		return fmt.Errorf("read event of %s: %w", w.Delivery.ID, errNoEvent)
	}
	if w.Event.Payment.IsZero() {
		return nil // of an endpoint: it tells everything by itself
	}
	w.Snapshot, err = book.SnapshotOf(ctx, c.read, w.Event)
	return err
}

// firstPhase is how long after its event a delivery of this payment is in the
// first phase of its schedule, which begins when the payment's delay is over.
func firstPhase(w event.Work, style Style) time.Duration {
	return time.Duration(w.Snapshot.Payment.CallbackDelayS)*time.Second + firstTries*style.Unit
}

// prepare stores the bytes before they leave and answers those to send: what
// was stored first, whoever rendered it. It answers none when the delivery must
// wait for an older one of the same payment, or has ended meanwhile.
func (c *Callbacks) prepare(ctx context.Context, known event.Delivery, fresh string, phase time.Duration) (string, error) {
	type ready struct{ body, word string }
	ordered := known.Door != event.DoorWebhook
	r, err := book.Do(ctx, c.book, book.Act[ready]{
		Name: "callback.prepare", Bucket: known.ID.Bucket(),
		Hint: func(p *book.Page) {
			p.Deliveries.Get(known.ID)
			if !known.Prev.IsZero() && known.Body == "" && ordered {
				p.Deliveries.Get(known.Prev)
			}
		},
		Decide: func(p *book.Page) (ready, error) {
			d, ok := p.Deliveries.Get(known.ID)
			switch {
			case !ok || d.State != event.DeliveryPending:
				endDue(p, known.ID)
				return ready{word: "repeated"}, nil
			case d.Body != "" && !rerender:
				return ready{body: d.Body}, nil
			}
			if !d.Prev.IsZero() && ordered {
				prev, ok := p.Deliveries.Get(d.Prev)
				hold := prev.CreatedUS + phase.Microseconds()
				if ok && prev.State == event.DeliveryPending && p.NowUS() < hold {
					prev.Next = d.ID // it wakes us when it ends
					p.Deliveries.Put(prev)
					setDue(p, due.At(d.ID.Raw(), due.Deliver, hold))
					return ready{word: "postponed"}, nil
				}
			}
			d.Body, d.ChangedUS = fresh, p.NowUS()
			p.Deliveries.Put(d)
			return ready{body: d.Body}, nil
		},
	})
	if err != nil {
		return "", fmt.Errorf("prepare %s: %w", known.ID, err)
	}
	if r.word != "" {
		c.results.WithLabelValues(r.word).Inc()
	}
	return r.body, nil
}

// try is one line of a delivery's log.
type try struct {
	AtUS   int64  `json:"at_us"`
	Status int    `json:"status"`
	Error  string `json:"error,omitempty"`
}

// keptTries bounds a delivery's log.
const keptTries = 12

// result records a try and what comes of it.
func (c *Callbacks) result(ctx context.Context, known event.Delivery, style Style, answer Answer, sendErr error) error {
	word, err := book.Do(ctx, c.book, book.Act[string]{
		Name: "callback.result", Bucket: known.ID.Bucket(),
		Hint: func(p *book.Page) { p.Deliveries.Get(known.ID); p.Due.Get(known.ID.Raw()) },
		Decide: func(p *book.Page) (string, error) {
			d, ok := p.Deliveries.Get(known.ID)
			if !ok || d.State != event.DeliveryPending {
				endDue(p, known.ID)
				return "repeated", nil
			}
			note(&d, p.NowUS(), answer, sendErr)
			word := "refused"
			switch {
			case sendErr == nil && style.Delivered(answer.Status):
				d.State, word = event.DeliveryDelivered, "delivered"
			case d.Tries >= maxTries:
				d.State, word = event.DeliveryDead, "dead"
			case sendErr != nil:
				word = "unanswered"
			}
			if d.State == event.DeliveryPending {
				setDue(p, due.At(d.ID.Raw(), due.Deliver, p.NowUS()+Pause(d.Tries, style.Unit).Microseconds()))
			} else {
				endDue(p, d.ID)
				wake(p, d.Next)
			}
			p.Deliveries.Put(d)
			return word, nil
		},
	})
	if err != nil {
		return fmt.Errorf("record try of %s: %w", known.ID, err)
	}
	c.results.WithLabelValues(word).Inc()
	if word == "dead" {
		c.opts.Log.Error("callback is a dead letter", "delivery", known.ID, "payment", known.Payment)
	}
	return nil
}

func note(d *event.Delivery, nowUS int64, answer Answer, sendErr error) {
	t := try{AtUS: nowUS, Status: answer.Status}
	if sendErr != nil {
		t.Error = reason(sendErr)
	}
	d.Tries++
	d.LastStatus, d.LastError, d.ChangedUS = int64(t.Status), t.Error, nowUS
	var log []try
	if d.Log != "" {
		if err := json.Unmarshal([]byte(d.Log), &log); err != nil {
			log = nil // written by us alone; a log that cannot be read is begun anew
		}
	}
	log = append(log, t)
	text, err := json.Marshal(log[max(0, len(log)-keptTries):])
	if err != nil {
		panic("a log of plain values cannot fail to encode: " + err.Error())
	}
	d.Log = string(text)
}

// maxReason bounds what is kept of an error's text, in bytes.
const maxReason = 256

// reason is an error's text as a row keeps it. It may quote what a stranger's
// server said, a certificate's names for one, so it is cut, and what a database
// refuses is replaced.
func reason(err error) string {
	text := err.Error()
	text = strings.ToValidUTF8(text[:min(len(text), maxReason)], "?")
	return strings.ReplaceAll(text, "\x00", "?")
}

// wake has a delivery that waited for this one sent now. One that has been sent
// already, or is being handled, keeps the time that it has.
func wake(p *book.Page, next id.Delivery) {
	if next.IsZero() {
		return
	}
	row, _ := p.Deliveries.Get(next)
	if d, ok := p.Due.Get(next.Raw()); ok && d.Owner == 0 && row.Body == "" {
		p.Due.Put(due.Now(next.Raw(), due.Deliver, p.NowUS(), p.Epoch(), nil))
	}
}

func endDue(p *book.Page, d id.Delivery) {
	if _, ok := p.Due.Get(d.Raw()); ok {
		p.Due.Delete(d.Raw())
	}
}

func setDue(p *book.Page, d due.Due) {
	p.Due.Get(d.ID)
	p.Due.Put(d)
}

// ErrNoDelivery: no such delivery.
var ErrNoDelivery = errors.New("no such delivery")

// Replay sends a delivery once more, whatever became of it. The bytes are
// those of its first try.
func (c *Callbacks) Replay(ctx context.Context, d id.Delivery) error {
	if int(d.Bucket()) >= c.book.Buckets() { // an operator typed it: 256 buckets fit into an id
		return fmt.Errorf("replay %s: %w", d, ErrNoDelivery)
	}
	_, err := book.Do(ctx, c.book, book.Act[struct{}]{
		Name: "callback.replay", Bucket: d.Bucket(), Background: true,
		Hint: func(p *book.Page) { p.Deliveries.Get(d); p.Due.Get(d.Raw()) },
		Decide: func(p *book.Page) (struct{}, error) {
			row, ok := p.Deliveries.Get(d)
			if !ok {
				return struct{}{}, ErrNoDelivery
			}
			row.State, row.Tries, row.ChangedUS = event.DeliveryPending, 0, p.NowUS()
			p.Deliveries.Put(row)
			setDue(p, due.Now(d.Raw(), due.Deliver, p.NowUS(), p.Epoch(), nil))
			return struct{}{}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("replay %s: %w", d, err)
	}
	return nil
}

// Status200 is the ECommPay rule of what ends a delivery: HTTP 200 and nothing else.
func Status200(status int) bool { return status == http.StatusOK }
