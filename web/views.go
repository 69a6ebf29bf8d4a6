package web

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strconv"
)

//go:embed templates/*.html
var templateFiles embed.FS

// View is what one screen shows: ConfirmView, HandoffView, ProcessingView, ResultView or ErrorView of the payment
// page, the CustomerView of a customer's own page, or SignInView, ConsentView or LinkErrorView of the page that links a
// wallet. All texts in it are plain text; Render escapes them.
type View interface {
	// screen names the template and the facts that page.js reads from <body>.
	screen() screen
	page() Page
}

// Page is what every screen needs.
type Page struct {
	Lang     string // from Language; a language we lack is shown as Default
	Nonce    string // the same as in Policy.Nonce; without it browsers refuse the script, and the page works plainly
	Merchant string // the shop's name for customers; "" leaves it out
	TestMode bool   // says that no real money moves

	// Framed says that the page was opened inside a merchant's page (frame_mode popup or iframe).
	Framed bool
	// ParentOrigin is the origin of that page, which then hears of every step and of the result: so it must be one that
	// the project allows, never simply what the browser sent. "" tells nobody.
	ParentOrigin string
}

// Field is a hidden field of a form.
type Field struct{ Name, Value string }

// Mode says in which window a merchant's address opens, in the words of ecommpay.md 2.2. The zero value is ModeFrame.
type Mode string

const (
	ModeFrame  Mode = "iframe"      // where the page is
	ModeParent Mode = "parent_page" // instead of the merchant's page around the frame
	ModeBlank  Mode = "blank_page"  // in a window of its own
)

// Target is the value of a link's target attribute.
func (m Mode) Target() string {
	switch m {
	case ModeParent:
		return "_parent"
	case ModeBlank:
		return "_blank"
	case ModeFrame:
	}
	return "_self"
}

// Kind of a merchant's button; it chooses the text.
type Kind string

const (
	ButtonSuccess Kind = "success" // merchant_success_url
	ButtonFail    Kind = "fail"    // merchant_fail_url
	ButtonReturn  Kind = "return"  // merchant_return_url
)

// Button is a link to the merchant that the customer may press.
type Button struct {
	Kind Kind
	URL  string // http or https
	Mode Mode
}

// Method is one way to pay.
type Method struct {
	Code     string // "paytm-wallet", sent back as the field "method"
	Name     string // "Paytm Wallet"
	Note     string // a short remark below the name, or ""
	Selected bool   // preselected; without any the first one is
}

// ConfirmView is the first screen: what is paid, how, and the button. Pressing it POSTs Fields and the chosen "method"
// to Action; nothing exists before.
type ConfirmView struct {
	Page
	Amount      string   // for people, "₹25.00"
	Description string   // payment_description, or ""
	Order       string   // the merchant's payment_id, or ""
	Methods     []Method // at least one; a choice is shown when there are more
	Action      string   // where the form goes, on our own origin
	Fields      []Field
	SecondsLeft int     // until best_before; 0 for no limit. At the end the page takes the offer away.
	Return      *Button // nil for none
}

// HandoffView leads to the provider's page, by itself where scripts run and by its button everywhere.
type HandoffView struct {
	Page
	Provider  string // "Paytm Wallet"
	URL       string // its origin must be in Policy.FormAction
	Method    string // "POST" or "GET"; anything else is POST
	Fields    []Field
	Top       bool   // the provider refuses to be framed: open it in place of the merchant's page, after a press
	RequestID string // for onPaymentSubmitResult
}

// ProcessingView waits for the outcome. With scripts it looks at StatusURL every few seconds, without them it is
// loaded anew every three.
type ProcessingView struct {
	Page
	// StatusURL answers JSON: {"status":"processing","final":false,"location":""}. When location is set the browser goes
	// there; when final is true it loads this page again, which then shows the result.
	StatusURL string
	PageURL   string // this page's own address, for the button that looks now
	Returned  bool   // the customer is back from the provider
	Amount    string
	Continue  *Onward // while the provider awaits the customer; nil for none
	Return    *Button // to the merchant without waiting; nil for none. ButtonReturn would promise to cancel
}

// Onward is a link to the provider's page once more, for a customer who has left it.
type Onward struct {
	Provider string // "Paytm Wallet"
	URL      string // of ours, where the handoff is
}

// Outcome is what the result screen announces.
type Outcome string

const (
	OutcomeSuccess Outcome = "success"
	OutcomeDecline Outcome = "decline"
	OutcomePending Outcome = "pending" // not known yet, and no longer worth a spinner
)

// Reason is why a payment was declined, for the customer. The zero value says nothing.
type Reason string

const (
	ReasonInsufficientFunds Reason = "insufficient_funds"
	ReasonCancelled         Reason = "cancelled" // by the customer
	ReasonTimeOver          Reason = "time_over"
	ReasonProvider          Reason = "provider" // the provider said no
	ReasonLimit             Reason = "limit"
	ReasonUnavailable       Reason = "unavailable" // the method, at the moment
)

// Retry offers another attempt after a declined one ("try again"): a form that POSTs Fields to Action.
type Retry struct {
	Action       string
	Fields       []Field
	SecondsLeft  int // 0 for no limit
	AttemptsLeft int // 0 leaves the number out
}

// Redirect sends the browser on at once, by redirect_success_url or redirect_fail_url.
type Redirect struct {
	URL  string // http or https
	Mode Mode
}

// ResultView is the last screen.
type ResultView struct {
	Page
	Outcome     Outcome
	Reason      Reason // with OutcomeDecline
	Amount      string
	Description string
	Order       string
	MethodName  string
	Buttons     []Button // what the merchant wants to offer; ButtonSuccess or ButtonFail first
	Retry       *Retry   // with OutcomeDecline; while it is set the merchant is not told of a failure
	Redirect    *Redirect
	StatusURL   string // with OutcomePending: as in ProcessingView
	PageURL     string // with OutcomePending: as in ProcessingView
	Returned    bool   // as in ProcessingView
	Result      any    // the result object for the merchant's handlers (ecommpay.md 2.4); encoded as JSON
}

// ErrorKind chooses the text of an error page (ecommpay.md 2.3).
type ErrorKind string

const (
	ErrorApplication ErrorKind = "application" // 403 and 400: wrong signature or parameters, without saying which
	ErrorCompleted   ErrorKind = "completed"   // 409: payment_id is finished
	ErrorConflict    ErrorKind = "conflict"    // 409: payment_id known with other amount, currency or customer
	ErrorExpired     ErrorKind = "expired"     // 410: best_before has passed
	ErrorNoMethod    ErrorKind = "no_method"   // 409
	ErrorNotFound    ErrorKind = "not_found"   // 404: no such page session, or a closed one
	ErrorBusy        ErrorKind = "busy"        // 503
)

// ErrorView is a page instead of a payment. Around a frame the widget calls onFailLoading.
type ErrorView struct {
	Page
	Kind      ErrorKind
	Reference string  // what support asks for; the log has the rest
	Return    *Button // nil for none
	ReloadURL string  // with ErrorBusy: what to try again, by GET; "" for no button
}

// screen is the part of a view that the layout needs.
type screen struct {
	Name         string
	Heading      string // for the window's title
	RequestID    string
	StatusURL    string
	Refresh      string // content of the meta refresh for browsers without scripts
	Returned     bool
	Outcome      Outcome
	Result       string
	RedirectURL  string
	RedirectMode Mode
	Script       *Asset // nil: that of the payment page
}

func (p Page) page() Page { return p }

// T gives a text in the page's language.
func (p Page) T(key string, pairs ...string) string { return Text(p.Lang, key, pairs...) }

// N gives a counted text in the page's language.
func (p Page) N(key string, n int) string { return Count(p.Lang, key, n) }

// Code is the language actually shown.
func (p Page) Code() string { return known(p.Lang) }

func (v ConfirmView) screen() screen {
	return screen{Name: "confirm", Heading: v.T("confirm.title")}
}

func (v HandoffView) screen() screen {
	return screen{Name: "handoff", Heading: v.T("handoff.title", "provider", v.Provider), RequestID: v.RequestID}
}

func (v ProcessingView) screen() screen {
	return screen{
		Name: "processing", Heading: v.T("processing.title"), StatusURL: v.StatusURL, Refresh: "3", Returned: v.Returned,
	}
}

func (v ResultView) screen() screen {
	s := screen{
		Name: "result", Heading: v.T(v.Words() + ".title"), Outcome: v.Outcome, Returned: v.Returned,
	}
	if v.Result != nil {
		if text, err := json.Marshal(v.Result); err == nil {
			s.Result = string(text)
		}
	}
	switch v.Outcome {
	case OutcomePending:
		s.StatusURL, s.Refresh = v.StatusURL, "5"
	case OutcomeSuccess, OutcomeDecline:
		if v.Redirect == nil || Origin(v.Redirect.URL) == "" {
			break
		}
		s.RedirectURL, s.RedirectMode = v.Redirect.URL, v.Redirect.Mode
		// Without scripts a page can move its own window only.
		if v.Redirect.Mode == ModeFrame || v.Redirect.Mode == "" || (v.Redirect.Mode == ModeParent && !v.Framed) {
			s.Refresh = "0;url=" + v.Redirect.URL
		}
	}
	return s
}

// Words is the prefix of the result's texts: a decline that can be tried again is not yet the end.
func (v ResultView) Words() string {
	if v.Outcome == OutcomeDecline && v.Retry != nil {
		return "result.retry"
	}
	return "result." + string(v.Outcome)
}

func (v CustomerView) screen() screen {
	return screen{Name: "customer", Heading: v.Heading()}
}

func (v ErrorView) screen() screen {
	return screen{Name: "error", Heading: v.T("error." + string(v.Kind) + ".title")}
}

// Chosen is the index of the preselected method.
func (v ConfirmView) Chosen() int {
	for i, m := range v.Methods {
		if m.Selected {
			return i
		}
	}
	return 0
}

// timer is a countdown as its template needs it.
type timer struct {
	Page
	Label   string
	Seconds int
	Here    bool // at the end the script ends the offer by itself instead of asking the server
}

// Clock is the time left as it is shown before the script takes over.
func (t timer) Clock() string {
	if t.Seconds >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", t.Seconds/3600, t.Seconds/60%60, t.Seconds%60)
	}
	return fmt.Sprintf("%02d:%02d", t.Seconds/60, t.Seconds%60)
}

// Last says that the last five minutes have begun, which are emphasised.
func (t timer) Last() bool { return t.Seconds <= 300 }

// Timer is the countdown to best_before.
func (v ConfirmView) Timer() timer { return timer{v.Page, "timer.left", v.SecondsLeft, true} }

// Timer is the countdown of the attempts that are left.
func (v ResultView) Timer() timer {
	seconds := 0
	if v.Retry != nil {
		seconds = v.Retry.SecondsLeft
	}
	return timer{v.Page, "timer.left_again", seconds, false}
}

// document is what the layout renders.
type document struct {
	Page
	Screen screen
	View   View
	CSS    Asset
	JS     Asset
}

// templates holds one set per screen: the layout with that screen's file.
var templates = func() map[string]*template.Template {
	sets := map[string]*template.Template{}
	for _, name := range []string{"confirm", "handoff", "processing", "result", "error", "customer", "signin", "consent", "linkerror"} {
		sets[name] = template.Must(template.New("layout.html").ParseFS(templateFiles,
			"templates/layout.html", "templates/parts.html", "templates/"+name+".html"))
	}
	return sets
}()

// Render writes the screen as a whole HTML document. It writes nothing when it answers an error, which only a view
// that does not fit its template causes; status and headers are the caller's.
func Render(w io.Writer, v View) error {
	s := v.screen()
	var page bytes.Buffer
	script := pageJS
	if s.Script != nil {
		script = *s.Script
	}
	err := templates[s.Name].Execute(&page, document{Page: v.page(), Screen: s, View: v, CSS: pageCSS, JS: script})
	if err != nil {
		return fmt.Errorf("render %s: %w", strconv.Quote(s.Name), err)
	}
	_, err = page.WriteTo(w)
	return err
}
