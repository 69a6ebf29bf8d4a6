package opsapi

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"aorta/internal/book"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/operator"
)

// Operators are what the door needs to know people by, and to log what they do.
type Operators struct {
	Flows  *flow.Flows
	Hash   operator.Hasher
	Sealer operator.Sealer
	Random io.Reader
	Now    func() time.Time

	seen  sync.Map // of what they sign by: until when a sign-in by it is not logged again
	wrong wrong
}

var (
	errUnauthenticated = errors.New("a bearer token is needed: an operator's, or ops_token")
	errForbidden       = errors.New("none of your roles allows this")
	errPerson          = errors.New("this needs an operator with a name of their own: sign by an operator's token, not by ops_token")
	errForeign         = errors.New("this comes from a page of another site")
)

// foreign refuses what a browser sends for a page that is not ours (security.md
// S12): an open listener has no token that such a page would lack. Other programs
// send none of these headers.
func foreign(r *http.Request) error {
	for _, origin := range r.Header.Values("Origin") {
		if u, err := url.Parse(origin); err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
			return errForeign
		}
	}
	for _, site := range r.Header.Values("Sec-Fetch-Site") {
		if site != "none" && site != "same-origin" {
			return errForeign
		}
	}
	return nil
}

// opsToken is what the log calls the token of the configuration.
const opsToken = "ops_token"

// who says by whom a request is made. A token that is wrong in whatever way gets
// the same answer.
func (d door) who(r *http.Request) (operator.Actor, error) {
	text, given := bearer(r.Header)
	if k, ok := operator.TokenOf(text); ok && d.Operators != nil {
		return d.named(r, k, text)
	}
	switch {
	case d.Token == "":
		return operator.Actor{Name: operator.Anyone}, nil
	case subtle.ConstantTimeCompare([]byte(text), []byte(d.Token)) == 1:
		by := operator.Actor{Name: operator.Bootstrap}
		if d.Operators == nil {
			return by, nil
		}
		return by, d.Operators.signedIn(r, by, opsToken)
	case given:
		d.wrongToken(r, opsToken)
	}
	return operator.Actor{}, errUnauthenticated
}

// bearer gives the token of a request, and whether it came with any.
func bearer(h http.Header) (text string, given bool) {
	all := h.Values("Authorization")
	if len(all) != 1 {
		return "", len(all) > 1
	}
	text, ok := strings.CutPrefix(all[0], "Bearer ")
	if !ok {
		text = ""
	}
	return text, true
}

// named gives the operator whose token it is.
func (d door) named(r *http.Request, k id.Operator, text string) (operator.Actor, error) {
	var row operator.Operator
	if int(k.Bucket()) < d.Operators.Flows.Buckets() {
		var err error
		if row, _, err = d.Read.Operator(r.Context(), k); err != nil {
			return operator.Actor{}, fmt.Errorf("read operator: %w: %w", book.ErrNotRun, err)
		}
	}
	if fits := row.Is(d.Operators.Hash.Hash(text)); !fits || !row.Good() {
		d.wrongToken(r, k.String())
		return operator.Actor{}, errUnauthenticated
	}
	return row.Actor(), d.Operators.signedIn(r, row.Actor(), row.ID.String())
}

// signInAgain is how long a person's further calls are the same sign-in.
const signInAgain = time.Hour

// signedIn logs that somebody has begun to work (security.md S35): a person, or whoever
// has ops_token.
func (o *Operators) signedIn(r *http.Request, by operator.Actor, with string) error {
	now := o.Now()
	if until, ok := o.seen.Load(with); ok && now.Before(until.(time.Time)) {
		return nil
	}
	if err := o.Flows.Audit(r.Context(), by, "signin", with, map[string]any{"from": peer(r)}); err != nil {
		return err
	}
	o.seen.Store(with, now.Add(signInAgain))
	return nil
}

// peer is the address of the other end of the connection.
func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// wrong bounds what wrong tokens write into the log: whoever tries many must not
// fill it.
type wrong struct {
	mu     sync.Mutex
	free   float64 // entries that may be written at once
	at     time.Time
	untold int // wrong tokens since the last entry
}

const (
	wrongAtOnce = 10
	wrongEvery  = 10 * time.Second // another one, from then on
)

// take reports whether a wrong token is logged, and how many were not before it.
func (w *wrong) take(now time.Time) (bool, int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.at.IsZero() {
		w.free = wrongAtOnce
	} else {
		w.free = min(wrongAtOnce, w.free+float64(now.Sub(w.at))/float64(wrongEvery))
	}
	w.at = now
	if w.free < 1 {
		w.untold++
		return false, 0
	}
	untold := w.untold
	w.free, w.untold = w.free-1, 0
	return true, untold
}

// wrongToken logs that somebody came with a token that opens nothing. The answer is
// the same whether or not it could be logged.
func (d door) wrongToken(r *http.Request, about string) {
	o := d.Operators
	if o == nil {
		return
	}
	log, untold := o.wrong.take(o.Now())
	if !log {
		return
	}
	d.Log.Warn("ops call with a wrong token", "about", about, "from", peer(r), "not_logged_before", untold)
	if err := o.Flows.Audit(r.Context(), operator.Automatic("ops", "unknown"), "signin.refused", about, map[string]any{"from": peer(r), "not_logged_before": untold}); err != nil {
		d.Log.Error("a wrong token could not be logged", "error", err)
	}
}

// tell logs what is done by a call that is no act of its own, before it is done.
func (d door) tell(ctx context.Context, by operator.Actor, what, about string, details any) error {
	if d.Operators == nil {
		return nil
	}
	return d.Operators.Flows.Audit(ctx, by, what, about, details)
}
