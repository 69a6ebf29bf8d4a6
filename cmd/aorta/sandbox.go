package main

import (
	"context"
	"encoding/json"
	"fmt"
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
	Listen  string `help:"Listener; port 0 picks a free one." default:"127.0.0.1:8082" env:"AORTA_SANDBOX_LISTEN"`
	Data    string `help:"Directory for what it remembers across restarts; empty: it forgets."`
	Public  string `help:"The platform as PSPs and the shop reach it." default:"http://127.0.0.1:8080" env:"AORTA_PUBLIC_URL"`
	Account string `help:"The platform's name for its Paytm account." default:"demo"`
	Project int64  `help:"The shop's project at the platform." default:"200"`
	Secret  string `help:"That project's secret: signs the shop's requests, verifies callbacks." env:"AORTA_SANDBOX_SECRET" default:"sandbox-secret"`
	JSON    bool   `help:"When ready, print one line of JSON instead of text." name:"json"`
}

// sandboxReady is the one line that --json prints.
type sandboxReady struct {
	Ready   bool   `json:"ready"`
	Sandbox string `json:"sandbox"`
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
	other, err := sandbox.New(sandbox.Options{
		Clock: time.Now, ProjectID: c.Project, ProjectSecret: c.Secret, Paytm: []sandbox.PaytmAccount{account},
		PublicURL: c.Public, OwnURL: own, StatePath: state, Log: log,
	})
	if err != nil {
		_ = listener.Close()
		return fmt.Errorf("sandbox: %w", err)
	}
	server := newServer(other.Handler())
	server.WriteTimeout = 2 * time.Minute // it is there to be slow when it is told to
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	if c.JSON {
		err = json.NewEncoder(s.out).Encode(sandboxReady{true, own})
	} else {
		fmt.Fprintf(s.out, "The sandbox is ready: %s/paytm  %[1]s/merchant/callbacks  %[1]s/shop  %[1]s/control\n", own)
	}
	if err == nil {
		select {
		case <-ctx.Done():
		case err = <-failed:
		}
	}
	return closeSandbox(other, server, err)
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
