package torture_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"aorta/internal/payment"
	"aorta/internal/verify"
	"aorta/test/torture"
)

// TestT30 tells a platform to stop while it is busy: it ends well and soon,
// every request that it has begun to read is answered, and what is not done goes
// on in the next process.
func TestT30(t *testing.T) {
	eachStore(t, func(t *testing.T, store string) {
		w := torture.NewWorld(t, store)
		w.Sandbox.NotifyUnit = 100 * time.Millisecond
		p := w.NewPlatform("stopped", "")
		p.Env = append(p.Env, "AORTA_LIMIT_TIME=8s")
		p.Start()
		stops := torture.Count(t, 100, 4)
		c := newCrowd(t, w, p)
		survived, longest := 0, time.Duration(0)
		for n := range stops {
			time.Sleep(100 * time.Millisecond)
			var waiting sync.WaitGroup
			var mu sync.Mutex
			var wrong []string
			half := make(chan struct{})
			for k := range 16 {
				a, err := begin(p, fmt.Sprintf("stop-%d-%d", n, k))
				if err != nil {
					t.Fatalf("begin a request: %v", err)
				}
				waiting.Go(func() {
					if k%2 == 0 {
						<-half // the rest comes when the platform has been told
					}
					if err := a.finish(); err != nil {
						mu.Lock()
						wrong = append(wrong, err.Error())
						mu.Unlock()
						return
					}
					// What was promised last must be there, too (C2).
					c.note(verify.Asked{Kind: payment.KindSale, Project: torture.FirstProject, Payment: a.name, Minor: 1000}, http.StatusOK, nil)
				})
			}
			begun := time.Now()
			p.Signal(syscall.SIGTERM)
			time.Sleep(5 * time.Millisecond)
			close(half)
			err := p.Wait(20 * time.Second)
			longest = max(longest, time.Since(begun))
			waiting.Wait()
			if err != nil || len(wrong) > 0 {
				t.Errorf("stop %d: %v; of 16 requests under way %d were not answered: %q", n+1, err, len(wrong), wrong)
			} else {
				survived++
			}
			p.Start()
		}
		t.Logf("%d stops, the longest took %v", stops, longest)
		violations := c.settle(time.Minute)
		if len(violations) > 0 {
			t.Errorf("%d violations, such as %q", len(violations), violations[:min(5, len(violations))])
		}
		torture.Report(t, torture.Row{
			ID: "T30", Fault: "SIGTERM under load", Store: store, Planned: stops, Injected: stops, Survived: survived, Violations: len(violations),
		})
	})
}

// begunRequest is a request whose head the platform has read for certain: it
// says "100 Continue" when it begins to read the body. So neither a listener's
// queue nor an idle connection, which a stopping server may close unread, can
// be what swallows it.
type begunRequest struct {
	conn net.Conn
	in   *bufio.Reader
	body string
	name string
}

func begin(p *torture.Platform, name string) (*begunRequest, error) {
	body, err := torture.Signed(0, torture.Sale(name, 1000))
	if err != nil {
		return nil, err
	}
	address := strings.TrimPrefix(p.Public, "http://")
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	r := &begunRequest{conn: conn, in: bufio.NewReader(conn), body: string(body), name: name}
	_ = conn.SetDeadline(time.Now().Add(15 * time.Second))
	if _, err := fmt.Fprintf(conn, "POST /v2/payment/wallet/paytm/sale HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		address, len(body)); err != nil {
		return nil, err
	}
	line, err := r.in.ReadString('\n')
	if err != nil || !strings.Contains(line, " 100 ") {
		return nil, fmt.Errorf("%s: the platform said %q: %w", name, line, err)
	}
	_, err = r.in.ReadString('\n') // the empty line
	return r, err
}

// finish sends the rest and reads the answer, which must be that it is taken.
func (r *begunRequest) finish() error {
	defer r.conn.Close()
	if _, err := r.conn.Write([]byte(r.body)); err != nil {
		return fmt.Errorf("%s: send: %w", r.name, err)
	}
	resp, err := http.ReadResponse(r.in, nil)
	if err != nil {
		return fmt.Errorf("%s: no answer: %w", r.name, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: answer %d", r.name, resp.StatusCode)
	}
	return nil
}
