package verification_test

import (
	"errors"
	"testing"
	"time"

	"aorta/internal/connector/exchange"
	"aorta/internal/verification"
)

func TestPerson(t *testing.T) {
	t.Parallel()
	k, err := verification.NewPersonKey(exchange.NewSecret("a key of 14 bytes and more"))
	if err != nil {
		t.Fatal(err)
	}
	born := time.Date(1990, 2, 3, 0, 0, 0, 0, time.UTC)
	hash := func(name string, birth time.Time, document string) string {
		t.Helper()
		h, err := k.Person(name, birth, document)
		if err != nil || !verification.IsPerson(h) {
			t.Fatalf("Person(%q, %v, %q) = %q, %v", name, birth, document, h, err)
		}
		return h
	}
	sam := hash("Zoë van Dyke", born, "AB 12-34")
	for _, same := range []struct{ name, document string }{{"VAN DYKE, Zoë", "ab1234"}, {" dyke  van zoë ", "A.B.1.2.3.4"}} {
		if got := hash(same.name, born, same.document); got != sam {
			t.Errorf("%q with %q is another person", same.name, same.document)
		}
	}
	for _, other := range []string{hash("Zoë Dyke", born, "AB1234"), hash("Zoë van Dyke", born.AddDate(0, 0, 1), "AB1234"), hash("Zoë van Dyke", born, "AB1235")} {
		if other == sam {
			t.Error("two persons have one hash")
		}
	}
	another, err := verification.NewPersonKey(exchange.NewSecret("another key of 14 bytes"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := another.Person("Zoë van Dyke", born, "AB1234"); err != nil || got == sam {
		t.Errorf("under another key: %q, %v, want another hash", got, err)
	}
	for _, bad := range []struct {
		name, document string
		birth          time.Time
	}{{"", "1", born}, {"--", "1", born}, {"Zoë", " ", born}, {"Zoë", "1", time.Time{}}} {
		if got, err := k.Person(bad.name, bad.birth, bad.document); !errors.Is(err, verification.ErrFacts) {
			t.Errorf("Person(%q, %v, %q) = %q, %v, want ErrFacts", bad.name, bad.birth, bad.document, got, err)
		}
	}
	if _, err := verification.NewPersonKey(exchange.NewSecret("13 bytes only")); !errors.Is(err, verification.ErrPersonKey) {
		t.Errorf("NewPersonKey of 13 bytes: %v, want ErrPersonKey", err)
	}
}
