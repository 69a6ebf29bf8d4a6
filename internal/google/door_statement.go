package google

import (
	"context"

	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/recon"
	"aorta/internal/sign"
)

// statementAnswer is what remittanceStatementNotification answers. To say ACCEPTED is to
// have received it: whether it is right, its lines must show (section 3.10).
type statementAnswer struct {
	Ours   string     `json:"paymentIntegratorStatementId"`
	Result fop.Result `json:"result"`
}

// maxSummary bounds what is kept of a summary as it was told, in bytes.
const maxSummary = 16 << 10

// statement takes a statement. Its id is the requestId of the call that tells it.
func (d *Door) statement(ctx context.Context, c *call) (any, error) {
	if err := c.account(); err != nil {
		return nil, err
	}
	s, err := readSummary(c.doc.Get("remittanceStatementSummary"))
	if err != nil {
		return nil, err
	}
	return stored(d.opts.Wallets.NoteStatement(ctx, flow.Noting{
		GoogleCall: c.named(func(a flow.Answered) any {
			return statementAnswer{id.Statement(a.Call.About).String(), a.Call.Result}
		}),
		Statement: s,
	}))
}

// readSummary reads the figures of a statement. Of its dates nothing is required but that
// they are dates: in Google's own sample the due date lies before the statement's.
func readSummary(v sign.Value) (s fop.Statement, err error) {
	const name = "remittanceStatementSummary"
	if err := object(v, name); err != nil {
		return s, err
	}
	period := v.Get("billingPeriod")
	if err := object(period, name+".billingPeriod"); err != nil {
		return s, err
	}
	for _, f := range []struct {
		v    sign.Value
		name string
		into *int64
	}{
		{v.Get("statementDate"), name + ".statementDate", &s.AtUS},
		{period.Get("startDate"), name + ".billingPeriod.startDate", &s.FromUS},
		{period.Get("endDate"), name + ".billingPeriod.endDate", &s.UntoUS},
		{v.Get("dateDue"), name + ".dateDue", &s.PayUS},
	} {
		at, err := instant(f.v, f.name)
		if err != nil {
			return s, err
		}
		if at.UnixMilli() > maxMillis {
			return s, invalid(f.name + " is too far away")
		}
		*f.into = at.UnixMicro()
	}
	if s.Currency, err = currency(v.Get("currencyCode"), name+".currencyCode"); err != nil {
		return s, err
	}
	if s.DueMicros, err = micros(v.Get("totalDueByIntegrator"), name+".totalDueByIntegrator"); err != nil {
		return s, err
	}
	if _, _, err := recon.Round(s.DueMicros, s.Currency); err != nil {
		return s, invalid(name + ".totalDueByIntegrator is more than can be paid")
	}
	if instructions := v.Get("remittanceInstructions"); given(instructions) {
		if err := object(instructions, name+".remittanceInstructions"); err != nil {
			return s, err
		}
		if memo := instructions.Get("memoLineId"); given(memo) {
			if s.Memo, err = text(memo, name+".remittanceInstructions.memoLineId"); err != nil {
				return s, err
			}
		}
	}
	if raw := rawOf(v); len(raw) <= maxSummary {
		s.Summary = string(raw)
	}
	return s, nil
}
