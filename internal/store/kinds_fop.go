package store

import (
	"bytes"

	"aorta/internal/book"
	"aorta/internal/fop"
	"aorta/internal/id"
)

// The kinds of row of Google's tokenized form of payment (decision 028).

var fopCalls = table[fop.Call, id.Call]{
	kind: kind[fop.Call]{
		name: "fop_call",
		key:  byID(func(r *fop.Call) *id.Call { return &r.ID }),
		columns: []column[fop.Call]{
			{name: "customer", id: func(r *fop.Call) *id.Raw { return (*id.Raw)(&r.Customer) }},
			{name: "association", id: func(r *fop.Call) *id.Raw { return (*id.Raw)(&r.Association) }},
			{name: "about", id: func(r *fop.Call) *id.Raw { return &r.About }},
			{name: "proven", id: func(r *fop.Call) *id.Raw { return &r.Proven }},
			{name: "prev", id: func(r *fop.Call) *id.Raw { return (*id.Raw)(&r.Prev) }},
			{name: "last_refund", id: func(r *fop.Call) *id.Raw { return (*id.Raw)(&r.LastRefund) }},
			{name: "transfer", id: func(r *fop.Call) *id.Raw { return (*id.Raw)(&r.Transfer) }},
			{name: "statement", id: func(r *fop.Call) *id.Raw { return (*id.Raw)(&r.Statement) }},
			{name: "amount_minor", int: func(r *fop.Call) *int64 { return &r.Amount.Minor }},
			{name: "refunded_minor", int: func(r *fop.Call) *int64 { return &r.RefundedMinor }},
			{name: "limit_us", int: func(r *fop.Call) *int64 { return &r.LimitUS }},
			{name: "created_us", int: func(r *fop.Call) *int64 { return &r.CreatedUS }},
			{name: "changed_us", int: func(r *fop.Call) *int64 { return &r.ChangedUS }},
			{name: "integration", text: func(r *fop.Call) *string { return &r.Integration }},
			{name: "method", text: func(r *fop.Call) *string { return (*string)(&r.Method) }},
			{name: "account", text: func(r *fop.Call) *string { return &r.Account }},
			{name: "request_id", text: func(r *fop.Call) *string { return &r.RequestID }},
			{name: "print", text: func(r *fop.Call) *string { return &r.Print }},
			{name: "state", text: func(r *fop.Call) *string { return (*string)(&r.State) }},
			{name: "result", text: func(r *fop.Call) *string { return (*string)(&r.Result) }},
			{name: "answer", text: func(r *fop.Call) *string { return &r.Answer }},
			{name: "currency", text: func(r *fop.Call) *string { return (*string)(&r.Amount.Currency) }},
			{name: "description", text: func(r *fop.Call) *string { return &r.Description }},
		},
	},
	keyOf:   byID(self[id.Call]),
	keys:    func(k *book.Keys) []id.Call { return k.Calls },
	found:   func(f *book.Found) *[]book.Stored[fop.Call] { return &f.Calls },
	change:  func(c *book.Changes) book.Change[fop.Call, id.Call] { return c.Calls },
	compare: func(a, b fop.Call) int { return a.ID.Compare(b.ID) },
}

var fopAssociations = table[fop.Association, id.Association]{
	kind: kind[fop.Association]{
		name: "fop_association",
		key:  byID(func(r *fop.Association) *id.Association { return &r.ID }),
		columns: []column[fop.Association]{
			{name: "customer", id: func(r *fop.Association) *id.Raw { return (*id.Raw)(&r.Customer) }},
			{name: "prev", id: func(r *fop.Association) *id.Raw { return (*id.Raw)(&r.Prev) }},
			{name: "made_by", id: func(r *fop.Association) *id.Raw { return (*id.Raw)(&r.Call) }},
			{name: "expires_us", int: func(r *fop.Association) *int64 { return &r.ExpiresUS }},
			{name: "closed_us", int: func(r *fop.Association) *int64 { return &r.ClosedUS }},
			{name: "created_us", int: func(r *fop.Association) *int64 { return &r.CreatedUS }},
			{name: "changed_us", int: func(r *fop.Association) *int64 { return &r.ChangedUS }},
			{name: "integration", text: func(r *fop.Association) *string { return &r.Integration }},
			{name: "name", text: func(r *fop.Association) *string { return &r.Name }},
			{name: "token", text: func(r *fop.Association) *string { return &r.Token }},
			{name: "token_hash", text: func(r *fop.Association) *string { return &r.TokenHash }},
			{name: "account", text: func(r *fop.Association) *string { return &r.Account }},
			{name: "state", text: func(r *fop.Association) *string { return (*string)(&r.State) }},
			{name: "reason", text: func(r *fop.Association) *string { return (*string)(&r.Reason) }},
		},
	},
	keyOf:   byID(self[id.Association]),
	keys:    func(k *book.Keys) []id.Association { return k.Associations },
	found:   func(f *book.Found) *[]book.Stored[fop.Association] { return &f.Associations },
	change:  func(c *book.Changes) book.Change[fop.Association, id.Association] { return c.Associations },
	compare: func(a, b fop.Association) int { return a.ID.Compare(b.ID) },
}

var fopLinked = table[fop.Linked, id.Raw]{
	kind: kind[fop.Linked]{
		name: "fop_linked",
		key:  byRaw(func(r *fop.Linked) *id.Raw { return &r.ID }),
		columns: []column[fop.Linked]{
			{name: "customer", id: func(r *fop.Linked) *id.Raw { return (*id.Raw)(&r.Customer) }},
			{name: "newest", id: func(r *fop.Linked) *id.Raw { return (*id.Raw)(&r.Newest) }},
			{name: "open_links", int: func(r *fop.Linked) *int64 { return &r.Open }},
			{name: "changed_us", int: func(r *fop.Linked) *int64 { return &r.ChangedUS }},
			{name: "codes", text: func(r *fop.Linked) *string { return &r.Codes }},
			{name: "phone", text: func(r *fop.Linked) *string { return &r.Phone }},
			{name: "phone_hash", text: func(r *fop.Linked) *string { return &r.PhoneHash }},
		},
	},
	keyOf:   byRaw(self[id.Raw]),
	keys:    func(k *book.Keys) []id.Raw { return k.Linked },
	found:   func(f *book.Found) *[]book.Stored[fop.Linked] { return &f.Linked },
	change:  func(c *book.Changes) book.Change[fop.Linked, id.Raw] { return c.Linked },
	compare: func(a, b fop.Linked) int { return bytes.Compare(a.ID[:], b.ID[:]) },
}

var fopSpent = table[fop.Spent, id.Raw]{
	kind: kind[fop.Spent]{
		name: "fop_spent",
		key:  byRaw(func(r *fop.Spent) *id.Raw { return &r.ID }),
		columns: []column[fop.Spent]{
			{name: "association", id: func(r *fop.Spent) *id.Raw { return (*id.Raw)(&r.Association) }},
			{name: "newest", id: func(r *fop.Spent) *id.Raw { return (*id.Raw)(&r.Newest) }},
			{name: "waiting", int: func(r *fop.Spent) *int64 { return &r.Waiting }},
			{name: "changed_us", int: func(r *fop.Spent) *int64 { return &r.ChangedUS }},
			{name: "sums", text: func(r *fop.Spent) *string { return &r.Sums }},
		},
	},
	keyOf:   byRaw(self[id.Raw]),
	keys:    func(k *book.Keys) []id.Raw { return k.Spent },
	found:   func(f *book.Found) *[]book.Stored[fop.Spent] { return &f.Spent },
	change:  func(c *book.Changes) book.Change[fop.Spent, id.Raw] { return c.Spent },
	compare: func(a, b fop.Spent) int { return bytes.Compare(a.ID[:], b.ID[:]) },
}

var fopProofs = table[fop.Proof, id.Proof]{
	kind: kind[fop.Proof]{
		name: "fop_proof",
		key:  byID(func(r *fop.Proof) *id.Proof { return &r.ID }),
		columns: []column[fop.Proof]{
			{name: "customer", id: func(r *fop.Proof) *id.Raw { return (*id.Raw)(&r.Customer) }},
			{name: "association", id: func(r *fop.Proof) *id.Raw { return (*id.Raw)(&r.Association) }},
			{name: "used_by", id: func(r *fop.Proof) *id.Raw { return (*id.Raw)(&r.Call) }},
			{name: "until_us", int: func(r *fop.Proof) *int64 { return &r.UntilUS }},
			{name: "created_us", int: func(r *fop.Proof) *int64 { return &r.CreatedUS }},
			{name: "changed_us", int: func(r *fop.Proof) *int64 { return &r.ChangedUS }},
			{name: "integration", text: func(r *fop.Proof) *string { return &r.Integration }},
			{name: "name", text: func(r *fop.Proof) *string { return &r.Name }},
			{name: "state", text: func(r *fop.Proof) *string { return (*string)(&r.State) }},
			{name: "how", text: func(r *fop.Proof) *string { return &r.How }},
		},
	},
	keyOf:   byID(self[id.Proof]),
	keys:    func(k *book.Keys) []id.Proof { return k.Proofs },
	found:   func(f *book.Found) *[]book.Stored[fop.Proof] { return &f.Proofs },
	change:  func(c *book.Changes) book.Change[fop.Proof, id.Proof] { return c.Proofs },
	compare: func(a, b fop.Proof) int { return a.ID.Compare(b.ID) },
}

var fopCodes = table[fop.Code, id.Code]{
	kind: kind[fop.Code]{
		name: "fop_code",
		key:  byID(func(r *fop.Code) *id.Code { return &r.ID }),
		columns: []column[fop.Code]{
			{name: "customer", id: func(r *fop.Code) *id.Raw { return (*id.Raw)(&r.Customer) }},
			{name: "association", id: func(r *fop.Code) *id.Raw { return (*id.Raw)(&r.Association) }},
			{name: "made_for", id: func(r *fop.Code) *id.Raw { return (*id.Raw)(&r.Call) }},
			{name: "used_by", id: func(r *fop.Code) *id.Raw { return (*id.Raw)(&r.Used) }},
			{name: "tries_left", int: func(r *fop.Code) *int64 { return &r.TriesLeft }},
			{name: "sent_us", int: func(r *fop.Code) *int64 { return &r.SentUS }},
			{name: "until_us", int: func(r *fop.Code) *int64 { return &r.UntilUS }},
			{name: "created_us", int: func(r *fop.Code) *int64 { return &r.CreatedUS }},
			{name: "changed_us", int: func(r *fop.Code) *int64 { return &r.ChangedUS }},
			{name: "integration", text: func(r *fop.Code) *string { return &r.Integration }},
			{name: "name", text: func(r *fop.Code) *string { return &r.Name }},
			{name: "state", text: func(r *fop.Code) *string { return (*string)(&r.State) }},
			{name: "hash", text: func(r *fop.Code) *string { return &r.Hash }},
			{name: "reference", text: func(r *fop.Code) *string { return &r.Reference }},
		},
	},
	keyOf:   byID(self[id.Code]),
	keys:    func(k *book.Keys) []id.Code { return k.Codes },
	found:   func(f *book.Found) *[]book.Stored[fop.Code] { return &f.Codes },
	change:  func(c *book.Changes) book.Change[fop.Code, id.Code] { return c.Codes },
	compare: func(a, b fop.Code) int { return a.ID.Compare(b.ID) },
}

var fopStatements = table[fop.Statement, id.Statement]{
	kind: kind[fop.Statement]{
		name: "fop_statement",
		key:  byID(func(r *fop.Statement) *id.Statement { return &r.ID }),
		columns: []column[fop.Statement]{
			{name: "told_by", id: func(r *fop.Statement) *id.Raw { return (*id.Raw)(&r.Call) }},
			{name: "case_id", id: func(r *fop.Statement) *id.Raw { return (*id.Raw)(&r.Case) }},
			{name: "transfer", id: func(r *fop.Statement) *id.Raw { return (*id.Raw)(&r.Transfer) }},
			{name: "due_micros", int: func(r *fop.Statement) *int64 { return &r.DueMicros }},
			{name: "at_us", int: func(r *fop.Statement) *int64 { return &r.AtUS }},
			{name: "from_us", int: func(r *fop.Statement) *int64 { return &r.FromUS }},
			{name: "unto_us", int: func(r *fop.Statement) *int64 { return &r.UntoUS }},
			{name: "pay_us", int: func(r *fop.Statement) *int64 { return &r.PayUS }},
			{name: "page_offset", int: func(r *fop.Statement) *int64 { return &r.Offset }},
			{name: "events", int: func(r *fop.Statement) *int64 { return &r.Events }},
			{name: "lines", int: func(r *fop.Statement) *int64 { return &r.Lines }},
			{name: "created_us", int: func(r *fop.Statement) *int64 { return &r.CreatedUS }},
			{name: "changed_us", int: func(r *fop.Statement) *int64 { return &r.ChangedUS }},
			{name: "integration", text: func(r *fop.Statement) *string { return &r.Integration }},
			{name: "account", text: func(r *fop.Statement) *string { return &r.Account }},
			{name: "name", text: func(r *fop.Statement) *string { return &r.Name }},
			{name: "state", text: func(r *fop.Statement) *string { return (*string)(&r.State) }},
			{name: "currency", text: func(r *fop.Statement) *string { return (*string)(&r.Currency) }},
			{name: "memo", text: func(r *fop.Statement) *string { return &r.Memo }},
			{name: "summary", text: func(r *fop.Statement) *string { return &r.Summary }},
			{name: "found", text: func(r *fop.Statement) *string { return &r.Found }},
			{name: "changes", text: func(r *fop.Statement) *string { return &r.Changes }},
			{name: "payment_order", text: func(r *fop.Statement) *string { return &r.Order }},
		},
	},
	keyOf:   byID(self[id.Statement]),
	keys:    func(k *book.Keys) []id.Statement { return k.Statements },
	found:   func(f *book.Found) *[]book.Stored[fop.Statement] { return &f.Statements },
	change:  func(c *book.Changes) book.Change[fop.Statement, id.Statement] { return c.Statements },
	compare: func(a, b fop.Statement) int { return a.ID.Compare(b.ID) },
}

var fopLines = table[fop.Line, id.Raw]{
	kind: kind[fop.Line]{
		name: "fop_line",
		key:  byRaw(func(r *fop.Line) *id.Raw { return &r.ID }),
		columns: []column[fop.Line]{
			{name: "statement", id: func(r *fop.Line) *id.Raw { return (*id.Raw)(&r.Statement) }},
			{name: "call_id", id: func(r *fop.Line) *id.Raw { return (*id.Raw)(&r.Call) }},
			{name: "transfer", id: func(r *fop.Line) *id.Raw { return (*id.Raw)(&r.Transfer) }},
			{name: "number", int: func(r *fop.Line) *int64 { return &r.Number }},
			{name: "amount_micros", int: func(r *fop.Line) *int64 { return &r.AmountMicros }},
			{name: "fee_micros", int: func(r *fop.Line) *int64 { return &r.FeeMicros }},
			{name: "at_us", int: func(r *fop.Line) *int64 { return &r.AtUS }},
			{name: "changed_us", int: func(r *fop.Line) *int64 { return &r.ChangedUS }},
			{name: "kind", text: func(r *fop.Line) *string { return (*string)(&r.Kind) }},
			{name: "name", text: func(r *fop.Line) *string { return &r.Name }},
			{name: "ours", text: func(r *fop.Line) *string { return &r.Ours }},
			{name: "currency", text: func(r *fop.Line) *string { return (*string)(&r.Currency) }},
			{name: "verdict", text: func(r *fop.Line) *string { return &r.Verdict }},
			{name: "state", text: func(r *fop.Line) *string { return &r.State }},
			{name: "details", text: func(r *fop.Line) *string { return &r.Details }},
		},
	},
	keyOf:   byRaw(self[id.Raw]),
	keys:    func(k *book.Keys) []id.Raw { return k.Lines },
	found:   func(f *book.Found) *[]book.Stored[fop.Line] { return &f.Lines },
	change:  func(c *book.Changes) book.Change[fop.Line, id.Raw] { return c.Lines },
	compare: func(a, b fop.Line) int { return bytes.Compare(a.ID[:], b.ID[:]) },
}

var fopTold = table[fop.Told, id.Told]{
	kind: kind[fop.Told]{
		name: "fop_told",
		key:  byID(func(r *fop.Told) *id.Told { return &r.ID }),
		columns: []column[fop.Told]{
			{name: "subject", id: func(r *fop.Told) *id.Raw { return &r.Subject }},
			{name: "tries", int: func(r *fop.Told) *int64 { return &r.Tries }},
			{name: "status", int: func(r *fop.Told) *int64 { return &r.Status }},
			{name: "until_us", int: func(r *fop.Told) *int64 { return &r.UntilUS }},
			{name: "created_us", int: func(r *fop.Told) *int64 { return &r.CreatedUS }},
			{name: "changed_us", int: func(r *fop.Told) *int64 { return &r.ChangedUS }},
			{name: "integration", text: func(r *fop.Told) *string { return &r.Integration }},
			{name: "method", text: func(r *fop.Told) *string { return &r.Method }},
			{name: "account", text: func(r *fop.Told) *string { return &r.Account }},
			{name: "body", text: func(r *fop.Told) *string { return &r.Body }},
			{name: "state", text: func(r *fop.Told) *string { return (*string)(&r.State) }},
			{name: "answer", text: func(r *fop.Told) *string { return &r.Answer }},
			{name: "last_error", text: func(r *fop.Told) *string { return &r.LastError }},
		},
	},
	keyOf:   byID(self[id.Told]),
	keys:    func(k *book.Keys) []id.Told { return k.Told },
	found:   func(f *book.Found) *[]book.Stored[fop.Told] { return &f.Told },
	change:  func(c *book.Changes) book.Change[fop.Told, id.Told] { return c.Told },
	compare: func(a, b fop.Told) int { return a.ID.Compare(b.ID) },
}
