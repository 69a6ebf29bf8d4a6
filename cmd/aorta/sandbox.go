package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"aorta/internal/sandbox"
)

// sandboxCmd runs the other side alone: PSP simulators, a merchant, a shop.
type sandboxCmd struct {
	Listen    string        `help:"Listener; port 0 picks a free one." default:"127.0.0.1:8082" env:"AORTA_SANDBOX_LISTEN"`
	Data      string        `help:"Directory for what it remembers across restarts; empty: it forgets."`
	Public    string        `help:"The platform as PSPs and the shop reach it." default:"http://127.0.0.1:8080" env:"AORTA_PUBLIC_URL"`
	Account   string        `help:"The platform's name for its accounts at Paytm and at the generic provider." default:"demo"`
	Project   int64         `help:"The shop's project at the platform." default:"200"`
	Secret    string        `help:"That project's secret: signs the shop's requests, verifies callbacks." env:"AORTA_SANDBOX_SECRET" default:"sandbox-secret"`
	LimitTime time.Duration `help:"The platform's limit time." env:"AORTA_LIMIT_TIME" default:"30m"`
	LateAfter time.Duration `help:"When a payment told to be late succeeds. Default: 2s after the limit time."`
	JSON      bool          `help:"When ready, print one line of JSON instead of text." name:"json"`
}

// sandboxReady is the one line that --json prints: where the sandbox is, and
// what the platform's configuration must say of it.
type sandboxReady struct {
	Ready   bool         `json:"ready"`
	Sandbox string       `json:"sandbox"`
	Paytm   readyPaytm   `json:"paytm"`
	Generic readyGeneric `json:"generic"`
	Project readyProject `json:"project"`
}

type readyPaytm struct {
	BaseURL string `json:"base_url"`
	MID     string `json:"mid"`
	Key     string `json:"key"`
	Website string `json:"website"`
	Account string `json:"account"`
}

type readyGeneric struct {
	BaseURL string `json:"base_url"`
	MID     string `json:"mid"`
	Key     string `json:"key"`
	Account string `json:"account"`
}

// text is what a person gets: the same as a piece of aorta.toml.
func (r sandboxReady) text() string {
	return fmt.Sprintf(`The sandbox is ready: %[1]s/paytm  %[1]s/generic  %[1]s/merchant/callbacks  %[1]s/shop  %[1]s/control

# For the platform's aorta.toml:
callback_networks = ["127.0.0.0/8", "::1/128"]

[[connector]]
name = "paytm"
account = %[2]q
base_url = %[3]q
mid = %[4]q
key = %[5]q
website = %[6]q

[[connector]]
name = "generic"
account = %[2]q
base_url = %[9]q
mid = %[10]q
key = %[11]q

[[project]]
id = %[7]d
name = "Demo shop"
secret = %[8]q
callback_url = "%[1]s/merchant/callback"
origins = ["%[1]s"]
  [[project.method]]
  code = "paytm-wallet"
  account = %[2]q
  [[project.method]]
  code = "generic-card"
  account = %[2]q
  [[project.method]]
  code = "generic-bank"
  account = %[2]q
  [[project.method]]
  code = "generic-wallet"
  account = %[2]q
`, r.Sandbox, r.Paytm.Account, r.Paytm.BaseURL, r.Paytm.MID, r.Paytm.Key, r.Paytm.Website, r.Project.ID, r.Project.Secret,
		r.Generic.BaseURL, r.Generic.MID, r.Generic.Key)
}

// Run runs the sandbox until it is told to stop.
func (c sandboxCmd) Run(ctx context.Context, s streams, log *slog.Logger) error {
	state := ""
	if c.Data != "" {
		if err := os.MkdirAll(c.Data, 0o700); err != nil {
			return fmt.Errorf("data directory: %w", err)
		}
		state = filepath.Join(c.Data, "sandbox.journal")
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listener: %w", err)
	}
	own := "http://" + listener.Addr().String()
	account := sandbox.DemoAccount()
	account.NotifyURL = strings.TrimSuffix(c.Public, "/") + "/n/paytm/" + c.Account
	other := sandbox.GenericAccount{Name: sandbox.DemoAccountName, Secret: c.Secret, NotifyURL: strings.TrimSuffix(c.Public, "/") + "/n/generic/" + c.Account}
	box, err := sandbox.New(sandbox.Options{
		Clock: time.Now, ProjectID: c.Project, ProjectSecret: c.Secret, Paytm: []sandbox.PaytmAccount{account}, Generic: []sandbox.GenericAccount{other},
		PublicURL: c.Public, OwnURL: own, StatePath: state, LateAfter: c.lateAfter(), Log: log,
	})
	if err != nil {
		_ = listener.Close()
		return fmt.Errorf("sandbox: %w", err)
	}
	server := newServer(box.Handler())
	server.WriteTimeout = 2 * time.Minute // it is there to be slow when it is told to
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	ready := sandboxReady{
		Ready: true, Sandbox: own, Project: readyProject{ID: c.Project, Secret: c.Secret},
		Paytm:   readyPaytm{BaseURL: own + "/paytm", MID: account.MID, Key: account.Key, Website: account.Website, Account: c.Account},
		Generic: readyGeneric{BaseURL: own + "/generic", MID: other.Name, Key: other.Secret, Account: c.Account},
	}
	if c.JSON {
		err = json.NewEncoder(s.out).Encode(ready)
	} else {
		_, err = io.WriteString(s.out, ready.text())
	}
	if err == nil {
		select {
		case <-ctx.Done():
		case err = <-failed:
		}
	}
	return closeSandbox(box, server, err)
}

// lateAfter is past the platform's limit time: "late" is for success after that.
func (c sandboxCmd) lateAfter() time.Duration {
	if c.LateAfter > 0 {
		return c.LateAfter
	}
	return c.LimitTime + 2*time.Second
}

// closeSandbox ends the sandbox: first what it was told to hold, or the server
// would wait for those connections.
func closeSandbox(other *sandbox.Sandbox, server *http.Server, err error) error {
	ctx, cancel := context.WithTimeout(context.Background(), graceful)
	defer cancel()
	if closed := other.Close(ctx); err == nil {
		err = closed
	}
	if closed := server.Shutdown(ctx); err == nil {
		err = closed
	}
	return err
}
