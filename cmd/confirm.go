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
	return flags.Bool("yes", false, "do not ask; what is no terminal is never asked")
}

// errDeclined is the answer no.
var errDeclined = reportedError{errors.New("nothing was done")}

// confirm asks a person at a terminal whether to do it. A script has said so by its line.
func confirm(std Stdio, yes bool, what string) error {
	if yes || !isTerminal(std.In) {
		return nil
	}
	fmt.Fprintf(std.Err, "%s? [y/N] ", what)
	answer, _ := bufio.NewReader(std.In).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	fmt.Fprintln(std.Err, "nothing was done")
	return errDeclined
}
