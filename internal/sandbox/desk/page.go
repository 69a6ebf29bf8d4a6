package desk

import (
	"crypto/sha256"
	_ "embed" // the style
	"encoding/base64"
	"net/http"
	"strconv"
)

// PageStyle is the style of all hosted pages, to be inlined.
//
//go:embed page.css
var PageStyle string

// Digest is the source expression of an inlined text, for a page's policy.
func Digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// WritePage sends a hosted page. policy lets in what the page inlines; framing
// stays allowed: the widget shows these pages in an iframe.
func WritePage(w http.ResponseWriter, status int, policy string, page []byte) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(page)))
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(page) // the client going away is its own affair
}
