package store

import (
	"bytes"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/instrument"
	"aorta/internal/ledger"
	"aorta/internal/payment"
	"aorta/internal/project"
)

// byID is the primary key of all kinds but ref. The bucket is the id's own
// byte, so reading the column back changes nothing.
func byID[R any, K id.Kind](of func(*R) *id.Of[K]) []column[R] {
	return []column[R]{
		{name: "id", id: func(r *R) *id.Raw { return (*id.Raw)(of(r)) }},
		{name: "bucket", bucket: func(r *R) *id.Bucket { return (*id.Bucket)(&of(r)[bucketByte]) }},
	}
}

// byRaw is byID for rows named by another row's id.
func byRaw[R any](of func(*R) *id.Raw) []column[R] {
	return []column[R]{
		{name: "id", id: of},
		{name: "bucket", bucket: func(r *R) *id.Bucket { return (*id.Bucket)(&of(r)[bucketByte]) }},
	}
}

// bucketByte is where an id carries its bucket (package id).
const bucketByte = 6

func self[K any](k *K) *K { return k }

var refs = table[payment.Ref, payment.RefKey]{
	kind: kind[payment.Ref]{
		name: "ref",
		key: []column[payment.Ref]{
			{name: "scope", max: maxKeyText, text: func(r *payment.Ref) *string { return &r.Scope }},
			{name: "ref_text", max: maxKeyText, text: func(r *payment.Ref) *string { return &r.Text }},
			{name: "bucket", bucket: func(r *payment.Ref) *id.Bucket { return &r.Bucket }},
		},
		columns: []column[payment.Ref]{
			{name: "target", id: func(r *payment.Ref) *id.Raw { return &r.Target }},
		},
	},
	keyOf: []column[payment.RefKey]{
		{name: "scope", max: maxKeyText, text: func(k *payment.RefKey) *string { return &k.Scope }},
		{name: "ref_text", max: maxKeyText, text: func(k *payment.RefKey) *string { return &k.Text }},
		{name: "bucket", bucket: func(k *payment.RefKey) *id.Bucket { return &k.Bucket }},
	},
	keys:    func(k *book.Keys) []payment.RefKey { return k.Refs },
	found:   func(f *book.Found) *[]book.Stored[payment.Ref] { return &f.Refs },
	change:  func(c *book.Changes) book.Change[payment.Ref, payment.RefKey] { return c.Refs },
	compare: func(a, b payment.Ref) int { return book.CompareRefs(a.RefKey, b.RefKey) },
}

var customers = table[customer.Customer, id.Customer]{
	kind: kind[customer.Customer]{
		name: "customer",
		key:  byID(func(r *customer.Customer) *id.Customer { return &r.ID }),
		columns: []column[customer.Customer]{
			{name: "merchant_id", int: func(r *customer.Customer) *int64 { return &r.MerchantID }},
			{name: "name", text: func(r *customer.Customer) *string { return &r.Name }},
			{name: "currencies", text: func(r *customer.Customer) *string { return &r.Currencies }},
			{name: "created_us", int: func(r *customer.Customer) *int64 { return &r.CreatedUS }},
			{name: "level", int: func(r *customer.Customer) *int64 { return &r.Level }},
			{name: "level_until_us", int: func(r *customer.Customer) *int64 { return &r.LevelUntilUS }},
			{name: "restricted_until_us", int: func(r *customer.Customer) *int64 { return &r.RestrictedUntilUS }},
			{name: "ending_us", int: func(r *customer.Customer) *int64 { return &r.EndingUS }},
			{name: "review", int: func(r *customer.Customer) *int64 { return &r.Review }},
			{name: "person", id: func(r *customer.Customer) *id.Raw { return (*id.Raw)(&r.Person) }},
			{name: "last_note", id: func(r *customer.Customer) *id.Raw { return (*id.Raw)(&r.LastNote) }},
			{name: "restriction", text: func(r *customer.Customer) *string { return (*string)(&r.Restriction) }},
			{name: "limits", text: func(r *customer.Customer) *string { return &r.Limits }},
			{name: "checks", text: func(r *customer.Customer) *string { return &r.Checks }},
		},
	},
	keyOf:   byID(self[id.Customer]),
	keys:    func(k *book.Keys) []id.Customer { return k.Customers },
	found:   func(f *book.Found) *[]book.Stored[customer.Customer] { return &f.Customers },
	change:  func(c *book.Changes) book.Change[customer.Customer, id.Customer] { return c.Customers },
	compare: func(a, b customer.Customer) int { return a.ID.Compare(b.ID) },
}

var instruments = table[instrument.Instrument, id.Instrument]{
	kind: kind[instrument.Instrument]{
		name: "instrument",
		key:  byID(func(r *instrument.Instrument) *id.Instrument { return &r.ID }),
		columns: []column[instrument.Instrument]{
			{name: "customer", id: func(r *instrument.Instrument) *id.Raw { return (*id.Raw)(&r.Customer) }},
			{name: "connector", text: func(r *instrument.Instrument) *string { return &r.Connector }},
			{name: "account", text: func(r *instrument.Instrument) *string { return &r.Account }},
			{name: "token", text: func(r *instrument.Instrument) *string { return &r.Token }},
			{name: "label", text: func(r *instrument.Instrument) *string { return &r.Label }},
			{name: "created_us", int: func(r *instrument.Instrument) *int64 { return &r.CreatedUS }},
		},
	},
	keyOf:   byID(self[id.Instrument]),
	keys:    func(k *book.Keys) []id.Instrument { return k.Instruments },
	found:   func(f *book.Found) *[]book.Stored[instrument.Instrument] { return &f.Instruments },
	change:  func(c *book.Changes) book.Change[instrument.Instrument, id.Instrument] { return c.Instruments },
	compare: func(a, b instrument.Instrument) int { return a.ID.Compare(b.ID) },
}

var payments = table[payment.Payment, id.Payment]{
	kind: kind[payment.Payment]{
		name: "payment",
		key:  byID(func(r *payment.Payment) *id.Payment { return &r.ID }),
		columns: []column[payment.Payment]{
			{name: "project_id", int: func(r *payment.Payment) *int64 { return &r.ProjectID }},
			{name: "amount_minor", int: func(r *payment.Payment) *int64 { return &r.Amount.Minor }},
			{name: "captured_minor", int: func(r *payment.Payment) *int64 { return &r.CapturedMinor }},
			{name: "refunded_minor", int: func(r *payment.Payment) *int64 { return &r.RefundedMinor }},
			{name: "refunding_minor", int: func(r *payment.Payment) *int64 { return &r.RefundingMinor }},
			{name: "created_us", int: func(r *payment.Payment) *int64 { return &r.CreatedUS }},
			{name: "changed_us", int: func(r *payment.Payment) *int64 { return &r.ChangedUS }},
			{name: "limit_us", int: func(r *payment.Payment) *int64 { return &r.LimitUS }},
			{name: "tries_left", int: func(r *payment.Payment) *int64 { return &r.TriesLeft }},
			{name: "retry_us", int: func(r *payment.Payment) *int64 { return &r.RetryUS }},
			{name: "callback_delay_s", int: func(r *payment.Payment) *int64 { return &r.CallbackDelayS }},
			{name: "callback_mute", int: func(r *payment.Payment) *int64 { return &r.CallbackMute }},
			{name: "last_operation", id: func(r *payment.Payment) *id.Raw { return (*id.Raw)(&r.LastOperation) }},
			{name: "last_event", id: func(r *payment.Payment) *id.Raw { return (*id.Raw)(&r.LastEvent) }},
			{name: "last_delivery", id: func(r *payment.Payment) *id.Raw { return (*id.Raw)(&r.LastDelivery) }},
			{name: "status", text: func(r *payment.Payment) *string { return (*string)(&r.Status) }},
			{name: "awaiting", text: func(r *payment.Payment) *string { return (*string)(&r.Awaiting) }},
			{name: "type", text: func(r *payment.Payment) *string { return (*string)(&r.Type) }},
			{name: "method", text: func(r *payment.Payment) *string { return &r.Method }},
			{name: "currency", text: func(r *payment.Payment) *string { return (*string)(&r.Amount.Currency) }},
			{name: "door", text: func(r *payment.Payment) *string { return &r.Door }},
			{name: "code", text: func(r *payment.Payment) *string { return &r.Code }},
			{name: "message", text: func(r *payment.Payment) *string { return &r.Message }},
			{name: "merchant_payment_id", text: func(r *payment.Payment) *string { return &r.MerchantPaymentID }},
			{name: "customer_id", text: func(r *payment.Payment) *string { return &r.CustomerID }},
			{name: "description", text: func(r *payment.Payment) *string { return &r.Description }},
			{name: "callback_url", text: func(r *payment.Payment) *string { return &r.CallbackURL }},
			{name: "success_url", text: func(r *payment.Payment) *string { return &r.SuccessURL }},
			{name: "decline_url", text: func(r *payment.Payment) *string { return &r.DeclineURL }},
			{name: "events", int: func(r *payment.Payment) *int64 { return &r.Events }},
			{name: "last_webhook", id: func(r *payment.Payment) *id.Raw { return (*id.Raw)(&r.LastWebhook) }},
		},
	},
	keyOf:  byID(self[id.Payment]),
	keys:   func(k *book.Keys) []id.Payment { return k.Payments },
	found:  func(f *book.Found) *[]book.Stored[payment.Payment] { return &f.Payments },
	change: func(c *book.Changes) book.Change[payment.Payment, id.Payment] { return c.Payments },
}

var operations = table[payment.Operation, id.Operation]{
	kind: kind[payment.Operation]{
		name: "operation",
		key:  byID(func(r *payment.Operation) *id.Operation { return &r.ID }),
		columns: []column[payment.Operation]{
			{name: "payment", id: func(r *payment.Operation) *id.Raw { return (*id.Raw)(&r.Payment) }},
			{name: "prev", id: func(r *payment.Operation) *id.Raw { return (*id.Raw)(&r.Prev) }},
			{name: "attempt", id: func(r *payment.Operation) *id.Raw { return (*id.Raw)(&r.Attempt) }},
			{name: "number", int: func(r *payment.Operation) *int64 { return &r.Number }},
			{name: "amount_minor", int: func(r *payment.Operation) *int64 { return &r.Amount.Minor }},
			{name: "created_us", int: func(r *payment.Operation) *int64 { return &r.CreatedUS }},
			{name: "changed_us", int: func(r *payment.Operation) *int64 { return &r.ChangedUS }},
			{name: "kind", text: func(r *payment.Operation) *string { return (*string)(&r.Kind) }},
			{name: "status", text: func(r *payment.Operation) *string { return (*string)(&r.Status) }},
			{name: "currency", text: func(r *payment.Operation) *string { return (*string)(&r.Amount.Currency) }},
			{name: "merchant_refund_id", text: func(r *payment.Operation) *string { return &r.MerchantRefundID }},
			{name: "description", text: func(r *payment.Operation) *string { return &r.Description }},
			{name: "code", text: func(r *payment.Operation) *string { return &r.Code }},
			{name: "message", text: func(r *payment.Operation) *string { return &r.Message }},
		},
	},
	keyOf:  byID(self[id.Operation]),
	keys:   func(k *book.Keys) []id.Operation { return k.Operations },
	found:  func(f *book.Found) *[]book.Stored[payment.Operation] { return &f.Operations },
	change: func(c *book.Changes) book.Change[payment.Operation, id.Operation] { return c.Operations },
}

var attempts = table[payment.Attempt, id.Attempt]{
	kind: kind[payment.Attempt]{
		name: "attempt",
		key:  byID(func(r *payment.Attempt) *id.Attempt { return &r.ID }),
		columns: []column[payment.Attempt]{
			{name: "operation", id: func(r *payment.Attempt) *id.Raw { return (*id.Raw)(&r.Operation) }},
			{name: "payment", id: func(r *payment.Attempt) *id.Raw { return (*id.Raw)(&r.Payment) }},
			{name: "prev", id: func(r *payment.Attempt) *id.Raw { return (*id.Raw)(&r.Prev) }},
			{name: "transfer", id: func(r *payment.Attempt) *id.Raw { return (*id.Raw)(&r.Transfer) }},
			{name: "captured_by", id: func(r *payment.Attempt) *id.Raw { return (*id.Raw)(&r.Of) }},
			{name: "amount_minor", int: func(r *payment.Attempt) *int64 { return &r.Amount.Minor }},
			{name: "provider_us", int: func(r *payment.Attempt) *int64 { return &r.ProviderUS }},
			{name: "late", int: func(r *payment.Attempt) *int64 { return &r.Late }},
			{name: "no_records", int: func(r *payment.Attempt) *int64 { return &r.NoRecords }},
			{name: "no_record_us", int: func(r *payment.Attempt) *int64 { return &r.NoRecordUS }},
			{name: "lookups", int: func(r *payment.Attempt) *int64 { return &r.Lookups }},
			{name: "created_us", int: func(r *payment.Attempt) *int64 { return &r.CreatedUS }},
			{name: "changed_us", int: func(r *payment.Attempt) *int64 { return &r.ChangedUS }},
			{name: "payee", text: func(r *payment.Attempt) *string { return &r.Payee }},
			{name: "connector", text: func(r *payment.Attempt) *string { return &r.Connector }},
			{name: "account", text: func(r *payment.Attempt) *string { return &r.Account }},
			{name: "kind", text: func(r *payment.Attempt) *string { return (*string)(&r.Kind) }},
			{name: "status", text: func(r *payment.Attempt) *string { return (*string)(&r.Status) }},
			{name: "currency", text: func(r *payment.Attempt) *string { return (*string)(&r.Amount.Currency) }},
			{name: "captured_provider_id", text: func(r *payment.Attempt) *string { return &r.OfProviderID }},
			{name: "provider_id", text: func(r *payment.Attempt) *string { return &r.ProviderID }},
			{name: "provider_code", text: func(r *payment.Attempt) *string { return &r.ProviderCode }},
			{name: "provider_message", text: func(r *payment.Attempt) *string { return &r.ProviderMessage }},
			{name: "redirect", text: func(r *payment.Attempt) *string { return &r.Redirect }},
			{name: "way", text: func(r *payment.Attempt) *string { return &r.Way }},
		},
	},
	keyOf:  byID(self[id.Attempt]),
	keys:   func(k *book.Keys) []id.Attempt { return k.Attempts },
	found:  func(f *book.Found) *[]book.Stored[payment.Attempt] { return &f.Attempts },
	change: func(c *book.Changes) book.Change[payment.Attempt, id.Attempt] { return c.Attempts },
}

var accounts = table[ledger.Account, id.Account]{
	kind: kind[ledger.Account]{
		name: "account",
		key:  byID(func(r *ledger.Account) *id.Account { return &r.ID }),
		columns: []column[ledger.Account]{
			{name: "minor", int: func(r *ledger.Account) *int64 { return &r.Minor }},
			{name: "last_transfer", id: func(r *ledger.Account) *id.Raw { return (*id.Raw)(&r.Last) }},
			{name: "owner", text: func(r *ledger.Account) *string { return &r.Owner }},
			{name: "purpose", text: func(r *ledger.Account) *string { return (*string)(&r.Purpose) }},
			{name: "currency", text: func(r *ledger.Account) *string { return (*string)(&r.Currency) }},
		},
	},
	keyOf:   byID(self[id.Account]),
	keys:    func(k *book.Keys) []id.Account { return k.Accounts },
	found:   func(f *book.Found) *[]book.Stored[ledger.Account] { return &f.Accounts },
	change:  func(c *book.Changes) book.Change[ledger.Account, id.Account] { return c.Accounts },
	compare: func(a, b ledger.Account) int { return a.ID.Compare(b.ID) },
}

var deliveries = table[event.Delivery, id.Delivery]{
	kind: kind[event.Delivery]{
		name: "delivery",
		key:  byID(func(r *event.Delivery) *id.Delivery { return &r.ID }),
		columns: []column[event.Delivery]{
			{name: "event", id: func(r *event.Delivery) *id.Raw { return (*id.Raw)(&r.Event) }},
			{name: "payment", id: func(r *event.Delivery) *id.Raw { return (*id.Raw)(&r.Payment) }},
			{name: "prev", id: func(r *event.Delivery) *id.Raw { return (*id.Raw)(&r.Prev) }},
			{name: "next", id: func(r *event.Delivery) *id.Raw { return (*id.Raw)(&r.Next) }},
			{name: "tries", int: func(r *event.Delivery) *int64 { return &r.Tries }},
			{name: "last_status", int: func(r *event.Delivery) *int64 { return &r.LastStatus }},
			{name: "created_us", int: func(r *event.Delivery) *int64 { return &r.CreatedUS }},
			{name: "changed_us", int: func(r *event.Delivery) *int64 { return &r.ChangedUS }},
			{name: "door", text: func(r *event.Delivery) *string { return &r.Door }},
			{name: "state", text: func(r *event.Delivery) *string { return (*string)(&r.State) }},
			{name: "url", text: func(r *event.Delivery) *string { return &r.URL }},
			{name: "last_error", text: func(r *event.Delivery) *string { return &r.LastError }},
			{name: "log", text: func(r *event.Delivery) *string { return &r.Log }},
			{name: "body", text: func(r *event.Delivery) *string { return &r.Body }},
			{name: "endpoint", id: func(r *event.Delivery) *id.Raw { return (*id.Raw)(&r.Endpoint) }},
			{name: "type", text: func(r *event.Delivery) *string { return &r.Type }},
		},
	},
	keyOf:  byID(self[id.Delivery]),
	keys:   func(k *book.Keys) []id.Delivery { return k.Deliveries },
	found:  func(f *book.Found) *[]book.Stored[event.Delivery] { return &f.Deliveries },
	change: func(c *book.Changes) book.Change[event.Delivery, id.Delivery] { return c.Deliveries },
}

var inbox = table[payment.Inbox, id.Inbox]{
	kind: kind[payment.Inbox]{
		name: "inbox",
		key:  byID(func(r *payment.Inbox) *id.Inbox { return &r.ID }),
		columns: []column[payment.Inbox]{
			{name: "tries", int: func(r *payment.Inbox) *int64 { return &r.Tries }},
			{name: "received_us", int: func(r *payment.Inbox) *int64 { return &r.ReceivedUS }},
			{name: "changed_us", int: func(r *payment.Inbox) *int64 { return &r.ChangedUS }},
			{name: "connector", text: func(r *payment.Inbox) *string { return &r.Connector }},
			{name: "account", text: func(r *payment.Inbox) *string { return &r.Account }},
			{name: "state", text: func(r *payment.Inbox) *string { return (*string)(&r.State) }},
			{name: "reason", text: func(r *payment.Inbox) *string { return &r.Reason }},
			{name: "header", text: func(r *payment.Inbox) *string { return &r.Header }},
			{name: "body", text: func(r *payment.Inbox) *string { return &r.Body }},
		},
	},
	keyOf:   byID(self[id.Inbox]),
	keys:    func(k *book.Keys) []id.Inbox { return k.Inbox },
	found:   func(f *book.Found) *[]book.Stored[payment.Inbox] { return &f.Inbox },
	change:  func(c *book.Changes) book.Change[payment.Inbox, id.Inbox] { return c.Inbox },
	compare: func(a, b payment.Inbox) int { return a.ID.Compare(b.ID) },
}

var cases = table[payment.Case, id.Case]{
	kind: kind[payment.Case]{
		name: "dispute_case",
		key:  byID(func(r *payment.Case) *id.Case { return &r.ID }),
		columns: []column[payment.Case]{
			{name: "payment", id: func(r *payment.Case) *id.Raw { return (*id.Raw)(&r.Payment) }},
			{name: "created_us", int: func(r *payment.Case) *int64 { return &r.CreatedUS }},
			{name: "changed_us", int: func(r *payment.Case) *int64 { return &r.ChangedUS }},
			{name: "kind", text: func(r *payment.Case) *string { return &r.Kind }},
			{name: "state", text: func(r *payment.Case) *string { return (*string)(&r.State) }},
			{name: "details", text: func(r *payment.Case) *string { return &r.Details }},
			{name: "customer", id: func(r *payment.Case) *id.Raw { return (*id.Raw)(&r.Customer) }},
			{name: "owner", text: func(r *payment.Case) *string { return &r.Owner }},
			{name: "log", text: func(r *payment.Case) *string { return &r.Log }},
			{name: "resolution", text: func(r *payment.Case) *string { return &r.Resolution }},
		},
	},
	keyOf:   byID(self[id.Case]),
	keys:    func(k *book.Keys) []id.Case { return k.Cases },
	found:   func(f *book.Found) *[]book.Stored[payment.Case] { return &f.Cases },
	change:  func(c *book.Changes) book.Change[payment.Case, id.Case] { return c.Cases },
	compare: func(a, b payment.Case) int { return a.ID.Compare(b.ID) },
}

var rounds = table[ledger.Round, id.Round]{
	kind: kind[ledger.Round]{
		name: "round",
		key:  byID(func(r *ledger.Round) *id.Round { return &r.ID }),
		columns: []column[ledger.Round]{
			{name: "project_id", int: func(r *ledger.Round) *int64 { return &r.Project }},
			{name: "customer", id: func(r *ledger.Round) *id.Raw { return (*id.Raw)(&r.Customer) }},
			{name: "rollback_transfer", id: func(r *ledger.Round) *id.Raw { return (*id.Raw)(&r.Rollback) }},
			{name: "stakes", int: func(r *ledger.Round) *int64 { return &r.Stakes }},
			{name: "wins", int: func(r *ledger.Round) *int64 { return &r.Wins }},
			{name: "staked_minor", int: func(r *ledger.Round) *int64 { return &r.Staked }},
			{name: "won_minor", int: func(r *ledger.Round) *int64 { return &r.Won }},
			{name: "bonus_staked_minor", int: func(r *ledger.Round) *int64 { return &r.BonusStaked }},
			{name: "bonus_won_minor", int: func(r *ledger.Round) *int64 { return &r.BonusWon }},
			{name: "created_us", int: func(r *ledger.Round) *int64 { return &r.CreatedUS }},
			{name: "changed_us", int: func(r *ledger.Round) *int64 { return &r.ChangedUS }},
			{name: "name", text: func(r *ledger.Round) *string { return &r.Name }},
			{name: "currency", text: func(r *ledger.Round) *string { return (*string)(&r.Currency) }},
			{name: "rolled_back", text: func(r *ledger.Round) *string { return &r.RolledBack }},
		},
	},
	keyOf:   byID(self[id.Round]),
	keys:    func(k *book.Keys) []id.Round { return k.Rounds },
	found:   func(f *book.Found) *[]book.Stored[ledger.Round] { return &f.Rounds },
	change:  func(c *book.Changes) book.Change[ledger.Round, id.Round] { return c.Rounds },
	compare: func(a, b ledger.Round) int { return a.ID.Compare(b.ID) },
}

var endpoints = table[event.Endpoint, id.Endpoint]{
	kind: kind[event.Endpoint]{
		name: "endpoint",
		key:  byID(func(r *event.Endpoint) *id.Endpoint { return &r.ID }),
		columns: []column[event.Endpoint]{
			{name: "project_id", int: func(r *event.Endpoint) *int64 { return &r.ProjectID }},
			{name: "old_until_us", int: func(r *event.Endpoint) *int64 { return &r.OldUntilUS }},
			{name: "failing_us", int: func(r *event.Endpoint) *int64 { return &r.FailingUS }},
			{name: "failed", int: func(r *event.Endpoint) *int64 { return &r.Failed }},
			{name: "warned_us", int: func(r *event.Endpoint) *int64 { return &r.WarnedUS }},
			{name: "wants_us", int: func(r *event.Endpoint) *int64 { return &r.WantsUS }},
			{name: "created_us", int: func(r *event.Endpoint) *int64 { return &r.CreatedUS }},
			{name: "changed_us", int: func(r *event.Endpoint) *int64 { return &r.ChangedUS }},
			{name: "state", text: func(r *event.Endpoint) *string { return (*string)(&r.State) }},
			{name: "types", text: func(r *event.Endpoint) *string { return &r.Types }},
			{name: "url", text: func(r *event.Endpoint) *string { return &r.URL }},
			{name: "description", text: func(r *event.Endpoint) *string { return &r.Description }},
			{name: "reason", text: func(r *event.Endpoint) *string { return &r.Reason }},
			{name: "secret", text: func(r *event.Endpoint) *string { return &r.Secret }},
			{name: "old_secret", text: func(r *event.Endpoint) *string { return &r.OldSecret }},
		},
	},
	keyOf:   byID(self[id.Endpoint]),
	keys:    func(k *book.Keys) []id.Endpoint { return k.Endpoints },
	found:   func(f *book.Found) *[]book.Stored[event.Endpoint] { return &f.Endpoints },
	change:  func(c *book.Changes) book.Change[event.Endpoint, id.Endpoint] { return c.Endpoints },
	compare: func(a, b event.Endpoint) int { return a.ID.Compare(b.ID) },
}

// Carry has no column: it spares the leasing process a reading, nothing more.
var dues = table[due.Due, id.Raw]{
	kind: kind[due.Due]{
		name: "due",
		key:  byRaw(func(r *due.Due) *id.Raw { return &r.ID }),
		columns: []column[due.Due]{
			{name: "due_us", int: func(r *due.Due) *int64 { return &r.DueUS }},
			{name: "owner", int: func(r *due.Due) *int64 { return &r.Owner }},
			{name: "tries", int: func(r *due.Due) *int64 { return &r.Tries }},
			{name: "kind", text: func(r *due.Due) *string { return (*string)(&r.Kind) }},
		},
	},
	keyOf:   byRaw(self[id.Raw]),
	keys:    func(k *book.Keys) []id.Raw { return k.Due },
	found:   func(f *book.Found) *[]book.Stored[due.Due] { return &f.Due },
	change:  func(c *book.Changes) book.Change[due.Due, id.Raw] { return c.Due },
	compare: func(a, b due.Due) int { return bytes.Compare(a.ID[:], b.ID[:]) },
}

var keys = table[project.Key, id.Key]{
	kind: kind[project.Key]{
		name: "api_key",
		key:  byID(func(r *project.Key) *id.Key { return &r.ID }),
		columns: []column[project.Key]{
			{name: "project_id", int: func(r *project.Key) *int64 { return &r.ProjectID }},
			{name: "created_us", int: func(r *project.Key) *int64 { return &r.CreatedUS }},
			{name: "expires_us", int: func(r *project.Key) *int64 { return &r.ExpiresUS }},
			{name: "revoked_us", int: func(r *project.Key) *int64 { return &r.RevokedUS }},
			{name: "name", text: func(r *project.Key) *string { return &r.Name }},
			{name: "hash", text: func(r *project.Key) *string { return &r.Hash }},
			{name: "scopes", text: func(r *project.Key) *string { return &r.Scopes }},
			{name: "default_customer", text: func(r *project.Key) *string { return &r.DefaultCustomer }},
		},
	},
	keyOf:   byID(self[id.Key]),
	keys:    func(k *book.Keys) []id.Key { return k.Keys },
	found:   func(f *book.Found) *[]book.Stored[project.Key] { return &f.Keys },
	change:  func(c *book.Changes) book.Change[project.Key, id.Key] { return c.Keys },
	compare: func(a, b project.Key) int { return a.ID.Compare(b.ID) },
}

var answers = table[payment.Answer, id.Answer]{
	kind: kind[payment.Answer]{
		name: "answer",
		key:  byID(func(r *payment.Answer) *id.Answer { return &r.ID }),
		columns: []column[payment.Answer]{
			{name: "thing", id: func(r *payment.Answer) *id.Raw { return &r.Thing }},
			{name: "project_id", int: func(r *payment.Answer) *int64 { return &r.ProjectID }},
			{name: "owner", int: func(r *payment.Answer) *int64 { return &r.Owner }},
			{name: "status", int: func(r *payment.Answer) *int64 { return &r.Status }},
			{name: "created_us", int: func(r *payment.Answer) *int64 { return &r.CreatedUS }},
			{name: "changed_us", int: func(r *payment.Answer) *int64 { return &r.ChangedUS }},
			{name: "route", text: func(r *payment.Answer) *string { return &r.Route }},
			{name: "key_text", text: func(r *payment.Answer) *string { return &r.Key }},
			{name: "print", text: func(r *payment.Answer) *string { return &r.Print }},
			{name: "media", text: func(r *payment.Answer) *string { return &r.Media }},
			{name: "body", text: func(r *payment.Answer) *string { return &r.Body }},
		},
	},
	keyOf:  byID(self[id.Answer]),
	keys:   func(k *book.Keys) []id.Answer { return k.Answers },
	found:  func(f *book.Found) *[]book.Stored[payment.Answer] { return &f.Answers },
	change: func(c *book.Changes) book.Change[payment.Answer, id.Answer] { return c.Answers },
}

var transfers = table[ledger.Transfer, id.Transfer]{
	kind: kind[ledger.Transfer]{
		name: "transfer", logged: true,
		key: byID(func(r *ledger.Transfer) *id.Transfer { return &r.ID }),
		columns: []column[ledger.Transfer]{
			{name: "payment", id: func(r *ledger.Transfer) *id.Raw { return (*id.Raw)(&r.Payment) }},
			{name: "operation", id: func(r *ledger.Transfer) *id.Raw { return (*id.Raw)(&r.Operation) }},
			{name: "customer", id: func(r *ledger.Transfer) *id.Raw { return (*id.Raw)(&r.Customer) }},
			{name: "prev", id: func(r *ledger.Transfer) *id.Raw { return (*id.Raw)(&r.Prev) }},
			{name: "round", id: func(r *ledger.Transfer) *id.Raw { return (*id.Raw)(&r.Round) }},
			{name: "project_id", int: func(r *ledger.Transfer) *int64 { return &r.Project }},
			{name: "created_us", int: func(r *ledger.Transfer) *int64 { return &r.CreatedUS }},
			{name: "kind", text: func(r *ledger.Transfer) *string { return (*string)(&r.Kind) }},
			{name: "name", text: func(r *ledger.Transfer) *string { return &r.Name }},
			{name: "description", text: func(r *ledger.Transfer) *string { return &r.Description }},
			{name: "postings", coded: &coding[ledger.Transfer]{
				encode: func(r *ledger.Transfer) string { return ledger.EncodePostings(r.Postings) },
				decode: func(r *ledger.Transfer, text string) (err error) {
					r.Postings, err = ledger.DecodePostings(text)
					return err
				},
			}},
		},
	},
	change: func(c *book.Changes) book.Change[ledger.Transfer, id.Transfer] {
		return book.Change[ledger.Transfer, id.Transfer]{Insert: c.Transfers}
	},
}

var events = table[event.Event, id.Event]{
	kind: kind[event.Event]{
		name: "event", logged: true,
		key: byID(func(r *event.Event) *id.Event { return &r.ID }),
		columns: []column[event.Event]{
			{name: "payment", id: func(r *event.Event) *id.Raw { return (*id.Raw)(&r.Payment) }},
			{name: "operation", id: func(r *event.Event) *id.Raw { return (*id.Raw)(&r.Operation) }},
			{name: "prev", id: func(r *event.Event) *id.Raw { return (*id.Raw)(&r.Prev) }},
			{name: "at_us", int: func(r *event.Event) *int64 { return &r.AtUS }},
			{name: "kind", text: func(r *event.Event) *string { return (*string)(&r.Kind) }},
			{name: "from_status", text: func(r *event.Event) *string { return (*string)(&r.From) }},
			{name: "to_status", text: func(r *event.Event) *string { return (*string)(&r.To) }},
			{name: "snapshot", text: func(r *event.Event) *string { return &r.Snapshot }},
		},
	},
	change: func(c *book.Changes) book.Change[event.Event, id.Event] {
		return book.Change[event.Event, id.Event]{Insert: c.Events}
	},
}

var requests = table[payment.Request, id.Raw]{
	kind: kind[payment.Request]{
		name: "request", logged: true,
		key: byRaw(func(r *payment.Request) *id.Raw { return &r.ID }),
		columns: []column[payment.Request]{
			{name: "body", text: func(r *payment.Request) *string { return &r.Body }},
		},
	},
	change: func(c *book.Changes) book.Change[payment.Request, id.Raw] {
		return book.Change[payment.Request, id.Raw]{Insert: c.Requests}
	},
}
