package people_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/google"
	"aorta/internal/google/people"

	"github.com/fxamacker/cbor/v2"
)

// file is people of a file, and a clock.
type file struct {
	*people.People
	path string
	now  time.Time
}

func newFile(t *testing.T) *file {
	t.Helper()
	f := &file{path: filepath.Join(t.TempDir(), "people.json"), now: time.Unix(1_767_323_045, 0)}
	f.open(t)
	for name, customer := range map[string]string{"demo": "demo-customer", "asha": "demo-asha"} {
		if err := f.Put(name, customer, name+"-secret"); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func (f *file) open(t *testing.T) {
	t.Helper()
	var err error
	if f.People, err = people.Open(f.path, people.Options{House: "Aorta", Now: func() time.Time { return f.now }, Random: rand.Reader}); err != nil {
		t.Fatal(err)
	}
}

func said(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

const here = "http://localhost:8080"

func TestPasswords(t *testing.T) {
	t.Parallel()
	f := newFile(t)
	visit := google.Visit{Origin: here, IP: "192.0.2.1"}
	who, err := f.End(t.Context(), visit, said("name", "demo", "password", "demo-secret"))
	if err != nil || who != (google.Person{CustomerID: "demo-customer", How: "password"}) {
		t.Fatalf("%+v, %v", who, err)
	}
	for _, v := range []url.Values{
		said("name", "demo", "password", "asha-secret"), said("name", "demo"), said("name", "nobody", "password", "demo-secret"), said(), said("name", "demo", "password", strings.Repeat("x", 300)),
	} {
		if who, err := f.End(t.Context(), visit, v); !errors.Is(err, google.ErrWrong) {
			t.Errorf("%v: %+v, %v", v, who, err)
		}
	}
	// A new password takes the old one's place, also in the file.
	if err := f.Put("demo", "demo-customer", "another"); err != nil {
		t.Fatal(err)
	}
	f.open(t)
	if _, err := f.End(t.Context(), visit, said("name", "demo", "password", "demo-secret")); !errors.Is(err, google.ErrWrong) {
		t.Errorf("the old password: %v", err)
	}
	if _, err := f.End(t.Context(), visit, said("name", "demo", "password", "another")); err != nil {
		t.Errorf("the new password: %v", err)
	}
	text, err := os.ReadFile(f.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"demo-secret", "asha-secret", "another"} {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("the file has %q", secret)
		}
	}
	if info, err := os.Stat(f.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v (%v)", info.Mode(), err)
	}
	if !f.Has("asha") || f.Has("nobody") {
		t.Error("who is there is not known")
	}
}

func TestGuesses(t *testing.T) {
	t.Parallel()
	f := newFile(t)
	try := func(ip, name, password string) error {
		_, err := f.End(t.Context(), google.Visit{Origin: here, IP: ip}, said("name", name, "password", password))
		return err
	}
	// Five wrong ones lock a name for everybody, but nobody else.
	for n := range 5 {
		if err := try(fmt.Sprintf("192.0.2.%d", n), "demo", "x"); !errors.Is(err, google.ErrWrong) {
			t.Fatalf("guess %d: %v", n, err)
		}
	}
	if err := try("192.0.2.9", "demo", "demo-secret"); !errors.Is(err, google.ErrTooOften) {
		t.Errorf("the sixth, right one: %v", err)
	}
	if err := try("192.0.2.9", "asha", "asha-secret"); err != nil {
		t.Errorf("another name: %v", err)
	}
	f.now = f.now.Add(15 * time.Minute)
	if err := try("192.0.2.9", "demo", "demo-secret"); err != nil {
		t.Errorf("a quarter of an hour later: %v", err)
	}
	// Whoever knows the password has not guessed.
	for range 12 {
		for range 4 {
			_ = try("192.0.2.10", "demo", "x")
		}
		f.now = f.now.Add(2 * time.Minute) // or the address would be full
		if err := try("192.0.2.11", "demo", "demo-secret"); err != nil {
			t.Fatalf("after four wrong ones: %v", err)
		}
		if f.now.Minute()%14 == 0 {
			f.now = f.now.Add(15 * time.Minute)
		}
	}
	f.now = f.now.Add(15 * time.Minute)
	// Names that nobody has are counted by address; of IPv6 by network.
	var wg sync.WaitGroup
	for n := range 30 {
		wg.Go(func() { _ = try(fmt.Sprintf("2001:db8::%x", n), fmt.Sprintf("nobody-%d", n), "x") })
	}
	wg.Wait()
	if err := try("2001:db8::ffff", "asha", "asha-secret"); !errors.Is(err, google.ErrTooOften) {
		t.Errorf("the same network: %v", err)
	}
	if err := try("2001:db8:1::1", "asha", "asha-secret"); err != nil {
		t.Errorf("another network: %v", err)
	}
}

// key is a passkey as a browser has one.
type key struct {
	id      []byte
	private *ecdsa.PrivateKey
	handle  []byte
	count   uint32
}

var b64 = base64.RawURLEncoding

func newKey(t *testing.T) *key {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &key{id: []byte(rand.Text()), private: k}
}

// data is authenticator data of a site: present, verified, with a count.
func (k *key) data(site string, flags byte, more []byte) []byte {
	hash := sha256.Sum256([]byte(site))
	out := append(hash[:], flags)
	out = binary.BigEndian.AppendUint32(out, k.count)
	return append(out, more...)
}

func clientData(kind, challenge, origin string) []byte {
	text, _ := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": false})
	return text
}

type options struct {
	PublicKey struct {
		Challenge string
		RPID      string `json:"rpId"`
		RP        struct{ ID string }
		User      struct{ ID string }
	}
}

func read(t *testing.T, step google.Step) options {
	t.Helper()
	var o options
	if err := json.Unmarshal([]byte(step.Passkey), &o); err != nil {
		t.Fatalf("options %q: %v", step.Passkey, err)
	}
	return o
}

// create answers navigator.credentials.create().
func (k *key) create(t *testing.T, o options, origin string) string {
	t.Helper()
	var err error
	if k.handle, err = b64.DecodeString(o.PublicKey.User.ID); err != nil {
		t.Fatal(err)
	}
	point, err := k.private.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	public, err := cbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
	if err != nil {
		t.Fatal(err)
	}
	attested := make([]byte, 16)
	attested = binary.BigEndian.AppendUint16(attested, uint16(len(k.id)))
	attested = append(append(attested, k.id...), public...)
	object, err := cbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": k.data(o.PublicKey.RP.ID, 0x45, attested)})
	if err != nil {
		t.Fatal(err)
	}
	return k.credential(t, map[string]any{
		"clientDataJSON": b64.EncodeToString(clientData("webauthn.create", o.PublicKey.Challenge, origin)), "attestationObject": b64.EncodeToString(object),
	})
}

// get answers navigator.credentials.get().
func (k *key) get(t *testing.T, o options, origin string, flags byte) string {
	t.Helper()
	k.count++
	data, client := k.data(o.PublicKey.RPID, flags, nil), clientData("webauthn.get", o.PublicKey.Challenge, origin)
	hash := sha256.Sum256(client)
	digest := sha256.Sum256(append(bytes.Clone(data), hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, k.private, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return k.credential(t, map[string]any{
		"clientDataJSON": b64.EncodeToString(client), "authenticatorData": b64.EncodeToString(data), "signature": b64.EncodeToString(signature),
		"userHandle": b64.EncodeToString(k.handle),
	})
}

func (k *key) credential(t *testing.T, response map[string]any) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"id": b64.EncodeToString(k.id), "rawId": b64.EncodeToString(k.id), "type": "public-key", "response": response, "clientExtensionResults": map[string]any{}})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const verified = 0x05 // present and verified

func TestPasskeys(t *testing.T) {
	t.Parallel()
	f := newFile(t)
	visit, demo := google.Visit{Origin: here, IP: "192.0.2.1"}, google.Person{CustomerID: "demo-customer", How: "password"}
	k := newKey(t)
	step, err := f.BeginEnroll(t.Context(), visit, demo)
	if err != nil {
		t.Fatal(err)
	}
	with := func(step google.Step) google.Visit { v := visit; v.Memory = step.Memory; return v }
	if err := f.EndEnroll(t.Context(), with(step), demo, said("credential", k.create(t, read(t, step), "https://evil.example"))); !errors.Is(err, google.ErrWrong) {
		t.Errorf("made at another site: %v", err)
	}
	made := k.create(t, read(t, step), here)
	if err := f.EndEnroll(t.Context(), visit, demo, said("credential", made)); !errors.Is(err, google.ErrWrong) {
		t.Errorf("made without being asked for: %v", err)
	}
	if err := f.EndEnroll(t.Context(), with(step), demo, said("credential", made)); err != nil {
		t.Fatal(err)
	}
	if err := f.EndEnroll(t.Context(), with(step), google.Person{CustomerID: "demo-asha"}, said("credential", made)); !errors.Is(err, google.ErrWrong) {
		t.Errorf("somebody else's: %v", err)
	}
	f.open(t) // from the file
	begin := func() google.Step {
		step, err := f.Begin(t.Context(), visit)
		if err != nil || step.Passkey == "" {
			t.Fatalf("%+v, %v", step, err)
		}
		return step
	}
	step = begin()
	answer := k.get(t, read(t, step), here, verified)
	who, err := f.End(t.Context(), with(step), said("credential", answer))
	if err != nil || who != (google.Person{CustomerID: "demo-customer", How: "passkey"}) {
		t.Fatalf("%+v, %v", who, err)
	}
	strange := newKey(t)
	strange.handle = k.handle
	nobody := newKey(t)
	nobody.handle = []byte("nobody")
	for name, sent := range map[string]string{
		"the same answer to another question": answer,
		"at another site":                     k.get(t, read(t, step), "https://evil.example", verified),
		"nobody has verified who presses":     k.get(t, read(t, step), here, 0x01),
		"a key that was never kept":           strange.get(t, read(t, step), here, verified),
		"somebody who is not there":           nobody.get(t, read(t, step), here, verified),
		"no JSON":                             "{",
		"too long":                            strings.Repeat(" ", 20_000),
	} {
		at := with(step)
		if name == "the same answer to another question" {
			at = with(begin())
		}
		if who, err := f.End(t.Context(), at, said("credential", sent)); !errors.Is(err, google.ErrWrong) {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
	}
	// A copy of the key would count from where it was copied.
	k.count = 0
	step = begin()
	if _, err := f.End(t.Context(), with(step), said("credential", k.get(t, read(t, step), here, verified))); !errors.Is(err, google.ErrWrong) {
		t.Errorf("a copied key: %v", err)
	}
	// Passkeys are of a name: an address has none.
	if step, err := f.Begin(t.Context(), google.Visit{Origin: "http://127.0.0.1:8080"}); err != nil || step != (google.Step{}) {
		t.Errorf("at an address: %+v, %v", step, err)
	}
	if err := f.Put("demo", "demo-customer", "new"); err != nil {
		t.Fatal(err)
	}
	k.count = 10
	step = begin()
	if _, err := f.End(t.Context(), with(step), said("credential", k.get(t, read(t, step), here, verified))); err != nil {
		t.Errorf("after a new password: %v", err)
	}
}
