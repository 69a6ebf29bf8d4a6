package operator

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
)

//go:embed matrix.txt
var matrixText string

// Told says how the log hears of a call.
type Told string

// The ways.
const (
	ToldNot  Told = "-"    // it neither changes anything nor shows a person's data
	ToldCall Told = "call" // by the door, before the call is answered: what cannot be logged is not done
	ToldAct  Told = "act"  // by the act that does it, in that act
)

// Rule says who may do a thing. Persons is how many must agree: each of them has
// one of the roles.
type Rule struct {
	What    string // a route, "POST /admin/keys", a resolution, "CASE mismatch accept", or "SEE case payout_review"
	Told    Told
	Persons int
	Roles   []Role
	Others  []string // who is no person and may do it, too: Bootstrap, Anyone
}

// Matrix is who may do what.
type Matrix struct {
	rules []Rule
	by    map[string]Rule
}

// NewMatrix reads a matrix. Its text is one rule to a line, as matrix.txt explains.
func NewMatrix(text string) (*Matrix, error) {
	m := &Matrix{by: map[string]Rule{}}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line, _, _ = strings.Cut(line, "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		r, err := readRule(line)
		if err != nil {
			return nil, fmt.Errorf("matrix line %d: %w", n, err)
		}
		if _, twice := m.by[r.What]; twice {
			return nil, fmt.Errorf("matrix line %d: %s is there before", n, r.What)
		}
		m.rules, m.by[r.What] = append(m.rules, r), r
	}
	return m, nil
}

// The words of the file beside the roles.
const (
	everyone  = "everyone"
	bootstrap = "ops_token"
	anyone    = "anyone"
)

func readRule(line string) (Rule, error) {
	what, rest, ok := strings.Cut(line, "|")
	fields := strings.Fields(rest)
	r := Rule{What: strings.Join(strings.Fields(what), " ")}
	if !ok || r.What == "" || len(fields) < 3 {
		return r, errors.New("want what | told persons roles…")
	}
	switch r.Told = Told(fields[0]); r.Told {
	case ToldNot, ToldCall, ToldAct:
	default:
		return r, fmt.Errorf("%q is none of %s, %s, %s", fields[0], ToldNot, ToldCall, ToldAct)
	}
	switch fields[1] {
	case "1":
		r.Persons = 1
	case "2":
		r.Persons = 2
	default:
		return r, fmt.Errorf("persons are 1 or 2, not %q", fields[1])
	}
	for _, name := range fields[2:] {
		switch {
		case name == bootstrap:
			r.Others = append(r.Others, Bootstrap)
		case name == anyone:
			r.Others = append(r.Others, Anyone)
		case name == everyone:
			r.Roles = append(r.Roles, AllRoles()...)
		case Role(name).Known():
			r.Roles = append(r.Roles, Role(name))
		default:
			return r, fmt.Errorf("role %q does not exist", name)
		}
	}
	if len(r.Others) > 0 && r.Persons > 1 {
		return r, errors.New("who is no person cannot be one of two")
	}
	return r, nil
}

// House is the matrix of this program.
func House() *Matrix { return house }

var house = func() *Matrix {
	m, err := NewMatrix(matrixText)
	if err != nil {
		panic(err) // it is part of the program, and every test meets it
	}
	return m
}()

// Rules are all rules, in the order of the file. The caller must not change them.
func (m *Matrix) Rules() []Rule { return m.rules }

// Of gives the rule of a thing; false: nobody may do it.
func (m *Matrix) Of(what string) (Rule, bool) {
	r, ok := m.by[what]
	return r, ok
}

// Resolution names the way in which a case of a kind is settled, as the matrix has it.
func Resolution(kind, how string) string { return "CASE " + kind + " " + how }

// Sees reports whether an actor may see cases of a kind: all may, unless a line says who.
func (m *Matrix) Sees(a Actor, kind string) bool {
	r, ok := m.Of("SEE case " + kind)
	return !ok || r.Allows(a)
}

// SeesDecisions reports whether an actor may see why payouts wait.
func (m *Matrix) SeesDecisions(a Actor) bool {
	r, ok := m.Of("SEE decisions")
	return ok && r.Allows(a)
}

// SeesLaundering reports whether an actor may see what rules against laundering have
// found: only who may let it pass.
func (m *Matrix) SeesLaundering(a Actor) bool {
	r, ok := m.Of("SEE laundering")
	return ok && r.Allows(a)
}

// Allows reports whether an actor may do it, alone or as one of two.
func (r Rule) Allows(a Actor) bool {
	if !a.Person() {
		return slices.Contains(r.Others, a.Name)
	}
	return slices.ContainsFunc(a.Roles.List(), func(has Role) bool { return slices.Contains(r.Roles, has) })
}
