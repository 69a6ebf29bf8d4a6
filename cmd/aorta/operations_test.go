package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// TestOperationsGuide: docs/operations.md has every key of aorta.toml, every
// variable that a flag reads, and an example that loads.
func TestOperationsGuide(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	guide := string(text)
	_, rest, _ := strings.Cut(guide, "```toml\n")
	example, _, _ := strings.Cut(rest, "```")
	for _, of := range []any{file{}, connectorConfig{}, projectConfig{}, methodConfig{}} {
		kind := reflect.TypeOf(of)
		for _, field := range reflect.VisibleFields(kind) {
			key := field.Tag.Get("toml")
			// As a key, in a comment or not, or as a table.
			named := regexp.MustCompile(`(?m)^[# ]*(\w+, )*` + key + `(, \w+)* *[=:#]|\[\[?(project\.)?` + key + `\]`)
			if key == "" || !named.MatchString(example) {
				t.Errorf("the example has no key %q of %s", key, kind)
			}
		}
	}
	for _, name := range variables(reflect.TypeFor[commands]()) {
		if !strings.Contains(guide, "`"+name+"`") {
			t.Errorf("the page does not name %s", name)
		}
	}
	if _, err := loaded(t, example, "AORTA_PROJECT_200_SECRET", "s"); err != nil {
		t.Errorf("the example does not load: %v", err)
	}
}

// TestMetricsGuide: docs/operations.md has every metric, by its name or by that of
// its family.
func TestMetricsGuide(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`Name: +"(aorta_[a-z]+_)([a-z_]*)"`)
	found := 0
	err = filepath.WalkDir("../../internal", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range named.FindAllStringSubmatch(string(source), -1) {
			found++
			if !strings.Contains(string(text), "`"+m[1]+m[2]) && !strings.Contains(string(text), "`"+m[1]+"*`") {
				t.Errorf("the page has neither %s nor %s*", m[1]+m[2], m[1])
			}
		}
		return err
	})
	if err != nil || found < 15 {
		t.Errorf("%d metrics were found (%v)", found, err)
	}
}

// variables lists the environment that a command and all below it read.
func variables(kind reflect.Type) []string {
	var found []string
	for n := range kind.NumField() {
		field := kind.Field(n)
		if name := field.Tag.Get("env"); name != "" {
			found = append(found, name)
		}
		if field.Type.Kind() == reflect.Struct {
			found = append(found, variables(field.Type)...)
		}
	}
	return found
}
