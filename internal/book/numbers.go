package book

import (
	"context"
	"fmt"
	"sync"
)

// numberBlock is how many integers a process leases at a time.
const numberBlock = 1 << 20

// numbers hands out integers < 2^53 from blocks leased outside acts. The next
// block is fetched when half of the present one is used, so an act that takes
// a number never waits for the store.
type numbers struct {
	mu        sync.Mutex
	store     Store
	next1     int64 // next to hand out
	end       int64
	spare     int64 // first of the block in reserve; 0: none
	fetching  bool
	lastError error
}

func (n *numbers) open(ctx context.Context, s Store) error {
	first, err := s.LeaseNumbers(ctx, numberBlock)
	if err != nil {
		return fmt.Errorf("lease numbers: %w", err)
	}
	n.store, n.next1, n.end = s, first, first+numberBlock
	return nil
}

func (n *numbers) next() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.next1 == n.end {
		if n.spare == 0 {
			// A million numbers were used up while the store gave no new block:
			// it is away, and so is everything else.
			panic(fmt.Sprintf("book: out of numbers: %v", n.lastError))
		}
		n.next1, n.end, n.spare = n.spare, n.spare+numberBlock, 0
	}
	v := n.next1
	n.next1++
	if n.spare == 0 && !n.fetching && n.end-n.next1 < numberBlock/2 {
		n.fetching = true
		go n.fetch()
	}
	return v
}

func (n *numbers) fetch() {
	first, err := n.store.LeaseNumbers(context.Background(), numberBlock)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fetching, n.lastError = false, err
	if err == nil {
		n.spare = first
	}
}
