package book

// Waiting is the number of acts that no lane has taken yet.
func Waiting(b *Book) int {
	n := 0
	for _, h := range b.homes {
		for _, l := range h.lanes {
			l.queue.mu.Lock()
			n += len(l.queue.interactive) + len(l.queue.background)
			l.queue.mu.Unlock()
		}
	}
	return n
}
