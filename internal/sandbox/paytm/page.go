package paytm

import (
	"bytes"
	_ "embed" // the page
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"aorta/internal/sandbox/desk"
	"aorta/internal/sandbox/fault"
)

//go:embed page.html
var pageText string

// pageScript sends the browser back without a press; without JavaScript the
// visible button does.
const pageScript = `document.getElementById("back").submit()`

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// pagePolicy lets in nothing but the inlined style and script.
var pagePolicy = "default-src 'none'; base-uri 'none'; style-src '" + desk.Digest(desk.PageStyle) + "'; script-src '" + desk.Digest(pageScript) + "'"

// view is what the template shows: the order with its buttons (Press), the way
// back to the merchant (Back), or only notes.
type view struct {
	Title, Amount, OrderID, MID, Token string
	Notes                              []string
	Press                              string
	Back                               string
	Fields                             []field
	Style                              template.CSS
	Script                             template.JS
}

type field struct{ Name, Value string }

// page is showPaymentPage (paytm.md section 4): it shows the order, and takes
// the customer's press when the form carries an action. GET shows it too, with
// the token in the query or, once shown, without, so that a person can reload.
func (s *Simulator) page(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		s.show(w, http.StatusBadRequest, view{Title: "The form could not be read"})
		return
	}
	mid, id, action := r.Form.Get("mid"), r.Form.Get("orderId"), r.PostForm.Get("action")
	o, known := s.visit(mid, id, r.Form.Get("txnToken"), r.Method == http.MethodGet)
	if !known {
		s.show(w, http.StatusGone, view{
			Title: "Your session has expired",
			Notes: []string{"This payment page is not open, or no longer. Go back to the merchant and start again."},
		})
		return
	}
	s.desk.Drag(r, &o.Fate)
	switch action {
	case "":
		s.show(w, http.StatusOK, s.form(o))
	case "approve", "decline", "leave":
		back, err := s.press(o, action)
		if err != nil {
			s.opts.Log.Error("paytm sandbox: press", "order", o.id, "error", err)
			s.show(w, http.StatusInternalServerError, view{Title: "Something went wrong"})
			return
		}
		s.show(w, http.StatusOK, back)
	default:
		s.show(w, http.StatusBadRequest, view{Title: "There is no such button", Notes: []string{"The buttons are approve, decline and leave."}})
	}
}

// visit finds the order whose page may be shown. A token is good for 15 minutes
// and for one payment: afterwards it only leads back.
func (s *Simulator) visit(mid, id, token string, reload bool) (*order, bool) {
	s.desk.Lock()
	defer s.desk.Unlock()
	o := s.orders[key{mid, id}]
	if o == nil || o.Next == fault.Timeout || s.expired(o) {
		return nil, false
	}
	if token != o.token() && !(reload && token == "" && o.opened) {
		return nil, false
	}
	o.opened = true
	return o, true
}

// form is the page with the buttons. It keeps them once the order is decided,
// because a fault rule may decide it while somebody is looking.
func (s *Simulator) form(o *order) view {
	s.desk.Lock()
	defer s.desk.Unlock()
	v := view{
		Title: "Pay with Paytm Wallet", Amount: rupees(o.paise), OrderID: o.id, MID: o.account.MID, Token: o.token(),
		Press: s.opts.Prefix + "/theia/api/v1/showPaymentPage?" + url.Values{"mid": {o.account.MID}, "orderId": {o.id}}.Encode(),
	}
	if o.State != waiting {
		v.Notes = []string{"This order is already decided. Each button only takes you back to the merchant."}
	}
	return v
}

// press does what the button says, unless the order is decided or a fault rule
// is to decide it, and leads back to the merchant with the order's state.
func (s *Simulator) press(o *order, action string) (view, error) {
	s.desk.Lock()
	defer s.desk.Unlock()
	if o.State == waiting && o.Next == fault.None {
		var err error
		switch action {
		case "approve":
			err = s.desk.Settle(record{order: o}, paid)
		case "decline":
			err = s.desk.Settle(record{order: o}, failed)
		case "leave":
			err = s.leave(o)
		}
		if err != nil {
			return view{}, err
		}
	}
	v := view{Title: "Back to the merchant", Amount: rupees(o.reported()), OrderID: o.id, MID: o.account.MID}
	switch o.State {
	case paid:
		v.Notes = []string{"The payment is done."}
	case failed:
		v.Notes = []string{"The payment was declined."}
	case waiting:
		v.Notes = []string{"Nothing has been paid yet."}
	}
	if o.callback == "" {
		// The vendor would use the website's static URL; this one has none.
		v.Notes = append(v.Notes, "The merchant gave no address to return to. You can close this page.")
		return v, nil
	}
	form := s.callbackForm(o)
	for _, name := range slices.Sorted(maps.Keys(form)) {
		v.Fields = append(v.Fields, field{name, form[name]})
	}
	v.Back = o.callback
	return v, nil
}

// callbackForm is the form the browser carries to the merchant (paytm.md
// section 4), signed. It is right even when "wrong_signature" spoils the
// notification. The caller holds s.desk.
func (s *Simulator) callbackForm(o *order) map[string]string {
	info := o.resultInfo()
	if info == noRecord {
		info = txnPending // STATUS has three values only
	}
	form := map[string]string{
		"MID": o.account.MID, "ORDERID": o.id, "TXNID": o.txnID(), "TXNAMOUNT": rupees(o.reported()), "CURRENCY": "INR",
		"PAYMENTMODE": "PPI", "TXNDATE": o.txnDate(), "STATUS": info.Status, "RESPCODE": info.Code, "RESPMSG": info.Msg,
		"GATEWAYNAME": "WALLET", "BANKTXNID": o.bankTxnID(), "BANKNAME": "WALLET",
	}
	if o.unique != "" {
		form["MERC_UNQ_REF"] = o.unique
	}
	form["CHECKSUMHASH"] = o.account.key.Checksum(FormText(form), s.salt())
	return form
}

func (s *Simulator) show(w http.ResponseWriter, status int, v view) {
	v.Style = template.CSS(desk.PageStyle) //nolint:gosec // a constant
	v.Script = template.JS(pageScript)     //nolint:gosec // a constant
	var out bytes.Buffer
	if err := pageTemplate.Execute(&out, v); err != nil {
		s.opts.Log.Error("paytm sandbox: write the page", "error", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	desk.WritePage(w, status, pagePolicy, out.Bytes())
}
