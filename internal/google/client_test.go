package google_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"aorta/internal/google"
	"aorta/internal/pgp"
)

// peer plays Google's side: it opens what comes, and answers as it is told.
type peer struct {
	*httptest.Server
	ring    *pgp.Ring
	path    string
	request []byte // the last one, opened

	status int
	answer string // sealed; empty: raw
	raw    []byte
	by     *pgp.Ring // who seals; nil: ring
}

func newPeer(t *testing.T) (*peer, google.Hosted) {
	t.Helper()
	ours, theirs := key(t, "integrator-secret.asc"), key(t, "google-side-secret.asc")
	p := &peer{ring: ring(t, theirs, ours), status: 200}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		opened, err := p.ring.Open(text, now)
		if err != nil || r.Header.Get("Content-Type") != google.ContentType || r.Method != http.MethodPost {
			t.Errorf("%s %s: %v", r.Method, r.Header, err)
		}
		p.path, p.request = r.URL.Path, opened.Plain
		body := p.raw
		if p.answer != "" {
			by := p.by
			if by == nil {
				by = p.ring
			}
			if body, err = by.Seal([]byte(p.answer), now, pgp.Form{}); err != nil {
				t.Error(err)
			}
		}
		if p.status/100 == 3 {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(p.status)
		w.Write(body)
	}))
	t.Cleanup(p.Close)
	i := integration("main")
	i.GoogleURL = p.URL
	us := ring(t, ours, theirs)
	return p, google.Hosted{Integration: i, Ring: func() *pgp.Ring { return us }}
}

func client() *google.Client {
	return google.NewClient(http.DefaultTransport, func() time.Time { return now })
}

// TestCalls: each method that Google hosts is asked as its page prints it, and
// its printed answer is read.
func TestCalls(t *testing.T) {
	t.Parallel()
	p, h := newPeer(t)
	tried := 0
	for _, v := range vectors(t) {
		if v.Kind != "exchange" || v.Host != "google" {
			continue
		}
		tried++
		var want map[string]any
		if err := json.Unmarshal(v.Request, &want); err != nil {
			t.Fatal(err)
		}
		header := want["requestHeader"].(map[string]any)
		minor := header["protocolVersion"].(map[string]any)["minor"].(float64)
		header["requestTimestamp"] = google.Millis(now)
		members := map[string]any{}
		for name, member := range want {
			if name != "requestHeader" {
				members[name] = member
			}
		}
		p.answer = string(v.Response)
		doc, err := client().Call(t.Context(), h, google.Request{
			Method: v.Method, Account: "InvisiCashUSA_USD", ID: header["requestId"].(string), Minor: int64(minor), Members: members,
		})
		if err != nil || !doc.Get("responseHeader", "responseTimestamp").Exists() {
			t.Errorf("%s: %v", v.ID, err)
			continue
		}
		var got map[string]any
		if err := json.Unmarshal(p.request, &got); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s asks %s, want %v", v.ID, p.request, want)
		}
		if want := "/secure-serving/gsp/v1/" + v.Method + "/InvisiCashUSA_USD"; p.path != want {
			t.Errorf("%s is at %s, want %s", v.ID, p.path, want)
		}
	}
	if tried != 6 {
		t.Errorf("tried %d methods, want 6", tried)
	}
}

// TestAnswers: what each answer of Google's means, and whether the call is made
// again.
func TestAnswers(t *testing.T) {
	t.Parallel()
	const good = `{"responseHeader":{"responseTimestamp":"1"},"clientMessage":"x","serverMessage":"google"}`
	const refusal = `{"responseHeader":{"responseTimestamp":"1"},"errorResponseCode":"A_LATER_CODE","errorDescription":"no"}`
	for _, tt := range []struct {
		name    string
		change  func(*peer)
		want    error // nil: answered
		refused int
		again   bool
	}{
		{name: "answered", change: func(p *peer) { p.answer = good }},
		{name: "400", change: func(p *peer) { p.status, p.answer = 400, refusal }, refused: 400},
		{name: "404 that is signed", change: func(p *peer) { p.status, p.answer = 404, refusal }, refused: 404},
		{name: "412", change: func(p *peer) { p.status, p.answer = 412, refusal }, refused: 412},
		{name: "409", change: func(p *peer) { p.status, p.answer = 409, refusal }, refused: 409, again: true},
		{name: "429", change: func(p *peer) { p.status, p.answer = 429, refusal }, refused: 429, again: true},
		{name: "503 that is signed", change: func(p *peer) { p.status, p.answer = 503, refusal }, refused: 503, again: true},
		{name: "an empty 404", change: func(p *peer) { p.status = 404 }, want: google.ErrStranger, again: true},
		{name: "a 403 in the clear", change: func(p *peer) { p.status, p.raw = 403, []byte("Forbidden") }, want: google.ErrStranger, again: true},
		{name: "a 502 of a proxy", change: func(p *peer) { p.status, p.raw = 502, []byte("<html>") }, want: google.ErrNoAnswer, again: true},
		{name: "a redirect", change: func(p *peer) { p.status = 307 }, want: google.ErrStranger, again: true},
		{name: "200 in the clear", change: func(p *peer) { p.raw = []byte(good) }, want: google.ErrNoAnswer, again: true},
		{name: "an empty 200", change: func(*peer) {}, want: google.ErrNoAnswer, again: true},
		{name: "200 that is no JSON", change: func(p *peer) { p.answer = "x" }, want: google.ErrNoAnswer, again: true},
		{name: "200 without a header", change: func(p *peer) { p.answer = `{"clientMessage":"x"}` }, want: google.ErrNoAnswer, again: true},
		{name: "another message", change: func(p *peer) { p.answer = `{"responseHeader":{},"clientMessage":"y"}` }, want: google.ErrNoAnswer, again: true},
		{name: "too long", change: func(p *peer) { p.raw = bytes.Repeat([]byte("A"), pgp.MaxText+10) }, want: google.ErrNoAnswer, again: true},
		{name: "by a stranger", change: func(p *peer) {
			p.answer, p.by = good, ring(t, key(t, "unknown-signer-secret.asc"), key(t, "integrator-secret.asc"))
		}, want: google.ErrNoAnswer, again: true},
	} {
		p, h := newPeer(t)
		tt.change(p)
		server, err := client().Echo(t.Context(), h, "AORTA_MAIN_INR", "try-1", "x")
		var refused *google.AnswerError
		switch {
		case tt.want == nil && tt.refused == 0:
			if err != nil || server != "google" {
				t.Errorf("%s: %q, %v", tt.name, server, err)
			}
			continue
		case tt.refused != 0 && (!errors.As(err, &refused) || refused.Status != tt.refused || refused.Code != "A_LATER_CODE"):
			t.Errorf("%s: %v, want a refusal with %d", tt.name, err, tt.refused)
		case tt.want != nil && !errors.Is(err, tt.want):
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if doc, err := client().Call(t.Context(), h, google.Request{Method: "echo", Account: "A", ID: "try-1", Members: struct{}{}}); (err == nil || doc != nil) && tt.name != "another message" {
			t.Errorf("%s: a call gives %v, %v", tt.name, doc, err)
		}
		if got := google.Again(err); got != tt.again {
			t.Errorf("%s: again %t, want %t (%v)", tt.name, got, tt.again, err)
		}
	}
	p, h := newPeer(t)
	p.Close()
	if _, err := client().Echo(t.Context(), h, "A", "try-1", "x"); !errors.Is(err, google.ErrNoAnswer) || !google.Again(err) {
		t.Errorf("nobody there: %v", err)
	}
	if _, err := client().Echo(t.Context(), h, "A", "a b", "x"); err == nil {
		t.Error("a bad requestId was sent")
	}
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	t.Cleanup(slow.Close)
	h.GoogleURL, h.CallTimeout = slow.URL, 50*time.Millisecond
	if _, err := client().Echo(context.WithoutCancel(t.Context()), h, "A", "try-1", "x"); !errors.Is(err, google.ErrNoAnswer) {
		t.Errorf("no answer in time: %v", err)
	}
}
