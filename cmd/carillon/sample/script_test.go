package sample_test

import (
	"flag"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/cmd/carillon/sample"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts print into their files")

// The stories of testdata/scripts, told by the sample app in virtual time.
func TestScripts(t *testing.T) {
	actorstest.Scripts{
		Files: "../../../testdata/scripts/*.txt",
		Options: func() actors.Options {
			return actors.Options{Functions: sample.Functions(), Tables: sample.Tables(), Pools: sample.Pools(), ClockCheck: time.Second}
		},
		Rewrite: *rewrite,
	}.Run(t)
}
