package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"aorta/internal/connector"
	"aorta/internal/flow"
	"aorta/internal/google"
	"aorta/internal/google/keyring"
	"aorta/internal/google/login"
	"aorta/internal/google/people"
	"aorta/internal/money"
	"aorta/internal/pgp"
	"aorta/internal/project"
	"aorta/internal/recon"
	"aorta/internal/risk"
	"aorta/internal/sign"

	"github.com/prometheus/client_golang/prometheus"
)

// googleConfig is one integration with Google (docs/google.md).
type googleConfig struct {
	Name          string        `toml:"name"`
	Project       int64         `toml:"project"`
	Layout        string        `toml:"layout"`
	Hosts         []string      `toml:"hosts"`
	BasePath      *string       `toml:"base_path"` // /gsp/NAME unless it says
	Accounts      []string      `toml:"accounts"`
	Sandbox       bool          `toml:"sandbox"`
	GoogleURL     string        `toml:"google_url"`
	Keys          string        `toml:"keys"` // directory; DATA/google/NAME unless it says
	Armor         bool          `toml:"armor"`
	CallbackHosts []string      `toml:"callback_hosts"`
	AckAccepts    bool          `toml:"ack_accepts"`
	Exclusions    bool          `toml:"exclusions_stop_purchases"`
	CallTimeout   string        `toml:"call_timeout"`
	AsyncTime     string        `toml:"async_time"`
	ProofTime     string        `toml:"proof_time"`
	CodeTime      string        `toml:"code_time"`
	TokenTime     string        `toml:"token_time"`
	Limits        []googleLimit `toml:"limit"`
	Terms         *googleTerms  `toml:"terms"`
	LoginURL      string        `toml:"login_url"`
	LoginSecret   string        `toml:"login_secret"` // or AORTA_GOOGLE_<NAME>_LOGIN_SECRET
}

// googleTerms are what a contract says of fees: percentages as "2.5".
type googleTerms struct {
	Fee         string `toml:"fee"`
	Tax         string `toml:"tax"`
	Withholding string `toml:"withholding"`
	VAT         string `toml:"vat"`
	VATOf       string `toml:"vat_of"`
	Slack       string `toml:"slack"`
}

// googleLimit bounds purchases in one currency: amounts as "5000.00".
type googleLimit struct {
	Currency    string `toml:"currency"`
	Least       string `toml:"least"`
	Transaction string `toml:"transaction"`
	Day         string `toml:"day"`
	Month       string `toml:"month"`
}

// hostedGoogle is an integration and where its keys lie.
type hostedGoogle struct {
	google.Integration
	Keys        string
	LoginURL    string // of the operator's own login; empty: it has none
	LoginSecret sign.Secret
}

// maxIntegrations bounds the list.
const maxIntegrations = 16

// addGoogle checks the integrations of a file, and gives each problem its line.
// What is sound is added even if something else is not, so that the keys of an
// integration can be seen to meanwhile.
func (s *settings) addGoogle(list []googleConfig, path string, env func(string) string) error {
	if len(list) == 0 {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	var errs []error
	at := func(n int, err error) {
		for _, e := range flat(err) {
			key := fmt.Sprintf("google[%d]", n)
			var field *google.FieldError
			if errors.As(e, &field) {
				key += "." + field.Field
			}
			errs = append(errs, fmt.Errorf("%s:%d: [[google]] %w", path, risk.LineIn(string(text), key), e))
		}
	}
	if len(list) > maxIntegrations {
		return fmt.Errorf("%s: at most %d [[google]]", path, maxIntegrations)
	}
	var whole []google.Integration
	for n, c := range list {
		i, err := c.integration(s.Projects)
		if err != nil {
			at(n, err)
			continue
		}
		if err := google.CheckAll(append(whole, i)); err != nil {
			at(n, err)
			continue
		}
		whole = append(whole, i)
		if v := env("AORTA_GOOGLE_" + envName(i.Name) + "_LOGIN_SECRET"); v != "" {
			c.LoginSecret = v
		}
		if err := c.checkLogin(); err != nil {
			at(n, err)
		}
		keys := c.Keys
		switch {
		case keys == "":
			keys = filepath.Join(s.Data, "google", i.Name)
		case !filepath.IsAbs(keys):
			keys = filepath.Join(filepath.Dir(path), keys)
		}
		for _, other := range s.Google {
			if other.Keys == keys {
				at(n, &google.FieldError{Field: "keys", What: fmt.Sprintf("%s has the keys of %q: each integration has its own", keys, other.Name)})
			}
		}
		s.Google = append(s.Google, hostedGoogle{Integration: i, Keys: keys, LoginURL: c.LoginURL, LoginSecret: sign.NewSecret(c.LoginSecret)})
	}
	return errors.Join(errs...)
}

// minLoginSecret is as long as a secret must be that signs who somebody is.
const minLoginSecret = 32

// checkLogin says what is wrong with the operator's own login: address and secret
// belong together.
func (c googleConfig) checkLogin() error {
	var errs []error
	if c.LoginURL == "" {
		if c.LoginSecret != "" {
			errs = append(errs, &google.FieldError{Field: "login_secret", What: "without a login_url nothing is signed with it: write both or none"})
		}
		return errors.Join(errs...)
	}
	if err := login.CheckURL(c.LoginURL); err != nil {
		errs = append(errs, &google.FieldError{Field: "login_url", What: err.Error()})
	}
	switch {
	case c.LoginSecret == "":
		errs = append(errs, &google.FieldError{Field: "login_url", What: fmt.Sprintf("it needs a login_secret of %d characters or more too, such as what \"openssl rand -hex 32\" prints", minLoginSecret)})
	case len(c.LoginSecret) < minLoginSecret:
		errs = append(errs, &google.FieldError{Field: "login_secret", What: fmt.Sprintf("write at least %d characters that are hard to guess, such as what \"openssl rand -hex 32\" prints", minLoginSecret)})
	}
	return errors.Join(errs...)
}

// flat takes joined errors apart.
func flat(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

func (c googleConfig) integration(projects []project.Project) (google.Integration, error) {
	i := google.Integration{
		Name: c.Name, ProjectID: c.Project, Layout: google.Layout(c.Layout), Hosts: c.Hosts, BasePath: google.PathUnder + "/" + c.Name,
		Accounts: c.Accounts, Sandbox: c.Sandbox, GoogleURL: c.GoogleURL, Armor: c.Armor, CallbackHosts: c.CallbackHosts, AckAccepts: c.AckAccepts, ExclusionsStop: c.Exclusions,
		CallTimeout: google.DefaultCallTimeout, AsyncTime: google.DefaultAsyncTime, ProofTime: google.DefaultProofTime, CodeTime: google.DefaultCodeTime, TokenTime: google.DefaultTokenTime,
	}
	if i.Layout == "" {
		i.Layout = google.LayoutV1
	}
	if c.BasePath != nil {
		i.BasePath = *c.BasePath
	}
	if len(i.CallbackHosts) == 0 {
		i.CallbackHosts = google.DefaultCallbackHosts()
	}
	var errs []error
	for field, t := range map[string]struct {
		text string
		into *time.Duration
	}{
		"call_timeout": {c.CallTimeout, &i.CallTimeout}, "async_time": {c.AsyncTime, &i.AsyncTime},
		"proof_time": {c.ProofTime, &i.ProofTime}, "code_time": {c.CodeTime, &i.CodeTime}, "token_time": {c.TokenTime, &i.TokenTime},
	} {
		if t.text == "" {
			continue
		}
		d, err := parseSpan(t.text)
		if err != nil {
			errs = append(errs, &google.FieldError{Field: field, What: err.Error()})
			continue
		}
		*t.into = d
	}
	for _, l := range c.Limits {
		limit, err := l.limit()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		i.Limits = append(i.Limits, limit)
	}
	terms, err := c.Terms.terms()
	if i.Terms = terms; err != nil {
		errs = append(errs, flat(err)...)
	}
	if p, known := projectsByID(projects)(c.Project); c.Project != 0 && (!known || !p.Wallet) {
		errs = append(errs, &google.FieldError{Field: "project", What: fmt.Sprintf("%d is no [[project]] with wallet = true: Google's users pay from wallets", c.Project)})
	}
	if err := i.Check(); err != nil {
		errs = append(errs, flat(err)...)
	}
	return i, errors.Join(errs...)
}

func (l googleLimit) limit() (google.Limit, error) {
	out := google.Limit{Currency: money.Currency(l.Currency)}
	for _, f := range []struct {
		name, text string
		into       *int64
	}{{"least", l.Least, &out.Least}, {"transaction", l.Transaction, &out.Transaction}, {"day", l.Day, &out.Day}, {"month", l.Month, &out.Month}} {
		if f.text == "" {
			continue
		}
		a, err := money.ParseDecimal(f.text, out.Currency)
		if err != nil || a.Minor == 0 {
			return out, &google.FieldError{Field: "limit", What: fmt.Sprintf("%s = %q is no amount above 0 of %q: write it as \"5000.00\", or leave it out", f.name, f.text, l.Currency)}
		}
		*f.into = a.Minor
	}
	return out, nil
}

// terms reads the table; nil has none, and what Google says of fees is believed.
func (t *googleTerms) terms() (google.Terms, error) {
	out := google.Terms{Terms: recon.Terms{SlackUS: google.DefaultSlack.Microseconds()}}
	if t == nil {
		return out, nil
	}
	var errs []error
	wrong := func(field, what string) {
		errs = append(errs, &google.FieldError{Field: "terms." + field, What: what})
	}
	rate := func(field, text string) recon.Rate {
		if text == "" {
			return 0
		}
		r, err := recon.ParseRate(text)
		if err != nil {
			wrong(field, err.Error())
		}
		return r
	}
	// A table that says nothing of the fee says that there is none, and that is checked too.
	out.Checked, out.Fee, out.Tax, out.Withholding = true, rate("fee", t.Fee), rate("tax", t.Tax), rate("withholding", t.Withholding)
	out.VAT.Ratio = int64(rate("vat", t.VAT))
	switch t.VATOf {
	case "", "fee":
	case "gross":
		out.VAT.OfGross = true
	default:
		wrong("vat_of", "write \"fee\" or \"gross\"")
	}
	if t.Slack != "" {
		d, err := parseSpan(t.Slack)
		if err != nil {
			wrong("slack", err.Error())
		}
		out.SlackUS = d.Microseconds()
	}
	return out, errors.Join(errs...)
}

// googleHosted are the integrations with their keys. run keeps the keys up to date
// until its context ends.
func googleHosted(s settings, master [32]byte, log *slog.Logger) (hosted []google.Hosted, run func(context.Context), err error) {
	var live []*keyring.Live
	for _, g := range s.Google {
		keys, err := keyring.New(g.Keys, master, rand.Reader).Watch(g.Name, log)
		if err != nil {
			return nil, nil, err
		}
		live = append(live, keys)
		hosted = append(hosted, google.Hosted{Integration: g.Integration, Ring: keys.Ring})
	}
	return hosted, func(ctx context.Context) {
		var all sync.WaitGroup
		for _, l := range live {
			all.Go(func() { l.Run(ctx, time.Now) })
		}
		all.Wait()
	}, nil
}

// googleIdle is how many connections to Google are kept open.
const googleIdle = 16

// googleSide is Google's side of the integrations, as flows call it.
func googleSide(hosted []google.Hosted) *google.Side {
	return google.NewSide(google.NewClient(connector.NewTransport(googleIdle), time.Now), hosted)
}

// googleDoor is the door that Google calls.
func googleDoor(hosted []google.Hosted, flows *flow.Flows, log *slog.Logger, metrics prometheus.Registerer) *google.Door {
	return google.New(google.Options{Integrations: hosted, Wallets: flows, Now: time.Now, Random: rand.Reader, Server: "aorta", Log: log, Metrics: metrics})
}

// googleTermsOf says what acts must know of integrations.
func googleTermsOf(s settings) func(name string) (flow.GoogleTerms, bool) {
	all := map[string]flow.GoogleTerms{}
	project := projectsByID(s.Projects)
	for _, g := range s.Google {
		p, _ := project(g.ProjectID) // known, or the configuration had been refused
		all[g.Name] = flow.GoogleTerms{Project: p, Limits: g.Limits, AsyncTime: g.AsyncTime, TokenTime: g.TokenTime, CodeTime: g.CodeTime, ExclusionsStop: g.ExclusionsStop}
	}
	return func(name string) (flow.GoogleTerms, bool) {
		t, ok := all[name]
		return t, ok
	}
}

// googlePage is the page that links wallets, of the integrations that can know who
// somebody is: by the operator's own login, or in a demo by people of its own.
func googlePage(s settings, door *google.Door, flows *flow.Flows, url func() string, key [32]byte, log *slog.Logger, metrics prometheus.Registerer) (*google.Page, error) {
	signIns := map[string]google.SignIn{}
	for _, g := range s.Google {
		switch {
		case g.LoginURL != "":
			signIns[g.Name] = login.New(login.Options{Integration: g.Name, URL: g.LoginURL, Secret: g.LoginSecret, Now: time.Now, Random: rand.Reader})
		case len(s.People) > 0:
			known, err := people.Open(filepath.Join(s.Data, "google-people-"+g.Name+".json"), people.Options{House: "Aorta", Now: time.Now, Random: rand.Reader})
			if err != nil {
				return nil, err
			}
			for _, p := range s.People {
				if err := known.Put(p.Name, p.CustomerID, p.Password); err != nil {
					return nil, err
				}
			}
			signIns[g.Name] = known
		default:
			log.Warn("the page that links wallets is off: nobody can sign in without a login_url", "integration", g.Name)
		}
	}
	return google.NewPage(google.PageOptions{
		Integrations: door.Hosted(), SignIns: signIns, Flows: flows, Projects: projectsByID(s.Projects), PublicURL: url, Key: key, Now: time.Now, Random: rand.Reader,
		TestMode: s.TestMode, Log: log, Metrics: metrics,
	}), nil
}

// links says whether wallets of a project's customers can be linked with Google.
func (s settings) links(projectID int64) bool {
	return slices.ContainsFunc(s.Google, func(g hostedGoogle) bool { return g.ProjectID == projectID })
}

// demoPerson is somebody who can sign in to a demo.
type demoPerson struct {
	Name       string `json:"user"`
	Password   string `json:"password"`
	CustomerID string `json:"customer_id"`
}

// listPeople writes them for a person.
func listPeople(list []demoPerson) string {
	var out []string
	for _, p := range list {
		out = append(out, fmt.Sprintf("%s, password %s", p.Name, p.Password))
	}
	return strings.Join(out, "; or as ")
}

// serveGoogle leads what belongs to integrations to their door. Nothing else lies
// below /gsp, so that is the door's too.
func serveGoogle(mux *http.ServeMux, list []hostedGoogle, door http.Handler, page *google.Page) {
	if len(list) == 0 {
		return
	}
	mux.Handle(google.PathUnder+"/", door)
	for _, g := range list {
		for _, pattern := range g.Patterns() {
			mux.Handle(pattern, door)
		}
	}
	for _, pattern := range page.Patterns() {
		mux.Handle(pattern, page)
	}
}

// googleKeysCmd is the ceremony of keys. It works on the files beside a server,
// which takes them up within seconds.
type googleKeysCmd struct {
	Create   createGoogleKeyCmd   `cmd:"" help:"Make a key of ours. It decrypts at once, and signs when it is activated."`
	Export   exportGoogleKeyCmd   `cmd:"" help:"Print the public half of a key, for Google."`
	Import   importGoogleKeyCmd   `cmd:"" help:"Take a key of Google's in, or a private one of ours that was made elsewhere."`
	Activate activateGoogleKeyCmd `cmd:"" help:"Let a key be used in full, after its fingerprint was compared."`
	Retire   retireGoogleKeyCmd   `cmd:"" help:"Keep a key for what the other side still sends with it; or end it."`
	List     listGoogleKeysCmd    `cmd:"" help:"List keys and what must be seen to."`
	Echo     echoGoogleCmd        `cmd:"" help:"Call Google's echo under each account: so keys are tried after an exchange."`
}

// googleKeys is what each verb of the ceremony needs.
type googleKeys struct {
	Integration string `arg:"" help:"The integration's name in the configuration."`
	Config      string `help:"Configuration file." env:"AORTA_CONFIG" type:"existingfile" required:""`
}

// open finds the keys of the integration.
func (g googleKeys) open() (*keyring.Keyring, error) {
	_, keys, err := g.find()
	return keys, err
}

// find finds the integration and its keys. Secrets that the configuration lacks
// are of no matter here.
func (g googleKeys) find() (google.Integration, *keyring.Keyring, error) {
	cfg, err := load(g.Config, environment)
	var names []string
	for _, h := range cfg.Google {
		if h.Name == g.Integration {
			if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
				return google.Integration{}, nil, fmt.Errorf("data directory: %w", err)
			}
			master, err := masterKey(cfg.Data)
			if err != nil {
				return google.Integration{}, nil, err
			}
			return h.Integration, keyring.New(h.Keys, master, rand.Reader), nil
		}
		names = append(names, h.Name)
	}
	if err != nil {
		return google.Integration{}, nil, err
	}
	return google.Integration{}, nil, fmt.Errorf("%s has no [[google]] named %q; there are: %s", g.Config, g.Integration, strings.Join(names, ", "))
}

func told(s streams, e keyring.Entry, next string, err error) error {
	if err != nil {
		return err
	}
	text, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("print key: %w", err)
	}
	fmt.Fprintf(s.out, "%s\n", text)
	if next != "" {
		fmt.Fprintln(s.err, next)
	}
	return nil
}

type createGoogleKeyCmd struct {
	Name string        `help:"What Google sees of whose it is; default: the integration's name."`
	Bits int           `help:"2048, 3072 or 4096. Longer keys cost time and length in each message." default:"2048"`
	Life time.Duration `help:"How long it lives: two years at most." default:"8760h"`
	googleKeys
}

// Run makes the key and prints its entry, as JSON.
func (c createGoogleKeyCmd) Run(s streams) error {
	keys, err := c.open()
	if err != nil {
		return err
	}
	if c.Name == "" {
		c.Name = c.Integration
	}
	e, err := keys.Create(c.Name, time.Now(), pgp.KeyOptions{Bits: c.Bits, Life: c.Life})
	return told(s, e, "next: aorta keys google export "+c.Integration+" "+e.Fingerprint+", give it to Google, and when Google has it: activate", err)
}

type exportGoogleKeyCmd struct {
	googleKeys
	Fingerprint string `arg:"" help:"Of the key, as list shows it."`
}

// Run prints the key, armored.
func (c exportGoogleKeyCmd) Run(s streams) error {
	keys, err := c.open()
	if err != nil {
		return err
	}
	text, err := keys.Export(c.Fingerprint)
	return printed(s, text, err)
}

type importGoogleKeyCmd struct {
	googleKeys
	File string `arg:"" help:"The key, armored or binary; - reads it from standard input."`
}

// maxKeyFile is more than a key may have.
const maxKeyFile = 1 << 20

// Run takes the key in and prints its entry, as JSON.
func (c importGoogleKeyCmd) Run(s streams) error {
	keys, err := c.open()
	if err != nil {
		return err
	}
	in := os.Stdin
	if c.File != "-" {
		if in, err = os.Open(c.File); err != nil {
			return fmt.Errorf("key: %w", err)
		}
		defer in.Close()
	}
	text, err := io.ReadAll(io.LimitReader(in, maxKeyFile))
	if err != nil {
		return fmt.Errorf("key: %w", err)
	}
	e, err := keys.Import(text, time.Now())
	return told(s, e, "next: compare the fingerprint with what the other side says it is, by another way than the key came; then: aorta keys google activate "+c.Integration+" FINGERPRINT", err)
}

type activateGoogleKeyCmd struct {
	googleKeys
	Fingerprint string `arg:"" help:"All of it, as the other side says it."`
}

// callbackRoom is how long Google's call-back address may be, for keys that are
// activated to leave room for it.
const callbackRoom = 256

// Run activates the key and prints its entry, as JSON.
func (c activateGoogleKeyCmd) Run(s streams) error {
	keys, err := c.open()
	if err != nil {
		return err
	}
	e, err := keys.Activate(c.Fingerprint, time.Now(), callbackRoom)
	return told(s, e, "", err)
}

type retireGoogleKeyCmd struct {
	googleKeys
	Fingerprint string `arg:"" help:"Of the key, as list shows it."`
	Revoke      bool   `help:"End it at once and for ever, whatever follows: somebody else may have it, or it has long retired."`
}

// Run retires the key and prints its entry, as JSON.
func (c retireGoogleKeyCmd) Run(s streams) error {
	keys, err := c.open()
	if err != nil {
		return err
	}
	if c.Revoke {
		e, err := keys.Revoke(c.Fingerprint, time.Now())
		return told(s, e, "", err)
	}
	e, err := keys.Retire(c.Fingerprint, time.Now())
	return told(s, e, "when nothing comes with it any more: aorta keys google retire --revoke "+c.Integration+" "+e.Fingerprint, err)
}

type listGoogleKeysCmd struct {
	JSON bool `help:"Print the keys as one line of JSON." name:"json"`
	googleKeys
}

// Run lists, as JSON, or for people with what must be seen to.
func (c listGoogleKeysCmd) Run(s streams) error {
	keys, err := c.open()
	if err != nil {
		return err
	}
	list, err := keys.List()
	if err != nil {
		return err
	}
	if c.JSON {
		if list == nil {
			list = []keyring.Entry{}
		}
		if err := json.NewEncoder(s.out).Encode(list); err != nil {
			return fmt.Errorf("print keys: %w", err)
		}
		return nil
	}
	for _, e := range list {
		until := "never expires"
		if !e.Expires.IsZero() {
			until = "until " + e.Expires.Format(time.DateOnly)
		}
		fmt.Fprintf(s.out, "%-6s %-8s %s  %d bits, %s, %s\n", e.Side, e.State, e.Fingerprint, e.Bits, until, e.Name)
	}
	for _, w := range keyring.Warnings(list, time.Now()) {
		fmt.Fprintf(s.err, "%s\n  → %s\n", w.Found, w.ToDo)
	}
	return nil
}

type echoGoogleCmd struct {
	Account string `help:"One account; default: all of the integration's."`
	googleKeys
}

// echoed is what --json would be of one account's echo; it is always JSON.
type echoed struct {
	Account string `json:"account"`
	OK      bool   `json:"ok"`
	Server  string `json:"server_message,omitempty"`
	Error   string `json:"error,omitempty"`
	Millis  int64  `json:"ms"`
}

// errNoEcho: an echo failed. What it said has been printed.
var errNoEcho = errors.New("not every account was answered: see above")

// Run calls echo under each account and prints what came back, as a line of JSON
// each.
func (c echoGoogleCmd) Run(ctx context.Context, s streams) error {
	i, keys, err := c.find()
	if err != nil {
		return err
	}
	if c.Account != "" {
		i.Accounts = []string{c.Account}
	}
	ring, err := keys.Ring()
	if err != nil {
		return err
	}
	client := google.NewClient(connector.NewTransport(1), time.Now)
	hosted := google.Hosted{Integration: i, Ring: func() *pgp.Ring { return ring }}
	failed := false
	for _, account := range i.Accounts {
		began := time.Now()
		server, err := client.Echo(ctx, hosted, account, "echo-"+rand.Text(), "aorta tries its keys")
		said := echoed{Account: account, OK: err == nil, Server: server, Millis: time.Since(began).Milliseconds()}
		if err != nil {
			said.Error, failed = err.Error(), true
		}
		if err := json.NewEncoder(s.out).Encode(said); err != nil {
			return fmt.Errorf("print echo: %w", err)
		}
	}
	if failed {
		return errNoEcho
	}
	return nil
}

// google says of each integration whether its keys can be used, and for how long.
func (e *examination) google(cfg settings) {
	if len(cfg.Google) == 0 {
		return
	}
	master, err := masterKeyThere(cfg.Data)
	if err != nil {
		e.fail("google", "make the master key good first", "keys cannot be opened: %v", err)
		return
	}
	for _, g := range cfg.Google {
		keys := keyring.New(g.Keys, master, rand.Reader)
		list, err := keys.List()
		if err == nil {
			_, err = keys.Ring()
		}
		if err != nil {
			e.fail("google", "restore "+g.Keys+" from a copy, with the master key of then", "%s: %v", g.Name, err)
			continue
		}
		warnings := keyring.Warnings(list, e.now)
		for _, w := range warnings {
			if w.Fatal {
				e.fail("google", w.ToDo, "%s: %s", g.Name, w.Found)
			} else {
				e.warn("google", w.ToDo, "%s: %s", g.Name, w.Found)
			}
		}
		if len(warnings) == 0 {
			e.ok("google", "%s: %d keys, at %s", g.Name, len(list), g.Path("{method}"))
		}
	}
}
