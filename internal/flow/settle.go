package flow

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/id"
	"aorta/internal/payment"
)

// settle is Apply for who holds the lease of the work until then. An answer that
// the store cannot take now, since it is away or busy, is kept and booked once it
// can: dropped, it would come again only as a second order under a new reference,
// or by a look-up. After the lease it may be another's to ask, and is given up.
// That the PSP has not answered is no news worth keeping.
func (f *Flows) settle(ctx context.Context, a payment.Attempt, out connector.Outcome, until time.Time) error {
	for try := 0; ; try++ {
		err := f.Apply(ctx, a, out)
		if err == nil || out.Kind == connector.Unknown || !passing(err) {
			return err
		}
		pause := settlePause(a.ID, try)
		if !f.opts.Now().Add(pause).Before(until) {
			return err
		}
		f.opts.Sleep(ctx, pause)
		if ctx.Err() != nil {
			return err
		}
	}
}

// passing reports whether an act that ended so may be written later. Writing it
// twice does not matter: news that is known changes nothing.
func passing(err error) bool {
	if errors.As(err, new(*book.DataError)) {
		return false // the store will never take it
	}
	return errors.Is(err, book.ErrBusy) || errors.Is(err, book.ErrNotRun) || errors.Is(err, book.ErrUnknown)
}

// settlePause doubles from 0.2 s to 3 s, of which a part is taken that differs
// between attempts: what was held up together does not come back together.
func settlePause(a id.Attempt, try int) time.Duration {
	const least, first, most = 20 * time.Millisecond, 200 * time.Millisecond, 3 * time.Second
	raw := a.Raw()
	dice := rand.New(rand.NewPCG(binary.BigEndian.Uint64(raw[8:]), uint64(try)))
	return least + time.Duration(dice.Int64N(int64(min(first<<min(try, 5), most))))
}

// sleep returns after d, or once ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
