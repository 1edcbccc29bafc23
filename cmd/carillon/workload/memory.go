package workload

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
)

// Resident returns the resident memory of a process in bytes, and the part of
// it that is no file's, which the kernel could not take back. ok is false where
// there is no /proc.
func Resident(pid string) (all, anonymous int64, ok bool) {
	status, err := os.ReadFile(filepath.Join("/proc", pid, "status"))
	if err != nil {
		return 0, 0, false
	}
	field := func(name string) int64 {
		_, rest, _ := bytes.Cut(status, []byte("\n"+name+":"))
		words := bytes.Fields(rest[:min(len(rest), 64)])
		if len(words) == 0 {
			return 0
		}
		kb, _ := strconv.ParseInt(string(words[0]), 10, 64)
		return kb << 10
	}
	return field("VmRSS"), field("RssAnon"), true
}

// settled returns this process's own Resident once all garbage was given back.
func settled() (all, anonymous int64, ok bool) {
	runtime.GC() // what has finalizers is freed by the second collection
	debug.FreeOSMemory()
	return Resident("self")
}

// sizeOf is how large the files in dir are together.
func sizeOf(dir string) (size int64) {
	// A file that goes away meanwhile has no size.
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			size += info.Size()
		}
		return nil
	})
	return size
}

func megabytes(n int64) float64 { return float64(n) / (1 << 20) }
