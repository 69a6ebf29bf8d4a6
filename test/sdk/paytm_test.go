package sdk

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"aorta/internal/connector"
	"aorta/internal/connector/exchange"
	"aorta/internal/connector/paytm"
	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/payment"
)

const (
	paytmMID = "AORTATEST00000000001"
	paytmKey = "aB3$kLm9Qw2!xYz7"
)

// TestPaytmChecksum: the vendor's library verifies every call of our connector, and our connector believes what the
// vendor's library signs, and nothing that was changed after that.
func TestPaytmChecksum(t *testing.T) {
	base := startPaytmJudge(t)
	p, err := paytm.New(paytm.Config{
		BaseURL: base, MID: paytmMID, Key: exchange.NewSecret(paytmKey), Website: "WEBSTAGING", Now: time.Now, Random: rand.Reader,
	})
	if err != nil {
		t.Fatal(err)
	}
	mint := id.Minter{Bits: mathrand.Uint64}
	order := func(kind payment.OperationKind, minor int64) connector.Order {
		return connector.Order{
			Attempt: payment.Attempt{
				ID: id.Attempt(mint.Mint(time.Now(), 7)), Kind: kind, Amount: money.Amount{Minor: minor, Currency: "INR"},
			},
			CustomerID: "c-1", Description: "Tea & \"biscuits\" <भुगतान>", NotifyURL: "https://pay.example/n/paytm/demo?a=1&b=2",
			Customer: connector.Person{FirstName: "Zoë", Email: "zoe@shop.example", Phone: "919999999999"},
		}
	}

	// The salt is random, so one call proves little: a "+" or "/" in the checksum must survive the way.
	sale := order(payment.KindSale, 25_00)
	for range 20 {
		if got := p.Sale(t.Context(), sale); got.Kind != connector.Pending || got.Redirect == nil {
			t.Fatalf("Sale = %+v, want pending with a redirect", got)
		}
		sale = order(payment.KindSale, 25_00)
	}
	found := p.Lookup(t.Context(), sale)
	if found.Kind != connector.Approved || found.Amount != sale.Attempt.Amount {
		t.Errorf("Lookup = %+v, want approved over 25.00 INR", found)
	}
	refund := order(payment.KindRefund, 10_00)
	refund.Attempt.Of, refund.Attempt.OfProviderID = sale.Attempt.ID, found.ProviderID
	if got := p.Refund(t.Context(), refund); got.Kind != connector.Pending {
		t.Errorf("Refund = %+v, want pending", got)
	}
	if got := p.LookupRefund(t.Context(), refund); got.Kind != connector.Approved || got.Amount != refund.Attempt.Amount {
		t.Errorf("LookupRefund = %+v, want approved over 10.00 INR", got)
	}

	var verdicts []struct {
		Path              string
		Verified, Changed bool
	}
	_, text := get(t, base+"/verdicts")
	if err := json.Unmarshal(text, &verdicts); err != nil {
		t.Fatal(err)
	}
	if len(verdicts) != 23 {
		t.Errorf("the vendor's library judged %d calls, want 23", len(verdicts))
	}
	for _, v := range verdicts {
		if !v.Verified || v.Changed {
			t.Errorf("%s: the vendor's library verifies it: %v, want true; with another MID: %v, want false", v.Path, v.Verified, v.Changed)
		}
	}

	for _, kind := range []string{"form", "json"} {
		header, body := get(t, base+"/notification?kind="+kind+"&order="+sale.Reference())
		n := connector.Notification{Method: http.MethodPost, Header: http.Header{"Content-Type": {header.Get("Content-Type")}}, Body: body}
		news, err := p.ReadNotification(n)
		if err != nil || news.Reference != sale.Reference() || news.Kind != connector.Approved || news.Mismatch != "" {
			t.Errorf("%s signed by the vendor's library: %+v, %v", kind, news, err)
		}
		n.Body = []byte(strings.Replace(string(body), "25.00", "26.00", 1))
		if _, err := p.ReadNotification(n); err == nil {
			t.Errorf("%s with another amount was believed", kind)
		}
	}
}

// startPaytmJudge runs paytm-judge.cjs until the test ends and gives its address.
func startPaytmJudge(t *testing.T) string {
	t.Helper()
	settings, err := json.Marshal(map[string]string{"mid": paytmMID, "key": paytmKey})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), needsNode(t), "paytm-judge.cjs", string(settings))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait() // the context has ended it by now
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the judge gave no address: %v", err)
	}
	return strings.TrimSpace(line)
}

func get(t *testing.T, address string) (http.Header, []byte) {
	t.Helper()
	response, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v: %s", address, response.Status, err, body)
	}
	return response.Header, body
}
