package flow

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"aorta/internal/book"
	"aorta/internal/id"
	"aorta/internal/operator"
	"aorta/internal/redact"
)

// maxDetails bounds what an entry of the log keeps of an act, in bytes of JSON.
const maxDetails = 16 << 10

// audit writes into the log what somebody does, in the act that does it: there is
// neither without the other (security.md S34, S35). About is the id of what it is
// done to. Details become JSON; they hold no secret and no personal data, and what
// looks like a card number in a text is masked (S25). Nothing is written of the
// zero Actor.
//
// There is one chain in each bucket, whose head is one row: an act that is audited
// waits for others of its bucket that are.
func audit(p *book.Page, who operator.Actor, what, about string, details any) {
	if who.Name == "" {
		return
	}
	head, _ := p.AuditHeads.Get(operator.HeadID(p.Bucket()))
	e, head := operator.Next(head, operator.Entry{
		ID: id.Audit(p.Mint()), Who: who.Name, What: what, About: about, Details: auditDetails(details), AtUS: p.NowUS(),
	})
	p.Audit.Append(e)
	p.AuditHeads.Put(head)
}

// auditDetails gives details as the log keeps them, as JSON of at most maxDetails: texts
// and lists that are long lose their ends, with the SHA-256 of the whole beside
// them, and all the rest stays. Only texts are searched for card numbers: a number
// or a time that happens to look like one is what it is, and masked it would not be
// JSON any more.
func auditDetails(details any) string {
	var all any
	dec := json.NewDecoder(bytes.NewReader(encoded(details)))
	dec.UseNumber() // an amount keeps every digit
	if err := dec.Decode(&all); err != nil {
		panic("JSON that was just made is none: " + err.Error())
	}
	all = masked(all)
	text := encoded(all)
	for most := 4 << 10; len(text) > maxDetails && most > 0; most /= 4 {
		short, _ := shortened(all, most)
		text = encoded(short)
	}
	if len(text) > maxDetails { // no act has so many fields
		text = encoded(map[string]any{"left_out": len(text), "sha256": digest(all)})
	}
	return string(text)
}

func encoded(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic("details of an audit entry are plain values: " + err.Error())
	}
	return text
}

// masked gives a value of JSON without card numbers in its texts.
func masked(v any) any {
	switch v := v.(type) {
	case string:
		return redact.Text(v)
	case []any:
		for n := range v {
			v[n] = masked(v[n])
		}
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, x := range v {
			out[redact.Text(name)] = masked(x)
		}
		return out
	}
	return v
}

// shortest is what a text always keeps, in bytes: a status, a currency, an id.
const shortest = 64

// shortened gives a value of JSON whose texts have at most that many bytes, and
// its lists a 64th as many items; and whether it is a text or list that lost some.
func shortened(v any, most int) (any, bool) {
	switch v := v.(type) {
	case string:
		if keep := max(most, shortest); len(v) > keep {
			return strings.ToValidUTF8(v[:keep], "") + "…", true
		}
	case []any:
		keep := min(len(v), most/64)
		out, cut := make([]any, keep), keep < len(v)
		for n := range out {
			short, less := shortened(v[n], most)
			out[n], cut = short, cut || less
		}
		return out, cut
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, x := range v {
			short, less := shortened(x, most)
			if out[name] = short; less {
				out[name+"_sha256"] = digest(x)
			}
		}
		return out, false
	}
	return v, false
}

// digest is the SHA-256, in hexadecimal, of a text's bytes or of the JSON of
// anything else. It is taken after masking: that of a card number would tell it.
func digest(v any) string {
	text, ok := v.(string)
	if !ok {
		text = string(encoded(v))
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// hintAudit names the row that audit will want.
func hintAudit(p *book.Page) { p.AuditHeads.Get(operator.HeadID(p.Bucket())) }

// Audit logs what somebody does or looks at that is no act of its own, such as a
// read of personal data or a sign-in. It comes before the answer: what cannot be
// logged is not done.
func (f *Flows) Audit(ctx context.Context, who operator.Actor, what, about string, details any) error {
	_, err := book.Do(ctx, f.book, book.Act[struct{}]{
		Name: "operator.audit", Bucket: operator.Bucket(f.book.Buckets()), Hint: hintAudit,
		Decide: func(p *book.Page) (struct{}, error) {
			audit(p, who, what, about, details)
			return struct{}{}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("audit %s: %w", what, err)
	}
	return nil
}

// AuditHeads gives the ends of all chains of the log.
func (f *Flows) AuditHeads(ctx context.Context) ([]operator.Head, error) {
	var all []operator.Head
	for after := (id.Raw{}); ; {
		rows, err := f.read.from.ScanAuditHeads(ctx, after, operatorPage)
		if err != nil {
			return nil, fmt.Errorf("read audit heads: %w", unread(err))
		}
		all = append(all, rows...)
		if len(rows) < operatorPage {
			return all, nil
		}
		after = rows[len(rows)-1].ID
	}
}
