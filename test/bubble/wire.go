package bubble

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"
)

// network is where the parts find one another: names of hosts, and a pipe for
// each connection. A pipe blocks durably, so that the bubble's clock can move
// while everybody waits (torture.md 2.4 rule 5).
type network struct {
	mu    sync.Mutex
	hosts map[string]*listener
}

func newNetwork() *network { return &network{hosts: map[string]*listener{}} }

// listen opens a host, in place of one that was closed.
func (n *network) listen(host string) *listener {
	l := &listener{host: host, conns: make(chan net.Conn), done: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[host] = l
	return l
}

// dial connects to "host:port".
func (n *network) dial(ctx context.Context, _, address string) (net.Conn, error) {
	host, _, _ := strings.Cut(address, ":")
	n.mu.Lock()
	l := n.hosts[host]
	n.mu.Unlock()
	if l == nil {
		return nil, refused()
	}
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.done:
		return nil, refused()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// refused is what the kernel says of a port that nobody listens on.
func refused() error { return &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED} }

// listener is a net.Listener of pipes.
type listener struct {
	host  string
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *listener) Addr() net.Addr { return address(l.host) }

type address string

func (a address) Network() string { return "pipe" }
func (a address) String() string  { return string(a) + ":80" }

// newTransport is net/http's own client over the network.
func newTransport(dial func(context.Context, string, string) (net.Conn, error)) *http.Transport {
	return &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 16, IdleConnTimeout: 30 * time.Second, ResponseHeaderTimeout: 60 * time.Second}
}

var (
	errCut  = errors.New("connection reset by peer")
	errDead = errors.New("the process has died")
)

// faulty is a way to a host on which calls go wrong as the draws say. key names
// a call by what it is about and how often that was asked for, never by when.
type faulty struct {
	next  http.RoundTripper
	w     *world
	key   func(r *http.Request, body []byte) string
	kinds []Fault // that may occur here
	ended <-chan struct{}
}

// RoundTrip is one call.
func (f faulty) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	key := f.key(r, body)
	key = key + "#" + f.w.count(key)
	send := func() (*http.Response, error) {
		again := r.Clone(r.Context())
		again.Body, again.ContentLength = io.NopCloser(strings.NewReader(string(body))), int64(len(body))
		again.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(string(body))), nil }
		return f.next.RoundTrip(again)
	}
	sent := func() {
		if answer, err := send(); err == nil {
			_, _ = io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
		}
	}
	if err := f.pause(r, f.w.span(3*time.Second, "travels", key)); err != nil {
		return nil, err
	}
	for _, kind := range f.kinds {
		if !f.w.chance(kind, key) {
			continue
		}
		switch kind {
		case Refused:
			return nil, refused()
		case CutBefore:
			return nil, errCut
		case AnswerLost:
			sent()
			return nil, errCut
		case TooSlow:
			sent()
			if err := f.pause(r, 10*time.Minute); err != nil {
				return nil, err
			}
			return nil, errCut
		case Broken:
			return &http.Response{
				StatusCode: http.StatusInternalServerError, Status: "500 Internal Server Error", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
				Header: http.Header{}, Body: io.NopCloser(strings.NewReader("broken")), Request: r,
			}, nil
		case HalfAnswer:
			answer, err := send()
			if err == nil {
				text, _ := io.ReadAll(answer.Body)
				answer.Body.Close()
				answer.Body = io.NopCloser(io.MultiReader(strings.NewReader(string(text[:len(text)/2])), failing{}))
			}
			return answer, err
		case Twice:
			sent()
		case Tampered:
			whole := body // a forger's copy comes first
			body = bytes.Clone(body)
			body[int(f.w.draw("byte", key)*float64(len(body)))] ^= 1 << uint(f.w.draw("bit", key)*7)
			sent()
			body = whole
		case MerchantFails, MerchantDrops, MerchantSlow, CommitLost, CommitDead, StoreAway, Kill, LeavesOrder, PaysLate, PressesTwice:
			panic("no fault of the wire: " + kind)
		}
	}
	answer, err := send()
	if err != nil {
		return nil, err
	}
	if err := f.pause(r, f.w.span(3*time.Second, "travels back", key)); err != nil {
		answer.Body.Close()
		return nil, err
	}
	return answer, nil
}

// pause waits, unless the caller gives up or dies first.
func (f faulty) pause(r *http.Request, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-r.Context().Done():
		return r.Context().Err()
	case <-f.ended:
		return errDead
	}
}

// failing breaks off.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
