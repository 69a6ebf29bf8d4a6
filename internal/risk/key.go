package risk

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"aorta/internal/money"
)

// key is one key of the file that stands for itself: where its value goes, and
// what it may be. Reading, hashing, comparing and documenting follow from it.
type key struct {
	name        string
	at          func(*Rules) any // *int64, *bool, *string, *time.Duration, *Action, *BoundKind, *[]Period
	least, most int64            // of a number; both 0: any that is not negative
	words       []string         // that a word may be; empty: any
	floor       bool             // not less than the profile's: part of what makes exclusion hold
}

// keys has every such key, in the order in which the file is documented.
var keys = func() []key {
	all := []key{
		{name: "rates_as_of", at: func(r *Rules) any { return &r.Rates.AsOf }},
		{name: "limits.raise_delay", at: func(r *Rules) any { return &r.Limits.RaiseDelay }},
		{name: "limits.confirm_within", at: func(r *Rules) any { return &r.Limits.ConfirmWithin }},
		{name: "limits.raise_by_register", at: func(r *Rules) any { return &r.Limits.RaiseByRegister }},
		{name: "limits.periods", at: func(r *Rules) any { return &r.Limits.Periods }},
		{name: "limits.time_zone", at: func(r *Rules) any { return &r.Limits.Zone }},
		{name: "limits.cool_off_min", at: func(r *Rules) any { return &r.Limits.CoolOffMin }, floor: true},
		{name: "limits.cool_off_max", at: func(r *Rules) any { return &r.Limits.CoolOffMax }},
		{name: "limits.exclude_min_months", at: func(r *Rules) any { return &r.Limits.ExcludeMin }, least: 1, most: 1200, floor: true},
		{name: "limits.exclude_max_months", at: func(r *Rules) any { return &r.Limits.ExcludeMax }, least: 1, most: 1200},
		{name: "limits.end_delay", at: func(r *Rules) any { return &r.Limits.EndDelay }, floor: true},
		{name: "limits.end_delay_indefinite", at: func(r *Rules) any { return &r.Limits.EndDelayOpen }, floor: true},
		{name: "kyc.warn_permille", at: func(r *Rules) any { return &r.KYC.WarnPermille }, least: 1, most: 1000},
		{name: "kyc.approach", at: func(r *Rules) any { return &r.KYC.Approach }, words: []string{string(Allow), string(StepUp)}},
	}
	for n := range Levels {
		all = append(all, boundKeys(fmt.Sprintf("kyc.l%d.deposits", n), func(r *Rules) *Bound { return &r.KYC.Levels[n].Deposits })...)
		all = append(all, boundKeys(fmt.Sprintf("kyc.l%d.payouts", n), func(r *Rules) *Bound { return &r.KYC.Levels[n].Payouts })...)
	}
	return append(all, []key{
		{name: "payout.min_minor", at: func(r *Rules) any { return &r.Payout.Min }},
		{name: "payout.max_minor", at: func(r *Rules) any { return &r.Payout.Max }},
		{name: "payout.day_max_minor", at: func(r *Rules) any { return &r.Payout.DayMax }},
		{name: "payout.month_max_minor", at: func(r *Rules) any { return &r.Payout.MonthMax }},
		{name: "payout.merchant_day_max_minor", at: func(r *Rules) any { return &r.Payout.MerchantDayMax }},
		{name: "payout.account_day_max_minor", at: func(r *Rules) any { return &r.Payout.AccountDayMax }},
		{name: "payout.turnover_permille", at: func(r *Rules) any { return &r.Payout.TurnoverPermille }, most: 100_000},
		{name: "payout.manual_above_minor", at: func(r *Rules) any { return &r.Payout.ManualAbove }},
		{name: "payout.dual_above_minor", at: func(r *Rules) any { return &r.Payout.DualAbove }},
		{name: "payout.cancel", at: func(r *Rules) any { return &r.Payout.Cancel }},
		{name: "payout.defer", at: func(r *Rules) any { return &r.Payout.Defer }},
		{name: "payout.recheck_after", at: func(r *Rules) any { return &r.Payout.RecheckAfter }},
	}...)
}()

func boundKeys(name string, of func(*Rules) *Bound) []key {
	return []key{
		{name: name, at: func(r *Rules) any { return &of(r).Kind }, words: words([]BoundKind{BoundNone, BoundUpTo, BoundBelow, BoundAgreed})},
		{name: name + "_minor", at: func(r *Rules) any { return &of(r).Minor }},
		{name: name + "_window", at: func(r *Rules) any { return &of(r).Window }},
	}
}

// set gives a key the value that a file has for it.
func (k key) set(r *Rules, raw any) error {
	switch at := k.at(r).(type) {
	case *int64:
		n, ok := raw.(int64)
		if !ok {
			return fmt.Errorf("%v is no whole number", raw)
		}
		if n < k.least || (k.most > 0 && n > k.most) {
			return fmt.Errorf("%d is out of range: write %s", n, k.rangeText())
		}
		*at = n
	case *bool:
		b, ok := raw.(bool)
		if !ok {
			return fmt.Errorf("%v is neither true nor false", raw)
		}
		*at = b
	case *time.Duration:
		d, err := parseSpan(raw)
		if err != nil {
			return err
		}
		*at = d
	case *[]Period:
		return setPeriods(at, raw)
	case *string:
		text, err := wordOf(raw, k.words)
		if err != nil {
			return err
		}
		*at = text
	case *Action:
		text, err := wordOf(raw, k.words)
		if err != nil {
			return err
		}
		*at = Action(text)
	case *BoundKind:
		text, err := wordOf(raw, k.words)
		if err != nil {
			return err
		}
		*at = BoundKind(text)
	default:
		panic(fmt.Sprintf("risk: key %s goes to a %T", k.name, at))
	}
	return nil
}

func (k key) rangeText() string {
	if k.most > 0 {
		return fmt.Sprintf("%d to %d", k.least, k.most)
	}
	return fmt.Sprintf("%d or more", k.least)
}

// show writes a key's value in the one way that hashes and differences go by.
func (k key) show(r *Rules) string {
	switch at := k.at(r).(type) {
	case *int64:
		return strconv.FormatInt(*at, 10)
	case *bool:
		return strconv.FormatBool(*at)
	case *time.Duration:
		if *at == 0 && strings.HasSuffix(k.name, "_window") {
			return "ever"
		}
		return showSpan(*at)
	case *[]Period:
		return strings.Join(words(*at), ",")
	case *string:
		return *at
	case *Action:
		return string(*at)
	case *BoundKind:
		return string(*at)
	default:
		panic(fmt.Sprintf("risk: key %s goes to a %T", k.name, at))
	}
}

// size orders the values of a key that has a floor.
func (k key) size(r *Rules) int64 {
	switch at := k.at(r).(type) {
	case *int64:
		return *at
	case *time.Duration:
		return int64(*at)
	default:
		panic(fmt.Sprintf("risk: key %s has no size", k.name))
	}
}

func words[T ~string](list []T) []string {
	text := make([]string, len(list))
	for i, w := range list {
		text[i] = string(w)
	}
	return text
}

func wordOf(raw any, allowed []string) (string, error) {
	text, ok := raw.(string)
	switch {
	case !ok:
		return "", fmt.Errorf("%v is no text in quotes", raw)
	case len(allowed) > 0 && !slices.Contains(allowed, text):
		return "", fmt.Errorf("%q is not known: write one of %s", text, strings.Join(allowed, ", "))
	}
	return text, nil
}

// periods are those that a customer may be offered.
var periods = []Period{PeriodDay, PeriodWeek, PeriodMonth, PeriodCalendarMonth}

func setPeriods(at *[]Period, raw any) error {
	list, ok := raw.([]any)
	if !ok || len(list) == 0 {
		return errors.New("write a list of periods, such as [\"day\", \"week\", \"month\"]")
	}
	*at = nil
	for _, each := range list {
		text, err := wordOf(each, words(periods))
		if err != nil {
			return err
		}
		if slices.Contains(*at, Period(text)) {
			return fmt.Errorf("%q is there twice", text)
		}
		*at = append(*at, Period(text))
	}
	return nil
}

// maxSpan bounds every time of the file.
const maxSpan = 10 * 365 * 24 * time.Hour

// parseSpan reads a time as files write it: "90s", "24h", "1h30m", "30d", or "ever",
// which is 0.
func parseSpan(raw any) (time.Duration, error) {
	text, ok := raw.(string)
	if !ok {
		return 0, fmt.Errorf("%v is no time: write it in quotes, such as \"24h\" or \"30d\"", raw)
	}
	if text == "ever" {
		return 0, nil
	}
	var d time.Duration
	if days, isDays := strings.CutSuffix(text, "d"); isDays {
		n, err := strconv.ParseInt(days, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("%q is no time: write \"30d\"", text)
		}
		d = time.Duration(n) * 24 * time.Hour
	} else {
		var err error
		if d, err = time.ParseDuration(text); err != nil {
			return 0, fmt.Errorf("%q is no time: write \"90s\", \"24h\" or \"30d\"", text)
		}
	}
	switch {
	case d < 0:
		return 0, fmt.Errorf("%q is negative: a time looks back, write \"24h\"", text)
	case d > maxSpan:
		return 0, fmt.Errorf("%q is more than ten years", text)
	case d%time.Millisecond != 0:
		return 0, fmt.Errorf("%q has a fraction of a millisecond", text)
	}
	return d, nil
}

func showSpan(d time.Duration) string {
	switch {
	case d == 0:
		return "0s"
	case d%(24*time.Hour) == 0:
		return strconv.FormatInt(int64(d/(24*time.Hour)), 10) + "d"
	case d%time.Hour == 0:
		return strconv.FormatInt(int64(d/time.Hour), 10) + "h"
	case d%time.Minute == 0:
		return strconv.FormatInt(int64(d/time.Minute), 10) + "m"
	}
	return d.String()
}

// maximumName names a maximum in hashes and differences.
func (m Maximum) name() string {
	by := "house"
	if m.Statutory {
		by = "statutory"
	}
	name := fmt.Sprintf("limits.maximum.%s.%s", by, m.Kind)
	if m.Period != PeriodNone {
		name += "." + string(m.Period)
	}
	if m.UnderAge > 0 {
		name += fmt.Sprintf(".under_%d", m.UnderAge)
	}
	return name + "." + string(m.Amount.Currency)
}

// validCurrency is for texts of files.
func validCurrency(text string) (money.Currency, error) {
	if c := money.Currency(text); c.Valid() {
		return c, nil
	}
	return "", fmt.Errorf("%q is no ISO 4217 currency", text)
}
