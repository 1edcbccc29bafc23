package waltest_test

import (
	"testing"

	"carillon/storage/internal/wal/waltest"
)

// TestG1_MemoryLogConforms: the log in memory is one.
func TestG1_MemoryLogConforms(t *testing.T) {
	waltest.Conformance(t, func(*testing.T) waltest.Bench { return waltest.NewMemory() })
}
