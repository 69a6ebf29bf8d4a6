package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"aorta/internal/book"
	"aorta/internal/callback"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/sign"
)

// hooks are the merchant's endpoints of Standard Webhooks; most seeds have none.
type hooks struct {
	w        *world
	master   [32]byte
	all      []hookOf
	bodies   map[string]string // by endpoint and message: what came first
	heard    map[string]bool   // by endpoint and message: whether it was taken
	tries    map[string]int
	poisoned map[string]bool
	labels   map[string]string
}

// hookOf is one endpoint, as its merchant knows it.
type hookOf struct {
	id      id.Endpoint
	address string
	types   []string // empty: all
	key     sign.WebhookKey
}

// newHooks has the merchant make its endpoints before anything else happens.
func newHooks(w *world) *hooks {
	h := &hooks{
		w: w, master: [32]byte{7}, bodies: map[string]string{}, heard: map[string]bool{}, tries: map[string]int{},
		poisoned: map[string]bool{}, labels: map[string]string{},
	}
	if w.draw("endpoints") >= 0.4 {
		return h
	}
	seed := [32]byte{byte(w.plan.Seed), byte(w.plan.Seed >> 8), byte(w.plan.Seed >> 16), 'h', 'o', 'o', 'k'}
	homes := make([]book.Home, len(w.store))
	for i := range homes {
		homes[i] = book.Home{Store: w.store[i]}
		for b := i; b < buckets; b += len(homes) {
			homes[i].Buckets = append(homes[i].Buckets, id.Bucket(b))
		}
	}
	ctx := context.Background()
	b, err := book.New(ctx, homes, book.Options{Buckets: buckets, Now: w.clock, Random: random{rand.NewChaCha8(seed)}, Epoch: 1})
	if err != nil {
		panic(err)
	}
	defer b.Close()
	endpoints := h.endpoints(b, w.clock, random{rand.NewChaCha8(seed)})
	for n, types := range [][]string{nil, {"payment.captured", "payment.refunded", "payout.paid"}} {
		e := hookOf{address: fmt.Sprintf("https://hooks.example/%d", n), types: types}
		row, key, err := endpoints.Create(ctx, w.project, callback.EndpointSettings{URL: &e.address, Types: &types}, "")
		if err != nil {
			panic(err)
		}
		e.id, e.key = row.ID, key
		h.all = append(h.all, e)
	}
	return h
}

// endpoints are the platform's, as a process has them.
func (h *hooks) endpoints(b *book.Book, clock func() time.Time, r random) *callback.Endpoints {
	return callback.NewEndpoints(b, h.w.store, callback.EndpointOptions{
		Projects: func(n int64) (project.Project, bool) { return h.w.project, n == h.w.project.ID }, Key: h.master, Random: r, Now: clock,
	})
}

// has reports whether an address is an endpoint's.
func (h *hooks) has(address string) bool { return strings.HasPrefix(address, "https://hooks.example/") }

// Send is an endpoint: it believes what is signed with its key, and sees whether
// a message that comes again is the same.
func (h *hooks) Send(address string, header http.Header, body []byte) (callback.Answer, error) {
	w := h.w
	n := slices.IndexFunc(h.all, func(e hookOf) bool { return e.address == address })
	if n < 0 {
		w.wrong("a webhook was sent to %q, which is nobody's", address)
		return callback.Answer{Status: http.StatusNotFound}, nil
	}
	if err := sign.VerifyWebhook(header.Values, body, w.current.of.clock(), h.all[n].key); err != nil {
		w.wrong("a webhook to %s does not verify: %v", address, err)
	}
	var m struct {
		Type string
		Data struct {
			PaymentID string `json:"merchant_payment_id"`
			PayoutID  string `json:"payout_id"`
		}
	}
	if err := json.Unmarshal(body, &m); err != nil {
		panic(err)
	}
	k := hookKey(h.all[n].id, header.Get(sign.WebhookID))
	h.tries[k]++
	if h.tries[k] == 1 {
		label := fmt.Sprint("hook/", n, "/", m.Data.PaymentID, m.Data.PayoutID, "/", m.Type)
		h.labels[k] = fmt.Sprint(label, "/", w.nth(label))
		h.poisoned[k] = w.chance(Poison, h.labels[k])
	}
	name := fmt.Sprint(h.labels[k], "/", h.tries[k])
	w.crash(CrashBeforeCallback, name)
	w.freeze(w.current.of, "webhook "+name)
	w.pause(0)
	if first, ok := h.bodies[k]; ok && first != string(body) {
		w.wrong("a webhook to %s came as %s and as %s", address, first, body)
	}
	h.bodies[k] = string(body)
	switch {
	case w.merchant.down():
		return callback.Answer{Status: http.StatusServiceUnavailable, RetryAfter: time.Minute}, nil
	case h.poisoned[k], w.chance(MerchantFails, name):
		w.pause(w.span(time.Second, "endpoint fails", name))
		return callback.Answer{Status: http.StatusInternalServerError}, nil
	}
	h.heard[k] = true
	w.pause(w.span(time.Second, "endpoint", name))
	w.crash(CrashAfterCallback, name)
	if w.chance(MerchantDeaf, name) {
		return callback.Answer{}, errors.New("no answer")
	}
	return callback.Answer{Status: http.StatusNoContent}, nil
}

func hookKey(e id.Endpoint, message string) string { return e.String() + " " + message }

// hears says from the documents as what endpoints hear of an event.
func hears(k event.Kind, to payment.Status) []string {
	switch k {
	case event.PaymentAwaiting, event.PaymentPending, event.PaymentRetry:
		return []string{"payment.pending"}
	case event.PaymentCaptured:
		return []string{"payment.captured"}
	case event.PaymentDeclined:
		return []string{"payment.declined"}
	case event.RefundSucceeded:
		if to == payment.StatusRefunded {
			return []string{"refund.succeeded", "payment.refunded"}
		}
		return []string{"refund.succeeded"}
	case event.RefundDeclined:
		return []string{"refund.declined"}
	case event.PayoutPending:
		return []string{"payout.pending"}
	case event.PayoutPaid:
		return []string{"payout.paid"}
	case event.PayoutFailed:
		return []string{"payout.failed"}
	case event.PayoutStepUp, event.PayoutOnHold, event.PayoutDeferred, event.PayoutPartly, event.PayoutCancelled:
		return []string{string(k)}
	case event.RefundStarted, event.LateSuccess, event.PayoutUnknown, event.EndpointTest, event.EndpointFailing, event.EndpointDisabled, event.CustomerKYC, event.CustomerKYCAsked:
	case event.WalletStake, event.WalletWin, event.WalletRollback, event.WalletDebit, event.WalletCredit, event.WalletBonusGranted, event.WalletBonusReleased: // nobody here names them
	}
	return nil
}

// judgeHooks: each endpoint is told of each event that it wants, once under each
// type, and has it in the end in these very bytes, or it is a dead letter because
// the endpoint refused it ten times (C6).
func (w *world) judgeHooks(x rows, wrong func(string, ...any)) {
	told := map[string]int{}
	for _, d := range x.deliveries {
		if d.Door != event.DoorWebhook {
			continue
		}
		told[fmt.Sprint(d.Event, d.Endpoint, d.Type)]++
		if d.Payment.IsZero() {
			continue // that an endpoint fails may be told or not: it hangs on how often
		}
		k := hookKey(d.Endpoint, event.MessageID(d.Event, d.Type).String())
		switch {
		case w.hooks.poisoned[k] && (d.State != event.DeliveryDead || d.Tries != 10):
			wrong("Webhook %s is %s after %d tries, and its endpoint has refused it for ever.", d.ID, d.State, d.Tries)
		case w.hooks.poisoned[k]:
		case d.State != event.DeliveryDelivered && !(d.State == event.DeliveryDead && d.Tries == 10):
			wrong("Webhook %s is %s after %d tries in the end.", d.ID, d.State, d.Tries)
		case d.State == event.DeliveryDelivered && (!w.hooks.heard[k] || w.hooks.bodies[k] != d.Body):
			wrong("Webhook %s is delivered as %q; its endpoint has %q.", d.ID, d.Body, w.hooks.bodies[k])
		}
	}
	for _, e := range x.events {
		for _, to := range w.hooks.all {
			for _, typ := range hears(e.Kind, e.To) {
				want := 0
				if len(to.types) == 0 || slices.Contains(to.types, typ) {
					want = 1
				}
				if got := told[fmt.Sprint(e.ID, to.id, typ)]; got != want {
					wrong("Event %s of payment %s is told to %s as %s %d times, want %d.", e.Kind, w.nameOf(e.Payment), to.address, typ, got, want)
				}
			}
		}
	}
}
