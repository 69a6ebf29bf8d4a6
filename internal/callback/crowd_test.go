package callback_test

import (
	"sync"
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
		c := callback.NewCrowd()
		var told, tries atomic.Int64
		for range calls {
			go func() {
				for {
					tries.Add(1)
					end, at, ok := c.Enter("https://quick.example/callback", true)
					if ok {
						time.Sleep(30 * time.Millisecond)
						end()
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
		c := callback.NewCrowd()
		var ends []func()
		for range callback.MaxSlowOfHost {
			end, _, ok := c.Enter(address, true)
			if !ok {
				t.Fatal("there is no room for the first calls")
			}
			ends = append(ends, end)
		}
		time.Sleep(2 * time.Second)
		now := time.Now()
		perSecond := map[int64]int{}
		var last time.Duration
		for n := range much {
			_, at, ok := c.Enter(address, true)
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
		for _, end := range ends {
			end()
		}
		for range callback.MaxOfHost {
			if _, _, ok := c.Enter(address, true); !ok {
				t.Fatal("a host that is quick again has no room")
			}
		}
		if _, at, ok := c.Enter(address, true); ok || time.Until(at) > 2*time.Second {
			t.Errorf("one call too many of a host that is quick again: let in %t, to wait %v", ok, time.Until(at))
		}
	})
}

// TestCrowdOfOneBatch: what the store answers together wants to leave together. A
// quick host hears it all, one call after another, and nothing is put off; if he
// is not quick any more, those who wait are put off soon.
func TestCrowdOfOneBatch(t *testing.T) {
	t.Parallel()
	const address, batch = "https://quick.example/callback", callback.MaxOfHost + callback.MaxLine
	crowded := func(t *testing.T, takes time.Duration) (told, putOff, most int64, in time.Duration) {
		c := callback.NewCrowd()
		for range 64 {
			end, _, _ := c.Enter(address, true)
			time.Sleep(5 * time.Millisecond)
			end()
		}
		begun := time.Now()
		var mu sync.Mutex
		var calls int64
		var wg sync.WaitGroup
		for range batch {
			wg.Go(func() {
				if _, ok := c.Room(address, true); !ok {
					t.Error("one was put off before it was stored")
				}
				end, _, ok := c.Enter(address, true)
				mu.Lock()
				defer mu.Unlock()
				if !ok {
					putOff++
					in = max(in, time.Since(begun))
					return
				}
				calls++
				most = max(most, calls)
				mu.Unlock()
				time.Sleep(takes)
				mu.Lock()
				calls--
				end()
				told++
			})
		}
		wg.Wait()
		return told, putOff, most, in
	}
	synctest.Test(t, func(t *testing.T) {
		if told, off, most, _ := crowded(t, 5*time.Millisecond); told != batch || off != 0 || most != callback.MaxOfHost {
			t.Errorf("%d of %d were told, %d put off, at most %d at once; want all, none, %d", told, batch, off, most, callback.MaxOfHost)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		told, off, most, in := crowded(t, 10*time.Second)
		if told != callback.MaxOfHost || off != callback.MaxLine || most != callback.MaxOfHost || in > 2*time.Second {
			t.Errorf("%d called, %d put off within %v, at most %d at once; want %d, %d, two seconds", told, off, in, most, callback.MaxOfHost, callback.MaxLine)
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
			c := callback.NewCrowd()
			for range 64 {
				end, _, _ := c.Enter(address, news)
				time.Sleep(took)
				end()
			}
			for range callback.MaxOfHost {
				if _, _, ok := c.Enter(address, news); !ok {
					t.Fatal("there is no room")
				}
			}
			for range more {
				if _, _, ok := c.Enter(address, news); ok {
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
			{"little waits", 60 * time.Millisecond, 1000, true, false},
			{"much waits", 60 * time.Millisecond, 20_000, true, true},
			{"much waits that was told before", 60 * time.Millisecond, 20_000, false, false},
			{"much waits for one who takes his time", 900 * time.Millisecond, 20_000, true, false},
		} {
			c := crowded(v.took, v.more, v.news)
			if got := c.Behind(address); got != v.want {
				t.Errorf("%s: behind is %t, want %t", v.name, got, v.want)
			}
			if c.Behind("https://other.example/") {
				t.Errorf("%s: behind with another, too", v.name)
			}
			time.Sleep(time.Minute)
			if c.Behind(address) {
				t.Errorf("%s: behind a minute later", v.name)
			}
		}
	})
}
