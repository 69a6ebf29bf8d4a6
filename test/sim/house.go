package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"aorta/internal/connector"
	"aorta/internal/event"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/instrument"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/risk"
	"aorta/test/model"
)

// house is what a licensed project goes by: its rules, and the same as the model is
// told them.
type house struct {
	rules *risk.Rules
	model model.Rules
}

// rate is how many minor units of the customers' currency one of the rules' is.
const rate = 100

// timeZone is where the calendar months of the rules begin.
const timeZone = "Europe/Berlin"

// houses are those of the licensed seeds. Nobody's level stands in a deposit's way.
var houses = sync.OnceValue(func() []house {
	const never = 1_000_000 // units of the rules: nothing here comes near
	all := []model.Rules{
		{ // many ask, and some wait for a level, for one person or for two
			Levels: [4]model.Bound{{Kind: "up_to", Minor: 4}, {Kind: "up_to", Minor: 9}, {Kind: "below", Minor: 20, Days: 30}, {Kind: "agreed"}},
			Manual: 3, Dual: 5, Requests: 3, Cancel: true, Defer: true, RecheckUS: (15 * time.Minute).Microseconds(),
		},
		{ // nobody unknown is paid, and nobody who has not played
			Levels: [4]model.Bound{{Kind: "none"}, {Kind: "below", Minor: 15, Days: 180}, {Kind: "agreed"}, {Kind: "agreed"}},
			Manual: 5, Dual: never, Turnover: 500, Requests: 4, FreshUS: (5 * time.Minute).Microseconds(), RecheckUS: (15 * time.Minute).Microseconds(),
		},
		{ // all that was paid in is staked first
			Levels: [4]model.Bound{{Kind: "agreed"}, {Kind: "agreed"}, {Kind: "agreed"}, {Kind: "agreed"}},
			Manual: 2, Dual: 4, Turnover: 1000, Requests: never, Cancel: true, Defer: true, RecheckUS: (5 * time.Minute).Microseconds(),
		},
		{ // everybody is paid at once, to wherever the money came from, and a day is soon full
			Levels: [4]model.Bound{{Kind: "agreed"}, {Kind: "agreed"}, {Kind: "agreed"}, {Kind: "agreed"}},
			Manual: never, Dual: never, Requests: never, DayMost: 12, Most: 9, Cancel: true, Defer: true, RecheckUS: time.Minute.Microseconds(),
		},
	}
	var out []house
	for _, m := range all {
		rules, err := risk.Load("sim.toml", []byte(fileOf(m)))
		if err != nil {
			panic(err)
		}
		m.Currency, m.Rate, m.Unnamed, m.Zone = "INR", rate, string(instrument.Wallet), timeZone
		m.RaiseUS, m.ConfirmUS = (20 * time.Minute).Microseconds(), (30 * time.Minute).Microseconds()
		for _, who := range people {
			if who.Roles.Has(operator.RGOfficer) {
				m.Officers = append(m.Officers, who.Name)
			}
			if who.Roles.Has(operator.AMLAnalyst) {
				m.Analysts = append(m.Analysts, who.Name)
			}
		}
		for _, minor := range []*int64{&m.Manual, &m.Dual, &m.DayMost, &m.Most} {
			*minor *= rate
		}
		for n := range m.Levels {
			m.Levels[n].Minor *= rate
		}
		out = append(out, house{rules, m})
	}
	return out
})

// fileOf writes the rules as an operator would, in the units of the rules.
func fileOf(m model.Rules) string {
	var b strings.Builder
	fmt.Fprintf(&b, "profile = \"generic\"\n[rates]\nINR = \"%d\"\n", rate)
	fmt.Fprintf(&b, "[limits]\ntime_zone = %q\n", timeZone)
	b.WriteString("periods = [\"day\", \"week\", \"month\", \"calendar_month\"]\nraise_delay = \"20m\"\nconfirm_within = \"30m\"\n")
	b.WriteString("[kyc.l0]\ndeposits = \"agreed\"\n")
	for n, level := range m.Levels {
		if n > 0 {
			fmt.Fprintf(&b, "[kyc.l%d]\n", n)
		}
		fmt.Fprintf(&b, "payouts = %q\n", level.Kind)
		if level.Minor > 0 {
			window := "ever"
			if level.Days > 0 {
				window = strconv.FormatInt(level.Days, 10) + "d"
			}
			fmt.Fprintf(&b, "payouts_minor = %d\npayouts_window = %q\n", level.Minor, window)
		}
	}
	fmt.Fprintf(&b, "[payout]\nturnover_permille = %d\nmanual_above_minor = %d\ndual_above_minor = %d\ncancel = %t\ndefer = %t\n", m.Turnover, m.Manual, m.Dual, m.Cancel, m.Defer)
	fmt.Fprintf(&b, "day_max_minor = %d\nmax_minor = %d\nrecheck_after = \"%ds\"\n", m.DayMost, m.Most, m.RecheckUS/1_000_000)
	fmt.Fprintf(&b, "[[rule]]\nid = \"V10\"\nparams = { count = %d }\n[[rule]]\nid = \"P04\"\n", m.Requests)
	if m.FreshUS > 0 {
		fmt.Fprintf(&b, "window = \"%ds\"\n", m.FreshUS/1_000_000)
	} else {
		b.WriteString("enabled = false\n")
	}
	return b.String()
}

// licence draws whether the project of a seed is licensed, and by which rules.
func (w *world) licence() {
	if w.plan.Unruled || !w.plan.Licensed && w.draw("licensed") >= 0.3 {
		return
	}
	all := houses()
	h := all[int(w.draw("house")*float64(len(all)))]
	h.model.Beyond = w.draw("beyond") < 0.5
	w.licensed = &h
	w.begun = begins[int(w.draw("begins on")*float64(len(begins)))]
	w.now = w.begun
	if w.days = w.draw("days") < 0.25; w.days {
		w.quietAfter += 24 * time.Hour
	}
}

// begins are when licensed seeds begin: on a day like others, and shortly before a month
// or an hour of the year ends that the rules' time zone has once or twice.
var begins = []time.Time{
	time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	time.Date(2026, 3, 29, 0, 40, 0, 0, time.UTC), time.Date(2026, 10, 25, 0, 40, 0, 0, time.UTC),
	time.Date(2026, 3, 31, 21, 40, 0, 0, time.UTC), time.Date(2026, 12, 31, 22, 40, 0, 0, time.UTC),
}

// nextDay moves half of what a payment's client does to when its first periods of a day
// end, in seeds that last for days.
func (w *world) nextDay(payment string) time.Duration {
	if !w.days || w.draw("next day", payment) < 0.5 {
		return 0
	}
	return 24*time.Hour - 20*time.Minute + time.Duration(w.draw("next day at", payment)*float64(40*time.Minute))
}

// rules are those of the seed's project; nil if it has none.
func (w *world) rules() *risk.Rules {
	if w.licensed == nil {
		return nil
	}
	return w.licensed.rules
}

func (w *world) modelRules() *model.Rules {
	if w.licensed == nil {
		return nil
	}
	return &w.licensed.model
}

// instrumentOf is what a payment is paid with, as the provider of a licensed house says
// it: the customer has a card, a bank account and a wallet, and of some it names none.
func (w *world) instrumentOf(payment string) connector.Instrument {
	n, err := strconv.Atoi(payment)
	if err != nil || w.licensed == nil {
		return connector.Instrument{}
	}
	kinds := []instrument.Kind{instrument.Card, instrument.Card, instrument.Bank, instrument.Wallet, ""}
	kind := kinds[int(w.draw("paid with", n)*float64(len(kinds)))]
	if kind == "" {
		return connector.Instrument{}
	}
	return connector.Instrument{Token: fmt.Sprint(kind, "-", n%3), Kind: kind, Label: "of customer"}
}

// takesNone reports whether an instrument takes no payouts, which its provider says when
// it is asked for one.
func (w *world) takesNone(token string) bool {
	return token != "" && w.draw("takes none", token) < 0.15
}

// people are the operators of a licensed house.
var people = []operator.Actor{
	{Name: "ann", Roles: "payout_approver rg_officer"}, {Name: "bob", Roles: "aml_analyst payout_approver rg_officer"}, {Name: "cid", Roles: "aml_analyst payout_approver"},
}

// deed is what somebody can do to a payout that waits.
type payoutDeed struct {
	what string
	do   func(*flow.Flows, id.Payment, operator.Actor) error
}

var payoutDeeds = map[string]payoutDeed{
	"approve": {"payout.approve", func(f *flow.Flows, k id.Payment, who operator.Actor) error {
		_, _, err := f.ApprovePayout(context.Background(), k, who, "seen")
		return err
	}},
	"release": {"payout.release", func(f *flow.Flows, k id.Payment, who operator.Actor) error {
		_, _, err := f.ReleaseHold(context.Background(), k, who, "explained")
		return err
	}},
	"hold": {"payout.hold", func(f *flow.Flows, k id.Payment, who operator.Actor) error {
		_, _, err := f.HoldPayout(context.Background(), k, who, "odd")
		return err
	}},
	"reject": {"payout.reject", func(f *flow.Flows, k id.Payment, who operator.Actor) error {
		_, _, err := f.RejectPayout(context.Background(), k, who, "no")
		return err
	}},
}

// operates has operators look at a payout, each as they please, and in the end somebody
// who rejects what still waits.
func (w *world) operates(k id.Payment, name string) {
	if w.licensed == nil || w.nth("operated/"+name) > 1 {
		return
	}
	words := []string{"approve", "approve", "approve", "approve", "release", "release", "release", "hold", "reject"}
	for n := range int(w.draw("operators", name) * 7) {
		word := words[int(w.draw("does", name, n)*float64(len(words)))]
		who := people[int(w.draw("who", name, n)*float64(len(people)))]
		w.later(w.span(100*time.Minute, "operated at", name, n), name, func() { w.operate(k, fmt.Sprint(name, "/operator/", n), word, who, 5) })
	}
	if w.draw("cancels", name) < 0.15 {
		w.later(w.span(100*time.Minute, "cancelled at", name), name, func() { w.cancel(k, name, 5) })
	}
	w.later(4*time.Hour+w.span(time.Hour, "ended at", name), name, func() { w.operate(k, name+"/end", "reject", people[0], 100) })
}

// operate does one thing; who has no answer tries again, for a while.
func (w *world) operate(k id.Payment, name, word string, who operator.Actor, tries int) {
	again := func() {
		if tries > 0 {
			w.later(w.span(time.Minute, "operates again", name, tries), name, func() { w.operate(k, name, word, who, tries-1) })
		}
	}
	w.request(fmt.Sprint(name, "/", word, "/", tries), func(p *process) {
		w.witness.Deed(who, payoutDeeds[word].what, k.String())
		switch err := payoutDeeds[word].do(p.flows, k, who); {
		case err == nil, errors.Is(err, flow.ErrState), errors.Is(err, flow.ErrSamePerson), errors.Is(err, flow.ErrRole):
		default:
			w.bear(err)
			again()
		}
	}, again)
}

// cancel is the customer, who does not want it any more.
func (w *world) cancel(k id.Payment, name string, tries int) {
	again := func() {
		if tries > 0 {
			w.later(w.span(time.Minute, "cancels again", name, tries), name, func() { w.cancel(k, name, tries-1) })
		}
	}
	w.request(fmt.Sprint(name, "/cancel/", tries), func(p *process) {
		who := flow.Player(w.project)
		w.witness.Deed(who, "payout.cancel", k.String())
		switch _, _, err := p.flows.CancelPayout(context.Background(), w.project, k, who); {
		case err == nil, errors.Is(err, flow.ErrState):
		case errors.Is(err, flow.ErrNotAllowed):
			if w.licensed.model.Cancel {
				w.wrong("payout %s may not be cancelled, and the rules let it", name)
			}
		default:
			w.bear(err)
			again()
		}
	}, again)
}

// refusedPayout is what a refusal of a payout says to the model; empty: no refusal.
func refusedPayout(err error) string {
	if errors.Is(err, flow.ErrInsufficient) {
		return model.RefusedShort
	}
	if errors.Is(err, flow.ErrNoRoute) {
		return model.RefusedRoute
	}
	no := flow.RefusalOf(err)
	if no == nil {
		return ""
	}
	return map[risk.Code]string{
		risk.CodeInsufficientFunds: model.RefusedShort, risk.CodeStateConflict: model.RefusedBonus, risk.CodeLimitExceeded: model.RefusedDay,
		risk.CodeAmountOutOfRange: model.RefusedMost,
	}[no.Code]
}

// judgeHouse: the cases of payouts that waited are closed with them, and each part has
// one deed at the provider that counts (C3, C4).
func (w *world) judgeHouse(x rows, wrong func(string, ...any)) {
	if w.licensed == nil {
		return
	}
	for _, c := range x.cases {
		if c.Kind == flow.CasePayoutReview && !c.State.Settled() {
			wrong("Case %s of payout %s is %s in the end.", c.ID, w.nameOf(c.Payment), c.State)
		}
	}
	paid := map[id.Operation]int{}
	for _, a := range x.attempts {
		if e := w.psp.entries[a.ID.String()]; a.Kind == payment.KindPayout && e != nil && e.state == connector.Approved && !w.released(x, a.ID.String(), e) {
			paid[a.Operation]++
		}
	}
	for _, o := range x.operations {
		if want := o.Kind == payment.KindPayout && o.Status == payment.OperationSuccess; (paid[o.ID] == 1) != want || paid[o.ID] > 1 {
			wrong("Part %s of payout %s is %s, and the provider has paid it %d times.", o.ID, w.nameOf(o.Payment), o.Status, paid[o.ID])
		}
	}
	for _, p := range x.payments {
		moved := int64(0)
		for _, a := range x.attempts {
			if a.Payment == p.ID && a.Kind == payment.KindPayout && a.Status == payment.AttemptApproved {
				moved += a.Amount.Minor
			}
		}
		if p.Type == payment.TypePayout && (moved != p.CapturedMinor || moved+p.RefundedMinor != p.Amount.Minor) {
			wrong("Payout %s of %d has %d paid and %d back; the provider has paid %d.", w.nameOf(p.ID), p.Amount.Minor, p.CapturedMinor, p.RefundedMinor, moved)
		}
	}
}

// races counts the payouts during which a refund of a deposit of their customer was
// begun, or a restriction or limit of theirs changed.
func (w *world) races(x rows) int {
	if w.licensed == nil {
		return 0
	}
	names := map[id.Customer]string{}
	customers, err := w.store.ScanCustomers(context.Background(), id.Customer{}, all)
	if err != nil {
		panic(err)
	}
	for _, c := range customers {
		names[c.ID] = c.Name
	}
	notes, err := w.store.ScanNotes(context.Background(), id.Note{}, all)
	if err != nil {
		panic(err)
	}
	at := map[string][]int64{} // by customer
	for _, n := range notes {
		switch n.Kind {
		case flow.NoteLimitSet, flow.NoteLimitConfirmed, flow.NoteRestricted, flow.NoteLinked, flow.NoteLifted, flow.NoteUnlinked:
			at[names[n.Customer]] = append(at[names[n.Customer]], n.AtUS)
		}
	}
	whose := map[id.Payment]string{}
	for _, p := range x.payments {
		whose[p.ID] = p.CustomerID
	}
	for _, e := range x.events {
		if e.Kind == event.RefundStarted {
			at[whose[e.Payment]] = append(at[whose[e.Payment]], e.AtUS)
		}
	}
	n := 0
	for _, p := range x.payments {
		if p.Type == payment.TypePayout && slices.ContainsFunc(at[p.CustomerID], func(us int64) bool { return us >= p.CreatedUS && us <= p.ChangedUS }) {
			n++
		}
	}
	return n
}
