package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"aorta/internal/flow"
	"aorta/internal/operator"
	"aorta/internal/risk"
)

// rulesCmd looks at rules files.
type rulesCmd struct {
	Check checkRulesCmd `cmd:"" help:"Read a rules file, and print its profile, its hash and in what it differs from the profile. Exit 1, with the line, if it is wrong."`
}

// checkRulesCmd checks one file.
type checkRulesCmd struct {
	File string `arg:"" help:"The rules file." type:"existingfile"`
}

// Run checks, and prints what the file comes to.
func (c checkRulesCmd) Run(s streams) error {
	text, err := os.ReadFile(c.File)
	if err != nil {
		return fmt.Errorf("read rules: %w", err)
	}
	rules, err := risk.Load(c.File, text)
	if err != nil {
		return fmt.Errorf("the rules are refused:\n%w", err)
	}
	base, _ := risk.Profile(rules.Profile)
	fmt.Fprintf(s.out, "profile %s\nhash    %s\n", rules.Profile, rules.Hash)
	changes := risk.Diff(base.Canonical(), rules.Canonical())
	if len(changes) == 0 {
		fmt.Fprintf(s.out, "no difference from the profile\n")
		return nil
	}
	fmt.Fprintf(s.out, "differences from the profile:\n")
	for _, line := range changes {
		fmt.Fprintf(s.out, "  %s\n", line)
	}
	return nil
}

// loadedFile keeps, in the data directory, each merchant's rules as this
// installation last served with them, so that the next start can tell what is new.
const loadedFile = "rules.loaded"

// logRules writes into the audit log in what each merchant's rules differ from
// those of the start before, whoever changed the file (limits-and-risk.md section
// 5). The log has it before anything is decided by the new rules. Should the process
// die between the two, it is logged once more.
func (h *house) logRules(ctx context.Context, flows *flow.Flows) error {
	path := filepath.Join(h.settings.Data, loadedFile)
	last, err := readLoaded(path)
	if err != nil {
		return err
	}
	now := map[int64]string{}
	var changed bool
	for _, p := range h.settings.Projects {
		rules := h.settings.rules(p.ID)
		if _, done := now[p.MerchantID]; done || rules == nil {
			continue
		}
		now[p.MerchantID] = rules.Canonical()
		changes := risk.Diff(last[p.MerchantID], rules.Canonical())
		if len(changes) == 0 {
			continue
		}
		changed = true
		if err := flows.Audit(ctx, whoLoads, "rules.load", "rules:"+rules.Hash, loadedRules{Merchant: p.MerchantID, Profile: rules.Profile, Changes: changes}); err != nil {
			return err
		}
	}
	for _, merchant := range slices.Sorted(maps.Keys(last)) {
		if _, still := now[merchant]; still {
			continue
		}
		changed = true
		if err := flows.Audit(ctx, whoLoads, "rules.remove", "rules:", loadedRules{Merchant: merchant, Changes: risk.Diff(last[merchant], "")}); err != nil {
			return err
		}
	}
	if !changed {
		return nil
	}
	return writeLoaded(path, now)
}

// whoLoads is who the log names: a file says nothing of who wrote it.
var whoLoads = operator.Automatic("rules", "start")

// loadedRules are the details of the log's entry.
type loadedRules struct {
	Merchant int64    `json:"merchant"`
	Profile  string   `json:"profile,omitempty"` // empty: it has no rules any more
	Changes  []string `json:"changes"`           // from the rules of the start before; all of them, the first time
}

func readLoaded(path string) (map[int64]string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // nothing was loaded yet
	}
	var last map[int64]string
	if err == nil {
		err = json.Unmarshal(text, &last)
	}
	if err != nil {
		return nil, fmt.Errorf("rules of the last start (%s; without it all rules are logged as new): %w", path, err)
	}
	return last, nil
}

// writeLoaded replaces the file in one step, so that no start reads half of it.
func writeLoaded(path string, now map[int64]string) error {
	text, err := json.Marshal(now)
	if err != nil {
		panic("texts cannot fail to encode: " + err.Error())
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return fmt.Errorf("keep the rules of this start: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("keep the rules of this start: %w", err)
	}
	return nil
}
