// Package shop is a small demo shop: two goods, a Pay button that opens the
// platform's widget, a plain link for browsers without JavaScript, and a page
// per order that shows the callbacks the merchant has verified.
//
// It signs its payment parameters on the server, as ecommpay.md sections 1 and
// 2.4 ask of every merchant. It delivers nothing and believes only callbacks:
// what the browser says on the landing pages is a hint.
package shop

import (
	"bytes"
	_ "embed" // pages, style and script
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"aorta/internal/sandbox/ecommpay"
	"aorta/internal/sandbox/merchant"
)

// maxOrders bounds the orders remembered for the list; older ones are forgotten.
const maxOrders = 1_000

var (
	//go:embed shop.html
	pages string
	//go:embed shop.css
	style []byte
	//go:embed shop.js
	script []byte
)

var templates = template.Must(template.New("shop").Parse(pages))

// Good is something on sale.
type Good struct {
	ID, Name, About string
	Paise           int64
}

// Price is the text of the price: "₹250.00".
func (g Good) Price() string { return rupees(g.Paise) }

var goods = []Good{
	{ID: "tea", Name: "Darjeeling first flush", About: "Loose leaf tea, 100 g tin", Paise: 250_00},
	{ID: "lamp", Name: "Brass table lamp", About: "Hand-made in Moradabad, 32 cm", Paise: 1_499_00},
}

// mode is a way to open the payment page and what it adds to the parameters
// (ecommpay.md section 2.4). frame_mode takes no part in the signature.
type mode struct {
	ID, Text string
	extra    map[string]string
}

var modes = []mode{
	{ID: "modal", Text: "Window over this page", extra: map[string]string{"frame_mode": "popup"}},
	{ID: "iframe", Text: "Inside this page", extra: map[string]string{"frame_mode": "iframe", "target_element": "widget"}},
	{ID: "redirect", Text: "Page of its own", extra: map[string]string{"redirect": "1"}},
}

// numeric are the parameters that the widget's documentation writes as numbers.
var numeric = []string{"project_id", "payment_amount", "redirect"}

// Receipts are the callbacks received for a payment; the sandbox merchant has them.
type Receipts interface {
	Callbacks(paymentID string) []merchant.Callback
}

// Options are the parts of a Shop.
type Options struct {
	ProjectID int64
	Secret    string
	Public    func() string // base URL of the platform; asked each time, ports may be known late
	Own       func() string // base URL of this shop's listener
	Receipts  Receipts
	Clock     func() time.Time
	Rand      io.Reader    // payment ids; must bear concurrent use
	Log       *slog.Logger // nil discards
}

// Shop is an http.Handler for /shop and below. Make it with New.
type Shop struct {
	opts Options
	mux  *http.ServeMux

	mu     sync.Mutex
	orders []order // newest last
}

// order is one payment the shop has signed for. A link in a page is an order
// only when somebody follows it, which the shop learns from the callbacks.
type order struct {
	id     string
	good   Good
	at     time.Time
	opened bool
}

// New makes the shop. Everything in opts but Log is needed.
func New(opts Options) (*Shop, error) {
	if opts.Public == nil || opts.Own == nil || opts.Receipts == nil || opts.Clock == nil || opts.Rand == nil {
		return nil, errors.New("sandbox shop: addresses, receipts, clock and randomness are needed")
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	s := &Shop{opts: opts, mux: http.NewServeMux()}
	s.mux.HandleFunc("GET /shop", s.front)
	s.mux.HandleFunc("GET /shop/{$}", s.front)
	s.mux.HandleFunc("POST /shop/orders", s.begin)
	s.mux.HandleFunc("GET /shop/orders", s.list)
	s.mux.HandleFunc("GET /shop/orders/{id}", s.show)
	s.mux.HandleFunc("GET /shop/ok", s.landing("Thank you", "The payment page says that you have paid."))
	s.mux.HandleFunc("GET /shop/no", s.landing("Not paid", "The payment page says that the payment was declined."))
	s.mux.HandleFunc("GET /shop/back", s.landing("Welcome back", "You left the payment page."))
	s.mux.HandleFunc("GET /shop/shop.css", asset("text/css; charset=utf-8", style))
	s.mux.HandleFunc("GET /shop/shop.js", asset("text/javascript; charset=utf-8", script))
	return s, nil
}

// ServeHTTP answers under /shop.
func (s *Shop) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func asset(kind string, text []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(text) // the client going away is its own affair
	}
}

// sign makes a new order and the signed parameters for it.
func (s *Shop) sign(g Good, extra map[string]string, opened bool) (string, map[string]string) {
	id := s.remember(g, opened)
	own := s.opts.Own()
	back := "?" + url.Values{"payment_id": {id}}.Encode()
	fields := map[string]string{
		"project_id":                     strconv.FormatInt(s.opts.ProjectID, 10),
		"payment_id":                     id,
		"payment_amount":                 strconv.FormatInt(g.Paise, 10),
		"payment_currency":               "INR",
		"payment_description":            g.Name,
		"customer_id":                    "demo-customer",
		"force_payment_method":           "paytm-wallet",
		"merchant_success_url":           own + "/shop/ok" + back,
		"merchant_success_enabled":       "2",
		"merchant_success_redirect_mode": "parent_page",
		"merchant_fail_url":              own + "/shop/no" + back,
		"merchant_fail_enabled":          "2",
		"merchant_fail_redirect_mode":    "parent_page",
		"merchant_return_url":            own + "/shop/back" + back,
		"merchant_return_enabled":        "2",
		"merchant_return_redirect_mode":  "parent_page",
	}
	for name, value := range extra {
		fields[name] = value
	}
	fields["signature"] = ecommpay.SignFields(fields, s.opts.Secret)
	return id, fields
}

func (s *Shop) remember(g Good, opened bool) string {
	var raw [10]byte
	if _, err := io.ReadFull(s.opts.Rand, raw[:]); err != nil {
		panic("sandbox shop: no randomness: " + err.Error())
	}
	id := "shop-" + strings.ToLower(base32.StdEncoding.EncodeToString(raw[:]))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orders = append(s.orders, order{id: id, good: g, at: s.opts.Clock(), opened: opened})
	if len(s.orders) > maxOrders {
		s.orders = slices.Clone(s.orders[1:])
	}
	return id
}

// front is GET /shop.
func (s *Shop) front(w http.ResponseWriter, _ *http.Request) {
	type offer struct {
		Good
		PlainLink string
	}
	view := struct {
		Public string
		Offers []offer
		Modes  []mode
	}{Public: s.opts.Public(), Modes: modes}
	for _, g := range goods {
		_, fields := s.sign(g, nil, false)
		query := url.Values{}
		for name, value := range fields {
			query.Set(name, value)
		}
		view.Offers = append(view.Offers, offer{Good: g, PlainLink: view.Public + "/payment?" + query.Encode()})
	}
	s.page(w, "front", view)
}

// begin is POST /shop/orders?good=…&mode=…: it answers what EPayWidget.run takes.
func (s *Shop) begin(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	g := slices.IndexFunc(goods, func(g Good) bool { return g.ID == query.Get("good") })
	m := slices.IndexFunc(modes, func(m mode) bool { return m.ID == query.Get("mode") })
	if g < 0 || m < 0 {
		http.Error(w, "good must be tea or lamp, mode must be modal, iframe or redirect", http.StatusBadRequest)
		return
	}
	id, fields := s.sign(goods[g], modes[m].extra, true)
	config := make(map[string]any, len(fields))
	for name, value := range fields {
		config[name] = value
		if slices.Contains(numeric, name) {
			config[name] = json.Number(value)
		}
	}
	text, err := json.Marshal(map[string]any{"payment_id": id, "order_url": "/shop/orders/" + id, "config": config})
	if err != nil {
		s.opts.Log.Error("sandbox shop: write an order", "error", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(text) // the client going away is its own affair
}

// receipt is one callback as the order's page shows it.
type receipt struct {
	At, Payment, Operation, Sum, Code string
	Valid                             bool
	JSON                              string
}

func (s *Shop) receipts(id string) []receipt {
	var out []receipt
	for _, c := range s.opts.Receipts.Callbacks(id) {
		var body struct {
			Payment   struct{ Status string }
			Operation struct {
				Type, Status, Code, Message string
				Sum                         struct {
					Amount   int64
					Currency string
				} `json:"sum_initial"`
			}
		}
		r := receipt{At: c.ReceivedAt, Valid: c.ValidSignature, JSON: c.Raw}
		// A body of another shape is still shown, as text.
		if err := json.Unmarshal(c.Body, &body); err == nil {
			op := body.Operation
			r.Payment, r.Operation = body.Payment.Status, strings.TrimSpace(op.Type+" "+op.Status)
			r.Code = strings.TrimSpace(op.Code + " " + op.Message)
			if op.Sum.Currency == "INR" {
				r.Sum = rupees(op.Sum.Amount)
			}
		}
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, []byte(c.Raw), "", "  "); err == nil {
			r.JSON = pretty.String()
		}
		out = append(out, r)
	}
	return out
}

// show is GET /shop/orders/{id}; with part=callbacks only the list, which the
// page fetches again and again.
func (s *Shop) show(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	view := struct {
		ID       string
		Receipts []receipt
	}{id, s.receipts(id)}
	if r.URL.Query().Get("part") == "callbacks" {
		s.page(w, "callbacks", view)
		return
	}
	s.page(w, "order", view)
}

// list is GET /shop/orders.
func (s *Shop) list(w http.ResponseWriter, _ *http.Request) {
	type row struct{ ID, Good, Price, At, Status string }
	s.mu.Lock()
	known := slices.Clone(s.orders)
	s.mu.Unlock()
	var rows []row
	for _, o := range slices.Backward(known) {
		status := "not paid yet"
		got := s.receipts(o.id)
		for _, r := range got {
			if r.Valid {
				status = r.Payment
			}
		}
		if o.opened || len(got) > 0 {
			rows = append(rows, row{o.id, o.good.Name, o.good.Price(), o.at.UTC().Format("15:04:05"), status})
		}
	}
	s.page(w, "orders", rows)
}

func (s *Shop) landing(title, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.page(w, "landing", struct{ Title, Text, ID string }{title, text, r.URL.Query().Get("payment_id")})
	}
}

// page writes a template. The policy lets in the platform's widget and nothing
// else; frames are open, because the platform's page leads to the provider's.
func (s *Shop) page(w http.ResponseWriter, name string, view any) {
	var out bytes.Buffer
	if err := templates.ExecuteTemplate(&out, name, view); err != nil {
		s.opts.Log.Error("sandbox shop: write a page", "page", name, "error", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", fmt.Sprintf("default-src 'self'; script-src 'self' %[1]s; style-src 'self' %[1]s 'unsafe-inline'; "+
		"img-src 'self' data: %[1]s; frame-src *; object-src 'none'; base-uri 'none'; frame-ancestors 'none'", s.opts.Public()))
	_, _ = out.WriteTo(w) // the client going away is its own affair
}

// rupees is the text of an amount for people: "₹1,499.00".
func rupees(paise int64) string {
	whole := strconv.FormatInt(paise/100, 10)
	for i := len(whole) - 3; i > 0; i -= 2 { // lakhs: the last three digits, then twos
		whole = whole[:i] + "," + whole[i:]
	}
	return fmt.Sprintf("₹%s.%02d", whole, paise%100)
}
