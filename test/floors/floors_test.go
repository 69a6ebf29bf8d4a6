package floors_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"aorta/test/floors"
)

// TestImportsGoDown reads the sources itself rather than asking `go list`: so the test cache knows what it read, and
// a package that does not compile at the moment does not hide the others.
func TestImportsGoDown(t *testing.T) {
	t.Parallel()
	imports := map[string][]string{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == "node_modules" || name == "testdata" || strings.HasPrefix(name, ".") && name != ".." {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		pkg := floors.Module + "/" + filepath.ToSlash(dir)
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			imports[pkg] = append(imports[pkg], imported)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("read the sources: %v", err)
	}
	var packages []floors.Package
	for path, imported := range imports {
		slices.Sort(imported)
		packages = append(packages, floors.Package{ImportPath: path, Imports: slices.Compact(imported)})
	}
	if len(packages) < 2 {
		t.Fatalf("found %d packages; that cannot be the whole module", len(packages))
	}
	for _, v := range floors.Violations(packages) {
		t.Error(v)
	}
}

// TestViolations proves the check on a made-up house, so that a silent TestImportsGoDown means something.
func TestViolations(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		from    string
		imports string
		want    string // part of the sentence; "" means allowed
	}{
		{name: "down", from: "internal/flow", imports: "aorta/internal/book"},
		{name: "two floors down", from: "internal/gate", imports: "aorta/internal/money"},
		{name: "up", from: "internal/book", imports: "aorta/internal/flow", want: "floor 2 is above floor 1"},
		{name: "up from a folder below", from: "internal/connector/paytm", imports: "aorta/internal/flow", want: "floor 2 is above floor 1"},
		{name: "within a room", from: "internal/connector/paytm", imports: "aorta/internal/connector"},
		{name: "neighbour in the table", from: "internal/store", imports: "aorta/internal/book"},
		{name: "that neighbour the other way", from: "internal/book", imports: "aorta/internal/store", want: "neighbours on floor 1"},
		{name: "words know payment only where said", from: "internal/ledger", imports: "aorta/internal/payment", want: "neighbours on floor 0"},
		{name: "event knows payment", from: "internal/event", imports: "aorta/internal/payment"},
		{name: "doors", from: "internal/gate", imports: "aorta/internal/paypage", want: "neighbours on floor 3"},
		{name: "I/O in a word", from: "internal/money", imports: "os", want: "no I/O"},
		{name: "I/O in a flow", from: "internal/worker", imports: "os"},
		{name: "words of others", from: "internal/money", imports: "github.com/bojanz/currency"},
		{name: "sandbox knows words", from: "internal/sandbox", imports: "aorta/internal/money"},
		{name: "sandbox knows us", from: "internal/sandbox/paytm", imports: "aorta/internal/connector/paytm", want: "wire protocols only"},
		{name: "sandbox knows our cryptography", from: "internal/sandbox/google", imports: "aorta/internal/pgp", want: "gpg"},
		{name: "we know the sandbox", from: "internal/gate", imports: "aorta/internal/sandbox", want: "only cmd starts it"},
		{name: "cmd knows all", from: "cmd/aorta", imports: "aorta/internal/sandbox"},
		{name: "flow shows a page", from: "internal/flow", imports: "aorta/web", want: "only front doors"},
		{name: "door shows a page", from: "internal/paypage", imports: "aorta/web"},
		{name: "on no floor", from: "internal/util", imports: "strings", want: "stands on no floor"},
		{name: "imports what is on no floor", from: "internal/gate", imports: "aorta/internal/util", want: "stands on no floor"},
		{name: "a test as a library", from: "internal/gate", imports: "aorta/test/floors", want: "programs or tests"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := floors.Violations([]floors.Package{{ImportPath: "aorta/" + tt.from, Imports: []string{tt.imports}}})
			ok := len(got) == 0
			if tt.want != "" {
				ok = len(got) == 1 && strings.Contains(got[0], tt.want)
			}
			if !ok {
				t.Errorf("%s imports %s: got %q, want %q", tt.from, tt.imports, got, tt.want)
			}
		})
	}
}

func TestViolationsAreInOrder(t *testing.T) {
	t.Parallel()
	got := floors.Violations([]floors.Package{
		{ImportPath: "aorta/internal/store", Imports: []string{"aorta/internal/gate", "aorta/internal/flow"}},
		{ImportPath: "aorta/internal/book", Imports: []string{"aorta/internal/gate"}},
	})
	if len(got) != 3 || !slices.IsSorted(got) {
		t.Errorf("got %q, want three sentences in order", got)
	}
}
