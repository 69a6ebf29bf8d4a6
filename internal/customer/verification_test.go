package customer_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"aorta/internal/customer"
	"aorta/internal/id"
)

func checkID(n byte) id.Check   { return id.Check{n} }
func personID(n byte) id.Person { return id.Person{n} }

func TestLevelFollowsFromProofs(t *testing.T) {
	t.Parallel()
	one := customer.Proof{Level: 1, Check: checkID(1)}
	two := customer.Proof{Level: 2, Check: checkID(2), UntilUS: 100}
	longer := customer.Proof{Level: 2, Check: checkID(3), UntilUS: 200}
	var none, v customer.Verification
	tests := []struct {
		name  string
		v     customer.Verification
		nowUS int64
		want  int64
	}{
		{"nobody", none, 0, 0},
		{"one", none.Pass(one, id.Person{}), 0, 1},
		{"two above one", none.Pass(one, id.Person{}).Pass(two, id.Person{}), 99, 2},
		{"one after two", none.Pass(two, id.Person{}).Pass(one, id.Person{}), 99, 2},
		{"two has ended", none.Pass(one, id.Person{}).Pass(two, id.Person{}), 100, 1},
		{"nothing else is left", none.Pass(two, id.Person{}), 100, 0},
		{"passed again", none.Pass(two, id.Person{}).Pass(longer, id.Person{}), 199, 2},
		{"taken back", none.Pass(one, id.Person{}).Pass(two, id.Person{}).Fail(two.Check), 1, 1},
		{"the old one is taken back", none.Pass(two, id.Person{}).Pass(longer, id.Person{}).Fail(two.Check), 1, 2},
	}
	for _, tt := range tests {
		best, ok := tt.v.Best(tt.nowUS)
		if best.Level != tt.want || ok != (tt.want > 0) {
			t.Errorf("%s: level %d (%t), want %d", tt.name, best.Level, ok, tt.want)
		}
		// The row may say what was true when an act last looked; what holds now does not.
		c := customer.Customer{}.Verified(tt.v, 0)
		if got := c.LevelAt(tt.nowUS); got != tt.want {
			t.Errorf("%s: LevelAt = %d, want %d", tt.name, got, tt.want)
		}
		again, err := customer.DecodeVerification(tt.v.Encode())
		if err != nil || again.Encode() != tt.v.Encode() {
			t.Errorf("%s: %q is read back as %q, %v", tt.name, tt.v.Encode(), again.Encode(), err)
		}
	}
	v = v.Pass(one, personID(1)).Pass(two, personID(2)).Pass(longer, personID(1))
	if c := (customer.Customer{}).Verified(v, 0); c.Person != personID(1).Raw() || len(v.Persons) != 2 {
		t.Errorf("known as %v, the row says %v", v.Persons, c.Person)
	}
	for n := range byte(20) {
		v = v.Pass(one, personID(n+1))
	}
	if len(v.Persons) != 8 || v.Persons[0] != personID(20) {
		t.Errorf("20 persons are kept as %v", v.Persons)
	}
}

func TestChecksUnderWay(t *testing.T) {
	t.Parallel()
	const dayUS = 86_400_000_000
	var v customer.Verification
	var err error
	for n := range byte(10) {
		if v, err = v.Begin(int64(n%3)+1, checkID(n+1), 5*dayUS); err != nil {
			t.Fatal(err)
		}
	}
	if k, ok := v.Under(1); !ok || k != checkID(10) {
		t.Errorf("under way at level 1: %v, %t", k, ok)
	}
	if _, err := v.Begin(1, checkID(11), 6*dayUS-1); !errors.Is(err, customer.ErrTooMany) {
		t.Errorf("the eleventh of a day: %v", err)
	}
	v, err = v.Begin(1, checkID(11), 6*dayUS)
	if err != nil || v.Started != 1 {
		t.Errorf("the next day: %v, %d", err, v.Started)
	}
	v = v.Pass(customer.Proof{Level: 1, Check: checkID(11), UntilUS: 7}, personID(1)).Fail(checkID(8))
	if _, ok := v.Under(1); ok || v.Last != checkID(8) {
		t.Errorf("still under way, or the last is %v", v.Last)
	}
	v.Warned, v.Age, v.AgeUS = 3, 34, 5*dayUS
	v.Listed = customer.Screening{On: true, AtUS: 5 * dayUS, Permille: 900, Cleared: 870, PEP: true}
	again, err := customer.DecodeVerification(v.Encode())
	if err != nil || !reflect.DeepEqual(again, v) {
		t.Errorf("%+v is read back as %+v, %v", v, again, err)
	}
	for _, bad := range []string{"x", "9/" + checkID(1).String() + "/0", "1/kyc_/0", "@", "@per_1", "!kyc_1", "#1", "~", "?1", "*1/2/3", "*2/1/2/3", "*1/x/2/3", "^", "^34"} {
		if got, err := customer.DecodeVerification(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, got)
		}
	}
}

// TestAge: who was told of in years is at least so old, and a year older a year later.
func TestAge(t *testing.T) {
	t.Parallel()
	told := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	c := customer.Customer{Checks: customer.Verification{Age: 24, AgeUS: told.UnixMicro()}.Encode()}
	for at, want := range map[time.Time]int64{
		told: 24, told.AddDate(0, 0, -1): 24, told.AddDate(0, 11, 20): 24, told.AddDate(1, 0, 0).Add(-time.Second): 24,
		told.AddDate(1, 0, 0): 25, told.AddDate(10, 0, 0): 34,
	} {
		if got := c.AgeAt(at.UnixMicro()); got != want {
			t.Errorf("at %s: %d years, want %d", at, got, want)
		}
	}
	if got := (customer.Customer{}).AgeAt(told.UnixMicro()); got != 0 {
		t.Errorf("of whom nothing is known: %d years", got)
	}
}

func TestMovesOfChecks(t *testing.T) {
	t.Parallel()
	all := []customer.CheckState{customer.CheckOpen, customer.CheckPassed, customer.CheckFailed, customer.CheckExpired}
	allowed := map[string]bool{"open passed": true, "open failed": true, "passed expired": true}
	for _, from := range all {
		for _, to := range all {
			if want := allowed[string(from)+" "+string(to)]; from.May(to) != want {
				t.Errorf("%s to %s: %t, want %t", from, to, from.May(to), want)
			}
		}
	}
	if len(customer.CheckMoves()) != len(all) {
		t.Errorf("the table has %d states, want %d", len(customer.CheckMoves()), len(all))
	}
}
