//go:build !linux

package osdir

import "os"

// Datasync makes data durable, and all else of the file.
func Datasync(f *os.File) error { return f.Sync() }
