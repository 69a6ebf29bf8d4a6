package flow

import (
	"context"
	"encoding/json"
	"fmt"

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
// looks like a card number is masked (S25). Nothing is written of the zero Actor.
//
// There is one chain in each bucket, whose head is one row: an act that is audited
// waits for others of its bucket that are.
func audit(p *book.Page, who operator.Actor, what, about string, details any) {
	if who.Name == "" {
		return
	}
	text, err := json.Marshal(details)
	if err != nil {
		panic("details of an audit entry are plain values: " + err.Error())
	}
	if len(text) > maxDetails {
		text = fmt.Appendf(nil, `{"left_out":"%d bytes of details"}`, len(text))
	}
	head, _ := p.AuditHeads.Get(operator.HeadID(p.Bucket()))
	e, head := operator.Next(head, operator.Entry{
		ID: id.Audit(p.Mint()), Who: who.Name, What: what, About: about, Details: redact.Text(string(text)), AtUS: p.NowUS(),
	})
	p.Audit.Append(e)
	p.AuditHeads.Put(head)
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
