package cmd

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"carillon/client"
	"carillon/server/api"
	"carillon/storage"
)

// clockCommands are the commands about the wall clock of an engine.
func clockCommands() []Verb {
	return []Verb{
		{"clock show", "", "print what a server knows of its wall clock", "clock show", clockShow},
		{"clock accept", "", "say that the wall clock is right as it is", "clock accept", clockAccept},
	}
}

func clockShow(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := siteFlags(flags)
	return func(ctx context.Context, std Stdio) error {
		return askStore(ctx, r, std, reading, (*client.Client).Clock, showClock)
	}
}

func clockAccept(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := siteFlags(flags)
	return func(ctx context.Context, std Stdio) error {
		return askStore(ctx, r, std, changing, (*client.Client).AcceptClock, showClock)
	}
}

// showClock prints the state for people.
func showClock(w io.Writer, c api.Clock) {
	fmt.Fprintln(w, c.Wall.Format(time.RFC3339Nano))
	if ahead := c.Written.Sub(c.Wall).Truncate(time.Second); ahead > 0 {
		fmt.Fprintf(w, "what is written down is %v ahead until the wall clock has caught up\n", ahead)
	}
	for _, note := range c.Notes {
		fmt.Fprintln(w, note)
	}
	if len(c.Notes) > 0 {
		fmt.Fprintln(w, "if the clock is right now: clock accept")
	}
}

// clockNotes are lines about the clock that a store was written by.
func clockNotes(store *storage.Store, wall time.Time) ([]string, error) {
	accepted, err := store.Mark(storage.EraAccepted)
	if err != nil {
		return nil, err
	}
	notes := storage.ClockNotes(store.Eras(), accepted)
	if behind := store.HighWater().Sub(wall); behind > 0 {
		notes = append(notes, fmt.Sprintf("the wall clock is %v behind what was written down last", behind.Round(time.Millisecond)))
	}
	return notes, nil
}
