package main

import (
	"fmt"
	"os"

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
