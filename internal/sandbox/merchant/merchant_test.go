package merchant_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/sandbox/fault"
	"aorta/internal/sandbox/merchant"
)

const secret = "aorta-test-secret"

// Bodies signed by the official SDKs (vectors w-ok and w-empty-containers).
const (
	success  = `{"project_id":200,"payment":{"id":"w-1","type":"purchase","status":"success","method":"Paytm Wallet","sum":{"amount":2500,"currency":"INR"}},"operation":{"id":49572000001893,"type":"sale","status":"success","request_id":"r1","code":"0","message":"Success"},"signature":"9jgZ5/5EwIdx/ir5UHBzVfbYJJqrGKKJi+W+bmmu5UI7xaMXCVgE1fAQoaB1ZPquSYbmFdZP59KY8aCXb5d1yg=="}`
	redirect = `{"project_id":200,"payment":{"id":"w-7","status":"awaiting redirect result"},"redirect_data":{"body":[],"encrypted":[],"method":"GET","url":"https://pay.example/x"},"provider_extra_fields":{"extended":{}},"signature":"YYGlQRqd+pJ9cImUq7StOM3lO71d4sDTXiYMLLBYhy0FIUcezB6eg9KJoNVTy+6vta6F7qDzdgIEX3R4qcBQ2w=="}`
)

type shop struct {
	t      *testing.T
	m      *merchant.Merchant
	server *httptest.Server
	faults *fault.Queue
	mu     sync.Mutex
	lines  [][]byte
}

func start(t *testing.T, change func(*merchant.Options)) *shop {
	t.Helper()
	s := &shop{t: t, faults: &fault.Queue{}}
	opts := merchant.Options{
		Faults: s.faults, SlowFor: 40 * time.Millisecond, HoldFor: 40 * time.Millisecond,
		Append: func(line []byte) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.lines = append(s.lines, slices.Clone(line))
			return nil
		},
	}
	if change != nil {
		change(&opts)
	}
	m, err := merchant.New(secret, time.Now, opts)
	if err != nil {
		t.Fatal(err)
	}
	s.m = m
	s.server = httptest.NewServer(m)
	t.Cleanup(s.server.Close)
	t.Cleanup(m.Close)
	return s
}

func (s *shop) send(body string) (int, error) {
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequest(http.MethodPost, s.server.URL+"/merchant/callback", strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("X-Attempt", "1")
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, nil
}

func (s *shop) get(path string, v any) int {
	s.t.Helper()
	resp, err := http.Get(s.server.URL + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.StatusCode == http.StatusOK && v != nil {
		if err := json.Unmarshal(text, v); err != nil {
			s.t.Fatalf("GET %s = %s: %v", path, text, err)
		}
	}
	return resp.StatusCode
}

// shown is one row of GET /merchant/callbacks, as its reader sees it.
type shown struct {
	ReceivedAt     string            `json:"received_at"`
	Headers        map[string]string `json:"headers"`
	Body           map[string]any    `json:"body"`
	Raw            string            `json:"raw"`
	ValidSignature bool              `json:"valid_signature"`
	Answer         int               `json:"answer"`
}

func TestWhatIsReceivedIsShown(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	forged := strings.Replace(success, "2500", "2501", 1)
	for _, tt := range []struct {
		body string
		want int
	}{
		{body: redirect, want: 200},
		{body: success, want: 200},
		{body: success, want: 200},
		{body: forged, want: 200},
		{body: "not JSON", want: 400},
		{body: "[]", want: 400},
	} {
		if got, err := s.send(tt.body); err != nil || got != tt.want {
			t.Errorf("POST %.20s = %d, %v, want %d", tt.body, got, err, tt.want)
		}
	}
	var rows []shown
	s.get("/merchant/callbacks?payment_id=w-1", &rows)
	if len(rows) != 3 {
		t.Fatalf("callbacks of w-1 = %d, want 3", len(rows))
	}
	for i, valid := range []bool{true, true, false} {
		if rows[i].ValidSignature != valid {
			t.Errorf("row %d: valid_signature = %v, want %v", i, rows[i].ValidSignature, valid)
		}
	}
	payment, _ := rows[0].Body["payment"].(map[string]any)
	if rows[0].Raw != success || payment["id"] != "w-1" || rows[0].Headers["X-Attempt"] != "1" || rows[0].Answer != 200 {
		t.Errorf("row = %+v, want the body, its text and its headers", rows[0])
	}
	if _, err := time.Parse(time.RFC3339Nano, rows[0].ReceivedAt); err != nil {
		t.Errorf("received_at: %v", err)
	}
	s.get("/merchant/callbacks", &rows)
	if len(rows) != 6 {
		t.Errorf("callbacks of all = %d, want 6", len(rows))
	}
	rows = nil
	s.get("/merchant/callbacks?payment_id=none", &rows)
	if rows == nil || len(rows) != 0 {
		t.Errorf("callbacks of an unknown payment = %v, want an empty list", rows)
	}
	var stats merchant.Stats
	s.get("/merchant/stats", &stats)
	if want := (merchant.Stats{Received: 6, Valid: 3, Invalid: 3, Finals: 2}); stats != want {
		t.Errorf("stats = %+v, want %+v", stats, want)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		next  fault.Behaviour
		want  int // 0: the connection is cut
		final bool
		least time.Duration
	}{
		{next: fault.Approve, want: 200, final: true},
		{next: fault.HTTP500, want: 500},
		{next: fault.Redirect, want: 302},
		{next: fault.Slow, want: 200, final: true, least: 40 * time.Millisecond},
		{next: fault.Timeout, want: 0, least: 40 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(string(tt.next), func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			if err := s.faults.Add(fault.Rule{Next: tt.next, Left: 1}); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			got, err := s.send(success)
			if got != tt.want || (tt.want == 0) != errors.Is(err, io.EOF) {
				t.Errorf("POST = %d, %v, want %d", got, err, tt.want)
			}
			if took := time.Since(begun); took < tt.least {
				t.Errorf("POST took %v, want %v or more", took, tt.least)
			}
			rows := s.m.Callbacks("w-1")
			if len(rows) != 1 || rows[0].Answer != tt.want {
				t.Errorf("recorded %+v, want one row answered %d", rows, tt.want)
			}
			var page struct{ Finals []merchant.Final }
			s.get("/merchant/finals?wait_ms=0", &page)
			if (len(page.Finals) == 1) != tt.final {
				t.Errorf("finals = %v, want one: %v", page.Finals, tt.final)
			}
			if got, err := s.send(success); got != 200 {
				t.Errorf("the POST after = %d, %v, want 200", got, err)
			}
		})
	}
}

func TestFollowedRedirectsAreCounted(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	if err := s.faults.Add(fault.Rule{Next: fault.Redirect, Left: 1}); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(s.server.URL+"/merchant/callback", "application/json", strings.NewReader(success))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	var stats merchant.Stats
	if s.get("/merchant/stats", &stats); stats.Followed != 1 {
		t.Errorf("stats = %+v, want one followed redirect", stats)
	}
}

func TestFinalsByLongPoll(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	type page struct {
		Cursor, Missed int64
		Finals         []merchant.Final
	}
	answer := make(chan page, 1)
	go func() {
		var p page
		s.get("/merchant/finals?after=0&wait_ms=20000", &p)
		answer <- p
	}()
	if _, err := s.send(redirect); err != nil {
		t.Fatal(err)
	}
	select {
	case p := <-answer:
		t.Fatalf("finals = %+v before there is one", p)
	case <-time.After(30 * time.Millisecond):
	}
	if _, err := s.send(success); err != nil {
		t.Fatal(err)
	}
	p := <-answer
	if p.Cursor != 1 || len(p.Finals) != 1 || p.Finals[0].PaymentID != "w-1" || p.Finals[0].Status != "success" || p.Finals[0].AtUS == 0 {
		t.Errorf("finals = %+v, want w-1 at cursor 1", p)
	}
	for range 3 {
		if _, err := s.send(success); err != nil {
			t.Fatal(err)
		}
	}
	p = page{}
	if s.get("/merchant/finals?after=1&limit=2", &p); p.Cursor != 3 || len(p.Finals) != 2 {
		t.Errorf("finals after 1 by 2 = %+v, want two up to cursor 3", p)
	}
	p = page{}
	if s.get("/merchant/finals?after=99&wait_ms=1", &p); p.Cursor != 4 || len(p.Finals) != 0 {
		t.Errorf("finals after the end = %+v, want none at cursor 4", p)
	}
	for _, query := range []string{"after=-1", "after=x", "limit=10001", "wait_ms=60001"} {
		if got := s.get("/merchant/finals?"+query, nil); got != http.StatusBadRequest {
			t.Errorf("finals?%s = %d, want 400", query, got)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*merchant.Options)
	}{
		{name: "by number", change: func(o *merchant.Options) { o.MaxCallbacks = 3 }},
		{name: "by bytes", change: func(o *merchant.Options) { o.MaxBytes = 400 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, tt.change)
			for i := range 10 {
				if _, err := s.send(fmt.Sprintf(`{"payment":{"id":"p-%d"}}`, i)); err != nil {
					t.Fatal(err)
				}
			}
			if got := s.m.Callbacks("p-0"); len(got) != 0 {
				t.Errorf("the oldest is still kept: %+v", got)
			}
			if got := s.m.Callbacks("p-9"); len(got) != 1 || got[0].Raw != `{"payment":{"id":"p-9"}}` {
				t.Errorf("callbacks of the newest = %+v, want it", got)
			}
			if got := s.m.Callbacks(""); len(got) != 3 {
				t.Errorf("kept %d callbacks, want 3", len(got))
			}
		})
	}
}

func TestOversizedCallback(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	if got, err := s.send(`{"a":"` + strings.Repeat("x", 1<<20) + `"}`); err != nil || got != http.StatusRequestEntityTooLarge {
		t.Errorf("POST of more than 1 MiB = %d, %v, want 413", got, err)
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for _, body := range []string{redirect, success, "not JSON"} {
		if _, err := s.send(body); err != nil {
			t.Fatal(err)
		}
	}
	again := start(t, nil)
	for _, line := range s.lines {
		if err := again.m.Load(line); err != nil {
			t.Fatalf("Load(%s) = %v", line, err)
		}
	}
	if got, want := again.m.Callbacks(""), s.m.Callbacks(""); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("callbacks after a restart = %+v, want %+v", got, want)
	}
	var dumped [][]byte
	if err := again.m.Dump(func(line []byte) error {
		dumped = append(dumped, slices.Clone(line))
		return nil
	}); err != nil || fmt.Sprint(dumped) != fmt.Sprint(s.lines) {
		t.Errorf("Dump = %d lines, %v, want what was appended", len(dumped), err)
	}
	if err := again.m.Load([]byte("x")); err == nil {
		t.Error("Load of no JSON = nil, want an error")
	}
}

func TestNothingIsAnsweredThatCannotBeRemembered(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *merchant.Options) { o.Append = func([]byte) error { return errors.New("disk full") } })
	if got, err := s.send(success); err != nil || got != http.StatusInternalServerError {
		t.Errorf("POST = %d, %v, want 500", got, err)
	}
	if got := s.m.Callbacks(""); len(got) != 0 {
		t.Errorf("recorded %+v, want nothing", got)
	}
}

func BenchmarkCallback(b *testing.B) {
	m, err := merchant.New(secret, time.Now, merchant.Options{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		rec := httptest.NewRecorder()
		m.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/merchant/callback", strings.NewReader(success)))
		if rec.Code != http.StatusOK {
			b.Fatal(rec.Code)
		}
	}
}
