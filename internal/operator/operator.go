package operator

import "aorta/internal/id"

// Operator is a person with a token of their own for the operators' door. The
// token's text, op_01k4…_…, is told once, to who has made the operator.
type Operator struct {
	ID        id.Operator // follows from the name: KeyOf
	Name      string      // unique for ever
	Roles     string      // as Roles has them
	Hash      string      // keyed, of the token, as Hasher makes it
	CreatedBy string      // and, behind a space, the second person who agreed: see Waiting
	CreatedUS int64
	RevokedUS int64 // 0: not
}

// Entry is something that was done, with the hash of the entry before it in its
// bucket. It is never changed.
type Entry struct {
	ID      id.Audit
	Number  int64  // from 1, without a gap in the bucket
	Prev    string // hash of the entry before it; empty of the first
	Hash    string // of Prev and of all the rest
	Who     string
	What    string
	About   string // id of what it was done to
	Details string // JSON, no secret and no personal data
	AtUS    int64
}

// Head is the end of a bucket's chain.
type Head struct {
	ID        id.Raw
	Number    int64
	Hash      string
	Last      id.Audit
	ChangedUS int64
}

// HeadID is the id of a bucket's head.
func HeadID(b id.Bucket) id.Raw { return id.Derive(b, "audit") }
