package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/operator"
	"aorta/internal/store"
)

// auditCmd looks at the log of what operators did, in the database itself.
type auditCmd struct {
	Verify auditVerifyCmd `cmd:"" help:"Check that nothing in the operators' log was changed or is missing. Exit 0 only if every chain holds."`
	Export auditExportCmd `cmd:"" help:"Print the operators' log, a line of JSON for each entry."`
}

// headsFile is where a server keeps the signed heads of the log, in its data
// directory: out of reach of who can write the database alone.
const headsFile = "audit-heads.jsonl"

// auditVerifyCmd checks the log.
type auditVerifyCmd struct {
	where
	Heads   []string `help:"Files of signed heads, as servers keep them; may be repeated. Default: audit-heads.jsonl in --data. None to be found is a violation." placeholder:"FILE" xor:"heads"`
	NoHeads bool     `help:"There are no signed heads: check the chains by themselves, which does not see a log that was written anew, or cut with its heads." name:"no-heads" xor:"heads"`
	Public  string   `help:"Public key of the signed heads, in hexadecimal. Default: that of the master key, from AORTA_MASTER_KEY or --data." placeholder:"KEY"`
	JSON    bool     `help:"Print the report as one line of JSON." name:"json"`
}

// auditReport is what was found.
type auditReport struct {
	OK         bool     `json:"ok"`
	Entries    int      `json:"entries"`
	Buckets    int      `json:"buckets"` // that have entries
	Signed     int      `json:"signed"`  // statements of heads that were compared
	Torn       []string `json:"torn"`    // files of heads whose last line was not written whole
	Violations []string `json:"violations"`
}

// compared tells a person what the chains were held against.
func (r auditReport) compared() string {
	if r.Signed == 0 {
		return "nothing to compare with: no signed heads"
	}
	return fmt.Sprintf("compared with %d signed heads", r.Signed)
}

// Run verifies. It reads one moment's rows, whether or not a server writes.
func (c auditVerifyCmd) Run(ctx context.Context, s streams) error {
	report, err := c.verify(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		err = json.NewEncoder(s.out).Encode(report)
	} else {
		fmt.Fprintf(s.out, "%d entries in %d chains, %s\n", report.Entries, report.Buckets, report.compared())
		for _, path := range report.Torn {
			fmt.Fprintf(s.out, "torn: the last line of %s is not whole, as a crash while it was written leaves it; it is left out here, and cut when a server next signs\n", path)
		}
		for _, v := range report.Violations {
			fmt.Fprintln(s.out, "VIOLATED:", v)
		}
		if report.OK {
			fmt.Fprintln(s.out, "every chain holds")
		}
	}
	if err == nil && !report.OK {
		err = errViolated
	}
	return err
}

func (c auditVerifyCmd) verify(ctx context.Context) (auditReport, error) {
	report := auditReport{Torn: []string{}, Violations: []string{}}
	signed, err := c.statements(&report)
	if err != nil {
		return report, err
	}
	if len(signed) == 0 && !c.NoHeads {
		report.Violations = append(report.Violations, "There is nothing to compare with: no signed heads were found, so a log that was written anew, or cut, would not be seen. Give them by --heads, or say by --no-heads that there are none.")
	}
	snapshot, end, err := c.snapshot(ctx)
	if err != nil {
		return report, err
	}
	defer end()
	check := operator.NewAudit(signed...)
	heads, err := readLog(ctx, snapshot, func(e operator.Entry) error {
		check.Take(e)
		report.Entries++
		return nil
	})
	if err != nil {
		return report, err
	}
	report.Buckets, report.Signed = len(heads), len(signed)
	report.Violations = append(report.Violations, check.End(heads)...)
	report.OK = len(report.Violations) == 0
	return report, nil
}

// statements reads the signed heads. One whose signature does not fit is a
// violation, and tells nothing.
func (c auditVerifyCmd) statements(report *auditReport) ([]operator.Statement, error) {
	files := c.Heads
	if c.NoHeads {
		return nil, nil
	}
	if len(files) == 0 {
		path := filepath.Join(c.Data, headsFile)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		files = []string{path}
	}
	key, err := c.publicKey()
	if err != nil {
		return nil, err
	}
	var all []operator.Statement
	for _, path := range files {
		some, err := readStatements(path, report)
		if err != nil {
			return nil, err
		}
		for _, st := range some {
			if err := st.Check(key); err != nil {
				report.Violations = append(report.Violations, fmt.Sprintf("%s: heads of %s: %v.", path, time.UnixMicro(st.AtUS).UTC().Format(time.RFC3339), err))
				continue
			}
			all = append(all, st)
		}
	}
	return all, nil
}

func (c auditVerifyCmd) publicKey() (ed25519.PublicKey, error) {
	if c.Public != "" {
		key, err := hex.DecodeString(c.Public)
		if err != nil || len(key) != ed25519.PublicKeySize {
			return nil, errors.New("--public must be 64 hexadecimal digits")
		}
		return key, nil
	}
	master, err := knownMasterKey(c.Data)
	if err != nil {
		return nil, fmt.Errorf("signed heads cannot be checked (give AORTA_MASTER_KEY or --public): %w", err)
	}
	return operator.NewSealer(master).Public(), nil
}

// knownMasterKey is masterKey where none must be made.
func knownMasterKey(dir string) ([32]byte, error) {
	if environment("AORTA_MASTER_KEY") == "" {
		if _, err := os.Stat(filepath.Join(dir, "master.key")); err != nil {
			return [32]byte{}, fmt.Errorf("master key: %w", err)
		}
	}
	return masterKey(dir)
}

// maxStatement bounds a line of signed heads: each of 256 buckets has some 100 bytes.
const maxStatement = 256 << 10

// readStatements reads a file of signed heads. A last line that is none was torn by a
// crash while it was written, and is left out; another one is a violation, and the
// rest is read all the same.
func readStatements(path string, report *auditReport) ([]operator.Statement, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("signed heads: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxStatement)
	var all []operator.Statement
	bad := ""
	for n := 1; lines.Scan(); n++ {
		if bad != "" { // it was not the last
			report.Violations = append(report.Violations, bad)
		}
		var st operator.Statement
		if err := json.Unmarshal(lines.Bytes(), &st); err != nil {
			bad = fmt.Sprintf("%s, line %d, is no statement of heads: %v.", path, n, err)
			continue
		}
		bad, all = "", append(all, st)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("signed heads %s: %w", path, err)
	}
	if bad != "" {
		report.Torn = append(report.Torn, path)
	}
	return all, nil
}

// logPage is how many rows of the log are read at once.
const logPage = 1000

// readLog gives each entry of the log to take, and the heads.
func readLog(ctx context.Context, r *store.Snapshot, take func(operator.Entry) error) ([]operator.Head, error) {
	for after := (id.Audit{}); ; {
		rows, err := r.ScanAudit(ctx, after, logPage)
		if err != nil {
			return nil, fmt.Errorf("read log: %w", err)
		}
		for _, e := range rows {
			after = e.ID
			if err := take(e); err != nil {
				return nil, err
			}
		}
		if len(rows) < logPage {
			break
		}
	}
	var heads []operator.Head
	for after := (id.Raw{}); ; {
		rows, err := r.ScanAuditHeads(ctx, after, logPage)
		if err != nil {
			return nil, fmt.Errorf("read heads of the log: %w", err)
		}
		heads = append(heads, rows...)
		if len(rows) < logPage {
			return heads, nil
		}
		after = rows[len(rows)-1].ID
	}
}

// auditExportCmd prints the log.
type auditExportCmd struct{ where }

// exported is an entry with all that its hash is made of.
type exported struct {
	ID      id.Audit  `json:"id"`
	Bucket  id.Bucket `json:"bucket"`
	Number  int64     `json:"number"`
	Prev    string    `json:"prev"`
	Hash    string    `json:"hash"`
	AtUS    int64     `json:"at_us"`
	Who     string    `json:"who"`
	What    string    `json:"what"`
	About   string    `json:"about"`
	Details string    `json:"details"` // the JSON as it was hashed
}

// Run exports: every entry, and last, where the master key is at hand, the heads
// of this moment, signed.
func (c auditExportCmd) Run(ctx context.Context, s streams) error {
	snapshot, end, err := c.snapshot(ctx)
	if err != nil {
		return err
	}
	defer end()
	out := bufio.NewWriter(s.out)
	line := json.NewEncoder(out)
	heads, err := readLog(ctx, snapshot, func(e operator.Entry) error {
		return line.Encode(exported{e.ID, e.ID.Bucket(), e.Number, e.Prev, e.Hash, e.AtUS, e.Who, e.What, e.About, e.Details})
	})
	if err != nil {
		return err
	}
	if master, err := knownMasterKey(c.Data); err == nil {
		if err := line.Encode(operator.NewSealer(master).Seal(time.Now().UnixMicro(), heads)); err != nil {
			return fmt.Errorf("print heads: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("print log: %w", err)
	}
	return nil
}

// sealEvery is how often a server signs how far the log is (security.md S34).
const sealEvery = time.Hour

// sealLog signs how far the log is, at the start, be it empty, and then every hour, and
// once more when ctx ends. A line that says the same as the one before is not written.
func (h *house) sealLog(ctx context.Context, flows *flow.Flows, sealer operator.Sealer) {
	tick := time.NewTicker(sealEvery)
	defer tick.Stop()
	path := filepath.Join(h.settings.Data, headsFile)
	var last []operator.SignedHead
	for {
		ended := ctx.Err() != nil
		once, cancel := context.WithTimeout(context.WithoutCancel(ctx), sealLimit)
		st, cut, err := sealOnce(once, flows, sealer, path, last)
		cancel()
		if cut > 0 {
			h.log.Warn("the file of signed heads ended in a line that was not whole, which is cut", "file", path, "bytes", cut)
		}
		if err != nil {
			h.log.Error("the log's heads could not be signed", "error", err)
		} else {
			last = st.Heads
		}
		if ended {
			return
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// sealLimit bounds one signing, and so what it adds to the end of a process.
const sealLimit = 2 * time.Second

// sealOnce signs how far the log is, unless that is what last says, which is nil before
// the first time. It tells how many bytes of a torn line it has cut.
func sealOnce(ctx context.Context, flows *flow.Flows, sealer operator.Sealer, path string, last []operator.SignedHead) (st operator.Statement, cut int64, err error) {
	heads, err := flows.AuditHeads(ctx)
	if err != nil {
		return st, 0, err
	}
	st = sealer.Seal(time.Now().UnixMicro(), heads)
	if last != nil && slices.Equal(st.Heads, last) {
		return st, 0, nil
	}
	text, err := json.Marshal(st)
	if err != nil {
		return st, 0, fmt.Errorf("encode signed heads: %w", err)
	}
	cut, err = appendLine(path, string(text))
	if err != nil {
		return st, cut, fmt.Errorf("write signed heads: %w", err)
	}
	return st, cut, nil
}

// appendLine adds a line of JSON to a file, durably. A last line that a crash has torn
// is cut before: the new one would go on in the midst of it, and neither could be
// read. One that is whole and lacks its end alone is given that. No other process
// writes it: the data directory is this one's.
func appendLine(path, line string) (cut int64, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	start, tail, err := lastLine(f, end)
	if err != nil {
		return 0, err
	}
	switch whole := json.Valid(tail); {
	case len(tail) == 0:
	case whole && tail[len(tail)-1] != '\n':
		line = "\n" + line
	case !whole:
		cut = end - start
		if err := f.Truncate(start); err != nil {
			return 0, err
		}
		end = start
	}
	_, err = f.WriteAt([]byte(line+"\n"), end)
	return cut, errors.Join(err, f.Sync())
}

// lastLine gives the last line of a file that ends at end, with what ends it, and
// where it begins: as far back as a statement can reach.
func lastLine(f io.ReaderAt, end int64) (start int64, line []byte, err error) {
	from := max(0, end-maxStatement)
	tail := make([]byte, end-from)
	if _, err := f.ReadAt(tail, from); err != nil && !errors.Is(err, io.EOF) {
		return 0, nil, err
	}
	n := bytes.LastIndexByte(bytes.TrimSuffix(tail, []byte("\n")), '\n') + 1
	if n == 0 && from > 0 {
		return 0, nil, errors.New("its last line is longer than any that we write")
	}
	return from + int64(n), tail[n:], nil
}
