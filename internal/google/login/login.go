// Package login sends a customer who links a wallet to the operator's own login, and
// reads what it answers (docs/google.md has an example to copy). Both addresses are
// signed as Gate's requests are: the parameters, sorted, as "name:value" with ";"
// between, HMAC-SHA-512 with a secret of both, in base64.
//
// It keeps nothing. What ties an answer to the browser that asked is a random state,
// which the page remembers; an answer is good once, there, and for a few minutes.
package login

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"aorta/internal/google"
	"aorta/internal/sign"
)

// Options are what a Login must be given.
type Options struct {
	Integration string      // its name: one login may serve several
	URL         string      // of the operator's login, checked by CheckURL
	Secret      sign.Secret // shared with it
	Now         func() time.Time
	Random      io.Reader
}

// Login is the operator's own login. It is a google.SignIn.
type Login struct{ opts Options }

// New makes it.
func New(o Options) *Login { return &Login{o} }

// CheckURL says what is wrong with the address of a login; nil: nothing.
func CheckURL(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || len(address) > 500 {
		return errURL
	}
	a, err := netip.ParseAddr(u.Hostname())
	local := err == nil && a.IsLoopback() || u.Hostname() == "localhost"
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return errURL
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil || len(query) > 0 {
		return errURL
	}
	return nil
}

var errURL = errors.New("write the address of your login, such as \"https://house.example/login\", without a query; http only for this machine")

// How is what a proof says of those who have signed in here.
const How = "operator"

// tolerance is how old an answer may be, and how far the login's clock may be off.
const tolerance = 5 * time.Minute

// maxCustomer is the length of the longest name of a customer, in bytes.
const maxCustomer = 255

// Begin gives the address of the login, signed.
func (l *Login) Begin(_ context.Context, v google.Visit) (google.Step, error) {
	state := make([]byte, 18)
	if _, err := io.ReadFull(l.opts.Random, state); err != nil {
		return google.Step{}, fmt.Errorf("randomness: %w", err)
	}
	named := base64.RawURLEncoding.EncodeToString(state)
	query := url.Values{
		"integration": {l.opts.Integration}, "language": {v.Language}, "return_url": {v.Back}, "state": {named},
		"time": {strconv.FormatInt(l.opts.Now().Unix(), 10)},
	}
	doc, err := sign.ParseForm(query.Encode())
	if err != nil {
		return google.Step{}, fmt.Errorf("sign the way to the login: %w", err)
	}
	query.Set("signature", sign.Sign(doc, l.opts.Secret))
	return google.Step{Leave: l.opts.URL + "?" + query.Encode(), Memory: named}, nil
}

// End reads the query that the login has sent the browser back with: state, time,
// signature, and customer_id or result=cancelled. Anything beside them is refused.
func (l *Login) End(_ context.Context, v google.Visit, brought url.Values) (google.Person, error) {
	for name, values := range brought {
		switch name {
		case "state", "time", "customer_id", "result", "signature":
		default:
			return google.Person{}, fmt.Errorf("%w: a parameter that does not belong there", google.ErrForged)
		}
		if len(values) != 1 {
			return google.Person{}, fmt.Errorf("%w: %s is there twice", google.ErrForged, name)
		}
	}
	doc, err := sign.ParseForm(brought.Encode())
	if err != nil {
		return google.Person{}, fmt.Errorf("%w: %w", google.ErrForged, err)
	}
	if err := sign.VerifyForm(doc, l.opts.Secret); err != nil {
		return google.Person{}, fmt.Errorf("%w: %w", google.ErrForged, err)
	}
	said, err := strconv.ParseInt(brought.Get("time"), 10, 64)
	if off := l.opts.Now().Sub(time.Unix(said, 0)); err != nil || off > tolerance || off < -tolerance {
		return google.Person{}, fmt.Errorf("%w: its time is not within %s of ours", google.ErrForged, tolerance)
	}
	if v.Memory == "" || subtle.ConstantTimeCompare([]byte(brought.Get("state")), []byte(v.Memory)) != 1 {
		return google.Person{}, fmt.Errorf("%w: it is of another visit, or was used", google.ErrForged)
	}
	who, result := brought.Get("customer_id"), brought.Get("result")
	switch {
	case who == "" && result == "cancelled":
		return google.Person{}, google.ErrGaveUp
	case who == "", result != "", len(who) > maxCustomer, !utf8.ValidString(who), strings.ContainsFunc(who, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return google.Person{}, fmt.Errorf("%w: customer_id, or result=cancelled, and not both", google.ErrForged)
	}
	return google.Person{CustomerID: who, How: How}, nil
}
