package paytm_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/connector"
	"aorta/internal/connector/connectortest"
	"aorta/internal/connector/exchange"
	"aorta/internal/connector/paytm"
	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/sandbox/fault"
	simulator "aorta/internal/sandbox/paytm"
)

const (
	mid     = "AORTATEST00000000001"
	secret  = "aB3$kLm9Qw2!xYz7"
	website = "WEBSTAGING"
	back    = "https://pay.example/n/paytm/demo?a=1&b=2"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// config is a good one, for a provider at base.
func config(base string) paytm.Config {
	return paytm.Config{
		BaseURL: base, MID: mid, Key: exchange.NewSecret(secret), Website: website,
		Now: time.Now, Random: rand.Reader, CallTimeout: 300 * time.Millisecond,
	}
}

func connect(t testing.TB, c paytm.Config) *paytm.Paytm {
	t.Helper()
	p, err := paytm.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestConformance(t *testing.T) {
	t.Parallel()
	connectortest.Exercise(t, subject)
}

// decisions are the simulator's words for the suite's; leaving it alone is none.
var decisions = map[connectortest.Decision]fault.Behaviour{
	connectortest.Approve:     fault.Approve,
	connectortest.Decline:     fault.Decline,
	connectortest.WrongAmount: fault.WrongAmount,
	connectortest.Forge:       fault.WrongSignature,
}

// subject is a connector with a simulator of its own behind it.
func subject(t *testing.T) connectortest.Subject {
	var mu sync.Mutex
	var notices []connector.Notification
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		notices = append(notices, connector.Notification{Method: r.Method, Header: r.Header.Clone(), Body: body})
	}))
	t.Cleanup(receiver.Close)

	faults := &fault.Queue{}
	sim, err := simulator.New(
		[]simulator.Account{{MID: mid, Key: secret, Website: website, NotifyURL: receiver.URL}}, time.Now,
		simulator.Options{
			Prefix: "/paytm", Faults: faults, Rand: rand.Reader,
			DecideAfter: time.Millisecond, RefundAfter: time.Millisecond, NotifyUnit: time.Hour, Workers: 2,
		})
	if err != nil {
		t.Fatal(err)
	}
	sim.Start()
	t.Cleanup(func() {
		if err := sim.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	wire := connectortest.NewWire(t, sim)
	return connectortest.Subject{
		Connector:   connect(t, config(wire.URL+"/paytm/")),
		Unreachable: connect(t, config(connectortest.DeadURL(t))),
		Wire:        wire,
		NotifyURL:   back,
		Next: func(t *testing.T, kind payment.OperationKind, d connectortest.Decision) {
			behaviour, decided := decisions[d]
			if !decided {
				return
			}
			if err := faults.Add(fault.Rule{Next: behaviour, Operation: string(kind), Left: 1}); err != nil {
				t.Fatal(err)
			}
		},
		GivenBack: func(t *testing.T, sale connector.Order) int64 {
			entries, _, _ := sim.Journal(mid, 0, 10_000)
			for _, e := range entries {
				if e.Kind == "sale" && e.OrderID == sale.Reference() {
					return e.RefundedMinor
				}
			}
			t.Fatalf("the simulator knows no sale %s", sale.Reference())
			return 0
		},
		Notification: func(t *testing.T, reference string) connector.Notification {
			for range 5000 {
				mu.Lock()
				for _, n := range notices {
					if bytes.Contains(n.Body, []byte(reference)) {
						mu.Unlock()
						return n
					}
				}
				mu.Unlock()
				time.Sleep(2 * time.Millisecond)
			}
			t.Fatalf("no notification about %s", reference)
			return connector.Notification{}
		},
	}
}

func TestNewRefusesBadSettings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*paytm.Config)
		want   string
	}{
		{"no base URL", func(c *paytm.Config) { c.BaseURL = "" }, "base URL"},
		{"base URL without a host", func(c *paytm.Config) { c.BaseURL = "https:///x" }, "base URL"},
		{"base URL of another scheme", func(c *paytm.Config) { c.BaseURL = "ftp://host" }, "base URL"},
		{"base URL with a user", func(c *paytm.Config) { c.BaseURL = "https://u:" + secret + "@host" }, "base URL"},
		{"base URL with a query", func(c *paytm.Config) { c.BaseURL = "https://host?x=1" }, "base URL"},
		{"base URL unreadable", func(c *paytm.Config) { c.BaseURL = "https://u:" + secret + "@ho st" }, "base URL"},
		{"no MID", func(c *paytm.Config) { c.MID = "" }, "MID"},
		{"long MID", func(c *paytm.Config) { c.MID = strings.Repeat("M", 21) }, "MID"},
		{"MID that needs escaping", func(c *paytm.Config) { c.MID = `M"&` }, "MID"},
		{"no website", func(c *paytm.Config) { c.Website = "" }, "website"},
		{"odd client id", func(c *paytm.Config) { c.ClientID = `C"` }, "client id"},
		{"no key", func(c *paytm.Config) { c.Key = exchange.Secret{} }, "16 bytes"},
		{"long key", func(c *paytm.Config) { c.Key = exchange.NewSecret(secret + secret) }, "16 bytes"},
		{"no clock", func(c *paytm.Config) { c.Now = nil }, "clock"},
		{"no randomness", func(c *paytm.Config) { c.Random = nil }, "randomness"},
		{"negative timeout", func(c *paytm.Config) { c.CallTimeout = -1 }, "timeout"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := config("https://host")
			test.change(&c)
			p, err := paytm.New(c)
			if p != nil || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("New = %v, %v, want an error about the %s", p, err, test.want)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

func TestSecretsAreHidden(t *testing.T) {
	t.Parallel()
	c := config("https://host")
	p := connect(t, c)
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	text := slog.New(slog.NewTextHandler(&out, nil))
	within := struct{ hidden paytm.Config }{c}
	for _, v := range []any{c, &c, c.Key, &c.Key, within, p, *p} {
		fmt.Fprintf(&out, "%v %+v %#v %s %x %q\n", v, v, v, v, v, v)
		log.Info("settings", "of", v)
		text.Info("settings", "of", v)
	}
	encoded, err := json.Marshal(struct{ Key exchange.Secret }{c.Key})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	for _, shown := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%d", []byte(secret))} {
		if strings.Contains(out.String(), shown) {
			t.Errorf("the key is shown as %s", shown)
		}
	}
}

// Ids of the golden files: fixed, so that the bytes are.
const (
	saleID   = "att_01k4zfn0g0e00000000000s1e0"
	refundID = "att_01k4zfn0g0e00000000000rfd0"
)

func attemptID(t testing.TB, text string) id.Attempt {
	t.Helper()
	attempt, err := id.ParseAttempt(text)
	if err != nil {
		t.Fatal(err)
	}
	return attempt
}

func saleOrder(t testing.TB) connector.Order {
	t.Helper()
	return connector.Order{
		Attempt: payment.Attempt{
			ID: attemptID(t, saleID), Kind: payment.KindSale, Status: payment.AttemptAsking,
			Amount: money.Amount{Minor: 2500, Currency: "INR"},
		},
		CustomerID: "player-1", Description: "top up <&>", NotifyURL: back,
	}
}

func refundOrder(t testing.TB) connector.Order {
	t.Helper()
	return connector.Order{Attempt: payment.Attempt{
		ID: attemptID(t, refundID), Kind: payment.KindRefund, Status: payment.AttemptAsking,
		Amount: money.Amount{Minor: 1005, Currency: "INR"},
		Of:     attemptID(t, saleID), OfProviderID: "20260901111212800110168000000000001",
	}}
}

// fixedSalt is a source of the salt "AQID" for ever.
type fixedSalt struct{}

func (fixedSalt) Read(p []byte) (int, error) { return copy(p, []byte{1, 2, 3}[:min(3, len(p))]), nil }

// TestRequests holds the exact bytes that leave. The checksums in them were made
// by the algorithm that checksum_test.go proves with the vendor's vectors.
func TestRequests(t *testing.T) {
	t.Parallel()
	person := saleOrder(t)
	person.CustomerID = "Spieler;7|ü"
	person.Customer = connector.Person{FirstName: "Zoë", LastName: "O'Neil & Söhne", Email: "zoe@example.com", Phone: "7777777777", IP: "192.0.2.1"}
	odd := saleOrder(t)
	odd.CustomerID, odd.NotifyURL = "", ""
	odd.Customer = connector.Person{FirstName: "a|b", LastName: "a\x00b", Email: strings.Repeat("e", 65), Phone: "\xff"}
	tests := []struct {
		name     string
		clientID string
		call     func(*paytm.Paytm) connector.Outcome
	}{
		{"initiate", "", func(p *paytm.Paytm) connector.Outcome { return p.Sale(t.Context(), saleOrder(t)) }},
		{"initiate_person", "C11", func(p *paytm.Paytm) connector.Outcome { return p.Sale(t.Context(), person) }},
		{"initiate_odd", "", func(p *paytm.Paytm) connector.Outcome { return p.Sale(t.Context(), odd) }},
		{"status", "C11", func(p *paytm.Paytm) connector.Outcome { return p.Lookup(t.Context(), saleOrder(t)) }},
		{"refund", "", func(p *paytm.Paytm) connector.Outcome { return p.Refund(t.Context(), refundOrder(t)) }},
		{"refund_client", "C11", func(p *paytm.Paytm) connector.Outcome { return p.Refund(t.Context(), refundOrder(t)) }},
		{"refund_status", "C11", func(p *paytm.Paytm) connector.Outcome { return p.LookupRefund(t.Context(), refundOrder(t)) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var sent bytes.Buffer
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				fmt.Fprintf(&sent, "%s %s\n", r.Method, r.RequestURI)
				for _, name := range []string{"Content-Type", "Accept", "Accept-Encoding", "User-Agent"} {
					fmt.Fprintf(&sent, "%s: %s\n", name, r.Header.Get(name))
				}
				fmt.Fprintf(&sent, "\n%s\n", body)
			}))
			defer server.Close()
			c := config(server.URL)
			c.ClientID, c.Random = test.clientID, fixedSalt{}
			c.Now = func() time.Time { return time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC) }
			if out := test.call(connect(t, c)); out.Kind != connector.Unknown {
				t.Errorf("an empty answer = %+v, want Unknown", out)
			}
			golden(t, test.name, sent.Bytes())
			verifyRequest(t, sent.Bytes())
		})
	}
}

// verifyRequest reads the request as Paytm would: signature over the raw body.
func verifyRequest(t *testing.T, sent []byte) {
	t.Helper()
	_, body, _ := bytes.Cut(sent, []byte("\n\n"))
	var envelope struct {
		Head struct{ Signature string }
		Body json.RawMessage
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		t.Fatal(err)
	}
	if !checksummer(t, secret).Verify(envelope.Body, envelope.Head.Signature) {
		t.Errorf("the signature does not fit the body: %s", body)
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}

func TestOnlyOurOwnRefusalsAreNotSent(t *testing.T) {
	t.Parallel()
	var calls int
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls++ }))
	defer server.Close()
	p := connect(t, config(server.URL))
	refund := refundOrder(t)
	refund.Attempt.OfProviderID = ""
	dollars := refundOrder(t)
	dollars.Attempt.Amount.Currency = "USD"
	outs := []connector.Outcome{
		p.Sale(t.Context(), connector.Order{}), p.Refund(t.Context(), refund), p.Refund(t.Context(), dollars),
		p.Refund(t.Context(), connector.Order{}),
	}
	for _, out := range outs {
		if out.Kind != connector.NotSent || out.Code != payment.CodeProviderUnavailable || out.Alarm == "" {
			t.Errorf("an order that makes no sense = %+v, want NotSent with an alarm", out)
		}
	}
	for _, out := range []connector.Outcome{p.Lookup(t.Context(), connector.Order{}), p.LookupRefund(t.Context(), connector.Order{})} {
		if out.Kind != connector.Unknown || out.Alarm == "" {
			t.Errorf("a look-up of nothing = %+v, want Unknown with an alarm", out)
		}
	}
	if calls != 0 {
		t.Errorf("%d calls were made, want none", calls)
	}
}

// TestNoSalt: without randomness nothing can be signed, so nothing is sent.
func TestNoSalt(t *testing.T) {
	t.Parallel()
	c := config("https://host.invalid")
	c.Random = bytes.NewReader(nil)
	p := connect(t, c)
	if out := p.Sale(t.Context(), saleOrder(t)); out.Kind != connector.NotSent || out.Alarm == "" {
		t.Errorf("Sale = %+v, want NotSent with an alarm", out)
	}
	if out := p.Lookup(t.Context(), saleOrder(t)); out.Kind != connector.Unknown || out.Alarm == "" {
		t.Errorf("Lookup = %+v, want Unknown with an alarm", out)
	}
}

func TestNoProxyFromTheEnvironment(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	defer server.Close()
	dead := connectortest.DeadURL(t)
	t.Setenv("HTTP_PROXY", dead)
	t.Setenv("http_proxy", dead)
	if out := connect(t, config(server.URL)).Sale(t.Context(), saleOrder(t)); out.ProviderMessage != "HTTP status 500" {
		t.Errorf("Sale = %+v, want the server's own 500", out)
	}
}

func BenchmarkSaleAndLookup(b *testing.B) {
	sim, err := simulator.New([]simulator.Account{{MID: mid, Key: secret, Website: website}}, time.Now, simulator.Options{Rand: rand.Reader})
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(sim)
	defer server.Close()
	p := connect(b, config(server.URL))
	minter := id.Minter{Bits: func() uint64 {
		var bits [8]byte
		_, _ = rand.Read(bits[:])
		return uint64(bits[0]) | uint64(bits[1])<<8 | uint64(bits[2])<<16 | uint64(bits[3])<<24 | uint64(bits[4])<<32
	}}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		o := saleOrder(b)
		for pb.Next() {
			o.Attempt.ID = id.Attempt(minter.Mint(time.Now(), 1))
			if out := p.Sale(context.Background(), o); out.Redirect == nil {
				b.Errorf("Sale = %+v", out)
			}
			if out := p.Lookup(context.Background(), o); !out.NoRecord {
				b.Errorf("Lookup = %+v", out)
			}
		}
	})
}
