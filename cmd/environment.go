package cmd

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// deliberate are flags that the environment cannot give: they say that a person means just
// this line.
var deliberate = map[string]bool{"accept-loss": true, "all": true, "help": true, "name": true, "yes": true}

// variable is where the value of a flag may be in the environment.
func variable(flag string) string {
	return "CARILLON_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fill gives the flags that the line does not have the values of the environment. A server
// and a data directory exclude each other: with one in the line the other is not looked for,
// and of both in the environment it is the server.
func (p *program) fill(flags *pflag.FlagSet) (err error) {
	place := flags.Changed("server") || flags.Changed("data")
	served := flags.Lookup("server") != nil && p.Getenv(variable("server")) != ""
	flags.VisitAll(func(f *pflag.Flag) {
		switch {
		case err != nil || f.Changed || deliberate[f.Name]:
			return
		case place && (f.Name == "server" || f.Name == "data"), served && f.Name == "data":
			return
		}
		if text := p.Getenv(variable(f.Name)); text != "" {
			if failed := flags.Set(f.Name, text); failed != nil {
				err = fmt.Errorf("$%s: %w", variable(f.Name), failed)
			}
		}
	})
	return err
}
