package web_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"

	"aorta/web"
)

// texts reads a locale file: a text stands under "", a counted one under the names of its plural categories.
func texts(t *testing.T, lang string) map[string]map[string]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("locale", lang+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		t.Fatalf("%s: %v", lang, err)
	}
	all := map[string]map[string]string{}
	for key, value := range raw {
		var one string
		if json.Unmarshal(value, &one) == nil {
			all[key] = map[string]string{"": one}
			continue
		}
		var forms map[string]string
		if err := json.Unmarshal(value, &forms); err != nil {
			t.Fatalf("%s %s: %v", lang, key, err)
		}
		all[key] = forms
	}
	return all
}

var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

func placeholders(text string) []string {
	found := placeholder.FindAllString(text, -1)
	slices.Sort(found)
	return slices.Compact(found)
}

func TestEveryLanguageHasEveryText(t *testing.T) {
	t.Parallel()
	if got, want := web.Languages(), []string{"ar", "en", "es", "hi", "ru"}; !slices.Equal(got, want) {
		t.Fatalf("Languages() = %q, want %q", got, want)
	}
	english := texts(t, "en")
	for _, lang := range web.Languages() {
		own := texts(t, lang)
		for key, forms := range english {
			want := placeholders(strings.Join(slices.Collect(maps.Values(forms)), " "))
			if len(own[key]) == 0 {
				t.Errorf("%s lacks %q", lang, key)
			}
			for form, text := range own[key] {
				if text == "" {
					t.Errorf("%s %q %s is empty", lang, key, form)
				}
				if got := placeholders(text); !slices.Equal(got, want) {
					t.Errorf("%s %q %s has %q, English has %q", lang, key, form, got, want)
				}
				if lang != "en" && key != "dir" && text == forms[form] {
					t.Errorf("%s %q is not translated: %q", lang, key, text)
				}
			}
		}
		for key := range own {
			if _, ok := english[key]; !ok {
				t.Errorf("%s has %q, which English lacks", lang, key)
			}
		}
	}
}

// TestCountedTextsHaveTheirForms asks CLDR which categories the whole numbers of a language fall into.
func TestCountedTextsHaveTheirForms(t *testing.T) {
	t.Parallel()
	names := map[plural.Form]string{
		plural.Zero: "zero", plural.One: "one", plural.Two: "two", plural.Few: "few", plural.Many: "many", plural.Other: "other",
	}
	for _, lang := range web.Languages() {
		needed := map[string]bool{"other": true}
		for n := range 200 {
			needed[names[plural.Cardinal.MatchPlural(language.Make(lang), n, 0, 0, 0, 0)]] = true
		}
		for key, forms := range texts(t, lang) {
			if _, plain := forms[""]; plain {
				continue
			}
			for form := range needed {
				if forms[form] == "" {
					t.Errorf("%s %q lacks the form %q", lang, key, form)
				}
			}
		}
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, got, want string
	}{
		{"filled", web.Text("en", "confirm.pay_with", "amount", "₹25.00", "method", "Paytm Wallet"), "Pay ₹25.00 with Paytm Wallet"},
		{"hindi", web.Text("hi", "confirm.pay", "amount", "₹25.00"), "₹25.00 का भुगतान करें"},
		{"a value is not filled again", web.Text("en", "confirm.pay_with", "amount", "{method}", "method", "x"), "Pay {method} with x"},
		{"language we lack", web.Text("xx", "page.title"), "Payment"},
		{"key we lack", web.Text("en", "no.such"), "no.such"},
		{"one", web.Count("en", "result.attempts", 1), "1 attempt left"},
		{"many", web.Count("en", "result.attempts", 4), "4 attempts left"},
		{"russian one", web.Count("ru", "result.attempts", 21), "Осталась 21 попытка"},
		{"russian few", web.Count("ru", "result.attempts", 3), "Осталось 3 попытки"},
		{"russian many", web.Count("ru", "result.attempts", 11), "Осталось 11 попыток"},
		{"spanish one", web.Count("es", "result.attempts", 1), "Queda 1 intento"},
		{"spanish other", web.Count("es", "result.attempts", 0), "Quedan 0 intentos"},
		{"arabic two", web.Count("ar", "result.attempts", 2), "بقيت محاولتان (2)"},
		{"arabic few", web.Count("ar", "result.attempts", 103), "بقيت 103 محاولات"},
		{"arabic many", web.Count("ar", "result.attempts", 11), "بقيت 11 محاولة"},
		{"counted key we lack", web.Count("en", "no.such", 2), "no.such"},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}

func TestLanguage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		wanted []string
		want   string
	}{
		{"nothing known", nil, "en"},
		{"as plugins send it", []string{"HI"}, "hi"},
		{"with a region", []string{"ru_RU"}, "ru"},
		{"one we lack, then the browser", []string{"de", "fr-FR,ru;q=0.8,en;q=0.5"}, "ru"},
		{"a region and a script", []string{"ar-Arab-EG"}, "ar"},
		{"of another continent", []string{"es_419"}, "es"},
		{"by weight", []string{"", "en;q=0.3, hi;q=0.9"}, "hi"},
		{"nonsense", []string{"<script>", "\x00", strings.Repeat("a,", 500)}, "en"},
	}
	for _, tt := range tests {
		if got := web.Language(tt.wanted...); got != tt.want {
			t.Errorf("%s: Language(%q) = %q, want %q", tt.name, tt.wanted, got, tt.want)
		}
	}
}

func FuzzLanguage(f *testing.F) {
	f.Add("hi-IN,hi;q=0.9,en;q=0.8")
	f.Add("ru_RU")
	f.Add("\xff;q=1")
	f.Fuzz(func(t *testing.T, header string) {
		if got := web.Language(header); !slices.Contains(web.Languages(), got) {
			t.Errorf("Language(%q) = %q, which we do not have", header, got)
		}
	})
}
