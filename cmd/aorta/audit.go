package main

import (
	"bufio"
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
	Heads  []string `help:"Files of signed heads, as servers keep them; may be repeated. Default: audit-heads.jsonl in --data, if it is there." placeholder:"FILE"`
	Public string   `help:"Public key of the signed heads, in hexadecimal. Default: that of the master key, from AORTA_MASTER_KEY or --data." placeholder:"KEY"`
	JSON   bool     `help:"Print the report as one line of JSON." name:"json"`
}

// auditReport is what was found.
type auditReport struct {
	OK         bool     `json:"ok"`
	Entries    int      `json:"entries"`
	Buckets    int      `json:"buckets"` // that have entries
	Signed     int      `json:"signed"`  // statements of heads that were compared
	Violations []string `json:"violations"`
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
		fmt.Fprintf(s.out, "%d entries in %d chains, compared with %d signed heads\n", report.Entries, report.Buckets, report.Signed)
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
	report := auditReport{Violations: []string{}}
	signed, err := c.statements(&report)
	if err != nil {
		return report, err
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
		some, err := readStatements(path)
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

func readStatements(path string) ([]operator.Statement, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("signed heads: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxStatement)
	var all []operator.Statement
	for lines.Scan() {
		var st operator.Statement
		if err := json.Unmarshal(lines.Bytes(), &st); err != nil {
			return nil, fmt.Errorf("signed heads %s, line %d: %w", path, len(all)+1, err)
		}
		all = append(all, st)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("signed heads %s: %w", path, err)
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

// sealLog signs how far the log is, at the start and then every hour, and once more
// when ctx ends. A line that says the same as the one before is not written.
func (h *house) sealLog(ctx context.Context, flows *flow.Flows, sealer operator.Sealer) {
	tick := time.NewTicker(sealEvery)
	defer tick.Stop()
	path := filepath.Join(h.settings.Data, headsFile)
	var last []operator.SignedHead
	for {
		ended := ctx.Err() != nil
		once, cancel := context.WithTimeout(context.WithoutCancel(ctx), sealLimit)
		st, err := sealOnce(once, flows, sealer, path, last)
		cancel()
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

func sealOnce(ctx context.Context, flows *flow.Flows, sealer operator.Sealer, path string, last []operator.SignedHead) (operator.Statement, error) {
	heads, err := flows.AuditHeads(ctx)
	if err != nil {
		return operator.Statement{}, err
	}
	st := sealer.Seal(time.Now().UnixMicro(), heads)
	if len(heads) == 0 || slices.Equal(st.Heads, last) {
		return st, nil
	}
	text, err := json.Marshal(st)
	if err != nil {
		return st, fmt.Errorf("encode signed heads: %w", err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return st, fmt.Errorf("signed heads: %w", err)
	}
	_, err = io.WriteString(f, string(text)+"\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return st, fmt.Errorf("write signed heads: %w", err)
	}
	return st, nil
}
