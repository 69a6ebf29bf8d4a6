// Package scenario drives the built binary from outside, as its users do: over
// HTTP, with faults at the sandbox's control door, and with `aorta verify` after
// every scenario.
package scenario

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"aorta/internal/sign"
	"aorta/test/demo"
)

// Demo is a running `aorta demo`.
type Demo struct {
	t        *testing.T
	Data     string
	Database string // PostgreSQL address; empty: SQLite in Data
	Args     []string

	Public, Ops, Sandbox string
	Secret               string // of the demo's project
	APIKey               string // of the same
	secret               sign.Secret
	process              *exec.Cmd
	log                  *bytes.Buffer
}

// Start runs the demo on free ports in a directory of its own.
func Start(t *testing.T, database string, args ...string) *Demo {
	t.Helper()
	d := &Demo{t: t, Data: t.TempDir(), Database: database, Args: args}
	d.Run(demo.FreeAddress(t), demo.FreeAddress(t), demo.FreeAddress(t))
	t.Cleanup(func() { d.Kill() })
	return d
}

// Run starts the process and waits until it is ready.
func (d *Demo) Run(public, ops, sandbox string) {
	d.t.Helper()
	args := append([]string{"demo", "--json", "--data", d.Data, "--listen", public, "--ops-listen", ops, "--sandbox-listen", sandbox}, d.Args...)
	if d.Database != "" {
		args = append(args, "--database", d.Database)
	}
	d.log = &bytes.Buffer{}
	d.process = exec.Command(demo.Binary(d.t), args...)
	d.process.Stderr = d.log
	out, err := d.process.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := d.process.Start(); err != nil {
		d.t.Fatalf("start demo: %v", err)
	}
	line := make(chan string, 1)
	go func() {
		s := bufio.NewScanner(out)
		if s.Scan() {
			line <- s.Text()
		}
		close(line)
		_, _ = io.Copy(io.Discard, out)
	}()
	select {
	case text, ok := <-line:
		if !ok {
			_ = d.process.Wait()
			d.t.Fatalf("demo ended before it was ready: %s", d.log)
		}
		d.read(text)
	case <-time.After(20 * time.Second):
		d.t.Fatalf("demo was not ready in 20 s: %s", d.log)
	}
}

func (d *Demo) read(text string) {
	d.t.Helper()
	var ready struct {
		Ready                bool
		Public, Ops, Sandbox string
		Project              struct {
			ID     int64
			Secret string
		}
		APIKey string `json:"api_key"`
	}
	if err := json.Unmarshal([]byte(text), &ready); err != nil || !ready.Ready || ready.Project.ID != 200 {
		d.t.Fatalf("demo said %q when it was ready: %v", text, err)
	}
	d.Public, d.Ops, d.Sandbox, d.secret = ready.Public, ready.Ops, ready.Sandbox, sign.NewSecret(ready.Project.Secret)
	d.Secret, d.APIKey = ready.Project.Secret, ready.APIKey
}

// Kill ends the process at once, as a power cut would.
func (d *Demo) Kill() {
	if d.process == nil {
		return
	}
	_ = d.process.Process.Kill()
	_ = d.process.Wait()
	d.process = nil
}

// Stop ends the process as an operator would.
func (d *Demo) Stop() {
	d.t.Helper()
	if err := d.process.Process.Signal(syscall.SIGTERM); err != nil {
		d.t.Fatal(err)
	}
	if err := d.process.Wait(); err != nil {
		d.t.Errorf("demo did not end well: %v: %s", err, d.log)
	}
	d.process = nil
}

// Verify stops the process and has every invariant checked.
func (d *Demo) Verify() {
	d.t.Helper()
	d.Stop()
	args := []string{"verify", "--json", "--data", d.Data}
	if d.Database != "" {
		args = append(args, "--database", d.Database)
	}
	out, err := exec.Command(demo.Binary(d.t), args...).CombinedOutput()
	var report struct{ OK bool }
	if err != nil || json.Unmarshal(lastLine(out), &report) != nil || !report.OK {
		d.t.Errorf("aorta verify: %v: %s", err, out)
	}
}

func lastLine(out []byte) []byte {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	return lines[len(lines)-1]
}

// Control tells the other side how to behave next.
func (d *Demo) Control(connector, next, operation string, count int) {
	d.t.Helper()
	body := map[string]any{"connector": connector, "next": next, "count": count}
	if operation != "" {
		body["operation"] = operation
	}
	status, answer, err := post(d.t.Context(), d.Sandbox+"/control", body)
	if err != nil || status/100 != 2 {
		d.t.Fatalf("control %s %s: %d %v %v", connector, next, status, answer, err)
	}
}

// Gate signs and posts a request.
func (d *Demo) Gate(path string, body map[string]any) (int, map[string]any) {
	d.t.Helper()
	status, answer, err := d.TryGate(d.t.Context(), path, body)
	if err != nil {
		d.t.Fatalf("gate %s: %v", path, err)
	}
	return status, answer
}

// TryGate is Gate for a platform that may be away.
func (d *Demo) TryGate(ctx context.Context, path string, body map[string]any) (int, map[string]any, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return 0, nil, err
	}
	doc, err := sign.ParseJSON(raw)
	if err != nil {
		return 0, nil, err
	}
	general, ok := body["general"].(map[string]any)
	if !ok {
		return 0, nil, errors.New("body without general")
	}
	signed := map[string]any{}
	for k, v := range general {
		signed[k] = v
	}
	signed["signature"] = sign.Sign(doc, d.secret)
	out := map[string]any{}
	for k, v := range body {
		out[k] = v
	}
	out["general"] = signed
	return post(ctx, d.Public+path, out)
}

// Link signs what a link to the payment page says, as the demo's merchant does,
// and gives the link's query.
func (d *Demo) Link(params url.Values) string {
	d.t.Helper()
	params = maps.Clone(params)
	params.Set("project_id", "200")
	doc, err := sign.ParseForm(params.Encode())
	if err != nil {
		d.t.Fatal(err)
	}
	params.Set("signature", sign.Sign(doc, d.secret))
	return params.Encode()
}

// Sale is a Gate sale of minor units of INR.
func Sale(paymentID string, minor int64) map[string]any {
	return map[string]any{
		"general":  map[string]any{"project_id": 200, "payment_id": paymentID},
		"customer": map[string]any{"id": "c1", "ip_address": "192.0.2.10"},
		"payment":  map[string]any{"amount": minor, "currency": "INR"},
	}
}

// Refund is a Gate refund; 0 minor units are all that remains.
func Refund(paymentID string, minor int64, name string) map[string]any {
	p := map[string]any{"description": "back"}
	if minor > 0 {
		p["amount"], p["currency"] = minor, "INR"
	}
	if name != "" {
		p["merchant_refund_id"] = name
	}
	return map[string]any{"general": map[string]any{"project_id": 200, "payment_id": paymentID}, "payment": p}
}

// Status is the payment's status as Gate tells it; empty while it is unknown.
func (d *Demo) Status(ctx context.Context, paymentID string) string {
	_, answer, err := d.TryGate(ctx, "/v2/payment/status", map[string]any{"general": map[string]any{"project_id": 200, "payment_id": paymentID}})
	if err != nil {
		return ""
	}
	p, _ := answer["payment"].(map[string]any)
	s, _ := p["status"].(string)
	return s
}

// Callbacks are those of a payment, as received.
func (d *Demo) Callbacks(paymentID string) []Callback {
	d.t.Helper()
	out, err := Callbacks(d.t.Context(), d.Sandbox, paymentID)
	if err != nil {
		d.t.Fatalf("callbacks: %v", err)
	}
	return out
}

// Await waits until the merchant was told want of a payment, in any number of
// callbacks, and gives all of them.
func (d *Demo) Await(paymentID, want string) []Callback {
	d.t.Helper()
	var got []Callback
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(25 * time.Millisecond) {
		got = d.Callbacks(paymentID)
		for _, c := range got {
			if c.Word() == want {
				return got
			}
		}
	}
	words := make([]string, len(got))
	for n, c := range got {
		words[n] = c.Word()
	}
	d.t.Fatalf("merchant was never told %q of %s, only %q; log: %s", want, paymentID, words, d.log)
	return nil
}

// Cases lists the kinds of open cases.
func (d *Demo) Cases() []string {
	d.t.Helper()
	var answer struct{ Cases []struct{ Kind string } }
	if err := Get(d.t.Context(), d.Ops+"/admin/cases", &answer); err != nil {
		d.t.Fatalf("cases: %v", err)
	}
	var kinds []string
	for _, c := range answer.Cases {
		kinds = append(kinds, c.Kind)
	}
	return kinds
}

var client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}

func post(ctx context.Context, url string, body any) (int, map[string]any, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return 0, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(raw))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil && !errors.Is(err, io.EOF) {
		return resp.StatusCode, nil, err
	}
	return resp.StatusCode, answer, nil
}

// Get reads JSON.
func Get(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %d", url, resp.StatusCode)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
