package generic

import (
	"bytes"
	"crypto/hmac"
	_ "embed" // the page
	"html/template"
	"net/http"
	"time"

	"aorta/internal/sandbox/desk"
	"aorta/internal/sandbox/fault"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// pagePolicy lets in nothing but the inlined style.
var pagePolicy = "default-src 'none'; base-uri 'none'; style-src '" + desk.Digest(desk.PageStyle) + "'"

// view is what the template shows: a payment with its buttons (Press), or only
// notes.
type view struct {
	Title, Amount, Reference, Account string
	Notes                             []string
	Press, Token, Step                string
	Banks                             []string
	Approve, Decline                  string
	Style                             template.CSS
}

// The second steps, by method. A wallet has none.
const (
	step3DS  = "3ds"  // the card's bank wants to know that it is the customer
	stepBank = "bank" // at the chosen bank
)

// banks are those that a customer may choose.
var banks = []string{"Northern Bank", "Harbour Savings", "First Example Bank"}

// page is the hosted page: it shows the payment, and takes the customer's press
// when the form carries an action. Whoever has the token may see it, for 15
// minutes; afterwards it only leads back.
func (s *Simulator) page(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		s.show(w, http.StatusBadRequest, view{Title: "The form could not be read"})
		return
	}
	s.desk.Lock()
	o := s.known[key{r.PathValue("account"), sale, r.PathValue("reference")}]
	open := o != nil && o.Next != fault.Timeout && hmac.Equal([]byte(r.Form.Get("token")), []byte(o.token())) &&
		!s.clock().After(time.UnixMicro(o.CreatedUS).Add(pageLife))
	s.desk.Unlock()
	if !open {
		s.show(w, http.StatusGone, view{
			Title: "Your session has expired",
			Notes: []string{"This payment page is not open, or no longer. Go back to the merchant and start again."},
		})
		return
	}
	s.desk.Drag(r, &o.Fate)
	step, action, bank := r.PostForm.Get("step"), r.PostForm.Get("action"), r.PostForm.Get("bank")
	switch {
	case r.Method == http.MethodGet || action == "":
		s.show(w, http.StatusOK, s.form(r, o, "", ""))
	case action == "approve" && step == "" && s.undecided(o) && o.method == "card":
		s.show(w, http.StatusOK, s.form(r, o, step3DS, ""))
	case action == "approve" && step == "" && s.undecided(o) && o.method == "bank":
		s.show(w, http.StatusOK, s.form(r, o, stepBank, bank))
	case action == "approve", action == "decline", action == "leave":
		s.press(w, r, o, step, action)
	default:
		s.show(w, http.StatusBadRequest, view{Title: "There is no such button", Notes: []string{"The buttons are approve, decline and leave."}})
	}
}

// undecided says whether a press still decides anything.
func (s *Simulator) undecided(o *operation) bool {
	s.desk.Lock()
	defer s.desk.Unlock()
	return o.State == waiting && o.Next == fault.None
}

// form is the page with the buttons. It keeps them once the payment is decided,
// because a fault rule may decide it while somebody is looking.
func (s *Simulator) form(r *http.Request, o *operation, step, bank string) view {
	s.desk.Lock()
	defer s.desk.Unlock()
	amount := decimal(o.minor, o.currency) + " " + o.currency
	v := view{
		Title: methods[o.method], Amount: amount, Reference: o.reference, Account: o.account.Name, Token: o.token(), Step: step,
		Press: s.opts.Prefix + "/pay/" + o.account.Name + "/" + o.reference, Approve: "Pay " + amount, Decline: "Decline, as the bank would",
	}
	switch {
	case step == step3DS:
		v.Title, v.Approve, v.Decline = "Confirm that it is you", "Confirm "+amount, "This was not me"
		v.Notes = []string{"Your card's bank asks you to confirm the payment (3-D Secure)."}
	case step == stepBank:
		name := banks[0]
		for _, each := range banks {
			if each == bank {
				name = each
			}
		}
		v.Title, v.Approve, v.Decline = name, "Approve the transfer of "+amount, "Refuse it"
		v.Notes = []string{"You are at your bank. Approve the transfer to the merchant."}
	case o.method == "card":
		v.Notes = []string{"A card is on file for you. This page asks for no card number."}
	case o.method == "bank":
		v.Banks, v.Approve = banks, "Go on to the bank"
	}
	if o.State != waiting {
		v.Notes = []string{"This payment is already decided. Each button only takes you back to the merchant."}
	}
	return v
}

// press does what the button says, unless the payment is decided or a fault rule
// is to decide it, and leads back to the merchant.
func (s *Simulator) press(w http.ResponseWriter, r *http.Request, o *operation, step, action string) {
	if err := s.pressed(o, step, action); err != nil {
		s.opts.Log.Error("generic sandbox: press", "reference", o.reference, "error", err)
		s.show(w, http.StatusInternalServerError, view{Title: "Something went wrong"})
		return
	}
	if o.returnURL == "" {
		s.show(w, http.StatusOK, view{Title: "Back to the merchant", Notes: []string{"The merchant gave no address to return to. You can close this page."}})
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, o.returnURL, http.StatusSeeOther)
}

func (s *Simulator) pressed(o *operation, step, action string) error {
	s.desk.Lock()
	defer s.desk.Unlock()
	if o.State != waiting || o.Next != fault.None {
		return nil
	}
	switch {
	case action == "approve":
		return s.desk.Settle(o, paid)
	case action == "leave":
		return s.leave(o)
	case step == step3DS:
		return s.fail(o, "authentication_failed")
	case step == stepBank:
		return s.fail(o, "cancelled")
	}
	return s.desk.Settle(o, failed)
}

func (s *Simulator) show(w http.ResponseWriter, status int, v view) {
	v.Style = template.CSS(desk.PageStyle) //nolint:gosec // a constant
	var out bytes.Buffer
	if err := pageTemplate.Execute(&out, v); err != nil {
		s.opts.Log.Error("generic sandbox: write the page", "error", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	desk.WritePage(w, status, pagePolicy, out.Bytes())
}
