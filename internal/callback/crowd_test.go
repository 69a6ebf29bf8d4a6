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
					leave, at, ok := c.Enter("https://quick.example/callback", true, time.Now())
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
			leave, _, ok := c.Enter(address, true, time.Now())
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
			_, at, ok := c.Enter(address, true, now)
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
			if _, _, ok := c.Enter(address, true, time.Now()); !ok {
				t.Fatal("a host that is quick again has no room")
			}
		}
		if _, at, ok := c.Enter(address, true, time.Now()); ok || time.Until(at) > 2*time.Second {
			t.Errorf("one call too many of a host that is quick again: let in %t, to wait %v", ok, time.Until(at))
		}
	})
}

// TestCrowdBehind: news that waits for seconds to be told to one who answers
// quickly is more than we can do. What he has refused to hear before, and what a
// slow one does not hear, is not.
func TestCrowdBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const address = "https://quick.example/callback"
		// Each of his calls takes so long, and then so many more want to come in.
		crowded := func(took time.Duration, more int, news bool) *callback.Crowd {
			c := new(callback.Crowd)
			for range 64 {
				leave, _, _ := c.Enter(address, news, time.Now())
				time.Sleep(took)
				leave(time.Now())
			}
			for range callback.MaxOfHost {
				if _, _, ok := c.Enter(address, news, time.Now()); !ok {
					t.Fatal("there is no room")
				}
			}
			for range more {
				if _, _, ok := c.Enter(address, news, time.Now()); ok {
					t.Fatal("there is room for all")
				}
			}
			return c
		}
		for _, v := range []struct {
			name string
			took time.Duration
			more int
			news bool
			want bool
		}{
			{"little waits", 20 * time.Millisecond, 1000, true, false},
			{"much waits", 20 * time.Millisecond, 20_000, true, true},
			{"much waits that was told before", 20 * time.Millisecond, 20_000, false, false},
			{"much waits for one who takes his time", 900 * time.Millisecond, 20_000, true, false},
		} {
			c := crowded(v.took, v.more, v.news)
			if got := c.Behind(address, time.Now()); got != v.want {
				t.Errorf("%s: behind is %t, want %t", v.name, got, v.want)
			}
			if c.Behind("https://other.example/", time.Now()) {
				t.Errorf("%s: behind with another, too", v.name)
			}
			if c.Behind(address, time.Now().Add(time.Minute)) {
				t.Errorf("%s: behind a minute later", v.name)
			}
		}
		time.Sleep(2 * time.Second) // the calls' timers end
	})
}
