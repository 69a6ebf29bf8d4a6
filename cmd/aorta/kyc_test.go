package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestKYCGuide does what docs/kyc.md says, on a demo: a payout that needs a level goes on
// by itself once its customer has shown who they are, and verify has nothing to say.
func TestKYCGuide(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("AORTA_TEST_ALL") != "" {
			t.Fatal("no curl")
		}
		t.Skip("no curl")
	}
	guide, err := os.ReadFile("../../docs/kyc.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(guide, -1)
	if len(blocks) != 1 {
		t.Fatalf("docs/kyc.md has %d blocks to paste, want 1", len(blocks))
	}
	_, settings, _ := strings.Cut(string(guide), "```toml\n")
	settings, _, _ = strings.Cut(settings, "```")
	if cfg, err := loaded(t, settings); err != nil || len(cfg.KYC) != 2 {
		t.Errorf("the guide's settings: %+v, %v", cfg.KYC, err)
	}
	data := filepath.Join(t.TempDir(), "data")
	out := launch(t, "demo", "--json", "--data", data, "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0")
	var d ready
	if err := json.NewDecoder(out).Decode(&d); err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("http://127.0.0.1:8080", d.Public, "http://127.0.0.1:8082", d.Sandbox).Replace(string(blocks[0][1]))
	shell := exec.CommandContext(t.Context(), "sh", "-c", text)
	shell.Env = append(os.Environ(), "KEY="+d.Licensed.APIKey)
	shell.WaitDelay = 10 * time.Second
	said, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	for _, want := range []string{
		`^{"error":"kyc_required".*"payout_id":"po_`, `^{"check_id":"kyc_[0-9a-z]{26}","level":1,"status":"open","url":"` + regexp.QuoteMeta(d.Sandbox),
		`^{"customer_id":"42","level":1,`, `^{"payout_id":"po_.*"status":"paid"`,
	} {
		if !regexp.MustCompile("(?m)" + want).Match(said) {
			t.Errorf("nothing it says is %s:\n%s", want, said)
		}
	}
	// A level that ends is taken back, and what only a person decides waits.
	post := func(base, path, key, body string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+d.Licensed.APIKey)
		r.Header.Set("Idempotency-Key", key)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("POST %s = %d %s, %v", path, resp.StatusCode, text, err)
		}
		return string(text)
	}
	level := func(want int) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.Public+"/v1/customers/42/kyc", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+d.Licensed.APIKey)
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if bytes.Contains(text, fmt.Appendf(nil, `"level":%d,`, want)) && bytes.HasPrefix(text, fmt.Appendf(nil, `{"customer_id":"42","level":%d`, want)) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("level: %s, want %d", text, want)
			}
		}
	}
	post(d.Sandbox, "/control", "c", `{"connector":"kyc","next":"expire","delay_ms":3000}`)
	post(d.Public, "/v1/customers/42/kyc", "two", `{"level":2}`)
	level(2)
	level(1)
	if person := post(d.Public, "/v1/customers/42/kyc", "three", `{"level":3}`); !strings.Contains(person, `"status":"open"`) || strings.Contains(person, `"url"`) {
		t.Errorf("a check by a person: %s", person)
	}
	// The provider tells a name. Nothing of ours can be read for it, only for its hash.
	check := post(d.Public, "/v1/customers/43/kyc", "named", `{"level":1}`)
	_, page, _ := strings.Cut(check, `"url":"`)
	page, _, _ = strings.Cut(page, `"`)
	_, token, _ := strings.Cut(page, "token=")
	pressed, err := http.PostForm(page, url.Values{ //nolint:noctx // it is on this machine
		"action": {"approve"}, "token": {token}, "name": {"Zebulon Quagmire"}, "birth": {"1980-02-03"}, "number": {"Z 1"}, "until": {"2090-01-01"},
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = pressed.Body.Close()
	hashed := false
	for end := time.Now().Add(20 * time.Second); !hashed; time.Sleep(20 * time.Millisecond) {
		files, err := filepath.Glob(filepath.Join(data, "aorta.db*"))
		if err != nil || len(files) == 0 || time.Now().After(end) {
			t.Fatalf("no hash of a name is stored in %v, %v: was none told?", files, err)
		}
		for _, file := range files {
			rows, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(rows, []byte("Quagmire")) {
				t.Fatalf("%s has a customer's name", filepath.Base(file))
			}
			hashed = hashed || bytes.Contains(rows, []byte(check[strings.Index(check, "kyc_"):][:30]+`","check_id":"chk_`))
		}
	}
	// Whoever has not got the secret changes nothing.
	resp, err := http.DefaultClient.PostForm(d.Public+"/n/kyc/demo", url.Values{})
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("unsigned news = %d, want 401", resp.StatusCode)
	}
	var report bytes.Buffer
	if err := run(t.Context(), []string{"verify", "--data", data}, streams{&report, io.Discard}); err != nil {
		t.Errorf("verify: %v: %s", err, report.String())
	}
}

// TestKYCSettings: what a configuration may say of who checks customers.
func TestKYCSettings(t *testing.T) {
	t.Parallel()
	const key = "a key of persons, 14 bytes and more"
	good := kycConfig{Name: "bureau", Type: "hosted", BaseURL: "https://kyc.example", Key: "a secret of 14 bytes"}
	for _, test := range []struct {
		name string
		list []kycConfig
		key  string
		want string // part of the error; "": none
	}{
		{"none", nil, "", ""},
		{"one", []kycConfig{good}, key, ""},
		{"two, by level", []kycConfig{{Name: "a", Type: "manual", Levels: []int64{3}}, {Name: "bureau", Type: "hosted", Levels: []int64{1, 2}, BaseURL: good.BaseURL, Key: good.Key}}, key, ""},
		{"no person key", []kycConfig{good}, "", "kyc_person_key"},
		{"no secret", []kycConfig{{Name: "bureau", Type: "hosted", BaseURL: good.BaseURL}}, key, "secret"},
		{"no address", []kycConfig{{Name: "bureau", Type: "hosted", Key: good.Key}}, key, "base URL"},
		{"no name", []kycConfig{{Type: "manual"}}, key, "name"},
		{"no type", []kycConfig{{Name: "a"}}, key, "hosted and manual"},
		{"manual with an address", []kycConfig{{Name: "a", Type: "manual", BaseURL: good.BaseURL}}, key, "an operator decides"},
		{"level 0", []kycConfig{{Name: "a", Type: "manual", Levels: []int64{0}}}, key, "levels are 1 to 3"},
		{"a level twice", []kycConfig{good, {Name: "a", Type: "manual", Levels: []int64{3}}}, key, `level 3 is checked by "bureau"`},
		{"a name twice", []kycConfig{{Name: "a", Type: "manual", Levels: []int64{3}}, {Name: "a", Type: "manual", Levels: []int64{2}}}, key, "twice"},
	} {
		_, _, err := verifiers(test.list, test.key)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), good.Key) {
			t.Errorf("%s: the error shows a secret: %v", test.name, err)
		}
	}
}
