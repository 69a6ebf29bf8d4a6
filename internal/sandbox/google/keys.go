package google

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"aorta/internal/sandbox/gpg"
)

// ErrNoGPG: this Google has no cryptography without GnuPG. On Debian it is in the
// package gnupg.
var ErrNoGPG = gpg.ErrAbsent

// Keys are Google's: a home of gpg's with its own keys, and the integrator's
// public ones. They are test keys without a passphrase.
type Keys struct {
	ring *gpg.Keyring
	file string // says what each key is
	link string // directory of a short way to the home; empty: the home's own path is short

	mu    sync.Mutex
	roles roles
}

// roles say what the keys of the home are, by fingerprint.
type roles struct {
	Google     string   `json:"google"`
	Integrator []string `json:"integrator"`
	Stranger   string   `json:"stranger,omitempty"` // a key that the integrator never got; made when somebody asks for it
}

// maxHome is the longest path of a home: gpg's sockets lie in it, and a socket's
// path has 107 bytes.
const maxHome = 80

// OpenKeys opens the keys in a directory. Google's own is made there once.
// ErrNoGPG if there is no gpg here. Close them.
func OpenKeys(ctx context.Context, dir string) (*Keys, error) {
	home, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("google's keys: %w", err)
	}
	k := &Keys{file: filepath.Join(home, "roles.json")}
	if len(home) > maxHome {
		if err := os.MkdirAll(home, 0o700); err != nil {
			return nil, fmt.Errorf("google's keys: %w", err)
		}
		if k.link, err = os.MkdirTemp("", "aorta-gpg"); err != nil {
			return nil, fmt.Errorf("google's keys: %w", err)
		}
		short := filepath.Join(k.link, "home")
		if err := os.Symlink(home, short); err != nil {
			return nil, errors.Join(fmt.Errorf("google's keys: %w", err), os.RemoveAll(k.link))
		}
		home = short
	}
	if k.ring, err = gpg.New(home); err != nil {
		return nil, errors.Join(err, k.unlink())
	}
	if err := k.load(ctx); err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

func (k *Keys) load(ctx context.Context) error {
	text, err := os.ReadFile(k.file)
	if err == nil {
		if err := json.Unmarshal(text, &k.roles); err != nil {
			return fmt.Errorf("google's keys: %s: %w", k.file, err)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("google's keys: %w", err)
	}
	if k.roles.Google, err = k.ring.Generate(ctx, "Google sandbox", 2048, "2y"); err != nil {
		return err
	}
	// Whoever never uses Google has no agent to leave behind; gpg starts one when it needs it.
	return errors.Join(k.save(), k.ring.Close())
}

// save writes roles whole or not at all.
func (k *Keys) save() error {
	text, err := json.Marshal(k.roles)
	if err != nil {
		return err
	}
	if err := os.WriteFile(k.file+".new", text, 0o600); err != nil {
		return fmt.Errorf("google's keys: %w", err)
	}
	return os.Rename(k.file+".new", k.file)
}

// Close ends gpg's agent. The keys stay where they are. Of nil it does nothing.
func (k *Keys) Close() error {
	if k == nil {
		return nil
	}
	return errors.Join(k.ring.Close(), k.unlink())
}

func (k *Keys) unlink() error {
	if k.link == "" {
		return nil
	}
	return os.RemoveAll(k.link)
}

// Fingerprint names Google's key.
func (k *Keys) Fingerprint() string { return k.roles.Google }

// Public gives Google's key to the integrator, armored.
func (k *Keys) Public(ctx context.Context) ([]byte, error) { return k.ring.Export(ctx, k.roles.Google) }

// Knows reports whether Google has a key of the integrator's.
func (k *Keys) Knows(fingerprint string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Contains(k.roles.Integrator, fingerprint)
}

// Take takes the integrator's public key: what it signs is believed, and messages
// to the integrator are encrypted to the newest that was taken.
func (k *Keys) Take(ctx context.Context, key []byte, fingerprint string) error {
	if err := k.ring.Import(ctx, key); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.roles.Integrator = append(slices.DeleteFunc(k.roles.Integrator, func(f string) bool { return f == fingerprint }), fingerprint)
	return k.save()
}

// integrator gives the fingerprints of the integrator's keys, the newest last.
func (k *Keys) integrator() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.roles.Integrator)
}

// stranger gives a key that nobody else knows.
func (k *Keys) stranger(ctx context.Context) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.roles.Stranger != "" {
		return k.roles.Stranger, nil
	}
	made, err := k.ring.Generate(ctx, "A stranger", 2048, "2y")
	if err != nil {
		return "", err
	}
	k.roles.Stranger = made
	return made, k.save()
}
