// Package floors states which package of Aorta may import which, and finds the imports that break it.
//
// Imports go down only, so that a reader of a floor needs to know nothing of the floors above it. The table here
// is the rule; .golangci.yml repeats its coarse part so that an editor shows a violation while it is typed.
package floors

import (
	"fmt"
	"slices"
	"strings"
)

// Module is the module path that the packages of the table lie in.
const Module = "aorta"

// room is one package of internal/ with everything below it.
type room struct {
	floor int
	// beside names the packages of the same floor it may import; all other neighbours are refused.
	beside []string
}

// sandboxFloor is beside the house: the other side of every wire, which only cmd may start and which knows no
// floor but the words.
const sandboxFloor = -1

// rooms is the table. A package of internal/ that is not in it is a violation: whoever adds one decides where it
// stands.
var rooms = map[string]room{
	"money":      {floor: 0},
	"id":         {floor: 0, beside: []string{"money"}},
	"payment":    {floor: 0, beside: []string{"money", "id"}},
	"ledger":     {floor: 0, beside: []string{"money", "id"}},
	"instrument": {floor: 0, beside: []string{"money", "id"}},
	"sign":       {floor: 0, beside: []string{"money", "id"}},
	"redact":     {floor: 0, beside: []string{"money", "id"}},
	"customer":   {floor: 0, beside: []string{"money", "id", "payment", "limit"}}, // their limits are for its periods
	"project":    {floor: 0, beside: []string{"money", "id", "payment", "sign"}},  // its secret is a signing key
	"event":      {floor: 0, beside: []string{"money", "id", "payment"}},
	"due":        {floor: 0, beside: []string{"money", "id", "payment"}},
	"limit":      {floor: 0, beside: []string{"money", "id", "payment", "instrument"}},
	"operator":   {floor: 0, beside: []string{"money", "id"}},
	"fop":        {floor: 0, beside: []string{"money", "id"}},
	"pgp":        {floor: 0}, // its clock and randomness are given to it
	"crash":      {floor: 0}, // what kills the process is given to it

	"book":      {floor: 1},
	"store":     {floor: 1, beside: []string{"book"}},
	"connector": {floor: 1},
	// Who checks customers is reached, and tells its news, as a PSP does.
	"verification": {floor: 1, beside: []string{"connector"}},
	// Who brings messages to phones is asked as a PSP is.
	"sms": {floor: 1, beside: []string{"connector"}},

	"route":    {floor: 2},
	"risk":     {floor: 2},
	"flow":     {floor: 2, beside: []string{"route", "risk", "recon"}},
	"callback": {floor: 2},
	"inbox":    {floor: 2, beside: []string{"flow", "callback"}},
	"recon":    {floor: 2}, // compares what it is handed
	"worker":   {floor: 2, beside: []string{"flow", "callback"}},
	"verify":   {floor: 2}, // the invariants, over what the book has written

	"gate":    {floor: 3},
	"paypage": {floor: 3},
	"api":     {floor: 3},
	"google":  {floor: 3},
	"console": {floor: 3},
	"opsapi":  {floor: 3},

	"sandbox": {floor: sandboxFloor},
}

// notInWords are the ways to reach the world that floor 0 must not have: no I/O, no clock, no randomness.
// (package time itself is needed for durations; the linter forbids its clock.)
var notInWords = []string{"crypto/rand", "database/sql", "math/rand", "math/rand/v2", "net", "os", "os/exec", "syscall"}

// Package is what the check needs to know of a package: its path and what it imports, tests aside. Tests may look
// anywhere.
type Package struct {
	ImportPath string
	Imports    []string
}

// Violations lists, in order, each import that the table does not allow, as a sentence.
func Violations(packages []Package) []string {
	var found []string
	for _, p := range packages {
		from, inside := roomOf(p.ImportPath)
		if !inside {
			continue
		}
		r, known := rooms[from]
		if !known {
			found = append(found, fmt.Sprintf("%s stands on no floor: add it to the table in test/floors", p.ImportPath))
			continue
		}
		for _, imported := range p.Imports {
			if reason := refused(from, r, imported); reason != "" {
				found = append(found, fmt.Sprintf("%s imports %s: %s", p.ImportPath, imported, reason))
			}
		}
	}
	slices.Sort(found)
	return found
}

// refused gives the reason why room from must not import that package, or "" when it may.
func refused(from string, r room, imported string) string {
	if r.floor == 0 && slices.Contains(notInWords, imported) {
		return "floor 0 has no I/O, no clock and no randomness"
	}
	if strings.HasPrefix(imported, Module+"/cmd/") || strings.HasPrefix(imported, Module+"/test/") {
		return "nothing imports programs or tests"
	}
	if imported == Module+"/web" && r.floor != 3 {
		return "only front doors show pages"
	}
	to, inside := roomOf(imported)
	if !inside || to == from {
		return ""
	}
	target, known := rooms[to]
	switch {
	case !known:
		return "it stands on no floor"
	case target.floor == sandboxFloor:
		return "the sandbox is the other side of the wire; only cmd starts it"
	case r.floor == sandboxFloor && to == "pgp":
		return "the sandbox's cryptography is gpg, so that a mistake shows which both sides would make alike"
	case r.floor == sandboxFloor && target.floor > 0:
		return "the sandbox knows wire protocols only"
	case r.floor == sandboxFloor:
		return ""
	case target.floor > r.floor:
		return fmt.Sprintf("floor %d is above floor %d", target.floor, r.floor)
	case target.floor == r.floor && !slices.Contains(r.beside, to):
		return fmt.Sprintf("neighbours on floor %d do not know each other", r.floor)
	}
	return ""
}

// roomOf gives the first path element below internal/, and false for a package that lies elsewhere.
func roomOf(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, Module+"/internal/")
	if !ok {
		return "", false
	}
	name, _, _ := strings.Cut(rest, "/")
	return name, true
}
