package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aorta/internal/sign"
)

// TestDemoWithTLS: with a certificate that nobody knows, a sale still settles by
// the provider's notification. Look-ups are an hour away.
func TestDemoWithTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := selfSigned(t, dir)
	out := launch(t, "demo", "--json", "--data", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0",
		"--sandbox-listen", "127.0.0.1:0", "--lookup-schedule", "1h", "--tls-cert", cert, "--tls-key", key)
	var d ready
	if err := json.NewDecoder(out).Decode(&d); err != nil || !d.Ready || !strings.HasPrefix(d.Public, "https://") {
		t.Fatalf("ready line %+v: %v", d, err)
	}
	text, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}}}
	settles(t, client, d.Public, d.Sandbox, d.Project)
}

// TestCertificateThatIsNone: nothing is announced that will not answer.
func TestCertificateThatIsNone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := selfSigned(t, dir)
	broken := filepath.Join(dir, "broken.pem")
	if err := os.WriteFile(broken, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]knobs{"certificate": {TLSCert: broken, TLSKey: key}, "key": {TLSCert: cert, TLSKey: broken}} {
		k.BaseTime, k.LimitTime, k.CallbackUnit = time.Minute, time.Minute, time.Second
		h, err := open(t.Context(), settings{Data: filepath.Join(dir, name), Listen: "127.0.0.1:0", OpsListen: "127.0.0.1:0", knobs: k}, slog.New(slog.DiscardHandler))
		if err == nil {
			h.Close()
			t.Errorf("a broken %s was served", name)
		}
	}
}

// launch runs a verb until the test ends, and gives what it prints.
func launch(t *testing.T, args ...string) io.Reader {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	out, in := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := run(ctx, args, streams{in, io.Discard})
		if err != nil {
			t.Errorf("aorta %s: %v", args[0], err)
		}
		_ = in.CloseWithError(io.EOF)
	}()
	t.Cleanup(func() {
		stop()
		_ = out.Close()
		select {
		case <-ended:
		case <-time.After(2 * graceful):
			t.Errorf("aorta %s does not stop", args[0])
		}
	})
	return out
}

// settles makes one sale that the sandbox approves by itself, and waits for the
// merchant's callback.
func settles(t *testing.T, client *http.Client, public, sandbox string, p readyProject) {
	t.Helper()
	post := func(url, body string) {
		t.Helper()
		resp, err := client.Post(url, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
			t.Fatalf("POST %s = %d %s", url, resp.StatusCode, text)
		}
	}
	post(sandbox+"/control", `{"connector":"paytm","next":"approve"}`)
	sale := func(signature string) string {
		return fmt.Sprintf(`{"general":{"project_id":%d,"payment_id":"order-1"%s},"customer":{"id":"c1","ip_address":"192.0.2.10"},"payment":{"amount":2500,"currency":"INR"}}`, p.ID, signature)
	}
	doc, err := sign.ParseJSON([]byte(sale("")))
	if err != nil {
		t.Fatal(err)
	}
	post(public+"/v2/payment/wallet/paytm/sale", sale(`,"signature":"`+sign.Sign(doc, sign.NewSecret(p.Secret))+`"`))
	var said []byte
	for range 200 {
		resp, err := client.Get(sandbox + "/merchant/callbacks?payment_id=order-1")
		if err != nil {
			t.Fatal(err)
		}
		said, _ = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if bytes.Contains(said, []byte(`"status":"success"`)) && bytes.Contains(said, []byte(`"valid_signature":true`)) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("the sale did not settle; the merchant heard %s", said)
}

// selfSigned writes a certificate for 127.0.0.1 and its key.
func selfSigned(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "demo"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}
