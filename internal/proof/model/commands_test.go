package model_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// command is what the model knows of one word of the script language. A feature
// that comes later is added to the model in three places: what an app must be
// like with it (app, job), what it lets happen (startedJob, mutate, settle), and
// a command here, with the word in actorstest if scripts do not have it yet.
type command struct {
	word string
	// draws is how many of the steps that are drawn are of this kind.
	draws int
	// make writes the line for a step; "" if there is nothing to do it to.
	make func(m *generator, s *step) string
	// before is what the line does to the model, ahead of all that the handlers
	// have noted while it was played; after what can be said only then.
	before, after func(m *model, l *line)
}

// line is a command that was played.
type line struct {
	text    string
	words   []string
	printed string
	began   time.Time // the bubble's
	done    time.Time
	at      time.Time // when it was done what it says: at its end, if it has waited for the turn
	id      func(alias string) storage.JobID
	asked   *asked // whose token the command has; nil: of none
}

// app is the app that the command is about.
func (l *line) app(m *model) *app { return m.apps[storage.AppID(l.words[1])] }

// failed is the code that was printed instead of a result.
func (l *line) failed() (dispatch.Code, bool) {
	text, ok := strings.CutPrefix(l.printed, "error: ")
	code, _, _ := strings.Cut(text, ":")
	return dispatch.Code(code), ok
}

// answer is what was printed, as handlers write it down.
func (l *line) answer() string {
	if code, failed := l.failed(); failed {
		return "error: " + string(code)
	}
	return l.printed
}

// rest is the line from its n-th word on.
func (l *line) rest(n int) string { return strings.SplitN(l.text, " ", n+1)[n] }

// commands are the words that the model knows.
func commands() []command {
	return []command{
		{word: "call", draws: 9, make: (*generator).call, before: beforeCall, after: afterCall},
		{word: "schedule", draws: 6, make: (*generator).schedule, before: beforeSchedule},
		{word: "schedule-many", draws: 2, make: (*generator).scheduleMany, before: beforeScheduleMany},
		{word: "release", draws: 4, make: (*generator).release, before: beforeRelease, after: afterOpening},
		{word: "advance", draws: 12, make: (*generator).advance},
		{word: "cancel", draws: 3, make: (*generator).jobCommand, before: beforeCancel},
		{word: "reschedule", draws: 2, make: (*generator).reschedule, before: beforeReschedule},
		{word: "retry", draws: 2, make: (*generator).jobCommand, before: beforeRetry},
		{word: "drop", draws: 1, make: (*generator).jobCommand, before: beforeDrop},
		{word: "cancel-many", draws: 1, make: (*generator).bulk, before: beforeCancelMany},
		{word: "retry-many", draws: 2, make: (*generator).bulk, before: beforeRetryMany},
		{word: "clock", draws: 2, make: (*generator).clock, before: beforeClock},
		{word: "crash", draws: 2, make: func(*generator, *step) string { return "crash" }, before: beforeCrash, after: afterOpening},
		{word: "crash-at", draws: 4, make: (*generator).crashAt, before: beforeCrashAt, after: afterCrashAt},
		{word: "restart", draws: 1, make: func(*generator, *step) string { return "restart" }, before: beforeRestart, after: afterOpening},
		{word: "limits", draws: 1, make: (*generator).limits, before: beforeLimits, after: afterOpening},
		{word: "starts", draws: 2, make: (*generator).starts, before: beforeStarts, after: afterOpening},
		{word: "turn-wait", draws: 4, make: (*generator).turnWait, before: beforeTurnWait, after: afterOpening},
		{word: "complete", draws: 3, make: (*generator).sayOutside, before: beforeSayOutside},
		{word: "complete-large", draws: 1, make: (*generator).sayOutside, before: beforeSayOutside},
		{word: "fail-outside", draws: 2, make: (*generator).sayOutside, before: beforeSayOutside},
		{word: "fail-for-good", draws: 1, make: (*generator).sayOutside, before: beforeSayOutside},
		{word: "group", draws: 3, make: (*generator).groupCommand, before: beforeGroup},
		{word: "seal", draws: 3, make: (*generator).groupCommand, before: beforeSeal},
		{word: "cancel-group", draws: 1, make: (*generator).groupCommand, before: beforeCancelGroup},
		{word: "unwatch", draws: 2, make: (*generator).unwatch},
		{word: "rewatch", make: (*generator).unwatch},
		{word: "cron", draws: 2, make: (*generator).cron, before: beforeCron},
		{word: "recron", draws: 1, make: (*generator).cron, before: beforeCron},
		{word: "pause", draws: 1, make: (*generator).cronCommand, before: beforePause},
		{word: "resume", draws: 1, make: (*generator).cronCommand, before: beforePause},
		{word: "pause-work", draws: 2, make: (*generator).pauseWork, before: beforePauseWork},
		{word: "resume-work", draws: 3, make: (*generator).pauseWork, before: beforePauseWork},
		{word: "limit-pool", draws: 1, make: (*generator).limitPool, before: beforeLimitPool},
		{word: "delete", draws: 1, make: (*generator).cronCommand, before: beforeDelete},
		{word: "run-now", draws: 1, make: (*generator).cronCommand, before: beforeRunNow},
		{word: "export", draws: 1, make: (*generator).export, before: beforeExport},
		{word: "delete-app", draws: 1, make: (*generator).deleteApp, before: beforeDeleteApp, after: afterDeleteApp},
		{word: "import", draws: 2, make: (*generator).importApp, before: beforeImport},
	}
}

// commandOf finds the command of a line.
func commandOf(text string) (command, bool) {
	word, _, _ := strings.Cut(text, " ")
	for _, c := range commands() {
		if c.word == word {
			return c, true
		}
	}
	return command{}, false
}

// calls says whether the command does what it says as it begins, or by what it calls.
func (c *command) calls() bool {
	switch c.word {
	case "call", "advance", "crash", "restart", "limits", "release", "starts", "turn-wait", "unwatch", "rewatch", "clock", "export", "import", "delete-app":
		return true
	}
	return false
}

// waitsTwice says whether the command waits for the turn more than once.
func (c *command) waitsTwice() bool {
	return c.word == "cancel-group" || c.word == "cancel-many" || c.word == "retry-many"
}

// waited says whether the command had to wait for the turn, and how much of what
// was noted came before it was done. Calls, and what opens the directory, tell by
// themselves when they are done.
func (c *command) waited(l *line, seen []event) (n int, waited bool) {
	if c.calls() {
		return 0, false
	}
	if c.word == "crash-at" {
		if strings.HasSuffix(l.printed, "crashed") {
			return 0, false
		}
		inner, in := l.inner()
		return inner.waited(in, seen)
	}
	if !l.done.After(l.at) {
		return 0, false
	}
	for n < len(seen) && (seen[n].at.Before(l.done) || seen[n].what != "start" || string(seen[n].run.app) != l.words[1]) {
		n++ // what begins at that very moment has waited behind it
	}
	return n, true
}

// programIn reads a program that is the end of a line.
func programIn(text string) (p program) {
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		panic(err)
	}
	return p
}

func beforeCall(m *model, l *line) {
	if _, failed := l.failed(); !failed && l.words[2] == "model:do" {
		m.acked = programIn(l.rest(3)).Name
	}
}

// afterCall compares how a call ended with how it must have.
func afterCall(m *model, l *line) {
	p := programIn(l.rest(3))
	deadline := modelTurn
	if l.words[2] == "model:act" {
		deadline = modelDeadline
	}
	want := m.unknown(l.words[2])
	if err := p.end(0); want != "" {
		// Nothing ran.
	} else if span(p.Takes) > deadline {
		want = dispatch.CodeDeadlineExceeded
		if p.Deaf && span(p.Takes) < modelDeadline+modelGrace && l.words[2] == "model:act" {
			want = "" // it returns within the grace: a success counts, and what stands whatever the cause
			if err = late(err); err != nil {
				want = dispatch.AsError(err).Code
			}
		}
	} else if err != nil {
		if l.words[2] == "model:act" && l.done.Sub(l.began) >= deadline {
			err = late(err) // what it did beside its pause took it past its deadline
		}
		want = dispatch.AsError(err).Code
	}
	got, failed := l.failed()
	if !failed {
		got = ""
	}
	if !m.cut && m.unknown(l.words[2]) == "" && !m.callBegan(l, &p) {
		return
	}
	if got != want && !m.cut {
		m.found("other", "%s was answered with %q, want %q", p.Name, l.printed, want)
	}
}

// orderIn reads "schedule APP WHEN [OPTION…] PATH ARGS".
func orderIn(l *line) *order {
	o := &order{After: l.words[2]}
	for i, word := range l.words[3:] {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "id":
			o.ID = value
		case "once":
			o.Once = true
		case "timeout":
			o.Timeout = value
		case "base":
			o.Base = value
		case "pool":
			o.Pool = value
		case "priority":
			o.Priority, _ = strconv.Atoi(value)
		case "unique":
			o.Key = value
		case "on-done":
			o.Then = thenIn(value)
		case "keep-result":
			o.Toss = value == "false"
		case "group":
			o.Group, _ = strconv.ParseUint(value, 10, 64)
		case "not-after":
			o.Last = value
		case "attempts":
			attempts, _ := strconv.Atoi(value)
			if o.Retries = attempts - 1; o.Retries == 0 {
				o.Retries = -1
			}
		default:
			o.Acts = word == "model:act"
			o.Do = programIn(l.rest(3 + i + 1))
			return o
		}
	}
	panic("no path in " + l.text)
}

// hostRun stands for the host where the model wants to know who does something.
func hostRun(a *app, l *line) *run {
	return &run{app: a.id, prog: &program{Name: "the host"}, freed: l.at.Add(time.Hour)}
}

func beforeSchedule(m *model, l *line) {
	a, o := l.app(m), orderIn(l)
	d := &op{Run: o}
	h := event{at: l.at, wall: m.wall(l.began), op: d}
	r := hostRun(a, l)
	h.run = r
	_, failed := l.failed()
	answer := l.answer()
	if !failed {
		answer = string(l.id(toldID(l.printed)))
	}
	a.touched = l.at
	if m.cut {
		if _, there := m.seen[a.id].jobs[storage.JobID(answer)]; !failed && !there {
			m.found("lost", "%s was acknowledged as %s, and is gone", l.text, answer)
		}
		m.begun = append(m.begun, h)
		return
	}
	m.doing(a, r, d, answer, h)
}

func beforeCancel(m *model, l *line) {
	a := l.app(m)
	j := a.job(l.id(l.words[2]))
	a.touched = l.at
	canceled, ok := strings.CutPrefix(l.printed, "canceled, it was ")
	late, isLate := strings.CutPrefix(l.printed, "too late, it is ")
	switch {
	case m.cut && j != nil:
		if ok && m.seen[a.id].of(j).State != storage.StateCanceled {
			m.found("lost", "%s was acknowledged, and is gone", l.text)
		}
		m.begun = append(m.begun, event{at: l.at, run: hostRun(a, l), op: &op{Cancel: j.name}})
	case m.cut:
	case ok && j != nil && !j.state.Ended():
		c := a.begin("cancel of " + j.name)
		m.canceled(a, j, storage.State(canceled), nil, l.at)
		c.acked, c.durable = true, func() bool { return m.seen[a.id].of(j).State == storage.StateCanceled }
		a.end(true)
	case isLate && j != nil && j.state == storage.State(late):
	case isLate && j != nil && storage.State(late) == storage.StateExpired && m.tooLate(j, l.at):
	case isLate && j != nil && late == "canceled" && m.replaced(a, j, l.at):
		j.endedAt = time.Time{}
	case l.printed == "no such job" && j == nil:
	case l.printed == "no such job" && j.missed(m, a, l.at):
		a.drop(j)
	case j == nil:
		m.found("other", "%s: %s, and there is no such job", l.text, l.printed)
	default:
		m.found("other", "%s: %s, and it is %s", l.text, l.printed, j.state)
	}
}

// dead is the dead or held job that a command is about; nil if it is about none.
func (l *line) dead(m *model) *job {
	if j := l.app(m).job(l.id(l.words[2])); j != nil && (j.state == storage.StateFailed || j.state == storage.StateHeld) {
		return j
	}
	return nil
}

func beforeRetry(m *model, l *line) {
	a, j := l.app(m), l.dead(m)
	a.touched = l.at
	least, most := m.live(a, l.at)
	switch code, failed := l.failed(); {
	case j == nil && l.printed == "no such dead job":
	case j != nil && j.state == storage.StateHeld && l.printed == "":
		j.state, j.due, j.changedAt, j.readyAt = storage.StatePending, m.wall(l.at), l.at, l.at
	case j != nil && j.state == storage.StateFailed && code == dispatch.CodeAlreadyExists && m.keyTaken(a, j, l.at):
	case j != nil && most >= modelMaxJobs && code == dispatch.CodeResourceExhausted:
	case j != nil && least < modelMaxJobs && l.printed == "":
		m.revive(j, l)
	default:
		m.found("other", "%s: %q (failed: %v), dead %v, %d to %d jobs", l.text, l.printed, failed, j != nil, least, most)
	}
}

func beforeDrop(m *model, l *line) {
	j := l.dead(m)
	if (j == nil) != (l.printed == "no such dead job") || j != nil && l.printed != "" {
		m.found("other", "%s: %q, dead %v", l.text, l.printed, j != nil)
		return
	}
	if j == nil {
		return
	}
	l.app(m).drop(j)
	if j.group != 0 {
		m.droppedMember(l.app(m), j, l.at)
	}
	for _, old := range l.app(m).jobs {
		old.unnamed = old.unnamed || old.id == j.id
	}
}

func beforeClock(m *model, l *line) {
	if wall := m.wall(l.at); wall.After(m.peak) {
		m.peak = wall
	}
	m.step += span(l.words[1])
	m.doubt(l.at, span(l.words[1]))
	m.steppedAt = l.at
}

func beforeRestart(m *model, l *line) {
	m.graceful, m.closing, m.opening = true, true, true
	m.refresh(l.at)
}

func beforeLimits(m *model, l *line) {
	beforeRestart(m, l)
	m.limits[0], _ = strconv.Atoi(l.words[1])
	m.limits[1], _ = strconv.Atoi(l.words[2])
}

// beforeCrash: what handlers do from here on, those that are deaf, is nothing to anybody.
func beforeCrash(m *model, _ *line) {
	m.opening, m.dead = true, true
	m.life++
}

// afterOpening is for an engine that has had nothing to commit since.
func afterOpening(m *model, _ *line) {
	if m.opening {
		m.opened(m.now)
	}
}

// inner is the command that a crash-at is about.
func (l *line) inner() (command, *line) {
	text := l.rest(3)
	c, _ := commandOf(text)
	in := *l
	in.text, in.words = text, strings.Fields(text)
	in.printed = strings.TrimSuffix(strings.TrimSuffix(l.printed, "crashed"), "\n")
	return c, &in
}

func beforeCrashAt(m *model, l *line) {
	m.cut = strings.HasSuffix(l.printed, "crashed")
	m.opening = m.cut
	c, in := l.inner()
	m.before(&c, in)
}

func afterCrashAt(m *model, l *line) {
	if m.cut {
		afterOpening(m, l)
	}
	if c, in := l.inner(); c.after != nil {
		c.after(m, in)
	}
}
