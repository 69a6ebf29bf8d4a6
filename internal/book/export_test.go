package book

import (
	"slices"
	"time"

	"aorta/internal/id"
)

// LaneFor is the number of the lane in which an act of that bucket would wait.
func LaneFor(b *Book, bucket id.Bucket, now time.Time) int {
	h := b.byPlace[bucket]
	return slices.Index(h.lanes, h.laneFor(bucket, now))
}

// Waiting is the number of acts that no lane has taken yet.
func Waiting(b *Book) int {
	n := 0
	for _, h := range b.homes {
		for _, l := range h.lanes {
			n += l.queue.waiting()
		}
	}
	return n
}

// TakenFromFullQueue fills a queue with so many acts of either kind and gives
// the number of background acts in its next batch.
func TakenFromFullQueue(each, maxBatch int) int {
	q := newQueue(Options{MaxQueue: each, MaxAge: time.Hour, MaxBatch: maxBatch})
	for n := range 2 * each {
		if err := q.add(&call{background: n%2 == 0, done: make(chan struct{})}, time.Unix(0, 0)); err != nil {
			panic(err)
		}
	}
	background := 0
	for _, c := range q.take(nil, false) {
		if c.background {
			background++
		}
	}
	return background
}

// TakenApart fills a queue with acts of these buckets, the odd ones background,
// and gives the buckets of the batches that keep to a part of them.
func TakenApart(buckets ...id.Bucket) [][]id.Bucket {
	q := newQueue(Options{MaxQueue: len(buckets), MaxAge: time.Hour, MaxBatch: 512})
	for _, b := range buckets {
		if err := q.add(&call{bucket: b, background: b%2 == 1, done: make(chan struct{})}, time.Unix(0, 0)); err != nil {
			panic(err)
		}
	}
	var batches [][]id.Bucket
	for q.waiting() > 0 {
		var batch []id.Bucket
		for _, c := range q.take(nil, true) {
			batch = append(batch, c.bucket)
		}
		batches = append(batches, batch)
	}
	return batches
}
