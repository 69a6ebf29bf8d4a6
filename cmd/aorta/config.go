package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"aorta/internal/money"
	"aorta/internal/project"
	"aorta/internal/risk"
	"aorta/internal/sign"

	"github.com/BurntSushi/toml"
	"github.com/alecthomas/kong"
)

// knobs are the times that tests turn, of demo and serve alike. How a time is
// written says parseSpan.
type knobs struct {
	BaseTime       time.Duration   `help:"After it a merchant should ask for the status. Times are 200ms, 90s, 1m30s, or a number of seconds." env:"AORTA_BASE_TIME" default:"5m"`
	LimitTime      time.Duration   `help:"After it an unsettled payment is declined with code 603." env:"AORTA_LIMIT_TIME" default:"30m"`
	LookupSchedule []time.Duration `help:"Pauses between look-ups at a PSP, the last repeats; empty: each connector's own." env:"AORTA_LOOKUP_SCHEDULE"`
	CallbackUnit   time.Duration   `help:"First pause of the callback schedule; the rest is in proportion." env:"AORTA_CALLBACK_UNIT" default:"10s"`
	TLSCert        string          `help:"Certificate file of the public listener." env:"AORTA_TLS_CERT" type:"existingfile"`
	TLSKey         string          `help:"Key file of the public listener." env:"AORTA_TLS_KEY" type:"existingfile"`
}

// parseSpan reads a time as flags, environment and file write it: Go's notation,
// "200ms", "2s", "1m30s", or a whole number of seconds, "3".
func parseSpan(text string) (time.Duration, error) {
	text = strings.TrimSpace(text)
	if n, err := strconv.ParseInt(text, 10, 32); err == nil {
		return time.Duration(n) * time.Second, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no time: write 200ms, 90s, 1m30s, or a whole number of seconds", text)
	}
	return d, nil
}

// spanMapper has the command line read times with parseSpan.
func spanMapper(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("time", &text); err != nil {
		return fmt.Errorf("time: %w", err)
	}
	d, err := parseSpan(text)
	if err != nil {
		return err
	}
	target.SetInt(int64(d))
	return nil
}

// dropEmpty makes an empty AORTA_… variable an absent one, as scripts and
// container files mean it. Otherwise only serve, which reads most of them by
// itself, would take it so.
func dropEmpty(environ []string) {
	for _, entry := range environ {
		if name, value, _ := strings.Cut(entry, "="); value == "" && strings.HasPrefix(name, "AORTA_") {
			_ = os.Unsetenv(name)
		}
	}
}

func (k knobs) check() error {
	if k.BaseTime <= 0 || k.LimitTime <= 0 || k.CallbackUnit <= 0 {
		return errors.New("base-time, limit-time and callback-unit must be positive")
	}
	for _, d := range k.LookupSchedule {
		if d <= 0 {
			return errors.New("lookup-schedule must hold positive durations, such as 5s,30s,2m")
		}
	}
	if (k.TLSCert == "") != (k.TLSKey == "") {
		return errors.New("tls-cert and tls-key go together")
	}
	return nil
}

// certificate gives what the public listener shows for itself; nil: it speaks
// plain HTTP. It is read before anything listens, so that a wrong file is an
// error of the start and not of the first customer.
func (k knobs) certificate() (*tls.Config, error) {
	if k.TLSCert == "" {
		return nil, nil //nolint:nilnil // no certificate is a setting, not an error
	}
	pair, err := tls.LoadX509KeyPair(k.TLSCert, k.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("tls-cert and tls-key: %w", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}, nil
}

// roots are whom a sandbox beside us trusts: the system's roots and our own
// certificate, which for a demo nobody else has signed. nil: the system's.
func (k knobs) roots() (*x509.CertPool, error) {
	if k.TLSCert == "" {
		return nil, nil //nolint:nilnil // as certificate
	}
	text, err := os.ReadFile(k.TLSCert)
	if err != nil {
		return nil, fmt.Errorf("tls-cert: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a machine without roots: the demo needs none of them
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("tls-cert: %s holds no certificate", k.TLSCert)
	}
	return pool, nil
}

// settings are what a house is built from, whether by demo or by a file.
type settings struct {
	Data      string // directory: SQLite database, lock, master key
	Database  string // postgres://…; empty: SQLite in Data
	Listen    string
	OpsListen string
	OpsToken  string // bearer token of the ops listener; empty: none is asked for
	PublicURL string // as customers and PSPs reach us; empty: follows from Listen
	knobs
	Connectors []connectorConfig
	Projects   []project.Project
	Private    []netip.Prefix    // networks that callbacks may reach although they are not public
	TestMode   bool              // pages say that no real money moves
	GateRate   float64           // Gate requests per second that one project may make; 0: any number
	APIRate    float64           // calls of /v1 per second that one API key may make; 0: any number
	DemoKeys   []int64           // projects that the demo makes an API key for
	Licences   map[int64]licence // of licensed projects, by their id
	KYC        []kycConfig       // who checks customers
	PersonKey  string            // by which a person is known again
	Google     []hostedGoogle    // integrations with Google
	People     []demoPerson      // who can sign in to a demo, to link a wallet
	SMS        *smsConfig        // the gateway that codes are sent by; nil: there is none
	TLSMax     string            // "1.2": the public listener offers no newer TLS
}

// licence is a project's rules and where they come from.
type licence struct {
	File  string
	Rules *risk.Rules
}

// connectorConfig is one PSP account.
type connectorConfig struct {
	Name       string   `toml:"name"`    // "paytm", "generic"
	Account    string   `toml:"account"` // ours for it: "main"
	BaseURL    string   `toml:"base_url"`
	MID        string   `toml:"mid"` // the PSP's name of the account; generic: as ours if empty
	Key        string   `toml:"key"`
	Website    string   `toml:"website"`    // paytm
	Currencies []string `toml:"currencies"` // generic: EUR, INR and JPY unless it says
}

// file is aorta.toml.
type file struct {
	Data             string            `toml:"data"`
	Database         string            `toml:"database"`
	Listen           string            `toml:"listen"`
	OpsListen        string            `toml:"ops_listen"`
	OpsToken         string            `toml:"ops_token"`
	PublicURL        string            `toml:"public_url"`
	BaseTime         string            `toml:"base_time"`
	LimitTime        string            `toml:"limit_time"`
	LookupSchedule   string            `toml:"lookup_schedule"`
	CallbackUnit     string            `toml:"callback_unit"`
	TLSCert          string            `toml:"tls_cert"`
	TLSKey           string            `toml:"tls_key"`
	TLSMax           string            `toml:"tls_max"`
	CallbackNetworks []string          `toml:"callback_networks"`
	GateRate         float64           `toml:"gate_rate"`
	APIRate          float64           `toml:"api_rate"`
	KYCPersonKey     string            `toml:"kyc_person_key"`
	KYC              []kycConfig       `toml:"kyc"`
	Connectors       []connectorConfig `toml:"connector"`
	Projects         []projectConfig   `toml:"project"`
	Google           []googleConfig    `toml:"google"`
	SMS              *smsConfig        `toml:"sms"`
}

type projectConfig struct {
	ID               int64          `toml:"id"`
	Merchant         int64          `toml:"merchant"`
	Name             string         `toml:"name"`
	Secret           string         `toml:"secret"`
	CallbackURL      string         `toml:"callback_url"`
	Origins          []string       `toml:"origins"`
	AllowedIPs       []string       `toml:"allowed_ips"`
	CustomerOptional bool           `toml:"customer_optional"`
	Wallet           bool           `toml:"wallet"`
	WalletOnly       bool           `toml:"wallet_only"`
	Rules            string         `toml:"rules"`
	LateSuccess      string         `toml:"late_success"`
	SumInRefund      string         `toml:"payment_sum_in_refund"`
	PageAttempts     *int           `toml:"page_attempts"`
	PageAttemptsTime string         `toml:"page_attempts_time"`
	Methods          []methodConfig `toml:"method"`
}

type methodConfig struct {
	Code       string   `toml:"code"` // "paytm-wallet"
	Connector  string   `toml:"connector"`
	Account    string   `toml:"account"`
	Currencies []string `toml:"currencies"` // all that the method has unless it says
}

// methods are those that a project may offer, with what the documents say of
// each (ecommpay.md 2.5), once for each currency; min and max in minor units.
var methods = slices.Concat(
	[]project.Method{{
		Code: "paytm-wallet", Group: "wallet", Segment: "paytm", Name: "Paytm Wallet", Connector: "paytm", Provider: 2469,
		Currency: "INR", MinMinor: 1_00, MaxMinor: 9_999_999_99,
	}},
	genericMethods(project.Method{Code: "generic-card", Group: "card", Segment: "generic", Name: "Card", Provider: 9001}),
	genericMethods(project.Method{Code: "generic-bank", Group: "bank", Segment: "generic", Name: "Pay by bank", Provider: 9002}),
	genericMethods(project.Method{Code: "generic-wallet", Group: "wallet", Segment: "generic", Name: "Wallet", Provider: 9003}),
)

// genericMethods gives a method of the generic connector in its currencies. Its
// group is also what /v1 calls it: card, bank, wallet.
func genericMethods(m project.Method) (all []project.Method) {
	m.Connector, m.MinMinor = "generic", 1
	for c, most := range map[money.Currency]int64{"EUR": 9_999_999_99, "INR": 99_999_999_99, "JPY": 999_999_999} {
		m.Currency, m.MaxMinor = c, most
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b project.Method) int { return strings.Compare(string(a.Currency), string(b.Currency)) })
	return all
}

// methodsOf gives a method in the currencies that are asked for, in all if none
// is; none if there is no such method, or not in one of them.
func methodsOf(code, account string, currencies ...string) []project.Method {
	var all []project.Method
	for _, m := range methods {
		if m.Code == code && (len(currencies) == 0 || slices.Contains(currencies, string(m.Currency))) {
			m.Account = account
			all = append(all, m)
		}
	}
	if len(currencies) > len(all) {
		return nil
	}
	return all
}

// load reads a configuration file. Every key of the file's top level may also
// come as AORTA_<KEY> in the environment, which wins; a connector's key as
// AORTA_CONNECTOR_<NAME>_<ACCOUNT>_KEY, that of a provider of checks as
// AORTA_KYC_<NAME>_KEY, that of the SMS gateway as AORTA_SMS_KEY, a project's secret as
// AORTA_PROJECT_<ID>_SECRET, that of a login as AORTA_GOOGLE_<NAME>_LOGIN_SECRET.
func load(path string, env func(string) string) (settings, error) {
	f := file{
		Data: "aorta-data", Listen: "127.0.0.1:8080", OpsListen: "127.0.0.1:8081",
		BaseTime: "5m", LimitTime: "30m", CallbackUnit: "10s",
	}
	if path != "" {
		meta, err := toml.DecodeFile(path, &f)
		if err != nil {
			return settings{}, fmt.Errorf("read configuration: %w", err)
		}
		if unknown := meta.Undecoded(); len(unknown) > 0 {
			return settings{}, fmt.Errorf("configuration %s: unknown key %s", path, unknown[0])
		}
	}
	for name, field := range map[string]*string{
		"DATA": &f.Data, "DATABASE": &f.Database, "LISTEN": &f.Listen, "OPS_LISTEN": &f.OpsListen, "OPS_TOKEN": &f.OpsToken,
		"PUBLIC_URL": &f.PublicURL, "BASE_TIME": &f.BaseTime, "LIMIT_TIME": &f.LimitTime, "LOOKUP_SCHEDULE": &f.LookupSchedule,
		"CALLBACK_UNIT": &f.CallbackUnit, "TLS_CERT": &f.TLSCert, "TLS_KEY": &f.TLSKey, "TLS_MAX": &f.TLSMax, "KYC_PERSON_KEY": &f.KYCPersonKey,
	} {
		if v := env("AORTA_" + name); v != "" {
			*field = v
		}
	}
	if v := env("AORTA_CALLBACK_NETWORKS"); v != "" {
		f.CallbackNetworks = strings.Split(v, ",")
	}
	for name, field := range map[string]*float64{"AORTA_GATE_RATE": &f.GateRate, "AORTA_API_RATE": &f.APIRate} {
		if v := env(name); v != "" {
			var err error
			if *field, err = strconv.ParseFloat(v, 64); err != nil {
				return settings{}, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	s, err := f.settings(filepath.Dir(path), env)
	return s, errors.Join(err, s.addGoogle(f.Google, path, env), s.addSMS(f.SMS, path, env))
}

// settings checks what a file says. Files that it names lie relative to dir.
func (f file) settings(dir string, env func(string) string) (settings, error) {
	s := settings{
		Data: f.Data, Database: f.Database, Listen: f.Listen, OpsListen: f.OpsListen, OpsToken: f.OpsToken, PublicURL: f.PublicURL,
		knobs: knobs{TLSCert: f.TLSCert, TLSKey: f.TLSKey}, Connectors: f.Connectors,
		GateRate: f.GateRate, APIRate: f.APIRate, KYC: f.KYC, PersonKey: f.KYCPersonKey, TLSMax: f.TLSMax,
	}
	var errs []error
	duration := func(key, text string, into *time.Duration) {
		d, err := parseSpan(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
		*into = d
	}
	duration("base_time", f.BaseTime, &s.BaseTime)
	duration("limit_time", f.LimitTime, &s.LimitTime)
	duration("callback_unit", f.CallbackUnit, &s.CallbackUnit)
	if f.LookupSchedule != "" {
		for _, text := range strings.Split(f.LookupSchedule, ",") {
			var d time.Duration
			duration("lookup_schedule", text, &d)
			s.LookupSchedule = append(s.LookupSchedule, d)
		}
	}
	for _, text := range f.CallbackNetworks {
		p, err := netip.ParsePrefix(strings.TrimSpace(text))
		if err != nil {
			errs = append(errs, fmt.Errorf("callback_networks: %w", err))
		}
		s.Private = append(s.Private, p)
	}
	for n := range s.Connectors {
		c := &s.Connectors[n]
		if v := env("AORTA_CONNECTOR_" + envName(c.Name) + "_" + envName(c.Account) + "_KEY"); v != "" {
			c.Key = v
		}
	}
	for n := range s.KYC {
		c := &s.KYC[n]
		if v := env("AORTA_KYC_" + envName(c.Name) + "_KEY"); v != "" {
			c.Key = v
		}
	}
	seen := map[int64]bool{}
	for _, pc := range f.Projects {
		p, err := pc.project(s.knobs, env)
		if err != nil {
			errs = append(errs, fmt.Errorf("project %d: %w", pc.ID, err))
		}
		if seen[p.ID] {
			errs = append(errs, fmt.Errorf("project %d is there twice", p.ID))
		}
		seen[p.ID] = true
		s.Projects = append(s.Projects, p)
		if pc.Rules != "" {
			errs = append(errs, s.license(p.ID, dir, pc.Rules))
		}
	}
	errs = append(errs, s.check())
	if len(errs) > 0 {
		return s, errors.Join(errs...)
	}
	return s, nil
}

// license gives a project the rules of a file. Projects that name the same file
// have the same rules.
func (s *settings) license(projectID int64, dir, name string) error {
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	if s.Licences == nil {
		s.Licences = map[int64]licence{}
	}
	for _, l := range s.Licences {
		if l.File == path {
			s.Licences[projectID] = l
			return nil
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("project %d: rules: %w", projectID, err)
	}
	rules, err := risk.Load(path, text)
	if err != nil {
		return fmt.Errorf("project %d: rules:\n%w", projectID, err)
	}
	s.Licences[projectID] = licence{File: path, Rules: rules}
	return nil
}

// rules are those of a licensed project; nil for another.
func (s settings) rules(projectID int64) *risk.Rules { return s.Licences[projectID].Rules }

// checkLicences: who is limited must keep the money here, where it can be
// counted; and a customer is the merchant's, so what holds for them does not
// depend on which of the merchant's projects they come by.
func (s settings) checkLicences() error {
	of := map[int64]project.Project{} // merchant → the first of their projects
	for _, p := range s.Projects {
		mine := s.Licences[p.ID]
		if mine.Rules != nil && (!p.Wallet || !p.WalletOnly) {
			return fmt.Errorf("project %d: rules need wallet = true and wallet_only = true: they are about customers, and what no customer's wallet gets would pass them by", p.ID)
		}
		first, known := of[p.MerchantID]
		if !known {
			of[p.MerchantID] = p
			continue
		}
		if other := s.Licences[first.ID]; other.File != mine.File {
			return fmt.Errorf("project %d: rules must be %s, as of project %d: all projects of merchant %d have the same customers, and so the same rules", p.ID, orNone(other.File), first.ID, p.MerchantID)
		}
	}
	return nil
}

func orNone(name string) string {
	if name == "" {
		return "left out"
	}
	return strconv.Quote(name)
}

func envName(s string) string { return strings.ToUpper(strings.ReplaceAll(s, "-", "_")) }

const (
	// maxPageAttempts bounds how often a customer may try to pay in one session of
	// the payment page. A project that says nothing has one attempt, as in the
	// original, where "try again" is switched on for a project when it asks.
	maxPageAttempts = 100
	// retryTime is how long after the first decline, where the project does not
	// say (ecommpay.md section 2.3).
	retryTime = 10 * time.Minute
)

func (pc projectConfig) project(k knobs, env func(string) string) (project.Project, error) {
	if v := env("AORTA_PROJECT_" + strconv.FormatInt(pc.ID, 10) + "_SECRET"); v != "" {
		pc.Secret = v
	}
	p := project.Project{
		ID: pc.ID, MerchantID: pc.Merchant, Name: pc.Name, Secret: sign.NewSecret(pc.Secret), CallbackURL: pc.CallbackURL,
		Origins: pc.Origins, AllowedIPs: pc.AllowedIPs, CustomerOptional: pc.CustomerOptional, Wallet: pc.Wallet, WalletOnly: pc.WalletOnly,
		LateSuccess: project.LateRule(pc.LateSuccess), SumInRefund: project.SumRule(pc.SumInRefund),
		BaseTime: k.BaseTime, LimitTime: k.LimitTime, PageAttempts: 1, RetryTime: retryTime,
	}
	if p.MerchantID == 0 {
		p.MerchantID = p.ID
	}
	var errs []error
	if pc.PageAttempts != nil {
		p.PageAttempts = *pc.PageAttempts
	}
	errs = append(errs, checkPageAttempts(p.PageAttempts))
	if pc.PageAttemptsTime != "" {
		d, err := parseSpan(pc.PageAttemptsTime)
		if err == nil && d <= 0 {
			err = errors.New("must be positive")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("page_attempts_time: %w", err))
		}
		p.RetryTime = d
	}
	if p.ID < 1 || p.ID > 4294967295 {
		errs = append(errs, errors.New("id must be 1..4294967295"))
	}
	if pc.Secret == "" {
		errs = append(errs, errors.New("secret is missing"))
	}
	if p.CallbackURL != "" {
		if u, err := url.Parse(p.CallbackURL); err != nil || u.Host == "" {
			errs = append(errs, errors.New("callback_url is not a URL"))
		}
	}
	for _, text := range p.AllowedIPs {
		if _, err := netip.ParsePrefix(text); err != nil {
			errs = append(errs, fmt.Errorf("allowed_ips: %w", err))
		}
	}
	switch p.LateSuccess {
	case "":
		p.LateSuccess = project.LateHold
	case project.LateHold, project.LateCredit, project.LateRefund:
	default:
		errs = append(errs, errors.New("late_success must be hold, credit or refund"))
	}
	switch p.SumInRefund {
	case "":
		p.SumInRefund = project.SumInitial
	case project.SumInitial, project.SumRemaining:
	default:
		errs = append(errs, errors.New("payment_sum_in_refund must be initial or remaining"))
	}
	for _, mc := range pc.Methods {
		offered := methodsOf(mc.Code, mc.Account, mc.Currencies...)
		if len(offered) == 0 {
			errs = append(errs, fmt.Errorf("method %q does not exist%s", mc.Code, inCurrencies(mc.Currencies)))
		}
		for _, m := range offered {
			if mc.Connector != "" {
				m.Connector = mc.Connector
			}
			if _, twice := p.MethodIn(m.Code, m.Currency); twice {
				errs = append(errs, fmt.Errorf("method %q is there twice in %s", m.Code, m.Currency))
			}
			p.Methods = append(p.Methods, m)
		}
	}
	return p, errors.Join(errs...)
}

func inCurrencies(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return " in all of " + strings.Join(list, ", ")
}

func checkPageAttempts(n int) error {
	if n < 1 || n > maxPageAttempts {
		return fmt.Errorf("page_attempts must be 1 to %d; 1 does not offer to try again", maxPageAttempts)
	}
	return nil
}

// maxGateRate is more than one process answers; it keeps the burst a number.
const maxGateRate = 1_000_000

func (s settings) check() error {
	if err := s.knobs.check(); err != nil {
		return err
	}
	if !(s.GateRate >= 0 && s.GateRate <= maxGateRate) { // so written, NaN is refused too
		return fmt.Errorf("gate_rate must be 0 to %d requests per second", maxGateRate)
	}
	if !(s.APIRate >= 0 && s.APIRate <= maxGateRate) {
		return fmt.Errorf("api_rate must be 0 to %d calls per second", maxGateRate)
	}
	if err := errors.Join(s.checkTLS(), s.checkLicences()); err != nil {
		return err
	}
	if _, _, err := verifiers(s.KYC, s.PersonKey); err != nil {
		return err
	}
	for _, p := range s.Projects {
		for _, m := range p.Methods {
			if !s.hasConnector(m.Connector, m.Account) {
				return fmt.Errorf("project %d: method %s goes to %s/%s, which is not configured", p.ID, m.Code, m.Connector, m.Account)
			}
			if !money.Currency(m.Currency).Valid() {
				return fmt.Errorf("project %d: method %s has no currency", p.ID, m.Code)
			}
		}
	}
	return nil
}

func (s settings) hasConnector(name, account string) bool {
	for _, c := range s.Connectors {
		if c.Name == name && c.Account == account {
			return true
		}
	}
	return false
}

// projectsByID gives the look-up that the doors use. Settings do not change
// while the process runs.
func projectsByID(list []project.Project) func(int64) (project.Project, bool) {
	byID := make(map[int64]project.Project, len(list))
	for _, p := range list {
		byID[p.ID] = p
	}
	return func(n int64) (project.Project, bool) {
		p, ok := byID[n]
		return p, ok
	}
}

func environment(name string) string { return os.Getenv(name) }
