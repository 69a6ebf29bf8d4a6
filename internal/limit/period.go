package limit

import "time"

// Period is the stretch of time that a limit is for.
type Period string

// The periods. The first three slide: they look back from the present. A limit of
// one amount, such as the largest single deposit, is of no period.
const (
	Day           Period = "day"            // 24 h
	Week          Period = "week"           // 7 × 24 h
	Month         Period = "month"          // 30 × 24 h
	CalendarMonth Period = "calendar_month" // from the first of the month at 00:00, in the zone that the rules name
	Once          Period = "once"           // one amount by itself
)

// Periods are those in which something is summed up, the shortest first.
func Periods() []Period { return []Period{Day, Week, Month, CalendarMonth} }

// Length is how far a sliding period looks back; 0 of the others.
func (p Period) Length() time.Duration {
	switch p {
	case Day:
		return 24 * time.Hour
	case Week:
		return 7 * 24 * time.Hour
	case Month:
		return 30 * 24 * time.Hour
	case CalendarMonth, Once:
	}
	return 0
}

// After gives the instant after which an event counts at nowUS: t−W < event, so
// one that is exactly as old as the period is long does not (limits-and-risk.md
// section 0). A zone of nil is UTC.
func (p Period) After(nowUS int64, zone *time.Location) int64 {
	switch p {
	case Day, Week, Month:
		return nowUS - p.Length().Microseconds()
	case CalendarMonth:
		begin, _ := calendarMonth(nowUS, zone)
		return begin - 1
	case Once:
	}
	return nowUS
}

// Leaves gives when something of atUS counts no more in a period, seen from nowUS:
// of a calendar month, the first of the next one.
func (p Period) Leaves(atUS, nowUS int64, zone *time.Location) int64 {
	if p == CalendarMonth {
		_, end := calendarMonth(max(atUS, nowUS), zone)
		return end
	}
	return atUS + p.Length().Microseconds()
}

// calendarMonth gives the first instants of the month of nowUS and of the next one.
func calendarMonth(nowUS int64, zone *time.Location) (begin, end int64) {
	if zone == nil {
		zone = time.UTC
	}
	y, m, _ := time.UnixMicro(nowUS).In(zone).Date()
	return time.Date(y, m, 1, 0, 0, 0, 0, zone).UnixMicro(), time.Date(y, m+1, 1, 0, 0, 0, 0, zone).UnixMicro()
}
