//go:build crashpoints

package crash

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// On tells whether this build can be told to die.
const On = true

// The wish is the process's alone, and so are these: written once by Arm,
// before anything passes a point.
var (
	wished Point
	left   atomic.Int64 // passes of it until death
	die    func()
)

// Arm takes the wish to die, "after-commit:3": at the third pass of that point.
// Without a number it is the first; "" is no wish. die must not return before
// the process has ended. Arm is called once, before any point is passed.
func Arm(wish string, kill func()) error {
	if wish == "" {
		return nil
	}
	name, count, counted := strings.Cut(wish, ":")
	n := int64(1)
	if counted {
		var err error
		if n, err = strconv.ParseInt(count, 10, 64); err != nil || n < 1 {
			return fmt.Errorf("crash point %q: the pass must be a number from 1", wish)
		}
	}
	if !slices.Contains(Points(), Point(name)) {
		return fmt.Errorf("there is no crash point %q; there are %q, and not built: %q", name, Points(), NotBuilt())
	}
	wished, die = Point(name), kill
	left.Store(n)
	return nil
}

// At is where the process may die.
func At(p Point) {
	if p == wished && left.Add(-1) == 0 {
		die()
	}
}

// Armed tells whether this process is to die at that point.
func Armed(p Point) bool { return p == wished }
