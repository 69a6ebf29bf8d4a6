package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"aorta/internal/project"
	"aorta/internal/risk"
	"aorta/internal/sandbox"
	"aorta/internal/sign"
)

// demoCmd runs the platform and the other side on one machine.
type demoCmd struct {
	Data          string `help:"Directory for everything the demo keeps." default:"./aorta-data" env:"AORTA_DATA"`
	Database      string `help:"PostgreSQL address, postgres://…; instead of SQLite in --data." env:"AORTA_DATABASE"`
	Listen        string `help:"Public listener; port 0 picks a free one." default:"127.0.0.1:8080" env:"AORTA_LISTEN"`
	OpsListen     string `help:"Listener for metrics, health and administration." default:"127.0.0.1:8081" env:"AORTA_OPS_LISTEN"`
	SandboxListen string `help:"Listener of the sandbox: PSPs, merchant, shop." default:"127.0.0.1:8082" env:"AORTA_SANDBOX_LISTEN"`
	PageAttempts  int    `help:"How often a customer may try to pay in one session of the payment page, from 1 to 100." default:"1" env:"AORTA_PAGE_ATTEMPTS"`
	JSON          bool   `help:"When ready, print one line of JSON instead of text." name:"json"`
	knobs
}

// demoProject is the project that the demo merchant has.
const demoProject = 200

// The licensed house of the demo: a merchant of its own, whose customers have
// limits, levels and payouts that are checked.
const (
	licensedProject  = 300
	licensedMerchant = 2
	licensedAccount  = "house" // its account at the generic provider
)

// demoRules are the licensed house's, unless the data directory has others.
//
//go:embed demo_rules.toml
var demoRules []byte

// ready is the one line that --json prints; scripts read it.
type ready struct {
	Ready   bool   `json:"ready"`
	Public  string `json:"public"`
	Ops     string `json:"ops"`
	Sandbox string `json:"sandbox"`

	// A second project, which has rules. It stands before the first: scripts that
	// take the line's last "api_key" mean that one's.
	Licensed readyLicensed `json:"licensed"`

	Project readyProject `json:"project"`
	APIKey  string       `json:"api_key"`

	Operators []readyOperator `json:"operators"`
	Customers []demoPerson    `json:"customers"` // who can sign in to link a wallet with Google
}

type readyLicensed struct {
	Project readyProject `json:"project"`
	APIKey  string       `json:"api_key"`
	PSPKey  string       `json:"psp_key"` // signs its provider's webhooks
	KYCKey  string       `json:"kyc_key"` // and those of who checks its customers
}

type readyProject struct {
	ID     int64  `json:"id"`
	Secret string `json:"secret"`
}

// Run runs the demo until it is told to stop.
func (c demoCmd) Run(ctx context.Context, s streams, log *slog.Logger) error {
	if err := errors.Join(c.check(), checkPageAttempts(c.PageAttempts)); err != nil {
		return err
	}
	house, err := c.house()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.SandboxListen)
	if err != nil {
		return fmt.Errorf("sandbox listener: %w", err)
	}
	sandboxURL := "http://" + listener.Addr().String()
	keys, err := demoGoogleKeys(ctx, c.Data)
	if err != nil {
		_ = listener.Close()
		return err
	}
	defer func() {
		if err := keys.Close(); err != nil {
			log.Warn("google sandbox", "error", err)
		}
	}()
	house.google = keys != nil
	// The platform first: until it has the data directory, the sandbox's file is not ours either.
	h, err := open(ctx, c.settings(sandboxURL, house), log)
	if err != nil {
		_ = listener.Close()
		return err
	}
	defer h.Close()
	roots, err := c.roots()
	if err != nil {
		_ = listener.Close()
		return err
	}
	account := sandbox.DemoAccount()
	account.NotifyURL = h.url() + "/n/paytm/" + sandbox.DemoAccountName
	other, err := sandbox.New(sandbox.Options{
		Clock: time.Now, ProjectID: demoProject, ProjectSecret: house.secret, OtherSecrets: []string{house.licensed},
		Paytm: []sandbox.PaytmAccount{account},
		Generic: []sandbox.GenericAccount{
			{Name: sandbox.DemoAccountName, Secret: house.secret, NotifyURL: h.url() + "/n/generic/" + sandbox.DemoAccountName},
			{Name: licensedAccount, Secret: house.psp, NotifyURL: h.url() + "/n/generic/" + licensedAccount},
		},
		KYC: []sandbox.KYCAccount{{
			Name: sandbox.DemoAccountName, Secret: house.kyc, PersonKey: house.persons, NotifyURL: h.url() + "/n/kyc/" + sandbox.DemoAccountName,
		}},
		Google:    &sandbox.Google{Keys: keys, Integrator: demoIntegrator(h, house.people)},
		PublicURL: h.url(),
		OwnURL:    sandboxURL, StatePath: filepath.Join(c.Data, "sandbox.journal"), LateAfter: c.LimitTime + 2*time.Second,
		Roots: roots, Log: log,
	})
	if err != nil {
		_ = listener.Close()
		return fmt.Errorf("sandbox: %w", err)
	}
	server := newServer(other.Handler())
	server.WriteTimeout = 2 * time.Minute // it is there to be slow when it is told to
	go h.serve(server, listener)
	defer func() {
		if h.gone.Load() {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), graceful)
		defer cancel()
		_ = other.Close(ctx) // first: it lets go the connections that it was told to hold
		_ = server.Shutdown(ctx)
	}()
	c.announce(s, h, sandboxURL, house)
	select {
	case <-ctx.Done():
		return nil
	case err := <-h.failed:
		return err
	}
}

// demoHouse is what a demo keeps of its own, beside the store.
type demoHouse struct {
	secret   string  // of the demo project, and by contract of its account at the generic provider
	licensed string  // of the licensed project
	psp      string  // of its account at the generic provider
	kyc      string  // of its account at who checks customers
	persons  string  // by which a person is known again
	rules    licence // the licensed project's
	google   bool    // whether there is gpg, by which the sandbox has a Google
	people   []demoPerson
}

// house reads what the data directory keeps, and makes what it lacks.
func (c demoCmd) house() (d demoHouse, err error) {
	for name, into := range map[string]*string{
		"demo.secret": &d.secret, "demo-house.secret": &d.licensed, "demo-psp.secret": &d.psp, "demo-kyc.secret": &d.kyc, "demo-persons.secret": &d.persons,
	} {
		if *into, err = demoSecret(c.Data, name); err != nil {
			return d, err
		}
	}
	// The shop's own customer, and one more: two people can link one wallet each.
	for _, p := range []demoPerson{{Name: "demo", CustomerID: "demo-customer"}, {Name: "asha", CustomerID: "demo-asha"}} {
		if p.Password, err = demoSecret(c.Data, "demo-person-"+p.Name+".secret"); err != nil {
			return d, err
		}
		d.people = append(d.people, p)
	}
	d.rules.File = filepath.Join(c.Data, "rules.toml")
	text, err := os.ReadFile(d.rules.File)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = demoRules, os.WriteFile(d.rules.File, demoRules, 0o600)
	}
	if err != nil {
		return d, fmt.Errorf("demo rules: %w", err)
	}
	if d.rules.Rules, err = risk.Load(d.rules.File, text); err != nil {
		return d, fmt.Errorf("demo rules:\n%w", err)
	}
	return d, nil
}

func (c demoCmd) settings(sandboxURL string, house demoHouse) settings {
	var offered, licensed []project.Method
	for _, code := range []string{"paytm-wallet", "generic-card", "generic-bank", "generic-wallet"} {
		offered = append(offered, methodsOf(code, sandbox.DemoAccountName)...)
	}
	for _, code := range []string{"generic-card", "generic-bank", "generic-wallet"} {
		licensed = append(licensed, methodsOf(code, licensedAccount)...)
	}
	var integrations []hostedGoogle
	if house.google {
		integrations = []hostedGoogle{demoIntegration(c.Data, sandboxURL, c.LimitTime)}
	}
	return settings{
		Google: integrations,
		Data:   c.Data, Database: c.Database, Listen: c.Listen, OpsListen: c.OpsListen, knobs: c.knobs, TestMode: true, DemoKeys: []int64{demoProject, licensedProject},
		People:   house.people,
		Licences: map[int64]licence{licensedProject: house.rules},
		Connectors: []connectorConfig{{
			Name: "paytm", Account: sandbox.DemoAccountName, BaseURL: sandboxURL + "/paytm", MID: sandbox.DemoMID, Key: sandbox.DemoKey,
			Website: sandbox.DemoWebsite,
		}, {
			// The project's secret: whoever reads the line of --json can sign a webhook by hand, and scripts do.
			Name: "generic", Account: sandbox.DemoAccountName, BaseURL: sandboxURL + "/generic", Key: house.secret,
		}, {
			Name: "generic", Account: licensedAccount, BaseURL: sandboxURL + "/generic", Key: house.psp,
		}},
		KYC: []kycConfig{
			{Name: sandbox.DemoAccountName, Type: "hosted", Levels: []int64{1, 2}, BaseURL: sandboxURL + "/kyc", Key: house.kyc, Screening: true},
			{Name: "operators", Type: "manual", Levels: []int64{3}},
		},
		PersonKey: house.persons,
		// What is sent is at /sms/ of the sandbox, for whoever can reach it.
		SMS: &smsConfig{Type: "twilio", BaseURL: sandboxURL + "/sms", Account: sandbox.DemoSMSAccount, Key: house.secret, Sender: "AORTA"},
		Projects: []project.Project{{
			ID: demoProject, MerchantID: 1, Name: "Demo shop", Secret: sign.NewSecret(house.secret), CallbackURL: sandboxURL + "/merchant/callback",
			Origins: []string{sandboxURL}, Wallet: true, LateSuccess: project.LateHold, SumInRefund: project.SumInitial,
			BaseTime: c.BaseTime, LimitTime: c.LimitTime, PageAttempts: c.PageAttempts, RetryTime: retryTime, Methods: offered,
		}, {
			ID: licensedProject, MerchantID: licensedMerchant, Name: "Demo house", Secret: sign.NewSecret(house.licensed), CallbackURL: sandboxURL + "/merchant/callback",
			Origins: []string{sandboxURL}, Wallet: true, WalletOnly: true, LateSuccess: project.LateHold, SumInRefund: project.SumInitial,
			BaseTime: c.BaseTime, LimitTime: c.LimitTime, PageAttempts: c.PageAttempts, RetryTime: retryTime, Methods: licensed,
		}},
		Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	}
}

func (c demoCmd) announce(s streams, h *house, sandboxURL string, house demoHouse) {
	if c.JSON {
		line, err := json.Marshal(ready{
			Ready: true, Public: h.url(), Ops: h.opsURL, Sandbox: sandboxURL, Project: readyProject{ID: demoProject, Secret: house.secret},
			APIKey: h.demoKeys[demoProject],
			Licensed: readyLicensed{
				Project: readyProject{ID: licensedProject, Secret: house.licensed}, APIKey: h.demoKeys[licensedProject], PSPKey: house.psp, KYCKey: house.kyc,
			},
			Operators: h.operators, Customers: house.people,
		})
		if err != nil {
			panic("plain fields cannot fail to encode: " + err.Error())
		}
		fmt.Fprintf(s.out, "%s\n", line)
		return
	}
	fmt.Fprintf(s.out, `Aorta is ready.

  Buy something:      %[3]s/shop
  Link it to Google:  %[3]s/google
                      sign in as %[12]s
  Payment Page, Gate: %[1]s/payment  %[1]s/v2/…
  Operations:         %[2]s/metrics  %[2]s/readyz
  Native API:         %[1]s/v1/…
  Project:            %[4]d, secret %[5]s
  API key:            %[7]s
  Licensed project:   %[8]d, with limits and checked payouts; API key %[9]s
                      its rules: %[10]s
  Operators:%[11]s
  Everything it keeps is in %[6]s

Stop it with Ctrl-C; then "aorta verify --data %[6]s" checks the money.
`, h.url(), h.opsURL, sandboxURL, demoProject, house.secret, c.Data, h.demoKeys[demoProject],
		licensedProject, h.demoKeys[licensedProject], house.rules.File, listOperators(h.operators), listPeople(house.people))
}

// demoSecret is the secret of a demo's project: made once, then kept, so that a
// restarted demo still understands its merchant.
func demoSecret(dir, name string) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("data directory: %w", err)
	}
	path := filepath.Join(dir, name)
	text, err := os.ReadFile(path)
	if err == nil && len(text) > 0 {
		return string(text), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("demo secret: %w", err)
	}
	var raw [24]byte
	_, _ = rand.Read(raw[:])
	fresh := hex.EncodeToString(raw[:])
	if err := os.WriteFile(path, []byte(fresh), 0o600); err != nil {
		return "", fmt.Errorf("demo secret: %w", err)
	}
	return fresh, nil
}
