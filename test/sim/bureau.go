package sim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"

	"aorta/internal/connector"
	"aorta/internal/customer"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/verification"
)

// bureau checks who the customers of a licensed house are. It takes its time, its answers
// may get lost, and what it says by itself may come late or twice.
type bureau struct {
	w    *world
	asks map[string]*inquiry // by reference
	keys map[string]id.Check // what a client's request stands for
}

// inquiry is a check as the bureau knows it.
type inquiry struct {
	name  string // for draws
	who   string
	level int64
	state verification.Kind
	until time.Time // passed: when it stops to hold; zero: never
}

var _ verification.NewsReader = (*bureau)(nil) // or nobody would hear it

func newBureau(w *world) *bureau {
	return &bureau{w: w, asks: map[string]*inquiry{}, keys: map[string]id.Check{}}
}

// directory is how the platform finds it.
func (b *bureau) directory() verification.Directory {
	if b.w.licensed == nil {
		return nil
	}
	return verification.Directory{{Name: "bureau", Levels: []int64{1, 2, 3}, Provider: b}}
}

// Start takes a check, once for each reference.
func (b *bureau) Start(_ context.Context, o verification.Order) verification.Outcome {
	w := b.w
	call := fmt.Sprint("check/", o.CustomerID, "/", o.Level)
	call = fmt.Sprint(call, "/", w.nth(call))
	w.crash(CrashBeforeCall, call)
	switch {
	case w.chance(Refused, call):
		return verification.Outcome{Kind: verification.NotSent}
	case w.chance(LostRequest, call):
		w.pause(20 * time.Second)
		return verification.Outcome{Kind: verification.Unknown}
	}
	if b.asks[o.Reference] == nil {
		q := &inquiry{name: call, who: o.CustomerID, level: o.Level, state: verification.Open}
		b.asks[o.Reference] = q
		w.later(w.span(time.Hour, "checks", call), call, func() { b.decide(o.Reference, q) })
	}
	w.crash(CrashDuringCall, call)
	w.pause(w.span(5*time.Second, "thinks", call))
	w.crash(CrashAfterCall, call)
	if w.chance(LostAnswer, call) {
		return verification.Outcome{Kind: verification.Unknown}
	}
	return b.say(b.asks[o.Reference])
}

// decide ends a check, and tells of it.
func (b *bureau) decide(ref string, q *inquiry) {
	w := b.w
	q.state = verification.Failed
	if w.draw("passes", q.name) < 0.7 {
		q.state = verification.Passed
		w.witness.CheckPassed(ref)
		if w.draw("ends", q.name) < 0.3 {
			q.until = w.now.Add(time.Minute + time.Duration(w.draw("until", q.name)*float64(90*time.Minute)))
		}
	}
	b.tell(ref, q, 0)
	if q.state == verification.Passed && w.draw("takes back", q.name) < 0.1 {
		w.later(w.span(time.Hour, "taken back", q.name), q.name, func() {
			q.state = verification.Expired
			b.tell(ref, q, 0)
		})
	}
}

// checkNews is what it tells by itself.
type checkNews struct {
	Name, Reference string
	Level           int64
	State           verification.Kind
	UntilUS         int64
	Who             string
}

// tell posts what became of a check until it was taken.
func (b *bureau) tell(ref string, q *inquiry, try int) {
	w := b.w
	n := checkNews{Name: fmt.Sprint(q.name, "/", q.state), Reference: ref, Level: q.level, State: q.state, Who: q.who}
	if !q.until.IsZero() {
		n.UntilUS = q.until.UnixMicro()
	}
	body, err := json.Marshal(n)
	if err != nil {
		panic(err)
	}
	name := fmt.Sprint(n.Name, "/", try)
	w.later(w.span(time.Minute, "tells", name)+time.Duration(min(try, 10))*time.Minute, name, func() {
		again := func() { b.tell(ref, q, try+1) }
		if w.chance(NewsLost, name) {
			again()
			return
		}
		w.request("post "+name, func(p *process) {
			answer := httptest.NewRecorder()
			p.public.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/n/kyc/bureau", bytes.NewReader(body)))
			if answer.Code != http.StatusOK {
				if answer.Code != http.StatusServiceUnavailable {
					w.wrong("news of check %s is answered %d", q.name, answer.Code)
					return
				}
				again()
				return
			}
			w.acked = append(w.acked, ack{what: "notification " + n.Name, body: string(body)})
			if try == 0 && w.chance(NewsTwice, name) {
				again()
			}
		}, again)
	})
}

// say is what it says of a check when it is asked.
func (b *bureau) say(q *inquiry) verification.Outcome {
	if q == nil {
		return verification.Outcome{Kind: verification.Unknown, NoRecord: true}
	}
	out := verification.Outcome{Kind: q.state}
	switch q.state {
	case verification.Passed:
		out.Result.Until, out.Result.Person = q.until, b.person(q.who)
	case verification.Failed, verification.Expired:
		out.Result.Reason = "mismatch"
	case verification.Open, verification.Unknown, verification.NotSent:
	}
	return out
}

// linked reports whether two of the seed's customers are one person.
func (b *bureau) linked() bool { return b.w.draw("one person") < 0.5 }

// person is the hash of who a customer is. In some seeds two customers are one person.
func (b *bureau) person(who string) string {
	if b.linked() && who == "c1" {
		who = "c0"
	}
	sum := sha256.Sum256([]byte(who))
	return hex.EncodeToString(sum[:])
}

// Lookup says what became of a check.
func (b *bureau) Lookup(_ context.Context, o verification.Order) verification.Outcome {
	w := b.w
	call := fmt.Sprint("look/", o.CustomerID, "/", o.Level)
	call = fmt.Sprint(call, "/", w.nth(call))
	if w.chance(SilentLookup, call) {
		w.pause(10 * time.Second)
		return verification.Outcome{Kind: verification.Unknown}
	}
	out := b.say(b.asks[o.Reference])
	w.pause(w.span(2*time.Second, "looks", call))
	return out
}

// ReadNotification reads what tell made.
func (b *bureau) ReadNotification(n connector.Notification) (verification.News, error) {
	var x checkNews
	if err := json.Unmarshal(n.Body, &x); err != nil {
		return verification.News{}, fmt.Errorf("%w: %w", connector.ErrMalformed, err)
	}
	q := &inquiry{who: x.Who, level: x.Level, state: x.State}
	if x.UntilUS != 0 {
		q.until = time.UnixMicro(x.UntilUS)
	}
	return verification.News{EventID: x.Name, Reference: x.Reference, Level: x.Level, Outcome: b.say(q)}, nil
}

// Kept keeps it as it came: no name is in it.
func (b *bureau) Kept(n connector.Notification, _ string) (connector.Notification, error) {
	return n, nil
}

// NewsHeaders are none: signatures are the providers' own tests.
func (b *bureau) NewsHeaders() []string { return nil }

// verifies has the customers of a licensed house show who they are, some again and again.
func (w *world) verifies() {
	if w.licensed == nil {
		return
	}
	for n := range 3 {
		for k := range int(w.draw("verified", n) * 5) {
			name, level := fmt.Sprint("verify/", n, "/", k), 1+int64(w.draw("level", n, k)*3)
			w.later(w.span(2*time.Hour, "verified at", name), name, func() { w.verify(name, "c"+strconv.Itoa(n), level, 0) })
		}
	}
}

// hurried is the context of somebody who does not wait for the provider's page: that is
// waited for by the clock of the wall.
type hurried struct{ context.Context }

// Done is over.
func (hurried) Done() <-chan struct{} { return over }

var over = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// verify asks for a check; whoever has no answer asks again, for the same one.
func (w *world) verify(name, who string, level int64, try int) {
	again := func() {
		if try < 20 {
			w.later(w.span(20*time.Second, "verifies again", name, try), name, func() { w.verify(name, who, level, try+1) })
		}
	}
	w.request(fmt.Sprint(name, "/", try), func(p *process) {
		if _, known := w.bureau.keys[name]; !known {
			w.bureau.keys[name] = p.flows.NewCheck(w.project, who)
		}
		_, err := p.flows.StartCheck(hurried{context.Background()}, flow.CheckRequest{Project: w.project, CustomerID: who, ID: w.bureau.keys[name], Level: level})
		if err != nil && !errors.Is(err, customer.ErrTooMany) {
			w.bear(err)
			again()
		}
	}, again)
}
