package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"aorta/internal/project"
	"aorta/internal/risk"
)

// rulesCheck runs aorta rules check.
func rulesCheck(t *testing.T, path string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), []string{"rules", "check", path}, streams{&out, io.Discard})
	return out.String(), err
}

func TestRulesCheck(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	said, err := rulesCheck(t, write(t, dir, "good.toml", "profile = \"se\"\n[payout]\nmanual_above_minor = 100\n", 0o600))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"profile se\n", "hash    ", "  payout.manual_above_minor: 500000 → 100\n"} {
		if !strings.Contains(said, want) {
			t.Errorf("rules check says %q, and not %q", said, want)
		}
	}
	if said, err := rulesCheck(t, write(t, dir, "plain.toml", "profile = \"uk\"\n", 0o600)); err != nil || !strings.Contains(said, "no difference from the profile") {
		t.Errorf("rules check of a profile = %q, %v", said, err)
	}
	bad := write(t, dir, "bad.toml", "profile = \"uk\"\n\n[payout]\nmanual = 1\n\n[[rule]]\nid = \"V99\"\n", 0o600)
	_, err = rulesCheck(t, bad)
	if err == nil || !strings.Contains(err.Error(), bad+":4: payout.manual: ") || !strings.Contains(err.Error(), bad+":7: rule[0].id: ") {
		t.Errorf("rules check of a wrong file = %v", err)
	}
	var problem *risk.Problem
	if !errors.As(err, &problem) || exitCode(err) != 1 {
		t.Errorf("exit code %d of %v", exitCode(err), err)
	}
}

// TestLicences: what a configuration may say of rules.
func TestLicences(t *testing.T) {
	t.Parallel()
	const head = "[[project]]\nid = 1\nmerchant = 7\nsecret = \"s\"\n"
	const second = "[[project]]\nid = 2\nsecret = \"s\"\n"
	const wallet = "wallet = true\nwallet_only = true\n"
	tests := []struct {
		name, text string
		rules      string // the file's text; empty: there is none
		err        string // empty: it is taken
	}{
		{name: "none", text: head},
		{name: "one", text: head + wallet + "rules = \"rules.toml\"\n", rules: "profile = \"generic\""},
		{name: "no wallet", text: head + "rules = \"rules.toml\"\n", rules: "profile = \"generic\"", err: "rules need wallet = true"},
		{name: "not only the wallet", text: head + "wallet = true\nrules = \"rules.toml\"\n", rules: "profile = \"generic\"", err: "wallet_only = true"},
		{name: "no file", text: head + wallet + "rules = \"rules.toml\"\n", err: "project 1: rules: open "},
		{name: "a wrong file", text: head + wallet + "rules = \"rules.toml\"\n", rules: "profile = \"generic\"\nunknown = 1\n", err: "rules.toml:2: unknown: "},
		{name: "two merchants", text: head + wallet + "rules = \"rules.toml\"\n" + second, rules: "profile = \"generic\""},
		{
			name: "the same for both of one merchant", rules: "profile = \"generic\"",
			text: head + wallet + "rules = \"rules.toml\"\n" + second + "merchant = 7\n" + wallet + "rules = \"./rules.toml\"\n",
		},
		{
			name: "one of two of a merchant", rules: "profile = \"generic\"", err: "project 2: rules must be ",
			text: head + wallet + "rules = \"rules.toml\"\n" + second + "merchant = 7\n" + wallet,
		},
		{
			name: "the other of two", rules: "profile = \"generic\"", err: "project 2: rules must be left out",
			text: head + wallet + second + "merchant = 7\n" + wallet + "rules = \"rules.toml\"\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if tt.rules != "" {
				write(t, dir, "rules.toml", tt.rules, 0o600)
			}
			s, err := load(write(t, dir, "aorta.toml", tt.text, 0o600), func(string) string { return "" })
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("load() = %v, want an error with %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatalf("load() = %v", err)
			}
			for _, p := range s.Projects {
				want := strings.Contains(tt.text, "rules") && p.MerchantID == 7
				if got := s.rules(p.ID); (got != nil) != want || (want && got != s.rules(1)) {
					t.Errorf("project %d has rules %v, want some: %t, and one set for all", p.ID, got, want)
				}
			}
		})
	}
}

// TestDemoIsLicensed: the demo has a second project with rules, whose secrets
// and key stay from start to start, and whose rules a person may change.
func TestDemoIsLicensed(t *testing.T) {
	t.Parallel()
	cmd := demoCmd{Data: filepath.Join(t.TempDir(), "data")}
	first, err := cmd.house()
	if err != nil {
		t.Fatal(err)
	}
	again, err := cmd.house()
	if err != nil || !slices.Equal(again.secrets(), first.secrets()) || again.rules.Rules.Hash != first.rules.Rules.Hash {
		t.Errorf("the second start has %v, %v; the first %v", again, err, first)
	}
	all := first.secrets()
	slices.Sort(all)
	if len(slices.Compact(all)) != 5 {
		t.Error("two of the demo's parts have one secret")
	}
	s := cmd.settings("http://127.0.0.1:1", first)
	if err := s.checkLicences(); err != nil {
		t.Error(err)
	}
	used := map[string]bool{first.licensed: true, s.PersonKey: true}
	for _, c := range s.Connectors {
		if c.Account == licensedAccount {
			used[c.Key] = true
		}
	}
	for _, k := range s.KYC {
		if k.Type == "hosted" {
			used[k.Key] = true
		}
	}
	if len(used) != 4 {
		t.Errorf("project, provider, who checks and persons of the licensed house share secrets: there are %d", len(used))
	}
	if err := os.WriteFile(first.rules.File, []byte("profile = \"se\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if changed, err := cmd.house(); err != nil || changed.rules.Rules.Profile != "se" {
		t.Errorf("changed rules: %v, %v", changed.rules.Rules, err)
	}
	if err := os.WriteFile(first.rules.File, []byte("profile = \"atlantis\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.house(); err == nil || !strings.Contains(err.Error(), first.rules.File+":1: profile: ") {
		t.Errorf("wrong rules: %v", err)
	}
}

// secrets are all that a demo keeps.
func (d demoHouse) secrets() []string { return []string{d.secret, d.licensed, d.psp, d.kyc, d.persons} }

// TestRulesAreLogged: what a start changes of the rules is in the audit log, once.
func TestRulesAreLogged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start := func(rules string) {
		t.Helper()
		s := settings{
			Data: filepath.Join(dir, "data"), Listen: "127.0.0.1:0", OpsListen: "127.0.0.1:0", knobs: knobs{BaseTime: 1e9, LimitTime: 1e9, CallbackUnit: 1e9},
			Projects: []project.Project{
				{ID: 1, MerchantID: 7, Wallet: true, WalletOnly: true}, {ID: 2, MerchantID: 7, Wallet: true, WalletOnly: true}, {ID: 3, MerchantID: 8},
			},
		}
		if rules != "" {
			path := write(t, dir, "rules.toml", rules, 0o600)
			if err := errors.Join(s.license(1, dir, path), s.license(2, dir, path)); err != nil {
				t.Fatal(err)
			}
		}
		h, err := open(t.Context(), s, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		h.Close()
	}
	logged := func() []string {
		t.Helper()
		db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "data", "aorta.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		rows, err := db.QueryContext(t.Context(), "SELECT who, what, details FROM audit ORDER BY number")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		var all []string
		for rows.Next() {
			var who, what, details string
			if err := rows.Scan(&who, &what, &details); err != nil {
				t.Fatal(err)
			}
			all = append(all, who+" "+what+" "+details)
		}
		return all
	}
	start("")
	if all := logged(); len(all) != 0 {
		t.Fatalf("a house without rules has logged %v", all)
	}
	start("profile = \"generic\"\n")
	start("profile = \"generic\" # the same\n")
	start("profile = \"generic\"\n[payout]\nmanual_above_minor = 7\n")
	start("")
	all := logged()
	wants := []string{
		`rules:start rules.load {"changes":["profile: now generic",`,
		`rules:start rules.load {"changes":["payout.manual_above_minor: 500000 → 7"],"merchant":7,"profile":"generic"}`,
		`rules:start rules.remove {"changes":["profile: no longer generic",`,
	}
	if len(all) != len(wants) {
		t.Fatalf("the log has %d entries, want %d: %v", len(all), len(wants), all)
	}
	for i, want := range wants {
		if !strings.HasPrefix(all[i], want) {
			t.Errorf("entry %d is %s, want %s…", i, all[i], want)
		}
	}
}

// TestReadyLine: the first project's key is the line's last, as scripts take it.
func TestReadyLine(t *testing.T) {
	t.Parallel()
	line, err := json.Marshal(ready{Licensed: readyLicensed{APIKey: "licensed"}, APIKey: "first"})
	if err != nil {
		t.Fatal(err)
	}
	if i := strings.LastIndex(string(line), `"api_key"`); !strings.HasPrefix(string(line[i:]), `"api_key":"first"`) {
		t.Errorf("the line's last api_key is the licensed project's: %s", line)
	}
}
