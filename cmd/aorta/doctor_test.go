package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// write makes a file in dir and gives its path.
func write(t *testing.T, dir, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// certificate makes a self-signed one that runs out at until.
func certificate(t *testing.T, dir string, until time.Time) (cert, key string) {
	t.Helper()
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: until.Add(-48 * time.Hour), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, pair.Public(), pair)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(pair)
	if err != nil {
		t.Fatal(err)
	}
	cert = write(t, dir, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), 0o600)
	key = write(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private})), 0o600)
	return cert, key
}

const goodConfig = `
listen = "127.0.0.1:0"
ops_listen = "127.0.0.1:0"
[[connector]]
name = "paytm"
account = "main"
base_url = "https://secure.example"
mid = "MID"
key = "0123456789abcdef"
website = "DEFAULT"
[[project]]
id = 7
secret = "s"
callback_url = "https://shop.example/callback"
[[project.method]]
code = "paytm-wallet"
account = "main"
`

// licensed gives the configuration's project rules.
func licensed(rules string) func(t *testing.T, dir string, config *string) {
	return func(t *testing.T, _ string, config *string) {
		path := write(t, t.TempDir(), "rules.toml", rules, 0o600)
		*config = strings.Replace(*config, "[[project.method]]", "wallet = true\nwallet_only = true\nrules = \""+path+"\"\n[[project.method]]", 1)
	}
}

// Each illness is found under its own name, and the healthy have none.
func TestDoctor(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		spoil   func(t *testing.T, dir string, config *string)
		check   string
		verdict verdict
		found   string
	}{
		{name: "healthy", spoil: func(*testing.T, string, *string) {}, check: "configuration", verdict: checkOK, found: "1 projects, 1 PSP accounts"},
		{name: "database there", spoil: func(t *testing.T, dir string, config *string) {
			other, db := database(t, nil)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			*config = "data = \"" + other + "\"\n" + *config
		}, check: "schema", verdict: checkOK, found: "current"},
		{name: "not a database", spoil: func(t *testing.T, dir string, _ *string) {
			write(t, dir, "aorta.db", strings.Repeat("no database ", 1000), 0o600)
		}, check: "database", verdict: checkFail, found: "not a database"},
		{name: "unknown key", spoil: func(_ *testing.T, _ string, config *string) { *config = "colour = 1\n" + *config }, check: "configuration", verdict: checkFail, found: "colour"},
		{name: "open directory", spoil: func(t *testing.T, dir string, _ *string) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}, check: "data directory", verdict: checkFail, found: "may be entered by others"},
		{name: "file as directory", spoil: func(t *testing.T, dir string, config *string) {
			*config = "data = \"" + write(t, dir, "file", "", 0o600) + "\"\n" + *config
		}, check: "data directory", verdict: checkFail, found: "is a file"},
		{name: "open master key", spoil: func(t *testing.T, dir string, _ *string) {
			write(t, dir, "master.key", strings.Repeat("00", 32), 0o644)
		}, check: "master key", verdict: checkFail, found: "may be read by others"},
		{name: "certificate ran out", spoil: func(t *testing.T, dir string, config *string) {
			cert, key := certificate(t, dir, time.Now().Add(-time.Hour))
			*config = "tls_cert = \"" + cert + "\"\ntls_key = \"" + key + "\"\n" + *config
		}, check: "TLS", verdict: checkFail, found: "it ran out on"},
		{name: "certificate runs out", spoil: func(t *testing.T, dir string, config *string) {
			cert, key := certificate(t, dir, time.Now().Add(time.Hour))
			*config = "tls_cert = \"" + cert + "\"\ntls_key = \"" + key + "\"\n" + *config
		}, check: "TLS", verdict: checkWarn, found: "it runs out on"},
		{name: "no certificate", spoil: func(t *testing.T, dir string, config *string) {
			path := write(t, dir, "empty.pem", "", 0o600)
			*config = "tls_cert = \"" + path + "\"\ntls_key = \"" + path + "\"\n" + *config
		}, check: "TLS", verdict: checkFail, found: "PEM"},
		{name: "plain http to the world", spoil: func(_ *testing.T, _ string, config *string) {
			*config = strings.Replace(*config, `listen = "127.0.0.1:0"`, `listen = "0.0.0.0:0"`, 1)
		}, check: "TLS", verdict: checkWarn, found: "plain http"},
		{name: "open ops listener", spoil: func(_ *testing.T, _ string, config *string) {
			*config = strings.Replace(*config, `ops_listen = "127.0.0.1:0"`, `ops_listen = "0.0.0.0:0"`, 1)
		}, check: "ops listener", verdict: checkFail, found: "open to whoever reaches it"},
		{name: "callback over plain http", spoil: func(_ *testing.T, _ string, config *string) {
			*config = strings.Replace(*config, "https://shop", "http://shop", 1)
		}, check: "callbacks", verdict: checkWarn, found: "project 7 is called back over plain http"},
		{name: "PSP over plain http", spoil: func(_ *testing.T, _ string, config *string) {
			*config = strings.Replace(*config, "https://secure", "http://secure", 1)
		}, check: "PSP accounts", verdict: checkWarn, found: "paytm/main is reached by http://"},
		{name: "PSP that does not exist", spoil: func(_ *testing.T, _ string, config *string) {
			*config = strings.ReplaceAll(*config, `name = "paytm"`, `name = "bank"`) + "connector = \"bank\"\n"
		}, check: "PSP accounts", verdict: checkFail, found: `"bank" does not exist`},
		{name: "PSP without a key", spoil: func(_ *testing.T, _ string, config *string) {
			*config = strings.Replace(*config, `key = "0123456789abcdef"`, "", 1)
		}, check: "PSP accounts", verdict: checkFail, found: "it has no key: what its provider sends could not be verified"},
		{name: "PostgreSQL away", spoil: func(_ *testing.T, _ string, config *string) {
			*config = "database = \"postgres://nobody@127.0.0.1:1/none\"\n" + *config
		}, check: "database", verdict: checkFail, found: "connect"},
		{name: "licensed", spoil: licensed("profile = \"generic\"\n[rates]\nINR = \"102.5\"\n"), check: "rules", verdict: checkOK, found: "profile generic, hash "},
		{name: "no rate", spoil: licensed("profile = \"generic\"\n"), check: "rules", verdict: checkWarn, found: "project 7: no rate for INR: "},
		{name: "old rates", spoil: licensed("profile = \"generic\"\nrates_as_of = \"2026-01-01\"\n[rates]\nINR = \"102.5\"\n"), check: "rules", verdict: checkWarn, found: "exchange rates are of 2026-01-01"},
		{name: "wrong rules", spoil: licensed("profile = \"generic\"\nunknown = 1\n"), check: "configuration", verdict: checkFail, found: "rules.toml:2: unknown: "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir, config := t.TempDir(), goodConfig
			if err := os.Chmod(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			test.spoil(t, dir, &config)
			if !strings.HasPrefix(config, "data = ") {
				config = "data = \"" + dir + "\"\n" + config
			}
			out, _, err := aorta(t, "doctor", "--json", "--config", write(t, t.TempDir(), "aorta.toml", config, 0o600))
			var r doctorReport
			if jsonErr := json.Unmarshal([]byte(out), &r); jsonErr != nil {
				t.Fatalf("doctor printed %q (%v): %v", out, err, jsonErr)
			}
			if test.verdict == checkFail != errors.Is(err, errUnfit) || r.OK == errors.Is(err, errUnfit) {
				t.Errorf("doctor = %v with ok %t, the check must be %s: %s", err, r.OK, test.verdict, out)
			}
			for _, c := range r.Checks {
				if c.Name == test.check && c.Verdict == test.verdict && strings.Contains(c.Found, test.found) {
					return
				}
			}
			t.Errorf("no check %q says %s with %q: %s", test.check, test.verdict, test.found, out)
		})
	}
}

func TestDoctorForPeople(t *testing.T) {
	t.Parallel()
	out, _, err := aorta(t, "doctor", "--data", filepath.Join(t.TempDir(), "none"))
	if err != nil || !strings.Contains(out, "ok    clock") || !strings.Contains(out, "→ nothing, if this is a new installation") {
		t.Errorf("doctor printed %q (%v)", out, err)
	}
	if _, err := os.Stat(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("doctor made a data directory")
	}
}

// TestDoctorOnPostgreSQL: a server whose log has to grow under load is told of.
func TestDoctorOnPostgreSQL(t *testing.T) {
	t.Parallel()
	server := os.Getenv("AORTA_TEST_POSTGRES")
	if server == "" {
		t.Skip("AORTA_TEST_POSTGRES names no server")
	}
	out, _, err := aorta(t, "doctor", "--json", "--data", filepath.Join(t.TempDir(), "none"), "--database", server)
	var r doctorReport
	if bad := json.Unmarshal([]byte(out), &r); bad != nil {
		t.Fatalf("doctor printed %q (%v): %v", out, err, bad)
	}
	for _, c := range r.Checks { // the test's server is as it was made: 80 MB
		if c.Name == "log" && c.Verdict == checkWarn && strings.Contains(c.Found, "80 MB") && strings.Contains(c.ToDo, "min_wal_size") {
			return
		}
	}
	t.Errorf("doctor says %s", out)
}
