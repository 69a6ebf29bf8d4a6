// Package keyring keeps the keys of one Google integration in a directory: ours
// with their private halves, Google's, and the register that says what each of
// them may do now. It is what the ceremony of `aorta keys google` changes and
// what a running server reads (google-tokenized-fop.md section 2.3).
//
// A key is pending, active, retiring or revoked, and never goes back:
//
//	          create, import     activate          retire           revoke
//	                │               │                 │                │
//	              pending ───────▶ active ────────▶ retiring ──────▶ revoked
//	ours          decrypts         decrypts, signs  decrypts         nothing
//	Google's      nothing          verifies,        verifies         nothing
//	                               is encrypted to
//
// So a key of ours can be used by Google from the moment it has it, and what is
// signed by a key that Google does not have yet is never sent. A key can be
// revoked from every state; it is kept, so that its name is never taken again.
//
// Private keys lie encrypted by the master key. Known weakness: who can write to
// the directory can put a key of Google's of their own there; it is protected by
// the rights of the file system alone, like the configuration beside it.
package keyring

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"aorta/internal/pgp"

	"golang.org/x/sys/unix"
)

// Side is whose a key is.
type Side string

// The sides.
const (
	Ours   Side = "ours"
	Google Side = "google"
)

// State is what a key may do.
type State string

// The states, in their order.
const (
	Pending  State = "pending"
	Active   State = "active"
	Retiring State = "retiring"
	Revoked  State = "revoked"
)

// moves lists every move a key may make; what is absent is forbidden.
var moves = map[State][]State{
	Pending:  {Active, Revoked},
	Active:   {Retiring, Revoked},
	Retiring: {Revoked},
}

// Entry is one key in the register. Times are of UTC; a zero one has not come.
type Entry struct {
	Fingerprint string    `json:"fingerprint"`
	Side        Side      `json:"side"`
	State       State     `json:"state"`
	Name        string    `json:"name"` // what the key says of whose it is
	Bits        int       `json:"bits"`
	Created     time.Time `json:"created"`
	Expires     time.Time `json:"expires,omitzero"`
	Added       time.Time `json:"added"`
	Activated   time.Time `json:"activated,omitzero"`
	Retired     time.Time `json:"retired,omitzero"`
	RevokedAt   time.Time `json:"revoked,omitzero"`
}

// Expired says whether the key's own time is over.
func (e Entry) Expired(now time.Time) bool { return !e.Expires.IsZero() && now.After(e.Expires) }

var (
	// ErrUnknown: there is no key of that fingerprint.
	ErrUnknown = errors.New("no such key")
	// ErrMove: a key cannot go from its state to that one.
	ErrMove = errors.New("the key cannot do that")
	// ErrLast: nothing could be sent any more. Activate another key first.
	ErrLast = errors.New("it is the last active key of its side")
	// ErrSealed: a private key does not open. Another master key, or somebody has
	// changed the file.
	ErrSealed = errors.New("a private key does not open: is the master key another one?")
)

// Keyring is the directory of one integration. Several processes may use it; each
// change takes a lock and is whole or not there.
type Keyring struct {
	dir    string
	seal   sealer
	random io.Reader
}

// New names a directory, which need not exist yet. master is the house's key.
func New(dir string, master [32]byte, random io.Reader) *Keyring {
	return &Keyring{dir: dir, seal: newSealer(master, random), random: random}
}

// Dir is where the keys lie.
func (k *Keyring) Dir() string { return k.dir }

// register is the file that says what each key may do.
type register struct {
	Keys []Entry `json:"keys"`
}

const registerName = "keys.json"

// maxKeys bounds a register: two sides, four states, and a long history.
const maxKeys = 256

// List gives all keys: ours first, each side in the order they were added. No
// directory is no keys.
func (k *Keyring) List() ([]Entry, error) {
	text, err := os.ReadFile(filepath.Join(k.dir, registerName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("register of keys: %w", err)
	}
	var r register
	if err := json.Unmarshal(text, &r); err != nil || len(r.Keys) > maxKeys {
		return nil, fmt.Errorf("register of keys %s: not as `aorta keys google` writes it: %w", filepath.Join(k.dir, registerName), err)
	}
	for _, e := range r.Keys {
		if _, known := moves[e.State]; !known && e.State != Revoked || e.Side != Ours && e.Side != Google || !isFingerprint(e.Fingerprint) {
			return nil, fmt.Errorf("register of keys: an entry %s %s %q", e.Side, e.State, e.Fingerprint)
		}
	}
	slices.SortStableFunc(r.Keys, func(a, b Entry) int {
		if a.Side != b.Side {
			return -strings.Compare(string(a.Side), string(b.Side))
		}
		return a.Added.Compare(b.Added)
	})
	return r.Keys, nil
}

// Create makes a key of ours, pending. name is what Google sees of whose it is.
func (k *Keyring) Create(name string, now time.Time, o pgp.KeyOptions) (Entry, error) {
	made, err := pgp.NewKey(name, now, k.random, o)
	if err != nil {
		return Entry{}, err
	}
	return k.add(made, Ours, now)
}

// Import takes a key in, pending: a public one as Google's, a private one, that
// was made elsewhere, as ours.
func (k *Keyring) Import(text []byte, now time.Time) (Entry, error) {
	read, err := pgp.ReadKey(text)
	if err != nil {
		return Entry{}, err
	}
	if read.Private() {
		return k.add(read, Ours, now)
	}
	return k.add(read, Google, now)
}

func (k *Keyring) add(key pgp.Key, side Side, now time.Time) (Entry, error) {
	e := Entry{
		Fingerprint: key.Fingerprint(), Side: side, State: Pending, Name: key.Name(), Bits: key.Bits(),
		Created: key.Created(), Expires: key.Expires(), Added: now.UTC().Truncate(time.Second),
	}
	if e.Expired(now) {
		return Entry{}, fmt.Errorf("%s expired on %s: ask for a new one", e.Fingerprint, e.Expires.Format(time.DateOnly))
	}
	return e, k.change(func(list []Entry) ([]Entry, error) {
		for _, old := range list {
			if old.Fingerprint == e.Fingerprint {
				return nil, fmt.Errorf("%s is there already, as %s's, %s", e.Fingerprint, old.Side, old.State)
			}
		}
		if len(list) == maxKeys {
			return nil, fmt.Errorf("%d keys are as many as are kept", maxKeys)
		}
		// The keys first: a register never names what is not there.
		if side == Ours {
			private, err := key.ExportPrivate()
			if err != nil {
				return nil, err
			}
			sealed, err := k.seal.seal(private, e.Fingerprint)
			if err != nil {
				return nil, err
			}
			if err := write(k.dir, e.Fingerprint+".key", sealed); err != nil {
				return nil, err
			}
		}
		public, err := key.ExportPublic()
		if err != nil {
			return nil, err
		}
		if err := write(k.dir, e.Fingerprint+".asc", public); err != nil {
			return nil, err
		}
		return append(list, e), nil
	})
}

// Export gives the public half of a key, armored.
func (k *Keyring) Export(fingerprint string) ([]byte, error) {
	e, err := k.find(fingerprint)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(k.dir, e.Fingerprint+".asc"))
	if err != nil {
		return nil, fmt.Errorf("export %s: %w", e.Fingerprint, err)
	}
	return text, nil
}

// Activate lets a key be used in full. For a key of Google's, that is what says
// that its fingerprint was compared, so it must be given whole. With it the
// answers of the redirect page must still fit into a URL whose call-back address
// has that many characters.
func (k *Keyring) Activate(fingerprint string, now time.Time, callback int) (Entry, error) {
	return k.move(fingerprint, Active, now, func(list []Entry, e *Entry) error {
		if e.Expired(now) {
			return fmt.Errorf("%s expired on %s", e.Fingerprint, e.Expires.Format(time.DateOnly))
		}
		e.State, e.Activated = Active, now.UTC().Truncate(time.Second)
		ring, err := k.ring(list)
		if err != nil {
			return err
		}
		if _, err := ring.Fits(now, callback); err != nil && !errors.Is(err, pgp.ErrNoKey) {
			return fmt.Errorf("%s: %w", e.Fingerprint, err)
		}
		return nil
	})
}

// Retire keeps a key for what the other side still sends with it. The last active
// key of a side stays, since nothing could be sent without it.
func (k *Keyring) Retire(fingerprint string, now time.Time) (Entry, error) {
	return k.move(fingerprint, Retiring, now, func(list []Entry, e *Entry) error {
		if !slices.ContainsFunc(list, func(o Entry) bool {
			return o.Side == e.Side && o.State == Active && o.Fingerprint != e.Fingerprint && !o.Expired(now)
		}) {
			return fmt.Errorf("%s: %w", e.Fingerprint, ErrLast)
		}
		e.Retired = now.UTC().Truncate(time.Second)
		return nil
	})
}

// Revoke ends a key at once, whatever follows from it, and deletes its private
// half: for one that somebody else may have, and for one that has retired.
func (k *Keyring) Revoke(fingerprint string, now time.Time) (Entry, error) {
	e, err := k.move(fingerprint, Revoked, now, func(_ []Entry, e *Entry) error {
		e.RevokedAt = now.UTC().Truncate(time.Second)
		return nil
	})
	if err != nil {
		return e, err
	}
	if err := os.Remove(filepath.Join(k.dir, e.Fingerprint+".key")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return e, fmt.Errorf("delete the private key of %s: %w", e.Fingerprint, err)
	}
	return e, nil
}

func (k *Keyring) move(fingerprint string, to State, now time.Time, check func(list []Entry, e *Entry) error) (moved Entry, err error) {
	fingerprint, err = normal(fingerprint)
	if err != nil {
		return Entry{}, err
	}
	err = k.change(func(list []Entry) ([]Entry, error) {
		n := slices.IndexFunc(list, func(e Entry) bool { return e.Fingerprint == fingerprint })
		if n < 0 {
			return nil, fmt.Errorf("%s: %w", fingerprint, ErrUnknown)
		}
		e := &list[n]
		if !slices.Contains(moves[e.State], to) {
			return nil, fmt.Errorf("%s is %s: %w (to be %s)", fingerprint, e.State, ErrMove, to)
		}
		if err := check(list, e); err != nil {
			return nil, err
		}
		e.State = to
		moved = *e
		return list, nil
	})
	return moved, err
}

func (k *Keyring) find(fingerprint string) (Entry, error) {
	fingerprint, err := normal(fingerprint)
	if err != nil {
		return Entry{}, err
	}
	list, err := k.List()
	if err != nil {
		return Entry{}, err
	}
	for _, e := range list {
		if e.Fingerprint == fingerprint {
			return e, nil
		}
	}
	return Entry{}, fmt.Errorf("%s: %w", fingerprint, ErrUnknown)
}

// normal reads a fingerprint as people copy it: with spaces, in small letters.
func normal(text string) (string, error) {
	text = strings.ToUpper(strings.Join(strings.Fields(text), ""))
	if !isFingerprint(text) {
		return "", errors.New("write the whole fingerprint, 40 hexadecimal digits, as aorta keys google list shows it and as the other side says it")
	}
	return text, nil
}

func isFingerprint(text string) bool {
	return len(text) == 40 && strings.Trim(text, "0123456789ABCDEF") == ""
}

// Ring gives what the keys may do now.
func (k *Keyring) Ring() (*pgp.Ring, error) {
	list, err := k.List()
	if err != nil {
		return nil, err
	}
	return k.ring(list)
}

func (k *Keyring) ring(list []Entry) (*pgp.Ring, error) {
	var keys pgp.Keys
	// Who is active for longest is who the other side knows for longest.
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b Entry) int { return a.Activated.Compare(b.Activated) })
	for _, e := range list {
		if e.State == Revoked || e.Side == Google && e.State == Pending {
			continue
		}
		key, err := k.key(e)
		if err != nil {
			return nil, err
		}
		switch {
		case e.Side == Ours:
			keys.Decrypt = append(keys.Decrypt, key)
			if e.State == Active {
				keys.Sign = append(keys.Sign, key)
			}
		default:
			keys.Verify = append(keys.Verify, key)
			if e.State == Active {
				keys.Encrypt = append(keys.Encrypt, key)
			}
		}
	}
	return pgp.NewRing(keys, k.random)
}

// key reads a key and holds it to its entry.
func (k *Keyring) key(e Entry) (pgp.Key, error) {
	name := filepath.Join(k.dir, e.Fingerprint+".asc")
	if e.Side == Ours {
		name = filepath.Join(k.dir, e.Fingerprint+".key")
		info, err := os.Stat(name)
		if err != nil {
			return pgp.Key{}, fmt.Errorf("private key: %w", err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			return pgp.Key{}, fmt.Errorf("private key %s may be read by others: chmod 600 it", name)
		}
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return pgp.Key{}, fmt.Errorf("key: %w", err)
	}
	if e.Side == Ours {
		if text, err = k.seal.open(text, e.Fingerprint); err != nil {
			return pgp.Key{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	key, err := pgp.ReadKey(text)
	if err != nil {
		return pgp.Key{}, fmt.Errorf("%s: %w", name, err)
	}
	if key.Fingerprint() != e.Fingerprint || key.Private() != (e.Side == Ours) {
		return pgp.Key{}, fmt.Errorf("%s holds the key %s", name, key)
	}
	return key, nil
}

// change reads the register, lets fn make another of it, and writes that, under
// a lock.
func (k *Keyring) change(fn func([]Entry) ([]Entry, error)) error {
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return fmt.Errorf("directory of keys: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(k.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("directory of keys: %w", err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock of the keys: %w", err)
	}
	list, err := k.List()
	if err != nil {
		return err
	}
	if list, err = fn(list); err != nil {
		return err
	}
	text, err := json.MarshalIndent(register{list}, "", "  ")
	if err != nil {
		return fmt.Errorf("register of keys: %w", err)
	}
	return write(k.dir, registerName, append(text, '\n'))
}

// write puts a file in its place, whole or not at all, and on the disk.
func write(dir, name string, text []byte) error {
	temporary, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(text)
	if err := errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.Rename(temporary.Name(), filepath.Join(dir, name)); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return errors.Join(d.Sync(), d.Close())
}
