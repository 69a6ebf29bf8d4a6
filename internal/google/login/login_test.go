package login_test

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"aorta/internal/google"
	"aorta/internal/google/login"
	"aorta/internal/sign"
)

const secret = "0123456789abcdef0123456789abcdef"

var now = time.Unix(1_767_323_045, 0)

func newLogin() *login.Login {
	return login.New(login.Options{
		Integration: "main", URL: "https://house.example/login", Secret: sign.NewSecret(secret), Now: func() time.Time { return now }, Random: rand.Reader,
	})
}

// signed is what docs/google.md tells an operator to do, by the standard library alone.
func signed(v url.Values) string {
	var parts []string
	for name := range v {
		if name != "signature" {
			parts = append(parts, name+":"+v.Get(name))
		}
	}
	slices.Sort(parts)
	mac := hmac.New(sha512.New, []byte(secret))
	mac.Write([]byte(strings.Join(parts, ";")))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func TestLogin(t *testing.T) {
	t.Parallel()
	l := newLogin()
	visit := google.Visit{Back: "https://pay.example/gsp/main/v1/authenticate/s/x/back", Language: "hi"}
	step, err := l.Begin(t.Context(), visit)
	if err != nil {
		t.Fatal(err)
	}
	to, err := url.Parse(step.Leave)
	if err != nil || !strings.HasPrefix(step.Leave, "https://house.example/login?") {
		t.Fatalf("leads to %s (%v)", step.Leave, err)
	}
	q := to.Query()
	if q.Get("signature") != signed(q) {
		t.Errorf("%s is not signed as the guide says", step.Leave)
	}
	if q.Get("return_url") != visit.Back || q.Get("language") != "hi" || q.Get("integration") != "main" || q.Get("time") != "1767323045" || q.Get("state") != step.Memory || step.Memory == "" {
		t.Errorf("it is told %v, and the page remembers %q", q, step.Memory)
	}
	if again, _ := l.Begin(t.Context(), visit); again.Memory == step.Memory {
		t.Error("two visits have one state")
	}
	visit.Memory = step.Memory
	answer := func(more ...string) url.Values {
		v := url.Values{"state": {step.Memory}, "time": {strconv.FormatInt(now.Unix(), 10)}, "customer_id": {"c-1 ü"}}
		for i := 0; i+1 < len(more); i += 2 {
			if v.Del(more[i]); more[i+1] != "" {
				v.Set(more[i], more[i+1])
			}
		}
		v.Set("signature", signed(v))
		return v
	}
	who, err := l.End(t.Context(), visit, answer())
	if err != nil || who != (google.Person{CustomerID: "c-1 ü", How: "operator"}) {
		t.Errorf("%+v, %v", who, err)
	}
	for off, good := range map[time.Duration]bool{5 * time.Minute: true, -5 * time.Minute: true, 301 * time.Second: false, -301 * time.Second: false} {
		if _, err := l.End(t.Context(), visit, answer("time", strconv.FormatInt(now.Add(off).Unix(), 10))); (err == nil) != good {
			t.Errorf("%s off: %v", off, err)
		}
	}
	if _, err := l.End(t.Context(), visit, answer("customer_id", "", "result", "cancelled")); !errors.Is(err, google.ErrGaveUp) {
		t.Errorf("cancelled: %v", err)
	}
	unsigned, twice, wrong := answer(), answer(), answer()
	unsigned.Del("signature")
	twice.Add("customer_id", "c-2")
	wrong.Set("customer_id", "c-2")
	forged := map[string]url.Values{
		"not signed": unsigned, "twice": twice, "another customer": wrong, "nothing": {},
		"another state": answer("state", "x"), "no state": answer("state", ""), "no time": answer("time", ""), "no number": answer("time", "soon"),
		"nobody": answer("customer_id", ""), "somebody who gave up": answer("result", "cancelled"), "another result": answer("customer_id", "", "result", "ok"),
		"more than that": answer("role", "admin"), "control characters": answer("customer_id", "a\nb"), "too long": answer("customer_id", strings.Repeat("x", 256)),
		"one for two": answer("customer_id", "a;state:"+step.Memory),
	}
	for name, v := range forged {
		if who, err := l.End(t.Context(), visit, v); !errors.Is(err, google.ErrForged) {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
	}
	visit.Memory = "" // the page forgets a state as soon as it was answered
	if _, err := l.End(t.Context(), visit, answer("state", "")); !errors.Is(err, google.ErrForged) {
		t.Errorf("nothing was begun: %v", err)
	}
}

func TestCheckURL(t *testing.T) {
	t.Parallel()
	for address, good := range map[string]bool{
		"https://house.example/login": true, "https://house.example:8443/a/b": true, "http://127.0.0.1:8080/login": true, "http://localhost/login": true,
		"": false, "house.example/login": false, "http://house.example/login": false, "https://a:b@house.example/": false, "https://house.example/login?x=1": false,
		"https://house.example/#x": false, "javascript:alert(1)": false, "https://house.example/" + strings.Repeat("x", 500): false,
	} {
		if err := login.CheckURL(address); (err == nil) != good {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// TestGuide does what docs/google.md says, with openssl.
func TestGuide(t *testing.T) {
	t.Parallel()
	for _, needed := range []string{"bash", "openssl"} {
		if _, err := exec.LookPath(needed); err != nil {
			if os.Getenv("AORTA_TEST_ALL") != "" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	guide, err := os.ReadFile("../../../docs/google.md")
	if err != nil {
		t.Fatal(err)
	}
	_, script, _ := strings.Cut(string(guide), "### Your own login")
	_, script, _ = strings.Cut(script, "```bash\n")
	script, _, _ = strings.Cut(script, "```")
	l := login.New(login.Options{Integration: "main", URL: "https://house.example/login", Secret: sign.NewSecret(secret), Now: time.Now, Random: rand.Reader})
	step, err := l.Begin(t.Context(), google.Visit{Back: "https://pay.example/back"})
	if err != nil {
		t.Fatal(err)
	}
	shell := exec.CommandContext(t.Context(), "bash", "-euc", script)
	shell.Env = append(os.Environ(), "STATE="+step.Memory, "RETURN_URL=https://pay.example/back", "LOGIN_SECRET="+secret)
	said, err := shell.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	to, err := url.Parse(strings.TrimSpace(string(said)))
	if err != nil {
		t.Fatal(err)
	}
	who, err := l.End(t.Context(), google.Visit{Memory: step.Memory}, to.Query())
	if err != nil || who.CustomerID != "7" {
		t.Errorf("%s: %+v, %v", said, who, err)
	}
}
