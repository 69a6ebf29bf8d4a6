package google_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"aorta/internal/google"
	"aorta/internal/pgp"
)

// BenchmarkEcho is a whole call over HTTP on one machine, beside its cryptography
// alone: opening the request and sealing the answer, both ours. What lies between
// is all that the door and HTTP cost.
func BenchmarkEcho(b *testing.B) {
	w := newWorld(b)
	body := sealed(b, w.google, request())
	server := httptest.NewServer(w.door)
	b.Cleanup(server.Close)
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	b.Cleanup(transport.CloseIdleConnections)
	call := func() {
		r, err := http.NewRequest(http.MethodPost, server.URL+"/gsp/main/v1/echo", bytes.NewReader(body))
		if err != nil {
			b.Error(err)
			return
		}
		r.Header.Set("Content-Type", google.ContentType)
		resp, err := transport.RoundTrip(r)
		if err != nil {
			b.Error(err)
			return
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			b.Errorf("%d, %v", resp.StatusCode, err)
		}
		resp.Body.Close()
	}
	us := ring(b, key(b, "integrator-secret.asc"), key(b, "google-side-secret.asc"))
	answer := []byte(`{"responseHeader":{"responseTimestamp":"1705276860250"},"clientMessage":"ping 7","serverMessage":"aorta 0.1"}`)
	crypto := func() {
		if _, err := us.Open(body, now); err != nil {
			b.Error(err)
		}
		if _, err := us.Seal(answer, now, pgp.Form{}); err != nil {
			b.Error(err)
		}
	}
	for name, do := range map[string]func(){"call": call, "crypto": crypto} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			began := time.Now()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					do()
				}
			})
			b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "calls/s")
		})
	}
}
