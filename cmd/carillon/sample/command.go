package sample

import (
	"fmt"

	"carillon/actors"
	"carillon/dispatch"
)

// resultLimit lets jobs:list answer with as many rows as it may have, in bytes.
const resultLimit = 16 << 20

// Engine returns what the app's data directory is opened with, for a new engine.
func Engine() actors.Options {
	return actors.Options{
		Program:   Program,
		Functions: Functions(),
		Tables:    Tables(),
		Pools:     Pools(),
		Crons:     Crons(),
		MaxApps:   MaxApps,
		Admit:     Admit(),
		Limits:    dispatch.Limits{Result: resultLimit},
	}
}

// Try returns lines for a shell that call some of the app's functions.
func Try(site string) string {
	return fmt.Sprintf(`  call() { curl -sS %s/v1/apps/demo/functions/$1 -H 'Content-Type: application/json' -d "$2"; }
  call reminders:set '{"text":"tea is ready","afterMs":5000}'
  call jobs:list '{"state":"pending"}'
  call orders:place '{"sku":"teapot"}'
  call counters:later '{"key":"chimes","n":3,"afterMs":2000}'
  sleep 6; call reminders:list '{}'; call counters:get '{"key":"chimes"}'
  call heartbeat:list '{}'
`, site)
}
