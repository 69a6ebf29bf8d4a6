package web

// SignInView asks who somebody is, before their wallet is linked with Google. Pressing "sign in" POSTs Fields with
// "name" and "password" to Action; a passkey POSTs Fields with "credential".
type SignInView struct {
	Page
	Known   bool   // a link that exists is confirmed, instead of a new one made
	Problem string // one of SignInProblems; "" for none
	Name    string // as it was entered before
	Action  string
	Fields  []Field
	Passkey string // options of navigator.credentials.get(), JSON; "" offers none
	Home    string // the login of the house is elsewhere: the address of it, instead of the form; "" for ours
}

// SignInProblems are what a sign-in can be told.
func SignInProblems() []string { return []string{"wrong", "too_often", "other_wallet", "on_hold"} }

// ConsentView shows what is about to be linked, to somebody who has signed in.
type ConsentView struct {
	Page
	Known   bool    // as in SignInView
	Wallet  string  // what its owner knows it by, "***-91"
	Limits  []Bound // of purchases
	Action  string  // POST with Fields and "do": link, other, cancel or enroll
	Fields  []Field //
	Passkey string  // options of navigator.credentials.create(), JSON; "" offers none
	Added   bool    // a passkey was just added
}

// Bound is one limit of purchases by a link.
type Bound struct {
	Kind   string // "once", "day", "month"
	Amount string // for people
}

// LinkErrorKind chooses the text of an error on the pages of linking.
type LinkErrorKind string

const (
	LinkRequest LinkErrorKind = "request" // what brought the customer here cannot be trusted
	LinkOver    LinkErrorKind = "over"    // no such session, or its time is over
	LinkLogin   LinkErrorKind = "login"   // what came back from the house's own login cannot be trusted
	LinkBusy    LinkErrorKind = "busy"
)

// LinkErrorView is a page instead of a sign-in. It leads nowhere: where to is what could not be trusted.
type LinkErrorView struct {
	Page
	Kind      LinkErrorKind
	Reference string // what support asks for; the log has the rest
}

// Heading is what a page of linking is about.
func (v SignInView) Heading() string { return v.T(linkTitle(v.Known)) }

// Heading is what a page of linking is about.
func (v ConsentView) Heading() string { return v.T(linkTitle(v.Known)) }

func linkTitle(known bool) string {
	if known {
		return "link.title_known"
	}
	return "link.title"
}

func (v SignInView) screen() screen {
	return screen{Name: "signin", Heading: v.Heading(), Script: &signInJS}
}

func (v ConsentView) screen() screen {
	return screen{Name: "consent", Heading: v.Heading(), Script: &signInJS}
}

func (v LinkErrorView) screen() screen {
	return screen{Name: "linkerror", Heading: v.T("link.error." + string(v.Kind) + ".title")}
}

// passkeyForm is the offer of a passkey as its template needs it. The script shows it where the browser knows passkeys.
type passkeyForm struct {
	Page
	Action   string
	Fields   []Field
	Options  string
	Ceremony string // "get", "create"
	Do       string
	Label    string
	Failed   string
}

// PasskeyForm signs in by a passkey.
func (v SignInView) PasskeyForm() passkeyForm {
	return passkeyForm{v.Page, v.Action, v.Fields, v.Passkey, "get", "passkey", "link.passkey", "link.passkey_failed"}
}

// PasskeyForm adds one.
func (v ConsentView) PasskeyForm() passkeyForm {
	return passkeyForm{v.Page, v.Action, v.Fields, v.Passkey, "create", "enroll", "link.passkey_add", "link.passkey_not_added"}
}
