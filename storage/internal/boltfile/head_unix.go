//go:build unix

package boltfile

import (
	"os"
	"syscall"
)

// initialMmapSize is address space, not memory. A large map makes remaps rare;
// a remap must wait for every open Pin.
const initialMmapSize = 1 << 30

// mapHead maps the first n bytes of the file for as long as the process needs them.
func mapHead(f *os.File, n int) ([]byte, error) {
	return syscall.Mmap(int(f.Fd()), 0, n, syscall.PROT_READ, syscall.MAP_SHARED)
}

func unmapHead(head []byte) { _ = syscall.Munmap(head) }
