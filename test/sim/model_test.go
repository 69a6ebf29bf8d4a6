package sim_test

import (
	"strings"
	"testing"

	"aorta/test/model"
	"aorta/test/sim"
)

// TestModelAlone has the independent model judge some seeds, and nothing else.
// test/model proves by it what the model sees without the other checks. All
// moves that the model knows must have been made.
func TestModelAlone(t *testing.T) {
	t.Parallel()
	made := map[string]int{}
	for seed := range uint64(400) {
		plan := sim.PlanOf(10_001+seed, sim.Faults())
		r := sim.Run(plan)
		if len(r.Model) > 0 {
			t.Fatalf("%s\n  %s", plan, strings.Join(r.Model, "\n  "))
		}
		for m, n := range r.Made {
			made[m] += n
		}
	}
	for _, m := range model.Moves() {
		t.Logf("%6d %s", made[m], m)
		if made[m] == 0 {
			t.Errorf("nothing made the move %s", m)
		}
	}
}
