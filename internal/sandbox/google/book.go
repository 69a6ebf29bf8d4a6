package google

import (
	"strconv"
	"time"
)

// final reports whether a purchase or refund has its end.
func final(state string) bool { return state == done || state == declined }

// conclude notes how a purchase ended, once.
func (b *purchase) conclude(code, theirs string, atMS int64) {
	if theirs != "" {
		b.Theirs = theirs
	}
	if final(b.State) {
		return
	}
	b.Code, b.State, b.EndedMS = code, declined, atMS
	if code == "SUCCESS" {
		b.State = done
	}
}

// conclude notes how a refund ended, once.
func (r *refund) conclude(code, theirs string, atMS int64) {
	if theirs != "" {
		r.Theirs = theirs
	}
	if final(r.State) {
		return
	}
	r.Code, r.State, r.EndedMS = code, declined, atMS
	if code == "SUCCESS" {
		r.State = done
	}
}

// closing are the results of a purchase after which the instrument is closed for
// ever (section 3.7). After refreshing the user has to say again who they are.
var closing = map[string]bool{
	"ACCOUNT_CLOSED": true, "ACCOUNT_CLOSED_ACCOUNT_TAKEN_OVER": true, "ACCOUNT_CLOSED_FRAUD": true, "GOOGLE_PAYMENT_TOKEN_INVALIDATED_BY_USER": true,
}

const refreshing = "TOKEN_REFRESH_REQUIRED"

// closeFor gives what the result of a purchase does to its instrument. The book
// is locked.
func (p *Peer) closeFor(association, code string) []line {
	i, known := p.book.instruments.rows[association]
	switch {
	case !known:
		return nil
	case closing[code]:
		i.State, i.Code = closed, code
	case code == refreshing && i.State == active:
		i.State = refreshNeeded
	default:
		return nil
	}
	return []line{{Instrument: &i}}
}

// text writes a number as both sides do.
func text(n int64) string { return strconv.FormatInt(n, 10) }

func day(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.DateOnly) }

// summary is a statement's remittanceStatementSummary (section 3.10).
func (s statement) summary() object {
	return object{
		"statementDate": text(s.AtMS), "billingPeriod": object{"startDate": text(s.StartMS), "endDate": text(s.EndMS)}, "dateDue": text(s.DueMS),
		"currencyCode": Currency, "totalDueByIntegrator": text(s.Total), "remittanceInstructions": object{"memoLineId": s.Memo},
	}
}
