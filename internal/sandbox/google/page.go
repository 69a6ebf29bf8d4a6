package google

import (
	"bytes"
	_ "embed" // pages and style
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"aorta/internal/sandbox/desk"
)

var (
	//go:embed page.html
	pages string
	//go:embed google.css
	style string
)

var templates = template.Must(template.New("google").Funcs(template.FuncMap{
	"clock": clockTime, "pretty": pretty, "rupees": rupees, "day": day, "plain": plainAmount,
}).Parse(pages))

// policy lets in nothing but the inlined style. A form may lead to the
// integrator's page.
func (p *Peer) policy() string {
	more := ""
	if u, err := url.Parse(p.opts.Integrator.Page); err == nil && u.Host != "" {
		more = " " + u.Scheme + "://" + u.Host
	}
	return "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'" + more + "; style-src '" + desk.Digest(style) + "'"
}

// frame is what each page shows around its own.
type frame struct {
	Title, Here string
	Says        string
	Style       template.CSS
	Own         any
}

func (p *Peer) show(w http.ResponseWriter, status int, name, title, says string, own any) {
	var out bytes.Buffer
	f := frame{Title: title, Here: name, Says: says, Style: template.CSS(style), Own: own} //nolint:gosec // a constant
	if err := templates.ExecuteTemplate(&out, name, f); err != nil {
		p.opts.Log.Error("google sandbox: write a page", "page", name, "error", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	desk.WritePage(w, status, p.policy(), out.Bytes())
}

// without is every page where there is no gpg.
func (p *Peer) without(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, "/google") {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	p.show(w, http.StatusServiceUnavailable, "without", "Google's sandbox needs GnuPG", "", nil)
}

// press is a form: what it did is said on the page that it leads back to.
func (p *Peer) press(do func(r *http.Request) (says, to string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxControl)
		if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
			http.Error(w, "this form belongs to Google's page", http.StatusForbidden)
			return
		}
		if err := r.ParseForm(); err != nil {
			http.Error(w, "the form could not be read", http.StatusBadRequest)
			return
		}
		says, to := do(r)
		p.lead(w, r, to, says)
	}
}

// maxSays bounds what an address carries of what was said.
const maxSays = 300

// lead leads to a page, which says how it went.
func (p *Peer) lead(w http.ResponseWriter, r *http.Request, to, says string) {
	if says != "" {
		if len(says) > maxSays {
			says = strings.ToValidUTF8(says[:maxSays], "") + "…"
		}
		path, fragment, _ := strings.Cut(to, "#")
		separator := "?"
		if strings.Contains(path, "?") {
			separator = "&"
		}
		to = path + separator + url.Values{"says": {says}}.Encode()
		if fragment != "" {
			to += "#" + fragment
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (p *Peer) pressEcho(r *http.Request) (says, to string) {
	to = "/google/wire"
	a, err := p.call(r.Context(), call{Method: "echo", ID: p.name("ech-"), Members: object{"clientMessage": "Google's sandbox tries the keys"}})
	if err != nil {
		return err.Error(), to
	}
	if a.ok() && a.Body.text("clientMessage") == "Google's sandbox tries the keys" {
		return "Aorta has answered the echo: the keys fit, both ways.", to
	}
	return "The echo has failed: " + a.says(), to
}

func (p *Peer) showWire(w http.ResponseWriter, r *http.Request) {
	p.show(w, http.StatusOK, "wire", "What went over the wire", r.URL.Query().Get("says"), struct {
		Exchanges []exchange
		Account   string
	}{p.log.newest(), p.opts.Integrator.Account})
}

// clockTime writes milliseconds as people read them.
func clockTime(ms int64) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format("15:04:05.000")
}

// plainAmount writes micros as a form takes them.
func plainAmount(micros int64) string {
	return strings.NewReplacer("₹", "", ",", "").Replace(rupees(micros))
}

// pretty indents JSON; other text stays.
func pretty(text string) string {
	var out bytes.Buffer
	if err := json.Indent(&out, []byte(text), "", "  "); err != nil {
		return text
	}
	return out.String()
}

// showing is what the pages have in common: whose page it is, and the books.
type showing struct {
	User   user
	Users  []user
	Ledger ledger
	People []Person
	Inbox  string
}

func (p *Peer) showing(r *http.Request) showing {
	who, known := userOf(r.URL.Query().Get("user"))
	if !known {
		who = users[0]
	}
	return showing{who, users, p.ledger(r.Context()), p.opts.Integrator.People, p.opts.Integrator.Inbox}
}

// stepView is a step as the page shows it.
type stepView struct {
	Text string
	step
}

// walletView is an instrument with its steps.
type walletView struct {
	instrument
	Steps []stepView
	Word  string
}

func viewWallet(i instrument) walletView {
	v := walletView{instrument: i}
	for n, s := range i.Steps {
		v.Steps = append(v.Steps, stepView{stepNames[i.Way][n], s})
	}
	switch i.State {
	case pending:
		v.Word = "being linked"
	case active:
		v.Word = "linked"
	case refreshNeeded:
		v.Word = "to be refreshed"
	case refused:
		v.Word = "not linked, " + i.Code
	case closed:
		v.Word = "closed, " + i.Code
	}
	return v
}

// home shows a user's wallets, and the eight steps of the newest.
func (p *Peer) home(w http.ResponseWriter, r *http.Request) {
	own := struct {
		showing
		Wallets []walletView
		Phone   string
	}{showing: p.showing(r)}
	for _, i := range p.linkedOf(own.User.ID) {
		own.Wallets = append(own.Wallets, viewWallet(i))
	}
	for _, person := range own.People {
		if own.Phone == "" {
			own.Phone = person.Phone
		}
	}
	p.show(w, http.StatusOK, "home", "Wallets of "+own.User.Email, r.URL.Query().Get("says"), own)
}

// purchaseView is a purchase with its refunds.
type purchaseView struct {
	purchase
	Word    string
	Left    int64
	Refunds []refundView
}

type refundView struct {
	refund
	Word string
}

func (p *Peer) showStore(w http.ResponseWriter, r *http.Request) {
	own := struct {
		showing
		Goods     []good
		Wallets   []walletView
		Purchases []purchaseView
	}{showing: p.showing(r), Goods: goods}
	mine := map[string]bool{}
	for _, i := range p.linkedOf(own.User.ID) {
		mine[i.AssociationID] = true
		if i.State == active || i.State == refreshNeeded {
			own.Wallets = append(own.Wallets, viewWallet(i))
		}
	}
	all, refunds := read(p, func(b *book) []purchase { return b.purchases.all() }), read(p, func(b *book) []refund { return b.refunds.all() })
	for _, b := range slices.Backward(all) {
		if !mine[b.AssociationID] {
			continue
		}
		v := purchaseView{purchase: b, Word: b.word()}
		if b.State == done {
			v.Left = b.Micros
		}
		for _, back := range refunds {
			if back.Purchase == b.ID {
				v.Refunds = append(v.Refunds, refundView{back, back.word()})
				if back.State == done {
					v.Left -= back.Micros
				}
			}
		}
		if own.Purchases = append(own.Purchases, v); len(own.Purchases) == shownRows {
			break
		}
	}
	p.show(w, http.StatusOK, "store", "Store", r.URL.Query().Get("says"), own)
}

// shownRows bounds a page's list.
const shownRows = 50

// statementView is a statement, with how it stands at the integrator.
type statementView struct {
	statement
	Word  string
	There remittance
}

func (p *Peer) showRemittance(w http.ResponseWriter, r *http.Request) {
	own := struct {
		showing
		Statements []statementView
		Wrongs     []struct{ ID, Text string }
		Can        bool
	}{showing: p.showing(r), Wrongs: wrongs, Can: p.opts.Integrator.Ops != "" && len(p.opts.Integrator.Finance) > 1}
	for _, s := range slices.Backward(read(p, func(b *book) []statement { return b.statements.all() })) {
		if own.Statements = append(own.Statements, statementView{s, s.word(), own.Ledger.Remittances[s.ID]}); len(own.Statements) == shownRows {
			break
		}
	}
	p.show(w, http.StatusOK, "remittance", "Remittance", r.URL.Query().Get("says"), own)
}

// callback is where the integrator's page leads the browser back to.
func (p *Peer) callback(w http.ResponseWriter, r *http.Request) {
	says, who := p.back(r.Context(), r.URL.Query())
	p.lead(w, r, "/google"+of(who), says)
}

// of names a user in an address.
func of(who string) string {
	if who == "" {
		return ""
	}
	return "?" + url.Values{"user": {who}}.Encode()
}

// askWho says that a form has named nobody.
const askWho = "Choose one of Google's users."

func (p *Peer) pressLink(r *http.Request) (says, to string) {
	who, known := userOf(r.PostForm.Get("user"))
	if !known {
		return askWho, "/google"
	}
	address, err := p.startLink(r.Context(), who)
	if err != nil {
		return err.Error(), "/google" + of(who.ID)
	}
	return "", address
}

func (p *Peer) pressOTP(r *http.Request) (says, to string) {
	who, known := userOf(r.PostForm.Get("user"))
	if !known {
		return askWho, "/google"
	}
	_, says, err := p.sendCode(r.Context(), who, strings.TrimSpace(r.PostForm.Get("phone")))
	if err != nil {
		says = err.Error()
	}
	return says, "/google" + of(who.ID)
}

// userIn gives whose wallet a form names.
func (p *Peer) userIn(r *http.Request) (association, who string) {
	association = r.PostForm.Get("wallet")
	i, err := find(p, &p.book.instruments, association)
	if err != nil {
		return association, ""
	}
	return association, i.User
}

func (p *Peer) pressCode(r *http.Request) (says, to string) {
	association, who := p.userIn(r)
	code := strings.TrimSpace(r.PostForm.Get("code"))
	if r.PostForm.Get("alone") != "" {
		return p.verifyCode(r.Context(), association, code), "/google" + of(who)
	}
	return p.enterCode(r.Context(), association, code), "/google" + of(who)
}

func (p *Peer) pressRefresh(r *http.Request) (says, to string) {
	association, who := p.userIn(r)
	address, err := p.startAgain(r.Context(), association, forRefresh, "")
	if err != nil {
		return err.Error(), "/google" + of(who)
	}
	return "", address
}

func (p *Peer) pressBuy(r *http.Request) (says, to string) {
	association, who := p.userIn(r)
	to = "/google/store" + of(who)
	product := r.PostForm.Get("good")
	switch r.PostForm.Get("how") {
	case "challenge":
		address, err := p.startAgain(r.Context(), association, forBuy, product)
		if err != nil {
			return err.Error(), to
		}
		return "", address
	case "confirm":
		return p.buy(r.Context(), association, product, true, nil), to
	}
	return p.buy(r.Context(), association, product, false, nil), to
}

func (p *Peer) pressRefund(r *http.Request) (says, to string) {
	id := r.PostForm.Get("purchase")
	b, err := find(p, &p.book.purchases, id)
	if err != nil {
		return err.Error(), "/google/store"
	}
	to = "/google/store"
	if i, err := find(p, &p.book.instruments, b.AssociationID); err == nil {
		to += of(i.User)
	}
	micros, err := microsOf(r.PostForm.Get("amount"))
	if err != nil {
		return err.Error(), to
	}
	return p.giveBack(r.Context(), id, micros), to
}

func (p *Peer) pressAgain(r *http.Request) (says, to string) {
	to = "/google/wire"
	if back := r.PostForm.Get("back"); back == "/google" || strings.HasPrefix(back, "/google/") || strings.HasPrefix(back, "/google?") {
		to = back
	}
	return p.again(r.Context(), r.PostForm.Get("id")), to
}

func (p *Peer) pressPeriod(r *http.Request) (says, to string) {
	_, says = p.endPeriod(r.Context(), r.PostForm.Get("wrong"))
	return says, "/google/remittance"
}

func (p *Peer) pressCorrect(r *http.Request) (says, to string) {
	return p.correct(r.Context(), r.PostForm.Get("statement")), "/google/remittance"
}

func (p *Peer) pressAgree(r *http.Request) (says, to string) {
	to = "/google/remittance"
	what := r.PostForm.Get("what")
	if !slices.Contains([]string{"accept", "dispute", "recheck", "pay", "paid"}, what) {
		return "There is no such button.", to
	}
	if err := p.agree(r.Context(), r.PostForm.Get("statement"), what); err != nil {
		return err.Error(), to
	}
	return "Done at Aorta, in place of its people: " + what + ".", to
}

func (p *Peer) pressFill(r *http.Request) (says, to string) {
	to = "/google" + of(r.PostForm.Get("user"))
	if err := p.fill(r.Context(), r.PostForm.Get("customer")); err != nil {
		return err.Error(), to
	}
	return "Aorta's merchant has given " + r.PostForm.Get("customer") + " ₹2,000.00.", to
}

// pressOwn leads to a customer's page at the integrator's, where purchases wait.
func (p *Peer) pressOwn(r *http.Request) (says, to string) {
	back := "/google/store" + of(r.PostForm.Get("user"))
	address, err := p.ownPage(r.Context(), r.PostForm.Get("customer"), p.opts.Own()+back)
	if err != nil {
		return err.Error(), back
	}
	return "", address
}
