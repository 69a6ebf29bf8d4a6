package verify

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"time"

	"aorta/internal/event"
)

// Merchants is what all merchants have received.
type Merchants struct {
	Received []Callback // in the order of their arrival

	// Hold is how long a newer callback of a payment waits for an older one: six
	// units of the schedule (ecommpay.md 4.1). 0 means a minute.
	Hold time.Duration
}

// Callback is one that a merchant received, once for each time.
type Callback struct {
	Project int64
	Payment string // the merchant's name for the payment, as the callback has it
	Body    string
	AtUS    int64 // when it came
	Answer  int   // HTTP status that the merchant gave; 0: none
}

// merchants are callbacks by the payment that they tell of.
type merchants struct {
	holdUS   int64
	received map[called][]*Callback
}

func newMerchants(m *Merchants) *merchants {
	x := &merchants{holdUS: cmp.Or(m.Hold, time.Minute).Microseconds(), received: map[called][]*Callback{}}
	for n := range m.Received {
		k := calledBy(m.Received[n].Project, m.Received[n].Payment)
		x.received[k] = append(x.received[k], &m.Received[n])
	}
	return x
}

// judgeReceived: merchants received what was delivered, in the very bytes, and
// nothing else; of one payment in order (C6).
func (c *checker) judgeReceived(h *history) {
	if c.merchants == nil {
		return
	}
	k := calledBy(h.payment.ProjectID, h.payment.MerchantPaymentID)
	received := c.merchants.received[k]
	delete(c.merchants.received, k)
	for _, r := range received {
		if !slices.ContainsFunc(h.deliveries, func(d delivery) bool { return d.Body == r.Body }) {
			c.violation(C6, "A merchant received of payment %s (%q) what no delivery says: %q.", h.payment.ID, r.Payment, r.Body)
		}
	}
	chain, _ := h.deliveryChain()
	for n, d := range chain {
		first, taken := receipts(received, d.Body)
		if d.State == event.DeliveryDelivered && taken < 0 {
			c.violation(C6, "Delivery %s of payment %s is delivered, but no merchant has taken it.", d.ID, h.payment.ID)
		}
		if first < 0 || n+1 == len(chain) {
			continue
		}
		older := chain[n+1]
		_, before := receipts(received[:first], older.Body)
		if before < 0 && received[first].AtUS < older.CreatedUS+c.merchants.holdUS {
			c.violation(C6, "Delivery %s of payment %s came before the older %s was taken.", d.ID, h.payment.ID, older.ID)
		}
	}
}

// receipts finds when bytes came first, and when they were first answered 200;
// -1: never.
func receipts(received []*Callback, body string) (first, taken int) {
	first = slices.IndexFunc(received, func(r *Callback) bool { return r.Body == body })
	taken = slices.IndexFunc(received, func(r *Callback) bool { return r.Body == body && r.Answer == http.StatusOK })
	return first, taken
}

// judgeReceivedRest: callbacks about payments that there are not.
func (c *checker) judgeReceivedRest() {
	if c.merchants == nil {
		return
	}
	order := func(a, b called) int { return cmp.Or(cmp.Compare(a.project, b.project), cmp.Compare(a.name, b.name)) }
	for _, k := range slices.SortedFunc(maps.Keys(c.merchants.received), order) {
		c.violation(C6, "A merchant received %d callbacks about payment %q of project %d, which is not there.", len(c.merchants.received[k]), k.name, k.project)
	}
}
