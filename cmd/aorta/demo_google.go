package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"aorta/internal/google"
	"aorta/internal/google/keyring"
	"aorta/internal/operator"
	"aorta/internal/pgp"
	"aorta/internal/recon"
	peer "aorta/internal/sandbox/google"
)

// The demo's contract with the sandbox's Google.
const (
	demoGoogle        = "demo"
	demoGoogleAccount = "AORTA_DEMO_INR"
)

// demoIntegration is the demo's [[google]]: as a configuration would say it. A purchase
// waits for its customer as long as a payment does.
func demoIntegration(data, sandboxURL string, limit time.Duration) hostedGoogle {
	hosts := google.DefaultCallbackHosts()
	if u, err := url.Parse(sandboxURL); err == nil {
		hosts = []string{u.Hostname()}
	}
	return hostedGoogle{Keys: demoKeyring(data), Integration: google.Integration{
		Name: demoGoogle, ProjectID: demoProject, Layout: google.LayoutV1, BasePath: google.PathUnder + "/" + demoGoogle, Accounts: []string{demoGoogleAccount},
		Sandbox: true, GoogleURL: sandboxURL, CallbackHosts: hosts,
		Limits: []google.Limit{{Currency: peer.Currency, Transaction: 5_000_00, Day: 20_000_00, Month: 100_000_00}},
		// The sandbox's Google has the same, and one clock with us.
		Terms:       google.Terms{Terms: recon.Terms{Checked: true, Fee: 25_000, Tax: 180_000, SlackUS: time.Second.Microseconds()}},
		CallTimeout: google.DefaultCallTimeout, AsyncTime: limit, ProofTime: google.DefaultProofTime, CodeTime: google.DefaultCodeTime,
		TokenTime: google.DefaultTokenTime,
	}}
}

func demoKeyring(data string) string { return filepath.Join(data, "google", demoGoogle) }

// demoIntegrator is the demo as the sandbox's Google knows it. Its page shows the
// demo's books, says who can sign in, and can decide in place of two of finance.
func demoIntegrator(h *house, people []demoPerson) peer.Integrator {
	base := h.url() + google.PathUnder + "/" + demoGoogle + "/v1"
	i := peer.Integrator{
		Account: demoGoogleAccount, Methods: base, Page: base + "/authenticate", Inbox: "/sms/", API: h.url(), APIKey: h.demoKeys[demoProject], Ops: h.opsURL,
	}
	for _, p := range people {
		i.People = append(i.People, peer.Person{Name: p.Name, Password: p.Password, CustomerID: p.CustomerID})
	}
	for _, o := range h.operators {
		if slices.Contains(o.Roles, operator.Finance) {
			i.Finance = append(i.Finance, peer.Operator{Name: o.Name, Token: o.Token})
		}
	}
	return i
}

// demoGoogleKeys is the ceremony of keys (docs/google.md) as two people would
// hold it: each side makes a key, once, and has the other's. nil if there is no
// gpg on this machine: then the demo has no integration.
func demoGoogleKeys(ctx context.Context, data string) (*peer.Keys, error) {
	theirs, err := peer.OpenKeys(ctx, filepath.Join(data, "google", "peer"))
	if errors.Is(err, peer.ErrNoGPG) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("demo keys: %w", err)
	}
	if err := exchangeDemoKeys(ctx, data, theirs); err != nil {
		return nil, errors.Join(fmt.Errorf("demo keys: %w", err), theirs.Close())
	}
	return theirs, nil
}

func exchangeDemoKeys(ctx context.Context, data string, theirs *peer.Keys) error {
	master, err := masterKey(data)
	if err != nil {
		return err
	}
	ring := keyring.New(demoKeyring(data), master, rand.Reader)
	list, err := ring.List()
	if err != nil {
		return err
	}
	now := time.Now()
	var ours string
	known := false
	for _, e := range list {
		if e.State != keyring.Active || e.Expired(now) {
			continue
		}
		if e.Side == keyring.Ours {
			ours = e.Fingerprint
		} else if e.Fingerprint == theirs.Fingerprint() {
			known = true
		}
	}
	if !known {
		public, err := theirs.Public(ctx)
		if err != nil {
			return err
		}
		e, err := ring.Import(public, now)
		if err != nil {
			return err
		}
		if _, err := ring.Activate(e.Fingerprint, now, callbackRoom); err != nil {
			return err
		}
	}
	if ours == "" {
		e, err := ring.Create("aorta demo", now, pgp.KeyOptions{})
		if err != nil {
			return err
		}
		if _, err := ring.Activate(e.Fingerprint, now, callbackRoom); err != nil {
			return err
		}
		ours = e.Fingerprint
	}
	if theirs.Knows(ours) {
		return nil
	}
	public, err := ring.Export(ours)
	if err != nil {
		return err
	}
	return theirs.Take(ctx, public, ours)
}
