// Package people knows customers by a password and by passkeys, for demos and trials:
// a house has a login of its own, which package login leads to.
//
// Everything is in one file, written anew in whole at each change: a few people, by
// name, with the customer whose wallet is theirs. Of passwords it holds argon2id
// hashes, of passkeys what their browsers gave out. It is one process's: two that
// share the file would forget each other's passkeys (docs/decisions/030).
//
// Guesses are counted in memory, by name and by address, so that a restart forgets
// them; whoever guesses cannot restart us.
package people

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"aorta/internal/google"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"golang.org/x/crypto/argon2"
)

// Options are what People must be given.
type Options struct {
	House  string // its name, as browsers show it beside a passkey
	Now    func() time.Time
	Random io.Reader
}

// People are those of one file. It is a google.SignIn and a google.Enroller.
type People struct {
	opts    Options
	path    string
	hashing chan struct{} // bounds the memory of argon2id
	guesses guesses

	mu  sync.Mutex
	all []person
}

// person is one of them, as the file has it.
type person struct {
	Name       string                `json:"name"`        // that they sign in with
	CustomerID string                `json:"customer_id"` // the merchant's name of them
	Handle     []byte                `json:"handle"`      // by which a passkey knows them
	Salt       []byte                `json:"salt"`
	Hash       []byte                `json:"hash"`
	Passkeys   []webauthn.Credential `json:"passkeys,omitempty"`
}

// Of argon2id: OWASP's 19 MiB and two passes.
const (
	hashPasses   = 2
	hashKiB      = 19 * 1024
	hashLength   = 32
	hashesAtOnce = 2
)

// Bounds.
const (
	maxPasskeys = 10 // of one person
	maxPassword = 255
	maxPasskey  = 16 << 10 // bytes of what a browser gives out
)

// Open reads the file; one that is not there is empty.
func Open(path string, o Options) (*People, error) {
	p := &People{opts: o, path: path, hashing: make(chan struct{}, hashesAtOnce)}
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return p, nil
	case err != nil:
		return nil, fmt.Errorf("people: %w", err)
	}
	if err := json.Unmarshal(text, &p.all); err != nil {
		return nil, fmt.Errorf("people: %s: %w", path, err)
	}
	return p, nil
}

// Put adds somebody, or gives them a new password; their passkeys stay.
func (p *People) Put(name, customerID, password string) error {
	entry := person{Name: name, CustomerID: customerID, Handle: make([]byte, 32), Salt: make([]byte, 16)}
	for _, b := range [][]byte{entry.Handle, entry.Salt} {
		if _, err := io.ReadFull(p.opts.Random, b); err != nil {
			return fmt.Errorf("people: randomness: %w", err)
		}
	}
	entry.Hash = p.hash(password, entry.Salt)
	p.mu.Lock()
	defer p.mu.Unlock()
	for n, known := range p.all {
		if known.Name == name {
			entry.Handle, entry.Passkeys = known.Handle, known.Passkeys
			p.all[n] = entry
			return p.write()
		}
	}
	p.all = append(p.all, entry)
	return p.write()
}

// Has reports whether somebody has that name.
func (p *People) Has(name string) bool {
	_, ok := p.find(func(x person) bool { return x.Name == name })
	return ok
}

// write replaces the file in one step. p.mu is held.
func (p *People) write() error {
	text, err := json.MarshalIndent(p.all, "", "  ")
	if err != nil {
		return fmt.Errorf("people: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(p.path), filepath.Base(p.path)+".*")
	if err != nil {
		return fmt.Errorf("people: %w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), p.path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("people: %w", err)
	}
	return nil
}

func (p *People) find(is func(person) bool) (person, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range p.all {
		if is(x) {
			return x, true
		}
	}
	return person{}, false
}

func (p *People) hash(password string, salt []byte) []byte {
	p.hashing <- struct{}{}
	defer func() { <-p.hashing }()
	return argon2.IDKey([]byte(password), salt, hashPasses, hashKiB, 1, hashLength)
}

// Begin offers the form, and a passkey where the page's origin can have some: passkeys
// are of a name, so a page at an address such as 127.0.0.1 has none.
func (p *People) Begin(_ context.Context, v google.Visit) (google.Step, error) {
	party, ok, err := p.party(v.Origin)
	if err != nil || !ok {
		return google.Step{}, err
	}
	options, session, err := party.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return google.Step{}, fmt.Errorf("begin a passkey: %w", err)
	}
	return stepOf(options, session)
}

func stepOf(options any, session *webauthn.SessionData) (google.Step, error) {
	shown, err := json.Marshal(options)
	if err != nil {
		return google.Step{}, fmt.Errorf("options of a passkey: %w", err)
	}
	kept, err := json.Marshal(session)
	if err != nil {
		return google.Step{}, fmt.Errorf("session of a passkey: %w", err)
	}
	return google.Step{Passkey: string(shown), Memory: string(kept)}, nil
}

// party is who passkeys are made for at an origin; false where there can be none.
func (p *People) party(origin string) (*webauthn.WebAuthn, bool, error) {
	u, err := url.Parse(origin)
	if err != nil || u.Hostname() == "" {
		return nil, false, fmt.Errorf("passkeys: %q is no origin", origin)
	}
	if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		return nil, false, nil
	}
	party, err := webauthn.New(&webauthn.Config{RPID: u.Hostname(), RPDisplayName: p.opts.House, RPOrigins: []string{origin}})
	if err != nil {
		return nil, false, fmt.Errorf("passkeys: %w", err)
	}
	return party, true, nil
}

// End knows a person by the form's name and password, or by a passkey's credential.
func (p *People) End(_ context.Context, v google.Visit, brought url.Values) (google.Person, error) {
	now := p.opts.Now()
	name := brought.Get("name")
	known, there := p.find(func(x person) bool { return x.Name == name })
	counted := []string{"from " + network(v.IP)}
	if there && !brought.Has("credential") {
		counted = append(counted, "as "+name) // names that nobody has are counted by address alone: there are too many of them
	}
	if !p.guesses.allow(now, counted...) {
		return google.Person{}, google.ErrTooOften
	}
	var who google.Person
	var err error
	if brought.Has("credential") {
		who, err = p.byPasskey(v, brought.Get("credential"))
	} else {
		who, err = p.byPassword(known, there, brought.Get("password"))
	}
	if errors.Is(err, google.ErrWrong) {
		p.guesses.wrong(now, counted...)
	}
	if err == nil {
		p.guesses.forget(counted[1:]...)
	}
	return who, err
}

// byPassword takes as long for a name that nobody has.
func (p *People) byPassword(known person, there bool, password string) (google.Person, error) {
	if !there {
		known.Salt, known.Hash = make([]byte, 16), make([]byte, hashLength)
	}
	if len(password) > maxPassword {
		return google.Person{}, google.ErrWrong
	}
	if same := subtle.ConstantTimeCompare(p.hash(password, known.Salt), known.Hash) == 1; !same || !there {
		return google.Person{}, google.ErrWrong
	}
	return google.Person{CustomerID: known.CustomerID, How: "password"}, nil
}

// account is a person as the library wants one.
type account struct{ person }

func (a account) WebAuthnID() []byte                         { return a.Handle }
func (a account) WebAuthnName() string                       { return a.Name }
func (a account) WebAuthnDisplayName() string                { return a.Name }
func (a account) WebAuthnCredentials() []webauthn.Credential { return a.Passkeys }

func (p *People) byPasskey(v google.Visit, credential string) (google.Person, error) {
	party, session, err := p.ceremony(v, credential)
	if err != nil {
		return google.Person{}, err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes([]byte(credential))
	if err != nil {
		return google.Person{}, fmt.Errorf("%w: %w", google.ErrWrong, err)
	}
	user, used, err := party.ValidatePasskeyLogin(func(_, handle []byte) (webauthn.User, error) {
		x, ok := p.find(func(x person) bool { return subtle.ConstantTimeCompare(x.Handle, handle) == 1 })
		if !ok {
			return nil, google.ErrWrong
		}
		return account{x}, nil
	}, session, parsed)
	if err != nil {
		return google.Person{}, fmt.Errorf("%w: %w", google.ErrWrong, err)
	}
	if used.Authenticator.CloneWarning {
		return google.Person{}, fmt.Errorf("%w: the passkey was copied", google.ErrWrong)
	}
	known := user.(account).person
	return google.Person{CustomerID: known.CustomerID, How: "passkey"}, p.keep(known.Name, *used)
}

// ceremony finds what one was begun with.
func (p *People) ceremony(v google.Visit, credential string) (*webauthn.WebAuthn, webauthn.SessionData, error) {
	var session webauthn.SessionData
	party, ok, err := p.party(v.Origin)
	if err != nil {
		return nil, session, err
	}
	if !ok || len(credential) > maxPasskey || json.Unmarshal([]byte(v.Memory), &session) != nil || session.Challenge == "" {
		return nil, session, fmt.Errorf("%w: no passkey was asked for", google.ErrWrong)
	}
	return party, session, nil
}

// keep writes what has changed of a passkey, or a new one.
func (p *People) keep(name string, c webauthn.Credential) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n, x := range p.all {
		if x.Name != name {
			continue
		}
		list := append([]webauthn.Credential(nil), x.Passkeys...)
		for i := range list {
			if subtle.ConstantTimeCompare(list[i].ID, c.ID) == 1 {
				list[i] = c
				p.all[n].Passkeys = list
				return p.write()
			}
		}
		if len(list) >= maxPasskeys {
			return fmt.Errorf("%w: %d passkeys are enough", google.ErrWrong, maxPasskeys)
		}
		p.all[n].Passkeys = append(list, c)
		return p.write()
	}
	return google.ErrWrong
}

// BeginEnroll offers to make a passkey.
func (p *People) BeginEnroll(_ context.Context, v google.Visit, who google.Person) (google.Step, error) {
	known, there := p.find(func(x person) bool { return x.CustomerID == who.CustomerID })
	party, ok, err := p.party(v.Origin)
	if err != nil || !ok || !there || len(known.Passkeys) >= maxPasskeys {
		return google.Step{}, err
	}
	var mine []protocol.CredentialDescriptor
	for _, c := range known.Passkeys {
		mine = append(mine, c.Descriptor())
	}
	options, session, err := party.BeginRegistration(account{known}, webauthn.WithExclusions(mine),
		webauthn.WithAuthenticatorSelection(protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, UserVerification: protocol.VerificationRequired,
		}), webauthn.WithConveyancePreference(protocol.PreferNoAttestation))
	if err != nil {
		return google.Step{}, fmt.Errorf("begin to make a passkey: %w", err)
	}
	return stepOf(options, session)
}

// EndEnroll keeps the passkey that a browser has made.
func (p *People) EndEnroll(_ context.Context, v google.Visit, who google.Person, brought url.Values) error {
	known, there := p.find(func(x person) bool { return x.CustomerID == who.CustomerID })
	party, session, err := p.ceremony(v, brought.Get("credential"))
	if err != nil || !there {
		return errors.Join(err, google.ErrWrong)
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes([]byte(brought.Get("credential")))
	if err != nil {
		return fmt.Errorf("%w: %w", google.ErrWrong, err)
	}
	made, err := party.CreateCredential(account{known}, session, parsed)
	if err != nil {
		return fmt.Errorf("%w: %w", google.ErrWrong, err)
	}
	if _, taken := p.find(func(x person) bool { return has(x.Passkeys, made.ID) }); taken {
		return fmt.Errorf("%w: somebody has that passkey", google.ErrWrong)
	}
	return p.keep(known.Name, *made)
}

func has(list []webauthn.Credential, key []byte) bool {
	want := base64.RawURLEncoding.EncodeToString(key)
	for _, c := range list {
		if base64.RawURLEncoding.EncodeToString(c.ID) == want {
			return true
		}
	}
	return false
}

// network is what guesses are counted by: an address, or of IPv6 what one house has.
func network(ip string) string {
	a, err := netip.ParseAddr(strings.TrimSpace(ip))
	if err != nil {
		return ""
	}
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}
