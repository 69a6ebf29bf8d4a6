// Package operator has the people who run the platform: who they are, what each
// may do, and the log of what they did. What may be done by whom is told by one
// file, matrix.txt, and nowhere else (security.md S08).
//
// It knows no door and no store: it says whether an actor may do a thing, and what
// an entry of the log must hold to follow the one before it. Its known weakness:
// two names are two people to it, so whoever is given two tokens is two people.
package operator

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Role is a kind of work that an operator does.
type Role string

// The roles.
const (
	Viewer         Role = "viewer"          // looks at payments, and changes nothing
	Support        Role = "support"         // helps merchants and customers: replays, evidence
	Finance        Role = "finance"         // settles what does not add up with a PSP
	PayoutApprover Role = "payout_approver" // lets payouts go that wait for a person
	RGOfficer      Role = "rg_officer"      // limits and exclusions of customers
	AMLAnalyst     Role = "aml_analyst"     // writes cases of money laundering
	MLRO           Role = "mlro"            // files them
	Developer      Role = "developer"       // keys, webhooks, dead letters
	Admin          Role = "admin"           // operators and keys; moves no money by that
)

// AllRoles are all of them, in the order of the matrix.
func AllRoles() []Role {
	return []Role{Viewer, Support, Finance, PayoutApprover, RGOfficer, AMLAnalyst, MLRO, Developer, Admin}
}

// Known reports whether there is such a role.
func (r Role) Known() bool { return slices.Contains(AllRoles(), r) }

// Roles are those that somebody has, separated by spaces and in order; "" is none.
type Roles string

// ErrRoles: not a list of roles. The caller must mend it.
var ErrRoles = errors.New("no list of roles")

// RolesOf makes Roles of a list, which must name at least one and none that there
// is not.
func RolesOf(list ...Role) (Roles, error) {
	if len(list) == 0 {
		return "", fmt.Errorf("%w: it is empty; there are %v", ErrRoles, AllRoles())
	}
	var have []string
	for _, r := range list {
		if !r.Known() {
			return "", fmt.Errorf("%w: role %q does not exist; there are %v", ErrRoles, r, AllRoles())
		}
		have = append(have, string(r))
	}
	slices.Sort(have)
	return Roles(strings.Join(slices.Compact(have), " ")), nil
}

// List gives the roles one by one.
func (r Roles) List() []Role {
	out := []Role{}
	for name := range strings.FieldsSeq(string(r)) {
		out = append(out, Role(name))
	}
	return out
}

// Has reports whether a role is among them.
func (r Roles) Has(want Role) bool { return slices.Contains(r.List(), want) }

// Actor is who does something: an operator by name, or what is nobody's decision.
// The zero Actor has done nothing, and nothing is told of it.
type Actor struct {
	Name  string // "ann"; with a colon in it, it is no person: see Automatic
	Roles Roles
}

// Who asks at the operators' door without a name. They are no persons, so they can
// be neither of two.
const (
	Bootstrap = "ops:token" // signs by the ops_token of the configuration
	Anyone    = "ops:open"  // signs by nothing, where no ops_token is set
)

// Automatic is an actor that is no person, such as Automatic("rule", "RG-LATE") or
// Automatic("project", "200"). No operator can have its name.
func Automatic(kind, name string) Actor { return Actor{Name: kind + ":" + name} }

// Person reports whether the actor is an operator with a name of their own.
func (a Actor) Person() bool { return a.Name != "" && !strings.Contains(a.Name, ":") }

// Is reports whether the actor is the person of that name. Whoever needs a second
// person refuses one who Is the first: names are unique for ever, a revoked
// operator's too.
func (a Actor) Is(name string) bool { return a.Name == name }

// MaxName is the longest name of an operator, in bytes.
const MaxName = 64

// ErrName: not a name of an operator.
var ErrName = fmt.Errorf("the name of an operator has 1 to %d characters of a-z, 0-9, dot, dash and underscore", MaxName)

// CheckName refuses a name that an operator cannot have. There is one way to write
// each, so that nobody is two people by a capital letter.
func CheckName(name string) error {
	if name == "" || len(name) > MaxName {
		return ErrName
	}
	for _, b := range []byte(name) {
		if (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '.' && b != '-' && b != '_' {
			return ErrName
		}
	}
	return nil
}
