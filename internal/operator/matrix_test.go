package operator_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"aorta/internal/operator"
)

// TestMatrixAllows: a role opens what its line says and nothing else, and who is no
// person opens only what is open.
func TestMatrixAllows(t *testing.T) {
	t.Parallel()
	m, err := operator.NewMatrix("# a comment\n\nGET /a | - 1 viewer support\nPOST  /b   | act 1 admin # and another\nPOST /c | call 1 ops_token everyone\nPOST /d | act 2 finance\nPOST /e | - 1 anyone admin\n")
	if err != nil {
		t.Fatal(err)
	}
	as := func(roles ...operator.Role) operator.Actor {
		r, err := operator.RolesOf(roles...)
		if err != nil {
			t.Fatal(err)
		}
		return operator.Actor{Name: "ann", Roles: r}
	}
	tests := []struct {
		what string
		who  operator.Actor
		want bool
	}{
		{"GET /a", as(operator.Viewer), true},
		{"GET /a", as(operator.Finance, operator.Support), true},
		{"GET /a", as(operator.Admin), false},
		{"GET /a", operator.Actor{Name: operator.Bootstrap, Roles: "viewer"}, false},
		{"POST /b", as(operator.Admin), true},
		{"POST /b", as(operator.Viewer), false},
		{"POST /c", as(operator.MLRO), true},
		{"POST /c", operator.Actor{Name: operator.Bootstrap}, true},
		{"POST /c", operator.Actor{Name: operator.Anyone}, false},
		{"POST /e", operator.Actor{Name: operator.Anyone}, true},
		{"POST /c", operator.Automatic("rule", "R1"), false},
		{"POST /c", operator.Actor{}, false},
		{"POST /c", operator.Actor{Name: "ann"}, false},
	}
	for _, test := range tests {
		rule, ok := m.Of(test.what)
		if got := rule.Allows(test.who); !ok || got != test.want {
			t.Errorf("%s by %+v = %t (found %t), want %t", test.what, test.who, got, ok, test.want)
		}
	}
	if _, ok := m.Of("GET /f"); ok {
		t.Error("a thing without a line has a rule")
	}
	if rule, _ := m.Of("POST /d"); rule.Persons != 2 || rule.Told != operator.ToldAct {
		t.Errorf("POST /d = %+v, want two persons, told by the act", rule)
	}
	if len(m.Rules()) != 5 {
		t.Errorf("%d rules, want 5", len(m.Rules()))
	}
}

// TestMatrixRefuses: a file with a mistake in it is none, and says where.
func TestMatrixRefuses(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{
		"no bar": "GET /a - 1 viewer", "no roles": "GET /a | - 1", "no such role": "GET /a | - 1 root", "no such way": "GET /a | maybe 1 viewer",
		"no such number": "GET /a | - 3 viewer", "nobody as one of two": "GET /a | act 2 ops_token finance", "anybody": "GET /a | act 2 anyone finance", "nothing": "| - 1 viewer",
		"twice": "GET  /x | - 1 viewer",
	} {
		_, err := operator.NewMatrix("GET /x | - 1 viewer\n" + line + "\n")
		if err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%s: %v, want an error in line 2", name, err)
		}
	}
}

// TestHouse: the program's own matrix is whole, and each role opens something that
// is not everyone's.
func TestHouse(t *testing.T) {
	t.Parallel()
	if len(operator.House().Rules()) == 0 {
		t.Fatal("it is empty")
	}
	for _, rule := range operator.House().Rules() {
		if len(rule.Roles) == 0 {
			t.Errorf("%s: no operator may do it", rule.What)
		}
		if strings.HasPrefix(rule.What, "CASE ") && (len(rule.Others) > 0 || rule.Told != operator.ToldAct) {
			t.Errorf("%s: money moves by it, so it needs a person and is told by its act", rule.What)
		}
	}
}

// TestRoles: a list of roles is kept in one way, and a wrong one is refused.
func TestRoles(t *testing.T) {
	t.Parallel()
	got, err := operator.RolesOf(operator.Viewer, operator.Admin, operator.Viewer)
	if err != nil || got != "admin viewer" || !got.Has(operator.Admin) || got.Has(operator.Finance) {
		t.Errorf("RolesOf = %q, %v", got, err)
	}
	for _, list := range [][]operator.Role{nil, {"root"}, {""}, {operator.Admin, "Admin"}} {
		if got, err := operator.RolesOf(list...); !errors.Is(err, operator.ErrRoles) {
			t.Errorf("RolesOf(%q) = %q, %v, want ErrRoles", list, got, err)
		}
	}
}

// TestNames: there is one way to write a name, and nobody is called as what is no
// person.
func TestNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", "ann", "j.doe-2_x", strings.Repeat("n", operator.MaxName)} {
		if err := operator.CheckName(name); err != nil {
			t.Errorf("%q is refused: %v", name, err)
		}
	}
	for _, name := range []string{"", "Ann", "ann ", operator.Bootstrap, operator.Automatic("rule", "x").Name, "änn", "a\nb", strings.Repeat("n", operator.MaxName+1)} {
		if operator.CheckName(name) == nil {
			t.Errorf("%q is taken for a name", name)
		}
	}
	if (operator.Actor{Name: operator.Bootstrap}).Person() || operator.Automatic("rule", "x").Person() || (operator.Actor{}).Person() || !(operator.Actor{Name: "ann"}).Person() {
		t.Error("who is a person is mistaken")
	}
}

// Who talks to customers must not know even that there is a case of suspicion
// (limits-and-risk.md section 3.6).
func TestHouseHidesSuspicion(t *testing.T) {
	t.Parallel()
	suspects := map[string][]operator.Role{
		"payout_review":   {operator.Finance, operator.PayoutApprover, operator.RGOfficer, operator.AMLAnalyst, operator.MLRO},
		"deposit_review":  {operator.Finance, operator.PayoutApprover, operator.RGOfficer, operator.AMLAnalyst, operator.MLRO},
		"other_person":    {operator.AMLAnalyst, operator.MLRO},
		"sanctions_match": {operator.AMLAnalyst, operator.MLRO},
		"mismatch":        operator.AllRoles(),
	}
	for kind, may := range suspects {
		for _, r := range operator.AllRoles() {
			roles, err := operator.RolesOf(r)
			if err != nil {
				t.Fatal(err)
			}
			if got := operator.House().Sees(operator.Actor{Name: "ann", Roles: roles}, kind); got != slices.Contains(may, r) {
				t.Errorf("a %s sees %s: %t", r, kind, got)
			}
		}
	}
}
