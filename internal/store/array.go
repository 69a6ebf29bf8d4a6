package store

import "encoding/binary"

// PostgreSQL's type numbers.
const (
	oidInt8, oidInt4, oidText, oidUUID                     = 20, 23, 25, 2950
	oidInt4Array, oidTextArray, oidInt8Array, oidUUIDArray = 1007, 1009, 1016, 2951
)

// array is a one-dimensional array in PostgreSQL's binary form: a header, then
// each element with its length before it. pgx's own encoder asks, for each
// element, how its Go type is written; here the column knows.
type array []byte

// begin starts an array of n elements in the memory of the one before.
func (a array) begin(element uint32, n int) array {
	a = binary.BigEndian.AppendUint32(a[:0], 1)     // dimensions
	a = binary.BigEndian.AppendUint32(a, 0)         // no NULL among them
	a = binary.BigEndian.AppendUint32(a, element)   // type
	a = binary.BigEndian.AppendUint32(a, uint32(n)) // length
	return binary.BigEndian.AppendUint32(a, 1)      // index of the first
}

func (a array) bytes(v []byte) array {
	return append(binary.BigEndian.AppendUint32(a, uint32(len(v))), v...)
}

func (a array) text(v string) array {
	return append(binary.BigEndian.AppendUint32(a, uint32(len(v))), v...)
}

func (a array) int8(v int64) array {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(a, 8), uint64(v))
}

func (a array) int4(v int32) array {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(a, 4), uint32(v))
}
