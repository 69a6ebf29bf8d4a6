package payment

import (
	"encoding/hex"
	"strconv"

	"aorta/internal/id"
)

// A request that was taken is named after the operation it began: the 16 bytes of
// the operation's id in hexadecimal, "-", and the last 8 digits of its number:
// 019aa4c1f02d07a8…-00000201. So the operation is found from the name alone, and
// answer, callbacks and status tell the same name without storing it.

const (
	requestIDHex    = 2 * len(id.Raw{})
	requestIDDigits = 8
	requestIDLength = requestIDHex + 1 + requestIDDigits
)

// RequestID names the request that began an operation, as the synchronous answer,
// callbacks, the status and the Payment Page's result tell it.
func (o Operation) RequestID() string {
	text := hex.AppendEncode(make([]byte, 0, requestIDLength), o.ID[:])
	// The ninth digit from the right gives way to "-", and keeps the leading zeros.
	text = strconv.AppendInt(text, 1e8+o.Number%1e8, 10)
	text[requestIDHex] = '-'
	return string(text)
}

// OperationOf gives the operation that a request id may name; whether it does is
// known when its RequestID is equal. False for what is no id of ours.
func OperationOf(requestID string) (id.Operation, bool) {
	if !IsRequestID(requestID) {
		return id.Operation{}, false
	}
	var o id.Operation
	_, err := hex.Decode(o[:], []byte(requestID[:requestIDHex]))
	return o, err == nil && !o.IsZero()
}

// IsRequestID holds for texts of the form of a request id.
func IsRequestID(text string) bool {
	if len(text) != requestIDLength || text[requestIDHex] != '-' {
		return false
	}
	for i := range len(text) {
		switch c := text[i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f' && i < requestIDHex, i == requestIDHex:
		default:
			return false
		}
	}
	return true
}
