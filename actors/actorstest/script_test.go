package actorstest_test

import (
	"flag"
	"testing"

	"carillon/actors"
	"carillon/actors/actorstest"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts print into their files")

func TestScripts(t *testing.T) {
	actorstest.Scripts{
		Files:   "testdata/*.txt",
		Options: func() actors.Options { return actors.Options{Functions: functions()} },
		Rewrite: *rewrite,
	}.Run(t)
}
