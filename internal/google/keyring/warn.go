package keyring

import (
	"fmt"
	"time"
)

// Warning is something about keys that somebody must see to.
type Warning struct {
	Fatal bool // nothing can be sent or read any more
	Found string
	ToDo  string
}

// expiry says from when on before its end a key is worth a warning, and how loud
// (section 2.3: 60, 30 and 7 days before).
var expiry = []struct {
	before time.Duration
	word   string
}{
	{7 * day, "ALARM: within a week: "}, {30 * day, "within a month: "}, {60 * day, ""},
}

const day = 24 * time.Hour

// maxLife is what keys may be exchanged for, with a month for the exchange.
const maxLife = 2*365*day + 30*day

// Warnings looks at keys as they are now.
func Warnings(list []Entry, now time.Time) (out []Warning) {
	good := map[Side]int{}
	for _, e := range list {
		if e.State == Active && !e.Expired(now) {
			good[e.Side]++
		}
		out = append(out, e.warnings(now)...)
	}
	if good[Ours] == 0 {
		out = append(out, Warning{true, "no key of ours is active", "aorta keys google create, export, and after Google has it, activate"})
	}
	if good[Google] == 0 {
		out = append(out, Warning{true, "no key of Google's is active", "aorta keys google import, and after its fingerprint was compared, activate"})
	}
	return out
}

func (e Entry) warnings(now time.Time) (out []Warning) {
	whose := "our key"
	replace := "aorta keys google create, export it to Google, activate it, then retire this one"
	if e.Side == Google {
		whose, replace = "Google's key", "ask Google for the next one, import and activate it, then retire this one"
	}
	switch {
	case e.State == Revoked || e.State == Retiring:
		return nil
	case e.Expired(now):
		return []Warning{{false, fmt.Sprintf("%s %s expired on %s", whose, e.Fingerprint, e.Expires.Format(time.DateOnly)), replace}}
	case e.Expires.IsZero():
		return []Warning{{false, fmt.Sprintf("%s %s never expires; a year is usual, two are the most", whose, e.Fingerprint), replace}}
	case e.Expires.Sub(e.Created) > maxLife:
		out = append(out, Warning{false, fmt.Sprintf("%s %s lives longer than two years", whose, e.Fingerprint), replace})
	}
	left := e.Expires.Sub(now)
	for _, level := range expiry {
		if left <= level.before {
			return append(out, Warning{false, fmt.Sprintf("%s%s %s expires on %s", level.word, whose, e.Fingerprint, e.Expires.Format(time.DateOnly)), replace})
		}
	}
	return out
}
