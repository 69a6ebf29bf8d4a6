package model

import "slices"

// Restrictions of a licensed house's customers (limits-and-risk.md section 1.3): who is
// restricted neither pays in nor plays, and is paid out. What is made for a person holds
// for all customers whom a check has shown to be that person.

// Restriction is a step of a customer's restrictions, as it was written.
type Restriction struct {
	Customer, Type string
	Lifted         bool
	Linked         bool // since another customer is the same person
	AtUS, UntilUS  int64
}

// RestrictionAsked is told before somebody asks for one.
func (m *Model) RestrictionAsked(customer, typ string, lift bool) {
	m.restrictionsAsked[Restriction{Customer: customer, Type: typ, Lifted: lift}] = true
}

// restraint is one that was made.
type restraint struct {
	typ     string
	sinceUS int64
	untilUS int64 // 0: it has no end of itself
}

// holds: a cool-off ends by itself. Nothing here lives until the least self-exclusion ends.
func (r restraint) holds(atUS int64) bool {
	return r.typ != "cool_off" || atUS < r.untilUS
}

// strongest first, as the customer is shown them.
var strongest = []string{"operator_excluded", "self_excluded", "cool_off"}

// ofPerson reports whether it holds for a person, and not for one account.
func ofPerson(typ string) bool { return typ != "cool_off" }

// restrictionAt is the strongest that restricts a customer at an instant.
func (m *Model) restrictionAt(customer string, atUS int64) string {
	for _, typ := range strongest {
		for _, r := range m.restraints[customer] {
			if r.typ == typ && r.holds(atUS) {
				return typ
			}
		}
	}
	return ""
}

// restrict follows a step.
func (m *Model) restrict(r Restriction) {
	asked := m.restrictionsAsked[Restriction{Customer: r.Customer, Type: r.Type, Lifted: r.Lifted}]
	if !r.Linked && !asked || r.Linked && !m.likeAnother(r) {
		m.fault("%s of %s: lifted %t, linked %t, and nobody asked for it (limits 1.3)", r.Type, r.Customer, r.Lifted, r.Linked)
	}
	m.restrictionsMade[Restriction{Customer: r.Customer, Type: r.Type, Lifted: r.Lifted}] = true
	at := slices.IndexFunc(m.restraints[r.Customer], func(x restraint) bool { return x.typ == r.Type })
	switch {
	case r.Lifted && at < 0:
		m.fault("%s of %s is lifted, and there is none (limits 1.3)", r.Type, r.Customer)
	case r.Lifted:
		m.restraints[r.Customer] = slices.Delete(slices.Clone(m.restraints[r.Customer]), at, at+1)
		m.made["restriction: lifted"]++
	case at >= 0:
		was := m.restraints[r.Customer][at]
		if r.UntilUS != 0 && was.holds(r.AtUS) && (was.untilUS == 0 || r.UntilUS < was.untilUS) {
			m.fault("%s of %s ends at %d, and was to end at %d (limits 1.3)", r.Type, r.Customer, r.UntilUS, was.untilUS)
		}
		m.restraints[r.Customer][at].untilUS = r.UntilUS
	default:
		m.restraints[r.Customer] = append(m.restraints[r.Customer], restraint{r.Type, r.AtUS, r.UntilUS})
	}
	if r.Lifted {
		return
	}
	m.made["restriction: "+r.Type]++
	for k, b := range m.limits {
		if k.customer == r.Customer && b.askedUS < r.AtUS { // what the same commit asks for may be asked after it was lifted again
			b.asked = 0
		}
	}
}

// lookRestricted notes of what is on its way whether its customer is restricted now.
func (m *Model) lookRestricted() {
	for a := range m.sales {
		a.restricted = a.restricted || m.restrictionAt(a.Customer, a.atUS) != ""
	}
	for a := range m.waiting {
		a.restricted = a.restricted || m.restrictionAt(a.Customer, a.atUS) != ""
	}
}

// restrictionSteps are counted beside the moves of the table.
var restrictionSteps = []string{"cool_off", "self_excluded", "operator_excluded", "lifted"}

// likeAnother: another customer of the same person was restricted so, or not any more.
func (m *Model) likeAnother(r Restriction) bool {
	for other := range m.restrictionsMade {
		if other.Type == r.Type && other.Lifted == r.Lifted && other.Customer != r.Customer && m.onePerson(other.Customer, r.Customer) {
			return true
		}
	}
	return false
}

// onePerson: checks that both have passed have shown the same one.
func (m *Model) onePerson(a, b string) bool {
	for _, x := range m.checks {
		for _, y := range m.checks {
			if x.Customer == a && y.Customer == b && x.Person != "" && x.Person == y.Person {
				return true
			}
		}
	}
	return false
}

// unrestricted: only who is not restricted does this. Who was first within a commit is
// not seen.
func (m *Model) unrestricted(what, customer string, atUS int64) {
	if typ := m.restrictionAt(customer, atUS); typ != "" && !m.restrictedNow[customer] {
		m.fault("%s %s while %s (limits 1.3)", customer, what, typ)
	}
}

// endRestrictions: in the end all customers of a person are restricted alike.
func (m *Model) endRestrictions() {
	for customer, list := range m.restraints {
		for _, x := range m.checks {
			if !ofAny(list) || x.Customer == customer || !m.onePerson(customer, x.Customer) {
				continue
			}
			for _, r := range list {
				like := slices.ContainsFunc(m.restraints[x.Customer], func(o restraint) bool { return o.typ == r.typ })
				if ofPerson(r.typ) && !like {
					m.fault("%s is %s, and %s, who is the same person, is not (limits 1.3)", customer, r.typ, x.Customer)
				}
			}
		}
	}
}

func ofAny(list []restraint) bool {
	return slices.ContainsFunc(list, func(r restraint) bool { return ofPerson(r.typ) })
}
