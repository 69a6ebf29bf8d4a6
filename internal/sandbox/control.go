package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"aorta/internal/sandbox/fault"
)

// maxControl bounds the body of one control request.
const maxControl = 16 << 10

// connector is a part of the sandbox that the control door can reach.
type connector struct {
	faults     *fault.Queue
	behaviours []fault.Behaviour
	operations []string // empty: it has only one
}

// control is the body of POST /control. The next Count operations behave like
// Next; further requests queue up behind it.
type control struct {
	Connector string          `json:"connector"`
	Next      fault.Behaviour `json:"next"`
	Count     *int64          `json:"count,omitempty"`     // absent means 1
	DelayMS   *int64          `json:"delay_ms,omitempty"`  // of "late", "slow", "timeout" and of the decision; absent means the sandbox's own
	Operation string          `json:"operation,omitempty"` // absent means any
}

// known is what exists, for refusals and for GET /control.
type known struct {
	Next       []fault.Behaviour `json:"next"`
	Operations []string          `json:"operations,omitempty"`
	Queue      []control         `json:"queue"`
}

func (s *Sandbox) known() map[string]known {
	all := make(map[string]known, len(s.connectors))
	for name, c := range s.connectors {
		k := known{Next: c.behaviours, Operations: c.operations, Queue: []control{}}
		for _, r := range c.faults.Rules() {
			row := control{Connector: name, Next: r.Next, Count: &r.Left, Operation: r.Operation}
			if r.Delay > 0 {
				ms := r.Delay.Milliseconds()
				row.DelayMS = &ms
			}
			k.Queue = append(k.Queue, row)
		}
		all[name] = k
	}
	return all
}

// setControl is POST /control (design.md section 6).
func (s *Sandbox) setControl(w http.ResponseWriter, r *http.Request) {
	c, err := readControl(w, r)
	if err == nil {
		err = s.add(c)
	}
	if err != nil {
		s.refuse(w, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"ok": true, "connectors": s.known()})
}

func readControl(w http.ResponseWriter, r *http.Request) (control, error) {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControl))
	decoder.DisallowUnknownFields()
	var c control
	if err := decoder.Decode(&c); err != nil {
		return c, fmt.Errorf("the body is not a control request: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return c, errors.New("the body has more than one value")
	}
	return c, nil
}

// add checks a control request against what exists and queues it.
func (s *Sandbox) add(c control) error {
	target, ok := s.connectors[c.Connector]
	if !ok {
		return fmt.Errorf("there is no connector %q", c.Connector)
	}
	if !slices.Contains(target.behaviours, c.Next) {
		return fmt.Errorf("connector %q knows no next %q", c.Connector, c.Next)
	}
	if c.Operation != "" && !slices.Contains(target.operations, c.Operation) {
		return fmt.Errorf("connector %q has no operation %q", c.Connector, c.Operation)
	}
	rule := fault.Rule{Next: c.Next, Operation: c.Operation, Left: 1}
	if c.Count != nil {
		rule.Left = *c.Count
	}
	if rule.Left < 1 || rule.Left > fault.MaxCount {
		return fmt.Errorf("count must be from 1 to %d", fault.MaxCount)
	}
	if c.DelayMS != nil {
		if *c.DelayMS < 0 || *c.DelayMS > fault.MaxDelay.Milliseconds() {
			return fmt.Errorf("delay_ms must be from 0 to %d", fault.MaxDelay.Milliseconds())
		}
		rule.Delay = time.Duration(*c.DelayMS) * time.Millisecond
	}
	return target.faults.Add(rule)
}

// showControl is GET /control: what exists and what is queued.
func (s *Sandbox) showControl(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"connectors": s.known()})
}

// clearControl is DELETE /control?connector=…: it forgets what is queued, of
// every connector when none is named.
func (s *Sandbox) clearControl(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("connector")
	if _, ok := s.connectors[name]; name != "" && !ok {
		s.refuse(w, fmt.Errorf("there is no connector %q", name))
		return
	}
	for _, each := range slices.Sorted(maps.Keys(s.connectors)) {
		if name == "" || name == each {
			s.connectors[each].faults.Clear()
		}
	}
	s.showControl(w, r)
}

// showJournal is GET /control/journal?connector=paytm&mid=…&after=…&limit=…: a
// provider's own books, oldest first, by pages of at most 10,000. mid is the
// provider's name of an account.
func (s *Sandbox) showJournal(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	name := query.Get("connector")
	after, limit := int64(0), 1_000
	var err1, err2 error
	if text := query.Get("after"); text != "" {
		after, err1 = strconv.ParseInt(text, 10, 64)
	}
	if text := query.Get("limit"); text != "" {
		limit, err2 = strconv.Atoi(text)
	}
	if err := errors.Join(err1, err2); err != nil || after < 0 || limit < 1 || limit > 10_000 {
		s.refuse(w, errors.New("after must be a cursor, limit from 1 to 10000"))
		return
	}
	var entries any
	var next int64
	var more bool
	switch name {
	case "paytm":
		entries, next, more = s.paytm.Journal(query.Get("mid"), after, limit)
	case "generic":
		entries, next, more = s.generic.Journal(query.Get("mid"), after, limit)
	case "kyc":
		entries, next, more = s.kyc.Journal(query.Get("mid"), after, limit)
	default:
		s.refuse(w, fmt.Errorf("connector %q keeps no journal; paytm, generic and kyc do", name))
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"connector": name, "entries": entries, "next": next, "more": more})
}

// notify is POST /control/notify?connector=paytm: a provider tells now, signed
// right, what of its books the platform has taken no notification of.
func (s *Sandbox) notify(w http.ResponseWriter, r *http.Request) {
	providers := map[string]func(context.Context) (told, taken int){"paytm": s.paytm.TellAll, "generic": s.generic.TellAll, "kyc": s.kyc.TellAll}
	name := r.URL.Query().Get("connector")
	tellAll, ok := providers[name]
	if !ok {
		s.refuse(w, fmt.Errorf("connector %q notifies nobody; paytm, generic and kyc do", name))
		return
	}
	told, taken := tellAll(r.Context())
	writeJSON(w, http.StatusOK, map[string]any{"connector": name, "told": told, "taken": taken})
}

// refuse answers 400 and lists what exists.
func (s *Sandbox) refuse(w http.ResponseWriter, err error) {
	writeJSON(w, http.StatusBadRequest, map[string]any{"error": err.Error(), "connectors": s.known()})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the client going away is its own affair
}
