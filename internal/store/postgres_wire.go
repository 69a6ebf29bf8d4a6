package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"aorta/internal/id"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// wire speaks PostgreSQL's protocol with prepared statements, many to a round
// trip. pgx connects, authenticates and prepares; then the connection is ours.
//
// Going through pgx for each value cost as much processor time as deciding the
// acts: it copies every parameter into a buffer that it makes anew each trip,
// and splits each row into slices. Here parameters are written once, where
// they leave from, and rows are read where they arrive. Nothing else of the
// protocol is needed, and anything unexpected ends the connection.
type wire struct {
	conn net.Conn
	out  []byte // queued
	sent []func(*wireRow) error
	in   []byte
	r, w int // in[r:w] has arrived and is not read yet
	row  wireRow
	dead bool
	idle bool   // no transaction is open, or the server said so last
	tag  []byte // what the last statement did: "COMMIT"
}

// rowReader reads one row of an answer; nil skips them.
type rowReader = func(*wireRow) error

const wireBuffer = 64 << 10

// dial connects and prepares statements.
func dial(ctx context.Context, cfg *pgconn.Config, prepare []pgStatement) (*wire, error) {
	c, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	s := c.StartPipeline(ctx)
	for _, p := range prepare {
		s.SendPrepare(p.name, p.sql, p.params)
	}
	err = s.Sync()
	for range prepare {
		if err == nil {
			_, err = s.GetResults()
		}
	}
	if closed := s.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = c.SyncConn(ctx)
	}
	if err != nil {
		_ = c.Close(ctx)
		return nil, fmt.Errorf("prepare (is the schema current?): %w", err)
	}
	h, err := c.Hijack()
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return &wire{conn: h.Conn, in: make([]byte, wireBuffer), idle: true}, nil
}

// close ends the connection; the server rolls back what was open.
func (w *wire) close() {
	w.dead = true
	_ = w.conn.Close()
}

// begin queues a statement with so many parameters, which the caller writes
// right after, each between open and shut. read is handed the rows.
func (w *wire) begin(statement string, params int, read rowReader) (at int) {
	at = len(w.out)
	w.out = append(w.out, 'B', 0, 0, 0, 0, 0) // Bind; its length; the portal's name is ""
	w.out = append(w.out, statement...)
	w.out = append(w.out, 0, 0, 1, 0, 1) // all parameters are in binary
	w.out = binary.BigEndian.AppendUint16(w.out, uint16(params))
	w.sent = append(w.sent, read)
	return at
}

// end ends the statement that was begun at.
func (w *wire) end(at int) {
	w.out = append(w.out, 0, 1, 0, 1) // all columns in binary
	binary.BigEndian.PutUint32(w.out[at+1:], uint32(len(w.out)-at-1))
	w.out = append(w.out, 'E', 0, 0, 0, 9, 0, 0, 0, 0, 0) // Execute: "", all rows
}

// exec queues a statement whose parameters are at hand.
func (w *wire) exec(statement string, read rowReader, params ...[]byte) {
	at := w.begin(statement, len(params), read)
	for _, p := range params {
		w.out = binary.BigEndian.AppendUint32(w.out, uint32(len(p)))
		w.out = append(w.out, p...)
	}
	w.end(at)
}

// PostgreSQL's type numbers.
const (
	oidInt8, oidInt4, oidText, oidUUID                     = 20, 23, 25, 2950
	oidInt4Array, oidTextArray, oidInt8Array, oidUUIDArray = 1007, 1009, 1016, 2951
)

// open begins a parameter that is an array of n elements.
func (w *wire) open(element uint32, n int) (at int) {
	at = len(w.out)
	o := append(w.out, 0, 0, 0, 0)                // length
	o = binary.BigEndian.AppendUint32(o, 1)       // dimensions
	o = binary.BigEndian.AppendUint32(o, 0)       // no NULL among them
	o = binary.BigEndian.AppendUint32(o, element) // type
	o = binary.BigEndian.AppendUint32(o, uint32(n))
	w.out = binary.BigEndian.AppendUint32(o, 1) // index of the first
	return at
}

// shut ends the parameter that was opened at.
func (w *wire) shut(at int) {
	binary.BigEndian.PutUint32(w.out[at:], uint32(len(w.out)-at-4))
}

func (w *wire) putID(v *id.Raw) {
	w.out = append(append(w.out, 0, 0, 0, byte(len(v))), v[:]...)
}

func (w *wire) putInt8(v int64) {
	w.out = binary.BigEndian.AppendUint64(append(w.out, 0, 0, 0, 8), uint64(v))
}

func (w *wire) putInt4(v int32) {
	w.out = binary.BigEndian.AppendUint32(append(w.out, 0, 0, 0, 4), uint32(v))
}

func (w *wire) putText(v string) {
	w.out = append(binary.BigEndian.AppendUint32(w.out, uint32(len(v))), v...)
}

// reset forgets what is queued.
func (w *wire) reset() { w.out, w.sent = w.out[:0], w.sent[:0] }

// trip sends what is queued and reads all answers, until ctx's deadline. Its
// error is the first that a statement had, a *pgconn.PgError; any other means
// that the connection is dead and nobody knows how far the server came.
func (w *wire) trip(ctx context.Context) error {
	defer w.reset()
	deadline, _ := ctx.Deadline()
	if err := w.conn.SetDeadline(deadline); err != nil {
		w.close()
		return fmt.Errorf("set deadline: %w", err)
	}
	w.out = append(w.out, 'S', 0, 0, 0, 4) // Sync
	// The server answers while we still write: were we not to read, both could
	// wait for the other with full buffers.
	written := make(chan error, 1)
	if len(w.out) > wireBuffer/4 {
		go func() {
			_, err := w.conn.Write(w.out)
			written <- err
		}()
	} else {
		_, err := w.conn.Write(w.out)
		written <- err
	}
	failed, err := w.answers()
	if err != nil {
		w.close()
	}
	if werr := <-written; err == nil && werr != nil {
		w.close()
		err = werr
	}
	if cap(w.out) > maxKept {
		w.out = nil // one huge batch must not keep its memory for ever
	}
	if err != nil {
		return fmt.Errorf("connection: %w", err)
	}
	return failed
}

const maxKept = 16 << 20

// answers reads up to the end of the trip.
func (w *wire) answers() (failed, err error) {
	n := -1 // of the statement that answers
	for {
		kind, body, err := w.message()
		if err != nil {
			return failed, err
		}
		switch kind {
		case '2': // BindComplete
			if n++; n == len(w.sent) {
				return failed, errProtocol
			}
		case 'D':
			if n < 0 || !w.row.split(body) {
				return failed, errProtocol
			}
			if read := w.sent[n]; read != nil && failed == nil {
				failed = read(&w.row)
			}
		case 'E':
			var e pgproto3.ErrorResponse
			if err := e.Decode(body); err != nil {
				return failed, err
			}
			if pe := pgconn.ErrorResponseToPgError(&e); failed == nil {
				failed = pe
				if !alive(pe) {
					return failed, pe // the server closes the connection
				}
			}
		case 'Z':
			w.idle = len(body) == 1 && body[0] == 'I'
			return failed, nil
		case 'C': // CommandComplete
			w.tag = append(w.tag[:0], bytes.TrimSuffix(body, []byte{0})...)
		case 'I', 'N', 'S', 'A': // nothing to do, notice, setting, notification
		default:
			return failed, fmt.Errorf("%w: %q", errProtocol, kind)
		}
	}
}

var errProtocol = errors.New("unexpected message from the server")

// maxMessage bounds what one message may claim to hold: PostgreSQL's own limit.
const maxMessage = 1 << 30

// message reads one message; its body is good until the next.
func (w *wire) message() (kind byte, body []byte, err error) {
	if err := w.need(5); err != nil {
		return 0, nil, err
	}
	kind = w.in[w.r]
	size := int(binary.BigEndian.Uint32(w.in[w.r+1:])) - 4
	if size < 0 || size > maxMessage {
		return 0, nil, errProtocol
	}
	if err := w.need(5 + size); err != nil {
		return 0, nil, err
	}
	body = w.in[w.r+5 : w.r+5+size]
	w.r += 5 + size
	return kind, body, nil
}

// need waits until n bytes have arrived.
func (w *wire) need(n int) error {
	if w.w-w.r >= n {
		return nil
	}
	if w.r+n > len(w.in) {
		in := w.in
		if n > len(in) {
			in = make([]byte, 2*n)
		}
		w.w = copy(in, w.in[w.r:w.w])
		w.in, w.r = in, 0
	}
	got, err := io.ReadAtLeast(w.conn, w.in[w.w:], n-(w.w-w.r))
	w.w += got
	return err
}

// wireRow is a row of an answer in binary.
type wireRow struct {
	body []byte
	all  string  // body, once a text was asked for: one string for all texts of a row
	at   []int32 // where each column begins; they are never NULL
}

// split finds the columns.
func (r *wireRow) split(body []byte) bool {
	r.body, r.all, r.at = body, "", r.at[:0]
	if len(body) < 2 {
		return false
	}
	at := 2
	for range binary.BigEndian.Uint16(body) {
		if len(body) < at+4 {
			return false
		}
		r.at = append(r.at, int32(at+4))
		at += 4 + int(int32(binary.BigEndian.Uint32(body[at:])))
		if at > len(body) || at < int(r.at[len(r.at)-1]) {
			return false
		}
	}
	return true
}

func (r *wireRow) size(n int) int32 { return int32(binary.BigEndian.Uint32(r.body[r.at[n]-4:])) }

func (r *wireRow) id(n int, to *id.Raw) { copy(to[:], r.body[r.at[n]:r.at[n]+r.size(n)]) }

func (r *wireRow) int(n int) int64 {
	if r.size(n) == 4 {
		return int64(int32(binary.BigEndian.Uint32(r.body[r.at[n]:])))
	}
	return int64(binary.BigEndian.Uint64(r.body[r.at[n]:]))
}

func (r *wireRow) text(n int) string {
	if r.all == "" {
		r.all = string(r.body)
	}
	return r.all[r.at[n] : r.at[n]+r.size(n)]
}
