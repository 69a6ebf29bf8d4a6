package callback_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aorta/internal/callback"
)

// TestCrowdOfQuickHost: a merchant who answers quickly, and is told thousands of
// things at once, as after an outage of ours, hears them in seconds. They come
// back at a pace that he keeps up with, not at that of one who never answers.
func TestCrowdOfQuickHost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const calls = 5000
		begun := time.Now()
		var c callback.Crowd
		var told, tries atomic.Int64
		for range calls {
			go func() {
				for {
					tries.Add(1)
					leave, at, ok := c.Enter("https://quick.example/callback", time.Now())
					if ok {
						time.Sleep(30 * time.Millisecond)
						leave(time.Now())
						told.Add(1)
						return
					}
					time.Sleep(time.Until(at))
				}
			}()
		}
		for told.Load() < calls {
			if time.Since(begun) > 15*time.Second {
				t.Fatalf("%d of %d calls to a quick host were made in 15 s", told.Load(), calls)
			}
			time.Sleep(time.Millisecond)
		}
		if tries.Load() > 3*calls {
			t.Errorf("%d calls took %d tries; what waits should mostly find room when it comes back", calls, tries.Load())
		}
	})
}

// TestCrowdOfSlowHost: a host that does not answer gets few calls at once. What
// waits for it comes back within a second or two if that is little, since it may
// have been slow for a moment, and if it is much at a pace that we can afford.
func TestCrowdOfSlowHost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const address, little, much = "https://slow.example/callback", 200, 20_000
		var c callback.Crowd
		var ends []func(time.Time)
		for range callback.MaxSlowOfHost {
			leave, _, ok := c.Enter(address, time.Now())
			if !ok {
				t.Fatal("there is no room for the first calls")
			}
			ends = append(ends, leave)
		}
		time.Sleep(2 * time.Second)
		now := time.Now()
		perSecond := map[int64]int{}
		var last time.Duration
		for n := range much {
			_, at, ok := c.Enter(address, now)
			wait := at.Sub(now)
			if ok || wait < last || wait > time.Minute {
				t.Fatalf("call %d beyond those that are slow: let in %t, to wait %v after one that waits %v", n, ok, wait, last)
			}
			if n == little && wait > 2*time.Second {
				t.Errorf("behind %d others a call waits %v", little, wait)
			}
			last = wait
			if wait < time.Minute {
				perSecond[int64(wait/time.Second)]++
			}
		}
		for second, n := range perSecond {
			if n > 250 {
				t.Errorf("%d calls come back in second %d", n, second)
			}
		}
		for _, leave := range ends {
			leave(time.Now())
		}
		for range callback.MaxOfHost {
			if _, _, ok := c.Enter(address, time.Now()); !ok {
				t.Fatal("a host that is quick again has no room")
			}
		}
		if _, at, ok := c.Enter(address, time.Now()); ok || time.Until(at) > 2*time.Second {
			t.Errorf("one call too many of a host that is quick again: let in %t, to wait %v", ok, time.Until(at))
		}
	})
}
