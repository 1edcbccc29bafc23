package actorstest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// schedule runs "schedule APP WHEN [OPTION…] PATH [ARGS]"; ARGS is the rest of
// the line. +D is that long from now, -D that long ago.
func (s *script) schedule(line string) (string, error) {
	_, line, _ = strings.Cut(line, " ")
	app, line, _ := strings.Cut(line, " ")
	c, err := s.scheduled(line)
	if err != nil {
		return "", err
	}
	scheduler := s.h.Scheduler(storage.AppID(app))
	var id storage.JobID
	if c.wait < 0 {
		id, err = scheduler.RunAt(s.h.Now().Add(c.wait), c.call, c.opts...)
	} else {
		id, err = scheduler.RunAfter(c.wait, c.call, c.opts...)
	}
	s.h.Settle()
	return string(id), err
}

// scheduleMany runs "schedule-many APP WHEN [OPTION…] PATH [ARGS] ; WHEN …", which is
// one RunMany.
func (s *script) scheduleMany(line string) (string, error) {
	_, line, _ = strings.Cut(line, " ")
	app, line, _ := strings.Cut(line, " ")
	var calls []dispatch.Scheduled
	for part := range strings.SplitSeq(line, " ; ") {
		c, err := s.scheduled(part)
		switch {
		case err != nil:
			return "", err
		case c.wait < 0:
			calls = append(calls, dispatch.At(s.h.Now().Add(c.wait), c.call, c.opts...))
		default:
			calls = append(calls, dispatch.After(c.wait, c.call, c.opts...))
		}
	}
	ids, err := s.h.Scheduler(storage.AppID(app)).RunMany(calls)
	s.h.Settle()
	lines := make([]string, len(ids))
	for i, id := range ids {
		lines[i] = string(id)
	}
	return strings.Join(lines, "\n"), err
}

// scheduledCall is what a script schedules.
type scheduledCall struct {
	wait time.Duration
	call dispatch.Call
	opts []dispatch.RunOption
}

// scheduled reads "WHEN [OPTION…] PATH [ARGS]".
func (s *script) scheduled(text string) (c scheduledCall, err error) {
	when, rest, ok := strings.Cut(text, " ")
	if !ok {
		return c, errors.New("want: APP WHEN [OPTION…] PATH [ARGS]")
	}
	if c.wait, err = time.ParseDuration(when); err != nil {
		return c, err
	}
	var retry *dispatch.RetryPolicy
	path, args := "", ""
	for path == "" && rest != "" {
		word, more, _ := strings.Cut(rest, " ")
		if rest = more; strings.Contains(word, ":") {
			path, args = word, more
			break
		}
		opt, err := s.runOption(word, &retry)
		if err != nil {
			return c, err
		}
		if opt != nil {
			c.opts = append(c.opts, opt)
		}
	}
	if retry != nil {
		c.opts = append(c.opts, dispatch.WithRetry(*retry))
	}
	c.call = dispatch.Path(path).With(nil)
	if args != "" {
		c.call = dispatch.Path(path).With(json.RawMessage(s.reveal(args)))
	}
	return c, nil
}

// runOption reads one of the options of a job: id=I, once, timeout=D, tags=A,B,
// pool=NAME or NAME/KEY, priority=N, and those
// of its retries: attempts=N, base=D, max=D, linear, jitter.
func (s *script) runOption(word string, retry **dispatch.RetryPolicy) (dispatch.RunOption, error) {
	name, value, _ := strings.Cut(word, "=")
	policy := func() *dispatch.RetryPolicy {
		if *retry == nil {
			*retry = &dispatch.RetryPolicy{}
		}
		return *retry
	}
	var err error
	switch name {
	case "id":
		return dispatch.ID(storage.JobID(value)), nil
	case "once":
		return dispatch.AtMostOnce(), nil
	case "pool":
		return s.inPool(value)
	case "priority":
		n, err := strconv.Atoi(value)
		return dispatch.Priority(n), err
	case "tags":
		return dispatch.Tags(strings.Split(value, ",")...), nil
	case "timeout":
		d, err := time.ParseDuration(value)
		return dispatch.Timeout(d), err
	case "attempts":
		policy().MaxAttempts, err = strconv.Atoi(value)
	case "base":
		policy().Base, err = time.ParseDuration(value)
	case "max":
		policy().Max, err = time.ParseDuration(value)
	case "linear":
		policy().Backoff = dispatch.Linear
	case "jitter":
		policy().Jitter = true
	default:
		err = fmt.Errorf("unknown option %q", word)
	}
	return nil, err
}

// filterOf reads a filter.
func filterOf(words []string) (f storage.JobFilter) {
	for _, word := range words {
		name, value, named := strings.Cut(word, "=")
		switch {
		case !named:
			f.States = append(f.States, storage.State(word))
		case name == "function":
			f.Function = value
		case name == "trigger":
			f.Trigger = value
		case name == "error":
			f.Error = value
		case name == "tags":
			f.Tags = strings.Split(value, ",")
		default:
			f.States = append(f.States, storage.State(word)) // which refuses it
		}
	}
	return f
}

// bulk runs "VERB APP [FILTER…]".
func (s *script) bulk(words []string) (string, error) {
	scheduler := s.h.Scheduler(storage.AppID(words[1]))
	do, done := scheduler.CountJobs, "chosen"
	switch words[0] {
	case "cancel-many":
		do, done = scheduler.CancelMany, "canceled"
	case "retry-many":
		do, done = scheduler.RetryMany, "pending again"
	case "drop-many":
		do, done = scheduler.DropMany, "gone"
	}
	n, err := do(filterOf(words[2:]))
	s.h.Settle()
	return fmt.Sprintf("%d %s", n, done), err
}

// crashAt runs "crash-at POINT N COMMAND": the command, cut off at the n-th
// passage of the point from its beginning on. It prints what the command prints,
// and whether it was cut off.
func (s *script) crashAt(line string) (string, error) {
	words := strings.SplitN(line, " ", 4)
	if len(words) < 4 {
		return "", errors.New("want: crash-at POINT N COMMAND")
	}
	n, err := strconv.Atoi(words[2])
	if err != nil {
		return "", err
	}
	switch arg(strings.Fields(words[3]), 0) {
	case "crash-at", "crash", "restart", "limits":
		return "", errors.New("want a command that leaves the engine open")
	}
	var out strings.Builder
	crashed := s.h.CrashAt(words[1], n, func() { s.run(words[3], &out) })
	if crashed {
		out.WriteString("crashed")
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

// limits runs "limits APP ENGINE": a restart with other limits of running jobs.
func (s *script) limits(words []string) (string, error) {
	perApp, err := strconv.Atoi(arg(words, 1))
	if err != nil {
		return "", err
	}
	all, err := strconv.Atoi(arg(words, 2))
	if err != nil {
		return "", err
	}
	if perApp < 1 || perApp > 1000 || all < 1 || all > 1000 {
		return "", errors.New("want limits of 1 to 1000")
	}
	s.h.Reconfigure(func(o *actors.Options) { o.AppConcurrency, o.Concurrency = perApp, all })
	return "", nil
}

// inPool is the option of a pool, NAME, or of a key of one, NAME/KEY.
func (s *script) inPool(value string) (dispatch.RunOption, error) {
	name, key, keyed := strings.Cut(value, "/")
	for _, p := range s.h.opts.Pools {
		switch {
		case p.Name() == name && keyed:
			return dispatch.InPool(p, key), nil
		case p.Name() == name:
			return dispatch.InPool(p), nil
		}
	}
	return nil, fmt.Errorf("no pool %q", name)
}
