package book

import "github.com/prometheus/client_golang/prometheus"

// metrics are what an operator needs to see of the book from the first day.
type metrics struct {
	batchSize, queueAge, batchTime                     prometheus.Histogram
	rounds, retries, halvings, lost, refused, culprits prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	count := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "aorta_book_" + name, Help: help})
	}
	m := &metrics{
		batchSize: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "aorta_book_batch_acts", Help: "Acts committed together.",
			Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512},
		}),
		queueAge: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "aorta_book_queue_age_seconds", Help: "How long the first act of a batch had waited.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
		batchTime: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "aorta_book_batch_seconds", Help: "How long a batch took, from its first load to its commit.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
		rounds:   count("load_rounds_total", "Loads after a batch's first, for rows no hint had named."),
		retries:  count("batch_retries_total", "Batches run again because another committer was there first."),
		halvings: count("batch_halvings_total", "Batches cut in two to find the act that cannot be written."),
		lost:     count("lost_commits_total", "Commits whose answer was lost."),
		refused:  count("acts_refused_total", "Acts refused because the queue was too long or too old."),
		culprits: count("acts_unwritable_total", "Acts that the store refuses: always a bug, look at the log."),
	}
	if r != nil {
		r.MustRegister(m.batchSize, m.queueAge, m.batchTime, m.rounds, m.retries, m.halvings, m.lost, m.refused, m.culprits)
	}
	return m
}
