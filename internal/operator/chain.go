package operator

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"aorta/internal/id"
)

// Next gives the entry that follows what head ends, whole, and the head behind it.
// Of e are needed ID, Who, What, About, Details and AtUS.
func Next(head Head, e Entry) (Entry, Head) {
	e.Number, e.Prev = head.Number+1, head.Hash
	e.Hash = e.Sum()
	return e, Head{ID: HeadID(e.ID.Bucket()), Number: e.Number, Hash: e.Hash, Last: e.ID, ChangedUS: e.AtUS}
}

// Sum is the hash that an entry must have: SHA-256 of the hash before it and of all
// that it says, each written as its length in decimal, a colon, and its bytes
// (docs/operators.md has an example). No two entries are written alike.
func (e Entry) Sum() string {
	return digest("aorta audit 1", e.Prev, strconv.FormatInt(e.Number, 10), e.ID.String(), strconv.FormatInt(e.AtUS, 10), e.Who, e.What, e.About, e.Details)
}

func canonical(parts ...string) []byte {
	var out []byte
	for _, p := range parts {
		out = strconv.AppendInt(out, int64(len(p)), 10)
		out = append(out, ':')
		out = append(out, p...)
	}
	return out
}

func digest(parts ...string) string {
	sum := sha256.Sum256(canonical(parts...))
	return hex.EncodeToString(sum[:])
}

// Audit checks the chains of all buckets. It is given every entry, in whatever
// order, and then what the heads say; what it finds are sentences. Its memory is
// that of the entries which came before those they follow.
type Audit struct {
	chains map[id.Bucket]*chain
	found  []string
}

// chain is what is known of one bucket.
type chain struct {
	last    int64           // the newest number up to which there is no gap
	hash    string          // of that entry
	id      id.Audit        // and its name
	waiting map[int64]Entry // entries beyond a gap, which may yet be filled
	sealed  map[int64]string
}

// NewAudit begins a check. What the statements say of a bucket's chain must be in
// it: so a chain that was cut or written anew, heads and all, is found by what was
// signed before. Whether the signatures are ours is for the caller to see.
func NewAudit(signed ...Statement) *Audit {
	a := &Audit{chains: map[id.Bucket]*chain{}}
	for _, s := range signed {
		for _, h := range s.Heads {
			c := a.chain(h.Bucket)
			if was, known := c.sealed[h.Number]; known && was != h.Hash {
				a.say("Bucket %d: two signed heads name different entries %d.", h.Bucket, h.Number)
			}
			c.sealed[h.Number] = h.Hash
		}
	}
	return a
}

func (a *Audit) say(format string, args ...any) {
	a.found = append(a.found, fmt.Sprintf(format, args...))
}

func (a *Audit) chain(b id.Bucket) *chain {
	c := a.chains[b]
	if c == nil {
		c = &chain{waiting: map[int64]Entry{}, sealed: map[int64]string{}}
		a.chains[b] = c
	}
	return c
}

// Take looks at an entry.
func (a *Audit) Take(e Entry) {
	b := e.ID.Bucket()
	c := a.chain(b)
	if e.Sum() != e.Hash {
		a.say("Bucket %d: entry %s is not what was written: its hash does not fit.", b, e.ID)
	}
	if _, twice := c.waiting[e.Number]; twice || e.Number <= c.last {
		a.say("Bucket %d: entry %s has the number %d, which another one has or none can have.", b, e.ID, e.Number)
		return
	}
	c.waiting[e.Number] = e
	for {
		next, ok := c.waiting[c.last+1]
		if !ok {
			return
		}
		delete(c.waiting, next.Number)
		a.follow(b, c, next)
	}
}

// follow takes the next entry of a chain.
func (a *Audit) follow(b id.Bucket, c *chain, e Entry) {
	if e.Prev != c.hash {
		a.say("Bucket %d: entry %d (%s) does not follow entry %d: that was another one.", b, e.Number, e.ID, e.Number-1)
	}
	c.last, c.hash, c.id = e.Number, e.Hash, e.ID
	if want, sealed := c.sealed[e.Number]; sealed {
		if want != e.Hash {
			a.say("Bucket %d: entry %d (%s) is not the one that was signed.", b, e.Number, e.ID)
		}
		delete(c.sealed, e.Number)
	}
}

// End gives what is wrong, with all entries taken and the heads as the store has
// them; empty: every chain holds.
func (a *Audit) End(heads []Head) []string {
	for _, h := range heads {
		b := h.ID.Bucket()
		if h.ID != HeadID(b) {
			a.say("Bucket %d: its head has another name.", b)
		}
		a.chain(b)
	}
	for _, b := range slices.Sorted(maps.Keys(a.chains)) {
		c := a.chains[b]
		for _, n := range slices.Sorted(maps.Keys(c.waiting)) {
			a.say("Bucket %d: entries %d to %d are missing.", b, c.last+1, n-1)
			a.gap(b, c, n)
		}
		a.end(b, c, heads)
		for _, n := range slices.Sorted(maps.Keys(c.sealed)) {
			a.say("Bucket %d: entry %d was signed, and is missing.", b, n)
		}
	}
	return a.found
}

// gap goes on behind entries that are missing.
func (a *Audit) gap(b id.Bucket, c *chain, n int64) {
	e := c.waiting[n]
	if n > c.last+1 {
		c.hash = e.Prev
	}
	a.follow(b, c, e)
}

func (a *Audit) end(b id.Bucket, c *chain, heads []Head) {
	n := slices.IndexFunc(heads, func(h Head) bool { return h.ID.Bucket() == b })
	switch {
	case n < 0 && c.last > 0:
		a.say("Bucket %d: there are entries up to %d, and no head that tells how many there must be.", b, c.last)
	case n < 0:
	case heads[n].Number > c.last:
		a.say("Bucket %d: entries %d to %d are missing: the chain was cut.", b, c.last+1, heads[n].Number)
	case heads[n].Number < c.last:
		a.say("Bucket %d: entry %d is beyond the head, which says %d.", b, c.last, heads[n].Number)
	case heads[n].Hash != c.hash || heads[n].Last != c.id:
		a.say("Bucket %d: the head does not name the last entry %d.", b, c.last)
	}
}
