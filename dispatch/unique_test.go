package dispatch_test

import (
	"strings"
	"testing"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// TestG29_WhatUniqueTakes: the bounds of keys, names and spans at n and n+1, and which policy has
// which of them.
func TestG29_WhatUniqueTakes(t *testing.T) {
	reg := dispatch.NewRegistry()
	work := dispatch.InternalMutation[string, dispatch.None]("t:work")
	work.Handle(reg, func(*dispatch.MutationCtx, string) (dispatch.None, error) { return dispatch.None{}, nil })
	const most = dispatch.MaxUniqueSpan
	long := strings.Repeat("k", storage.MaxKey)
	for name, tt := range map[string]struct {
		opt  dispatch.RunOption
		want string // of the error; "" is none
	}{
		"longest key":           {dispatch.Unique(long, dispatch.Keep()), ""},
		"a byte more":           {dispatch.Unique(long+"k", dispatch.Keep()), "257 bytes"},
		"no key":                {dispatch.Unique("", dispatch.Keep()), "0 bytes"},
		"no policy":             {dispatch.Unique("k", dispatch.UniquePolicy{}), "no policy"},
		"longest throttle":      {dispatch.Unique("k", dispatch.Throttle(most)), ""},
		"a nanosecond more":     {dispatch.Unique("k", dispatch.Throttle(most+1)), "Throttle"},
		"shortest throttle":     {dispatch.Unique("k", dispatch.Throttle(1)), ""},
		"no throttle":           {dispatch.Unique("k", dispatch.Throttle(0)), "Throttle"},
		"throttle, pending":     {dispatch.Unique("k", dispatch.Throttle(1).PendingOnly()), "PendingOnly"},
		"held, longest":         {dispatch.Unique("k", dispatch.Refuse().HeldFor(most)), ""},
		"held, longer":          {dispatch.Unique("k", dispatch.Refuse().HeldFor(most+1)), "HeldFor"},
		"held, not at all":      {dispatch.Unique("k", dispatch.Keep().HeldFor(0)), "HeldFor"},
		"held, replaced":        {dispatch.Unique("k", dispatch.Replace().HeldFor(1)), "HeldFor"},
		"held, throttled":       {dispatch.Unique("k", dispatch.Throttle(1).HeldFor(1)), "HeldFor"},
		"longest wait":          {dispatch.Unique("k", dispatch.Replace().MaxWait(most)), ""},
		"longer wait":           {dispatch.Unique("k", dispatch.Replace().MaxWait(most+1)), "MaxWait"},
		"negative wait":         {dispatch.Unique("k", dispatch.Replace().MaxWait(-1)), "MaxWait"},
		"a wait that is kept":   {dispatch.Unique("k", dispatch.Keep().MaxWait(1)), "MaxWait"},
		"longest name of once":  {dispatch.Once(long), ""},
		"a longer name of once": {dispatch.Once(long + "k"), "257 bytes"},
		"no name of once":       {dispatch.Once(""), "0 bytes"},
	} {
		p := dispatch.Planner{Registry: reg, Now: noon, Parent: "parent"}
		job, err := p.After(time.Minute, work.With("x"), tt.opt)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tt.want == "":
			if job.Parent != "parent" {
				t.Errorf("%s: the parent is %q", name, job.Parent)
			}
		case err == nil || !strings.Contains(err.Error(), tt.want) || dispatch.AsError(err).Code != dispatch.CodeInvalidArgument:
			t.Errorf("%s: %v, want one with %q", name, err, tt.want)
		}
	}
	for delay, want := range map[time.Duration]time.Duration{0: 0, time.Second: 10 * time.Second, 1<<63 - 1: (1<<63 - 1) / 10 * 10} {
		job, err := dispatch.Planner{Registry: reg, Now: noon}.After(delay, work.With("x"), dispatch.Unique("k", dispatch.Replace()))
		if err != nil {
			t.Fatal(err)
		}
		if got := job.Unique.MaxWait; got < want-time.Second || got > want {
			t.Errorf("a delay of %s is put off for %s, want %s", delay, got, want)
		}
	}
}
