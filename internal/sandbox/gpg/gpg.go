// Package gpg runs GnuPG as a subprocess: it is the cryptography of the sandbox's
// Google, and of tests. It shares nothing with the package that the platform
// itself speaks OpenPGP with, on purpose: a mistake that both sides make alike
// shows nowhere (google-tokenized-fop.md section 9).
//
// It is for test keys alone, which lie without a passphrase in a directory.
package gpg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// timeout bounds one call of gpg.
const timeout = 30 * time.Second

// ErrAbsent: there is no gpg on this machine. On Debian it is in the package
// gnupg.
var ErrAbsent = errors.New("gpg: not installed")

// Keyring is a directory of keys, with an agent that gpg starts for it. It is
// safe for concurrent use; calls take turns.
type Keyring struct {
	home    string
	program string
	turn    sync.Mutex
}

// New makes a keyring, empty if dir is. Sockets lie in it, so its path must be
// short, below some 80 characters. Close it: an agent runs for it until then.
func New(dir string) (*Keyring, error) {
	program, err := exec.LookPath("gpg")
	if err != nil {
		return nil, ErrAbsent
	}
	home, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("gpg: %w", err)
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, fmt.Errorf("gpg: %w", err)
	}
	return &Keyring{home: home, program: program}, nil
}

// Close ends the agent. The keys stay where they are.
func (k *Keyring) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := exec.CommandContext(ctx, "gpgconf", "--homedir", k.home, "--kill", "all").Run(); err != nil {
		return fmt.Errorf("gpg: end the agent: %w", err)
	}
	return nil
}

// Said is what one call of gpg gave: its output and its status lines, without
// their "[GNUPG:] ".
type Said struct {
	Out    []byte
	Status []string
}

// Has reports whether a status line begins with a word.
func (s Said) Has(word string) bool {
	for _, line := range s.Status {
		if line == word || strings.HasPrefix(line, word+" ") {
			return true
		}
	}
	return false
}

// Run calls gpg. The error has what gpg wrote; what it said is given also then,
// since a message of two signers one of whom is unknown is an error to gpg.
func (k *Keyring) Run(ctx context.Context, input []byte, args ...string) (Said, error) {
	k.turn.Lock()
	defer k.turn.Unlock()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	command := exec.CommandContext(ctx, k.program, append([]string{
		"--homedir", k.home, "--batch", "--yes", "--no-tty", "--quiet", "--no-options", "--status-fd", "2",
		"--trust-model", "always", "--pinentry-mode", "loopback", "--passphrase", "", "--no-auto-key-locate",
	}, args...)...)
	command.Stdin = bytes.NewReader(input)
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	err := command.Run()
	said := Said{Out: out.Bytes()}
	for line := range strings.Lines(errs.String()) {
		if status, ok := strings.CutPrefix(line, "[GNUPG:] "); ok {
			said.Status = append(said.Status, strings.TrimSpace(status))
		}
	}
	if err != nil {
		return said, fmt.Errorf("gpg %s: %w: %s", strings.Join(args, " "), err, errs.Bytes())
	}
	return said, nil
}

// Generate makes a key as Google's guide asks for, RSA with a subkey to encrypt
// to, and gives its fingerprint. life is gpg's, "1y", "0" for ever.
func (k *Keyring) Generate(ctx context.Context, name string, bits int, life string) (fingerprint string, err error) {
	said, err := k.Run(ctx, nil, "--quick-generate-key", name, fmt.Sprintf("rsa%d", bits), "sign", life)
	if err != nil {
		return "", err
	}
	for _, line := range said.Status {
		if words := strings.Fields(line); len(words) == 3 && words[0] == "KEY_CREATED" {
			fingerprint = words[2]
		}
	}
	if _, err := k.Run(ctx, nil, "--quick-add-key", fingerprint, fmt.Sprintf("rsa%d", bits), "encrypt", life); err != nil {
		return "", err
	}
	return fingerprint, nil
}

// Import takes keys in, public or private.
func (k *Keyring) Import(ctx context.Context, key []byte) error {
	_, err := k.Run(ctx, key, "--import")
	return err
}

// Export gives the public half of a key, armored.
func (k *Keyring) Export(ctx context.Context, fingerprint string) ([]byte, error) {
	said, err := k.Run(ctx, nil, "--armor", "--export", fingerprint)
	return said.Out, err
}

// Message says how one is written.
type Message struct {
	Signers    []string // fingerprints; none: it is not signed
	Recipients []string // fingerprints; none: it is not encrypted
	Armor      bool
	Digest     string   // SHA384 if empty
	Cipher     string   // AES256 if empty
	More       []string // further options of gpg
}

// Seal signs and encrypts in one message.
func (k *Keyring) Seal(ctx context.Context, plain []byte, m Message) ([]byte, error) {
	if m.Digest == "" {
		m.Digest = "SHA384"
	}
	if m.Cipher == "" {
		m.Cipher = "AES256"
	}
	args := []string{"--digest-algo", m.Digest, "--cipher-algo", m.Cipher}
	if m.Armor {
		args = append(args, "--armor")
	}
	for _, who := range m.Signers {
		args = append(args, "--local-user", who)
	}
	for _, who := range m.Recipients {
		args = append(args, "--recipient", who)
	}
	args = append(args, m.More...)
	if len(m.Signers) > 0 {
		args = append(args, "--sign")
	}
	if len(m.Recipients) > 0 {
		args = append(args, "--encrypt")
	}
	said, err := k.Run(ctx, plain, args...)
	return said.Out, err
}

// Opened is a message that gpg has read. Algorithms are as OpenPGP numbers them
// (RFC 4880 section 9).
type Opened struct {
	Plain   []byte
	Cipher  string   // of the message: "9" is AES-256
	Signers []string // fingerprints of the primary keys of good signatures
	Digests []string // of each of those: "9" is SHA-384, "10" SHA-512
}

// Open reads a message that must be encrypted, whole, and signed by a key of the
// ring. It goes by what gpg says and not by how gpg ends: a signature of a
// stranger beside a good one makes it end as if it had failed.
func (k *Keyring) Open(ctx context.Context, raw []byte) (Opened, error) {
	said, err := k.Run(ctx, raw, "--decrypt")
	if !said.Has("DECRYPTION_OKAY") || !said.Has("GOODMDC") {
		return Opened{}, fmt.Errorf("gpg: not decrypted: %w", errors.Join(err, errors.New(strings.Join(said.Status, "; "))))
	}
	o := Opened{Plain: said.Out}
	good := false // whether the signature that gpg speaks of is: it says VALIDSIG of an expired key's too
	for _, line := range said.Status {
		switch words := strings.Fields(line); words[0] {
		case "NEWSIG":
			good = false
		case "GOODSIG":
			good = true
		case "DECRYPTION_INFO":
			if len(words) > 2 {
				o.Cipher = words[2]
			}
		case "VALIDSIG":
			if good && len(words) > 8 {
				o.Signers, o.Digests = append(o.Signers, words[len(words)-1]), append(o.Digests, words[8])
			}
		}
	}
	if len(o.Signers) == 0 {
		return o, fmt.Errorf("gpg: no good signature: %s", strings.Join(said.Status, "; "))
	}
	return o, nil
}
