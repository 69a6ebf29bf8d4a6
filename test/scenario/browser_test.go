package scenario_test

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// browser is one without JavaScript: it follows links and sends forms.
type browser struct {
	t      *testing.T
	client *http.Client
	url    string
	body   string
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, client: &http.Client{Jar: jar}}
}

func (b *browser) do(req *http.Request) {
	b.t.Helper()
	req.Header.Set("Accept", "text/html")
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 400 {
		b.t.Fatalf("%s %s: %d %v: %s", req.Method, req.URL, resp.StatusCode, err, raw)
	}
	b.url, b.body = resp.Request.URL.String(), string(raw)
}

func (b *browser) get(address string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.do(req)
}

func (b *browser) resolve(ref string) string {
	base, err := url.Parse(b.url)
	if err != nil {
		b.t.Fatal(err)
	}
	u, err := base.Parse(html.UnescapeString(ref))
	if err != nil {
		b.t.Fatal(err)
	}
	return u.String()
}

// attribute reads name="value" of a tag.
func attribute(tag, name string) string {
	m := regexp.MustCompile(`(?:^|\s)` + name + `="([^"]*)"`).FindStringSubmatch(tag)
	if m == nil {
		return ""
	}
	return m[1]
}

// follow goes to the link with an id.
func (b *browser) follow(id string) {
	b.t.Helper()
	for _, tag := range regexp.MustCompile(`(?s)<a\s[^>]*>`).FindAllString(b.body, -1) {
		if "#"+attribute(tag, "id") == id {
			b.get(b.resolve(attribute(tag, "href")))
			return
		}
	}
	b.t.Fatalf("no link %s on %s", id, b.url)
}

// submit sends the page's first POST form, with more fields.
func (b *browser) submit(more url.Values) {
	b.t.Helper()
	b.send("post", more)
}

// press sends the page's first form, as its button does.
func (b *browser) press() {
	b.t.Helper()
	b.send("", nil)
}

// send sends the page's first form of a method; empty: of any.
func (b *browser) send(method string, more url.Values) {
	b.t.Helper()
	for _, form := range regexp.MustCompile(`(?s)<form\s[^>]*>.*?</form>`).FindAllString(b.body, -1) {
		head, _, _ := strings.Cut(form, ">")
		how := strings.ToLower(attribute(head, "method"))
		if method != "" && how != method {
			continue
		}
		values := url.Values{}
		for _, tag := range regexp.MustCompile(`(?s)<input\s[^>]*>`).FindAllString(form, -1) {
			if kind := attribute(tag, "type"); kind != "radio" || strings.Contains(tag, "checked") {
				values.Set(html.UnescapeString(attribute(tag, "name")), html.UnescapeString(attribute(tag, "value")))
			}
		}
		for k, v := range more {
			values[k] = v
		}
		if how != "post" {
			address := b.resolve(attribute(head, "action"))
			address, _, _ = strings.Cut(address, "?")
			b.get(address + "?" + values.Encode())
			return
		}
		req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.resolve(attribute(head, "action")), strings.NewReader(values.Encode()))
		if err != nil {
			b.t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		b.do(req)
		return
	}
	b.t.Fatalf("no form on %s: %s", b.url, b.body)
}

func (b *browser) wantText(text string) {
	b.t.Helper()
	if !strings.Contains(b.body, text) {
		b.t.Fatalf("no %q on %s: %s", text, b.url, b.body)
	}
}
