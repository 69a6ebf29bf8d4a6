package pgp

import (
	"errors"
)

// tag is what a packet is (RFC 4880 section 4.3).
type tag byte

const (
	tagEncryptedKey  tag = 1
	tagSignature     tag = 2
	tagOnePass       tag = 4
	tagCompressed    tag = 8
	tagMarker        tag = 10
	tagLiteral       tag = 11
	tagEncryptedData tag = 18 // with a modification check
	tagPadding       tag = 21
)

// part is one packet: what it is, and its content.
type part struct {
	tag  tag
	body []byte
}

var (
	errFraming     = errors.New("malformed packet")
	errManyPackets = errors.New("too many packets")
)

// split takes a layer of a message apart. It copies nothing but packets of
// partial lengths. The library's own reader is not used for this: it makes
// room for lengths before it has seen the bytes, and keeps count of nothing.
func split(layer []byte) ([]part, error) {
	var parts []part
	for len(layer) > 0 {
		if len(parts) == maxPackets {
			return nil, errManyPackets
		}
		p, rest, err := cut(layer)
		if err != nil {
			return nil, err
		}
		parts, layer = append(parts, p), rest
	}
	return parts, nil
}

// cut takes the first packet off (RFC 4880 section 4.2).
func cut(b []byte) (p part, rest []byte, err error) {
	first := b[0]
	switch {
	case first&0x80 == 0:
		return part{}, nil, errFraming
	case first&0x40 != 0:
		p.tag = tag(first & 0x3f)
		p.body, rest, err = newLength(b[1:])
	default:
		p.tag = tag(first & 0x3f >> 2)
		p.body, rest, err = oldLength(b[1:], first&3)
	}
	return p, rest, err
}

// oldLength reads a length of 1, 2 or 4 bytes; kind 3 means to the end, which is
// how gpg writes compressed packets.
func oldLength(b []byte, kind byte) (body, rest []byte, err error) {
	if kind == 3 {
		return b, nil, nil
	}
	size := 1 << kind
	if len(b) < size {
		return nil, nil, errFraming
	}
	var n uint64
	for _, digit := range b[:size] {
		n = n<<8 | uint64(digit)
	}
	return take(b[size:], n)
}

// newLength reads a length, or a chain of partial lengths and a last one.
func newLength(b []byte) (body, rest []byte, err error) {
	for joined := false; ; joined = true {
		if len(b) == 0 {
			return nil, nil, errFraming
		}
		first := b[0]
		if first >= 224 && first < 255 {
			chunk, rest, err := take(b[1:], 1<<(first&0x1f))
			if err != nil {
				return nil, nil, err
			}
			body, b = append(body, chunk...), rest
			continue
		}
		var n uint64
		switch {
		case first < 192:
			n, b = uint64(first), b[1:]
		case first < 224:
			if len(b) < 2 {
				return nil, nil, errFraming
			}
			n, b = uint64(first-192)<<8+uint64(b[1])+192, b[2:]
		default:
			if len(b) < 5 {
				return nil, nil, errFraming
			}
			n, b = uint64(b[1])<<24|uint64(b[2])<<16|uint64(b[3])<<8|uint64(b[4]), b[5:]
		}
		last, rest, err := take(b, n)
		if joined {
			last = append(body, last...)
		}
		return last, rest, err
	}
}

func take(b []byte, n uint64) (body, rest []byte, err error) {
	if n > uint64(len(b)) {
		return nil, nil, errFraming
	}
	return b[:n:n], b[n:], nil
}

// framed gives a packet back its head, for the library to read it.
func (p part) framed() []byte {
	n := len(p.body)
	out := make([]byte, 0, n+6)
	out = append(out, 0xc0|byte(p.tag), 255, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	return append(out, p.body...)
}
