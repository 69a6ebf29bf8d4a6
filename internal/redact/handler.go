package redact

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strconv"
)

// hidden is written in place of a card security code.
const hidden = "[redacted]"

// Handler gives a slog.Handler that passes every record to next without card
// numbers: in the message, in keys, in texts, errors and numbers, in groups, and
// in what any other value prints as. A field named like a card security code
// loses its value.
func Handler(next slog.Handler) slog.Handler { return handler{next} }

type handler struct{ next slog.Handler }

func (h handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h handler) Handle(ctx context.Context, record slog.Record) error {
	clean := slog.NewRecord(record.Time, record.Level, Text(record.Message), record.PC)
	record.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(attr(a))
		return true
	})
	return h.next.Handle(ctx, clean)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.next.WithAttrs(cleanAttrs(attrs))}
}

func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.next.WithGroup(Text(name))}
}

func cleanAttrs(attrs []slog.Attr) []slog.Attr {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = attr(a)
	}
	return clean
}

func attr(a slog.Attr) slog.Attr {
	if HasCVVName(a.Key) {
		return slog.String(a.Key, hidden)
	}
	return slog.Attr{Key: Text(a.Key), Value: value(a.Value)}
}

func value(v slog.Value) slog.Value {
	v = v.Resolve()
	switch v.Kind() {
	case slog.KindString:
		return slog.StringValue(Text(v.String()))
	case slog.KindGroup:
		return slog.GroupValue(cleanAttrs(v.Group())...)
	case slog.KindInt64:
		return unlessCard(v, strconv.FormatInt(v.Int64(), 10))
	case slog.KindUint64:
		return unlessCard(v, strconv.FormatUint(v.Uint64(), 10))
	case slog.KindAny:
		return anyValue(v)
	case slog.KindBool, slog.KindDuration, slog.KindFloat64, slog.KindTime, slog.KindLogValuer:
		// None of these is how a card number is written.
	}
	return v
}

func unlessCard(v slog.Value, text string) slog.Value {
	if FindPAN(text) {
		return slog.StringValue(Text(text))
	}
	return v
}

// anyValue leaves v to the next handler unless a card number shows in one of the
// ways in which handlers write such values: as bytes, by fmt, by encoding/json.
func anyValue(v slog.Value) slog.Value {
	if r := reflect.ValueOf(v.Any()); r.Kind() == reflect.Slice && r.Type().Elem().Kind() == reflect.Uint8 {
		return unlessCard(v, string(r.Bytes()))
	}
	if printed := fmt.Sprintf("%+v", v.Any()); FindPAN(printed) {
		return slog.StringValue(Text(printed))
	}
	return unlessCard(v, inJSON(v.Any()))
}

// inJSON is empty for what cannot be written in JSON. A value whose method panics
// must not take its caller down because it was logged; slog sees to the same.
func inJSON(v any) (text string) {
	defer func() {
		if recover() != nil {
			text = ""
		}
	}()
	encoded, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(encoded)
}
