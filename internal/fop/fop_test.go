package fop_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/money"
)

func us(text string) int64 {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t.UnixMicro()
}

func inr(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "INR"} }

func add(t *testing.T, s fop.Sums, a money.Amount) fop.Sums {
	t.Helper()
	s, err := s.Add(a)
	if err != nil {
		t.Fatalf("Add(%v): %v", a, err)
	}
	return s
}

func TestSumsAreOfADayAndAMonth(t *testing.T) {
	t.Parallel()
	s := fop.Sums{}.At(us("2026-10-31T23:59:59Z"))
	s = add(t, add(t, s, inr(100)), money.Amount{Minor: 7, Currency: "USD"})
	if got := s.Of("INR"); got != (fop.Sum{Currency: "INR", Day: 100, Month: 100}) {
		t.Errorf("at once: %+v", got)
	}
	before := s
	s = add(t, s.At(us("2026-11-01T00:00:00Z")), inr(5))
	if got := s.Of("INR"); got != (fop.Sum{Currency: "INR", Day: 5, Month: 5}) || s.Of("USD").Month != 0 {
		t.Errorf("in the next month: %+v, %+v", got, s.Of("USD"))
	}
	s = add(t, s.At(us("2026-11-02T00:00:00Z")), inr(5))
	if got := s.Of("INR"); got != (fop.Sum{Currency: "INR", Day: 5, Month: 10}) {
		t.Errorf("on the next day: %+v", got)
	}
	if back := s.At(us("2026-11-01T12:00:00Z")); !reflect.DeepEqual(back, s) {
		t.Errorf("a clock that was set back gives %+v, want %+v", back, s)
	}
	if before.Of("INR").Day != 100 {
		t.Error("Add changed the sums that it was given")
	}
	if _, err := s.Add(inr(math.MaxInt64)); !errors.Is(err, money.ErrRange) {
		t.Errorf("Add beyond what can be counted: %v", err)
	}
}

func TestSumsAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	for _, s := range []fop.Sums{
		{},
		{Day: 20261123, Month: 202611},
		{Day: 20261123, Month: 202611, List: []fop.Sum{{Currency: "INR", Day: 72800, Month: 99000}, {Currency: "KWD", Month: math.MaxInt64}}},
	} {
		if got, err := fop.DecodeSums(s.Encode()); err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("DecodeSums(%q) = %+v, %v", s.Encode(), got, err)
		}
	}
	for _, text := range []string{"1", "1.2.3", "1.2;INR.3", "1.2;INR.3.x", "1.2;INR.-3.4", "1.2;"} {
		if got, err := fop.DecodeSums(text); err == nil {
			t.Errorf("DecodeSums(%q) = %+v", text, got)
		}
	}
}

func TestACodeIsRightOnce(t *testing.T) {
	t.Parallel()
	by := id.Call(id.Derive(1, "by"))
	c := fop.Code{State: fop.CodeSent, Hash: "right", TriesLeft: 2, UntilUS: 100}
	c, r := c.Try("wrong", by, 10)
	if r != fop.OTPNotMatched || c.TriesLeft != 1 {
		t.Fatalf("a wrong guess: %s, %+v", r, c)
	}
	if _, r := c.Try("right", by, 100); r != fop.OTPNotMatched {
		t.Errorf("too late: %s", r)
	}
	if _, r := c.Try("", by, 10); r != fop.OTPNotMatched {
		t.Errorf("nothing: %s", r)
	}
	spent, _ := c.Try("wrong", by, 10)
	if _, r := spent.Try("right", by, 10); r != fop.OTPNotMatched {
		t.Errorf("after the last try: %s", r)
	}
	used, r := c.Try("right", by, 10)
	if r != fop.Success || used.State != fop.CodeUsed || used.Used != by {
		t.Fatalf("the right one: %s, %+v", r, used)
	}
	if again, r := used.Try("right", id.Call{}, 11); r != fop.OTPAlreadyUsed || again != used {
		t.Errorf("again: %s, %+v", r, again)
	}
	if _, r := used.Try("wrong", by, 11); r != fop.OTPNotMatched {
		t.Errorf("a wrong one after it: %s", r)
	}
	begun := fop.Code{State: fop.CodeBegun, Hash: "right", TriesLeft: 2, UntilUS: 100}
	if _, r := begun.Try("right", by, 10); r != fop.OTPNotMatched {
		t.Errorf("before it was sent: %s", r)
	}
}

func TestSecretsOpenInTheirPlaceOnly(t *testing.T) {
	t.Parallel()
	v, other := fop.NewVault([32]byte{1}, rand.Reader), fop.NewVault([32]byte{2}, rand.Reader)
	const token = "R1BULWV4YW1wbGU"
	sealed, err := v.Seal(token, "here")
	if err != nil || strings.Contains(sealed, token) {
		t.Fatalf("Seal = %q, %v", sealed, err)
	}
	if got, err := v.Open(sealed, "here"); got != token || err != nil {
		t.Errorf("Open = %q, %v", got, err)
	}
	for name, open := range map[string]func() (string, error){
		"elsewhere":          func() (string, error) { return v.Open(sealed, "there") },
		"another master key": func() (string, error) { return other.Open(sealed, "here") },
		"no seal":            func() (string, error) { return v.Open(token, "here") },
		"nothing":            func() (string, error) { return v.Open("", "here") },
	} {
		if _, err := open(); !errors.Is(err, fop.ErrSealed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := fop.NewVault([32]byte{1}, bytes.NewReader(nil)).Seal(token, "here"); err == nil {
		t.Error("Seal without randomness")
	}
	if again, _ := v.Seal(token, "here"); again == sealed {
		t.Error("two seals are alike")
	}
}

func TestHashesTellWhatTheyAreOf(t *testing.T) {
	t.Parallel()
	v, other := fop.NewVault([32]byte{1}, rand.Reader), fop.NewVault([32]byte{2}, rand.Reader)
	seen := map[string]bool{}
	for _, h := range []string{
		v.TokenHash("main", "x"), v.TokenHash("mainx", ""), v.TokenHash("other", "x"), other.TokenHash("main", "x"),
		v.CodeHash("main", "x", "1"), v.CodeHash("main", "x1", ""), v.PhoneHash(1, "x"), v.PhoneHash(11, "x"), v.PhoneHash(1, "1x"), v.Print("x"),
	} {
		if seen[h] {
			t.Errorf("%s is of two", h)
		}
		seen[h] = true
	}
	again := fop.NewVault([32]byte{1}, rand.Reader)
	if v.TokenHash("main", "x") != again.TokenHash("main", "x") || !fop.Same(v.PhoneHash(1, "1"), again.PhoneHash(1, "1")) || fop.Same("", "") {
		t.Error("the same is not the same, or nothing is")
	}
	if d := v.Digits("main", "otp-01"); len(d) != 6 || d != v.Digits("main", "otp-01") || d == v.Digits("main", "otp-02") {
		t.Errorf("Digits = %q", d)
	}
}

// A refund or a statement names the requestId of a capture, whichever method took it.
func TestBothWaysToCaptureShareAName(t *testing.T) {
	t.Parallel()
	n := fop.Name{Integration: "main", Method: fop.CaptureNow, Account: "SHOP_INR", RequestID: "c1"}
	later := n
	later.Method = fop.CaptureLater
	refund := n
	refund.Method = fop.Refund
	if n.Scope() != "google:main:capture:SHOP_INR" || later.Scope() != n.Scope() || refund.Scope() == n.Scope() {
		t.Errorf("scopes %q, %q, %q", n.Scope(), later.Scope(), refund.Scope())
	}
}

func TestWhatIsLeftOfACapture(t *testing.T) {
	t.Parallel()
	c := fop.Call{Name: fop.Name{Method: fop.CaptureNow}, Amount: inr(500), RefundedMinor: 200}
	if c.Left() != 0 {
		t.Error("a declined one has something left")
	}
	if c.Transfer = id.Transfer(id.Derive(1, "t")); c.Left() != 300 {
		t.Errorf("Left() = %d", c.Left())
	}
}

func TestAClosedLinkStaysClosed(t *testing.T) {
	t.Parallel()
	a := fop.Association{State: fop.AssociationActive}.Close(fop.ClosedByCustomer, 5)
	if again := a.Close(fop.ClosedForFraud, 6); again != a || a.ClosedUS != 5 || a.Reason != fop.ClosedByCustomer {
		t.Errorf("closed %+v, then %+v", a, again)
	}
}
