package google

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// maxControl bounds the body of one control request.
const maxControl = 64 << 10

// wish is the body of POST /google/control: a call that this Google is to make
// now, once, and how it is to be wrong. Members that are not said are those of the
// call that was made under this requestId before; with none it is a retry.
type wish struct {
	Call    string `json:"call"`               // a method of the integrator's
	ID      string `json:"request_id"`         // a new one unless given
	Minor   *int64 `json:"minor,omitempty"`    // of the protocol's version
	Members object `json:"members,omitempty"`  // beside the header
	TokenOf string `json:"token_of,omitempty"` // an associationId: googlePaymentToken is put in, which the door never shows
	How     How    `json:"how"`
	// PageSize, alone, bounds a page of a statement's details from now on.
	PageSize *int64 `json:"page_size,omitempty"`
}

// setControl is POST /google/control.
func (p *Peer) setControl(w http.ResponseWriter, r *http.Request) {
	var v wish
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControl))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&v)
	if err == nil {
		if _, more := decoder.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("the body has more than one value")
		}
	}
	var out any
	if err == nil {
		out, err = p.grant(r.Context(), v)
	}
	if err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]any{"error": err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, out)
}

// grant makes a call as it was wished.
func (p *Peer) grant(ctx context.Context, v wish) (any, error) {
	if v.PageSize != nil {
		if v.Call != "" || *v.PageSize < 1 || *v.PageSize > maxEvents {
			return nil, fmt.Errorf("page_size stands alone and is from 1 to %d", maxEvents)
		}
		p.pageSize.Store(*v.PageSize)
		return map[string]any{"ok": true}, nil
	}
	c := call{Method: v.Call, ID: v.ID, Members: v.Members}
	if c.Method == "" {
		return nil, errors.New("call must name a method of the integrator's, such as echo or capture")
	}
	if c.ID == "" {
		c.ID = p.name("ctl-")
	}
	if old, err := find(p, &p.book.calls, c.key()); err == nil && v.Members == nil {
		c.Members, c.Minor = old.Members, old.Minor
	}
	if v.Minor != nil {
		c.Minor = *v.Minor
	}
	if v.TokenOf != "" {
		i, err := find(p, &p.book.instruments, v.TokenOf)
		if err != nil {
			return nil, err
		}
		with := object{"googlePaymentToken": i.GPT}
		for name, member := range c.Members {
			with[name] = member
		}
		c.Members = with
	}
	answers, err := p.ask(ctx, c, v.How)
	if err != nil {
		return nil, err
	}
	return map[string]any{"request_id": c.ID, "answers": answers}, nil
}

// showControl is GET /google/control: what this Google remembers, without its
// tokens.
func (p *Peer) showControl(w http.ResponseWriter, _ *http.Request) {
	out := read(p, func(b *book) map[string]any {
		linked := b.instruments.all()
		for n := range linked {
			linked[n].GPT = short(linked[n].GPT)
		}
		return map[string]any{
			"integrator": p.opts.Integrator.Account, "users": users, "instruments": linked, "purchases": b.purchases.all(), "refunds": b.refunds.all(),
			"statements": b.statements.all(), "sessions": b.sessions.all(), "page_size": p.pageSize.Load(),
		}
	})
	out["wire"] = p.log.newest()
	writeJSON(w, http.StatusOK, out)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the client going away is its own affair
}
