package callback_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aorta/internal/callback"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func TestAddressesThatMayBeDialled(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		address string
		allowed string
		plain   bool
		want    error
	}{
		{name: "public v4", address: "93.184.216.34:443"},
		{name: "public v4 on 8443", address: "93.184.216.34:8443"},
		{name: "public v6", address: "[2606:2800:220:1::1]:443"},
		{name: "public v4 mapped to v6", address: "[::ffff:93.184.216.34]:443"},
		{name: "public on another port", address: "93.184.216.34:22", want: callback.ErrEndpoint},
		{name: "public without TLS", address: "93.184.216.34:443", plain: true, want: callback.ErrEndpoint},
		{name: "public on another port, allowed", address: "93.184.216.34:80", plain: true, allowed: "93.184.216.0/24"},

		{name: "this network", address: "0.0.0.0:443", want: callback.ErrPrivateAddress},
		{name: "this network's host", address: "0.1.2.3:443", want: callback.ErrPrivateAddress},
		{name: "loopback", address: "127.0.0.1:443", want: callback.ErrPrivateAddress},
		{name: "loopback's end", address: "127.255.255.255:443", want: callback.ErrPrivateAddress},
		{name: "private 10", address: "10.0.0.1:443", want: callback.ErrPrivateAddress},
		{name: "private 172", address: "172.31.255.255:443", want: callback.ErrPrivateAddress},
		{name: "private 192", address: "192.168.1.1:443", want: callback.ErrPrivateAddress},
		{name: "link-local, cloud metadata", address: "169.254.169.254:443", want: callback.ErrPrivateAddress},
		{name: "CGNAT", address: "100.64.0.1:443", want: callback.ErrPrivateAddress},
		{name: "CGNAT's end", address: "100.127.255.255:443", want: callback.ErrPrivateAddress},
		{name: "after CGNAT", address: "100.128.0.1:443"},
		{name: "protocol assignments", address: "192.0.0.8:443", want: callback.ErrPrivateAddress},
		{name: "6to4 relay", address: "192.88.99.1:443", want: callback.ErrPrivateAddress},
		{name: "benchmarking", address: "198.19.255.1:443", want: callback.ErrPrivateAddress},
		{name: "documentation 1", address: "192.0.2.1:443", want: callback.ErrPrivateAddress},
		{name: "documentation 2", address: "198.51.100.1:443", want: callback.ErrPrivateAddress},
		{name: "documentation 3", address: "203.0.113.1:443", want: callback.ErrPrivateAddress},
		{name: "multicast", address: "224.0.0.1:443", want: callback.ErrPrivateAddress},
		{name: "reserved", address: "240.0.0.1:443", want: callback.ErrPrivateAddress},
		{name: "broadcast", address: "255.255.255.255:443", want: callback.ErrPrivateAddress},
		{name: "v6 unspecified", address: "[::]:443", want: callback.ErrPrivateAddress},
		{name: "v6 loopback", address: "[::1]:443", want: callback.ErrPrivateAddress},
		{name: "ULA", address: "[fd00::1]:443", want: callback.ErrPrivateAddress},
		{name: "v6 link-local with a zone", address: "[fe80::1%eth0]:443", want: callback.ErrPrivateAddress},
		{name: "v6 multicast", address: "[ff02::1]:443", want: callback.ErrPrivateAddress},
		{name: "v6 documentation", address: "[2001:db8::1]:443", want: callback.ErrPrivateAddress},
		{name: "v6 documentation, new", address: "[3fff::1]:443", want: callback.ErrPrivateAddress},
		{name: "discard", address: "[100::1]:443", want: callback.ErrPrivateAddress},
		{name: "6to4", address: "[2002:7f00:1::]:443", want: callback.ErrPrivateAddress},
		{name: "NAT64", address: "[64:ff9b::7f00:1]:443", want: callback.ErrPrivateAddress},
		{name: "local NAT64", address: "[64:ff9b:1::1]:443", want: callback.ErrPrivateAddress},
		{name: "segment routing", address: "[5f00::1]:443", want: callback.ErrPrivateAddress},
		{name: "loopback mapped to v6", address: "[::ffff:127.0.0.1]:443", want: callback.ErrPrivateAddress},
		{name: "private mapped to v6", address: "[::ffff:10.0.0.1]:443", want: callback.ErrPrivateAddress},

		{name: "private, allowed", address: "10.1.2.3:8080", plain: true, allowed: "10.1.0.0/16"},
		{name: "private beside the allowed", address: "10.2.0.1:443", allowed: "10.1.0.0/16", want: callback.ErrPrivateAddress},
		{name: "allowed, mapped to v6", address: "[::ffff:10.1.2.3]:443", allowed: "10.1.0.0/16"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var allowed []netip.Prefix
			if test.allowed != "" {
				allowed = []netip.Prefix{netip.MustParsePrefix(test.allowed)}
			}
			if err := callback.MayDial(allowed, !test.plain, test.address); !errors.Is(err, test.want) {
				t.Errorf("MayDial(%s) = %v, want %v", test.address, err, test.want)
			}
		})
	}
}

// The check is where the address is dialled, so a name gets no further than
// the address that it stands for.
func TestSendRefuses(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	t.Cleanup(server.Close)
	port := server.URL[strings.LastIndexByte(server.URL, ':'):]
	tests := []struct {
		name string
		url  string
		want error
	}{
		{name: "literal address", url: server.URL, want: callback.ErrPrivateAddress},
		{name: "name of a loopback address", url: "http://localhost" + port, want: callback.ErrPrivateAddress},
		{name: "by TLS", url: "https://127.0.0.1" + port, want: callback.ErrPrivateAddress},
		{name: "user info", url: "https://user:secret@shop.example/cb", want: callback.ErrEndpoint},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := callback.NewHTTPSender(nil, 2).Send(t.Context(), test.url, nil, []byte("{}"))
			if !errors.Is(err, test.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("Send() = %v, want %v", err, test.want)
			}
		})
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("the server was reached %d times", n)
	}
}

func TestSendPostsByteForByte(t *testing.T) {
	t.Parallel()
	body := []byte("{\"a\": 1.0,\r\n \"ключ\":\"\\u0041&<>\"}\n")
	tests := []struct {
		name   string
		header http.Header
		want   string
	}{
		{name: "no header", want: "application/json"},
		{name: "a door's own", header: http.Header{"Content-Type": {"application/cloudevents+json"}, "X-Signature": {"s"}}, want: "application/cloudevents+json"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var got []byte
			var header http.Header
			var method string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got, _ = io.ReadAll(r.Body)
				header, method = r.Header, r.Method
				w.WriteHeader(http.StatusTeapot)
			}))
			t.Cleanup(server.Close)
			answer, err := callback.NewHTTPSender(loopback, 2).Send(t.Context(), server.URL, test.header, body)
			if err != nil || answer.Status != http.StatusTeapot {
				t.Fatalf("Send() = %v, %v; want status 418", answer, err)
			}
			if !bytes.Equal(got, body) || method != http.MethodPost {
				t.Errorf("server got %s %q, want POST %q", method, got, body)
			}
			if header.Get("Content-Type") != test.want || header.Get("X-Signature") != test.header.Get("X-Signature") || header.Get("User-Agent") != "Aorta" {
				t.Errorf("server got header %v, want Content-Type %q", header, test.want)
			}
			if test.header.Get("User-Agent") != "" {
				t.Error("Send() has changed the caller's header")
			}
		})
	}
}

func TestSendFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		var hits atomic.Int64
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			hits.Add(1)
			http.Redirect(w, r, "/elsewhere", status)
		}))
		answer, err := callback.NewHTTPSender(loopback, 2).Send(t.Context(), server.URL, nil, []byte("{}"))
		if err != nil || answer.Status != status || hits.Load() != 1 {
			t.Errorf("Send() = %v, %v after %d requests; want %d after one", answer, err, hits.Load(), status)
		}
		server.Close()
	}
}

// An endless answer must not hold the sender: the handler ends only once the
// sender has hung up.
func TestSendReadsLittleOfAnAnswer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for chunk := make([]byte, 32<<10); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	answer, err := callback.NewHTTPSender(loopback, 2).Send(t.Context(), server.URL, nil, []byte("{}"))
	if err != nil || answer.Status != http.StatusOK {
		t.Errorf("Send() = %v, %v; want 200", answer, err)
	}
}

func TestSendRefusesALongAnswerHeader(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("a", 64<<10))
	}))
	t.Cleanup(server.Close)
	if answer, err := callback.NewHTTPSender(loopback, 2).Send(t.Context(), server.URL, nil, []byte("{}")); err == nil {
		t.Errorf("Send() = %v, want an error", answer)
	}
}

func TestSendVerifiesTheCertificate(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	_, err := callback.NewHTTPSender(loopback, 2).Send(t.Context(), server.URL, nil, []byte("{}"))
	var wrong *tls.CertificateVerificationError
	if !errors.As(err, &wrong) {
		t.Errorf("Send() = %v, want a certificate error", err)
	}
}

func TestSenderIsBoundInTimeAndUsesNoProxy(t *testing.T) {
	t.Parallel()
	for n, c := range callback.NewHTTPSender(nil, 2).Clients() {
		if c.Timeout != 15*time.Second {
			t.Errorf("client %d has %s for connect, send and answer, want 15s", n, c.Timeout)
		}
		if tr, ok := c.Transport.(*http.Transport); !ok || tr.Proxy != nil {
			t.Errorf("client %d would ask the environment for a proxy", n)
		}
	}
}

// A Retry-After is a number of seconds, or a date that counts from the answer's own.
func TestSendReadsRetryAfter(t *testing.T) {
	t.Parallel()
	const date = "Fri, 02 Jan 2026 03:04:05 GMT"
	for text, want := range map[string]time.Duration{
		"":                              0,
		"120":                           2 * time.Minute,
		"-1":                            0,
		"99999999":                      7 * 24 * time.Hour,
		"1.5":                           0,
		"Fri, 02 Jan 2026 03:05:05 GMT": time.Minute,
		"Thu, 01 Jan 2026 03:05:05 GMT": 0,
		"soon":                          0,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", date)
			w.Header().Set("Retry-After", text)
			w.WriteHeader(http.StatusServiceUnavailable)
		}))
		answer, err := callback.NewHTTPSender(loopback, 2).Send(t.Context(), server.URL, nil, []byte("{}"))
		if err != nil || answer.RetryAfter != want || answer.Status != http.StatusServiceUnavailable {
			t.Errorf("Retry-After %q = %v, %v; want %v", text, answer, err, want)
		}
		server.Close()
	}
}
