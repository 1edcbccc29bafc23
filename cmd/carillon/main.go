package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"carillon/cmd/carillon/workload"
	"carillon/dispatch"
)

func main() {
	if os.Getenv("GOGC") == "" {
		workload.TuneGC()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	var reported reportedError
	if err != nil && !errors.As(err, &reported) {
		fmt.Fprintln(os.Stderr, "carillon: "+strings.Join(strings.Fields(err.Error()), " "))
	}
	os.Exit(exitCode(err))
}

// usageError is a command line that makes no sense.
type usageError struct{ error }

// reportedError is one that the command has told about on standard error itself.
type reportedError struct{ error }

func exitCode(err error) int {
	var usage usageError
	var reported reportedError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		return 2
	case errors.As(err, &reported):
		return 1
	}
	if code := dispatch.AsError(err).Code; code != dispatch.CodeInternal {
		return code.ExitCode()
	}
	return 1
}
