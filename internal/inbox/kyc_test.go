package inbox_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"aorta/internal/connector"
	"aorta/internal/customer"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/internal/risk"
	"aorta/internal/verification"
	"aorta/internal/verification/manual"
)

// bureau is a provider of checks whose news is a form, sealed in a header:
// event=e1&check=kyc_…&level=1&kind=passed
type bureau struct {
	manual.Manual
	key string
}

func (b bureau) seal(body string) string {
	mac := hmac.New(sha256.New, []byte(b.key))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

func (bureau) NewsHeaders() []string { return []string{"X-Bureau"} }

func (b bureau) ReadNotification(n connector.Notification) (verification.News, error) {
	if !hmac.Equal([]byte(n.Header.Get("X-Bureau")), []byte(b.seal(string(n.Body)))) {
		return verification.News{}, connector.ErrSignature
	}
	v, err := url.ParseQuery(string(n.Body))
	level, number := strconv.ParseInt(v.Get("level"), 10, 64)
	if err != nil || number != nil {
		return verification.News{}, connector.ErrMalformed
	}
	return verification.News{
		EventID: v.Get("event"), Reference: v.Get("check"), Level: level,
		Outcome: verification.Outcome{Kind: verification.Kind(v.Get("kind")), Result: verification.Result{Reason: v.Get("reason"), Holder: v.Get("holder")}},
	}, nil
}

func (b bureau) Kept(n connector.Notification, _ string) (connector.Notification, error) {
	v, err := url.ParseQuery(string(n.Body))
	v.Del("holder")
	n.Body = []byte(v.Encode())
	n.Header = http.Header{"X-Bureau": {b.seal(string(n.Body))}}
	return n, err
}

// checked gives a house whose customer c1 has a check of level 1 under way.
func checked(t *testing.T) (*house, bureau, id.Check) {
	t.Helper()
	h, b := newHouse(t), bureau{key: "a key of the bureau"}
	rules, ok := risk.Profile("generic")
	if !ok {
		t.Fatal("no generic profile")
	}
	h.rules, h.pr.Wallet, h.pr.WalletOnly = rules, true, true
	h.checkers = verification.Directory{
		{Name: "bureau", Levels: []int64{1}, Provider: b},
		{Name: "other", Levels: []int64{2}, Provider: bureau{key: "another key"}},
		{Name: "people", Levels: []int64{3}, Provider: manual.Manual{}},
	}
	h.open()
	type answer struct {
		view flow.CheckView
		err  error
	}
	said := make(chan answer, 1)
	go func() {
		v, err := h.flows.StartCheck(context.WithoutCancel(t.Context()), flow.CheckRequest{Project: h.pr, CustomerID: "c1", Level: 1})
		said <- answer{v, err}
	}()
	for {
		select {
		case a := <-said:
			if a.err != nil {
				t.Fatal(a.err)
			}
			return h, b, a.view.Check.ID
		case <-time.After(time.Millisecond):
			h.settle()
		}
	}
}

// tells brings what a provider says of a check.
func (h *house) tells(account, seal string, body io.Reader) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/n/kyc/"+account, body)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Bureau", seal)
	w := httptest.NewRecorder()
	h.door.ServeHTTP(w, r)
	return w
}

// heard brings news that is signed as it should be, and has it applied.
func (h *house) heard(b bureau, body string) {
	h.t.Helper()
	if w := h.tells("bureau", b.seal(body), strings.NewReader(body)); w.Code != http.StatusOK {
		h.t.Fatalf("news of a check answered %d %s, want 200", w.Code, w.Body)
	}
	h.settle()
}

func (h *house) wantCheck(k id.Check, state customer.CheckState, level int64) {
	h.t.Helper()
	row, ok, err := h.home.Check(h.t.Context(), k)
	if err != nil || !ok || row.State != state {
		h.t.Errorf("the check is %s (found %t, %v), want %s", row.State, ok, err, state)
	}
	c, _, err := h.home.Customer(h.t.Context(), h.flows.CustomerOf(h.pr, "c1"))
	if err != nil || c.LevelAt(h.clock().UnixMicro()) != level {
		h.t.Errorf("the customer has level %d (%v), want %d", c.LevelAt(h.clock().UnixMicro()), err, level)
	}
}

// TestNewsOfACheck: it is stored, answered and applied, once however often it comes.
func TestNewsOfACheck(t *testing.T) {
	t.Parallel()
	h, b, k := checked(t)
	passed := "event=e1&check=" + k.String() + "&level=1&kind=passed&holder=Ann+Example"
	h.heard(b, passed)
	h.wantRow(payment.InboxApplied, "final: passed", 1)
	if rows := h.rows(); strings.Contains(rows[0].Body+rows[0].Header, "Ann") {
		t.Errorf("a name is stored: %+v", rows[0])
	}
	h.wantCheck(k, customer.CheckPassed, 1)
	h.heard(b, passed)
	h.heard(b, passed+"&again=yes") // the same nonce, dressed up
	h.wantRow(payment.InboxApplied, "final: passed", 1)
	h.heard(b, "event=e2&check="+k.String()+"&level=1&kind=expired&reason=document_expired")
	h.wantCheck(k, customer.CheckExpired, 0)
	h.heard(b, "event=e3&check="+k.String()+"&level=1&kind=passed") // who is checked anew has another check
	h.wantCheck(k, customer.CheckExpired, 0)
	h.wantNoNotice()
}

// TestWhatIsNoNewsOfACheck: it is refused, and nothing is stored.
func TestWhatIsNoNewsOfACheck(t *testing.T) {
	t.Parallel()
	h, b, k := checked(t)
	body := "event=e1&check=" + k.String() + "&level=1&kind=passed"
	for _, tt := range []struct {
		name, account, seal, body string
		want                      int
	}{
		{"not signed", "bureau", "", body, 401},
		{"signed by another", "bureau", bureau{key: "another key"}.seal(body), body, 401},
		{"of other bytes", "bureau", b.seal(body), body + " ", 401},
		{"no form", "bureau", b.seal("level=one"), "level=one", 400},
		{"no text", "bureau", b.seal(body + "\xff"), body + "\xff", 400},
		{"a NUL", "bureau", b.seal(body + "\x00"), body + "\x00", 400},
		{"of nobody", "nobody", b.seal(body), body, 404},
		{"of a person, who sends none", "people", b.seal(body), body, 404},
		{"too long", "bureau", b.seal(body), body + strings.Repeat("x", 1<<20), 413},
	} {
		if w := h.tells(tt.account, tt.seal, strings.NewReader(tt.body)); w.Code != tt.want {
			t.Errorf("%s: %d %s, want %d", tt.name, w.Code, w.Body, tt.want)
		}
	}
	if w := h.send(http.MethodGet, "/n/kyc/bureau", "", strings.NewReader("")); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" {
		t.Errorf("GET = %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
	if w := h.tells("bureau", b.seal(body), iotest.ErrReader(io.ErrUnexpectedEOF)); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("news that broke off = %d, want that it is sent again", w.Code)
	}
	h.away.Store(true)
	if w := h.tells("bureau", b.seal(body), strings.NewReader(body)); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("with the store away = %d, want that it is sent again", w.Code)
	}
	h.away.Store(false)
	if rows := h.rows(); len(rows) != 0 {
		t.Errorf("stored are %+v", rows)
	}
	h.wantCheck(k, customer.CheckOpen, 0)
}

// TestNewsThatDoesNotFitACheck: another level, or another provider's check, changes
// nothing; news of none is tried again, is a dead letter in the end, and is replayed.
func TestNewsThatDoesNotFitACheck(t *testing.T) {
	t.Parallel()
	h, b, k := checked(t)
	h.heard(b, "event=e1&check="+k.String()+"&level=2&kind=passed")
	h.wantRow(payment.InboxApplied, "mismatch: ", 1)
	h.wantCheck(k, customer.CheckOpen, 0)

	h, _, k = checked(t)
	other := bureau{key: "another key"}
	body := "event=e1&check=" + k.String() + "&level=1&kind=passed"
	if w := h.tells("other", other.seal(body), strings.NewReader(body)); w.Code != http.StatusOK {
		t.Fatalf("news by another provider = %d", w.Code)
	}
	h.settle()
	h.wantRow(payment.InboxApplied, "mismatch: ", 1)
	h.wantCheck(k, customer.CheckOpen, 0)

	for _, name := range []string{"", "check-7", "kyc_7zzzzzzzzzzzzzzzzzzzzzzzzz"} { // the last is of bucket 255
		h, b, k = checked(t)
		h.heard(b, "event=e1&check="+name+"&level=1&kind=passed")
		h.wantRow(payment.InboxStored, "names no check of ours", 1)
		h.pass(2 * time.Minute)
		h.wantRow(payment.InboxDead, "names no check of ours", 6)
		h.wantCheck(k, customer.CheckOpen, 0)
	}
}

// TestNewsOfACheckWhoseProviderIsGone: it waits for its configuration, and a row whose
// seal does not fit any more is not believed.
func TestNewsOfACheckWhoseProviderIsGone(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]struct {
		to   verification.Directory
		want string
	}{
		"gone":        {nil, "not configured"},
		"another key": {verification.Directory{{Name: "bureau", Levels: []int64{1}, Provider: bureau{key: "a new one"}}}, "cannot be read again"},
	} {
		h, b, k := checked(t)
		body := "event=e1&check=" + k.String() + "&level=1&kind=passed"
		if w := h.tells("bureau", b.seal(body), strings.NewReader(body)); w.Code != http.StatusOK {
			t.Fatalf("news = %d", w.Code)
		}
		before := h.checkers
		h.checkers = change.to
		h.open()
		h.settle()
		h.wantRow(payment.InboxStored, change.want, 1)
		h.wantCheck(k, customer.CheckOpen, 0)
		h.checkers = before
		h.open()
		h.pass(time.Minute)
		h.wantRow(payment.InboxApplied, "final: passed", 2)
		h.wantCheck(k, customer.CheckPassed, 1)
		if t.Failed() {
			t.Errorf("with its provider %s", what)
		}
	}
}
