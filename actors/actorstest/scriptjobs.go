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
	var told storage.Told
	c.opts = append(c.opts, dispatch.Tell(&told))
	if c.wait < 0 {
		_, err = scheduler.RunAt(s.h.Now().Add(c.wait), c.call, c.opts...)
	} else {
		_, err = scheduler.RunAfter(c.wait, c.call, c.opts...)
	}
	s.h.Settle()
	return toldLine(&told), err
}

// toldLine prints the id of the job, and whether it was there.
func toldLine(told *storage.Told) string {
	line := string(told.ID)
	if told.Kept {
		line += " kept"
	}
	if told.Replaced {
		line += " replaced"
	}
	return line
}

// scheduleMany runs "schedule-many APP WHEN [OPTION…] PATH [ARGS] ; WHEN …", which is
// one RunMany.
func (s *script) scheduleMany(line string) (string, error) {
	_, line, _ = strings.Cut(line, " ")
	app, line, _ := strings.Cut(line, " ")
	var calls []dispatch.Scheduled
	var tolds []*storage.Told
	for part := range strings.SplitSeq(line, " ; ") {
		c, err := s.scheduled(part)
		told := new(storage.Told)
		tolds, c.opts = append(tolds, told), append(c.opts, dispatch.Tell(told))
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
		if lines[i] = toldLine(tolds[i]); tolds[i].ID != id {
			return "", fmt.Errorf("the %d. call is told of job %s, and answered with %s", i+1, tolds[i].ID, id)
		}
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
		if rest = more; strings.Contains(word, ":") && !strings.HasPrefix(word, "on-done=") {
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

// runOption reads one of the options of a job: id=I, once, timeout=D, not-after=D, tags=A,B,
// pool=NAME or NAME/KEY, priority=N, unique=…, and those
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
	case "unique":
		return uniqueOption(value)
	case "on-done":
		path, args, _ := strings.Cut(value, ",")
		return dispatch.OnDone(dispatch.Path(path).With(json.RawMessage(args))), nil
	case "group":
		g, err := groupID(value)
		return dispatch.InGroup(g), err
	case "keep-result":
		keep, err := strconv.ParseBool(value)
		return dispatch.KeepResult(keep), err
	case "timeout":
		d, err := time.ParseDuration(value)
		return dispatch.Timeout(d), err
	case "not-after":
		d, err := time.ParseDuration(value)
		return dispatch.NotAfter(s.h.Now().Add(d)), err
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

// progress prints what the job's attempt has told, and what the next one is given.
func (s *script) progress(app storage.AppID, id storage.JobID) (string, error) {
	job, ok, err := s.h.Scheduler(app).Get(id)
	if err != nil || !ok {
		return "no such job", err
	}
	line := fmt.Sprintf("%s %s attempts %d", job.ID, job.State, job.Attempts)
	if p := job.Progress; p != nil {
		line += strings.TrimSuffix(fmt.Sprintf(" at %d of %d %s", p.Done, p.Total, p.Note), " ")
	}
	if job.CheckpointSize > 0 {
		line += fmt.Sprintf(" checkpoint of %d bytes", job.CheckpointSize)
	}
	return line, nil
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
		case name == "group":
			f.Group, _ = groupID(value) // 0 is all
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

// uniqueOption reads KEY,POLICY: a policy with what changes it, between commas.
func uniqueOption(text string) (dispatch.RunOption, error) {
	words := strings.Split(text, ",")
	var policy dispatch.UniquePolicy
	for _, word := range words[1:] {
		name, value, spans := strings.Cut(word, "=")
		var d time.Duration
		if spans {
			var err error
			if d, err = time.ParseDuration(value); err != nil {
				return nil, err
			}
		}
		switch name {
		case "keep":
			policy = dispatch.Keep()
		case "replace":
			policy = dispatch.Replace()
		case "throttle":
			policy = dispatch.Throttle(d)
		case "refuse":
			policy = dispatch.Refuse()
		case "app-wide":
			policy = policy.AppWide()
		case "pending-only":
			policy = policy.PendingOnly()
		case "held":
			policy = policy.HeldFor(d)
		case "wait":
			policy = policy.MaxWait(d)
		default:
			return nil, fmt.Errorf("unknown policy %q of a key", word)
		}
	}
	return dispatch.Unique(words[0], policy), nil
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

// pools are a line for each pool of the app in which something runs or waits.
func (s *script) pools(app storage.AppID) (string, error) {
	list, err := s.h.App(app).Pools(s.h.Context())
	var lines []string
	for _, p := range list {
		if p.Running+p.Queued == 0 && p.Next.IsZero() {
			continue
		}
		line := fmt.Sprintf("%s %d of %d", p.Name, p.Running, p.Limit)
		if p.Rate > 0 {
			line += fmt.Sprintf(", %d in %v", p.Rate, p.Span)
		}
		if line += fmt.Sprintf(", %d waiting", p.Queued); p.Queued > 0 {
			line += " since " + s.since(p.Oldest)
		}
		if !p.Next.IsZero() {
			line += ", next " + s.since(p.Next)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n"), err
}

// sharedPools are a line for each pool that all apps share.
func (s *script) sharedPools() string {
	var lines []string
	for _, p := range s.h.Engine.SharedPools() {
		line := fmt.Sprintf("%s %d of %d", p.Name, p.Running, p.Limit)
		if p.Rate > 0 {
			line += fmt.Sprintf(", %d in %v", p.Rate, p.Span)
		}
		if line += fmt.Sprintf(", %d apps waiting", p.Apps); !p.Next.IsZero() {
			line += ", next " + s.since(p.Next)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
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

// reschedule runs "reschedule APP ID CHANGE…".
func (s *script) reschedule(app storage.AppID, id storage.JobID, words []string) (string, error) {
	var changes []dispatch.ChangeOption
	for i, word := range words {
		name, value, _ := strings.Cut(word, "=")
		if name == "args" {
			args := json.RawMessage(s.reveal(strings.Join(words[i+1:], " ")))
			changes = append(changes, dispatch.NewArgs(dispatch.Path(value).With(args)))
			break
		}
		switch name {
		case "in":
			d, err := time.ParseDuration(value)
			if err != nil {
				return "", err
			}
			changes = append(changes, dispatch.DueIn(d))
		case "priority":
			n, err := strconv.Atoi(value)
			if err != nil {
				return "", err
			}
			changes = append(changes, dispatch.Priority(n))
		default:
			return "", fmt.Errorf("unknown change %q", word)
		}
	}
	answer, err := s.h.Scheduler(app).Reschedule(id, changes...)
	s.h.Settle()
	switch {
	case err != nil:
		return "", err
	case answer.Changed:
		return fmt.Sprintf("changed, it was %s", answer.Found), nil
	case answer.Found == "":
		return "no such job", nil
	}
	return fmt.Sprintf("too late, it is %s", answer.Found), nil
}

// endOutside runs "complete APP TOKEN RESULT" and "fail APP TOKEN MESSAGE…".
func (s *script) endOutside(app storage.AppID, words []string) (string, error) {
	token, rest := arg(words, 2), strings.Join(words[min(3, len(words)):], " ")
	var ok bool
	var err error
	if words[0] == "complete" {
		ok, err = s.h.App(app).Complete(s.h.Context(), token, json.RawMessage(rest))
	} else {
		ok, err = s.h.App(app).Fail(s.h.Context(), token, dispatch.Errorf(dispatch.CodeUnavailable, "%s", rest))
	}
	s.h.Settle()
	switch {
	case err != nil:
		return "", err
	case ok:
		return "ended", nil
	}
	return "it had ended", nil
}
