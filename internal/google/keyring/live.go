package keyring

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"aorta/internal/pgp"
)

// Live is a keyring in use: the ring as the directory has it, a moment later. So
// keys are exchanged while we run.
type Live struct {
	keys *Keyring
	name string // of the integration, for logs
	log  *slog.Logger
	ring atomic.Pointer[pgp.Ring]
	seen []byte    // the register that ring was made of
	told time.Time // when warnings were last logged
}

// Refresh is how often the directory is looked at.
const Refresh = 2 * time.Second

// retell is how often the same warnings are logged.
const retell = 24 * time.Hour

// Watch reads a keyring for the first time. Keys that cannot be read are an error
// of the start; that there are none yet is not, since keys are made by a server's
// operator and come when they come.
func (k *Keyring) Watch(name string, log *slog.Logger) (*Live, error) {
	l := &Live{keys: k, name: name, log: log}
	if err := l.read(); err != nil {
		return nil, fmt.Errorf("keys of %s: %w", name, err)
	}
	return l, nil
}

// Ring is the ring of the moment.
func (l *Live) Ring() *pgp.Ring { return l.ring.Load() }

// Run keeps it up to date until ctx ends. A register that cannot be read leaves
// the keys as they were: half a rotation must not stop purchases.
func (l *Live) Run(ctx context.Context, now func() time.Time) {
	tick := time.NewTicker(Refresh)
	defer tick.Stop()
	for {
		if at := now(); at.Sub(l.told) >= retell {
			l.tell(at)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := l.read(); err != nil {
			l.log.Error("ALARM: keys of a Google integration cannot be read; the last ones stay in use", "integration", l.name, "error", err)
		}
	}
}

func (l *Live) read() error {
	text, err := os.ReadFile(filepath.Join(l.keys.dir, registerName))
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("register of keys: %w", err)
	}
	if l.ring.Load() != nil && bytes.Equal(text, l.seen) {
		return nil
	}
	ring, err := l.keys.Ring()
	if err != nil {
		return err
	}
	if l.ring.Swap(ring) != nil {
		l.log.Info("keys of a Google integration have changed", "integration", l.name)
		l.told = time.Time{}
	}
	l.seen = text
	return nil
}

func (l *Live) tell(now time.Time) {
	l.told = now
	list, err := l.keys.List()
	if err != nil {
		return // read says so
	}
	for _, w := range Warnings(list, now) {
		l.log.Warn(w.Found, "integration", l.name, "to_do", w.ToDo)
	}
}
