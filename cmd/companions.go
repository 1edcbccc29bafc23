package cmd

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// companions are flags that say nothing without another one, or without one of several. Given alone
// they would be passed over, so they are refused. Those of one package alone it checks itself.
var companions = map[string][]string{
	"advertise":    {"store"},
	"cache":        {"store"},
	"lease":        {"store"},
	"node":         {"store"},
	"origin-allow": {"remote", "remote-public"},
	"rounds":       {"growth"},
}

// checkCompanions says which flag is given, by the line or as sources say, without what it is for.
func checkCompanions(flags *pflag.FlagSet, sources map[string]found) (err error) {
	flags.VisitAll(func(f *pflag.Flag) {
		others := companions[f.Name]
		if err != nil || len(others) == 0 || !says(f) {
			return
		}
		for _, other := range others {
			if says(flags.Lookup(other)) {
				return
			}
		}
		err = fmt.Errorf("--%s is for --%s, which is not given", f.Name, strings.Join(others, " or --"))
		if from, ok := sources[f.Name]; ok {
			err = fmt.Errorf("%s: %w", from.where, err)
		}
	})
	return err
}

// says is whether the flag is given and says something.
func says(f *pflag.Flag) bool {
	if f == nil || !f.Changed {
		return false
	}
	if f.Value.Type() == "func" { // which does not tell what it was given
		return true
	}
	text := f.Value.String()
	return text != "" && text != "false"
}
