package verify

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Secrets searches bytes for canaries: card numbers, keys and tokens that a test
// has planted and that must come out nowhere (C10). A canary is seen as it is,
// in base64 at each of its three alignments (both alphabets), in hexadecimal of
// either case, and, if it is of digits alone, with up to three spaces, dashes or
// dots between any two of them.
//
// It never says what it has found, only which canary, and where. Its known
// weakness: it does not look into compressed or encrypted bytes.
type Secrets struct {
	patterns []pattern
	digits   []pattern // sought in the text without separators
	longest  int
}

// pattern is one way in which a canary may be written.
type pattern struct {
	canary, how string
	bytes       []byte
}

// minCanary is the shortest canary: what is shorter is found anywhere.
const minCanary = 8

// NewSecrets makes a searcher for canaries, given by what each is called.
func NewSecrets(canaries map[string]string) (*Secrets, error) {
	s := &Secrets{}
	for _, name := range slices.Sorted(maps.Keys(canaries)) {
		value := canaries[name]
		if len(value) < minCanary {
			return nil, fmt.Errorf("canary %s has %d bytes, want at least %d", name, len(value), minCanary)
		}
		s.add(name, "as it is", value)
		s.add(name, "in hexadecimal", hex.EncodeToString([]byte(value)))
		s.add(name, "in hexadecimal", strings.ToUpper(hex.EncodeToString([]byte(value))))
		for shift := range 3 {
			text := insideBase64(value, shift)
			s.add(name, "in base64", text)
			if url := strings.NewReplacer("+", "-", "/", "_").Replace(text); url != text {
				s.add(name, "in base64", url)
			}
		}
		if strings.Trim(value, "0123456789") == "" {
			s.digits = append(s.digits, pattern{name, "in groups of digits", []byte(value)})
		}
	}
	return s, nil
}

func (s *Secrets) add(canary, how, text string) {
	s.patterns = append(s.patterns, pattern{canary, how, []byte(text)})
	s.longest = max(s.longest, len(text))
}

// insideBase64 gives the characters that depend on value alone when it begins
// shift bytes behind a group of three.
func insideBase64(value string, shift int) string {
	text := base64.RawStdEncoding.EncodeToString(append(make([]byte, shift), value...))
	text = text[(shift*8+5)/6:] // the first bits are of what comes before
	if (shift+len(value))%3 != 0 {
		text = text[:len(text)-1] // the last bits are of what comes behind
	}
	return text
}

// window is how much is searched at a time.
const window = 256 << 10

// Search reads r to its end and gives one sentence for each canary and way of
// writing it that it holds: "C10: … holds the canary pan as it is.".
func (s *Secrets) Search(where string, r io.Reader) ([]string, error) {
	found := map[string]bool{}
	look := func(text []byte, patterns []pattern) {
		for _, p := range patterns {
			if bytes.Contains(text, p.bytes) {
				found[fmt.Sprintf("%s: %s holds the canary %s %s.", C10, where, p.canary, p.how)] = true
			}
		}
	}
	buf := make([]byte, 0, window+s.longest)
	var plain squeezer
	for {
		kept := min(len(buf), s.longest-1)
		copy(buf, buf[len(buf)-kept:])
		n, err := io.ReadFull(r, buf[kept:cap(buf)])
		buf = buf[:kept+n]
		look(buf, s.patterns)
		if len(s.digits) > 0 {
			look(plain.squeeze(buf[kept:], s.longest), s.digits)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return slices.Sorted(maps.Keys(found)), nil
		case err != nil:
			return nil, fmt.Errorf("search %s: %w", where, err)
		}
	}
}

// squeezer takes the separators out of groups of digits, over the ends of
// windows.
type squeezer struct {
	out        []byte
	separators int // since the last digit
}

// maxSeparators is how many may stand between two digits of one number, as
// package redact has it.
const maxSeparators = 3

// squeeze gives the digits of text: groups that belong together without what is
// between them, others with a space between. keep bytes of what went before lie
// in front.
func (s *squeezer) squeeze(text []byte, keep int) []byte {
	kept := min(len(s.out), keep)
	copy(s.out, s.out[len(s.out)-kept:])
	s.out = s.out[:kept]
	for _, b := range text {
		switch {
		case b >= '0' && b <= '9':
			if s.separators > maxSeparators {
				s.out = append(s.out, ' ')
			}
			s.separators = 0
			s.out = append(s.out, b)
		case b == ' ' || b == '-' || b == '.':
			s.separators++
		default:
			s.separators = maxSeparators + 1
		}
	}
	return s.out
}

// SearchFiles searches files, and all files in directories.
func (s *Secrets) SearchFiles(paths ...string) ([]string, error) {
	var out []string
	for _, path := range paths {
		err := filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			f, err := os.Open(name)
			if err != nil {
				return err
			}
			defer f.Close()
			found, err := s.Search(name, f)
			out = append(out, found...)
			return err
		})
		if err != nil {
			return out, fmt.Errorf("search %s: %w", path, err)
		}
	}
	return out, nil
}
