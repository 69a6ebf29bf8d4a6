//go:build !linux

package main

import "os"

// fdatasync is fsync where there is no such call.
func fdatasync(f *os.File) error { return f.Sync() }
