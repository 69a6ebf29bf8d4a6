package callback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"aorta/internal/book"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/project"
	"aorta/internal/sign"

	"github.com/prometheus/client_golang/prometheus"
)

// Endpoints are where projects hear of events by Standard Webhooks. They are few
// and are kept in memory, so that the acts that write events read no row for
// them; each process looks every two seconds what others have changed. Its known
// weakness is that time: an event of these two seconds goes by what was wanted
// before.
type Endpoints struct {
	book *book.Book
	read book.Reader
	opts EndpointOptions
	seal sealer

	mu    sync.Mutex // one change of known at a time
	known atomic.Pointer[known]

	disabled prometheus.Counter
	states   *prometheus.GaugeVec
}

// known are all endpoints as they were seen last. It is never changed.
type known struct {
	byProject map[int64][]event.Endpoint // but for deleted ones
	byID      map[id.Endpoint]event.Endpoint
}

// EndpointOptions are what Endpoints must be given, and its parts with a default.
type EndpointOptions struct {
	Projects func(projectID int64) (project.Project, bool) // required
	Key      [32]byte                                      // encrypts the secrets; the same for all processes of a store
	Random   io.Reader                                     // required
	Now      func() time.Time                              // required
	Insecure bool                                          // http:// and any port are allowed, as in a demo
	Log      *slog.Logger                                  // nil discards
	Metrics  prometheus.Registerer                         // nil: counted, not registered
}

// Bounds on what a merchant may ask for.
const (
	MaxEndpoints   = 50 // of a project
	maxURL         = 2048
	maxDescription = 255
	MaxOverlap     = 168 * time.Hour // of two secrets during a rotation
	DefaultOverlap = 24 * time.Hour

	refreshEvery = 2 * time.Second
	endpointPage = 500
)

var (
	// ErrNoEndpoint: the project has no such endpoint.
	ErrNoEndpoint = errors.New("no such endpoint")
	// ErrEndpointURL: the address of an endpoint cannot be called.
	ErrEndpointURL = errors.New("url must be https on port 443 or 8443, without user info and fragment, of at most 2048 characters")
	// ErrEndpointTypes: an endpoint asks for a type of event that there is not.
	ErrEndpointTypes = errors.New("no such type of event")
	// ErrEndpointText: a description is too long, or no text.
	ErrEndpointText = errors.New("description must be a text of at most 255 characters")
	// ErrEndpointLimit: the project has as many endpoints as it may have.
	ErrEndpointLimit = fmt.Errorf("a project may have %d endpoints", MaxEndpoints)
	// ErrEndpointOff: the endpoint is disabled. Enable it first.
	ErrEndpointOff = errors.New("the endpoint is disabled")
	// ErrOverlap: two secrets may sign side by side for 0 to 168 hours.
	ErrOverlap = errors.New("the old secret may be valid for 0 to 168 hours more")
	// ErrEndpointChanged: somebody else changed the endpoint meanwhile. Try again.
	ErrEndpointChanged = errors.New("the endpoint was changed meanwhile")
)

// NewEndpoints makes the endpoints over a book. Refresh fills them, Run keeps
// them fresh.
func NewEndpoints(b *book.Book, r book.Reader, o EndpointOptions) *Endpoints {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	e := &Endpoints{
		book: b, read: r, opts: o, seal: newSealer(o.Key, o.Random),
		disabled: prometheus.NewCounter(prometheus.CounterOpts{Name: "aorta_webhook_disabled_total", Help: "Endpoints disabled because they could not be reached or said that they are gone."}),
		states:   prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "aorta_webhook_endpoints", Help: "Endpoints by state: enabled, disabled."}, []string{"state"}),
	}
	if o.Metrics != nil {
		o.Metrics.MustRegister(e.disabled, e.states)
	}
	e.known.Store(&known{})
	return e
}

// Of gives the endpoints of a project. The caller must not change the list.
func (e *Endpoints) Of(projectID int64) []event.Endpoint { return e.known.Load().of(projectID) }

// Seen gives the endpoints of each project as they are now, for flow.Options: what
// it gives stays as it is, whatever becomes of them.
func (e *Endpoints) Seen() func(projectID int64) []event.Endpoint { return e.known.Load().of }

func (k *known) of(projectID int64) []event.Endpoint { return k.byProject[projectID] }

// Run looks what others have changed until ctx ends.
func (e *Endpoints) Run(ctx context.Context) {
	ticker := time.NewTicker(refreshEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := e.Refresh(ctx); err != nil && ctx.Err() == nil {
				e.opts.Log.Warn("endpoints are not fresh", "error", err)
			}
		}
	}
}

// Refresh reads all endpoints. The lock is held meanwhile, so that what an act
// puts is not replaced by what was read before it.
func (e *Endpoints) Refresh(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []event.Endpoint
	for {
		var after id.Endpoint
		if len(all) > 0 {
			after = all[len(all)-1].ID
		}
		rows, err := e.read.ScanEndpoints(ctx, after, endpointPage)
		if err != nil {
			return fmt.Errorf("read endpoints: %w", err)
		}
		all = append(all, rows...)
		if len(rows) < endpointPage {
			break
		}
	}
	e.store(all)
	return nil
}

// put takes in an endpoint that an act has just written.
func (e *Endpoints) put(row event.Endpoint) {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := []event.Endpoint{row}
	for _, was := range e.known.Load().byID {
		if was.ID != row.ID {
			all = append(all, was)
		}
	}
	slices.SortFunc(all, func(a, b event.Endpoint) int { return a.ID.Compare(b.ID) })
	e.store(all)
}

// store replaces what is known. The caller holds e.mu.
func (e *Endpoints) store(all []event.Endpoint) {
	k := &known{byProject: map[int64][]event.Endpoint{}, byID: map[id.Endpoint]event.Endpoint{}}
	states := map[event.EndpointState]int{}
	for _, row := range all {
		k.byID[row.ID] = row
		states[row.State]++
		if row.State != event.EndpointDeleted {
			k.byProject[row.ProjectID] = append(k.byProject[row.ProjectID], row)
		}
	}
	e.known.Store(k)
	for _, s := range []event.EndpointState{event.EndpointEnabled, event.EndpointOff} {
		e.states.WithLabelValues(string(s)).Set(float64(states[s]))
	}
}

// Find gives an endpoint of any project, whatever its state; one that another
// process has just made is read.
func (e *Endpoints) Find(ctx context.Context, k id.Endpoint) (event.Endpoint, error) {
	if row, ok := e.known.Load().byID[k]; ok {
		return row, nil
	}
	if int(k.Bucket()) >= e.book.Buckets() {
		return event.Endpoint{}, ErrNoEndpoint
	}
	row, ok, err := e.read.Endpoint(ctx, k)
	if err != nil {
		return row, fmt.Errorf("read endpoint: %w", err)
	}
	if !ok {
		return row, ErrNoEndpoint
	}
	return row, nil
}

// EndpointSettings are what a merchant says of an endpoint. Of Update, nil
// leaves what there is.
type EndpointSettings struct {
	URL         *string
	Description *string
	Types       *[]string // empty: all
	Enabled     *bool
}

func (s EndpointSettings) apply(e *event.Endpoint, insecure bool, nowUS int64) error {
	if s.URL != nil {
		if !callable(*s.URL, insecure) {
			return ErrEndpointURL
		}
		e.URL = *s.URL
	}
	if s.Description != nil {
		if len(*s.Description) > maxDescription || strings.ToValidUTF8(*s.Description, "") != *s.Description || strings.ContainsRune(*s.Description, 0) {
			return ErrEndpointText
		}
		e.Description = *s.Description
	}
	if s.Types != nil {
		types := slices.Clone(*s.Types)
		slices.Sort(types)
		types = slices.Compact(types)
		for _, typ := range types {
			if !slices.Contains(event.Types(), typ) {
				return fmt.Errorf("%w: %.64q", ErrEndpointTypes, typ)
			}
		}
		if list := strings.Join(types, " "); list != e.Types {
			e.Types, e.WantsUS = list, nowUS
		}
	}
	if s.Enabled != nil {
		switch on := e.State == event.EndpointEnabled; {
		case *s.Enabled && !on:
			e.State, e.Reason, e.FailingUS, e.Failed, e.WarnedUS = event.EndpointEnabled, "", 0, 0, 0
		case !*s.Enabled && on:
			e.State, e.Reason = event.EndpointOff, "by the merchant"
		}
	}
	return nil
}

// callable reports whether an address may be called (security.md S20). Where it
// leads is checked when it is dialled.
func callable(address string, insecure bool) bool {
	u, err := url.Parse(address)
	if err != nil || len(address) > maxURL || u.Hostname() == "" || u.User != nil || u.Fragment != "" || strings.ToValidUTF8(address, "") != address {
		return false
	}
	if insecure {
		return u.Scheme == "https" || u.Scheme == "http"
	}
	return u.Scheme == "https" && (u.Port() == "" || u.Port() == "443" || u.Port() == "8443")
}

// Create makes an endpoint. Its key is shown here and never again; an empty
// secret makes a new one, else it is ErrWebhookKey unless it is a key that signs.
func (e *Endpoints) Create(ctx context.Context, p project.Project, s EndpointSettings, secret string) (event.Endpoint, sign.WebhookKey, error) {
	key, err := e.key(secret)
	if err != nil {
		return event.Endpoint{}, key, err
	}
	return e.create(ctx, p, e.NewID(p), s, key)
}

// NewID makes an id for CreateAs or RotateAs.
func (e *Endpoints) NewID(p project.Project) id.Endpoint {
	return id.Endpoint(e.book.Mint(id.BucketOf(e.book.Buckets(), "merchant", strconv.FormatInt(p.MerchantID, 10))))
}

// CreateAs is Create under an id of NewID, from which its key follows. A second
// call under the id makes nothing: it gives the endpoint as it is now, and the key
// as long as it is that one's.
func (e *Endpoints) CreateAs(ctx context.Context, p project.Project, k id.Endpoint, s EndpointSettings) (event.Endpoint, sign.WebhookKey, error) {
	key := sign.NewWebhookKey(e.seal.draw("create " + k.String()))
	row, key, err := e.create(ctx, p, k, s, key)
	if err != nil {
		return row, key, err
	}
	if row.State == event.EndpointDeleted {
		return row, sign.WebhookKey{}, ErrNoEndpoint
	}
	if text, err := e.seal.open(row.Secret, place(k, "secret")); err != nil || text != key.Reveal() {
		return row, sign.WebhookKey{}, err
	}
	return row, key, nil
}

func (e *Endpoints) create(ctx context.Context, p project.Project, k id.Endpoint, s EndpointSettings, key sign.WebhookKey) (event.Endpoint, sign.WebhookKey, error) {
	if s.URL == nil {
		return event.Endpoint{}, key, ErrEndpointURL
	}
	if len(e.Of(p.ID)) >= MaxEndpoints {
		if _, err := e.Find(ctx, k); errors.Is(err, ErrNoEndpoint) {
			return event.Endpoint{}, key, ErrEndpointLimit
		}
	}
	sealed, err := e.seal.seal(key.Reveal(), place(k, "secret"))
	if err != nil {
		return event.Endpoint{}, key, err
	}
	row, err := book.Do(ctx, e.book, book.Act[event.Endpoint]{
		Name: "endpoint.create", Bucket: k.Bucket(),
		Hint: func(pg *book.Page) { pg.Endpoints.Get(k) },
		Decide: func(pg *book.Page) (event.Endpoint, error) {
			if row, ok := pg.Endpoints.Get(k); ok {
				return row, nil
			}
			now := pg.NowUS()
			row := event.Endpoint{
				ID: k, ProjectID: p.ID, State: event.EndpointEnabled, Secret: sealed, WantsUS: now, CreatedUS: now, ChangedUS: now,
			}
			if err := s.apply(&row, e.opts.Insecure, now); err != nil {
				return row, err
			}
			pg.Endpoints.Put(row)
			return row, nil
		},
	})
	if err != nil {
		return event.Endpoint{}, sign.WebhookKey{}, fmt.Errorf("create endpoint: %w", err)
	}
	e.put(row)
	return row, key, nil
}

// key reads a secret that a merchant brings, or makes one.
func (e *Endpoints) key(secret string) (sign.WebhookKey, error) {
	if secret == "" {
		var random [32]byte
		if _, err := io.ReadFull(e.opts.Random, random[:]); err != nil {
			return sign.WebhookKey{}, fmt.Errorf("make a key: %w", err)
		}
		return sign.NewWebhookKey(random), nil
	}
	key, err := sign.ParseWebhookKey(secret)
	if err == nil && !key.Signs() {
		err = sign.ErrWebhookKey
	}
	return key, err
}

// List gives a project's endpoints as the store has them, oldest first.
func (e *Endpoints) List(ctx context.Context, projectID int64) ([]event.Endpoint, error) {
	if err := e.Refresh(ctx); err != nil {
		return nil, err
	}
	return e.Of(projectID), nil
}

// Get gives an endpoint of a project as the store has it, or ErrNoEndpoint.
func (e *Endpoints) Get(ctx context.Context, projectID int64, k id.Endpoint) (event.Endpoint, error) {
	if int(k.Bucket()) >= e.book.Buckets() {
		return event.Endpoint{}, ErrNoEndpoint
	}
	row, ok, err := e.read.Endpoint(ctx, k)
	if err != nil {
		return row, fmt.Errorf("read endpoint: %w", err)
	}
	if !ok || row.ProjectID != projectID || row.State == event.EndpointDeleted {
		return event.Endpoint{}, ErrNoEndpoint
	}
	return row, nil
}

// change is an act on one endpoint. do answers whether it has changed the row.
func (e *Endpoints) change(ctx context.Context, name string, projectID int64, k id.Endpoint, do func(*book.Page, *event.Endpoint) (bool, error)) (event.Endpoint, error) {
	if int(k.Bucket()) >= e.book.Buckets() {
		return event.Endpoint{}, ErrNoEndpoint
	}
	row, err := book.Do(ctx, e.book, book.Act[event.Endpoint]{
		Name: name, Bucket: k.Bucket(),
		Hint: func(p *book.Page) { p.Endpoints.Get(k) },
		Decide: func(p *book.Page) (event.Endpoint, error) {
			row, ok := p.Endpoints.Get(k)
			if !ok || row.ProjectID != projectID || row.State == event.EndpointDeleted {
				return row, ErrNoEndpoint
			}
			changed, err := do(p, &row)
			if err != nil || !changed {
				return row, err
			}
			row.ChangedUS = p.NowUS()
			p.Endpoints.Put(row)
			return row, nil
		},
	})
	if err != nil {
		return event.Endpoint{}, fmt.Errorf("%s %s: %w", name, k, err)
	}
	e.put(row)
	return row, nil
}

// Update changes an endpoint's settings. What was parked while it was disabled
// is not sent by that: see Callbacks.ReplayTo.
func (e *Endpoints) Update(ctx context.Context, projectID int64, k id.Endpoint, s EndpointSettings) (event.Endpoint, error) {
	return e.change(ctx, "endpoint.update", projectID, k, func(p *book.Page, row *event.Endpoint) (bool, error) {
		was := *row
		err := s.apply(row, e.opts.Insecure, p.NowUS())
		return *row != was, err
	})
}

// Delete ends an endpoint. Its secrets are gone with it; what is on its way to it
// becomes dead letters.
func (e *Endpoints) Delete(ctx context.Context, projectID int64, k id.Endpoint) error {
	_, err := e.change(ctx, "endpoint.delete", projectID, k, func(_ *book.Page, row *event.Endpoint) (bool, error) {
		row.State, row.Reason, row.Secret, row.OldSecret, row.OldUntilUS = event.EndpointDeleted, "", "", "", 0
		return true, nil
	})
	return err
}

// Rotate gives an endpoint a new key, which is shown here and never again. The
// old one signs beside it for overlap, 0 to 168 hours; the one before that ends
// now.
func (e *Endpoints) Rotate(ctx context.Context, projectID int64, k id.Endpoint, secret string, overlap time.Duration) (event.Endpoint, sign.WebhookKey, error) {
	key, err := e.key(secret)
	if err != nil {
		return event.Endpoint{}, key, err
	}
	return e.rotate(ctx, projectID, k, key, overlap)
}

// RotateAs is Rotate by a turn, an id of NewID from which the key follows. A second
// call under the turn changes nothing: so the secret that receivers have does not
// end because an answer was lost.
func (e *Endpoints) RotateAs(ctx context.Context, projectID int64, k, turn id.Endpoint, overlap time.Duration) (event.Endpoint, sign.WebhookKey, error) {
	return e.rotate(ctx, projectID, k, sign.NewWebhookKey(e.seal.draw("rotate "+turn.String())), overlap)
}

func (e *Endpoints) rotate(ctx context.Context, projectID int64, k id.Endpoint, key sign.WebhookKey, overlap time.Duration) (event.Endpoint, sign.WebhookKey, error) {
	if overlap < 0 || overlap > MaxOverlap {
		return event.Endpoint{}, sign.WebhookKey{}, ErrOverlap
	}
	was, err := e.Get(ctx, projectID, k)
	if err != nil {
		return was, sign.WebhookKey{}, err
	}
	// A secret is encrypted for its column, so the old one is encrypted anew.
	text, err := e.seal.open(was.Secret, place(k, "secret"))
	if err != nil {
		return was, sign.WebhookKey{}, err
	}
	if text == key.Reveal() {
		return was, key, nil
	}
	old, err1 := e.seal.seal(text, place(k, "old_secret"))
	fresh, err2 := e.seal.seal(key.Reveal(), place(k, "secret"))
	if err := errors.Join(err1, err2); err != nil {
		return was, sign.WebhookKey{}, err
	}
	row, err := e.change(ctx, "endpoint.rotate", projectID, k, func(p *book.Page, row *event.Endpoint) (bool, error) {
		if row.Secret != was.Secret {
			return false, ErrEndpointChanged
		}
		row.Secret, row.OldSecret, row.OldUntilUS = fresh, "", 0
		if overlap > 0 {
			row.OldSecret, row.OldUntilUS = old, p.NowUS()+overlap.Microseconds()
		}
		return true, nil
	})
	return row, key, err
}

// keys are what signs now, the newest first.
func (e *Endpoints) keys(row event.Endpoint, now time.Time) ([]sign.WebhookKey, error) {
	sealed := []struct{ text, column string }{{row.Secret, "secret"}}
	if row.OldSecret != "" && now.UnixMicro() < row.OldUntilUS {
		sealed = append(sealed, struct{ text, column string }{row.OldSecret, "old_secret"})
	}
	out := make([]sign.WebhookKey, 0, len(sealed))
	for _, s := range sealed {
		text, err := e.seal.open(s.text, place(row.ID, s.column))
		if err != nil {
			return nil, err
		}
		k, err := sign.ParseWebhookKey(text)
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, nil
}

// place names where a secret lies, so that it cannot be moved elsewhere.
func place(k id.Endpoint, column string) string { return "endpoint/" + k.String() + "/" + column }

// Test has an endpoint told of nothing, so that a merchant can see a message
// arrive. An endpoint that is disabled is ErrEndpointOff.
func (e *Endpoints) Test(ctx context.Context, projectID int64, k id.Endpoint) (event.Delivery, error) {
	var told event.Delivery
	_, err := e.change(ctx, "endpoint.test", projectID, k, func(p *book.Page, row *event.Endpoint) (bool, error) {
		if row.State != event.EndpointEnabled {
			return false, ErrEndpointOff
		}
		told = tell(p, event.EndpointTest, *row, []event.Endpoint{*row})
		return false, nil
	})
	return told, err
}

// tell writes an event that is about an endpoint, and its deliveries; it gives
// the last of them.
func tell(p *book.Page, kind event.Kind, about event.Endpoint, to []event.Endpoint) (d event.Delivery) {
	data, err := json.Marshal(struct {
		Endpoint id.Endpoint         `json:"endpoint_id"`
		URL      string              `json:"url"`
		State    event.EndpointState `json:"state"`
		Reason   string              `json:"reason,omitempty"`
	}{about.ID, about.URL, about.State, about.Reason})
	if err != nil {
		panic("plain values cannot fail to encode: " + err.Error())
	}
	e := event.Event{ID: id.Event(p.Mint()), Kind: kind, AtUS: p.NowUS(), Snapshot: string(data)}
	p.Events.Append(e)
	for _, ep := range to {
		d = ep.Delivery(id.Delivery(p.Mint()), e, string(kind), p.NowUS())
		p.Deliveries.New(d)
		if d.State == event.DeliveryPending {
			p.Due.New(due.Now(d.ID.Raw(), due.Deliver, p.NowUS(), p.Epoch(), &event.Work{Delivery: d, Event: e}))
		}
	}
	return d
}

// When an endpoint is given up (standard-webhooks.md section 3), of a schedule
// whose unit is 10 s.
const (
	disableAfter    = 120 * time.Hour // without any success
	disableMessages = 10              // that failed meanwhile
	warnTries       = 4               // of one message
)

// fares notes how an endpoint fares: a message was delivered, failed (as its
// first try or a later one), or was answered that the endpoint is gone. Most calls
// find by what is known that nothing is new. Those that do not decide on the row:
// many may come at once, and from several processes.
func (e *Endpoints) fares(ctx context.Context, k id.Endpoint, word string, tries int64, unit time.Duration) error {
	seen := e.known.Load()
	was, ok := seen.byID[k]
	now := e.opts.Now().UnixMicro()
	if copied := was; !ok || !news(nil, seen, &copied, word, tries, unit, now) {
		return nil
	}
	changed := false
	row, err := e.change(ctx, "endpoint.fares", was.ProjectID, k, func(p *book.Page, row *event.Endpoint) (bool, error) {
		changed = news(p, seen, row, word, tries, unit, p.NowUS())
		return changed, nil
	})
	switch {
	case errors.Is(err, ErrNoEndpoint):
		return nil // deleted meanwhile
	case err != nil || !changed:
		return err
	case row.State == event.EndpointOff:
		e.disabled.Inc()
		e.opts.Log.Error("ALARM: endpoint is disabled", "endpoint", row.ID, "project", row.ProjectID, "url", row.URL, "reason", row.Reason)
	case row.WarnedUS != 0 && was.WarnedUS == 0:
		e.opts.Log.Warn("endpoint fails", "endpoint", row.ID, "project", row.ProjectID, "url", row.URL)
	}
	return nil
}

// news changes a row by how one message fared, and reports whether anything is
// new; of that the others that were seen are told, without a page nobody.
func news(p *book.Page, seen *known, row *event.Endpoint, word string, tries int64, unit time.Duration, nowUS int64) bool {
	if row.State != event.EndpointEnabled {
		return false
	}
	after := scaled(disableAfter, unit)
	switch {
	case word == "repeated":
		return false
	case word == "delivered":
		failing := row.FailingUS != 0
		row.FailingUS, row.Failed, row.WarnedUS = 0, 0, 0
		return failing
	case word == "gone":
		disable(p, seen, row, "it answered 410 Gone")
		return true
	case row.FailingUS != 0 && row.Failed >= disableMessages && nowUS-row.FailingUS >= after.Microseconds():
		disable(p, seen, row, fmt.Sprintf("nothing was delivered for %v", after))
		return true
	}
	was := *row
	if row.FailingUS == 0 {
		row.FailingUS = nowUS
	}
	if tries == 1 && row.Failed < disableMessages {
		row.Failed++
	}
	if tries >= warnTries && row.WarnedUS == 0 {
		row.WarnedUS = nowUS
		tellOthers(p, seen, event.EndpointFailing, *row)
	}
	return *row != was
}

// disable turns an endpoint off.
func disable(p *book.Page, seen *known, row *event.Endpoint, reason string) {
	row.State, row.Reason = event.EndpointOff, reason
	tellOthers(p, seen, event.EndpointDisabled, *row)
}

// tellOthers has the project's other endpoints hear of one.
func tellOthers(p *book.Page, seen *known, kind event.Kind, about event.Endpoint) {
	if p == nil {
		return
	}
	var others []event.Endpoint
	for _, o := range seen.of(about.ProjectID) {
		if o.ID != about.ID && o.Wants(string(kind)) {
			others = append(others, o)
		}
	}
	tell(p, kind, about, others)
}
