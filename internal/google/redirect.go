package google

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"aorta/internal/pgp"
	"aorta/internal/sign"
)

// Redirect is a customer's browser that Google sends to the page which signs them in
// (section 3.4). Only RequestID and what lies beside it in the message is signed by
// Google: the addresses in the URL are anybody's.
type Redirect struct {
	RequestID   string // any text: the name of the proof
	Association string // associationId whose owner is to be proved; empty: whoever signs in
	Callback    string // where the browser goes on; of an allowed host
	// Differs says that the URL names another associationId than the message: nobody
	// is to be proved then.
	Differs bool
}

// RedirectResult is gspResult.
type RedirectResult int

// The results of a redirect.
const (
	RedirectProven    RedirectResult = 100
	RedirectCancelled RedirectResult = 201 // by the customer
	RedirectFailed    RedirectResult = 202 // for good: Google is to begin anew, or to give up
)

// member is authenticationResult's one member for a result.
func (r RedirectResult) member() string {
	switch r {
	case RedirectProven:
		return "success"
	case RedirectCancelled:
		return "cancelled"
	case RedirectFailed:
	}
	return "fatalError"
}

// errRedirect: what brought the browser here cannot be trusted, and so neither can
// where it says to go on: a neutral page, and no redirection.
var errRedirect = errors.New("not a redirect of Google's")

// maxRedirect bounds a query: far above the 2,048 characters that a whole URL of
// Google's may have.
const maxRedirect = 8 << 10

// readRedirect reads and checks the query of a redirect.
func (h Hosted) readRedirect(query string, now time.Time) (r Redirect, err error) {
	if len(query) > maxRedirect {
		return r, fmt.Errorf("%w: the query has %d bytes", errRedirect, len(query))
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return r, fmt.Errorf("%w: the query cannot be read", errRedirect)
	}
	for _, name := range []string{"gspMajorVersion", "gspAuthenticationRequest", "gspAssociationId", "gspCallbackUrl"} {
		if n := len(values[name]); n > 1 || n == 0 && name != "gspAssociationId" {
			return r, fmt.Errorf("%w: %s is there %d times", errRedirect, name, n)
		}
	}
	if values.Get("gspMajorVersion") != "1" {
		return r, fmt.Errorf("%w: gspMajorVersion is not 1", errRedirect)
	}
	if r.Callback, err = h.callback(values.Get("gspCallbackUrl")); err != nil {
		return r, err
	}
	said := values.Get("gspAssociationId")
	if len(said) > maxID || strings.Contains(said, "\x00") {
		return r, fmt.Errorf("%w: gspAssociationId is none", errRedirect)
	}
	opened, err := h.Ring().Open([]byte(values.Get("gspAuthenticationRequest")), now)
	if err != nil {
		return r, fmt.Errorf("%w: %w", errRedirect, err)
	}
	doc, err := sign.ParseJSON(opened.Plain)
	if err != nil {
		return r, fmt.Errorf("%w: %w", errRedirect, err)
	}
	if r.RequestID, err = text(doc.Get("requestId"), "requestId"); err != nil {
		return r, fmt.Errorf("%w: %w", errRedirect, err)
	}
	if v := doc.Get("associationId"); v.Exists() {
		if r.Association, err = text(v, "associationId"); err != nil {
			return r, fmt.Errorf("%w: %w", errRedirect, err)
		}
	}
	if strings.Contains(r.RequestID+r.Association, "\x00") {
		return r, fmt.Errorf("%w: an identifier has a NUL", errRedirect)
	}
	if v := doc.Get("paymentIntegratorAccountId"); v.Exists() {
		account, err := text(v, "paymentIntegratorAccountId")
		if err != nil || !slices.Contains(h.Accounts, account) {
			return r, fmt.Errorf("%w: unknown paymentIntegratorAccountId", errRedirect)
		}
	}
	switch {
	case r.Association == "":
		r.Association = said
	case said != "" && said != r.Association:
		r.Differs = true
	}
	return r, nil
}

// callback checks where the browser is to go on: https at an allowed host, or in a
// sandbox also this machine.
func (h Hosted) callback(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Opaque != "" || u.User != nil || u.Fragment != "" || strings.Contains(address, "#") {
		return "", fmt.Errorf("%w: gspCallbackUrl is none", errRedirect)
	}
	host := strings.ToLower(u.Hostname())
	local := h.Sandbox && isLoopback(host) && (u.Scheme == "http" || u.Scheme == "https")
	allowed := u.Scheme == "https" && (u.Port() == "" || u.Port() == "443") && slices.ContainsFunc(h.CallbackHosts, func(pattern string) bool {
		if below, wild := strings.CutPrefix(pattern, "*"); wild {
			return strings.HasSuffix(host, below) && len(host) > len(below)
		}
		return host == pattern
	})
	if !local && !allowed {
		return "", fmt.Errorf("%w: gspCallbackUrl leads to %q, which callback_hosts does not allow", errRedirect, u.Scheme+"://"+u.Host)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil || query.Has("gspResult") || query.Has("gspAuthenticationResponse") {
		return "", fmt.Errorf("%w: gspCallbackUrl has a query that nothing can be added to", errRedirect)
	}
	return u.String(), nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// errTooLong: keys or callback address are so long that the answer does not fit into
// a URL.
var errTooLong = errors.New("the answer makes a URL that is too long")

// answerURL is where the browser goes on: the callback with the result, and the
// result once more with what was asked, signed and encrypted, so that nobody on the
// way can change one answer for another. The message is binary, with one signer and
// one recipient: others are too long for a URL (section 2.2).
func (h Hosted) answerURL(r Redirect, result RedirectResult, now time.Time) (string, error) {
	plain, err := json.Marshal(struct {
		RequestID   string              `json:"requestId"`
		Association string              `json:"associationId,omitempty"`
		Result      map[string]struct{} `json:"authenticationResult"`
	}{r.RequestID, r.Association, map[string]struct{}{result.member(): {}}})
	if err != nil {
		return "", fmt.Errorf("answer of the redirect: %w", err)
	}
	sealed, err := h.Ring().Seal(plain, now, pgp.Form{Short: true})
	if err != nil {
		return "", fmt.Errorf("answer of the redirect: %w", err)
	}
	joint := "?"
	if base, query, has := strings.Cut(r.Callback, "?"); has {
		joint = "&"
		if query == "" {
			joint, r.Callback = "?", base
		}
	}
	address := fmt.Sprintf("%s%sgspResult=%d&gspAuthenticationResponse=%s", r.Callback, joint, result, url.QueryEscape(string(sealed)))
	if len(address) > pgp.MaxURL {
		return "", fmt.Errorf("%w: %d characters, and %d are allowed", errTooLong, len(address), pgp.MaxURL)
	}
	return address, nil
}
