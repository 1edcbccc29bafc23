package linear_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// atExit is what the tests of some systems clean up.
var atExit = func() {}

func TestMain(m *testing.M) {
	if worker := os.Getenv(workerEnv); worker != "" {
		workers[worker]()
		return
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		atExit()
		os.Exit(code)
	}))
}

// workerEnv names the worker that this process is, in place of the tests.
const workerEnv = "CARILLON_LINEAR_WORKER"

// workers are what a process of the test binary can be.
var workers = map[string]func(){}
