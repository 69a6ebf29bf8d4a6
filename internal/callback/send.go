package callback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// HTTPSender posts callbacks over HTTP. It refuses to dial what is not a
// public address, and there what is not https on a usual port, unless an
// operator has allowed the address (security.md S20–S22).
type HTTPSender struct {
	secure, plain *http.Client // by scheme: a hook that dials does not see it
}

const (
	sendTimeout   = 15 * time.Second // connect, send and answer
	dialTimeout   = 5 * time.Second  // connect alone
	maxAnswer     = 64 << 10         // bytes of an answer that are read
	maxAnswerHead = 16 << 10
)

var (
	// ErrPrivateAddress: the endpoint's address is not public. It is checked where
	// it is dialled, so a name that resolves elsewhere later does not help.
	ErrPrivateAddress = errors.New("callback address is not public")
	// ErrEndpoint: the endpoint is not https on port 443 or 8443, or its URL has
	// user info.
	ErrEndpoint = errors.New("callback address must be https on port 443 or 8443, without user info")
)

// NewHTTPSender makes a sender; allowed opens networks to it that it would refuse.
// It keeps at most idle connections while nothing is sent.
func NewHTTPSender(allowed []netip.Prefix, idle int) *HTTPSender {
	secure := newClient(dialRule{allowed, true}, (idle+1)/2)
	return &HTTPSender{secure: secure, plain: newClient(dialRule{allowed, false}, idle/2)}
}

// Dial connects to an address, as net.Dialer's DialContext does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// NewHTTPSenderOver makes a sender that reaches merchants by dial in place of
// the machine's network, as tests do. Which addresses may be reached is dial's
// to say: nothing is refused here.
func NewHTTPSenderOver(dial Dial) *HTTPSender {
	return &HTTPSender{secure: clientOver(dial, MostAtOnce), plain: clientOver(dial, MostAtOnce)}
}

func newClient(rule dialRule, idle int) *http.Client {
	dialer := &net.Dialer{Timeout: dialTimeout, Control: rule.control}
	return clientOver(dialer.DialContext, idle)
}

func clientOver(dial Dial, idle int) *http.Client {
	return &http.Client{
		Timeout: sendTimeout,
		Transport: &http.Transport{
			DialContext: dial, Proxy: nil, MaxIdleConns: idle, MaxIdleConnsPerHost: idle, IdleConnTimeout: time.Minute,
			TLSHandshakeTimeout: dialTimeout, MaxResponseHeaderBytes: maxAnswerHead, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Send posts body.
func (s *HTTPSender) Send(ctx context.Context, url string, header http.Header, body []byte) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return Answer{}, fmt.Errorf("callback address: %w", err)
	}
	if req.URL.User != nil {
		return Answer{}, ErrEndpoint
	}
	if header != nil {
		req.Header = header.Clone()
	}
	if req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", "Aorta")
	client := s.secure
	if req.URL.Scheme == "http" {
		client = s.plain
	}
	resp, err := client.Do(req)
	if err != nil {
		return Answer{}, fmt.Errorf("post callback: %w", err)
	}
	defer resp.Body.Close()
	// The status is the answer; the rest is read so that the connection can be used again.
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	return Answer{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header)}, nil
}

// maxRetryAfter bounds what is believed of a Retry-After: what it asks for beyond
// a pause of the schedule is cut anyway.
const maxRetryAfter = 7 * 24 * time.Hour

// retryAfter reads how long an answer asks to be left alone, in seconds or as a
// date, which is measured from the answer's own: clocks differ.
func retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return min(max(time.Duration(seconds)*time.Second, 0), maxRetryAfter)
	}
	until, err1 := http.ParseTime(text)
	from, err2 := http.ParseTime(h.Get("Date"))
	if err1 != nil || err2 != nil {
		return 0
	}
	return min(max(until.Sub(from), 0), maxRetryAfter)
}

// dialRule says which addresses may be dialled.
type dialRule struct {
	allowed []netip.Prefix
	secure  bool // by TLS
}

func (r dialRule) control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("dialled address: %w", err)
	}
	ip := ap.Addr().Unmap().WithZone("")
	in := func(p netip.Prefix) bool { return p.Contains(ip) }
	if slices.ContainsFunc(r.allowed, in) {
		return nil
	}
	if !ip.IsGlobalUnicast() || slices.ContainsFunc(notPublic, in) {
		return ErrPrivateAddress
	}
	if !r.secure || (ap.Port() != 443 && ap.Port() != 8443) {
		return ErrEndpoint
	}
	return nil
}

// notPublic are the networks of S20 that IsGlobalUnicast lets through.
var notPublic = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24",
	"192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7",
)

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for n, t := range texts {
		out[n] = netip.MustParsePrefix(t)
	}
	return out
}
