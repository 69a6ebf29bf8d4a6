package storetest

import (
	"strings"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// Disk is a file layer under SQLite whose flushes can be made to fail, as those
// of a dying disk do. It lies under every database that this process opens from
// then on, and does nothing until it is told to.
type Disk struct{}

// disk is the one layer: SQLite calls plain functions.
var disk struct {
	once    sync.Once
	below   sqlite3.Tsqlite3_vfs        // what this layer lies upon
	methods sqlite3.Tsqlite3_io_methods // of a file below

	mu      sync.Mutex
	names   map[uintptr]string // of open files
	refused []string           // names of files that are not flushed any more
	count   map[string]int     // flushes refused, by name
}

// NewDisk puts the layer under SQLite.
func NewDisk() Disk {
	disk.once.Do(func() {
		disk.names, disk.count = map[uintptr]string{}, map[string]int{}
		tls := libc.NewTLS()
		defer tls.Close()
		sqlite3.Xsqlite3_initialize(tls)
		below := at[sqlite3.Tsqlite3_vfs](sqlite3.Xsqlite3_vfs_find(tls, 0))
		disk.below = *below
		name, err := libc.CString("storetest-disk")
		if err != nil {
			panic(err)
		}
		layer := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(disk.below)))
		v := at[sqlite3.Tsqlite3_vfs](layer)
		*v = disk.below
		v.FpNext, v.FzName, v.FxOpen = 0, name, function(openFile)
		if rc := sqlite3.Xsqlite3_vfs_register(tls, layer, 1); rc != sqlite3.SQLITE_OK {
			panic("storetest: SQLite takes no file layer")
		}
	})
	return Disk{}
}

// Refuse lets every further flush of the file at path fail: "….db-wal" is a
// database's log. Meant is the path's end.
func (Disk) Refuse(path string) {
	disk.mu.Lock()
	defer disk.mu.Unlock()
	disk.refused = append(disk.refused, path)
}

// Refused is how many flushes of that file have failed.
func (Disk) Refused(path string) int {
	disk.mu.Lock()
	defer disk.mu.Unlock()
	return disk.count[path]
}

// at gives what lies at an address outside Go's heap.
func at[T any](p uintptr) *T { return *(**T)(unsafe.Pointer(&p)) }

// function gives a Go function the shape of a C one.
func function[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&f)) }

func call[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&p)) }

func openFile(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32 {
	rc := call[func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32](disk.below.FxOpen)(tls, vfs, name, file, flags, outFlags)
	f := at[sqlite3.Tsqlite3_file](file)
	if rc != sqlite3.SQLITE_OK || name == 0 || f.FpMethods == 0 {
		return rc
	}
	disk.mu.Lock()
	defer disk.mu.Unlock()
	if disk.methods.FxSync == 0 {
		disk.methods = *at[sqlite3.Tsqlite3_io_methods](f.FpMethods)
	}
	layer := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(disk.methods))) // kept for ever: a test opens few files
	m := at[sqlite3.Tsqlite3_io_methods](layer)
	*m = *at[sqlite3.Tsqlite3_io_methods](f.FpMethods)
	m.FxSync = function(syncFile)
	f.FpMethods = layer
	disk.names[file] = libc.GoString(name)
	return rc
}

func syncFile(tls *libc.TLS, file uintptr, flags int32) int32 {
	disk.mu.Lock()
	name := disk.names[file]
	for _, path := range disk.refused {
		if strings.HasSuffix(name, path) {
			disk.count[path]++
			disk.mu.Unlock()
			return sqlite3.SQLITE_IOERR_FSYNC
		}
	}
	disk.mu.Unlock()
	return call[func(*libc.TLS, uintptr, int32) int32](disk.methods.FxSync)(tls, file, flags)
}
