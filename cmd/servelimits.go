package cmd

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// limitFlags declares the flags of serve that say what the program's options do not, or what they
// say otherwise: the flag of a field is its name with hyphens.
func (p *program) limitFlags(flags *flag.FlagSet) {
	e, s := &p.Engine, &p.Server
	const most = 1_000_000_000
	for _, f := range []struct {
		name  string
		value *bound
		usage string
	}{
		{"volumes", countBound(&e.Volumes, 1, 64), "`N` files of a new store; 4 unless given"},
		{"lock-timeout", spanBound(&e.LockTimeout, time.Millisecond), "`TIME` to wait for a data directory in use; 1s unless given"},
		{"log-keep", sizeBound(&e.LogKeep, -1, 64<<30), "`SIZE` of the log that is kept for backups that go on from earlier ones; -1 is none; 256MiB unless given"},
		{"concurrency", countBound(&e.Concurrency, 1, 1_000_000), "`N` jobs of all apps run at once; 1024 unless given"},
		{"app-concurrency", countBound(&e.AppConcurrency, 1, 100_000), "`N` jobs of one app run at once; 64 unless given"},
		{"app-starts-per-second", countBound(&e.AppStartsPerSecond, 0, 100_000), "`N` attempts of one app's jobs begin in a second; any number unless given"},
		{"max-apps", countBound(&e.MaxApps, 0, most), "`N` apps of the store; any number unless given"},
		{"max-jobs", countBound(&e.MaxJobs, 1, most), "`N` jobs of one app that have not ended; 10000000 unless given"},
		{"max-arg-bytes", sizeBound(&e.MaxArgBytes, 1, 1<<40), "`SIZE` of the arguments of those together; 16GiB unless given"},
		{"query-timeout", spanBound(&e.QueryTimeout, time.Millisecond), "`TIME` of one run of a query; 5s unless given"},
		{"mutation-timeout", spanBound(&e.MutationTimeout, time.Millisecond), "`TIME` of one run of a mutation; 5s unless given"},
		{"action-timeout", spanBound(&e.ActionTimeout, time.Millisecond), "`TIME` of one run of an action; 10m unless given"},
		{"grace", spanBound(&e.Grace, time.Millisecond), "`TIME` that a handler has to return when it was told to stop, before it is stuck; 5s unless given"},
		{"retention", spanBound(&e.Retention, time.Millisecond), "`TIME` that finished jobs are kept; 168h unless given"},
		{"keep-finished", countBound(&e.KeepFinished, 1, most), "`N` finished jobs of an app are kept at most; 100000 unless given"},
		{"dead-retention", spanBound(&e.DeadRetention, -1), "`TIME` that dead jobs are kept; -1ns is for ever; 720h unless given"},
		{"keep-dead", countBound(&e.KeepDead, -1, most), "`N` dead jobs of an app are kept at most; -1 is all; 100000 unless given"},
		{"hold-for", spanBound(&e.HoldFor, 0), "`TIME` that a job is held which the program cannot run; 0s, until a person ends it, unless given"},
		{"max-body", sizeBound(&s.MaxBody, 1, 1<<40), "`SIZE` of a request; 1MiB unless given"},
		{"max-import", sizeBound(&s.MaxImport, 1, 1<<40), "`SIZE` of the import of an app; 4GiB unless given"},
		{"max-memory", sizeBound(&s.MaxMemory, 1, 1<<40), "`SIZE` of requests and answers that are held at once; 128MiB unless given"},
		{"max-client-requests", countBound(&s.MaxClientRequests, 1, most), "`N` requests of one client are under way at once; 2048 unless given"},
		{"max-client-memory", sizeBound(&s.MaxClientMemory, 1, 1<<40), "`SIZE` of --max-memory that one client takes; 64MiB unless given"},
		{"max-streams", countBound(&s.MaxStreams, 1, most), "`N` streams of events and long polls are open at once; 1024 unless given"},
	} {
		flags.Var(f.value, f.name, f.usage)
	}
	flags.Func("origins", "`ORIGINS`, such as https://app.example.com, with commas between, whose pages may call functions", func(text string) error {
		list := listOf(text)
		for _, origin := range list {
			if err := http.NewCrossOriginProtection().AddTrustedOrigin(origin); err != nil {
				return err
			}
		}
		s.Origins = list
		return nil
	})
	flags.Func("hosts", "`NAMES`, with commas between, that requests on a loopback address may be for besides localhost", func(text string) error {
		s.Hosts = listOf(text)
		return nil
	})
}

// bound is a flag of an option that is a number.
type bound struct {
	get         func() int64
	set         func(int64)
	least, most int64
	parse       func(string) (int64, error)
	show        func(int64) string
}

func numberBound[T ~int | ~int64](field *T, least, most int64) *bound {
	return &bound{get: func() int64 { return int64(*field) }, set: func(n int64) { *field = T(n) }, least: least, most: most}
}

// countBound is the flag of a number.
func countBound(field *int, least, most int64) *bound {
	b := numberBound(field, least, most)
	b.parse = func(text string) (int64, error) { return strconv.ParseInt(text, 10, 64) }
	b.show = func(n int64) string { return strconv.FormatInt(n, 10) }
	return b
}

// spanBound is the flag of a time.
func spanBound(field *time.Duration, least time.Duration) *bound {
	b := numberBound(field, int64(least), int64(100*365*24*time.Hour))
	b.parse = func(text string) (int64, error) {
		d, err := time.ParseDuration(text)
		return int64(d), err
	}
	b.show = func(n int64) string { return time.Duration(n).String() }
	return b
}

// units of sizes, the largest first.
var units = []struct {
	name  string
	shift int
}{{"GiB", 30}, {"MiB", 20}, {"KiB", 10}, {"B", 0}}

// sizeBound is the flag of a number of bytes, such as 64MiB.
func sizeBound(field *int64, least, most int64) *bound {
	b := numberBound(field, least, most)
	b.parse = func(text string) (int64, error) {
		shift := 0
		for _, u := range units {
			if digits, ok := strings.CutSuffix(text, u.name); ok {
				text, shift = digits, u.shift
				break
			}
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n<<shift>>shift != n {
			return 0, errors.New("want a number of bytes, such as 64MiB")
		}
		return n << shift, nil
	}
	b.show = func(n int64) string {
		for _, u := range units {
			if n > 0 && n%(1<<u.shift) == 0 && u.shift > 0 {
				return strconv.FormatInt(n>>u.shift, 10) + u.name
			}
		}
		return strconv.FormatInt(n, 10)
	}
	return b
}

// String implements flag.Value: "" if the program says nothing.
func (b *bound) String() string {
	if b.get == nil || b.get() == 0 {
		return ""
	}
	return b.show(b.get())
}

// Set implements flag.Value.
func (b *bound) Set(text string) error {
	n, err := b.parse(text)
	if err != nil {
		return err
	}
	if n < b.least || n > b.most {
		return fmt.Errorf("want %s to %s", b.show(b.least), b.show(b.most))
	}
	b.set(n)
	return nil
}
