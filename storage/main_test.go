package storage_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// workerMode names, in the environment, what a process started by a test of
// this package is to do instead of running tests.
const workerMode = "CARILLON_STORAGE_WORKER"

// workers are the things such a process can do, by name.
var workers = map[string]func() error{}

// workerEnv is the environment of such a process. The race detector would have
// it sleep for a second before it exits.
func workerEnv(mode string, more ...string) []string {
	return append(append(os.Environ(), workerMode+"="+mode, "GORACE=atexit_sleep_ms=0"), more...)
}

func TestMain(m *testing.M) {
	if mode := os.Getenv(workerMode); mode != "" {
		work, ok := workers[mode]
		if !ok {
			os.Stderr.WriteString("no worker " + mode + "\n")
			os.Exit(2)
		}
		if err := work(); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}
