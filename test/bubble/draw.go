package bubble

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"time"
)

// Fault is something that goes wrong.
type Fault string

// The faults. A seed draws a rate for each, mostly none.
const (
	Refused    Fault = "connection_refused"
	CutBefore  Fault = "request_lost"
	AnswerLost Fault = "answer_lost" // what was asked for was done
	TooSlow    Fault = "answer_too_slow"
	Broken     Fault = "status_500"
	HalfAnswer Fault = "answer_cut_in_half"
	Twice      Fault = "request_twice"
	Tampered   Fault = "request_tampered" // a bit of a notification flipped

	MerchantFails Fault = "merchant_500"
	MerchantDrops Fault = "merchant_drops" // it has the callback, and the connection breaks
	MerchantSlow  Fault = "merchant_slow"  // beyond the time-out

	CommitLost   Fault = "commit_lost_written"
	CommitDead   Fault = "commit_lost_unwritten"
	StoreAway    Fault = "store_away"
	Kill         Fault = "process_killed"
	LeavesOrder  Fault = "customer_leaves"
	PaysLate     Fault = "customer_pays_late"
	PressesTwice Fault = "customer_presses_twice"
)

// most is the highest rate that a seed may draw for each fault.
var most = map[Fault]float64{
	Refused: 0.4, CutBefore: 0.4, AnswerLost: 0.4, TooSlow: 0.3, Broken: 0.3, HalfAnswer: 0.3, Twice: 0.5, Tampered: 0.3,
	MerchantFails: 0.7, MerchantDrops: 0.5, MerchantSlow: 0.4, CommitLost: 0.1, CommitDead: 0.1, StoreAway: 0.1, Kill: 1,
	LeavesOrder: 0.4, PaysLate: 0.5, PressesTwice: 0.5,
}

// hash draws a number in [0, 1) that depends on the seed and on what it is for,
// and not on what was drawn before or by whom: with one source for all, the
// same seed gives another history each time (torture.md 2.4).
func hash(seed uint64, purpose string, about ...any) float64 {
	h := fnv.New64a()
	fmt.Fprint(h, seed, "|", purpose)
	for _, a := range about {
		fmt.Fprint(h, "|", a)
	}
	x := h.Sum64()
	x ^= x >> 30 // splitmix64's last steps: FNV's upper bits alone are poor
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	x ^= x >> 31
	return float64(x>>11) / (1 << 53)
}

func (w *world) draw(purpose string, about ...any) float64 { return hash(w.seed, purpose, about...) }

// rate is how often a fault occurs in this seed: never, mostly.
func (w *world) rate(f Fault) float64 {
	if w.draw("swarm", f) < 0.6 {
		return 0
	}
	return w.draw("rate", f) * most[f]
}

// chance draws whether a fault occurs, and counts it. After a while nothing goes
// wrong any more, so that everything can come to its end.
func (w *world) chance(f Fault, about string) bool {
	if time.Since(w.begun) > quietFrom || w.draw(string(f), about) >= w.rate(f) {
		return false
	}
	w.happened(f)
	return true
}

// happened counts a fault.
func (w *world) happened(f Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.injected[f]++
}

// span draws a duration up to most; short ones are more frequent.
func (w *world) span(most time.Duration, about ...any) time.Duration {
	x := w.draw("span", about...)
	return time.Duration(x * x * x * float64(most))
}

// count numbers the calls of one key.
func (w *world) count(key string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[key]++
	return strconv.Itoa(w.counts[key])
}
