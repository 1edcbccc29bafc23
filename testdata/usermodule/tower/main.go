// Command tower has the whole command of Carillon, with a function of its own.
package main

import (
	"carillon/actors"
	"carillon/cmd"
	"carillon/dispatch"
)

var greet = dispatch.Query[string, string]("tower:greet")

func main() {
	reg := dispatch.NewRegistry()
	greet.Handle(reg, func(_ *dispatch.QueryCtx, name string) (string, error) { return "hello, " + name, nil })
	cmd.Main(cmd.Options{
		About:  "the bells of a tower",
		Engine: actors.Options{Program: "tower", Functions: reg},
	})
}
