package keyring_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aorta/internal/google/keyring"
	"aorta/internal/pgp"

	"golang.org/x/sys/unix"
)

var (
	master = [32]byte{1, 2, 3}
	now    = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
)

func vector(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "pgp", "testdata", "pgp", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func newKeyring(t testing.TB) *keyring.Keyring {
	t.Helper()
	return keyring.New(filepath.Join(t.TempDir(), "google", "main"), master, rand.Reader)
}

// imported takes a key of the vectors in.
func imported(t testing.TB, k *keyring.Keyring, name string) string {
	t.Helper()
	e, err := k.Import(vector(t, name), now)
	if err != nil || e.State != keyring.Pending {
		t.Fatalf("Import(%s) = %+v, %v", name, e, err)
	}
	return e.Fingerprint
}

// peer is the Google of the vectors, or another.
func peer(t testing.TB, name, ours string) *pgp.Ring {
	t.Helper()
	theirs, err := pgp.ReadKey(vector(t, name))
	if err != nil {
		t.Fatal(err)
	}
	us, err := pgp.ReadKey(vector(t, ours))
	if err != nil {
		t.Fatal(err)
	}
	r, err := pgp.NewRing(pgp.Keys{Decrypt: []pgp.Key{theirs}, Sign: []pgp.Key{theirs}, Verify: []pgp.Key{us}, Encrypt: []pgp.Key{us}}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// speaks says what works between the keyring and a Google: "r" it reads what
// Google writes, "w" Google reads what it writes.
func speaks(t testing.TB, k *keyring.Keyring, google *pgp.Ring) (can string) {
	t.Helper()
	r, err := k.Ring()
	if err != nil {
		t.Fatalf("Ring: %v", err)
	}
	text, err := google.Seal([]byte("{}"), now, pgp.Form{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Open(text, now); err == nil {
		can += "r"
	}
	if text, err = r.Seal([]byte("{}"), now, pgp.Form{}); err == nil {
		if _, err := google.Open(text, now); err == nil {
			can += "w"
		}
	}
	return can
}

const callback = 256

// TestCeremony goes through all that happens to keys, and tries at each step what
// they can do (section 2.3).
func TestCeremony(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	google := peer(t, "google-side-secret.asc", "integrator-public.asc")
	after := func(step, want string) {
		t.Helper()
		if got := speaks(t, k, google); got != want {
			t.Errorf("after %s: %q works, want %q", step, got, want)
		}
	}
	after("nothing", "")
	ours := imported(t, k, "integrator-secret.asc")
	theirs := imported(t, k, "google-side-public.asc")
	after("import", "")
	do := func(what string, e keyring.Entry, err error) keyring.Entry {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		return e
	}
	e, err := k.Activate(theirs, now, callback)
	do("activate Google's", e, err)
	after("activating Google's", "r") // our pending key decrypts, and does not sign
	e, err = k.Activate(strings.ToLower(ours[:20])+" "+ours[20:], now, callback)
	if do("activate ours", e, err); e.State != keyring.Active || !e.Activated.Equal(now) {
		t.Errorf("activated: %+v", e)
	}
	after("activating both", "rw")

	next := imported(t, k, "integrator-next-secret.asc")
	renewed := peer(t, "google-side-secret.asc", "integrator-next-public.asc")
	if got := speaks(t, k, renewed); got != "r" {
		t.Errorf("a new key of ours does %q before it is active, want %q", got, "r")
	}
	if _, err := k.Retire(ours, now); !errors.Is(err, keyring.ErrLast) {
		t.Errorf("retire the last: %v, want ErrLast", err)
	}
	e, err = k.Activate(next, now.Add(time.Hour), callback)
	do("activate the next", e, err)
	if got := speaks(t, k, renewed) + speaks(t, k, google); got != "rwrw" {
		t.Errorf("during the exchange %q works, want all with both", got)
	}
	e, err = k.Retire(ours, now)
	do("retire ours", e, err)
	after("retiring ours", "r") // what is on its way is still read
	if got := speaks(t, k, renewed); got != "rw" {
		t.Errorf("after the exchange %q works", got)
	}
	e, err = k.Revoke(ours, now)
	do("revoke ours", e, err)
	after("revoking ours", "")
	if _, err := os.Stat(filepath.Join(k.Dir(), ours+".key")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the private half of a revoked key is there: %v", err)
	}
	if got := speaks(t, k, renewed); got != "rw" {
		t.Errorf("the others do %q", got)
	}

	stranger := imported(t, k, "unknown-signer-public.asc")
	strange := peer(t, "unknown-signer-secret.asc", "integrator-next-public.asc")
	if got := speaks(t, k, strange); got != "" {
		t.Errorf("a key of Google's does %q before its fingerprint was compared", got)
	}
	e, err = k.Activate(stranger, now, callback)
	do("activate", e, err)
	if got := speaks(t, k, strange); got != "rw" {
		t.Errorf("then it does %q", got)
	}
	e, err = k.Retire(stranger, now)
	do("retire", e, err)
	if got := speaks(t, k, strange); got != "r" {
		t.Errorf("retired it does %q", got)
	}
	list, err := k.List()
	if err != nil || len(list) != 4 || list[0].Side != keyring.Ours || list[3].Side != keyring.Google {
		t.Errorf("List() = %+v, %v", list, err)
	}
}

// TestMoves: a key never goes back, and is never there twice.
func TestMoves(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	f := imported(t, k, "integrator-secret.asc")
	if _, err := k.Import(vector(t, "integrator-public.asc"), now); err == nil {
		t.Error("our own public key was imported as Google's")
	}
	if _, err := k.Retire(f, now); !errors.Is(err, keyring.ErrMove) {
		t.Errorf("retire a pending key: %v, want ErrMove", err)
	}
	if _, err := k.Revoke(f, now); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Activate(f, now, callback); !errors.Is(err, keyring.ErrMove) {
		t.Errorf("activate a revoked key: %v, want ErrMove", err)
	}
	if _, err := k.Import(vector(t, "integrator-secret.asc"), now); err == nil {
		t.Error("a revoked key was imported again")
	}
	for _, name := range []string{"", f[:16], f + "0", strings.Repeat("Z", 40), "../../etc/passwd"} {
		if _, err := k.Activate(name, now, callback); err == nil || errors.Is(err, keyring.ErrUnknown) {
			t.Errorf("Activate(%q) = %v", name, err)
		}
	}
	if _, err := k.Activate(strings.Repeat("A", 40), now, callback); !errors.Is(err, keyring.ErrUnknown) {
		t.Errorf("an unknown one: %v", err)
	}
}

// TestCreate: what we make is exported to the other side without its private
// half, and cannot be activated after its time.
func TestCreate(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	e, err := k.Create("Aorta", now, pgp.KeyOptions{Life: 48 * time.Hour})
	if err != nil || e.Name != "Aorta" || e.Bits != 2048 || !e.Expires.Equal(now.Add(48*time.Hour)) {
		t.Fatalf("Create() = %+v, %v", e, err)
	}
	text, err := k.Export(e.Fingerprint)
	if err != nil || bytes.Contains(text, []byte("PRIVATE")) {
		t.Errorf("Export() = %s, %v", text, err)
	}
	if public, err := pgp.ReadKey(text); err != nil || public.Fingerprint() != e.Fingerprint {
		t.Errorf("exported: %s, %v", public, err)
	}
	if _, err := k.Activate(e.Fingerprint, now.Add(49*time.Hour), callback); err == nil {
		t.Error("an expired key was activated")
	}
	if _, err := k.Import(text, now.Add(49*time.Hour)); err == nil {
		t.Error("an expired key was imported")
	}
	if _, err := k.Import(vector(t, "google-side-public.asc"), now); err != nil {
		t.Fatal(err)
	}
	list, _ := k.List()
	if _, err := k.Activate(list[1].Fingerprint, now, callback); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Activate(e.Fingerprint, now, 1200); !errors.Is(err, pgp.ErrKey) {
		t.Errorf("a key whose answers do not fit into a URL: %v, want ErrKey", err)
	}
	if list, _ = k.List(); list[0].State != keyring.Pending {
		t.Errorf("after that it is %s", list[0].State)
	}
	if _, err := k.Activate(e.Fingerprint, now, callback); err != nil {
		t.Error(err)
	}
}

// TestAtRest: what lies on the disk opens nothing without the master key, and not
// under another name; and is for nobody else's eyes.
func TestAtRest(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	a, b := imported(t, k, "integrator-secret.asc"), imported(t, k, "integrator-next-secret.asc")
	err := filepath.WalkDir(k.Dir(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %s, %v", path, info.Mode(), err)
		}
		if d.IsDir() {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil || bytes.Contains(text, []byte("PRIVATE KEY")) {
			t.Errorf("%s holds a private key, %v", path, err)
		}
		if _, err := pgp.ReadKey(text); err == nil && strings.HasSuffix(path, ".key") {
			t.Errorf("%s is a key as it lies there", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.New(k.Dir(), [32]byte{9}, rand.Reader).Ring(); !errors.Is(err, keyring.ErrSealed) {
		t.Errorf("with another master key: %v, want ErrSealed", err)
	}
	one, two := filepath.Join(k.Dir(), a+".key"), filepath.Join(k.Dir(), b+".key")
	text, err := os.ReadFile(one)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(two, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Ring(); !errors.Is(err, keyring.ErrSealed) {
		t.Errorf("one key under the name of another: %v, want ErrSealed", err)
	}
	if err := os.Chmod(one, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Ring(); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others may read: %v", err)
	}
}

// TestRegister: a file that the ceremony has not written is an error, not a key.
func TestRegister(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	f := imported(t, k, "google-side-public.asc")
	path := filepath.Join(k.Dir(), "keys.json")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"half":           string(good[:len(good)/2]),
		"another state":  strings.Replace(string(good), `"pending"`, `"trusted"`, 1),
		"another side":   strings.Replace(string(good), `"google"`, `"both"`, 1),
		"a path":         strings.Replace(string(good), f, "../"+f[3:], 1),
		"ours, not here": strings.Replace(string(good), `"google"`, `"ours"`, 1),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Ring(); err == nil {
			t.Errorf("%s: the register was read", name)
		}
	}
	// A key of Google's that somebody has exchanged for another one.
	active := strings.Replace(string(good), `"pending"`, `"active"`, 1)
	if err := os.WriteFile(path, []byte(active), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(k.Dir(), f+".asc"), vector(t, "unknown-signer-public.asc"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Ring(); err == nil {
		t.Error("another key in the place of Google's was taken")
	}
}

// TestTogether: two operators at once lose nothing, since each change waits for
// the one before it.
func TestTogether(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	imported(t, k, "integrator-secret.asc")
	lock, err := os.OpenFile(filepath.Join(k.Dir(), "lock"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	var ended atomic.Int64
	var all sync.WaitGroup
	for _, name := range []string{"integrator-next-secret.asc", "google-side-public.asc", "unknown-signer-public.asc"} {
		all.Go(func() {
			if _, err := keyring.New(k.Dir(), master, rand.Reader).Import(vector(t, name), now); err != nil {
				t.Error(err)
			}
			ended.Add(1)
		})
	}
	time.Sleep(300 * time.Millisecond)
	if n := ended.Load(); n != 0 {
		t.Errorf("%d changes did not wait for the one under way", n)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	if list, err := k.List(); err != nil || len(list) != 4 {
		t.Errorf("%d keys, %v", len(list), err)
	}
}

// TestWarnings: 60, 30 and 7 days before the end, and after it (section 2.3).
func TestWarnings(t *testing.T) {
	t.Parallel()
	entry := func(side keyring.Side, state keyring.State, days int) keyring.Entry {
		e := keyring.Entry{Fingerprint: strings.Repeat("A", 40), Side: side, State: state, Created: now.AddDate(0, 0, -300), Activated: now}
		if days != 0 {
			e.Expires = now.AddDate(0, 0, days)
		}
		return e
	}
	good := entry(keyring.Google, keyring.Active, 61)
	for _, tt := range []struct {
		name  string
		list  []keyring.Entry
		want  []string
		fatal int
	}{
		{name: "none", want: []string{"no key of ours", "no key of Google's"}, fatal: 2},
		{name: "all well", list: []keyring.Entry{entry(keyring.Ours, keyring.Active, 61), good}},
		{name: "two months", list: []keyring.Entry{entry(keyring.Ours, keyring.Active, 60), good}, want: []string{"our key"}},
		{name: "a month", list: []keyring.Entry{entry(keyring.Ours, keyring.Active, 30), good}, want: []string{"within a month"}},
		{name: "a week", list: []keyring.Entry{entry(keyring.Ours, keyring.Active, 7), good}, want: []string{"ALARM: within a week"}},
		{name: "over", list: []keyring.Entry{entry(keyring.Ours, keyring.Active, -1), good}, want: []string{"expired on", "no key of ours"}, fatal: 1},
		{name: "for ever", list: []keyring.Entry{entry(keyring.Ours, keyring.Active, 0), good}, want: []string{"never expires"}},
		{name: "too long", list: []keyring.Entry{entry(keyring.Ours, keyring.Active, 1000), good}, want: []string{"longer than two years"}},
		{name: "pending alone", list: []keyring.Entry{entry(keyring.Ours, keyring.Pending, 61), good}, want: []string{"no key of ours"}, fatal: 1},
		{name: "who has retired is of no matter", list: []keyring.Entry{entry(keyring.Ours, keyring.Retiring, -5), entry(keyring.Ours, keyring.Revoked, -5), entry(keyring.Ours, keyring.Active, 100), good}},
	} {
		got, fatal := keyring.Warnings(tt.list, now), 0
		for n, w := range got {
			if w.Fatal {
				fatal++
			}
			if n < len(tt.want) && !strings.Contains(w.Found, tt.want[n]) || w.ToDo == "" {
				t.Errorf("%s: %+v", tt.name, w)
			}
		}
		if len(got) != len(tt.want) || fatal != tt.fatal {
			t.Errorf("%s: %+v, want %d, %d of them fatal", tt.name, got, len(tt.want), tt.fatal)
		}
	}
}

// TestLive: keys change under a server that runs, and a broken register changes
// nothing.
func TestLive(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	log := &lockedLog{}
	live, err := k.Watch("main", slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		live.Run(ctx, func() time.Time { return now })
	}()
	defer func() { stop(); <-ended }()
	if _, err := live.Ring().Seal([]byte("{}"), now, pgp.Form{}); !errors.Is(err, pgp.ErrNoKey) {
		t.Errorf("without keys: %v, want ErrNoKey", err)
	}
	for _, name := range []string{"integrator-secret.asc", "google-side-public.asc"} {
		if _, err := k.Activate(imported(t, k, name), now, callback); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the keys are in use", func() bool {
		_, err := live.Ring().Seal([]byte("{}"), now, pgp.Form{})
		return err == nil
	})
	eventually(t, "warnings are told", func() bool { return strings.Contains(log.text(), "never expires") })
	if err := os.WriteFile(filepath.Join(k.Dir(), "keys.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "that it is broken is told", func() bool { return strings.Contains(log.text(), "ALARM") })
	if _, err := live.Ring().Seal([]byte("{}"), now, pgp.Form{}); err != nil {
		t.Errorf("with a broken register: %v", err)
	}
	if _, err := k.Watch("main", slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a server starts with a broken register")
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come that %s", what)
		}
	}
}

// lockedLog is written to and read at once.
type lockedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
