package cmd

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// deliberate are flags that neither the environment nor a file can give: they say that a person
// means just this line.
var deliberate = map[string]bool{"accept-loss": true, "all": true, "help": true, "name": true, "yes": true}

// variable is where the value of a flag may be in the environment.
func variable(flag string) string {
	return "CARILLON_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// found is a value of a flag that the line does not have, and where it is.
type found struct{ value, where string }

// fill gives the flags that the line does not have the values of the environment, and then those
// of the file that --config names. sources says where each that is not of the line is from.
func (p *program) fill(c *cobra.Command) (sources map[string]found, err error) {
	flags, sources := c.Flags(), map[string]found{}
	err = fillFrom(flags, sources, func(name string) (found, bool) {
		text := p.Getenv(variable(name))
		return found{text, "$" + variable(name)}, text != ""
	})
	if err != nil || flags.Lookup(configFlag) == nil {
		return sources, err
	}
	path := flags.Lookup(configFlag).Value.String()
	if path == "" {
		return sources, nil
	}
	file, err := readConfig(path, c.Root())
	if err != nil {
		return sources, err
	}
	return sources, fillFrom(flags, sources, func(name string) (found, bool) {
		f, ok := file[name]
		return f, ok
	})
}

// fillFrom gives the flags that have no value yet those that look finds. A server, a data
// directory and a log exclude each other: with one already given the others are not looked for, and
// it is the server if that is there.
func fillFrom(flags *pflag.FlagSet, sources map[string]found, look func(name string) (found, bool)) (err error) {
	place := flags.Changed("server") || flags.Changed("data") || flags.Changed("store")
	_, served := look("server")
	served = served && flags.Lookup("server") != nil
	flags.VisitAll(func(f *pflag.Flag) {
		switch {
		case err != nil || f.Changed || deliberate[f.Name]:
			return
		case place && (f.Name == "server" || f.Name == "data" || f.Name == "store"), served && (f.Name == "data" || f.Name == "store"):
			return
		}
		if in, ok := look(f.Name); ok {
			if failed := flags.Set(f.Name, in.value); failed != nil {
				err = fmt.Errorf("%s: %w", in.where, failed)
			}
			sources[f.Name] = in
		}
	})
	return err
}
