package google_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/google"
	"aorta/internal/id"
)

// leaver is wallets whose caller may hang up while it waits: what is done is done, and
// the answer comes too late.
type leaver struct {
	google.Wallets
	done chan struct{} // gets one for each call that waits for its caller to go; nil: none does
}

func (l *leaver) wait(ctx context.Context) {
	if l.done != nil {
		l.done <- struct{}{}
		<-ctx.Done()
	}
}

func (l *leaver) GiveBack(ctx context.Context, g flow.GivingBack) (fop.Call, error) {
	row, err := l.Wallets.GiveBack(ctx, g)
	l.wait(ctx)
	return row, err
}

func (l *leaver) Purchase(ctx context.Context, b flow.Buying) (fop.Call, error) {
	row, err := l.Wallets.Purchase(ctx, b)
	l.wait(ctx)
	return row, err
}

// TestARefundThatIsNotHeard: whoever asks for a refund and hangs up before it is
// answered is told by refundResultNotification; who has heard is not, nor is anybody
// of what was not answered with 200.
func TestARefundThatIsNotHeard(t *testing.T) {
	t.Parallel()
	w := linkedWorld(t)
	w.do(t, "capture", body("cap-01", captureMembers("499000000")))
	wallets := &leaver{Wallets: w.house.flows}
	options := w.options
	options.Wallets = wallets
	door, through := google.New(options), make(chan struct{}, 1)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		door.ServeHTTP(rw, r)
		through <- struct{}{}
	}))
	t.Cleanup(server.Close)
	send := func(ctx context.Context, method, plain string) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/gsp/main/v1/"+method, bytes.NewReader(sealed(t, w.google, plain)))
		if err != nil {
			return err
		}
		r.Header.Set("Content-Type", google.ContentType)
		resp, err := server.Client().Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	// hangUp makes a call and goes away before it is answered.
	hangUp := func(method, plain string) {
		t.Helper()
		wallets.done = make(chan struct{})
		ctx, leave := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- send(ctx, method, plain) }()
		<-wallets.done
		leave()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Fatalf("%s: who has hung up is answered: %v", method, err)
		}
		<-through
		wallets.done = nil
	}
	// hears wants Google to be told of just these refunds, in any order: "name RESULT".
	hears := func(what string, want ...string) {
		t.Helper()
		rows, err := w.house.db.ScanTold(t.Context(), id.Told{}, 100)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, row := range rows {
			var said struct {
				Account string `json:"paymentIntegratorAccountId"`
				Refund  string `json:"refundRequestId"`
				Result  string `json:"refundResult"`
				Ours    string `json:"paymentIntegratorRefundId"`
			}
			if err := json.Unmarshal([]byte(row.Body), &said); err != nil || row.Method != "refundResultNotification" || said.Account != theAccount || said.Ours == "" {
				t.Errorf("%s: Google hears %+v, %v", what, row, err)
			}
			got = append(got, said.Refund+" "+said.Result)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: Google hears %q, want %q", what, got, want)
		}
	}
	if err := send(t.Context(), "refund", body("rfd-01", refundMembers("cap-01", "99000000"))); err != nil {
		t.Fatal(err)
	}
	<-through
	hears("who was answered")
	hangUp("capture", body("cap-02", captureMembers("1000000")))
	hears("a capture, which Google asks for again")
	hangUp("refund", body("rfd-02", refundMembers("cap-01", "999000000")))
	hears("no 200, which is nothing")
	hangUp("refund", body("rfd-03", refundMembers("cap-01", "400000000")))
	hears("hung up", "rfd-03 SUCCESS")
	hangUp("refund", body("rfd-03", refundMembers("cap-01", "400000000")))
	hears("hung up at the repeat, too", "rfd-03 SUCCESS")
	hangUp("refund", body("rfd-04", refundMembers("cap-01", "1000000")))
	hears("a decline", "rfd-03 SUCCESS", "rfd-04 NO_MONEY_LEFT_ON_TRANSACTION")
}
