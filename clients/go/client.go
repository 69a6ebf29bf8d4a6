// Package aorta is the Go client of Aorta's native API: payments, refunds, wallets,
// rounds, and the webhooks that tell of them.
//
//	client := aorta.New("https://pay.example", os.Getenv("AORTA_KEY"), aorta.Options{})
//	begun, err := client.Payments.Init(ctx, aorta.PaymentInitParams{
//		Amount: "50.00", Currency: "EUR", Method: "card", ReturnURL: "https://shop.example/thanks",
//	}, aorta.IdempotencyKey("order-1"))
//
// Money is decimal text in major units, never a float. Every call that changes
// something goes under an idempotency key, the caller's or a random one, and what may
// be repeated is repeated under that key: so it is done once, however often it is sent.
// Package aorta needs the standard library alone, and knows nothing of the server but
// openapi.json, of which its types and calls are generated (api.go).
//
// Its known weakness: after a process dies, only an idempotency key that it has written
// down itself repeats a call safely. Name your own for what must survive that.
package aorta

//go:generate go run ../generate

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options are the parts of a client with a sensible default.
type Options struct {
	HTTPClient *http.Client  // nil means one of its own. Redirects are never followed: the API key is for one address
	Timeout    time.Duration // of one try; 0 means 30s. The whole call ends with its context
	Tries      int           // of one call, at most; 0 means 6, 1 repeats nothing
	Language   string        // of the messages of errors, as Accept-Language has it; empty is the server's
}

// CallOption changes one call.
type CallOption func(*callOptions)

type callOptions struct {
	key, expand string
	named       bool // the key is the caller's
}

// IdempotencyKey names what is to be done once: 1 to 255 visible characters, a new one
// for each thing that you want done, the same one whenever you try again; an empty one
// is an error. Without it a call that changes something has a random one, which its
// errors tell.
func IdempotencyKey(key string) CallOption {
	return func(o *callOptions) { o.key, o.named = key, true }
}

// Expand has an answer tell more; each call says what it can.
func Expand(what string) CallOption {
	return func(o *callOptions) { o.expand = what }
}

// Page is a page of a list. It may be short, even empty, while HasMore is true.
type Page[T any] struct {
	Data       []T    `json:"data"`
	HasMore    bool   `json:"has_more"`
	NextCursor string `json:"next_cursor"`
}

// all goes through the pages of a list.
func all[T any](cursor string, next func(cursor string) (*Page[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for at := cursor; ; {
			page, err := next(at)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, v := range page.Data {
				if !yield(v, nil) {
					return
				}
			}
			if !page.HasMore {
				return
			}
			if page.NextCursor == "" || page.NextCursor == at {
				var none T
				yield(none, errors.New("aorta: a list does not say where it goes on"))
				return
			}
			at = page.NextCursor
		}
	}
}

// The client guide of docs/api.md, "Errors".
const (
	firstPause  = 500 * time.Millisecond
	longest     = 30 * time.Second
	mostTries   = 6
	callTimeout = 30 * time.Second
	patience    = time.Minute // a longer Retry-After is for the caller to wait for
	maxAnswer   = 16 << 20    // bytes
)

// The retry budget: not more than a tenth of all calls, but for a reserve with which a
// client that calls rarely can repeat, too.
const (
	budgetShare   = 0.1
	budgetReserve = 10
)

// caller makes calls: authorises, repeats and reads them.
type caller struct {
	base  string
	auth  func(http.Header) // hides the key from whoever prints a client
	http  *http.Client
	opts  Options
	mu    sync.Mutex
	spare float64 // retries that the budget has left
}

func newCaller(baseURL, apiKey string, opts Options) *caller {
	if opts.Timeout == 0 {
		opts.Timeout = callTimeout
	}
	if opts.Tries == 0 {
		opts.Tries = mostTries
	}
	client := http.Client{}
	if opts.HTTPClient != nil {
		client = *opts.HTTPClient
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &caller{
		base: strings.TrimRight(baseURL, "/"), auth: func(h http.Header) { h.Set("Authorization", "Bearer "+apiKey) },
		http: &client, opts: opts, spare: budgetReserve,
	}
}

// request is a call before it is sent.
type request struct {
	method  string
	path    []string // its fixed and variable parts in turn
	query   url.Values
	body    any
	mutates bool
}

// send makes a call and reads its answer.
func send[T any](ctx context.Context, c *caller, r request, opts []CallOption) (*T, error) {
	var o callOptions
	for _, change := range opts {
		change(&o)
	}
	address, err := c.address(r, o)
	if err != nil {
		return nil, err
	}
	var body []byte
	if r.body != nil {
		if body, err = json.Marshal(r.body); err != nil {
			return nil, fmt.Errorf("aorta: %w", err)
		}
	}
	if r.mutates && o.key == "" {
		if o.named { // one of our own would do it once more each time
			return nil, errors.New("aorta: the idempotency key is empty")
		}
		o.key = rand.Text()
	}
	c.earn()
	for try := 1; ; try++ {
		into := new(T)
		err := c.try(ctx, r, address, o.key, body, into)
		if err == nil {
			return into, nil
		}
		wait, again := pause(err, try)
		if !again || try >= c.opts.Tries || ctx.Err() != nil || !outlasts(ctx, wait) || !c.spend() {
			return nil, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// address builds the address of a call. A name that would make it another one's is
// refused: a customer called ".." is nobody.
func (c *caller) address(r request, o callOptions) (string, error) {
	var b strings.Builder
	b.WriteString(c.base)
	for n, part := range r.path {
		if n%2 == 0 {
			b.WriteString(part)
			continue
		}
		if part == "" || part == "." || part == ".." {
			return "", fmt.Errorf("aorta: %q cannot be a part of %s", part, strings.Join(r.path, ""))
		}
		b.WriteString(url.PathEscape(part))
	}
	if o.expand != "" {
		if r.query == nil {
			r.query = url.Values{}
		}
		r.query.Set("expand", o.expand)
	}
	if len(r.query) > 0 {
		b.WriteString("?" + r.query.Encode())
	}
	return b.String(), nil
}

// try sends a call once.
func (c *caller) try(ctx context.Context, r request, address, key string, body []byte, into any) error {
	within, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	var payload io.Reader
	if body != nil {
		payload = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(within, r.method, address, payload)
	if err != nil {
		return fmt.Errorf("aorta: %w", err)
	}
	c.auth(req.Header)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "aorta-go/"+Version)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.mutates {
		req.Header.Set("Idempotency-Key", key)
	}
	if c.opts.Language != "" {
		req.Header.Set("Accept-Language", c.opts.Language)
	}
	lost := func(err error) error {
		return &ConnectionError{Method: r.method, Path: strings.Join(r.path, ""), IdempotencyKey: key, Err: err}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return lost(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(text) > maxAnswer {
		err = fmt.Errorf("an answer of more than %d bytes", maxAnswer)
	}
	if err != nil {
		return lost(err) // half an answer says nothing
	}
	if resp.StatusCode/100 != 2 {
		return errorOf(resp, text, key)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return lost(fmt.Errorf("read the answer: %w", err))
	}
	return nil
}

// pause says how long to wait after a failed try, and whether to go on at all: after
// 409 request_in_progress, 429, 5xx and what the network lost.
func pause(err error, try int) (wait time.Duration, again bool) {
	var refused *Error
	if errors.As(err, &refused) {
		switch {
		case refused.Status >= 500, refused.Status == http.StatusTooManyRequests, refused.Code == ErrRequestInProgress:
		default:
			return 0, false
		}
		if refused.RetryAfter > patience {
			return 0, false
		}
		if refused.RetryAfter > 0 { // a little more, so that not all come back at once
			return refused.RetryAfter + mathrand.N(firstPause), true
		}
	} else if !errors.As(err, new(*ConnectionError)) {
		return 0, false // it was never sent
	}
	return mathrand.N(min(longest, firstPause<<min(try-1, 10))), true // full jitter
}

// outlasts reports whether a context is still there after a pause.
func outlasts(ctx context.Context, wait time.Duration) bool {
	end, ok := ctx.Deadline()
	return !ok || time.Until(end) > wait
}

// earn adds what a call allows of retries, spend takes one.
func (c *caller) earn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spare = min(c.spare+budgetShare, budgetReserve)
}

func (c *caller) spend() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spare < 1 {
		return false
	}
	c.spare--
	return true
}

// retryAfter reads the header, which has seconds or an instant; 0 if it says nothing.
func retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if n, err := strconv.Atoi(text); err == nil {
		return time.Duration(max(0, min(n, 1<<30))) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
