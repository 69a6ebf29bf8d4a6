package connectortest

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Fault is what a Wire does to calls.
type Fault string

// The faults. Whole is none.
const (
	Whole      Fault = ""
	CutBefore  Fault = "cut before the request is read"
	CutAfter   Fault = "cut after the request is read"
	LoseAnswer Fault = "answer lost"        // the provider has done what was asked
	HalfAnswer Fault = "answer cut in half" // likewise
	Hang       Fault = "no answer"          // until the caller gives up
	Crash      Fault = "status 500"
	Moved      Fault = "redirect"
	Empty      Fault = "empty answer"
	Garbage    Fault = "answer is a web page"
	Endless    Fault = "answer without end"
)

// Faults are all of them. CutBefore is the last, since it leaves no connection
// behind that the next call could use.
var Faults = []Fault{CutAfter, LoseAnswer, HalfAnswer, Hang, Crash, Moved, Empty, Garbage, Endless, CutBefore}

// Wire lies between a connector and its provider, over real loopback TCP, and
// breaks when it is told to.
type Wire struct {
	URL      string // where the connector finds its provider
	provider http.Handler
	server   *httptest.Server
	calls    atomic.Int64

	mu    sync.Mutex
	fault Fault
}

// NewWire puts a wire in front of provider, until the test ends.
func NewWire(t testing.TB, provider http.Handler) *Wire {
	t.Helper()
	w := &Wire{provider: provider}
	w.server = httptest.NewUnstartedServer(http.HandlerFunc(w.serve))
	w.server.Listener = cutter{w.server.Listener, w}
	w.server.Start()
	t.Cleanup(w.server.Close)
	w.URL = w.server.URL
	return w
}

// DeadURL is an address of this machine where nobody listens.
func DeadURL(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return "http://" + listener.Addr().String()
}

// Break makes every call from now on meet f; Whole mends the wire.
func (w *Wire) Break(f Fault) {
	w.mu.Lock()
	w.fault = f
	w.mu.Unlock()
	if f == CutBefore {
		w.server.CloseClientConnections()
	}
}

// Calls is how many requests have arrived so far.
func (w *Wire) Calls() int64 { return w.calls.Load() }

func (w *Wire) broken() Fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fault
}

func (w *Wire) serve(out http.ResponseWriter, r *http.Request) {
	w.calls.Add(1)
	switch w.broken() {
	case Whole:
		w.provider.ServeHTTP(out, r)
	case CutBefore, CutAfter:
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler) // net/http's way to drop a connection
	case LoseAnswer:
		w.provider.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	case HalfAnswer:
		answer := httptest.NewRecorder()
		w.provider.ServeHTTP(answer, r)
		out.Header().Set("Content-Type", answer.Header().Get("Content-Type"))
		half := answer.Body.Bytes()[:answer.Body.Len()/2]
		_, _ = out.Write(half)
		_ = http.NewResponseController(out).Flush()
		panic(http.ErrAbortHandler)
	case Hang:
		// Only with the body read does the server see that the caller has gone.
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case Crash:
		http.Error(out, "Internal Server Error", http.StatusInternalServerError)
	case Moved:
		http.Redirect(out, r, "/elsewhere", http.StatusTemporaryRedirect)
	case Empty:
		out.WriteHeader(http.StatusOK)
	case Garbage:
		out.Header().Set("Content-Type", "text/html")
		_, _ = out.Write([]byte("<!doctype html><title>Maintenance</title>"))
	case Endless:
		out.Header().Set("Content-Type", "application/json")
		_, _ = out.Write([]byte(`{"body":{"filler":"`))
		chunk := []byte(strings.Repeat("x", 64<<10))
		for range 64 { // far beyond any bound, and still an end if there is none
			if _, err := out.Write(chunk); err != nil {
				return
			}
		}
	}
}

// cutter drops connections as they come while the wire is cut.
type cutter struct {
	net.Listener
	wire *Wire
}

func (c cutter) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil || c.wire.broken() != CutBefore {
			return conn, err
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, not a polite end
		}
		_ = conn.Close()
	}
}
