package api_test

import (
	"fmt"
	"testing"
	"unicode"

	"aorta/web"
)

// TestLanguages: messages for people come in each language that the checkout comes
// in, all of them; everything else of an error stays as it is.
func TestLanguages(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	script := map[string]*unicode.RangeTable{"ar": unicode.Arabic, "en": unicode.Latin, "es": unicode.Latin, "hi": unicode.Devanagari, "ru": unicode.Cyrillic}
	doc, _ := document()
	codes := at(doc, "components", "schemas", "Error", "properties", "error", "enum").([]any)
	for _, language := range web.Languages() {
		seen := map[string]any{}
		for _, code := range codes {
			a := h.send(h.request("GET", fmt.Sprintf("/v1/errors/%s", code), "", "Accept-Language", language))
			text := a.text("message")
			if text == "" || seen[text] != nil {
				t.Errorf("%s: %v and %v are both %q", language, code, seen[text], text)
			}
			seen[text] = code
			if of := script[language]; of == nil {
				t.Fatalf("which script is %s in?", language)
			} else if first := []rune(text)[0]; !unicode.Is(of, first) && !unicode.IsDigit(first) {
				t.Errorf("%s: %v is %q", language, code, text)
			}
		}
	}
	for wanted, want := range map[string]string{
		"": "en", "ru": "ru", "ru-RU,ru;q=0.9,en;q=0.8": "ru", "fr, hi;q=0.5": "hi", "fr": "en", "*": "en", "en;q=0.1, ru;q=0.2": "ru", ";;;": "en",
		"es-MX,es;q=0.9": "es", "ar-EG": "ar",
	} {
		for _, accept := range []string{"application/json", "application/problem+json"} {
			a := h.send(h.request("GET", "/v1/payments/x", "", "Accept-Language", wanted, "Accept", accept))
			text := map[string]string{
				"en": "There is no such thing.", "hi": "ऐसी कोई चीज़ नहीं मिली।", "ru": "Такого объекта нет.",
				"es": "No existe tal cosa.", "ar": "لا يوجد شيء كهذا.",
			}[want]
			wants(t, wanted, a, 404, "not_found")
			if got := a.text("message") + a.text("detail"); got != text || a.Header().Get("Content-Language") != want || a.Header().Get("Vary") != "Accept, Accept-Language" {
				t.Errorf("%q is told %q (%v), want %q", wanted, got, a.Header(), text)
			}
		}
	}
	// An answer that is kept is given again as it was, whoever asks.
	kept := h.post(initPath, "k", sale("2.00"), "Accept-Language", "ru")
	if again := h.post(initPath, "k", sale("2.00"), "Accept-Language", "hi"); kept.Code != 402 || again.Body.String() != kept.Body.String() {
		t.Errorf("again = %s, want %s", again.Body, kept.Body)
	}
}
