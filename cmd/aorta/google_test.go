package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"aorta/internal/google"
	"aorta/internal/google/keyring"
	"aorta/internal/money"
	"aorta/internal/recon"
	"aorta/internal/sandbox/gpg"
)

// googleKeyring is gpg's, with a key of Google's; without gpg the test is skipped.
func googleKeyring(t *testing.T) (k *gpg.Keyring, home, fingerprint string) {
	t.Helper()
	home, err := os.MkdirTemp("", "gpg") // t.TempDir's paths are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	k, err = gpg.New(home)
	if errors.Is(err, gpg.ErrAbsent) && os.Getenv("AORTA_TEST_ALL") == "" {
		t.Skip("no gpg")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	if fingerprint, err = k.Generate(t.Context(), "google", 2048, "1y"); err != nil {
		t.Fatal(err)
	}
	return k, home, fingerprint
}

const walletProject = "[[project]]\nid = 200\nsecret = \"s\"\nwallet = true\n"

// TestGoogleGuide does what docs/google.md says: the ceremony beside a server that
// runs, then echo, with gpg in Google's place and the program as it is.
func TestGoogleGuide(t *testing.T) {
	t.Parallel()
	for _, needed := range []string{"curl", "basenc"} {
		if _, err := exec.LookPath(needed); err != nil {
			if os.Getenv("AORTA_TEST_ALL") != "" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	guide, err := os.ReadFile("../../docs/google.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(guide, -1)
	if len(blocks) != 2 {
		t.Fatalf("docs/google.md has %d blocks to paste, want 2", len(blocks))
	}
	k, home, theirs := googleKeyring(t)
	public, err := k.Export(t.Context(), theirs)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir, "google.asc", string(public), 0o600)
	config := write(t, dir, "aorta.toml", "listen = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\"\ndata = \"data\"\n"+walletProject+
		"[[google]]\nname = \"main\"\nproject = 200\naccounts = [\"SHOP_INR\"]\n", 0o600)
	environment := append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "GNUPGHOME="+home, "GOOGLE="+theirs, asProgram+"="+filepath.Join(dir, "never"))
	itself, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "aorta", "#!/bin/sh\nexec '"+itself+"' \"$@\"\n", 0o700)

	server := exec.CommandContext(t.Context(), itself, "serve", "--config", config)
	server.Dir, server.Env = dir, environment
	server.Cancel = func() error { return server.Process.Signal(os.Interrupt) }
	server.WaitDelay = 2 * graceful
	log, err := server.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	url := ""
	lines := bufio.NewReader(log)
	for url == "" {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("the server says nothing: %v", err)
		}
		if at := regexp.MustCompile(`public (http://[0-9.:]+)`).FindStringSubmatch(line); at != nil {
			url = at[1]
		}
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	environment = append(environment, "URL="+url)

	paste := func(text string) string {
		t.Helper()
		shell := exec.CommandContext(t.Context(), "sh", "-c", text)
		shell.Dir, shell.Env, shell.WaitDelay = dir, environment, 10*time.Second
		var complained bytes.Buffer
		shell.Stderr = &complained // gpg says there whose signature it was
		said, err := shell.Output()
		if err != nil {
			t.Fatalf("%v: %s%s", err, said, complained.Bytes())
		}
		return string(said)
	}
	said := paste("set -e\n" + string(blocks[0][1]) + "\necho \"OURS=$OURS\"")
	ours := regexp.MustCompile(`OURS=([0-9A-F]{40})`).FindStringSubmatch(said)
	if ours == nil || !regexp.MustCompile(`(?m)^ours +active +[0-9A-F]{40}  2048 bits, until `).MatchString(said) || !regexp.MustCompile(`(?m)^google +active +`+theirs).MatchString(said) {
		t.Fatalf("the ceremony says %s", said)
	}
	environment = append(environment, "OURS="+ours[1])
	want := regexp.MustCompile(`(?m)^{"responseHeader":{"responseTimestamp":"\d{13}"},"clientMessage":"ping 7","serverMessage":"aorta"}$`)
	refused := regexp.MustCompile(`(?m)^{"responseHeader":{"responseTimestamp":"\d{13}"},"errorResponseCode":"INVALID_DECRYPTED_REQUEST","errorDescription":"clientMessage must be a string","paymentIntegratorErrorIdentifier":"err_\w{8}"}$`)
	for end := time.Now().Add(time.Minute); ; time.Sleep(keyring.Refresh / 4) { // the keys come within two seconds
		if said = paste(string(blocks[1][1])); want.MatchString(said) && refused.MatchString(said) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("echo says %s", said)
		}
	}

	// Who is no Google learns a status and nothing else.
	resp, err := http.Post(url+"/gsp/main/v1/echo", "application/octet-stream", strings.NewReader("AAAA"))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest || bytes.Contains(body, []byte("error")) {
		t.Errorf("a stranger gets %d %s", resp.StatusCode, body)
	}
	resp, err = http.Post(url+"/gsp/nobody/v1/echo", "application/octet-stream", strings.NewReader("AAAA"))
	if err != nil {
		t.Fatal(err)
	}
	body, _ = io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound || len(body) != 0 {
		t.Errorf("where no integration is: %d %s", resp.StatusCode, body)
	}
	_ = server.Cancel()
	if err := server.Wait(); err != nil {
		t.Errorf("serve: %v", err)
	}
}

// TestGoogleEcho: we call Google, which is gpg; and what an operator reads when
// Google does not know our key.
func TestGoogleEcho(t *testing.T) {
	t.Parallel()
	k, _, theirs := googleKeyring(t)
	var ours string
	var asked []byte
	google := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		raw, err := base64.URLEncoding.DecodeString(string(text))
		if err != nil || r.URL.Path != "/secure-serving/gsp/v1/echo/SHOP_INR" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		opened, err := k.Open(r.Context(), raw)
		if err != nil || !slices.Equal(opened.Signers, []string{ours}) {
			w.WriteHeader(http.StatusNotFound) // as Google does
			return
		}
		asked = opened.Plain
		answer, err := k.Seal(r.Context(), []byte(`{"responseHeader":{"responseTimestamp":"1"},"clientMessage":"aorta tries its keys","serverMessage":"gpg"}`),
			gpg.Message{Signers: []string{theirs}, Recipients: []string{ours}})
		if err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, base64.URLEncoding.EncodeToString(answer))
	}))
	t.Cleanup(google.Close)
	dir := t.TempDir()
	config := write(t, dir, "aorta.toml", "data = \""+filepath.Join(dir, "data")+"\"\n"+walletProject+
		"[[google]]\nname = \"main\"\nproject = 200\naccounts = [\"SHOP_INR\"]\ngoogle_url = \""+google.URL+"\"\n", 0o600)
	do := func(args ...string) (string, error) {
		t.Helper()
		out, _, err := aorta(t, append([]string{"keys", "google", args[0], "--config", config, "main"}, args[1:]...)...)
		return out, err
	}
	must := func(args ...string) string {
		t.Helper()
		out, err := do(args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	public, err := k.Export(t.Context(), theirs)
	if err != nil {
		t.Fatal(err)
	}
	must("import", write(t, dir, "google.asc", string(public), 0o600))
	must("activate", theirs)
	var e keyring.Entry
	if err := json.Unmarshal([]byte(must("create")), &e); err != nil {
		t.Fatal(err)
	}
	if out, err := do("echo"); !errors.Is(err, errNoEcho) || !strings.Contains(out, `"ok":false`) || !strings.Contains(out, "no valid key") {
		t.Errorf("before our key is active: %s, %v", out, err)
	}
	must("activate", e.Fingerprint)
	ours = e.Fingerprint
	if out, err := do("echo"); !errors.Is(err, errNoEcho) || !strings.Contains(out, "compare fingerprints") {
		t.Errorf("before Google has our key: %s, %v", out, err)
	}
	if err := k.Import(t.Context(), []byte(must("export", ours))); err != nil {
		t.Fatal(err)
	}
	if out := must("echo"); !regexp.MustCompile(`^{"account":"SHOP_INR","ok":true,"server_message":"gpg","ms":\d+}\n$`).MatchString(out) {
		t.Errorf("echo prints %s", out)
	}
	if !regexp.MustCompile(`^{"requestHeader":{"requestId":"echo-[A-Z0-9]+","requestTimestamp":"\d{13}","protocolVersion":{"major":1,"minor":0,"revision":0}},"clientMessage":"aorta tries its keys"}$`).Match(asked) {
		t.Errorf("Google is asked %s", asked)
	}
}

// TestGoogleSettings: the guide has every key, and its example loads as it says.
func TestGoogleSettings(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/google.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(guide), "```toml\n")
	example, _, _ = strings.Cut(example, "```")
	for _, kind := range []reflect.Type{reflect.TypeFor[googleConfig](), reflect.TypeFor[googleLimit](), reflect.TypeFor[googleTerms]()} {
		for _, field := range reflect.VisibleFields(kind) {
			key := field.Tag.Get("toml")
			if key == "" || !regexp.MustCompile(`(?m)^[# ]*`+key+` *=|\[google\.`+key+`\]`).MatchString(example) {
				t.Errorf("the example has no key %q of %s", key, kind)
			}
		}
	}
	cfg, err := loaded(t, example)
	if err != nil || len(cfg.Google) != 1 {
		t.Fatalf("the example: %d integrations, %v", len(cfg.Google), err)
	}
	g := cfg.Google[0]
	if g.BasePath != "/gsp/main" || g.AsyncTime != 30*time.Minute || len(g.Limits) != 1 || g.Limits[0].Transaction != 5000_00 || g.Limits[0].Currency != money.Currency("INR") ||
		g.Keys != filepath.Join("aorta-data", "google", "main") {
		t.Errorf("the example is %+v", g)
	}
	if want := (google.Terms{
		Terms: recon.Terms{Checked: true, Fee: 25_000, Tax: 180_000, Withholding: 10_000, SlackUS: google.DefaultSlack.Microseconds()},
		VAT:   recon.FeeToVAT{Ratio: 150_000},
	}); g.Terms != want {
		t.Errorf("the example's terms are %+v, want %+v", g.Terms, want)
	}
	// What it calls defaults are.
	short, err := loaded(t, walletProject+"[[google]]\nname = \"main\"\nproject = 200\naccounts = [\"SHOP_INR\"]\nsandbox = true\n")
	if err != nil || len(short.Google) != 1 {
		t.Fatalf("the shortest: %v", err)
	}
	g.Limits = nil
	g.Terms = google.Terms{Terms: recon.Terms{SlackUS: google.DefaultSlack.Microseconds()}}
	if !reflect.DeepEqual(short.Google[0], g) {
		t.Errorf("the shortest is\n%+v, the example without limits\n%+v", short.Google[0], g)
	}
}

// TestGoogleMistakes: each is told with its line, its key and what to write.
func TestGoogleMistakes(t *testing.T) {
	t.Parallel()
	const good = "[[google]]\nname = \"main\"\nproject = 200\naccounts = [\"SHOP_INR\"]\n"
	line := func(text, key string) string { // of the last one
		return strconv.Itoa(1 + strings.Count(text[:strings.LastIndex(text, key)], "\n"))
	}
	for _, tt := range []struct {
		name, text string
		key, says  string // at the line of the last key, naming it, with this
	}{
		{"layout", good + "layout = \"v3\"\n", "layout", `"e-wallets-v1"`},
		{"base path", good + "base_path = \"/v1\"\n", "base_path", "/gsp"},
		{"host", good + "hosts = [\"https://pay.example\"]\n", "hosts", "without scheme"},
		{"time", good + "async_time = \"soon\"\n", "async_time", "write 200ms"},
		{"no time", good + "code_time = \"0\"\n", "code_time", "above 0"},
		{"url", good + "google_url = \"http://vgw.example\"\n", "google_url", "https://vgw.googleapis.com"},
		{"project", strings.Replace(good, "200", "201", 1), "project", "wallet = true"},
		{"login without a secret", good + "login_url = \"https://house.example/login\"\n", "login_url", "openssl rand"},
		{"login with a short secret", good + "login_url = \"https://house.example/login\"\nlogin_secret = \"short\"\n", "login_secret", "32 characters"},
		{"secret without a login", good + "login_secret = \"0123456789abcdef0123456789abcdef\"\n", "login_secret", "both or none"},
		{"login by http", good + "login_url = \"http://house.example/login\"\nlogin_secret = \"0123456789abcdef0123456789abcdef\"\n", "login_url", "https://house.example/login"},
		{"limit", good + "[[google.limit]]\ncurrency = \"INR\"\nday = \"5000.001\"\n", "[[google.limit]]", "5000.00"},
		{"name", strings.Replace(good, "main", "../x", 1), "name", "a-z"},
		{"second one", good + strings.ReplaceAll(strings.Replace(good, "SHOP", "OTHER", 1), "main", "second") + "base_path = \"/gsp/main\"\n", "base_path", `"main" and "second"`},
		{"keys of another", good + strings.NewReplacer("SHOP", "OTHER", "main", "second").Replace(good) + "keys = \"aorta-data/google/main\"\n", "keys", "its own"},
	} {
		text := walletProject + tt.text
		if tt.name == "keys of another" {
			text = "data = \"" + filepath.Join(t.TempDir(), "d") + "\"\n" + text
			text = strings.Replace(text, "aorta-data", text[8:strings.Index(text, "\"\n")], 1)
		}
		_, err := loaded(t, text)
		key := strings.Trim(tt.key, "[]")
		key = key[strings.LastIndexByte(key, '.')+1:]
		if err == nil || !strings.Contains(err.Error(), "aorta.toml:"+line(text, tt.key)+": [[google]] "+key+": ") || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want line %s, %s, and %q", tt.name, err, line(text, tt.key), key, tt.says)
		}
	}
	for _, tt := range []struct{ key, text, says string }{
		{"fee", "fee = \"2.5%\"", "such as \"2.5\""},
		{"tax", "tax = \"-1\"", "0 to 100"},
		{"withholding", "fee = \"60\"\nwithholding = \"41\"", "more than the capture"},
		{"vat", "vat = \"0.00001\"", "four decimals"},
		{"vat_of", "vat_of = \"net\"", "\"gross\""},
		{"vat_of", "vat_of = \"gross\"", "no vat"},
		{"slack", "slack = \"soon\"", "write 200ms"},
		{"slack", "slack = \"13h\"", "up to 12h"},
	} {
		text := walletProject + good + "[google.terms]\n" + tt.text + "\n"
		if _, err := loaded(t, text); err == nil || !strings.Contains(err.Error(), "aorta.toml:"+line(text, tt.key)+": [[google]] terms."+tt.key+": ") || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want line %s, its key and %q", tt.text, err, line(text, tt.key), tt.says)
		}
	}
	if _, err := loaded(t, walletProject+good+"acounts = []\n"); err == nil || !strings.Contains(err.Error(), "acounts") {
		t.Errorf("a misspelt key: %v", err)
	}
}

// TestGoogleKeys: the verbs of the ceremony, where they refuse.
func TestGoogleKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := write(t, dir, "aorta.toml", "data = \""+filepath.Join(dir, "data")+"\"\n"+walletProject+"[[google]]\nname = \"main\"\nproject = 200\naccounts = [\"SHOP_INR\"]\n", 0o600)
	keys := func(verb string, args ...string) (string, string, error) {
		return aorta(t, append([]string{"keys", "google", verb, "--config", config, "main"}, args...)...)
	}
	vectors := "../../internal/pgp/testdata/pgp/"
	entry := func(verb string, args ...string) keyring.Entry {
		t.Helper()
		out, _, err := keys(verb, args...)
		if err != nil {
			t.Fatalf("%s: %v", verb, err)
		}
		var e keyring.Entry
		if err := json.Unmarshal([]byte(out), &e); err != nil {
			t.Fatalf("%s printed %q", verb, out)
		}
		return e
	}
	if out, log, err := keys("list"); err != nil || out != "" || !strings.Contains(log, "no key of ours") {
		t.Errorf("an empty list: %q, %q, %v", out, log, err)
	}
	made := entry("create", "--name", "Shop", "--life", "48h")
	if made.State != keyring.Pending || made.Side != keyring.Ours || made.Name != "Shop" || time.Until(made.Expires) > 48*time.Hour {
		t.Errorf("made %+v", made)
	}
	google := entry("import", vectors+"google-side-public.asc")
	if google.Side != keyring.Google || google.State != keyring.Pending {
		t.Errorf("imported %+v", google)
	}
	entry("activate", google.Fingerprint)
	entry("activate", made.Fingerprint)
	taken := entry("import", vectors+"integrator-secret.asc")
	if taken.Side != keyring.Ours {
		t.Errorf("a private key was imported as %s", taken.Side)
	}
	entry("activate", taken.Fingerprint)
	if e := entry("retire", made.Fingerprint); e.State != keyring.Retiring {
		t.Errorf("retired: %s", e.State)
	}
	if e := entry("retire", "--revoke", made.Fingerprint); e.State != keyring.Revoked {
		t.Errorf("revoked: %s", e.State)
	}
	for _, tt := range []struct {
		args []string
		says string
	}{
		{[]string{"retire", taken.Fingerprint}, "last active"},
		{[]string{"activate", made.Fingerprint}, "revoked"},
		{[]string{"activate", google.Fingerprint[24:]}, "whole fingerprint"},
		{[]string{"import", vectors + "google-side-public.asc"}, "there already"},
		{[]string{"import", vectors + "ok-binary.b64url"}, "key"},
		{[]string{"import", vectors + "nothing.asc"}, "no such file"},
		{[]string{"create", "--bits", "1024"}, "2048"},
		{[]string{"create", "--life", "30000h"}, "two years"},
		{[]string{"export", strings.Repeat("A", 40)}, "no such key"},
	} {
		if out, _, err := keys(tt.args[0], tt.args[1:]...); err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(out, "PRIVATE") {
			t.Errorf("%v: %q, %v, want an error with %q", tt.args, out, err, tt.says)
		}
	}
	if _, _, err := aorta(t, "keys", "google", "list", "--config", config, "other"); err == nil || !strings.Contains(err.Error(), "there are: main") {
		t.Errorf("an integration that is none: %v", err)
	}
	out, _, err := keys("list", "--json")
	var list []keyring.Entry
	if err != nil || json.Unmarshal([]byte(out), &list) != nil || len(list) != 3 {
		t.Errorf("list --json: %q, %v", out, err)
	}
	out, _, err = keys("export", taken.Fingerprint)
	if err != nil || !strings.HasPrefix(out, "-----BEGIN PGP PUBLIC KEY BLOCK-----") {
		t.Errorf("export: %q, %v", out, err)
	}
	// What the operator's shell lacks of other secrets is of no matter.
	bare := write(t, dir, "bare.toml", strings.Replace(mustRead(t, config), "secret = \"s\"\n", "", 1), 0o600)
	if out, _, err := aorta(t, "keys", "google", "list", "--config", bare, "main"); err != nil || !strings.Contains(out, taken.Fingerprint) {
		t.Errorf("without the project's secret: %q, %v", out, err)
	}
}

func mustRead(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestGoogleDoctor: what it says of keys, and that it makes nothing.
func TestGoogleDoctor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	config := write(t, dir, "aorta.toml", "listen = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\"\ndata = \""+data+"\"\n"+walletProject+
		"[[google]]\nname = \"main\"\nproject = 200\naccounts = [\"SHOP_INR\"]\n", 0o600)
	examine := func() (google []check) {
		t.Helper()
		out, _, err := aorta(t, "doctor", "--config", config, "--json")
		if err != nil && !errors.Is(err, errUnfit) {
			t.Fatal(err)
		}
		var r doctorReport
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatal(err)
		}
		for _, c := range r.Checks {
			if c.Name == "google" {
				google = append(google, c)
			}
		}
		return google
	}
	if got := examine(); len(got) != 2 || got[0].Verdict != checkFail || got[1].Verdict != checkFail {
		t.Errorf("without keys: %+v", got)
	}
	if _, err := os.Stat(filepath.Join(data, "master.key")); err == nil {
		t.Error("doctor made a master key")
	}
	do := func(args ...string) string {
		t.Helper()
		out, _, err := aorta(t, append([]string{"keys", "google", args[0], "--config", config, "main"}, args[1:]...)...)
		if err != nil {
			t.Fatal(err)
		}
		var e keyring.Entry
		_ = json.Unmarshal([]byte(out), &e)
		return e.Fingerprint
	}
	do("activate", do("create", "--life", "480h"))
	do("activate", do("import", "../../internal/pgp/testdata/pgp/google-side-public.asc"))
	if got := examine(); len(got) != 2 || got[0].Verdict != checkWarn || !strings.Contains(got[0].Found, "within a month") || !strings.Contains(got[1].Found, "never expires") {
		t.Errorf("with a key of twenty days: %+v", got)
	}
	if err := os.WriteFile(filepath.Join(data, "master.key"), bytes.Repeat([]byte("0"), 64), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := examine(); len(got) != 1 || got[0].Verdict != checkFail || !strings.Contains(got[0].Found, "master key") {
		t.Errorf("with another master key: %+v", got)
	}
}

// TestGoogleTLS: what Google's probe looks for (google-tokenized-fop.md 2.1).
func TestGoogleTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := selfSigned(t, dir)
	serve := func(name, more string) string {
		t.Helper()
		cfg, err := loaded(t, "listen = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\"\ndata = \""+filepath.Join(dir, name)+"\"\ntls_cert = \""+cert+"\"\ntls_key = \""+key+"\"\n"+more)
		if err != nil {
			t.Fatal(err)
		}
		h, err := open(context.WithoutCancel(t.Context()), cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(h.Close)
		return strings.TrimPrefix(h.url(), "https://")
	}
	const google = walletProject + "[[google]]\nname = \"main\"\nproject = 200\naccounts = [\"SHOP_INR\"]\n"
	both, old, none := serve("both", google), serve("old", "tls_max = \"1.2\"\n"+google), serve("none", walletProject)

	speak := func(address string, c *tls.Config) (version, suite uint16, ok bool) {
		t.Helper()
		c.InsecureSkipVerify = true //nolint:gosec // whom we speak to is not the question
		conn, err := tls.Dial("tcp", address, c)
		if err != nil {
			return 0, 0, false
		}
		defer conn.Close()
		return conn.ConnectionState().Version, conn.ConnectionState().CipherSuite, true
	}
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		if _, _, ok := speak(both, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: version}); ok {
			t.Errorf("it speaks %s", tls.VersionName(version))
		}
	}
	if version, _, _ := speak(both, &tls.Config{MinVersion: tls.VersionTLS12}); version != tls.VersionTLS13 {
		t.Errorf("its best is %s", tls.VersionName(version))
	}
	if version, _, _ := speak(old, &tls.Config{MinVersion: tls.VersionTLS12}); version != tls.VersionTLS12 {
		t.Errorf("with tls_max its best is %s", tls.VersionName(version))
	}
	// The certificate is of ECDSA, so of the suites those can be seen.
	allowed := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		if !slices.Contains(s.SupportedVersions, tls.VersionTLS12) {
			continue
		}
		_, _, ok := speak(both, &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{s.ID}})
		if ok != slices.Contains(allowed, s.ID) {
			t.Errorf("%s: %t", s.Name, ok)
		}
	}
	if _, _, ok := speak(none, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}}); !ok {
		t.Error("without an integration the suites are fewer too")
	}
	// The same as another implementation sees it.
	if _, err := exec.LookPath("openssl"); err != nil && os.Getenv("AORTA_TEST_ALL") != "" {
		t.Fatal(err)
	} else if err == nil {
		for options, want := range map[string]string{
			"-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256":                                          "ECDHE-ECDSA-AES128-GCM-SHA256",
			"-tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305":                                          "ECDHE-ECDSA-CHACHA20-POLY1305",
			"-tls1_2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384":                                          "",
			"-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA:AES128-SHA@SECLEVEL=0": "",
			"-tls1_1 -cipher ALL:@SECLEVEL=0":                                                        "",
			"-tls1 -cipher ALL:@SECLEVEL=0":                                                          "",
			"-tls1_3":                                                                                "TLSv1.3",
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			said, err := exec.CommandContext(ctx, "openssl", append([]string{"s_client", "-connect", both}, strings.Fields(options)...)...).CombinedOutput()
			cancel()
			if want == "" && err == nil || want != "" && (err != nil || !bytes.Contains(said, []byte(want))) {
				t.Errorf("openssl s_client %s: %v, want %q in %s", options, err, want, said)
			}
			if want == "" && !bytes.Contains(said, []byte("alert")) {
				t.Errorf("openssl s_client %s was not refused by the server: %s", options, said)
			}
		}
	}
	for address, silent := range map[string]bool{both: true, none: false} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		said, err := io.ReadAll(conn)
		conn.Close()
		if silent != (len(said) == 0) || silent && errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("plain HTTP is answered by %q, %v", said, err)
		}
	}
}
