//go:build !unix

package boltfile

import "os"

// initialMmapSize is bbolt's own: here a file is made as large as its map.
const initialMmapSize = 0

// mapHead maps nothing: a file that is mapped cannot be cut off here.
func mapHead(*os.File, int) ([]byte, error) { return nil, nil }

func unmapHead([]byte) {}
