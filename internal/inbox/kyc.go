package inbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
	"unicode/utf8"

	"aorta/internal/connector"
	"aorta/internal/crash"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/internal/verification"
)

// Checks answers /n/kyc/{account}: what those tell who check customers. It is taken
// as a PSP's news is, verified or nothing, stored, answered and then applied; and it
// is the provider's own word, so that nobody is asked once more. Unlike a PSP's it is
// not stored as it came: a name in it is written nowhere.
func (n *Inbox) Checks() http.Handler { return http.HandlerFunc(n.takeCheck) }

func (n *Inbox) takeCheck(w http.ResponseWriter, r *http.Request) {
	account := r.PathValue("account")
	reader, ok := n.checker(account)
	switch {
	case !ok:
		http.Error(w, "unknown account", http.StatusNotFound)
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		n.neutral(w, false, http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		n.count(flow.KYC, "malformed")
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		n.unavailable(w, flow.KYC, false)
		return
	}
	came := connector.Notification{Method: r.Method, Header: r.Header, Body: body}
	news, err := reader.ReadNotification(came)
	if err == nil {
		came, err = reader.Kept(came, n.opts.Flows.HolderHash(news.Outcome.Result.Holder))
	}
	switch {
	case errors.Is(err, connector.ErrSignature):
		n.count(flow.KYC, "forged")
		n.neutral(w, false, http.StatusUnauthorized)
		return
	case err != nil, !storable(body), !storable(came.Body):
		n.count(flow.KYC, "malformed")
		n.neutral(w, false, http.StatusBadRequest)
		return
	}
	crash.At(crash.NewsVerified)
	named := connector.News{Final: true, EventID: news.EventID} // what it is known by
	if err := n.store(r.Context(), flow.KYC, account, kept(came.Header, reader.NewsHeaders()), came.Body, named); err != nil {
		n.opts.Log.Error("store notification", "connector", flow.KYC, "error", err)
		n.unavailable(w, flow.KYC, false)
		return
	}
	n.count(flow.KYC, "stored")
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"status":"ok"}`)
}

// storable refuses what a database would.
func storable(body []byte) bool { return utf8.Valid(body) && bytes.IndexByte(body, 0) < 0 }

// checker gives who reads the news of a provider.
func (n *Inbox) checker(account string) (verification.NewsReader, bool) {
	by, _ := n.opts.Verifiers.Of(account)
	reader, ok := by.(verification.NewsReader)
	return reader, ok
}

// handleCheck applies what a provider has told of a check. The signature is checked
// anew, since a row is no proof of it.
func (n *Inbox) handleCheck(ctx context.Context, row payment.Inbox) error {
	reader, ok := n.checker(row.Account)
	if !ok {
		return n.end(ctx, row.ID, verdict{again: true, reason: "its provider is not configured"})
	}
	header, err := headerOf(row)
	var news verification.News
	if err == nil {
		news, err = reader.ReadNotification(connector.Notification{
			Method: http.MethodPost, Header: header, Body: []byte(row.Body), Received: time.UnixMicro(row.ReceivedUS),
		})
	}
	if err != nil {
		return n.end(ctx, row.ID, verdict{again: true, reason: "cannot be read again: " + reason(err)})
	}
	check, err := n.opts.Flows.HearCheck(ctx, row.Account, news)
	switch {
	case errors.Is(err, flow.ErrNoCheck):
		return n.end(ctx, row.ID, verdict{again: true, reason: "names no check of ours"})
	case errors.Is(err, flow.ErrCheckMismatch):
		n.opts.Log.Error("ALARM: news of a check does not fit what was asked for", "provider", row.Account, "check", check.ID.String(), "notification", row.ID.String())
		return n.end(ctx, row.ID, verdict{reason: "mismatch: another provider's check, or another level"})
	case err != nil:
		return fmt.Errorf("apply notification %s: %w", row.ID, err)
	}
	return n.end(ctx, row.ID, verdict{reason: "final: " + string(news.Outcome.Kind)})
}

// stored reads the row of a notification.
func (n *Inbox) stored(ctx context.Context, k id.Inbox) (payment.Inbox, error) {
	row, found, err := n.read.Inbox(ctx, k)
	switch {
	case err != nil:
		return row, fmt.Errorf("read notification: %w", err)
	case !found:
		return row, fmt.Errorf("read notification %s: %w", k, ErrNoNotification)
	}
	return row, nil
}
