package torture_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"aorta/test/torture"
)

// What a process gets in T26: memory, and descriptors.
const (
	pressureMiB   = 256
	pressureFiles = 256
)

// TestPressure is T26: a process that may have 256 MiB and 256 descriptors meets
// more connections than it can hold, under load. It refuses or keeps waiting,
// does not die, and goes on when they are gone.
func TestPressure(t *testing.T) {
	t.Parallel()
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			pressure(t, store)
		})
	}
}

func pressure(t *testing.T, store string) {
	row := torture.Row{ID: "T26", Fault: "256 MiB, 256 descriptors, 400 idle connections, under load", Store: store, Planned: torture.Count(t, 20, 1)}
	w := torture.NewWorld(t, store)
	p := w.NewPlatform("p", "")
	p.Limits = fmt.Sprintf("-n %d", pressureFiles)
	p.Start()
	confine(t, p.PID())
	w.Control("approve", "sale", many)
	b := w.Buyers(p)
	b.MayDecline = true
	b.Go(32)
	pid := p.PID()
	memory := &watermark{pid: pid}
	done := make(chan struct{})
	defer close(done)
	go memory.watch(done)
	for n := range row.Planned {
		if err := b.AwaitMore(20, afterwards); err != nil {
			t.Fatalf("round %d: before it: %v", n, err)
		}
		crowd := occupy(t, p, 400)
		if len(crowd) < pressureFiles {
			t.Fatalf("round %d: only %d connections could be opened, which leaves descriptors free", n, len(crowd))
		}
		row.Injected++
		// Nobody new gets in, and what is inside must not break.
		time.Sleep(3 * time.Second)
		for _, c := range crowd {
			_ = c.Close()
		}
		if err := b.AwaitMore(20, afterwards); err != nil {
			t.Fatalf("round %d: after it: %v", n, err)
		}
		awaitReady(t, p, http.StatusOK, afterwards)
		if !p.Running() || p.PID() != pid {
			t.Fatalf("round %d: the process has died: %s", n, p.Log())
		}
		row.Survived++
	}
	row.Violations += conclude(t, b)
	if declined := b.Declined(); int64(declined)*100 > b.Taken() { // hardly any may be
		t.Errorf("%d of %d sales were declined", declined, b.Taken())
		row.Violations++
	}
	held := memory.take()
	if held > pressureMiB<<20 {
		t.Errorf("it held %d MiB", held>>20)
		row.Violations++
	}
	p.Verify()
	t.Logf("%d acknowledged; refused: %d with 503, %d with 500; an answer took at most %v; at most %d MiB resident", b.Taken(), b.Refused(503), b.Refused(500), b.Slowest(), held>>20)
	torture.Report(t, row)
}

// confine bounds the memory that a process may still ask the kernel for, so
// that it cannot have used more than it may. RLIMIT_DATA counts what is mapped:
// what Go has mapped for tables that it hardly touches (some 70 MiB) is allowed
// on top. Go ends a process that the kernel refuses memory.
func confine(t *testing.T, pid int) {
	t.Helper()
	mapped, used := statusKiB(t, pid, "VmData"), statusKiB(t, pid, "RssAnon")
	limit := (mapped - used + pressureMiB<<10) << 10
	out, err := exec.Command("prlimit", "--pid", strconv.Itoa(pid), fmt.Sprintf("--data=%d:%d", limit, limit)).CombinedOutput()
	if err != nil {
		unavailable(t, "its memory cannot be bounded: %v: %s", err, out)
	}
}

// statusKiB reads a size from what the kernel says of a process.
func statusKiB(t *testing.T, pid int, name string) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		unavailable(t, "memory cannot be read here: %v", err)
	}
	_, rest, _ := strings.Cut(string(text), "\n"+name+":")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		unavailable(t, "the kernel does not tell %s", name)
	}
	n, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// occupy opens connections to the public listener and sends half a request on
// each, as a slow client does.
func occupy(t *testing.T, p *torture.Platform, n int) (crowd []io.Closer) {
	t.Helper()
	for range n {
		c, err := net.DialTimeout("tcp", strings.TrimPrefix(p.Public, "http://"), time.Second)
		if err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) {
				break // the backlog is full, too
			}
			t.Fatalf("connect: %v", err)
		}
		_, _ = io.WriteString(c, "POST /v2/payment/status HTTP/1.1\r\nHost: x\r\n")
		crowd = append(crowd, c)
	}
	return crowd
}
