package sandbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aorta/internal/sandbox"
	"aorta/internal/sandbox/desk"
	"aorta/internal/sandbox/ecommpay"
	"aorta/internal/sandbox/fault"
	"aorta/internal/sandbox/kyc"
	"aorta/internal/sandbox/merchant"
	"aorta/internal/sandbox/paytm"
	"aorta/internal/sandbox/sms"
)

const projectSecret = "aorta-test-secret"

// bench is one sandbox behind a listener on 127.0.0.1.
type bench struct {
	t   *testing.T
	box *sandbox.Sandbox
	url string
}

func start(t *testing.T, change func(*sandbox.Options)) *bench {
	t.Helper()
	opts := sandbox.Options{Clock: time.Now, ProjectID: 200, ProjectSecret: projectSecret, DecideAfter: time.Millisecond}
	if change != nil {
		change(&opts)
	}
	box, err := sandbox.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(box.Handler())
	t.Cleanup(server.Close)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := box.Close(ctx); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
	box.SetOwnURL(server.URL)
	return &bench{t: t, box: box, url: server.URL}
}

func (b *bench) do(method, path, body string) (int, map[string]any) {
	b.t.Helper()
	req, err := http.NewRequest(method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		b.t.Fatalf("%s %s = %s: %v", method, path, text, err)
	}
	return resp.StatusCode, out
}

// sale initiates an order at the Paytm simulator as the platform would.
func (b *bench) sale(id string) string {
	b.t.Helper()
	key, err := paytm.NewKey(sandbox.DemoKey)
	if err != nil {
		b.t.Fatal(err)
	}
	body := fmt.Sprintf(`{"requestType":"Payment","mid":%q,"websiteName":%q,"orderId":%q,"callbackUrl":"http://127.0.0.1:1/n",`+
		`"txnAmount":{"value":"25.00","currency":"INR"},"userInfo":{"custId":"c"}}`, sandbox.DemoMID, sandbox.DemoWebsite, id)
	status, out := b.do(http.MethodPost, "/paytm/theia/api/v1/initiateTransaction?mid="+sandbox.DemoMID+"&orderId="+id,
		fmt.Sprintf(`{"head":{"signature":%q},"body":%s}`, key.Checksum([]byte(body), "AAAA"), body))
	answer, _ := out["body"].(map[string]any)
	info, _ := answer["resultInfo"].(map[string]any)
	if status != http.StatusOK || info["resultStatus"] != "S" {
		b.t.Fatalf("initiate = %d %v, want success", status, out)
	}
	token, _ := answer["txnToken"].(string)
	return token
}

func (b *bench) states() map[string]string {
	b.t.Helper()
	_, out := b.do(http.MethodGet, "/control/journal?connector=paytm&mid="+sandbox.DemoMID, "")
	states := map[string]string{}
	entries, _ := out["entries"].([]any)
	for _, each := range entries {
		entry, _ := each.(map[string]any)
		states[fmt.Sprint(entry["order_id"])] = fmt.Sprint(entry["state"])
	}
	return states
}

func TestControlRefusesWhatDoesNotExist(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	tests := []struct{ name, body string }{
		{name: "no body", body: ""},
		{name: "not JSON", body: "next=approve"},
		{name: "empty", body: "{}"},
		{name: "connector", body: `{"connector":"stripe","next":"approve","count":1}`},
		{name: "behaviour", body: `{"connector":"paytm","next":"explode","count":1}`},
		{name: "behaviour of the other one", body: `{"connector":"paytm","next":"redirect","count":1}`},
		{name: "zero", body: `{"connector":"paytm","next":"approve","count":0}`},
		{name: "negative", body: `{"connector":"paytm","next":"approve","count":-1}`},
		{name: "too many", body: `{"connector":"paytm","next":"approve","count":1000000001}`},
		{name: "count of another type", body: `{"connector":"paytm","next":"approve","count":"1"}`},
		{name: "unknown field", body: `{"connector":"paytm","next":"approve","times":1}`},
		{name: "operation", body: `{"connector":"paytm","next":"approve","operation":"capture"}`},
		{name: "operation of a merchant", body: `{"connector":"merchant","next":"approve","operation":"sale"}`},
		{name: "delay", body: `{"connector":"paytm","next":"late","delay_ms":600001}`},
		{name: "two values", body: `{"connector":"paytm","next":"approve"}{}`},
		{name: "too large", body: `{"connector":"` + strings.Repeat("x", 20<<10) + `"}`},
	}
	for _, tt := range tests {
		status, out := b.do(http.MethodPost, "/control", tt.body)
		connectors, _ := out["connectors"].(map[string]any)
		if status != http.StatusBadRequest || out["error"] == "" || connectors["paytm"] == nil || connectors["merchant"] == nil {
			t.Errorf("%s: POST /control = %d %v, want 400 and a list of what exists", tt.name, status, out)
		}
	}
	if status, _ := b.do(http.MethodDelete, "/control?connector=stripe", ""); status != http.StatusBadRequest {
		t.Errorf("DELETE /control of an unknown connector = %d, want 400", status)
	}
	if status, _ := b.do(http.MethodPost, "/control/notify?connector=merchant", ""); status != http.StatusBadRequest {
		t.Errorf("POST /control/notify of who notifies nobody = %d, want 400", status)
	}
	for _, query := range []string{"", "connector=merchant", "connector=paytm&after=x", "connector=paytm&limit=0", "connector=paytm&limit=10001"} {
		if status, _ := b.do(http.MethodGet, "/control/journal?"+query, ""); status != http.StatusBadRequest {
			t.Errorf("GET /control/journal?%s = %d, want 400", query, status)
		}
	}
}

func TestControlQueues(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	for _, body := range []string{
		`{"connector":"paytm","next":"decline","count":1,"operation":"sale"}`,
		`{"connector":"paytm","next":"late","delay_ms":600000}`,
		`{"connector":"merchant","next":"http_500","count":2}`,
	} {
		if status, out := b.do(http.MethodPost, "/control", body); status != http.StatusOK {
			t.Fatalf("POST /control %s = %d %v, want 200", body, status, out)
		}
	}
	queue := func(name string) string {
		_, out := b.do(http.MethodGet, "/control", "")
		connectors, _ := out["connectors"].(map[string]any)
		one, _ := connectors[name].(map[string]any)
		text, err := json.Marshal(one["queue"])
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	want := `[{"connector":"paytm","count":1,"next":"decline","operation":"sale"},{"connector":"paytm","count":1,"delay_ms":600000,"next":"late"}]`
	if got := queue("paytm"); got != want {
		t.Errorf("queue of paytm = %s, want %s", got, want)
	}
	b.sale("o")
	b.do(http.MethodDelete, "/control?connector=paytm", "")
	if got := queue("paytm"); got != "[]" {
		t.Errorf("queue after DELETE = %s, want none", got)
	}
	if got := queue("merchant"); got != `[{"connector":"merchant","count":2,"next":"http_500"}]` {
		t.Errorf("queue of the merchant = %s, want it left alone", got)
	}
	b.sale("p")
	for range 500 {
		if b.states()["o"] == "failed" {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	if got := b.states(); got["o"] != "failed" || got["p"] != "open" {
		t.Errorf("journal = %v, want o failed and p open", got)
	}
}

// TestRestart leaves the first sandbox running, as a SIGKILL leaves no time to
// close, and starts a second one from the same file.
func TestRestart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sandbox.journal")
	b := start(t, func(o *sandbox.Options) { o.StatePath = path })
	if status, _ := b.do(http.MethodPost, "/control", `{"connector":"paytm","next":"silent"}`); status != http.StatusOK {
		t.Fatalf("POST /control = %d", status)
	}
	b.sale("paid")
	token := b.sale("open")
	for range 500 {
		if b.states()["paid"] == "paid" {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	fields := map[string]string{"project_id": "200", "payment:id": "a", "payment:status": "success"}
	body := fmt.Sprintf(`{"project_id":200,"payment":{"id":"a","status":"success"},"signature":%q}`, ecommpay.SignFields(fields, projectSecret))
	resp, err := http.Post(b.url+"/merchant/callback", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()

	again := start(t, func(o *sandbox.Options) { o.StatePath = path })
	if got := again.states(); got["paid"] != "paid" || got["open"] != "open" || len(got) != 2 {
		t.Errorf("journal after a restart = %v, want paid and open", got)
	}
	if got := again.sale("open"); got != token {
		t.Errorf("token after a restart = %s, want %s", got, token)
	}
	if _, stats := again.do(http.MethodGet, "/merchant/stats", ""); stats["finals"] != 1.0 {
		t.Errorf("merchant after a restart = %v, want one final", stats)
	}
}

func TestAddressesMayComeLate(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	b.box.SetPublicURL("http://127.0.0.1:4711")
	resp, err := http.Get(b.url + "/") // redirected to the shop
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.Request.URL.Path != "/shop" || !strings.Contains(string(text), "http://127.0.0.1:4711/shared/merchant.js") {
		t.Errorf("GET / = %s, %v, want the shop with the platform's widget", resp.Request.URL, err)
	}
	notified := make(chan string, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { notified <- r.URL.Path }))
	t.Cleanup(receiver.Close)
	if !b.box.SetNotifyURL(sandbox.DemoMID, receiver.URL+"/n/paytm/demo") || b.box.SetNotifyURL("NOBODY", "") {
		t.Error("SetNotifyURL does not know its accounts")
	}
	if status, _ := b.do(http.MethodPost, "/control", `{"connector":"paytm","next":"approve","count":1}`); status != http.StatusOK {
		t.Fatalf("POST /control = %d", status)
	}
	b.sale("o")
	select {
	case path := <-notified:
		if path != "/n/paytm/demo" {
			t.Errorf("notified %s, want /n/paytm/demo", path)
		}
	case <-time.After(5 * time.Second):
		t.Error("no notification came")
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		opts sandbox.Options
	}{
		{name: "no clock"},
		{name: "bad key", opts: sandbox.Options{Clock: time.Now, Paytm: []sandbox.PaytmAccount{{MID: "M", Key: "short"}}}},
		{name: "no place for the journal", opts: sandbox.Options{Clock: time.Now, StatePath: "/nonexistent/journal"}},
	}
	for _, tt := range tests {
		if _, err := sandbox.New(tt.opts); err == nil {
			t.Errorf("%s: New = nil error, want one", tt.name)
		}
	}
}

// TestGuideNamesEverything: docs/sandbox.md has a line for every behaviour that
// the control door takes.
func TestGuideNamesEverything(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/sandbox.md")
	if err != nil {
		t.Fatal(err)
	}
	for connector, behaviours := range map[string][]fault.Behaviour{"paytm": desk.Behaviours, "generic": desk.Behaviours, "kyc": kyc.Behaviours, "lists": kyc.ListBehaviours, "sms": sms.Behaviours, "merchant": merchant.Behaviours} {
		_, part, found := strings.Cut(string(guide), "### `next` of `"+connector+"`")
		part, _, _ = strings.Cut(part, "\n##")
		if rows := strings.Count(part, "\n| `") - 1; !found || rows != len(behaviours) {
			t.Errorf("docs/sandbox.md has %d behaviours of %s, the sandbox %d", rows, connector, len(behaviours))
		}
		for _, b := range behaviours {
			if !strings.Contains(part, "\n| `"+string(b)+"` |") {
				t.Errorf("docs/sandbox.md does not tell of %s %s", connector, b)
			}
		}
	}
}
