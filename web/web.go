// Package web holds what browsers get from us: the widget for merchants' pages, the payment page with its script,
// style and texts, all inside the binary. It renders and serves; it decides nothing, knows no payment and imports
// nothing of ours. No script of anyone else is ever part of it.
//
// The payment page works without JavaScript: forms, links and meta refresh do everything, page.js only makes it
// quicker and speaks to the merchant's page around the frame.
package web

import (
	"bytes"
	"crypto/sha512"
	"embed"
	"encoding/base64"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

//go:generate go run ./build

//go:embed dist inventory.json
var distFiles embed.FS

// Asset is one file as the browser gets it.
type Asset struct {
	Path      string // on the public listener, "/shared/page.js"
	Type      string // media type
	Body      []byte
	Integrity string // for the attribute of that name, "sha384-…"
	version   string // changes with Body
}

// URL is Path with a version, for pages of ours. It may be kept for ever: a page that names another version never
// meets an older copy, which its integrity attribute would refuse.
func (a Asset) URL() string { return a.Path + "?v=" + a.version }

var (
	merchantJS  = load("merchant.js", "text/javascript; charset=utf-8")
	merchantCSS = load("merchant.css", "text/css; charset=utf-8")
	pageJS      = load("page.js", "text/javascript; charset=utf-8")
	pageCSS     = load("page.css", "text/css; charset=utf-8")
	signInJS    = load("signin.js", "text/javascript; charset=utf-8")
)

func load(name, mediaType string) Asset {
	body, err := distFiles.ReadFile(path.Join("dist", name))
	if err != nil {
		panic(err) // cannot be: the file is named in this file and embedded
	}
	sum := sha512.Sum384(body)
	text := base64.StdEncoding.EncodeToString(sum[:])
	version := base64.RawURLEncoding.EncodeToString(sum[:9])
	return Asset{Path: "/shared/" + name, Type: mediaType, Body: body, Integrity: "sha384-" + text, version: version}
}

// MerchantJS is the widget that merchants load from /shared/merchant.js.
func MerchantJS() Asset { return merchantJS }

// MerchantCSS is the look of the widget's window.
func MerchantCSS() Asset { return merchantCSS }

// PageJS is the script of the payment page.
func PageJS() Asset { return pageJS }

// PageCSS is the look of the payment page.
func PageCSS() Asset { return pageCSS }

// SignInJS is the script of the page that links a wallet.
func SignInJS() Asset { return signInJS }

// Inventory is the list of our scripts and styles with reason and SHA-384, as JSON (PCI DSS 6.4.3).
func Inventory() []byte {
	list, err := distFiles.ReadFile("inventory.json")
	if err != nil {
		panic(err) // cannot be: embedded above
	}
	return list
}

// Handler serves the assets under /shared/ and answers 404 to every other path.
func Handler() http.Handler {
	all := map[string]Asset{}
	for _, a := range []Asset{merchantJS, merchantCSS, pageJS, pageCSS, signInJS} {
		all[a.Path] = a
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := all[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		h := w.Header()
		h.Set("Content-Type", a.Type)
		h.Set("X-Content-Type-Options", "nosniff")
		// Merchants' pages load these from their own origin, some with an integrity attribute, which needs both.
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		h.Set("ETag", `"`+a.version+`"`)
		if r.URL.Query().Get("v") == a.version {
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
		} else {
			// Merchants link the bare path for years; they must get a repaired widget within minutes.
			h.Set("Cache-Control", "public, max-age=300")
		}
		http.ServeContent(w, r, a.Path, time.Time{}, bytes.NewReader(a.Body))
	})
}

// Policy is the Content-Security-Policy of one payment page (security.md S28). The zero value allows our style sheet
// and nothing else: no script, no frame around the page.
type Policy struct {
	Nonce          string   // the page's nonce, as in Page.Nonce
	FormAction     []string // origins a form on the page may lead to, besides ourselves, redirects included
	FrameAncestors []string // origins that may show the page in a frame
	Loopback       bool     // pages of this machine may frame it too, at any port: for demos alone
	ReportURI      string   // where browsers report violations; "" for nowhere
}

// loopback are the origins of this machine as a policy writes them. [::1] is not among them: the grammar of
// policies has no IPv6.
var loopback = []string{"http://127.0.0.1:*", "http://localhost:*", "https://127.0.0.1:*", "https://localhost:*"}

// Loopback reports whether an address is of an origin that Policy.Loopback allows.
func Loopback(address string) bool {
	u, err := url.Parse(Origin(address))
	return err == nil && (u.Hostname() == "127.0.0.1" || u.Hostname() == "localhost")
}

// String gives the header's value. An entry that is no http or https origin is left out rather than passed on, since
// a semicolon or a space in it would change the policy.
func (p Policy) String() string {
	ancestors := origins(p.FrameAncestors)
	if p.Loopback {
		ancestors = append(ancestors, loopback...)
	}
	directives := []string{
		"default-src 'none'",
		"style-src 'self'",
		"img-src data:", // the empty icon that keeps browsers from asking for /favicon.ico
		"connect-src 'self'",
		"form-action " + strings.Join(append([]string{"'self'"}, origins(p.FormAction)...), " "),
		"frame-ancestors " + orNone(ancestors),
		"base-uri 'none'",
		"object-src 'none'",
	}
	if p.Nonce != "" && !strings.ContainsAny(p.Nonce, "'; ,") {
		directives = append(directives, "script-src 'nonce-"+p.Nonce+"'")
	}
	if strings.HasPrefix(p.ReportURI, "/") && !strings.ContainsAny(p.ReportURI, "; ,") {
		directives = append(directives, "report-uri "+p.ReportURI)
	}
	return strings.Join(directives, "; ")
}

func origins(given []string) []string {
	var kept []string
	for _, text := range given {
		if o := Origin(text); o != "" {
			kept = append(kept, o)
		}
	}
	return kept
}

func orNone(sources []string) string {
	if len(sources) == 0 {
		return "'none'"
	}
	return strings.Join(sources, " ")
}

// Origin gives scheme://host[:port] of an http or https address, and "" for anything else. It is how a merchant's
// page is named in Policy.FrameAncestors and Page.ParentOrigin; the widget sends its page's address as _referrer.
func Origin(address string) string {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || strings.ContainsAny(u.Host, " ;,'\"") {
		return ""
	}
	return u.Scheme + "://" + strings.ToLower(u.Host)
}
