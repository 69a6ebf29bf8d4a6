package google

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"aorta/internal/fop"
	"aorta/internal/money"
	"aorta/internal/recon"
)

// Layout is where the methods lie on both sides: the same API has been published
// under three (section 0.1).
type Layout string

// The layouts.
const (
	LayoutV1       Layout = "v1"           // the one of today's v1 contracts
	LayoutOldest   Layout = "v1-oldest"    // Google's methods without the account's name
	LayoutEWallets Layout = "e-wallets-v1" // the successor
)

// Layouts are all of them.
func Layouts() []Layout { return []Layout{LayoutV1, LayoutOldest, LayoutEWallets} }

// version is the path element before a method of ours.
func (l Layout) version() string {
	if l == LayoutEWallets {
		return "e-wallets-v1"
	}
	return "v1"
}

// host is where Google's side is, unless an integration says otherwise.
func (l Layout) host(sandbox bool) string {
	switch {
	case l == LayoutOldest:
		return "https://billpaynotification.googleapis.com"
	case sandbox:
		return "https://vgw.sandbox.google.com"
	}
	return "https://vgw.googleapis.com"
}

// Integration is one contract with Google: a place on our side, Google's place,
// the accounts that Google knows us by, and the rules of the contract. Its keys
// lie elsewhere, since they change while we run.
type Integration struct {
	Name      string // ours for it
	ProjectID int64  // whose customers pay with their wallets
	Layout    Layout
	Hosts     []string // lower case, without port; none: any
	BasePath  string   // before the version, "/gsp/main"; may be empty for hosts of its own
	Accounts  []string // PIAIDs, byte for byte
	Sandbox   bool     // Google's sandbox, whose keys are others
	GoogleURL string   // scheme and host of Google's side; empty: the layout's
	Armor     bool     // messages are sent armored within the base64url

	CallbackHosts  []string // that the redirect page may send people back to, "*.google.com"
	Limits         []Limit  // of purchases; a currency without one has none
	AckAccepts     bool     // old contracts: to acknowledge a statement is to accept it
	ExclusionsStop bool     // who may not play, excluded or pausing, buys nothing either
	Terms          Terms    // by which statements are checked

	CallTimeout time.Duration // of one call of Google's side
	AsyncTime   time.Duration // after it a purchase that waits for the customer is declined
	ProofTime   time.Duration // how long the proof of who somebody is can be used
	CodeTime    time.Duration // how long a code sent by SMS can be used
	TokenTime   time.Duration // how long a token can be used before the customer must authenticate anew; 0: for ever
}

// Terms are what the contract says of fees.
type Terms struct {
	recon.Terms
	VAT recon.FeeToVAT // with a Ratio, statements are accepted with this modification
}

// DefaultSlack is how far Google's time of a purchase may lie from ours.
const DefaultSlack = time.Hour

// Limit bounds what one association may be charged.
type Limit = fop.Limit

// The defaults of an integration's times.
const (
	DefaultCallTimeout = 20 * time.Second
	DefaultAsyncTime   = 30 * time.Minute
	DefaultProofTime   = 15 * time.Minute
	DefaultCodeTime    = 5 * time.Minute
	DefaultTokenTime   = 2 * 365 * 24 * time.Hour
)

// DefaultCallbackHosts are whom the redirect page may send people back to.
func DefaultCallbackHosts() []string { return []string{"*.google.com"} }

// PathUnder is what the base path of an integration without hosts of its own must
// lie under: all other paths are other doors'.
const PathUnder = "/gsp"

// FieldError is a setting of an integration that is not as it must be, with what
// to write instead.
type FieldError struct {
	Field string // as the configuration names it
	What  string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.What }

// URL is where a method of Google's lies for one of our accounts.
func (i Integration) URL(method, account string) string {
	base := i.GoogleURL
	if base == "" {
		base = i.Layout.host(i.Sandbox)
	}
	switch i.Layout {
	case LayoutOldest:
		return base + "/secure-serving/gsp/v1/" + method
	case LayoutV1:
		return base + "/secure-serving/gsp/v1/" + method + "/" + url.PathEscape(account)
	case LayoutEWallets:
		return base + "/gsp/e-wallets-v1/" + method + "/" + url.PathEscape(account)
	}
	return ""
}

// Path is where a method of ours lies.
func (i Integration) Path(method string) string {
	return i.BasePath + "/" + i.Layout.version() + "/" + method
}

// Patterns are the places that a listener must lead to the door, as
// http.ServeMux writes them.
func (i Integration) Patterns() []string {
	prefix := i.BasePath + "/" + i.Layout.version() + "/"
	if len(i.Hosts) == 0 {
		return []string{prefix}
	}
	patterns := make([]string, 0, len(i.Hosts))
	for _, h := range i.Hosts {
		patterns = append(patterns, h+prefix)
	}
	return patterns
}

// A refreshed token lives for a year at least (section 3.6).
const (
	minTokenTime = 365 * 24 * time.Hour
	maxTokenTime = 10 * minTokenTime
)

// maxAccounts bounds the list of an integration.
const maxAccounts = 64

// Check gives all that is wrong with an integration, as FieldErrors, joined.
func (i Integration) Check() error {
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, &FieldError{field, fmt.Sprintf(format, args...)})
	}
	if !isName(i.Name) {
		wrong("name", "write 1 to 32 of a-z 0-9 and -, beginning with a letter: it names the directory of its keys")
	}
	if i.ProjectID == 0 {
		wrong("project", "write the id of the [[project]] whose customers' wallets are linked")
	}
	if !slices.Contains(Layouts(), i.Layout) {
		wrong("layout", "write \"v1\", \"v1-oldest\" or \"e-wallets-v1\", as Google's contract names its URLs")
	}
	for _, h := range i.Hosts {
		if !isHost(h) {
			wrong("hosts", "%q is no host: write it in lower case, without scheme, port and path, such as \"pay.example\"", h)
		}
	}
	switch {
	case i.BasePath != "" && !isPath(i.BasePath):
		wrong("base_path", "write it with a slash in front and none behind, of a-z A-Z 0-9 . _ - and /, such as \"/gsp/main\"")
	case len(i.Hosts) == 0 && i.BasePath != PathUnder && !strings.HasPrefix(i.BasePath, PathUnder+"/"):
		wrong("base_path", "without hosts of its own it must be %s or lie under it: other paths belong to other doors", PathUnder)
	}
	i.checkAccounts(wrong)
	if i.GoogleURL != "" && !isOrigin(i.GoogleURL) {
		wrong("google_url", "write scheme and host alone, such as \"https://vgw.googleapis.com\"; http only for 127.0.0.1")
	}
	for _, h := range i.CallbackHosts {
		if bare := strings.TrimPrefix(h, "*."); !isHost(bare) || strings.HasPrefix(h, "*.") && !strings.Contains(bare, ".") {
			wrong("callback_hosts", "%q is no host: write \"payments.google.com\", or \"*.google.com\" for all below it", h)
		}
	}
	i.checkLimits(wrong)
	i.checkTerms(wrong)
	for _, t := range []struct {
		field string
		value time.Duration
		most  time.Duration
	}{
		{"call_timeout", i.CallTimeout, time.Minute},
		{"async_time", i.AsyncTime, 7 * 24 * time.Hour},
		{"proof_time", i.ProofTime, time.Hour},
		{"code_time", i.CodeTime, time.Hour},
	} {
		if t.value <= 0 || t.value > t.most {
			wrong(t.field, "write a time above 0 and up to %s", t.most)
		}
	}
	if i.TokenTime < 0 || i.TokenTime > maxTokenTime || i.TokenTime > 0 && i.TokenTime < minTokenTime && !i.Sandbox {
		wrong("token_time", "write 0 for tokens that do not end, or a time from 8760h to 87600h: a refreshed token must live for a year. In Google's sandbox it may be shorter")
	}
	return errors.Join(errs...)
}

func (i Integration) checkAccounts(wrong func(field, format string, args ...any)) {
	if len(i.Accounts) == 0 || len(i.Accounts) > maxAccounts {
		wrong("accounts", "write 1 to %d Payment Integrator Account IDs, as Google gave them", maxAccounts)
	}
	for n, a := range i.Accounts {
		if a == "" || len(a) > maxID || strings.ContainsAny(a, "/\x00\r\n") {
			wrong("accounts", "%q is no Payment Integrator Account ID", a)
		}
		if slices.Contains(i.Accounts[:n], a) {
			wrong("accounts", "%q is there twice", a)
		}
	}
}

func (i Integration) checkLimits(wrong func(field, format string, args ...any)) {
	seen := map[money.Currency]bool{}
	for _, l := range i.Limits {
		switch {
		case !l.Currency.Valid():
			wrong("limit", "%q is no currency: write an ISO 4217 code", l.Currency)
		case seen[l.Currency]:
			wrong("limit", "there are two of %s", l.Currency)
		case l.Transaction > 0 && l.Least > l.Transaction, l.Day > 0 && l.Transaction > l.Day, l.Month > 0 && l.Day > l.Month:
			wrong("limit", "in %s: least, transaction, day, month must not fall", l.Currency)
		}
		seen[l.Currency] = true
	}
}

// maxSlack bounds it: who compares days must not take one for another.
const maxSlack = 12 * time.Hour

func (i Integration) checkTerms(wrong func(field, format string, args ...any)) {
	t := i.Terms
	if t.SlackUS < 0 || t.SlackUS > maxSlack.Microseconds() {
		wrong("terms.slack", "write a time of up to %s", maxSlack)
	}
	if taken := t.Fee + t.Withholding; taken > recon.Whole {
		wrong("terms.withholding", "fee and withholding are more than the capture that they are of")
	}
	if t.VAT.OfGross && t.VAT.Ratio == 0 {
		wrong("terms.vat_of", "there is no vat that it could be of")
	}
}

// CheckAll gives what is wrong between integrations: two in one place, or one
// account in two.
func CheckAll(list []Integration) error {
	var errs []error
	for n, a := range list {
		for _, b := range list[:n] {
			if a.Name == b.Name {
				errs = append(errs, &FieldError{"name", fmt.Sprintf("%q is there twice", a.Name)})
			}
			if sharesHost(a, b) && (a.BasePath == b.BasePath || within(a, b) || within(b, a)) {
				errs = append(errs, &FieldError{"base_path", fmt.Sprintf("integrations %q and %q lie in the same place: give each a base_path or hosts of its own", b.Name, a.Name)})
			}
			for _, account := range a.Accounts {
				if slices.Contains(b.Accounts, account) {
					errs = append(errs, &FieldError{"accounts", fmt.Sprintf("%q belongs to %q and to %q", account, b.Name, a.Name)})
				}
			}
		}
	}
	return errors.Join(errs...)
}

// within says whether a lies where methods of b would be.
func within(a, b Integration) bool { return strings.HasPrefix(a.BasePath+"/", b.Path("")) }

// sharesHost: an integration without hosts answers at those of others too.
func sharesHost(a, b Integration) bool {
	if len(a.Hosts) == 0 || len(b.Hosts) == 0 {
		return len(a.Hosts) == len(b.Hosts) || a.BasePath != "" && b.BasePath != ""
	}
	return slices.ContainsFunc(a.Hosts, func(h string) bool { return slices.Contains(b.Hosts, h) })
}

func isName(s string) bool {
	for n, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (n == 0 || c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	return len(s) > 0 && len(s) <= 32
}

func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	for _, label := range strings.Split(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return len(s) <= 253
}

func isPath(s string) bool {
	for _, element := range strings.Split(s[1:], "/") {
		if element == "" || element == "." || element == ".." {
			return false
		}
		for _, c := range []byte(element) {
			if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
				return false
			}
		}
	}
	return s[0] == '/' && len(s) <= 100
}

func isOrigin(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return false
	}
	a, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && err == nil && a.IsLoopback()
}
