package google

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// object is a JSON object that was read strictly. Numbers are json.Number.
type object map[string]any

// maxDepth bounds how deep a message may be nested.
const maxDepth = 32

// strict reads one JSON object as both sides must (google-tokenized-fop.md
// section 1.1): no name twice, no BOM, nothing behind it, valid UTF-8.
// encoding/json alone lets all but the BOM through.
func strict(text []byte) (object, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("invalid UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	v, err := strictValue(decoder, 0)
	if err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something stands behind the object")
	}
	o, ok := v.(object)
	if !ok {
		return nil, errors.New("not an object")
	}
	return o, nil
}

func strictValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errors.New("nested too deep")
	}
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		o := object{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			if _, twice := o[name.(string)]; twice { // Token gives nothing else where a name must stand
				return nil, fmt.Errorf("the name %q twice", name)
			}
			if o[name.(string)], err = strictValue(d, depth+1); err != nil {
				return nil, err
			}
		}
		_, err := d.Token()
		return o, err
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := strictValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	}
	return token, nil
}

// text gives a string member, or "".
func (o object) text(name string) string {
	s, _ := o[name].(string)
	return s
}

// object gives an object member, or an empty one.
func (o object) object(name string) object {
	v, _ := o[name].(object)
	return v
}

// integer gives a member that is an int64 in a string, or as a number.
func (o object) integer(name string) (n int64, ok bool) {
	var text string
	switch v := o[name].(type) {
	case string:
		text = v
	case json.Number:
		text = v.String()
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == text
}

// UnmarshalJSON reads as strictly from the journal.
func (o *object) UnmarshalJSON(text []byte) (err error) {
	*o, err = strict(text)
	return err
}
