// Package journal is the sandbox's memory across restarts: an append-only file
// of JSON lines, one for everything a simulator has answered for.
//
// A line is written with write(2) before the answer leaves, so a SIGKILLed
// process forgets nothing it has said. There is no fsync while running: losing
// power may cost the newest lines, which is fine for a stand-in and would not
// be for a ledger. The file is rewritten compactly whenever it is opened.
package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sync"
)

// maxLine bounds one line of the file; the largest is a merchant callback of
// 1 MiB whose every byte had to be escaped.
const maxLine = 8 << 20

// Keeper is a simulator's state.
type Keeper interface {
	// Load takes one line exactly as it was given to Append or emit. The slice
	// is reused afterwards.
	Load(line []byte) error
	// Dump emits the lines that rebuild the present state by Load.
	Dump(emit func(line []byte) error) error
}

// Journal is the open file. A Journal of an empty path keeps nothing.
type Journal struct {
	mu     sync.Mutex
	file   *os.File
	buf    []byte
	broken error // a torn write must stay the last line of the file
}

// Open loads path into its keepers, each under the name its lines carry,
// rewrites it compactly and leaves it open for Append. A last line without its
// end is a write cut short and is dropped: it was never answered for.
func Open(path string, keepers map[string]Keeper) (*Journal, error) {
	if path == "" {
		return &Journal{}, nil
	}
	if err := load(path, keepers); err != nil {
		return nil, fmt.Errorf("load sandbox journal %s: %w", path, err)
	}
	if err := compact(path, keepers); err != nil {
		return nil, fmt.Errorf("rewrite sandbox journal %s: %w", path, err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open sandbox journal: %w", err)
	}
	return &Journal{file: file}, nil
}

func load(path string, keepers map[string]Keeper) error {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewReaderSize(file, 1<<16)
	var line []byte
	for number := 1; ; number++ {
		line = line[:0]
		for {
			part, err := lines.ReadSlice('\n')
			line = append(line, part...)
			if len(line) > maxLine {
				return fmt.Errorf("line %d is longer than %d bytes", number, maxLine)
			}
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			if errors.Is(err, io.EOF) {
				return nil // whatever is in line is torn
			}
			if err != nil {
				return err
			}
			break
		}
		name, body, ok := unwrap(line)
		keeper := keepers[name]
		if !ok || keeper == nil {
			return fmt.Errorf("line %d is not of this sandbox", number)
		}
		if err := keeper.Load(body); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
	}
}

func compact(path string, keepers map[string]Keeper) error {
	next := path + ".new"
	file, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	out := bufio.NewWriterSize(file, 1<<16)
	var buf []byte
	for _, name := range slices.Sorted(maps.Keys(keepers)) {
		err := keepers[name].Dump(func(line []byte) error {
			buf = wrap(buf[:0], name, line)
			_, err := out.Write(buf)
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	// The one fsync: the rename must never expose a file that is still empty.
	if err := file.Sync(); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// wrap and unwrap put a keeper's name around its line: {"paytm":{…}}.
func wrap(buf []byte, name string, line []byte) []byte {
	buf = append(buf, `{"`...)
	buf = append(buf, name...)
	buf = append(buf, `":`...)
	buf = append(buf, line...)
	return append(buf, "}\n"...)
}

func unwrap(line []byte) (name string, body []byte, ok bool) {
	line, ok = bytes.CutSuffix(line, []byte("}\n"))
	if !ok {
		return "", nil, false
	}
	line, ok = bytes.CutPrefix(line, []byte(`{"`))
	if !ok {
		return "", nil, false
	}
	head, body, ok := bytes.Cut(line, []byte(`":`))
	return string(head), body, ok
}

// Append writes one line of the named keeper. It must hold one JSON value
// without a line break. After a failed write every later one fails too, since
// the file may end in a torn line.
func (j *Journal) Append(name string, line []byte) error {
	if j.file == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken != nil {
		return j.broken
	}
	j.buf = wrap(j.buf[:0], name, line)
	if _, err := j.file.Write(j.buf); err != nil {
		j.broken = fmt.Errorf("write sandbox journal: %w", err)
		return j.broken
	}
	return nil
}

// Close closes the file; later Appends fail.
func (j *Journal) Close() error {
	if j.file == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken == nil {
		j.broken = os.ErrClosed
	}
	return j.file.Close()
}
