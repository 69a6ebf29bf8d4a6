package fop

import (
	"fmt"
	"strconv"
	"strings"
)

// Sendings is when codes were sent to a customer of late, in unix seconds, oldest
// first.
type Sendings []int64

// A code costs money and annoys whoever has the phone, so there are few. Whatever the
// configuration says, no more than MaxSendings a day are counted.
const (
	hour        = 3600
	day         = 24 * hour
	MaxSendings = 100
)

// DecodeSendings reads what Encode wrote; "" is none yet.
func DecodeSendings(text string) (Sendings, error) {
	var s Sendings
	if text == "" {
		return s, nil
	}
	for _, word := range strings.Split(text, ",") {
		at, err := strconv.ParseInt(word, 10, 64)
		if err != nil || at <= 0 {
			return nil, fmt.Errorf("fop: %q is not when codes were sent", text)
		}
		s = append(s, at)
	}
	return s, nil
}

// Encode writes them as the stores keep them: "1700000000,1700000100".
func (s Sendings) Encode() string {
	words := make([]string, len(s))
	for n, at := range s {
		words[n] = strconv.FormatInt(at, 10)
	}
	return strings.Join(words, ",")
}

// Allow gives the sendings with one more, those of more than a day ago left out; false
// if so many were sent within an hour or a day.
func (s Sendings) Allow(perHour, perDay, nowUS int64) (Sendings, bool) {
	now := nowUS / 1_000_000
	var kept Sendings
	var within int64
	for _, at := range s {
		if at <= now-day {
			continue
		}
		kept = append(kept, at)
		if at > now-hour {
			within++
		}
	}
	if within >= perHour || int64(len(kept)) >= min(perDay, MaxSendings) {
		return kept, false
	}
	return append(kept, now), true
}
