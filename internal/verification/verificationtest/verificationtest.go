// Package verificationtest is the one suite that every provider of package
// verification passes, against the provider or a simulator of it, over a wire that
// breaks in every way we know.
//
// Its weakness is the simulator: what that has wrong, it cannot see.
package verificationtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aorta/internal/connector"
	"aorta/internal/connector/connectortest"
	"aorta/internal/verification"
)

// Decision is what the other side does with one check.
type Decision string

// The decisions.
const (
	Approve Decision = "approve"
	Decline Decision = "decline"
	Leave   Decision = "leave"  // nobody ever decides
	Expire  Decision = "expire" // approved, and soon it holds no more
	Forge   Decision = "forge"  // approved, and its notification is signed with another key
)

// Subject is a provider under test and the hands on its other side. The suite asks
// for a new one for each test, with books of its own.
type Subject struct {
	// Provider talks to its other side through Wire and gives up on a call after at
	// most a second. A provider that has no wire (nil) asks nobody.
	Provider verification.Provider
	Wire     *connectortest.Wire

	// Unreachable is the same provider at connectortest.DeadURL. Needed of one with a wire.
	Unreachable verification.Provider

	NotifyURL string

	// Next has the other side decide the next check so. nil: it decides none, and
	// what is told of decisions is not tried.
	Next func(t *testing.T, d Decision)

	// Person is the hash that the other side has of a customer. Needed where it
	// decides.
	Person func(t *testing.T, customer string) string

	// Notification waits for what the other side sends about a reference. Needed of
	// a NewsReader.
	Notification func(t *testing.T, reference string) connector.Notification
}

// patience is how long the other side may take to decide.
const patience = 10 * time.Second

// Exercise runs the suite, each test with a subject of its own.
func Exercise(t *testing.T, subject func(t *testing.T) Subject) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s Subject)
	}{
		{"passed", passed},
		{"failed", failed},
		{"left alone", left},
		{"expired", expired},
		{"of no level", noLevel},
		{"asked twice", twice},
		{"another under the reference", another},
		{"start over a broken wire", startFaults},
		{"look-up over a broken wire", lookupFaults},
		{"nobody listens", unreachable},
		{"given up", givenUp},
		{"look-up of what was never asked", lookupNothing},
		{"notification", notification},
		{"notification forged", forged},
		{"notification garbled", garbled},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, subject(t))
		})
	}
}

var number atomic.Int64

func (s Subject) order(level int64) verification.Order {
	n := number.Add(1)
	return verification.Order{
		Reference: fmt.Sprintf("kyc_%d_%d", time.Now().UnixNano(), n), Level: level, CustomerID: fmt.Sprintf("customer %d", n),
		ReturnURL: "https://shop.example/account", NotifyURL: s.NotifyURL,
	}
}

// start asks for a check that must be taken.
func (s Subject) start(t *testing.T, o verification.Order) verification.Outcome {
	t.Helper()
	out := s.checked(t, o, "Start", s.Provider.Start(context.Background(), o))
	if out.Kind == verification.Unknown || out.Kind == verification.NotSent {
		t.Fatalf("Start = %+v over a whole wire", out)
	}
	if s.Wire != nil && out.Kind == verification.Open && !strings.HasPrefix(out.URL, "http") {
		t.Errorf("Start = %+v, want a page to go to", out)
	}
	return out
}

// checked holds what is true of every outcome.
func (s Subject) checked(t *testing.T, o verification.Order, call string, out verification.Outcome) verification.Outcome {
	t.Helper()
	if out.Kind == "" {
		t.Errorf("%s of %s = %+v, which is no outcome", call, o.Reference, out)
	}
	if out.Kind != verification.Passed && (out.Result.Person != "" || out.Result.Holder != "" || !out.Result.Until.IsZero()) {
		t.Errorf("%s of %s = %+v: a person without a pass", call, o.Reference, out)
	}
	if out.URL != "" && out.Kind != verification.Open {
		t.Errorf("%s of %s = %+v: a page, and nothing to do there", call, o.Reference, out)
	}
	return out
}

// settled asks until the other side has decided as wanted.
func (s Subject) settled(t *testing.T, o verification.Order, want verification.Kind) verification.Outcome {
	t.Helper()
	end := time.Now().Add(patience)
	for {
		out := s.checked(t, o, "Lookup", s.Provider.Lookup(context.Background(), o))
		if out.Kind == want {
			return out
		}
		if time.Now().After(end) {
			t.Fatalf("Lookup = %+v, want %s", out, want)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (s Subject) decides(t *testing.T) {
	t.Helper()
	if s.Next == nil {
		t.Skip("it decides nothing by itself")
	}
}

func (s Subject) wired(t *testing.T) {
	t.Helper()
	if s.Wire == nil {
		t.Skip("it asks nobody")
	}
}

func passed(t *testing.T, s Subject) {
	s.decides(t)
	for level := int64(verification.MinLevel); level <= verification.MaxLevel; level++ {
		o := s.order(level)
		s.Next(t, Approve)
		s.start(t, o)
		out := s.settled(t, o, verification.Passed)
		if out.Result.Person != s.Person(t, o.CustomerID) || out.Result.Holder == "" || out.Result.ProviderID == "" || !out.Result.Until.After(time.Now()) {
			t.Errorf("passed at level %d: %+v, want the person %s, a holder, an id and an end to come", level, out, s.Person(t, o.CustomerID))
		}
	}
}

func failed(t *testing.T, s Subject) {
	s.decides(t)
	o := s.order(2)
	s.Next(t, Decline)
	s.start(t, o)
	if out := s.settled(t, o, verification.Failed); out.Result.Reason == "" {
		t.Errorf("failed: %+v, want a reason", out)
	}
}

func left(t *testing.T, s Subject) {
	o := s.order(1)
	if s.Next != nil {
		s.Next(t, Leave)
	}
	if out := s.start(t, o); out.Kind != verification.Open {
		t.Errorf("Start = %+v while nobody decides, want Open", out)
	}
	for range 3 {
		if out := s.checked(t, o, "Lookup", s.Provider.Lookup(context.Background(), o)); out.Kind != verification.Open || out.NoRecord {
			t.Errorf("Lookup = %+v while nobody decides, want Open", out)
		}
	}
}

func expired(t *testing.T, s Subject) {
	s.decides(t)
	o := s.order(2)
	s.Next(t, Expire)
	s.start(t, o)
	s.settled(t, o, verification.Expired)
}

func noLevel(t *testing.T, s Subject) {
	for _, level := range []int64{-1, 0, verification.MaxLevel + 1} {
		if out := s.Provider.Start(context.Background(), s.order(level)); out.Kind != verification.NotSent {
			t.Errorf("Start at level %d = %+v, want NotSent", level, out)
		}
	}
}

func twice(t *testing.T, s Subject) {
	o := s.order(2)
	if s.Next != nil {
		s.Next(t, Approve)
	}
	first := s.start(t, o)
	if again := s.start(t, o); first.URL != "" && again.Kind == verification.Open && again.URL != first.URL {
		t.Errorf("Start again = %+v, after %+v: another page", again, first)
	}
	if s.Next == nil {
		return
	}
	s.settled(t, o, verification.Passed)
	if out := s.start(t, o); out.Kind != verification.Passed {
		t.Errorf("Start of what is passed = %+v", out)
	}
}

func another(t *testing.T, s Subject) {
	s.wired(t)
	o := s.order(1)
	s.Next(t, Leave)
	s.start(t, o)
	o.Level = 3
	for name, call := range map[string]func(context.Context, verification.Order) verification.Outcome{"Start": s.Provider.Start, "Lookup": s.Provider.Lookup} {
		if out := call(context.Background(), o); out.Kind != verification.Unknown || out.Alarm == "" {
			t.Errorf("%s of another level under a reference = %+v, want Unknown and an alarm", name, out)
		}
	}
}

func startFaults(t *testing.T, s Subject) {
	s.wired(t)
	for _, fault := range connectortest.Faults {
		o := s.order(1)
		s.Wire.Break(fault)
		before := s.Wire.Calls()
		out := s.checked(t, o, "Start", s.Provider.Start(context.Background(), o))
		if out.Kind != verification.Unknown && (fault != connectortest.CutBefore || out.Kind != verification.NotSent) {
			t.Errorf("%s: Start = %+v, want Unknown", fault, out)
		}
		if fault == connectortest.Moved && s.Wire.Calls() != before+1 {
			t.Errorf("%s: %d calls, want 1: redirects are not followed", fault, s.Wire.Calls()-before)
		}
		s.Wire.Break(connectortest.Whole)
		if out := s.Provider.Lookup(context.Background(), o); out.Kind == verification.Failed {
			t.Errorf("%s: Lookup afterwards = %+v, and nobody has said no", fault, out)
		}
	}
}

func lookupFaults(t *testing.T, s Subject) {
	s.wired(t)
	o := s.order(1)
	s.Next(t, Approve)
	s.start(t, o)
	for _, fault := range connectortest.Faults {
		s.Wire.Break(fault)
		if out := s.checked(t, o, "Lookup", s.Provider.Lookup(context.Background(), o)); out.Kind != verification.Unknown || out.NoRecord {
			t.Errorf("%s: Lookup = %+v, want Unknown", fault, out)
		}
	}
	s.Wire.Break(connectortest.Whole)
	s.settled(t, o, verification.Passed)
}

func unreachable(t *testing.T, s Subject) {
	s.wired(t)
	o := s.order(1)
	if out := s.Unreachable.Start(context.Background(), o); out.Kind != verification.NotSent {
		t.Errorf("Start with nobody listening = %+v, want NotSent", out)
	}
	if out := s.Unreachable.Lookup(context.Background(), o); out.Kind != verification.Unknown || out.NoRecord {
		t.Errorf("Lookup with nobody listening = %+v, want Unknown", out)
	}
}

func givenUp(t *testing.T, s Subject) {
	s.wired(t)
	s.Wire.Break(connectortest.Hang)
	for name, call := range map[string]func(context.Context, verification.Order) verification.Outcome{"Start": s.Provider.Start, "Lookup": s.Provider.Lookup} {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		if out := call(ctx, s.order(1)); out.Kind != verification.Unknown {
			t.Errorf("%s, out of time = %+v, want Unknown", name, out)
		}
		cancel()
	}
}

func lookupNothing(t *testing.T, s Subject) {
	s.wired(t)
	if out := s.Provider.Lookup(context.Background(), s.order(1)); out.Kind != verification.Unknown || !out.NoRecord {
		t.Errorf("Lookup = %+v, want no record of it and no word on it", out)
	}
}

func (s Subject) reader(t *testing.T) verification.NewsReader {
	t.Helper()
	r, ok := s.Provider.(verification.NewsReader)
	if !ok {
		t.Skip("it tells nothing by itself")
	}
	return r
}

func notification(t *testing.T, s Subject) {
	r := s.reader(t)
	for decision, want := range map[Decision]verification.Kind{Approve: verification.Passed, Decline: verification.Failed} {
		o := s.order(2)
		s.Next(t, decision)
		s.start(t, o)
		n := s.Notification(t, o.Reference)
		news, err := r.ReadNotification(n)
		if err != nil || news.Reference != o.Reference || news.Level != o.Level || news.EventID == "" || news.Outcome.Kind != want {
			t.Errorf("ReadNotification(%s) = %+v, %v, want %s of %s", n.Body, news, err, want, o.Reference)
		}
		if want == verification.Passed && news.Outcome.Result != s.settled(t, o, want).Result {
			t.Errorf("the news %+v is not what the look-up says, %+v", news.Outcome.Result, s.settled(t, o, want).Result)
		}
		n.Received = time.Now().Add(91 * 24 * time.Hour)
		if _, err := r.ReadNotification(n); !errors.Is(err, connector.ErrMalformed) {
			t.Errorf("ReadNotification of news of 91 days ago = %v, want ErrMalformed", err)
		}
		n.Received = time.Now().Add(-301 * time.Second)
		if _, err := r.ReadNotification(n); !errors.Is(err, connector.ErrMalformed) {
			t.Errorf("ReadNotification of news of 301 s ahead = %v, want ErrMalformed", err)
		}
	}
}

func forged(t *testing.T, s Subject) {
	r := s.reader(t)
	o := s.order(1)
	s.Next(t, Forge)
	s.start(t, o)
	n := s.Notification(t, o.Reference)
	if _, err := r.ReadNotification(n); !errors.Is(err, connector.ErrSignature) {
		t.Errorf("ReadNotification of a forged one = %v, want ErrSignature", err)
	}
	n.Header.Del("X-Signature")
	if _, err := r.ReadNotification(n); !errors.Is(err, connector.ErrSignature) {
		t.Errorf("ReadNotification of one that nobody signed = %v, want ErrSignature", err)
	}
}

func garbled(t *testing.T, s Subject) {
	r := s.reader(t)
	o := s.order(1)
	s.Next(t, Approve)
	s.start(t, o)
	n := s.Notification(t, o.Reference)
	for at := 0; at < len(n.Body); at += max(1, len(n.Body)/40) {
		bad := connector.Notification{Method: n.Method, Header: n.Header, Body: append([]byte{}, n.Body...)}
		bad.Body[at] ^= 1
		if news, err := r.ReadNotification(bad); !errors.Is(err, connector.ErrSignature) {
			t.Errorf("byte %d changed: %+v, %v, want ErrSignature", at, news, err)
		}
	}
	n.Method = http.MethodGet
	if _, err := r.ReadNotification(n); err == nil {
		t.Error("a GET is taken for news")
	}
}
