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
	words := strings.SplitN(line, " ", 4)
	if len(words) < 4 {
		return "", errors.New("want: schedule APP WHEN [OPTION…] PATH [ARGS]")
	}
	d, err := time.ParseDuration(words[2])
	if err != nil {
		return "", err
	}
	var opts []dispatch.RunOption
	var retry *dispatch.RetryPolicy
	path, args, rest := "", "", words[3]
	for path == "" && rest != "" {
		word, more, _ := strings.Cut(rest, " ")
		if rest = more; strings.Contains(word, ":") {
			path, args = word, more
			break
		}
		opt, err := runOption(word, &retry)
		if err != nil {
			return "", err
		}
		if opt != nil {
			opts = append(opts, opt)
		}
	}
	if retry != nil {
		opts = append(opts, dispatch.WithRetry(*retry))
	}
	call := dispatch.Path(path).With(nil)
	if args != "" {
		call = dispatch.Path(path).With(json.RawMessage(s.reveal(args)))
	}
	scheduler := s.h.Scheduler(storage.AppID(words[1]))
	var id storage.JobID
	if d < 0 {
		id, err = scheduler.RunAt(s.h.Now().Add(d), call, opts...)
	} else {
		id, err = scheduler.RunAfter(d, call, opts...)
	}
	s.h.Settle()
	return string(id), err
}

// runOption reads one of the options of a job: id=I, once, timeout=D, tags=A,B, and those
// of its retries: attempts=N, base=D, max=D, linear, jitter.
func runOption(word string, retry **dispatch.RetryPolicy) (dispatch.RunOption, error) {
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
