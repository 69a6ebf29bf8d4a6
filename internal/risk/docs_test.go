package risk_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"aorta/internal/risk"
)

// guide is docs/rules.md.
func guide(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// undocumented lists the settings of a profile that no row of a table names
// together with its value.
func undocumented(page, canonical string) []string {
	var missing []string
	for line := range strings.Lines(canonical) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " = ")
		if value == "" {
			value = "none"
		}
		documented := false
		for row := range strings.Lines(page) {
			_, after, found := strings.Cut(row, "`"+name+"`")
			documented = documented || (strings.HasPrefix(row, "|") && found && strings.Contains(after, "`"+value+"`"))
		}
		if !documented {
			missing = append(missing, name+" = "+value)
		}
	}
	return missing
}

// TestEveryKeyIsDocumented: every setting has a row in docs/rules.md, with the
// default that it has.
func TestEveryKeyIsDocumented(t *testing.T) {
	t.Parallel()
	page := guide(t)
	base, _ := risk.Profile("generic")
	for _, missing := range undocumented(page, base.Canonical()) {
		t.Errorf("docs/rules.md does not say %s", missing)
	}
	// A key that nobody documented, and a default that is another, are seen.
	if got := undocumented(page, "limits.unheard_of = 1\nlimits.raise_delay = 2d\n"); len(got) != 2 {
		t.Errorf("of two planted gaps %v were found", got)
	}
}

// TestEveryDocumentedKeyIsOne: what docs/rules.md names can be written into a file.
func TestEveryDocumentedKeyIsOne(t *testing.T) {
	t.Parallel()
	base, _ := risk.Profile("generic")
	for _, match := range regexp.MustCompile("`((?:limits|kyc|payout|rule)\\.[A-Za-z0-9_.]+)`").FindAllStringSubmatch(guide(t), -1) {
		name := match[1]
		if !strings.Contains(base.Canonical(), name+" = ") && !strings.HasPrefix(name, "limits.maximum.statutory.") {
			t.Errorf("docs/rules.md names %s, which is no key", name)
		}
	}
}

// TestProfilesAreDocumented: what makes each profile another one.
func TestProfilesAreDocumented(t *testing.T) {
	t.Parallel()
	page := guide(t)
	base, _ := risk.Profile("generic")
	for _, name := range risk.Profiles() {
		profile, _ := risk.Profile(name)
		var row string
		for line := range strings.Lines(page) {
			if strings.HasPrefix(line, "| `"+name+"` |") {
				row = line
				break
			}
		}
		if row == "" {
			t.Errorf("docs/rules.md has no profile %s", name)
			continue
		}
		changes := risk.Diff(base.Canonical(), profile.Canonical())
		for _, change := range changes[min(1, len(changes)):] { // the first is its name
			key, _, _ := strings.Cut(change, ":")
			value := change[strings.LastIndex(change, " ")+1:]
			if !strings.Contains(row, "`"+key+"` = `"+value+"`") {
				t.Errorf("docs/rules.md does not say of profile %s: %s", name, change)
			}
		}
		if got := strings.Count(row, "` = `"); got != max(len(changes)-1, 0) {
			t.Errorf("docs/rules.md has %d differences of profile %s, there are %d", got, name, len(changes)-1)
		}
	}
}

// TestTheExampleLoads: the file in docs/rules.md is one.
func TestTheExampleLoads(t *testing.T) {
	t.Parallel()
	_, after, _ := strings.Cut(guide(t), "## What a file says")
	_, after, found := strings.Cut(after, "```toml\n")
	text, _, closed := strings.Cut(after, "```")
	if !found || !closed {
		t.Fatal("docs/rules.md has no example")
	}
	if _, err := risk.Load("rules.toml", []byte(text)); err != nil {
		t.Error(err)
	}
}
