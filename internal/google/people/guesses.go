package people

import (
	"strings"
	"sync"
	"time"
)

// guesses counts wrong ones.
type guesses struct {
	mu sync.Mutex
	by map[string]*guessed
}

// guessed are the wrong guesses by one name or one address.
type guessed struct {
	wrong int
	until time.Time // then they are forgotten
}

// Bounds of guesses.
const (
	guessTime    = 15 * time.Minute
	guessesAs    = 5      // wrong passwords for one name
	guessesFrom  = 30     // wrong guesses from one address
	maxGuessers  = 10_000 // counted at once
	everybodyKey = "from everybody else"
)

// allow says whether another guess may be made: not if any of its counts is full.
func (g *guesses) allow(now time.Time, counted ...string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, key := range counted {
		x := g.by[g.place(key)]
		if x != nil && now.Before(x.until) && x.wrong >= mostOf(key) {
			return false
		}
	}
	return true
}

// wrong counts one.
func (g *guesses) wrong(now time.Time, counted ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.by == nil {
		g.by = map[string]*guessed{}
	}
	for _, key := range counted {
		if len(g.by) >= maxGuessers {
			for k, x := range g.by {
				if !now.Before(x.until) {
					delete(g.by, k)
				}
			}
		}
		key = g.place(key)
		x := g.by[key]
		if x == nil || !now.Before(x.until) {
			x = &guessed{until: now.Add(guessTime)}
			g.by[key] = x
		}
		x.wrong++
	}
}

// forget ends counts: who knows the password has not guessed.
func (g *guesses) forget(counted ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, key := range counted {
		delete(g.by, key)
	}
}

// place is where a key is counted: when too many addresses guess, new ones together.
func (g *guesses) place(key string) string {
	if _, counted := g.by[key]; counted || len(g.by) < maxGuessers || strings.HasPrefix(key, "as ") {
		return key
	}
	return everybodyKey
}

func mostOf(key string) int {
	if strings.HasPrefix(key, "as ") {
		return guessesAs
	}
	return guessesFrom
}
