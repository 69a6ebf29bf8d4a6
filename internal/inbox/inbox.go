// Package inbox takes what PSPs send us: verified or nothing, stored as it
// came (but for names, connector.Keeper), answered, and only then acted upon (payment-loop.md L6).
//
// A notification is a reason to ask the PSP, not the answer: the flow looks the
// attempt up before money is booked. Only one that its connector calls final,
// since its signature covers nonce, time, amount and currency, is the answer
// itself (L2 step 4, L3.2). Known weakness: while a PSP whose news is not final
// answers no look-up, payments wait for their own next look-up.
package inbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/crash"
	"aorta/internal/due"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/internal/verification"

	"github.com/prometheus/client_golang/prometheus"
)

// Options are what an Inbox must be given, and its parts with a default.
type Options struct {
	Flows      *flow.Flows                                            // required
	Connectors func(name, account string) (connector.Connector, bool) // required
	ReturnURL  func(id.Payment) string                                // where a customer's browser goes on; required
	Verifiers  verification.Directory                                 // who checks customers; nil: nobody
	Log        *slog.Logger                                           // nil discards
	Metrics    prometheus.Registerer                                  // nil: counted, not registered
	Retry      time.Duration                                          // between tries to apply; 0 means 5s
}

// Inbox receives and applies notifications.
type Inbox struct {
	book *book.Book
	read book.Reader
	opts Options

	received *prometheus.CounterVec
}

// New makes an inbox over a book.
func New(b *book.Book, r book.Reader, o Options) *Inbox {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Retry == 0 {
		o.Retry = 5 * time.Second
	}
	n := &Inbox{book: b, read: r, opts: o, received: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "aorta_notifications_total", Help: "Notifications by connector and result: stored, forged, malformed, unavailable.",
	}, []string{"connector", "result"})}
	if o.Metrics != nil {
		o.Metrics.MustRegister(n.received)
	}
	return n
}

// maxBody bounds one notification (security.md S32).
const maxBody = 1 << 20

// ServeHTTP answers /n/{connector}/{account}. A PSP gets 200 once its
// notification is stored; a customer's browser that brings one is sent on.
func (n *Inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, account := r.PathValue("connector"), r.PathValue("account")
	c, ok := n.opts.Connectors(name, account)
	reader, reads := c.(connector.NotificationReader)
	if !ok || !reads {
		http.Error(w, "unknown account", http.StatusNotFound)
		return
	}
	browser := isBrowser(r.Header)
	if r.Method != http.MethodPost {
		// Some browsers repeat the way back as GET (paytm.md section 4). They are answered, and nothing changes.
		if browser {
			n.neutral(w, true, http.StatusOK)
			return
		}
		w.Header().Set("Allow", http.MethodPost)
		n.neutral(w, false, http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		n.count(name, "malformed")
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		// It broke off. Silence would be a 200, and the PSP would never send it again.
		n.unavailable(w, name, browser)
		return
	}
	came := connector.Notification{Method: r.Method, Header: r.Header, Body: body}
	news, err := reader.ReadNotification(came)
	if err == nil {
		came, err = keptBy(reader, came)
	}
	switch {
	case errors.Is(err, connector.ErrSignature):
		n.count(name, "forged")
		n.neutral(w, browser, http.StatusUnauthorized)
		return
	case err != nil, !storable(body), !storable(came.Body):
		n.count(name, "malformed")
		n.neutral(w, browser, http.StatusBadRequest)
		return
	}
	crash.At(crash.NewsVerified)
	if err := n.store(r.Context(), name, account, kept(came.Header, c.Capabilities().NewsHeaders), came.Body, news); err != nil {
		n.opts.Log.Error("store notification", "connector", name, "error", err)
		n.unavailable(w, name, browser)
		return
	}
	n.count(name, "stored")
	if browser {
		n.sendOn(w, r, name, account, news)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"status":"ok"}`)
}

// Account is a PSP account by its names.
type Account struct{ Connector, Name string }

// Accept takes a notification that does not say of which account it is: it is of
// the one whose signature it has. It is stored and durable when Accept returns.
//
// Errors: connector.ErrSignature: of none of them. connector.ErrMalformed: signed,
// but no notification. Any other: it was not stored, and the sender must try again.
func (n *Inbox) Accept(ctx context.Context, accounts []Account, header http.Header, body []byte) error {
	for _, a := range accounts {
		c, ok := n.opts.Connectors(a.Connector, a.Name)
		reader, reads := c.(connector.NotificationReader)
		if !ok || !reads {
			continue
		}
		came := connector.Notification{Method: http.MethodPost, Header: header, Body: body}
		news, err := reader.ReadNotification(came)
		if err == nil {
			came, err = keptBy(reader, came)
		}
		switch {
		case errors.Is(err, connector.ErrSignature):
			continue
		case err == nil && (!storable(body) || !storable(came.Body)):
			err = connector.ErrMalformed
		}
		if err != nil {
			n.count(a.Connector, "malformed")
			return err
		}
		crash.At(crash.NewsVerified)
		if err := n.store(ctx, a.Connector, a.Name, kept(came.Header, c.Capabilities().NewsHeaders), came.Body, news); err != nil {
			n.count(a.Connector, "unavailable")
			return err
		}
		n.count(a.Connector, "stored")
		return nil
	}
	n.count("generic", "forged")
	return connector.ErrSignature
}

// keptBy gives a notification as it is to be stored: as it came, unless it says what
// its connector does not keep.
func keptBy(reader connector.NotificationReader, came connector.Notification) (connector.Notification, error) {
	if k, ok := reader.(connector.Keeper); ok {
		return k.Kept(came)
	}
	return came, nil
}

func (n *Inbox) count(connectorName, result string) {
	n.received.WithLabelValues(connectorName, result).Inc()
}

// isBrowser tells a customer's browser from a PSP's program. Java's own client
// takes text/html too, unasked, and is known by how it writes the rest; sent on,
// it would count its notification as failed.
func isBrowser(h http.Header) bool {
	accept := h.Get("Accept")
	return strings.Contains(accept, "text/html") && !strings.Contains(accept, "*; q=.2")
}

// unavailable has the sender try again.
func (n *Inbox) unavailable(w http.ResponseWriter, connectorName string, browser bool) {
	n.count(connectorName, "unavailable")
	w.Header().Set("Retry-After", "5")
	n.neutral(w, browser, http.StatusServiceUnavailable)
}

// neutral tells a stranger nothing. A person sees a page, a program the status.
func (n *Inbox) neutral(w http.ResponseWriter, browser bool, status int) {
	if !browser {
		http.Error(w, http.StatusText(status), status)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "<!doctype html><html lang=en><meta name=viewport content=\"width=device-width\"><title>Payment</title>"+
		"<p>Please go back to the shop to see your payment.</p></html>")
}

// sendOn sends the customer to the page of their payment by a GET, since the
// way back from a PSP is a POST from another site (security.md S31).
//
// The account that signed the news must be the attempt's own: the page is not
// for whoever holds the key of another.
func (n *Inbox) sendOn(w http.ResponseWriter, r *http.Request, name, account string, news connector.News) {
	a, ok, err := n.attempt(r.Context(), news.Reference)
	if err != nil || !ok || a.Connector != name || a.Account != account {
		n.neutral(w, true, http.StatusOK)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, n.opts.ReturnURL(a.Payment), http.StatusSeeOther)
}

// attempt reads the attempt that a reference names; false if it is none of ours.
func (n *Inbox) attempt(ctx context.Context, reference string) (payment.Attempt, bool, error) {
	ref, err := id.ParseAttempt(reference)
	if err != nil {
		return payment.Attempt{}, false, nil
	}
	a, ok, err := n.opts.Flows.Attempt(ctx, ref)
	if err != nil {
		return a, false, fmt.Errorf("read attempt %s: %w", ref, err)
	}
	return a, ok, nil
}

// notice is what the act that stored a notification knows of it: the Carry of
// its due row.
type notice struct {
	row  payment.Inbox
	news connector.News
}

// kept is what is kept of a notification's headers, as JSON: its media type, and
// those that its connector needs to verify it again.
func kept(h http.Header, names []string) string {
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		media = ""
	}
	fields := map[string]string{"Content-Type": media}
	for _, name := range names {
		if v := h.Get(name); v != "" {
			fields[name] = strings.ToValidUTF8(v, "")
		}
	}
	text, err := json.Marshal(fields)
	if err != nil {
		panic("inbox: texts cannot fail to encode: " + err.Error())
	}
	return string(text)
}

// nameOf is what a notification is known by: the nonce of final news, so that it
// is taken once however it is dressed up (security.md S15), else its very bytes.
func nameOf(name, account string, body []byte, news connector.News) string {
	if news.Final && news.EventID != "" {
		return name + "/" + account + ":event:" + news.EventID
	}
	digest := sha256.Sum256(body)
	return name + "/" + account + ":" + hex.EncodeToString(digest[:])
}

// store keeps a verified notification as it came. The same one again is the same
// row: nothing is stored twice, and nothing happens twice.
func (n *Inbox) store(ctx context.Context, name, account, header string, body []byte, news connector.News) error {
	text := nameOf(name, account, body, news)
	bucket := id.BucketOf(n.book.Buckets(), "inbox", text)
	key := id.Inbox(id.Derive(bucket, "inbox", text))
	_, err := book.Do(ctx, n.book, book.Act[struct{}]{
		Name: "inbox.store", Bucket: bucket,
		Hint: func(p *book.Page) { p.Inbox.Get(key) },
		Decide: func(p *book.Page) (struct{}, error) {
			if known, ok := p.Inbox.Get(key); ok {
				if known.State == payment.InboxDead { // the PSP insists: a dead letter is worth another round
					again(p, known)
				}
				return struct{}{}, nil
			}
			row := payment.Inbox{
				ID: key, Connector: name, Account: account, Header: header, Body: string(body),
				State: payment.InboxStored, ReceivedUS: p.NowUS(), ChangedUS: p.NowUS(),
			}
			p.Inbox.Put(row)
			p.Due.New(due.Now(key.Raw(), due.Notice, p.NowUS(), p.Epoch(), &notice{row, news}))
			return struct{}{}, nil
		},
	})
	return err
}

// again has a notification applied anew.
func again(p *book.Page, row payment.Inbox) {
	row.State, row.Tries, row.ChangedUS = payment.InboxStored, 0, p.NowUS()
	p.Inbox.Put(row)
	p.Due.Get(row.ID.Raw())
	p.Due.Put(due.Now(row.ID.Raw(), due.Notice, p.NowUS(), p.Epoch(), nil))
}

// maxTries bounds how often a notification is tried before it is a dead letter.
const maxTries = 6

// maxUnheard bounds the tries while the PSP cannot be asked: with pauses that
// double up to an hour, about two days.
const maxUnheard = 48

// Handle applies one stored notification.
func (n *Inbox) Handle(ctx context.Context, d due.Due) error {
	crash.At(crash.NewsStored)
	k := id.Inbox(d.ID)
	work, ok := d.Carry.(*notice)
	if !ok {
		row, err := n.stored(ctx, k)
		if err != nil {
			return err
		}
		work = &notice{row: row}
	}
	if work.row.Connector == flow.KYC {
		return n.handleCheck(ctx, work.row)
	}
	if !ok {
		var err error
		if work, err = n.again(work.row); err != nil {
			return n.end(ctx, k, verdict{again: true, reason: "cannot be read again: " + reason(err)})
		}
	}
	a, known, err := n.attempt(ctx, work.news.Reference)
	if work.news.Reference == "" && work.news.Payment != "" {
		a, known, err = n.meant(ctx, k, work)
	}
	var unmatched *unmatchedError
	switch {
	case errors.As(err, &unmatched):
		return n.end(ctx, k, verdict{reason: "unmatched: " + unmatched.Error()})
	case err != nil:
		return err
	case !known:
		return n.end(ctx, k, verdict{again: true, reason: "names no attempt of ours"})
	}
	why, knows := mismatch(work, a)
	if why != "" && knows {
		// Its own word: that the PSP knows of it counts, whatever else it says.
		out := work.news.Outcome()
		out.Amount, out.Mismatch = work.news.Amount, why
		if err := n.opts.Flows.Hear(ctx, a, out, d); err != nil {
			return err
		}
		return n.end(ctx, k, verdict{reason: "mismatch: " + why})
	}
	if why != "" {
		if err := n.openCase(ctx, a.Payment, flow.CaseMismatch, a.ID.String(), map[string]any{"attempt": a.ID.String(), "mismatch": why}); err != nil {
			return err
		}
		return n.end(ctx, k, verdict{reason: "mismatch: " + why})
	}
	if a.Status.Final() && agrees(work.news.Kind, a.Status) {
		return n.end(ctx, k, verdict{reason: "known"})
	}
	if work.news.Final && work.news.Kind != connector.Unknown {
		if err := n.opts.Flows.Hear(ctx, a, work.news.Outcome(), d); err != nil {
			return err
		}
		return n.end(ctx, k, verdict{reason: "final: " + string(work.news.Kind)})
	}
	if trustNews {
		out := connector.Outcome{Kind: work.news.Kind, Amount: work.news.Amount}
		return errors.Join(n.opts.Flows.Apply(ctx, a, out), n.end(ctx, k, verdict{reason: "trusted"}))
	}
	out, err := n.opts.Flows.Confirm(ctx, a, d)
	if errors.Is(err, flow.ErrNoConnector) {
		return n.end(ctx, k, verdict{again: true, reason: "its PSP account is not configured"})
	}
	if err != nil {
		return err
	}
	if out.Kind == connector.Unknown {
		return n.end(ctx, k, verdict{again: true, unheard: true, reason: "not confirmed: the look-up had no answer"})
	}
	if out.Kind == connector.Pending && work.news.Kind != connector.Pending {
		return n.end(ctx, k, verdict{again: true, reason: "not confirmed by look-up"})
	}
	return n.end(ctx, k, verdict{reason: "confirmed: " + string(out.Kind)})
}

// unmatchedError: news names a payment, and not exactly one open attempt of it at
// the account. A person must look; a case says so.
type unmatchedError struct{ open int }

func (e *unmatchedError) Error() string {
	return fmt.Sprintf("%d open attempts of the payment at this account", e.open)
}

// meant finds the attempt that news means which names our payment alone: the one
// open attempt of it at the account that has signed. What repeats the last word
// of one that is over means that one.
func (n *Inbox) meant(ctx context.Context, k id.Inbox, work *notice) (payment.Attempt, bool, error) {
	pay, err := id.ParsePayment(work.news.Payment)
	if err != nil {
		return payment.Attempt{}, false, nil
	}
	kind := work.news.Operation
	if kind == "" {
		kind = payment.KindSale
	}
	all, err := n.opts.Flows.AttemptsAt(ctx, pay, kind, work.row.Connector, work.row.Account)
	switch {
	case errors.Is(err, payment.ErrNoPayment):
		return payment.Attempt{}, false, nil
	case err != nil:
		return payment.Attempt{}, false, err
	}
	var open []payment.Attempt
	for _, a := range all {
		if !a.Status.Final() {
			open = append(open, a)
		}
	}
	if len(open) == 1 {
		return open[0], true, nil
	}
	for _, a := range all {
		if len(open) == 0 && agrees(work.news.Kind, a.Status) && a.Amount == work.news.Amount {
			return a, true, nil
		}
	}
	err = n.openCase(ctx, pay, flow.CaseUnmatched, k.String(), map[string]any{
		"account": work.row.Connector + "/" + work.row.Account, "said": work.news.Kind, "amount": work.news.Amount, "open": len(open),
	})
	if err != nil {
		return payment.Attempt{}, false, err
	}
	return payment.Attempt{}, false, &unmatchedError{len(open)}
}

// again reads the news from a stored notification: this process did not store
// it. The signature is checked anew, since a row is no proof of it.
func (n *Inbox) again(row payment.Inbox) (*notice, error) {
	c, ok := n.opts.Connectors(row.Connector, row.Account)
	reader, reads := c.(connector.NotificationReader)
	if !ok || !reads {
		return nil, fmt.Errorf("%w: %s/%s", flow.ErrNoConnector, row.Connector, row.Account)
	}
	header, err := headerOf(row)
	if err != nil {
		return nil, err
	}
	news, err := reader.ReadNotification(connector.Notification{
		Method: http.MethodPost, Header: header, Body: []byte(row.Body), Received: time.UnixMicro(row.ReceivedUS),
	})
	if err != nil {
		return nil, err
	}
	return &notice{row, news}, nil
}

// headerOf gives what is kept of a notification's headers.
func headerOf(row payment.Inbox) (http.Header, error) {
	var fields map[string]string
	if err := json.Unmarshal([]byte(row.Header), &fields); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	header := http.Header{}
	for k, v := range fields {
		header.Set(k, v)
	}
	return header, nil
}

// maxReason bounds what is kept of an error's text, in bytes.
const maxReason = 256

// reason is an error's text as a row keeps it.
func reason(err error) string {
	text := err.Error()
	text = strings.ToValidUTF8(text[:min(len(text), maxReason)], "?")
	return strings.ReplaceAll(text, "\x00", "?")
}

// mismatch says what in the news does not fit what we asked for; empty: nothing.
// knows: it is the PSP's own word of this very attempt, in another amount or one
// that cannot be read.
func mismatch(work *notice, a payment.Attempt) (why string, knows bool) {
	switch {
	case a.Connector != work.row.Connector || a.Account != work.row.Account:
		return "attempt belongs to another account", false
	case work.news.Payment != "" && work.news.Payment != a.Payment.String():
		return "attempt belongs to another payment", false
	case work.news.Operation != "" && work.news.Operation != a.Kind:
		return "attempt is of another operation", false
	case work.news.Mismatch != "":
		return work.news.Mismatch, work.news.Final
	case work.news.Amount.Currency != "" && work.news.Amount != a.Amount,
		work.news.Final && work.news.Amount.Currency == "": // final news names what it is about, or is none
		return "amount or currency", work.news.Final
	}
	return "", false
}

func agrees(k connector.Kind, s payment.AttemptStatus) bool {
	return k == connector.Pending || (k == connector.Approved && s == payment.AttemptApproved) ||
		(k == connector.Declined && s == payment.AttemptDeclined)
}

func (n *Inbox) openCase(ctx context.Context, pay id.Payment, kind, about string, details map[string]any) error {
	_, err := book.Do(ctx, n.book, book.Act[struct{}]{
		Name: "inbox.case", Bucket: pay.Bucket(), Background: true,
		Decide: func(p *book.Page) (struct{}, error) {
			flow.OpenCase(p, pay, kind, about, details)
			return struct{}{}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("open case: %w", err)
	}
	return nil
}

// verdict is what became of one try to apply a notification.
type verdict struct {
	again   bool // worth another try
	unheard bool // the PSP could not be asked: it says that money has moved, so it is asked for days
	reason  string
}

// end records a verdict: applied, tried again later, or a dead letter.
func (n *Inbox) end(ctx context.Context, k id.Inbox, v verdict) error {
	_, err := book.Do(ctx, n.book, book.Act[struct{}]{
		Name: "inbox.end", Bucket: k.Bucket(), Background: true,
		Hint: func(p *book.Page) { p.Inbox.Get(k); p.Due.Get(k.Raw()) },
		Decide: func(p *book.Page) (struct{}, error) {
			row, ok := p.Inbox.Get(k)
			_, waits := p.Due.Get(k.Raw())
			if !ok || row.State != payment.InboxStored { // another try has ended it meanwhile
				if waits {
					p.Due.Delete(k.Raw())
				}
				return struct{}{}, nil
			}
			row.Tries++
			row.Reason, row.ChangedUS = v.reason, p.NowUS()
			most, pause := int64(maxTries), row.Tries*n.opts.Retry.Microseconds()
			if v.unheard {
				most, pause = maxUnheard, min(n.opts.Retry<<min(row.Tries-1, 20), time.Hour).Microseconds()
			}
			switch {
			case v.again && row.Tries < most:
				p.Due.Put(due.At(k.Raw(), due.Notice, p.NowUS()+pause))
				waits = false
			case v.again:
				row.State = payment.InboxDead
			default:
				row.State = payment.InboxApplied
			}
			if waits {
				p.Due.Delete(k.Raw())
			}
			p.Inbox.Put(row)
			return struct{}{}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("end notification: %w", err)
	}
	return nil
}

// ErrNoNotification: no such notification.
var ErrNoNotification = errors.New("no such notification")

// Replay applies a notification once more, whatever became of it.
func (n *Inbox) Replay(ctx context.Context, k id.Inbox) error {
	if int(k.Bucket()) >= n.book.Buckets() { // an operator typed it: 256 buckets fit into an id
		return fmt.Errorf("replay %s: %w", k, ErrNoNotification)
	}
	_, err := book.Do(ctx, n.book, book.Act[struct{}]{
		Name: "inbox.replay", Bucket: k.Bucket(), Background: true,
		Hint: func(p *book.Page) { p.Inbox.Get(k); p.Due.Get(k.Raw()) },
		Decide: func(p *book.Page) (struct{}, error) {
			row, ok := p.Inbox.Get(k)
			if !ok {
				return struct{}{}, ErrNoNotification
			}
			again(p, row)
			return struct{}{}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("replay %s: %w", k, err)
	}
	return nil
}
