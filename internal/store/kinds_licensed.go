package store

import (
	"bytes"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/id"
	"aorta/internal/limit"
	"aorta/internal/operator"
	"aorta/internal/payment"
)

// The kinds of row of a licensed house: what its customers did lately, who they
// are, what waits for a person, and what operators have done.

var windows = table[limit.Window, id.Window]{
	kind: kind[limit.Window]{
		name: "limit_window",
		key:  byID(func(r *limit.Window) *id.Window { return &r.ID }),
		columns: []column[limit.Window]{
			{name: "customer", id: func(r *limit.Window) *id.Raw { return (*id.Raw)(&r.Customer) }},
			{name: "ever_minor", int: func(r *limit.Window) *int64 { return &r.EverMinor }},
			{name: "since_minor", int: func(r *limit.Window) *int64 { return &r.SinceMinor }},
			{name: "staked_minor", int: func(r *limit.Window) *int64 { return &r.StakedMinor }},
			{name: "changed_us", int: func(r *limit.Window) *int64 { return &r.ChangedUS }},
			{name: "kind", text: func(r *limit.Window) *string { return (*string)(&r.Kind) }},
			{name: "currency", text: func(r *limit.Window) *string { return (*string)(&r.Currency) }},
			{name: "entries", text: func(r *limit.Window) *string { return &r.Entries }},
			{name: "sources", text: func(r *limit.Window) *string { return &r.Sources }},
			{name: "lower_us", int: func(r *limit.Window) *int64 { return &r.LowerUS }},
		},
	},
	keyOf:   byID(self[id.Window]),
	keys:    func(k *book.Keys) []id.Window { return k.Windows },
	found:   func(f *book.Found) *[]book.Stored[limit.Window] { return &f.Windows },
	change:  func(c *book.Changes) book.Change[limit.Window, id.Window] { return c.Windows },
	compare: func(a, b limit.Window) int { return a.ID.Compare(b.ID) },
	free:    true,
}

var checks = table[customer.Check, id.Check]{
	kind: kind[customer.Check]{
		name: "kyc_check",
		key:  byID(func(r *customer.Check) *id.Check { return &r.ID }),
		columns: []column[customer.Check]{
			{name: "customer", id: func(r *customer.Check) *id.Raw { return (*id.Raw)(&r.Customer) }},
			{name: "level", int: func(r *customer.Check) *int64 { return &r.Level }},
			{name: "created_us", int: func(r *customer.Check) *int64 { return &r.CreatedUS }},
			{name: "changed_us", int: func(r *customer.Check) *int64 { return &r.ChangedUS }},
			{name: "until_us", int: func(r *customer.Check) *int64 { return &r.UntilUS }},
			{name: "state", text: func(r *customer.Check) *string { return (*string)(&r.State) }},
			{name: "provider", text: func(r *customer.Check) *string { return &r.Provider }},
			{name: "reference", text: func(r *customer.Check) *string { return &r.Reference }},
			{name: "reason", text: func(r *customer.Check) *string { return &r.Reason }},
			{name: "facts", text: func(r *customer.Check) *string { return &r.Facts }},
		},
	},
	keyOf:   byID(self[id.Check]),
	keys:    func(k *book.Keys) []id.Check { return k.Checks },
	found:   func(f *book.Found) *[]book.Stored[customer.Check] { return &f.Checks },
	change:  func(c *book.Changes) book.Change[customer.Check, id.Check] { return c.Checks },
	compare: func(a, b customer.Check) int { return a.ID.Compare(b.ID) },
}

var persons = table[customer.Person, id.Person]{
	kind: kind[customer.Person]{
		name: "person",
		key:  byID(func(r *customer.Person) *id.Person { return &r.ID }),
		columns: []column[customer.Person]{
			{name: "changed_us", int: func(r *customer.Person) *int64 { return &r.ChangedUS }},
			{name: "members", text: func(r *customer.Person) *string { return &r.Members }},
		},
	},
	keyOf:   byID(self[id.Person]),
	keys:    func(k *book.Keys) []id.Person { return k.Persons },
	found:   func(f *book.Found) *[]book.Stored[customer.Person] { return &f.Persons },
	change:  func(c *book.Changes) book.Change[customer.Person, id.Person] { return c.Persons },
	compare: func(a, b customer.Person) int { return a.ID.Compare(b.ID) },
}

var reviews = table[payment.Review, id.Raw]{
	kind: kind[payment.Review]{
		name: "review",
		key:  byRaw(func(r *payment.Review) *id.Raw { return &r.ID }),
		columns: []column[payment.Review]{
			{name: "customer", id: func(r *payment.Review) *id.Raw { return (*id.Raw)(&r.Customer) }},
			{name: "required_level", int: func(r *payment.Review) *int64 { return &r.RequiredLevel }},
			{name: "next_us", int: func(r *payment.Review) *int64 { return &r.NextUS }},
			{name: "changed_us", int: func(r *payment.Review) *int64 { return &r.ChangedUS }},
			{name: "state", text: func(r *payment.Review) *string { return &r.State }},
			{name: "reason", text: func(r *payment.Review) *string { return &r.Reason }},
			{name: "approvals", text: func(r *payment.Review) *string { return &r.Approvals }},
			{name: "editor", text: func(r *payment.Review) *string { return &r.Editor }},
			{name: "log", text: func(r *payment.Review) *string { return &r.Log }},
		},
	},
	keyOf:   byRaw(self[id.Raw]),
	keys:    func(k *book.Keys) []id.Raw { return k.Reviews },
	found:   func(f *book.Found) *[]book.Stored[payment.Review] { return &f.Reviews },
	change:  func(c *book.Changes) book.Change[payment.Review, id.Raw] { return c.Reviews },
	compare: func(a, b payment.Review) int { return bytes.Compare(a.ID[:], b.ID[:]) },
}

var operators = table[operator.Operator, id.Operator]{
	kind: kind[operator.Operator]{
		name: "operator",
		key:  byID(func(r *operator.Operator) *id.Operator { return &r.ID }),
		columns: []column[operator.Operator]{
			{name: "created_us", int: func(r *operator.Operator) *int64 { return &r.CreatedUS }},
			{name: "revoked_us", int: func(r *operator.Operator) *int64 { return &r.RevokedUS }},
			{name: "name", text: func(r *operator.Operator) *string { return &r.Name }},
			{name: "roles", text: func(r *operator.Operator) *string { return &r.Roles }},
			{name: "hash", text: func(r *operator.Operator) *string { return &r.Hash }},
			{name: "created_by", text: func(r *operator.Operator) *string { return &r.CreatedBy }},
		},
	},
	keyOf:   byID(self[id.Operator]),
	keys:    func(k *book.Keys) []id.Operator { return k.Operators },
	found:   func(f *book.Found) *[]book.Stored[operator.Operator] { return &f.Operators },
	change:  func(c *book.Changes) book.Change[operator.Operator, id.Operator] { return c.Operators },
	compare: func(a, b operator.Operator) int { return a.ID.Compare(b.ID) },
}

var auditHeads = table[operator.Head, id.Raw]{
	kind: kind[operator.Head]{
		name: "audit_head",
		key:  byRaw(func(r *operator.Head) *id.Raw { return &r.ID }),
		columns: []column[operator.Head]{
			{name: "last_entry", id: func(r *operator.Head) *id.Raw { return (*id.Raw)(&r.Last) }},
			{name: "number", int: func(r *operator.Head) *int64 { return &r.Number }},
			{name: "changed_us", int: func(r *operator.Head) *int64 { return &r.ChangedUS }},
			{name: "hash", text: func(r *operator.Head) *string { return &r.Hash }},
		},
	},
	keyOf:   byRaw(self[id.Raw]),
	keys:    func(k *book.Keys) []id.Raw { return k.AuditHeads },
	found:   func(f *book.Found) *[]book.Stored[operator.Head] { return &f.AuditHeads },
	change:  func(c *book.Changes) book.Change[operator.Head, id.Raw] { return c.AuditHeads },
	compare: func(a, b operator.Head) int { return bytes.Compare(a.ID[:], b.ID[:]) },
}

var floats = table[limit.Float, id.Raw]{
	kind: kind[limit.Float]{
		name: "payout_float",
		key:  byRaw(func(r *limit.Float) *id.Raw { return &r.ID }),
		columns: []column[limit.Float]{
			{name: "changed_us", int: func(r *limit.Float) *int64 { return &r.ChangedUS }},
			{name: "name", text: func(r *limit.Float) *string { return &r.Name }},
			{name: "entries", text: func(r *limit.Float) *string { return &r.Entries }},
		},
	},
	keyOf:   byRaw(self[id.Raw]),
	keys:    func(k *book.Keys) []id.Raw { return k.Floats },
	found:   func(f *book.Found) *[]book.Stored[limit.Float] { return &f.Floats },
	change:  func(c *book.Changes) book.Change[limit.Float, id.Raw] { return c.Floats },
	compare: func(a, b limit.Float) int { return bytes.Compare(a.ID[:], b.ID[:]) },
}

var claims = table[limit.Claim, id.Raw]{
	kind: kind[limit.Claim]{
		name: "payout_claim",
		key:  byRaw(func(r *limit.Claim) *id.Raw { return &r.ID }),
		columns: []column[limit.Claim]{
			{name: "payment", id: func(r *limit.Claim) *id.Raw { return (*id.Raw)(&r.Payment) }},
			{name: "minor", int: func(r *limit.Claim) *int64 { return &r.Minor }},
			{name: "at_us", int: func(r *limit.Claim) *int64 { return &r.AtUS }},
			{name: "changed_us", int: func(r *limit.Claim) *int64 { return &r.ChangedUS }},
			{name: "name", text: func(r *limit.Claim) *string { return &r.Name }},
			{name: "state", text: func(r *limit.Claim) *string { return (*string)(&r.State) }},
			{name: "currency", text: func(r *limit.Claim) *string { return (*string)(&r.Currency) }},
			{name: "held_before", text: func(r *limit.Claim) *string { return &r.Before }},
		},
	},
	keyOf:   byRaw(self[id.Raw]),
	keys:    func(k *book.Keys) []id.Raw { return k.Claims },
	found:   func(f *book.Found) *[]book.Stored[limit.Claim] { return &f.Claims },
	change:  func(c *book.Changes) book.Change[limit.Claim, id.Raw] { return c.Claims },
	compare: func(a, b limit.Claim) int { return bytes.Compare(a.ID[:], b.ID[:]) },
}

var customerNotes = table[customer.Note, id.Note]{
	kind: kind[customer.Note]{
		name: "note", logged: true,
		key: byID(func(r *customer.Note) *id.Note { return &r.ID }),
		columns: []column[customer.Note]{
			{name: "customer", id: func(r *customer.Note) *id.Raw { return (*id.Raw)(&r.Customer) }},
			{name: "prev", id: func(r *customer.Note) *id.Raw { return (*id.Raw)(&r.Prev) }},
			{name: "at_us", int: func(r *customer.Note) *int64 { return &r.AtUS }},
			{name: "kind", text: func(r *customer.Note) *string { return &r.Kind }},
			{name: "made_by", text: func(r *customer.Note) *string { return &r.By }},
			{name: "body", text: func(r *customer.Note) *string { return &r.Body }},
		},
	},
	change: func(c *book.Changes) book.Change[customer.Note, id.Note] {
		return book.Change[customer.Note, id.Note]{Insert: c.Notes}
	},
}

var audit = table[operator.Entry, id.Audit]{
	kind: kind[operator.Entry]{
		name: "audit", logged: true,
		key: byID(func(r *operator.Entry) *id.Audit { return &r.ID }),
		columns: []column[operator.Entry]{
			{name: "number", int: func(r *operator.Entry) *int64 { return &r.Number }},
			{name: "at_us", int: func(r *operator.Entry) *int64 { return &r.AtUS }},
			{name: "prev_hash", text: func(r *operator.Entry) *string { return &r.Prev }},
			{name: "hash", text: func(r *operator.Entry) *string { return &r.Hash }},
			{name: "who", text: func(r *operator.Entry) *string { return &r.Who }},
			{name: "what", text: func(r *operator.Entry) *string { return &r.What }},
			{name: "about", text: func(r *operator.Entry) *string { return &r.About }},
			{name: "details", text: func(r *operator.Entry) *string { return &r.Details }},
		},
	},
	change: func(c *book.Changes) book.Change[operator.Entry, id.Audit] {
		return book.Change[operator.Entry, id.Audit]{Insert: c.Audit}
	},
}
