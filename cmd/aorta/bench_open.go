package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"
)

// mostUnderWay bounds the payments of an open loop that have begun and not ended.
const mostUnderWay = 16384

// open begins payments at a steady rate, whatever becomes of them, and gives how
// long each took from when it was due: a loop that waits for the platform would
// not see it stall.
func (b *coreBench) open(ctx context.Context, rate float64, d time.Duration) (samples, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	var all samples
	var wg sync.WaitGroup
	free := make(chan struct{}, mostUnderWay)
	begun := time.Now()
	for n := 0; ctx.Err() == nil; n++ {
		due := begun.Add(time.Duration(float64(n) / rate * float64(time.Second)))
		if due.Sub(begun) >= d {
			break
		}
		time.Sleep(time.Until(due))
		select {
		case free <- struct{}{}:
		default:
			cancel(fmt.Errorf("%.0f payments a second are more than the core takes", rate))
			continue
		}
		number := b.begun.Add(1)
		wg.Go(func() {
			defer func() { <-free }()
			if err := b.one(context.WithoutCancel(ctx), number); err != nil {
				cancel(fmt.Errorf("payment %d: %w", number, err))
				return
			}
			b.done.Add(1)
			took := time.Since(due)
			mu.Lock()
			defer mu.Unlock()
			all.add(took)
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return merged([]samples{all}), nil
}

// Flushes compare latencies with what the disk takes to make a page durable: the
// same core is as fast as the disk allows on any machine.
type Flushes struct {
	FdatasyncP50MS float64 `json:"fdatasync_p50_ms"`
	P50            float64 `json:"p50_fdatasyncs"` // p50_ms in multiples of that
	P99            float64 `json:"p99_fdatasyncs"`

	taken samples
}

// flushSamples are taken before the payments, and as many after.
const flushSamples = 200

// measure times an append of 8 KiB and its fdatasync in the database's directory,
// or in that for temporary files.
func (f *Flushes) measure(dir string) error {
	file, err := os.CreateTemp(dir, "aorta-flush-")
	if err != nil {
		return fmt.Errorf("measure fdatasync: %w", err)
	}
	defer func() {
		_ = file.Close()
		_ = os.Remove(file.Name())
	}()
	page := make([]byte, 8192)
	for range flushSamples {
		begun := time.Now()
		if _, err = file.Write(page); err == nil {
			err = fdatasync(file)
		}
		if err != nil {
			return fmt.Errorf("measure fdatasync: %w", err)
		}
		f.taken.add(time.Since(begun))
	}
	return nil
}

// compare puts latencies, sorted, in multiples of a flush.
func (f *Flushes) compare(latencies samples) {
	one := merged([]samples{f.taken}).ms(0.50)
	f.FdatasyncP50MS, f.P50, f.P99 = one, rounded(latencies.ms(0.50)/one), rounded(latencies.ms(0.99)/one)
}
