package scenario

import "encoding/json"

// Spoil changes each line of the players' journal; false leaves it out.
func (p *Players) Spoil(change func(line map[string]any) bool) {
	lines := p.lines()
	if err := p.journal.file.Truncate(0); err != nil {
		p.t.Fatal(err)
	}
	for _, m := range lines {
		text, err := json.Marshal(m)
		var line map[string]any
		if err == nil {
			err = json.Unmarshal(text, &line)
		}
		if err == nil && change(line) {
			if text, err = json.Marshal(line); err == nil {
				err = p.journal.keep(append(text, '\n'))
			}
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
}
