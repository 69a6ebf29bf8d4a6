package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aorta/internal/operator"
	"aorta/internal/store/storetest"

	"github.com/jackc/pgx/v5"
)

// TestOperatorsCommand: what the verb asks the ops listener for.
func TestOperatorsCommand(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		args    []string
		status  int
		asked   string
		wantErr string
	}{
		{
			name: "create", args: []string{"create", "ann", "--role", "finance", "--role", "viewer"}, status: 200,
			asked: `POST /admin/operators {"name":"ann","roles":["finance","viewer"]}`,
		},
		{name: "list", args: []string{"list"}, status: 200, asked: "GET /admin/operators null"},
		{name: "confirm", args: []string{"confirm", "ann"}, status: 200, asked: "POST /admin/operators/ann/confirm {}"},
		{name: "revoke", args: []string{"revoke", "../ann"}, status: 200, asked: "POST /admin/operators/..%2Fann/revoke {}"},
		{name: "no role", args: []string{"create", "ann"}, wantErr: "role"},
		{name: "refused", args: []string{"create", "ann", "--role", "admin"}, status: 409, asked: "POST", wantErr: "there is one"},
		{name: "wrong token", args: []string{"list"}, status: 401, asked: "GET", wantErr: "operator's token"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var asked, token string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				text, _ := io.ReadAll(r.Body)
				asked, token = r.Method+" "+r.URL.RequestURI()+" "+string(text), r.Header.Get("Authorization")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, `{"message":"there is one"}`)
			}))
			t.Cleanup(server.Close)
			_, _, err := aorta(t, append(append([]string{"operators"}, test.args...), "--ops", server.URL, "--token", "op_1")...)
			if (err == nil) != (test.wantErr == "") || (err != nil && !strings.Contains(err.Error(), test.wantErr)) {
				t.Fatalf("operators = %v, want an error with %q", err, test.wantErr)
			}
			if !strings.HasPrefix(asked, test.asked) || test.asked != "" && token != "Bearer op_1" {
				t.Errorf("asked %q with %q, want %q", asked, token, test.asked)
			}
		})
	}
}

// office is a house that ran for a while and is closed again, with its operators.
func office(t *testing.T, database string, do func(h *house)) (dir string) {
	t.Helper()
	cmd := demoCmd{Data: t.TempDir(), Database: database, Listen: "127.0.0.1:0", OpsListen: "127.0.0.1:0", PageAttempts: 1}
	cmd.BaseTime, cmd.LimitTime, cmd.CallbackUnit = 1e9, 1e9, 1e9
	h, err := open(t.Context(), cmd.settings("http://127.0.0.1:1", demoHouse{secret: "a secret of the demo", licensed: "another secret of the demo", psp: "a third secret of it", kyc: "a fourth secret of it", persons: "a fifth secret of it"}), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	do(h)
	return cmd.Data
}

// TestDemoOperators: a demo has the operators it prints, and each may do what
// they are there for; a restarted one has the same.
func TestDemoOperators(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	var first ready
	for n := range 2 {
		ctx, stop := context.WithCancel(t.Context())
		out, in := io.Pipe()
		ended := make(chan error, 1)
		go func() {
			ended <- run(ctx, []string{
				"demo", "--json", "--data", data, "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0",
			}, streams{in, io.Discard})
			_ = in.Close()
		}()
		var h ready
		if err := json.NewDecoder(out).Decode(&h); err != nil || !h.Ready {
			t.Fatalf("ready line %+v: %v", h, err)
		}
		roles := map[operator.Role]int{}
		for i, o := range h.Operators {
			for _, r := range o.Roles {
				roles[r]++
			}
			list, _, err := aorta(t, "operators", "list", "--ops", h.Ops, "--token", o.Token)
			if may := len(o.Roles) == 1 && (o.Roles[0] == operator.Admin || o.Roles[0] == operator.MLRO); (err == nil) != may {
				t.Errorf("operators list by %s = %q, %v", o.Name, list, err)
			}
			if n == 1 && o.Token != first.Operators[i].Token {
				t.Errorf("%s has another token after a restart", o.Name)
			}
		}
		if roles[operator.PayoutApprover] < 2 || roles[operator.Finance] < 2 || roles[operator.RGOfficer] == 0 || roles[operator.Admin] == 0 || roles[operator.AMLAnalyst] == 0 || roles[operator.MLRO] == 0 {
			t.Errorf("the demo has %v", roles)
		}
		first = h
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if out, _, err := aorta(t, "audit", "verify", "--data", data, "--json"); err != nil || !strings.Contains(out, `"ok":true`) {
		t.Errorf("audit verify = %s, %v", out, err)
	}
}

// TestAuditCommand: the log of a house is printed and holds; what is changed in it
// afterwards is found, also if all the rest was written anew to fit.
func TestAuditCommand(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			database := ""
			if kind == "postgres" {
				if os.Getenv("AORTA_TEST_POSTGRES") == "" {
					t.Skip("AORTA_TEST_POSTGRES names no server")
				}
				database = storetest.Database(t)
			}
			data := office(t, database, func(h *house) {
				out, _, err := aorta(t, "operators", "create", "zoe", "--role", "admin", "--ops", h.opsURL)
				if err != nil || !strings.Contains(out, `"token":"op_`) {
					t.Fatalf("operators create = %s, %v", out, err)
				}
			})
			args := []string{"--data", data}
			if database != "" {
				args = append(args, "--database", database)
			}
			verify := func() (auditReport, error) {
				t.Helper()
				out, _, err := aorta(t, append([]string{"audit", "verify", "--json"}, args...)...)
				var report auditReport
				if e := json.Unmarshal([]byte(out), &report); e != nil {
					t.Fatalf("audit verify printed %q (%v)", out, err)
				}
				return report, err
			}
			made := len(demoOperators) + 3 // two API keys, and zoe
			report, err := verify()
			if err != nil || !report.OK || report.Entries != made || report.Signed == 0 {
				t.Fatalf("audit verify = %+v, %v", report, err)
			}
			out, _, err := aorta(t, append([]string{"audit", "export"}, args...)...)
			if lines := strings.Split(strings.TrimSpace(out), "\n"); err != nil || len(lines) != report.Entries+1 || !strings.Contains(out, `"who":"ops:open","what":"operator.create"`) || !strings.Contains(lines[len(lines)-1], `"signature"`) {
				t.Errorf("audit export = %s, %v", out, err)
			}
			change := func(query string) {
				t.Helper()
				if database != "" {
					db, err := pgx.Connect(t.Context(), database)
					if err != nil {
						t.Fatal(err)
					}
					defer db.Close(t.Context())
					if _, err := db.Exec(t.Context(), query); err != nil {
						t.Fatal(err)
					}
					return
				}
				db, err := sql.Open("sqlite", "file:"+filepath.Join(data, "aorta.db"))
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				if _, err := db.ExecContext(t.Context(), query); err != nil {
					t.Fatal(err)
				}
			}
			for _, spoil := range []struct{ change, back, want string }{
				{"UPDATE audit SET who = 'eve' WHERE number = 3", "UPDATE audit SET who = 'demo:start' WHERE number = 3", "not what was written"},
				{"UPDATE audit SET number = 90 WHERE number = 3", "UPDATE audit SET number = 3 WHERE number = 90", "missing"},
				{"UPDATE audit_head SET number = number + 1", "UPDATE audit_head SET number = number - 1", "cut"},
				{"UPDATE audit_head SET hash = 'x'||hash", "UPDATE audit_head SET hash = substr(hash, 2)", "head does not name"},
			} {
				change(spoil.change)
				report, err := verify()
				if !errors.Is(err, errViolated) || report.OK || !strings.Contains(strings.Join(report.Violations, " "), spoil.want) {
					t.Errorf("after %s: %+v, %v, want %q", spoil.change, report, err, spoil.want)
				}
				change(spoil.back)
				if report, err = verify(); err != nil {
					t.Fatalf("after %s: %+v, %v", spoil.back, report, err)
				}
			}
			file := filepath.Join(data, headsFile)
			heads, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			write := func(text string) {
				t.Helper()
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			// Heads that were taken away, be it with their file, are missed.
			for _, take := range []func(){func() { write("") }, func() { _ = os.Remove(file) }} {
				take()
				report, err := verify()
				if !errors.Is(err, errViolated) || report.OK || report.Signed != 0 || !strings.Contains(strings.Join(report.Violations, " "), "nothing to compare with") {
					t.Errorf("without signed heads: %+v, %v", report, err)
				}
				out, _, err := aorta(t, append([]string{"audit", "verify", "--no-heads"}, args...)...)
				if err != nil || !strings.Contains(out, "nothing to compare with") || !strings.Contains(out, "every chain holds") {
					t.Errorf("with --no-heads: %q, %v", out, err)
				}
			}
			// A last line that a crash has torn takes nothing from the others.
			newest := string(heads[bytes.LastIndexByte(heads[:len(heads)-1], '\n')+1:])
			for _, torn := range []string{`{"at_us":17`, "\x00\x00\x00", newest[:len(newest)-9]} {
				write(string(heads) + torn)
				if report, err := verify(); err != nil || report.Signed != bytes.Count(heads, []byte("\n")) || len(report.Torn) != 1 {
					t.Errorf("with a torn last line: %+v, %v", report, err)
				}
			}
			write("{}x\n" + string(heads))
			if report, err := verify(); !errors.Is(err, errViolated) || report.Signed == 0 || !strings.Contains(strings.Join(report.Violations, " "), "line 1, is no statement") {
				t.Errorf("with a line that is none: %+v, %v", report, err)
			}
			write(string(heads) + `{"at_us":17`)
			if cut, err := appendLine(file, strings.TrimSpace(newest)); err != nil || cut != 11 {
				t.Errorf("a torn line of 11 bytes was cut by %d, %v", cut, err)
			}
			if report, err := verify(); err != nil || len(report.Torn) != 0 || report.Signed != bytes.Count(heads, []byte("\n"))+1 {
				t.Errorf("with the torn line cut: %+v, %v", report, err)
			}
			if _, _, err := aorta(t, append([]string{"audit", "verify", "--no-heads", "--heads", file}, args...)...); err == nil {
				t.Error("heads are given and said to be none, and that is taken")
			}
			forged := strings.Replace(string(heads), `"number":`, `"number":1`, 1)
			if err := os.WriteFile(filepath.Join(data, headsFile), []byte(forged), 0o600); err != nil {
				t.Fatal(err)
			}
			if report, err := verify(); !errors.Is(err, errViolated) || !strings.Contains(strings.Join(report.Violations, " "), "signature") {
				t.Errorf("with forged heads: %+v, %v", report, err)
			}
			if err := os.WriteFile(filepath.Join(data, headsFile), heads, 0o600); err != nil {
				t.Fatal(err)
			}
			change("DELETE FROM audit")
			change("DELETE FROM audit_head")
			if report, err := verify(); !errors.Is(err, errViolated) || !strings.Contains(strings.Join(report.Violations, " "), "was signed, and is missing") {
				t.Errorf("without any log: %+v, %v", report, err)
			}
		})
	}
}

// TestAppendLine: what a crash has left of a last line is cut, and nothing else.
func TestAppendLine(t *testing.T) {
	t.Parallel()
	long := `{"x":"` + strings.Repeat("y", 100) + `"}`
	for name, test := range map[string]struct{ was, want string }{
		"no file":              {was: "", want: ""},
		"whole":                {was: "{}\n" + long + "\n", want: "{}\n" + long + "\n"},
		"without its end":      {was: "{}\n" + long, want: "{}\n" + long + "\n"},
		"torn":                 {was: long + "\n" + long[:20], want: long + "\n"},
		"torn, and alone":      {was: long[:20], want: ""},
		"zeros":                {was: "{}\n\x00\x00\x00\x00", want: "{}\n"},
		"zeros, with its end":  {was: "{}\n\x00\x00\x00}\n", want: "{}\n"},
		"an empty line behind": {was: "{}\n\n", want: "{}\n"},
	} {
		path := filepath.Join(t.TempDir(), "lines")
		if test.was != "" {
			if err := os.WriteFile(path, []byte(test.was), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cut, err := appendLine(path, `{"n":1}`)
		got, _ := os.ReadFile(path)
		if want := test.want + `{"n":1}` + "\n"; err != nil || string(got) != want || cut != max(0, int64(len(test.was)-len(test.want))) {
			t.Errorf("%s: %q with %d bytes cut, %v, want %q", name, got, cut, err, want)
		}
	}
	path := filepath.Join(t.TempDir(), "lines")
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), maxStatement+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := appendLine(path, "{}"); err == nil {
		t.Error("a line of the length of none is cut")
	}
}

// TestLogThatOnlyGrows: on PostgreSQL the platform runs as a role that can add to
// the operators' log and take nothing away, as docs/operators.md has it.
func TestLogThatOnlyGrows(t *testing.T) {
	t.Parallel()
	if os.Getenv("AORTA_TEST_POSTGRES") == "" {
		t.Skip("AORTA_TEST_POSTGRES names no server")
	}
	guide, err := os.ReadFile("../../docs/operators.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(guide), "```sql\n")
	grants, _, _ := strings.Cut(rest, "```")
	owners := storetest.Database(t)
	owner, err := pgx.Connect(t.Context(), owners)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = owner.Close(context.WithoutCancel(t.Context())) })
	role := "aorta_" + strings.ToLower(rand.Text()[:12])
	do := func(ctx context.Context, query string) {
		t.Helper()
		if _, err := owner.Exec(ctx, query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	if _, _, err := aorta(t, "migrate", "--database", owners); err != nil {
		t.Fatal(err)
	}
	do(t.Context(), "CREATE ROLE "+role+" LOGIN PASSWORD 'secret'")
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		do(ctx, "DROP OWNED BY "+role)
		do(ctx, "DROP ROLE "+role)
	})
	do(t.Context(), strings.NewReplacer(" TO aorta;", " TO "+role+";", " FROM aorta;", " FROM "+role+";").Replace(grants))
	u, err := url.Parse(owners)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, "secret")
	query := u.Query()
	query.Del("user")
	query.Del("password")
	u.RawQuery = query.Encode()
	office(t, u.String(), func(h *house) {
		if out, _, err := aorta(t, "operators", "create", "zoe", "--role", "admin", "--ops", h.opsURL); err != nil {
			t.Errorf("operators create = %s, %v", out, err)
		}
	})
	db, err := pgx.Connect(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(context.WithoutCancel(t.Context())) })
	var entries int
	if err := db.QueryRow(t.Context(), "SELECT count(*) FROM audit").Scan(&entries); err != nil || entries == 0 {
		t.Errorf("the log has %d entries (%v)", entries, err)
	}
	for _, change := range []string{"UPDATE audit SET who = 'eve'", "DELETE FROM audit", "TRUNCATE audit"} {
		if _, err := db.Exec(t.Context(), change); err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("%s by the platform's role = %v, want that it may not", change, err)
		}
	}
}
