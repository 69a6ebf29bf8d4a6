package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"

	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/internal/sign"
)

// once is a call that is done once, however often it comes under its key: which id
// its thing will have, and what begins that id. begin may find it begun.
type once struct {
	thing id.Raw
	begin func(ctx context.Context, a payment.Answer, again bool) (any, error)

	// first begins it and takes the key in one act, if neither is there: done. Then the
	// call is the caller's to answer, or refused, with nothing taken. nil: it cannot.
	first func(ctx context.Context, of flow.Call) (t flow.Taken, body any, done bool, err error)
}

// maxKey is the longest idempotency key, in characters.
const maxKey = 255

func isKey(text string) bool {
	if len(text) < 1 || len(text) > maxKey {
		return false
	}
	for _, b := range []byte(text) {
		if b < '!' || b > '~' {
			return false
		}
	}
	return true
}

const (
	keyHeader = "Idempotency-Key"
	keyMember = "idempotency_key"
)

// idempotencyKey reads the key from where it may be; in both places it must be
// the same one.
func idempotencyKey(h http.Header, doc *sign.Doc) (string, error) {
	inBody := doc.Get(keyMember)
	body := ""
	if inBody.Kind() == sign.KindString {
		body = inBody.Text() // of another type, or malformed, the schema refuses it
	}
	values := h.Values(keyHeader)
	if len(values) == 0 {
		if !inBody.Exists() || inBody.Kind() == sign.KindNull {
			return "", refuse(codeKeyMissing, nil)
		}
		return body, nil
	}
	head := values[0]
	if n := len(head); n >= 2 && head[0] == '"' && head[n-1] == '"' { // a structured field's string
		head = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(head[1 : n-1])
	}
	if len(values) != 1 || !isKey(head) {
		return "", refuse(codeBadHeader, map[string]any{"header": keyHeader, "must": "be 1 to 255 visible characters, once"})
	}
	if body != "" && body != head {
		return "", refuse(codeBadHeader, map[string]any{"header": keyHeader, "must": "be the same as idempotency_key of the body"})
	}
	return head, nil
}

// print says what is asked, member by member, in a way that gives no value away:
// equal for equal requests, however they are written. A phone number, of which there
// are few enough to try them all, goes in as hidden gives it.
func (c *call) print(hidden func(string) string) string {
	lines := make([]string, 0, 16)
	for name, value := range c.vars {
		lines = append(lines, line("path."+name, 's', value))
	}
	for v := range c.doc.All() {
		if v.Path() == keyMember {
			continue
		}
		switch v.Kind() {
		case sign.KindString:
			text := v.Text()
			if c.route.guessable(v.Path()) {
				text = hidden(text)
			}
			lines = append(lines, line(v.Path(), 's', text))
		case sign.KindNumber, sign.KindBool:
			lines = append(lines, line(v.Path(), 'v', v.Text()))
		case sign.KindList:
			if v.Len() == 0 { // it says something that no item says
				lines = append(lines, line(v.Path(), 'v', "[]"))
			}
		case sign.KindMissing, sign.KindNull, sign.KindObject:
		}
	}
	slices.Sort(lines)
	// The first line is the digest of all behind it, and of the call.
	call := c.route.method + " " + c.route.pattern + "\n"
	text := make([]byte, 0, 1024)
	text = append(text, call...)
	for n, line := range lines {
		if n > 0 {
			text = append(text, '\n')
		}
		text = append(text, line...)
	}
	sum := sha256.Sum256(text)
	out := make([]byte, 0, 2*len(sum)+1+len(text)-len(call))
	out = append(hex.AppendEncode(out, sum[:]), '\n')
	return string(append(out, text[len(call):]...))
}

// line says what a value is: its path, "=" and 16 hexadecimal digits.
func line(path string, kind byte, text string) string {
	in := append(make([]byte, 0, 256), kind)
	sum := sha256.Sum256(append(in, text...))
	out := append(make([]byte, 0, 128), path...)
	return string(hex.AppendEncode(append(out, '='), sum[:8]))
}

// differs names the members in which two prints differ.
func differs(a, b string) []string {
	read := func(print string) map[string]string {
		out := map[string]string{}
		for n, line := range strings.Split(print, "\n") {
			if name, value, ok := strings.Cut(line, "="); ok && n > 0 {
				out[name] = value
			}
		}
		return out
	}
	x, y := read(a), read(b)
	names := []string{}
	for name, value := range x {
		if y[name] != value {
			names = append(names, name)
		}
	}
	for name := range y {
		if _, both := x[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// once answers a call under its key (errors.md section 4): as it was answered
// before, or now, and then for good.
func (a *API) once(ctx context.Context, c *call) (reply, error) {
	o, err := c.route.once(ctx, c)
	if err == nil {
		return a.answerOnce(ctx, c, o)
	}
	// What does not go any more, such as a method that is gone, may have been answered when it did.
	row, answered, unread := a.opts.Flows.Answered(ctx, a.callOf(c, id.Raw{}))
	switch {
	case unread != nil:
		return reply{}, unread
	case answered:
		return replay(row), nil
	}
	return reply{}, err
}

// callOf is the call as flows know it.
func (a *API) callOf(c *call, thing id.Raw) flow.Call {
	return flow.Call{ProjectID: c.project.ID, Route: c.route.method + " " + c.route.pattern, Key: c.idem, Print: c.print(a.opts.Flows.Hidden), Thing: thing}
}

func (a *API) answerOnce(ctx context.Context, c *call, o once) (reply, error) {
	of := a.callOf(c, o.thing)
	var refused error // by first
	if o.first != nil {
		t, body, done, err := o.first(ctx, of)
		r, _ := refusalOf(err)
		switch {
		case done && t.Mine:
			return a.conclude(ctx, c, t, body, err)
		case done && (err == nil || !r.kept):
			return reply{}, err
		case done:
			refused = err
		}
	}
	t, err := a.opts.Flows.Take(ctx, of)
	if err != nil || !t.Mine {
		return a.before(of.Print, t.Answer, err)
	}
	if refused != nil && !t.Again { // it stays refused, also to repeats
		return a.kept(ctx, c, t, a.refused(c, refused))
	}
	body, err := o.begin(ctx, t.Answer, t.Again)
	return a.conclude(ctx, c, t, body, err)
}

// conclude answers a call that is the caller's to answer, by what came of it.
func (a *API) conclude(ctx context.Context, c *call, t flow.Taken, body any, err error) (reply, error) {
	if err == nil {
		out := reply{status: http.StatusOK, media: mediaJSON, body: encode(body)}
		if v, ok := body.(endpointView); ok && v.Secret != "" {
			v.Secret = ""
			out.stored = encode(v)
		}
		return a.kept(ctx, c, t, out)
	}
	r, _ := refusalOf(err)
	switch {
	case r.kept:
		return a.kept(ctx, c, t, a.refused(c, err))
	case r.begun || t.Again: // what became of it the repeat will find
		a.opts.Flows.Leave(t.Answer)
		return reply{}, err
	}
	if dropped := a.opts.Flows.Drop(context.WithoutCancel(ctx), t.Answer); dropped != nil {
		a.opts.Log.WarnContext(ctx, "an idempotency key is not given back", "trace_id", c.traceID, "error", dropped)
	}
	return reply{}, err
}

// kept makes an answer the one that repeats get. If it cannot be written now, the
// answer is true all the same, and a repeat is answered by the state of the thing.
func (a *API) kept(ctx context.Context, c *call, t flow.Taken, out reply) (reply, error) {
	row := t.Answer
	row.Status, row.Media, row.Body = int64(out.status), out.media, string(out.body)
	if out.stored != nil {
		row.Body = string(out.stored)
	}
	kept, err := a.opts.Flows.Keep(context.WithoutCancel(ctx), row)
	if err != nil {
		a.opts.Log.WarnContext(ctx, "an answer is not kept", "trace_id", c.traceID, "error", err)
		return out, nil
	}
	if kept.Body != row.Body {
		return replay(kept), nil
	}
	return out, nil
}

// inProgress has the caller come again in a moment.
func inProgress() error { return &refusal{code: codeInProgress, retryAfter: time.Second} }

func replay(row payment.Answer) reply {
	return reply{
		status: int(row.Status), media: row.Media, body: []byte(row.Body),
		header: http.Header{"Idempotent-Replayed": {"true"}},
	}
}
