package main

import (
	"bytes"
	"net/http"
	"strconv"

	"aorta/internal/crash"
)

// answered has each answer leave whole before the crash point behind it is
// passed: net/http would write a short one only when the handler has returned.
func answered(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		held := &heldAnswer{ResponseWriter: w, status: http.StatusOK}
		h.ServeHTTP(held, r)
		w.Header().Set("Content-Length", strconv.Itoa(held.body.Len()))
		w.WriteHeader(held.status)
		_, _ = w.Write(held.body.Bytes())
		_ = http.NewResponseController(w).Flush()
		crash.At(crash.AfterAnswer)
	})
}

// heldAnswer keeps an answer until its length is known.
type heldAnswer struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (a *heldAnswer) WriteHeader(status int)         { a.status = status }
func (a *heldAnswer) Write(text []byte) (int, error) { return a.body.Write(text) }
