package id_test

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/fnv"
	"strings"
	"testing"
	"time"

	"aorta/internal/id"

	"pgregory.net/rapid"
)

func TestMintCarriesTimeAndBucket(t *testing.T) {
	t.Parallel()
	n := uint64(0)
	m := id.Minter{Bits: func() uint64 { n++; return n * 0x9e3779b97f4a7c15 }}
	now := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	got := id.Payment(m.Mint(now, 31))
	if got.Bucket() != 31 {
		t.Errorf("Bucket() = %d, want 31", got.Bucket())
	}
	if !got.Raw().Time().Equal(now) {
		t.Errorf("Time() = %v, want %v", got.Raw().Time(), now)
	}
	if text := got.String(); len(text) != 30 || text[:4] != "pay_" {
		t.Errorf("String() = %q, want pay_ and 26 characters", text)
	}
	later := id.Payment(m.Mint(now.Add(time.Millisecond), 0))
	if got.Compare(later) >= 0 || got.String() >= later.String() {
		t.Errorf("%s should order before %s, as bytes and as text", got, later)
	}
}

func TestTextRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var r id.Raw
		copy(r[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "raw"))
		if r.IsZero() {
			return
		}
		text := id.Attempt(r).String()
		var back id.Attempt
		if err := back.UnmarshalText([]byte(text)); err != nil || back.Raw() != r {
			t.Fatalf("UnmarshalText(%q) = %v, %v; want %v", text, back, err, r)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("pay_01k4rs8v3h0000000000000000")
	f.Add("pay_")
	f.Add("op_zzzzzzzzzzzzzzzzzzzzzzzzzz")
	f.Fuzz(func(t *testing.T, text string) {
		var p id.Payment
		if err := p.UnmarshalText([]byte(text)); err == nil && text != "" && !p.IsZero() && p.String() != text {
			t.Errorf("UnmarshalText(%q) reads as %q: two texts for one id", text, p)
		}
	})
}

func TestDeriveIsStableAndKeepsPartsApart(t *testing.T) {
	t.Parallel()
	a := id.Account(id.Derive(3, "psp", "clearing", "INR"))
	b := id.Account(id.Derive(3, "psp", "clearin", "gINR"))
	if a == b {
		t.Errorf("Derive joins its parts: %s", a)
	}
	if a.Bucket() != 3 {
		t.Errorf("Bucket() = %d, want 3", a.Bucket())
	}
}

func TestBucketOfSpreads(t *testing.T) {
	t.Parallel()
	var count [32]int
	for n := range 32_000 {
		count[id.BucketOf(32, "200", "order-"+time.Duration(n).String())]++
	}
	for b, c := range count {
		if c < 800 || c > 1200 {
			t.Errorf("bucket %d holds %d of 32,000 names, want about 1,000", b, c)
		}
	}
	if got := id.BucketOf(32, "200", "order-1"); got != 11 {
		t.Errorf("BucketOf(32, 200, order-1) = %d, want 11: the hash must never change", got)
	}
}

// What is stored lies where these say, so they never change: this is how they were
// first written.
func TestDerivedNamesNeverChange(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("customer:4294967295:ß", 40)
	for _, parts := range [][]string{
		{}, {""}, {"", ""}, {"account", "customer:1:42", "available", "EUR"}, {"a", "", "b"}, {long}, {"round", "200", long, long}, {"\x00", "\xff"},
	} {
		sum, spread := sha256.New(), fnv.New64a()
		for _, p := range parts {
			sum.Write(binary.BigEndian.AppendUint32(nil, uint32(len(p))))
			sum.Write([]byte(p))
			spread.Write(append([]byte(p), 0))
		}
		var want id.Raw
		copy(want[:], sum.Sum(nil))
		want[6] = 7
		if got := id.Derive(7, parts...); got != want {
			t.Errorf("Derive(7, %q) = %x, want %x", parts, got, want)
		}
		v := spread.Sum64()
		v ^= v >> 32
		if got := id.BucketOf(32, parts...); got != id.Bucket(v%32) {
			t.Errorf("BucketOf(32, %q) = %d, want %d", parts, got, v%32)
		}
	}
}

// A move of a wallet derives its names several times.
func TestDeriveTakesNoMemory(t *testing.T) {
	owner := "customer:1:" + strings.Repeat("4", 40)
	if n := testing.AllocsPerRun(100, func() {
		id.Derive(3, "account", owner, "available", "EUR")
		id.BucketOf(32, "customer:1", owner)
	}); n > 0 {
		t.Errorf("Derive and BucketOf allocate %v times", n)
	}
}
