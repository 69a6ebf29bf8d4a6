package verify_test

import (
	"net/http"
	"regexp"
	"slices"
	"testing"

	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/payment"
	"aorta/internal/verify"
)

// outside is what clients, provider and merchants would have seen of these
// rows, had all gone well.
func outside(r rows) verify.Options {
	names := map[id.Payment]*payment.Payment{}
	clients := &verify.Clients{Again: map[payment.OperationKind]string{payment.KindSale: "3041", payment.KindRefund: "3230", payment.KindPayout: "3041"}}
	for n := range r.Payments.Insert {
		p := &r.Payments.Insert[n]
		names[p.ID] = p
		sale := verify.Asked{Kind: payment.KindSale, Project: p.ProjectID, Payment: p.MerchantPaymentID, Minor: p.Amount.Minor, Body: "a sale"}
		if p.Type == payment.TypePayout {
			sale.Kind, sale.Body = payment.KindPayout, "a payout"
		}
		lost, taken, again, state := sale, sale, sale, sale
		taken.Status = http.StatusOK
		again.Status, again.Code, again.Answer = http.StatusBadRequest, "3041", `{"code":"3041"}`
		state.Kind, state.Status, state.State = "", http.StatusOK, p.Status
		clients.Asked = append(clients.Asked, lost, taken, again, again, state)
	}
	for n := range r.Operations.Insert {
		if o := &r.Operations.Insert[n]; o.Kind == payment.KindRefund {
			p := names[o.Payment]
			clients.Asked = append(clients.Asked, verify.Asked{
				Kind: payment.KindRefund, Project: p.ProjectID, Payment: p.MerchantPaymentID, Refund: o.MerchantRefundID, Minor: o.Amount.Minor, Status: http.StatusOK,
			})
		}
	}
	books := []verify.Movement{}
	for _, a := range r.Attempts.Insert {
		if a.Status != payment.AttemptUnknown {
			// What is still under way may have moved at the provider: nobody has told us yet.
			moved := a.Status == payment.AttemptApproved || a.Status == payment.AttemptAsking
			books = append(books, verify.Movement{Reference: a.ID.String(), Kind: a.Kind, PSP: a.PSP(), Amount: a.Amount, Moved: moved})
		}
	}
	merchants := &verify.Merchants{}
	for n := range r.Payments.Insert {
		p := &r.Payments.Insert[n]
		var oldestFirst []verify.Callback
		for next := p.LastDelivery; !next.IsZero(); {
			d := pick(r.Deliveries.Insert, func(d *event.Delivery) bool { return d.ID == next })
			next = d.Prev
			if d.State == event.DeliveryDelivered {
				c := verify.Callback{Project: p.ProjectID, Payment: p.MerchantPaymentID, Body: d.Body, AtUS: d.CreatedUS, Answer: http.StatusOK}
				oldestFirst = slices.Insert(oldestFirst, 0, c)
			}
		}
		merchants.Received = append(merchants.Received, oldestFirst...)
	}
	return verify.Options{Clients: clients, Provider: books, Merchants: merchants}
}

func TestOutsideFitsTheRows(t *testing.T) {
	t.Parallel()
	h := busy(t)
	all := allRows(t, h.memory)
	o := outside(all)
	report := run(t, h.memory, o)
	if !report.OK {
		t.Errorf("violations: %s", list(report.Violations))
	}
	for _, c := range []verify.Check{verify.C1, verify.C2, verify.C3, verify.C4, verify.C5, verify.C6, verify.C7, verify.C11, verify.C13} {
		if _, ran := report.Checks[c]; !ran {
			t.Errorf("%s was not checked", c)
		}
	}
	if len(o.Clients.Asked) < 80 || len(o.Provider) < 15 || len(o.Merchants.Received) < 10 {
		t.Errorf("%d requests, %d movements, %d callbacks: the test shows less than it says", len(o.Clients.Asked), len(o.Provider), len(o.Merchants.Received))
	}
}

// seen is the outside, to be falsified.
type seen struct {
	rows
	*verify.Options
}

func (s seen) asked(name string, k payment.OperationKind, status int) *verify.Asked {
	return pick(s.Clients.Asked, func(a *verify.Asked) bool { return a.Payment == name && a.Kind == k && a.Status == status })
}

func (s seen) movement(k payment.OperationKind, moved bool) *verify.Movement {
	return pick(s.Provider, func(m *verify.Movement) bool { return m.Kind == k && m.Moved == moved })
}

// approved is the provider's line of a payment's sale.
func (s seen) approved(name string) *verify.Movement {
	a := s.attempt(name)
	return pick(s.Provider, func(m *verify.Movement) bool { return m.Reference == a.ID.String() })
}

func (s seen) callback(name string) *verify.Callback {
	d := s.delivery(name)
	return pick(s.Merchants.Received, func(c *verify.Callback) bool { return c.Payment == name && c.Body == d.Body })
}

// Each defect that only the outside can show must be found, and be called what it is.
func TestDefectsSeenFromOutside(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		check verify.Check
		plant func(s seen)
		want  string
	}{
		{"acknowledged sale lost", verify.C2, func(s seen) {
			a := *s.asked("pending", payment.KindSale, 200)
			a.Payment = "lost"
			s.Clients.Asked = append(s.Clients.Asked, a)
		}, "sale lost of project 1 was accepted with 200, but is not there"},
		{"acknowledged amount changed", verify.C2, func(s seen) { s.asked("pending", payment.KindSale, 200).Minor = 1 }, "accepted over 1 minor units"},
		{"acknowledged state lost", verify.C2, func(s seen) { s.asked("pending", "", 200).State = payment.StatusCaptured }, "is captured, which it never was"},
		{"answer about a payment that is gone", verify.C2, func(s seen) {
			s.Clients.Asked = append(s.Clients.Asked, verify.Asked{Project: 1, Payment: "gone", Status: 200, State: payment.StatusPending})
		}, `about payment "gone"`},
		{"acknowledged refund lost", verify.C2, func(s seen) { s.asked("wallet", payment.KindRefund, 200).Refund = "other" }, "refund wallet/other of project 4 was accepted with 200, but is not there"},
		{"acknowledged refund without a name lost", verify.C2, func(s seen) {
			s.Clients.Asked = append(s.Clients.Asked, verify.Asked{Kind: payment.KindRefund, Project: 1, Payment: "pending", Status: 200})
		}, "1 refunds without a name"},
		{"acknowledged refund of another amount", verify.C2, func(s seen) { s.asked("wallet", payment.KindRefund, 200).Minor = 1 }, "but is of 2500"},

		{"acknowledged payout lost", verify.C2, func(s seen) {
			a := *s.asked("lost", payment.KindPayout, 200)
			a.Payment = "gone"
			s.Clients.Asked = append(s.Clients.Asked, a)
		}, "payout gone of project 4 was accepted with 200, but is not there"},
		{"acknowledged payout of another amount", verify.C2, func(s seen) { s.asked("lost", payment.KindPayout, 200).Minor = 1 }, `The payout "lost" was accepted over 1 minor units`},
		{"acknowledged end of a payout lost", verify.C2, func(s seen) { s.asked("lost", "", 200).State = payment.StatusPaid }, "is paid, which it never was"},

		{"provider knows what we do not", verify.C4, func(s seen) {
			s.Provider = append(s.Provider, verify.Movement{Reference: "att_stranger", Kind: payment.KindSale, PSP: "psp:paytm:demo", Amount: rupees(1)})
		}, "knows the sale att_stranger, we do not"},
		{"success of ours that the provider denies", verify.C4, func(s seen) { s.approved("noticed").Moved = false }, "is approved, but the provider moved nothing"},
		{"success of ours that the provider does not know", verify.C4, func(s seen) {
			k := s.attempt("noticed").ID.String()
			drop(&s.Provider, func(m *verify.Movement) bool { return m.Reference == k })
		}, "is approved, but the provider does not know it"},
		{"money taken of a declined payment", verify.C4, func(s seen) { s.approved("declined").Moved = true }, "which is not approved, and no case says so"},
		{"refund that the provider did not pay", verify.C4, func(s seen) { s.movement(payment.KindRefund, true).Moved = false }, `\(refund\) is approved, but the provider moved nothing`},
		{"refund paid that we released", verify.C4, func(s seen) {
			a := pick(s.Attempts.Insert, func(a *payment.Attempt) bool {
				return a.Kind == payment.KindRefund && a.Status == payment.AttemptDeclined
			})
			pick(s.Provider, func(m *verify.Movement) bool { return m.Reference == a.ID.String() }).Moved = true
		}, `\(refund\), which is not approved`},
		{"payout that the provider did not pay", verify.C4, func(s seen) { s.movement(payment.KindPayout, true).Moved = false }, `\(payout\) is approved, but the provider moved nothing`},
		{"payout paid that we gave back", verify.C4, func(s seen) {
			a := s.payout("not paid out").ID.String()
			pick(s.Provider, func(m *verify.Movement) bool { return m.Reference == a }).Moved = true
		}, `\(payout\), which is not approved, and no case says so`},
		{"payout that came in there", verify.C4, func(s seen) { s.movement(payment.KindPayout, true).Kind = payment.KindSale }, "is a payout by psp:paytm:demo, at the provider a sale"},
		{"another amount moved", verify.C4, func(s seen) { s.approved("noticed").Amount.Minor++ }, "of 2500 INR, at the provider of 2501 INR"},
		{"sums differ", verify.C4, func(s seen) { s.approved("noticed").Amount.Minor++ }, "Clearing of psp:paytm:demo is at"},
		{"moved by another account", verify.C4, func(s seen) { s.approved("noticed").PSP = "psp:paytm:other" }, "at the provider a sale by psp:paytm:other"},
		{"a sale there, a refund here", verify.C4, func(s seen) { s.movement(payment.KindRefund, true).Kind = payment.KindSale }, "at the provider a sale by"},
		{"clearing moved without the provider", verify.C4, func(s seen) { s.account(ledger.Clearing).Minor += 100 }, "Clearing of psp:paytm:demo is at"},

		{"callback that nobody wrote", verify.C6, func(s seen) { s.callback("noticed").Body = "forged" }, "what no delivery says"},
		{"delivered, and never received", verify.C6, func(s seen) {
			body := s.delivery("noticed").Body
			drop(&s.Merchants.Received, func(c *verify.Callback) bool { return c.Body == body })
		}, "is delivered, but no merchant has taken it"},
		{"delivered, and refused by the merchant", verify.C6, func(s seen) { s.callback("noticed").Answer = 500 }, "no merchant has taken it"},
		{"repeat with other bytes", verify.C6, func(s seen) {
			c := *s.callback("noticed")
			c.Body += " "
			s.Merchants.Received = append(s.Merchants.Received, c)
		}, "what no delivery says"},
		{"newest first", verify.C6, func(s seen) {
			n := slices.IndexFunc(s.Merchants.Received, func(c verify.Callback) bool { return c == *s.callback("noticed") })
			newest := s.Merchants.Received[n]
			s.Merchants.Received = slices.Insert(slices.Delete(s.Merchants.Received, n, n+1), 0, newest)
		}, "came before the older"},
		{"newer while the older is refused", verify.C6, func(s seen) {
			d := pick(s.Deliveries.Insert, func(d *event.Delivery) bool { return d.ID == s.delivery("noticed").Prev })
			pick(s.Merchants.Received, func(c *verify.Callback) bool { return c.Body == d.Body }).Answer = 0
		}, "came before the older"},
		{"callback about nobody's payment", verify.C6, func(s seen) { s.callback("noticed").Payment = "nobody's" }, `about payment "nobody's"`},

		{"accepted twice", verify.C7, func(s seen) { s.Clients.Asked = append(s.Clients.Asked, *s.asked("pending", payment.KindSale, 200)) }, "was accepted more than once"},
		{"refused in two ways", verify.C7, func(s seen) { s.asked("pending", payment.KindSale, 400).Answer = "otherwise" }, "came again and was answered"},
		{"accepted, and refused for another reason", verify.C7, func(s seen) { s.asked("pending", payment.KindSale, 400).Code = "2604" }, "the same request was refused with 400 2604"},
		{"refused as in use and not there", verify.C7, func(s seen) { s.asked("pending", payment.KindSale, 400).Payment = "ghost" }, "but is not there"},
		{"refused and there", verify.C7, func(s seen) {
			for n := range s.Clients.Asked {
				if a := &s.Clients.Asked[n]; a.Payment == "pending" && a.Kind == payment.KindSale {
					a.Status, a.Code = 400, "2604"
				}
			}
		}, "but every request for it was refused"},
		{"two payments of one name", verify.C7, func(s seen) { s.payment("declined").MerchantPaymentID = "PENDING" }, `2 payments called "pending"`},
		{"two refunds of one name", verify.C7, func(s seen) {
			pick(s.Operations.Insert, func(o *payment.Operation) bool { return o.MerchantRefundID == "r2" }).MerchantRefundID = "r1"
		}, `2 refunds called "r1"`},
		{"refund accepted twice", verify.C7, func(s seen) {
			s.Clients.Asked = append(s.Clients.Asked, *s.asked("wallet", payment.KindRefund, 200))
		}, "refund wallet/all of project 4 was accepted more than once"},
		{"payout accepted twice", verify.C7, func(s seen) {
			s.Clients.Asked = append(s.Clients.Asked, *s.asked("lost", payment.KindPayout, 200))
		}, "The payout lost of project 4 was accepted more than once"},
		{"payout called as a payment", verify.C7, func(s seen) {
			a := *s.asked("lost", payment.KindPayout, 200)
			a.Kind = payment.KindSale
			s.Clients.Asked = append(s.Clients.Asked, a)
		}, `The sale "lost" was accepted, but that is the name of payment pay_\w+, a payout`},
		{"a door that repeats itself, otherwise", verify.C7, func(s seen) {
			s.Clients.Again = nil
			a := *s.asked("pending", payment.KindSale, 200)
			a.Answer = "other"
			s.Clients.Asked = append(s.Clients.Asked, a)
		}, `was answered 200 "" and 200 "other"`},
		{"a door that repeats itself, for another body", verify.C7, func(s seen) {
			s.Clients.Again = nil
			a := *s.asked("pending", payment.KindSale, 200)
			a.Body = "other"
			s.Clients.Asked = append(s.Clients.Asked, a)
		}, "was accepted with two bodies"},

		{"open in the end", verify.C11, func(s seen) { s.AtRest = true }, `Payment pay_\w+ is pending in the end`},
		{"payout open in the end", verify.C11, func(s seen) { s.AtRest = true }, `Payment pay_\w+ is unknown in the end`},
		{"refund open in the end", verify.C11, func(s seen) { s.AtRest = true }, `Refund op_\w+ of payment pay_\w+ is processing in the end`},
		{"delivery pending in the end", verify.C11, func(s seen) { s.AtRest = true }, `Delivery cb_\w+ of payment pay_\w+ is pending in the end`},
		{"notification not applied in the end", verify.C11, func(s seen) { s.AtRest = true }, "is not applied in the end"},
	}
	h := busy(t)
	h.book.Close()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			all := allRows(t, h.memory)
			o := outside(all)
			test.plant(seen{all, &o})
			report := run(t, all.store(t), o)
			want := regexp.MustCompile(`(?m)^  ` + string(test.check) + `: .*(` + test.want + `)`)
			if report.Checks[test.check] == 0 || !want.MatchString(list(report.Violations)) {
				t.Errorf("want a violation of %s like %q; got %s", test.check, test.want, list(report.Violations))
			}
		})
	}
}

// What a case tells a person of is no violation: that is what it is for.
func TestMoneyThatACaseTellsOf(t *testing.T) {
	t.Parallel()
	all := allRows(t, busy(t).memory)
	o := outside(all)
	s := seen{all, &o}
	s.approved("declined").Moved = true
	p := all.payment("declined")
	all.Cases.Insert = append(all.Cases.Insert, payment.Case{
		ID: id.Case(mint(p.ID.Raw())), Payment: p.ID, Kind: "mismatch", State: payment.CaseOpen, Details: `{"attempt":"` + all.attempt("declined").ID.String() + `"}`,
	})
	if report := run(t, all.store(t), o); !report.OK {
		t.Errorf("violations: %s", list(report.Violations))
	}
}

// A newer callback that has waited long enough may overtake.
func TestCallbackThatHasWaited(t *testing.T) {
	t.Parallel()
	all := allRows(t, busy(t).memory)
	o := outside(all)
	s := seen{all, &o}
	d := all.delivery("noticed")
	older := pick(all.Deliveries.Insert, func(x *event.Delivery) bool { return x.ID == d.Prev })
	pick(o.Merchants.Received, func(c *verify.Callback) bool { return c.Body == older.Body }).Answer = 500
	older.State = event.DeliveryDead
	s.callback("noticed").AtUS = older.CreatedUS + 60_000_000
	if report := run(t, all.store(t), o); !report.OK {
		t.Errorf("violations: %s", list(report.Violations))
	}
}
