package journal_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"aorta/internal/sandbox/journal"
)

// words keeps every line it was given.
type words struct{ lines []string }

func (w *words) Load(line []byte) error {
	var s string
	if err := json.Unmarshal(line, &s); err != nil {
		return err
	}
	w.lines = append(w.lines, s)
	return nil
}

func (w *words) Dump(emit func([]byte) error) error {
	for _, s := range w.lines {
		line, err := json.Marshal(s)
		if err != nil {
			return err
		}
		if err := emit(line); err != nil {
			return err
		}
	}
	return nil
}

func open(t *testing.T, path string) (*journal.Journal, *words, *words) {
	t.Helper()
	a, b := &words{}, &words{}
	j, err := journal.Open(path, map[string]journal.Keeper{"a": a, "b": b})
	if err != nil {
		t.Fatalf("Open(%s) = %v", path, err)
	}
	t.Cleanup(func() { j.Close() })
	return j, a, b
}

func TestLinesComeBackToTheirKeeper(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	j, _, _ := open(t, path)
	for _, l := range [][2]string{{"a", `"one"`}, {"b", `"two"`}, {"a", `"}\":three"`}} {
		if err := j.Append(l[0], []byte(l[1])); err != nil {
			t.Fatalf("Append(%v) = %v", l, err)
		}
	}
	// No Close: a SIGKILLed process does not close either.
	for range 2 {
		_, a, b := open(t, path)
		if want := []string{"one", `}":three`}; !slices.Equal(a.lines, want) {
			t.Errorf("keeper a got %q, want %q", a.lines, want)
		}
		if want := []string{"two"}; !slices.Equal(b.lines, want) {
			t.Errorf("keeper b got %q, want %q", b.lines, want)
		}
	}
}

func TestTornAndForeignLines(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		file    string
		want    []string
		wantErr string
	}{
		{name: "empty"},
		{name: "torn last line", file: "{\"a\":\"x\"}\n{\"a\":\"y", want: []string{"x"}},
		{name: "whole last line without its end", file: "{\"a\":\"x\"}\n{\"a\":\"y\"}", want: []string{"x"}},
		{name: "torn line in the middle", file: "{\"a\":\"x\n{\"a\":\"y\"}\n", wantErr: "line 1"},
		{name: "unknown keeper", file: "{\"a\":\"x\"}\n{\"z\":\"y\"}\n", wantErr: "line 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "j")
			if err := os.WriteFile(path, []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
			a := &words{}
			j, err := journal.Open(path, map[string]journal.Keeper{"a": a})
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("Open = %v, want an error naming %q", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatalf("Open = %v", err)
			}
			defer j.Close()
			if !slices.Equal(a.lines, tt.want) {
				t.Errorf("loaded %q, want %q", a.lines, tt.want)
			}
		})
	}
}

func TestWithoutAPathNothingIsKept(t *testing.T) {
	t.Parallel()
	j, err := journal.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Append("a", []byte(`1`)); err != nil {
		t.Errorf("Append = %v, want nil", err)
	}
	if err := j.Close(); err != nil {
		t.Errorf("Close = %v, want nil", err)
	}
}
