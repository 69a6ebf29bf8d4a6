package payment_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"aorta/internal/payment"
)

// docs/payment.md shows the table of moves to people; it must be the one that
// the code goes by.
func TestTheDocumentedMovesAreTheMoves(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/payment.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "## Payment\n")
	if !found {
		t.Fatal("docs/payment.md has no section Payment")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	word := regexp.MustCompile("`([a-z_]+)`")
	documented := map[payment.Status][]payment.Status{}
	for _, line := range strings.Split(section, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 6 {
			continue
		}
		status := word.FindStringSubmatch(cells[1])
		if status == nil {
			continue
		}
		next := []payment.Status{}
		for _, m := range word.FindAllStringSubmatch(cells[4], -1) {
			next = append(next, payment.Status(m[1]))
		}
		documented[payment.Status(status[1])] = next
	}
	for from, to := range payment.Moves() {
		if !slices.Equal(documented[from], to) {
			t.Errorf("docs/payment.md says that %s may become %v, the code says %v", from, documented[from], to)
		}
	}
	if len(documented) != len(payment.Moves()) {
		t.Errorf("docs/payment.md has %d statuses, the code %d", len(documented), len(payment.Moves()))
	}
}
