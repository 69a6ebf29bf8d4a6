package verify

import (
	"cmp"
	"maps"
	"slices"

	"aorta/internal/payment"
	"aorta/internal/project"
)

// Clients is what all clients of one door have asked and been answered. A load
// generator writes it down, flushed, before it reads its next answer.
type Clients struct {
	Asked []Asked

	// Again is the code by which the door refuses a name that is in use, by kind
	// of operation; Gate's are 3041 for a sale, 3230 for a refund. A kind without
	// one is answered a second time as it was the first.
	Again map[payment.OperationKind]string
}

// Asked is one request and what came of it. A request for the payment's state
// alone has no Kind.
type Asked struct {
	Kind    payment.OperationKind `json:"kind,omitempty"` // sale, refund or payout
	Project int64                 `json:"project"`
	Payment string                `json:"payment"`          // the merchant's name for it or the payout, as sent
	Refund  string                `json:"refund,omitempty"` // merchant_refund_id; empty: the refund has no name
	Minor   int64                 `json:"minor,omitempty"`  // amount asked for; 0: all there is
	Body    string                `json:"body,omitempty"`   // equal for equal requests

	Status int            `json:"status"`           // of HTTP; 0: no answer came
	Code   string         `json:"code,omitempty"`   // of a refusal
	Answer string         `json:"answer,omitempty"` // without what is new in each answer, such as request_id
	State  payment.Status `json:"state,omitempty"`  // of the payment, as told; empty: the answer does not tell
}

func (a *Asked) accepted() bool { return a.Status/100 == 2 }

// final reports whether the answer was the door's last word: 409, 429 and 5xx
// invite to come again.
func (a *Asked) final() bool {
	return a.accepted() || (a.Status/100 == 4 && a.Status != 408 && a.Status != 409 && a.Status != 425 && a.Status != 429)
}

// called names a payment as its merchant does.
type called struct {
	project int64
	name    string // case folded
}

func calledBy(projectID int64, name string) called {
	return called{projectID, project.FoldPaymentID(name)}
}

// clients are the requests by the payment that they name.
type clients struct {
	again map[payment.OperationKind]string
	asked map[called][]*Asked
	met   map[called]int // payments of that name
}

func newClients(j *Clients) *clients {
	x := &clients{again: j.Again, asked: map[called][]*Asked{}, met: map[called]int{}}
	for n := range j.Asked {
		k := calledBy(j.Asked[n].Project, j.Asked[n].Payment)
		x.asked[k] = append(x.asked[k], &j.Asked[n])
	}
	return x
}

// judgeAsked: what a client was told of a payment is true (C2), and each name
// had one effect (C7).
func (c *checker) judgeAsked(h *history) {
	if c.clients == nil {
		return
	}
	k := calledBy(h.payment.ProjectID, h.payment.MerchantPaymentID)
	asked := c.clients.asked[k]
	if len(asked) == 0 {
		return
	}
	c.clients.met[k]++
	if c.clients.met[k] > 1 {
		c.violation(C7, "There are %d payments called %q in project %d.", c.clients.met[k], k.name, k.project)
	}
	for _, a := range asked {
		if a.State != "" && a.accepted() && !h.was(a.State) {
			c.violation(C2, "A client was told that payment %s (%q) is %s, which it never was.", h.payment.ID, a.Payment, a.State)
		}
		if a.Kind == begins[h.payment.Type] && a.accepted() && a.Minor != 0 && a.Minor != h.payment.Amount.Minor {
			c.violation(C2, "The %s %q was accepted over %d minor units, but payment %s is of %d.", a.Kind, a.Payment, a.Minor, h.payment.ID, h.payment.Amount.Minor)
		}
		if (a.Kind == payment.KindSale || a.Kind == payment.KindPayout) && a.Kind != begins[h.payment.Type] && a.accepted() {
			c.violation(C7, "The %s %q was accepted, but that is the name of payment %s, a %s.", a.Kind, a.Payment, h.payment.ID, h.payment.Type)
		}
	}
	kind := begins[h.payment.Type]
	c.judgeName(k, "", kind, true, ofKind(asked, kind, ""))
	c.judgeRefundsAsked(h, k, asked)
}

// begins is the kind of operation that a payment of a type begins with. Both have
// their names from one space.
var begins = map[payment.Type]payment.OperationKind{payment.TypePurchase: payment.KindSale, payment.TypePayout: payment.KindPayout}

// was reports whether a payment is or has been in a state.
func (h *history) was(s payment.Status) bool {
	if s == payment.StatusNew && h.payment.Type == payment.TypePurchase || s == payment.StatusRequested && h.payment.Type == payment.TypePayout {
		return true
	}
	for n := range h.events {
		if h.events[n].To == s {
			return true
		}
	}
	return false
}

func ofKind(asked []*Asked, k payment.OperationKind, refund string) []*Asked {
	var out []*Asked
	for _, a := range asked {
		if a.Kind == k && a.Refund == refund {
			out = append(out, a)
		}
	}
	return out
}

// judgeRefundsAsked: refunds with a name are there by it; of the others there
// are at least as many as were accepted.
func (c *checker) judgeRefundsAsked(h *history, k called, asked []*Asked) {
	names := map[string]bool{}
	for _, a := range asked {
		if a.Kind == payment.KindRefund {
			names[a.Refund] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		requests := ofKind(asked, payment.KindRefund, name)
		var found []*payment.Operation
		for n := range h.operations {
			if o := &h.operations[n]; o.Kind == payment.KindRefund && o.MerchantRefundID == name {
				found = append(found, o)
			}
		}
		if name == "" {
			accepted := 0
			for _, a := range requests {
				if a.accepted() {
					accepted++
				}
			}
			if accepted > len(found) {
				c.violation(C2, "%d refunds without a name of payment %s (%q) were accepted, but there are %d.", accepted, h.payment.ID, k.name, len(found))
			}
			continue
		}
		if len(found) > 1 {
			c.violation(C7, "There are %d refunds called %q of payment %s.", len(found), name, h.payment.ID)
		}
		c.judgeName(k, name, payment.KindRefund, len(found) > 0, requests)
		for _, a := range requests {
			if a.accepted() && a.Minor != 0 && len(found) > 0 && found[0].Amount.Minor != a.Minor {
				c.violation(C2, "The refund %q was accepted over %d minor units, but is of %d.", name, a.Minor, found[0].Amount.Minor)
			}
		}
	}
}

// judgeName: the requests under one name, and whether what they ask for is
// there. What was accepted is there (C2); it was accepted once, and whoever came
// again was told the same each time (C7).
func (c *checker) judgeName(k called, refund string, kind payment.OperationKind, there bool, requests []*Asked) {
	if len(requests) == 0 {
		return
	}
	what := string(kind) + " " + k.name
	if refund != "" {
		what += "/" + refund
	}
	again, refusesAgain := c.clients.again[kind]
	var first, repeat *Asked // the first acceptance; the first refusal of a name in use
	open, used := false, 0
	for _, a := range requests {
		switch {
		case a.accepted() && !there:
			c.violation(C2, "The %s of project %d was accepted with %d, but is not there.", what, k.project, a.Status)
			used++
		case a.accepted() && first == nil:
			first = a
			used++
		case a.accepted() && refusesAgain:
			c.violation(C7, "The %s of project %d was accepted more than once.", what, k.project)
		case a.accepted() && a.Body != first.Body:
			c.violation(C7, "The %s of project %d was accepted with two bodies.", what, k.project)
		case a.accepted() && (a.Status != first.Status || a.Answer != first.Answer):
			c.violation(C7, "The %s of project %d was answered %d %q and %d %q.", what, k.project, first.Status, first.Answer, a.Status, a.Answer)
		case !a.final():
			open = true
		case refusesAgain && a.Code == again:
			used++
			if !there && refund == "" { // a refund's name may be in use by another payment
				c.violation(C7, "The %s of project %d was refused as in use (%s), but is not there.", what, k.project, again)
			}
			if repeat == nil {
				repeat = a
			}
			if a.Status != repeat.Status || a.Answer != repeat.Answer {
				c.violation(C7, "The %s of project %d came again and was answered %d %q and %d %q.", what, k.project, repeat.Status, repeat.Answer, a.Status, a.Answer)
			}
		case slices.ContainsFunc(requests, func(b *Asked) bool { return b.accepted() && b.Body == a.Body }):
			c.violation(C7, "The %s of project %d was accepted, and the same request was refused with %d %s.", what, k.project, a.Status, a.Code)
		}
	}
	if there && used == 0 && !open {
		c.violation(C7, "The %s of project %d is there, but every request for it was refused, the first with %d %s.", what, k.project, requests[0].Status, requests[0].Code)
	}
}

// judgeAskedRest judges requests that name a payment that never came by.
func (c *checker) judgeAskedRest() {
	if c.clients == nil {
		return
	}
	order := func(a, b called) int {
		return cmp.Or(cmp.Compare(a.project, b.project), cmp.Compare(a.name, b.name))
	}
	for _, k := range slices.SortedFunc(maps.Keys(c.clients.asked), order) {
		if c.clients.met[k] > 0 {
			continue
		}
		asked := c.clients.asked[k]
		c.judgeName(k, "", payment.KindSale, false, ofKind(asked, payment.KindSale, ""))
		c.judgeName(k, "", payment.KindPayout, false, ofKind(asked, payment.KindPayout, ""))
		for _, a := range asked {
			if a.Kind != payment.KindSale && a.Kind != payment.KindPayout && a.accepted() {
				c.violation(C2, "A client was answered %d about payment %q of project %d, which is not there.", a.Status, a.Payment, k.project)
			}
		}
	}
}
