package web

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

//go:embed locale/*.json
var localeFiles embed.FS

// Default is the language of a customer of whom nothing is known.
const Default = "en"

// message is one text, or one per plural category (CLDR: one, few, many, other) when it counts something.
type message struct {
	text  string
	forms map[plural.Form]string
}

var formNames = map[string]plural.Form{
	"zero": plural.Zero, "one": plural.One, "two": plural.Two,
	"few": plural.Few, "many": plural.Many, "other": plural.Other,
}

func (m *message) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, &m.text); err == nil {
		return nil
	}
	var forms map[string]string
	if err := json.Unmarshal(data, &forms); err != nil {
		return err
	}
	m.forms = map[plural.Form]string{}
	for name, text := range forms {
		form, ok := formNames[name]
		if !ok {
			return fmt.Errorf("%q is no plural category", name)
		}
		m.forms[form] = text
	}
	if m.forms[plural.Other] == "" {
		return fmt.Errorf("a counted text needs the category other")
	}
	return nil
}

// catalogue holds every text by language and key. The files are part of the binary and a test reads each of them,
// so one that cannot be read is a mistake of ours and stops the program at its start.
var catalogue = func() map[string]map[string]message {
	files, err := localeFiles.ReadDir("locale")
	if err != nil {
		panic(err)
	}
	all := map[string]map[string]message{}
	for _, file := range files {
		data, err := localeFiles.ReadFile(path.Join("locale", file.Name()))
		if err != nil {
			panic(err)
		}
		var texts map[string]message
		if err := json.Unmarshal(data, &texts); err != nil {
			panic(fmt.Errorf("locale/%s: %w", file.Name(), err))
		}
		all[strings.TrimSuffix(file.Name(), ".json")] = texts
	}
	return all
}()

// Languages lists the languages that pages come in, as ISO 639-1 codes in alphabetical order.
func Languages() []string { return slices.Sorted(maps.Keys(catalogue)) }

// Language chooses the page's language: the first of wanted that we have. Each may be a code as merchants send it
// ("HI", "ru-RU", "en_US") or a browser's whole Accept-Language header; the empty string and what cannot be read are
// passed over. Without any match it is Default.
func Language(wanted ...string) string {
	for _, want := range wanted {
		tags, _, err := language.ParseAcceptLanguage(strings.ReplaceAll(want, "_", "-"))
		if err != nil {
			continue
		}
		for _, tag := range tags {
			base, _ := tag.Base()
			if _, ok := catalogue[base.String()]; ok {
				return base.String()
			}
		}
	}
	return Default
}

// Text gives the text of that key in that language, with each {name} replaced: Text("en", "confirm.pay", "amount",
// "₹25.00") is "Pay ₹25.00". A language we lack is Default. A key that does not exist is answered as itself, so that
// a customer sees an odd word rather than no page; a test proves that every key the templates use exists.
func Text(lang, key string, pairs ...string) string {
	m := lookup(lang, key)
	return fill(m.text, pairs)
}

// Count gives the text of that key in the plural form that the language has for n; {n} becomes the number.
func Count(lang, key string, n int, pairs ...string) string {
	m := lookup(lang, key)
	digits := max(n, -n)
	form := plural.Cardinal.MatchPlural(language.Make(known(lang)), digits, 0, 0, 0, 0)
	text, ok := m.forms[form]
	if !ok {
		text = m.forms[plural.Other]
	}
	return fill(text, append(pairs, "n", strconv.Itoa(n)))
}

func known(lang string) string {
	if _, ok := catalogue[lang]; ok {
		return lang
	}
	return Default
}

func lookup(lang, key string) message {
	if m, ok := catalogue[known(lang)][key]; ok {
		return m
	}
	return message{text: key, forms: map[plural.Form]string{plural.Other: key}}
}

func fill(text string, pairs []string) string {
	if len(pairs) < 2 {
		return text
	}
	replace := make([]string, 0, len(pairs))
	for i := 0; i+1 < len(pairs); i += 2 {
		replace = append(replace, "{"+pairs[i]+"}", pairs[i+1])
	}
	return strings.NewReplacer(replace...).Replace(text)
}
