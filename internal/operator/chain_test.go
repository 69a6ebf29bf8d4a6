package operator_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"aorta/internal/id"
	"aorta/internal/operator"
)

// chained makes n entries in each of two buckets, and their heads.
func chained(n int) (entries []operator.Entry, heads []operator.Head) {
	for _, b := range []id.Bucket{3, 7} {
		head := operator.Head{ID: operator.HeadID(b)}
		for i := range n {
			e := operator.Entry{
				ID: id.Audit{5: byte(i), 6: byte(b), 15: 1}, Who: "ann", What: "payout.approve", About: fmt.Sprintf("po_%d", i),
				Details: `{"note":"ok"}`, AtUS: int64(1000 + i),
			}
			e, head = operator.Next(head, e)
			entries = append(entries, e)
		}
		heads = append(heads, head)
	}
	return entries, heads
}

func audit(entries []operator.Entry, heads []operator.Head, signed ...operator.Statement) []string {
	a := operator.NewAudit(signed...)
	for _, e := range entries {
		a.Take(e)
	}
	return a.End(heads)
}

// TestSum: what is hashed is written down in docs/operators.md, so it stays as it is.
func TestSum(t *testing.T) {
	t.Parallel()
	e := operator.Entry{ID: id.Audit{6: 3, 15: 1}, Number: 1, Who: "ann", What: "operator.create", About: "opr_1", Details: "{}", AtUS: 1000}
	const want = "e36bd93e3e84db7dc72bb98a7dccc173363f52b2d78220caee1a301a22e9844c"
	if got := e.Sum(); got != want {
		t.Errorf("Sum = %s, want %s", got, want)
	}
	moved := e
	moved.Who, moved.What = "anno", "perator.create"
	if moved.Sum() == e.Sum() {
		t.Error("a byte that moves from one field to the next leaves the hash alone")
	}
}

// TestAuditHolds: entries hold in whatever order they come.
func TestAuditHolds(t *testing.T) {
	t.Parallel()
	entries, heads := chained(20)
	dice := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		dice.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
		if found := audit(entries, heads); len(found) > 0 {
			t.Fatalf("a chain as it was written: %v", found)
		}
	}
	if found := audit(nil, nil); len(found) > 0 {
		t.Errorf("no entries at all: %v", found)
	}
}

// TestAuditFinds: any change, gap or cut of a chain is found, also by who wrote the
// rest anew to fit, as long as something was signed before.
func TestAuditFinds(t *testing.T) {
	t.Parallel()
	sealer := operator.NewSealer([32]byte{1})
	rewrite := func(entries []operator.Entry, from int) { // the first bucket's, so that they follow one another again
		for n := from; n < 10; n++ {
			if n > 0 {
				entries[n].Prev = entries[n-1].Hash
			}
			entries[n].Hash = entries[n].Sum()
		}
	}
	tests := []struct {
		name  string
		spoil func(entries []operator.Entry, heads []operator.Head) ([]operator.Entry, []operator.Head)
		want  string
	}{
		{name: "who", spoil: func(e []operator.Entry, h []operator.Head) ([]operator.Entry, []operator.Head) {
			e[4].Who = "bob"
			return e, h
		}, want: "not what was written"},
		{name: "details", spoil: func(e []operator.Entry, h []operator.Head) ([]operator.Entry, []operator.Head) {
			e[4].Details = "{}"
			return e, h
		}, want: "not what was written"},
		{name: "time", spoil: func(e []operator.Entry, h []operator.Head) ([]operator.Entry, []operator.Head) {
			e[9].AtUS++
			return e, h
		}, want: "not what was written"},
		{name: "changed, with its hash", spoil: func(e []operator.Entry, h []operator.Head) ([]operator.Entry, []operator.Head) {
			e[4].Who = "bob"
			e[4].Hash = e[4].Sum()
			return e, h
		}, want: "does not follow"},
		{name: "changed, and all behind it", spoil: func(e []operator.Entry, h []operator.Head) ([]operator.Entry, []operator.Head) {
			e[4].Who = "bob"
			rewrite(e, 4)
			return e, h
		}, want: "head does not name"},
		{name: "changed, all behind it, and the head", spoil: func(e []operator.Entry, h []operator.Head) ([]operator.Entry, []operator.Head) {
			e[4].Who = "bob"
			rewrite(e, 4)
			h[0].Hash = e[9].Hash
			return e, h
		}, want: "not the one that was signed"},
		{name: "gap", spoil: func(e []operator.Entry, h []operator.Head) ([]operator.Entry, []operator.Head) {
			return slices.Delete(e, 4, 6), h
		}, want: "entries 5 to 6 are missing"},
		{name: "gap, closed", spoil: func(e []operator.Entry, h []operator.Head) ([]operator.Entry, []operator.Head) {
			e = slices.Delete(e, 4, 5)
			for n := 4; n < 9; n++ {
				e[n].Number--
				e[n].Prev = e[n-1].Hash
				e[n].Hash = e[n].Sum()
			}
			h[0].Number, h[0].Hash = 9, e[8].Hash
			return e, h
		}, want: "signed"},
		{name: "first", spoil: func(e []operator.Entry, h []operator.Head) ([]operator.Entry, []operator.Head) {
			return slices.Delete(e, 0, 1), h
		}, want: "entries 1 to 1 are missing"},
		{name: "cut", spoil: func(e []operator.Entry, h []operator.Head) ([]operator.Entry, []operator.Head) {
			return slices.Delete(e, 8, 10), h
		}, want: "entries 9 to 10 are missing: the chain was cut"},
		{name: "cut, with the head", spoil: func(e []operator.Entry, h []operator.Head) ([]operator.Entry, []operator.Head) {
			h[0] = operator.Head{ID: h[0].ID, Number: 8, Hash: e[7].Hash, Last: e[7].ID}
			return slices.Delete(e, 8, 10), h
		}, want: "entry 10 was signed, and is missing"},
		{name: "a bucket's all", spoil: func(e []operator.Entry, h []operator.Head) ([]operator.Entry, []operator.Head) {
			return e[10:], h[1:]
		}, want: "entry 10 was signed, and is missing"},
		{name: "head", spoil: func(e []operator.Entry, h []operator.Head) ([]operator.Entry, []operator.Head) {
			return e, h[1:]
		}, want: "no head"},
		{name: "head's name", spoil: func(e []operator.Entry, h []operator.Head) ([]operator.Entry, []operator.Head) {
			h[0].ID[0]++
			return e, h
		}, want: "another name"},
		{name: "beyond the head", spoil: func(e []operator.Entry, h []operator.Head) ([]operator.Entry, []operator.Head) {
			h[0].Number = 9
			return e, h
		}, want: "beyond the head"},
		{name: "twice", spoil: func(e []operator.Entry, h []operator.Head) ([]operator.Entry, []operator.Head) {
			return append(e, e[3]), h
		}, want: "another one has"},
		{name: "number", spoil: func(e []operator.Entry, h []operator.Head) ([]operator.Entry, []operator.Head) {
			e[0].Number = 0
			e[0].Hash = e[0].Sum()
			return e, h
		}, want: "none can have"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			entries, heads := chained(10)
			signed := sealer.Seal(5, heads)
			entries, heads = test.spoil(entries, heads)
			found := audit(entries, heads, signed)
			if !slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, "Bucket 3") && strings.Contains(s, test.want) }) {
				t.Errorf("found %q, want something with %q", found, test.want)
			}
		})
	}
}

// TestSeal: a statement holds with the key of the master key, and with nothing
// changed in it.
func TestSeal(t *testing.T) {
	t.Parallel()
	ours, others := operator.NewSealer([32]byte{1}), operator.NewSealer([32]byte{2})
	_, heads := chained(3)
	signed := ours.Seal(77, heads)
	text, err := json.Marshal(signed)
	if err != nil {
		t.Fatal(err)
	}
	var read operator.Statement
	if err := json.Unmarshal(text, &read); err != nil || read.Check(ours.Public()) != nil {
		t.Fatalf("a statement as it was signed: %v, %v", err, read.Check(ours.Public()))
	}
	spoilt := map[string]operator.Statement{"by another master key": others.Seal(77, heads), "none": {}}
	spoil := func(name string, change func(*operator.Statement)) {
		s := ours.Seal(77, heads)
		change(&s)
		spoilt[name] = s
	}
	spoil("another time", func(s *operator.Statement) { s.AtUS++ })
	spoil("another number", func(s *operator.Statement) { s.Heads[0].Number-- })
	spoil("another hash", func(s *operator.Statement) { s.Heads[1].Hash = s.Heads[0].Hash })
	spoil("a head less", func(s *operator.Statement) { s.Heads = s.Heads[:1] })
	spoil("no hexadecimal", func(s *operator.Statement) { s.Signature = "x" })
	for name, s := range spoilt {
		if err := s.Check(ours.Public()); !errors.Is(err, operator.ErrSeal) {
			t.Errorf("%s: %v, want ErrSeal", name, err)
		}
	}
	if err := signed.Check(nil); !errors.Is(err, operator.ErrSeal) {
		t.Errorf("no key: %v, want ErrSeal", err)
	}
}
