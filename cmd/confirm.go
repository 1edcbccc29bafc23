package cmd

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"strings"
)

// yesFlag declares the flag that has a verb not ask.
func yesFlag(flags *flag.FlagSet) *bool {
	return flags.Bool("yes", false, "do not ask; where there is no terminal to ask at, what cannot be undone needs it")
}

// errDeclined is the answer no.
var errDeclined = reportedError{errors.New("nothing was done")}

// confirm has what cannot be undone be meant: by --yes, or by a person at a terminal.
func confirm(std Stdio, yes bool, what string) error {
	switch {
	case yes:
		return nil
	case !isTerminal(std.In):
		return usageError{fmt.Errorf("to %s cannot be undone, and there is no terminal to ask at: --yes says that it is meant", what)}
	}
	return askPerson(std, what)
}

// askPerson asks a person at a terminal whether to do it.
func askPerson(std Stdio, what string) error {
	fmt.Fprintf(std.Err, "%s? [y/N] ", what)
	answer, _ := bufio.NewReader(std.In).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	fmt.Fprintln(std.Err, "nothing was done")
	return errDeclined
}
