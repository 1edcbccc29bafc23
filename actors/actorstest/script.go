package actorstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// Scripts are scenarios written down as text, one to a file:
//
//	# Ada publishes a post, and thirty seconds later its readers hear of it.
//	as ada call acme posts:publish {"postId":"doc1"}
//	----
//	{"jobId":"job1"}
//
//	at +30s
//	jobs acme
//	----
//	job1 notifications:notifySubscribers success due +30s attempts 1
//
// Commands stand one to a line. Those of one paragraph are run one after the
// other, and what they print stands behind the line of dashes; a paragraph
// without that line prints nothing. Lines that begin with # are comments.
//
//	call APP PATH [ARGS]      a client's call; prints its result, or its error
//	as WHO call APP PATH …    the same, signed in
//	schedule APP ±D [OPTION…] PATH [ARGS]  the host's RunAfter, or RunAt an instant that has passed; prints the id
//	schedule-many APP ±D [OPTION…] PATH [ARGS] ; ±D …  the same of several calls, in one RunMany
//	jobs APP [FILTER…]        the jobs, as the app's scheduler lists them
//	pools APP                 the pools in which something runs or waits
//	shared-pools              the pools that all apps share
//	job APP ID                one job, with its attempts that did not succeed
//	wait APP ID D             wait for its end, for D at most; prints the job with its result
//	progress APP ID           how far it has come, and how large its checkpoint is
//	watch APP [FILTER…]       begin to watch the app
//	events APP                what the watch was told since
//	cancel APP ID [cascade]   prints whether that was in time
//	complete APP TOKEN RESULT | fail APP TOKEN MESSAGE…  end an attempt from outside; prints whether it did
//	reschedule APP ID CHANGE… the same; a change is in=D, priority=N or, as the last one, args=PATH [ARGS]
//	dead APP | retry APP ID | drop APP ID
//	count APP [FILTER…]       how many jobs that are
//	cancel-many APP [FILTER…] | retry-many APP [FILTER…] | drop-many APP [FILTER…]  prints how many it was on
//	group APP PATH [ARGS]     make a group that the call follows; prints its number
//	seal APP GROUP | cancel-group APP GROUP | groups APP
//	at +D | advance D         let time pass: until D after the beginning, or for D
//	drain                     let time pass until nothing is due or under way
//	clock ±D                  step the wall clock
//	date INSTANT              set the wall clock, to an instant of RFC 3339
//	cron APP NAME ZONE [OPTION…] PATH SPEC…    make a trigger, of a function without arguments
//	recron APP NAME ZONE [OPTION…] PATH SPEC…  give it another definition
//	crons APP                 the triggers, with their next slots
//	slots APP NAME            how the slots of a trigger have ended, the oldest first
//	backfill APP NAME ±D ±D [again] [REASON…]  run it for the slots of a span, from and to since the beginning; prints how many
//	cancel-backfill APP NAME  prints whether one went on
//	pause APP NAME REASON… | resume APP NAME | run-now APP NAME | delete APP NAME
//	pause-work APP SCOPE WHO [REASON…] | resume-work APP SCOPE  of app, function=PATH or pool=NAME[/KEY]
//	pauses APP                what is paused, by whom, why and since when
//	limit-pool APP POOL N     give the pool another limit; 0 is that of the program
//	crash | restart           end the engine, open the directory again
//	crash-at POINT N COMMAND  cut the command off at the N-th passage of the point; prints whether it came to that
//	limits APP ENGINE         restart with so many jobs at once
//	apps                      the names of all apps
//	export APP | import APP   keep a copy of the app; make an app of the copy that was kept last
//	delete-app APP [WITHIN]   remove the app; give up if it has not stopped within that time
//
// A filter is of states, function=PATH, trigger=NAME, error=CODE, group=N and tags=A,B.
// Options of a job are id=I, once, timeout=D, keep-result=true|false, on-done=PATH[,ARGS], group=N, not-after=D (from now), tags=A,B, pool=NAME[/KEY], priority=N,
// unique=KEY,POLICY, attempts=N, base=D, max=D, linear and jitter; those of a trigger overlap=O, catch-up=C and paused.
// POLICY is keep, replace, throttle=D or refuse, and after another comma each app-wide,
// pending-only, held=D and wait=D. That no job was stored is printed as kept or replaced.
//
// Minted ids differ from run to run, so they are printed, and may be written, as
// doc1, doc2, … and job1, job2, …, tokens as token1, token2, …, in the order of their first appearance.
// Instants are printed as the time since the beginning, by the wall clock; those
// of slots as the clock shows them in the trigger's zone.
type Scripts struct {
	// Files is a pattern of filepath.Glob. The test fails if it matches none.
	Files string
	// Options returns the engine's options for one script: each has an engine,
	// and a registry, of its own.
	Options func() actors.Options
	// Rewrite has the output written into the files instead of compared.
	Rewrite bool
}

// Run runs every script as a subtest of its own.
func (s Scripts) Run(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(s.Files)
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts at %s: %v", s.Files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var now string
			Run(t, s.Options(), func(h *Harness) {
				script := newScript(h)
				script.left = maxSpan
				now = script.play(string(data))
			})
			switch {
			case now == string(data):
			case !s.Rewrite:
				t.Errorf("%s prints something else:\n%s", file, diff(string(data), now))
			default:
				if err := os.WriteFile(file, []byte(now), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// dashes separate commands from what they print.
const dashes = "----"

// A slip of the pen in a file must be an error, not hours of work: maxSpan is
// how much time its commands may let pass. Beyond maxStep from the beginning a
// clock cannot be stepped: spans overflow.
const (
	maxSpan = 366 * 24 * time.Hour
	maxStep = 200 * maxSpan
)

// script is one that is being played.
type script struct {
	h       *Harness
	begin   time.Time
	left    time.Duration     // how much time may still pass
	aliases map[string]string // of ids
	ids     map[string]string // of aliases

	watches map[storage.AppID]*scriptWatch

	exported []byte // the copy of an app that was kept last
}

func newScript(h *Harness) *script {
	return &script{h: h, begin: h.Now(), left: math.MaxInt64, aliases: map[string]string{}, ids: map[string]string{}}
}

// play runs the commands in text, and returns text with what they really print.
func (s *script) play(text string) string {
	var out, printed strings.Builder
	commands := false
	end := func() { // of the paragraph
		if printed.Len() > 0 {
			out.WriteString(dashes + "\n" + printed.String())
		}
		printed.Reset()
		commands = false
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		switch {
		case line == dashes:
			// What is expected is passed over: it will be compared as a whole.
			for i+1 < len(lines) && lines[i+1] != "" {
				i++
			}
			if !commands {
				printed.WriteString("error: nothing to run\n")
			}
			end()
		case line == "":
			end()
			out.WriteString("\n")
		case strings.HasPrefix(line, "#"):
			out.WriteString(line + "\n")
		default:
			out.WriteString(line + "\n")
			commands = true
			s.run(line, &printed)
		}
	}
	end()
	return out.String()
}

// run runs one command.
func (s *script) run(line string, out *strings.Builder) {
	words := strings.Fields(line)
	for i, w := range words {
		if id, ok := s.ids[w]; ok {
			words[i] = id
		}
	}
	result, err := s.command(words, line)
	if err != nil {
		var e *dispatch.Error
		if errors.As(err, &e) {
			result = fmt.Sprintf("error: %s: %s", e.Code, e.Message)
		} else {
			result = "error: " + err.Error()
		}
	}
	if result != "" {
		out.WriteString(s.hide(result) + "\n")
	}
}

// arg is the i-th word, or "".
func arg(words []string, i int) string {
	if i < len(words) {
		return words[i]
	}
	return ""
}

func (s *script) command(words []string, line string) (string, error) {
	app, id := storage.AppID(arg(words, 1)), storage.JobID(arg(words, 2))
	switch arg(words, 0) {
	case "wait", "progress", "watch", "events", "complete", "fail", "pools", "schedule", "schedule-many", "count", "cancel-many", "retry-many", "drop-many", "jobs", "dead", "job", "cancel", "reschedule", "retry", "drop", "cron", "recron", "crons", "slots", "backfill", "cancel-backfill", "pause", "resume", "run-now", "delete",
		"pause-work", "resume-work", "pauses", "limit-pool", "group", "seal", "cancel-group", "groups":
		if err := app.Check(); err != nil {
			return "", err
		}
	}
	switch arg(words, 0) {
	case "call":
		return s.call(line, nil)
	case "as":
		if arg(words, 2) != "call" {
			return "", errors.New("want: as WHO call APP PATH [ARGS]")
		}
		_, call, _ := strings.Cut(line, " call ")
		return s.call("call "+call, &dispatch.Identity{Subject: words[1]})
	case "jobs":
		return s.jobs(app, filterOf(words[2:]))
	case "pools":
		return s.pools(app)
	case "shared-pools":
		return s.sharedPools(), nil
	case "count", "cancel-many", "retry-many", "drop-many":
		return s.bulk(words)
	case "dead":
		return s.jobs(app, storage.JobFilter{States: []storage.State{storage.StateFailed}})
	case "job":
		return s.job(app, id)
	case "progress":
		return s.progress(app, id)
	case "wait":
		return s.wait(app, id, arg(words, 3))
	case "watch":
		s.watch(app, filterOf(words[2:]))
		return "", nil
	case "events":
		return s.events(app)
	case "cancel":
		var opts []dispatch.CancelOption
		if arg(words, 3) == "cascade" {
			opts = append(opts, dispatch.Cascade())
		}
		answer, err := s.h.Scheduler(app).Cancel(id, opts...)
		switch {
		case err != nil:
			return "", err
		case answer.Canceled:
			if answer.Along > 0 {
				return fmt.Sprintf("canceled, it was %s, and %d with it", answer.Found, answer.Along), nil
			}
			return fmt.Sprintf("canceled, it was %s", answer.Found), nil
		case answer.Found == "":
			return "no such job", nil
		}
		return fmt.Sprintf("too late, it is %s", answer.Found), nil
	case "complete", "fail":
		return s.endOutside(app, words)
	case "reschedule":
		return s.reschedule(app, id, words[3:])
	case "retry":
		ok, err := s.h.Scheduler(app).RetryDead(id)
		return known(ok), err
	case "drop":
		ok, err := s.h.Scheduler(app).DropDead(id)
		return known(ok), err
	case "at", "advance", "clock":
		d, err := time.ParseDuration(arg(words, 1))
		if err != nil {
			return "", err
		}
		switch words[0] {
		case "clock":
			return "", s.step(d)
		case "at":
			now := s.h.Now()
			if d = s.begin.Add(d).Sub(now); d < 0 {
				return "", fmt.Errorf("it is %s already", s.since(now))
			}
		}
		return "", s.advance(d)
	case "date":
		at, err := time.Parse(time.RFC3339, arg(words, 1))
		if err != nil {
			return "", err
		}
		return "", s.step(at.Sub(s.h.Now()))
	case "schedule":
		return s.schedule(line)
	case "schedule-many":
		return s.scheduleMany(line)
	case "cron", "recron", "crons", "slots", "backfill", "cancel-backfill", "pause", "resume", "run-now", "delete":
		return s.crons(words)
	case "pause-work", "resume-work", "pauses", "limit-pool":
		return s.pauses(words)
	case "group", "seal", "cancel-group", "groups":
		return s.groups(words, line)
	case "drain":
		s.h.Drain()
		return "", nil
	case "crash":
		s.h.Crash()
		return "", nil
	case "crash-at":
		return s.crashAt(line)
	case "restart":
		s.h.Restart()
		return "", nil
	case "limits":
		return s.limits(words)
	case "apps", "export", "import", "delete-app":
		return s.apps(words)
	}
	return "", fmt.Errorf("unknown command %q", arg(words, 0))
}

// advance lets time pass, while there is some left.
func (s *script) advance(d time.Duration) error {
	if d < 0 || d > s.left {
		return fmt.Errorf("%s is not in 0 to %s, which is left of the time that a script may take", d, s.left)
	}
	s.left -= d
	s.h.Advance(d)
	return nil
}

// wait waits for the end of a job, and lets time pass for that long at most.
func (s *script) wait(app storage.AppID, id storage.JobID, within string) (string, error) {
	d, err := time.ParseDuration(within)
	if err != nil || d < 0 || d > s.left {
		return "", fmt.Errorf("%q is not in 0 to %s", within, s.left)
	}
	s.left -= d
	ctx, cancel := context.WithTimeout(s.h.Context(), d)
	defer cancel()
	job, err := s.h.App(app).Wait(ctx, id)
	if err != nil {
		return "", err
	}
	line := s.line(&job)
	if job.Result != nil {
		line += " result " + string(job.Result)
	}
	if n := job.NotKept; n != nil {
		line += fmt.Sprintf(" result of %d bytes not kept: %s", n.Bytes, n.Reason)
	}
	return line, nil
}

// step steps the wall clock, within bounds.
func (s *script) step(d time.Duration) error {
	if off := s.h.Now().Add(d).Sub(s.begin); off < -maxStep || off > maxStep {
		return fmt.Errorf("that is farther than %s from the beginning", maxStep)
	}
	s.h.StepClock(d)
	return nil
}

func known(ok bool) string {
	if ok {
		return ""
	}
	return "no such dead job"
}

// call runs "call APP PATH [ARGS]"; ARGS is the rest of the line.
func (s *script) call(line string, who *dispatch.Identity) (string, error) {
	parts := strings.SplitN(line, " ", 4)
	if len(parts) < 3 {
		return "", errors.New("want: call APP PATH [ARGS]")
	}
	if err := storage.AppID(parts[1]).Check(); err != nil {
		return "", err
	}
	args := s.reveal(arg(parts, 3))
	out, err := s.h.App(storage.AppID(parts[1])).Call(s.h.tb.Context(), parts[2], json.RawMessage(args), who)
	s.h.Settle()
	if string(out) == "null" {
		out = nil
	}
	return string(out), err
}

// jobs prints a line for each job.
func (s *script) jobs(app storage.AppID, filter storage.JobFilter) (string, error) {
	jobs, err := s.h.jobs(app, filter)
	var lines []string
	for _, job := range jobs {
		lines = append(lines, s.line(&job))
	}
	return strings.Join(lines, "\n"), err
}

func (s *script) line(job *storage.Job) string {
	line := fmt.Sprintf("%s %s %s due %s", job.ID, job.Function, job.State, s.since(job.Due))
	if job.Attempts > 0 {
		line += fmt.Sprintf(" attempts %d", job.Attempts)
	}
	if u := job.Unique; u != nil {
		line += " key " + u.Key
	}
	if job.Revision > 0 {
		line += fmt.Sprintf(" revision %d", job.Revision)
	}
	if len(job.Tags) > 0 {
		line += " tags " + strings.Join(job.Tags, ",")
	}
	if job.State == storage.StateExpired {
		line += " since " + job.Reason
	}
	if job.Error != nil {
		line += fmt.Sprintf(" error %s: %s", job.Error.Code, job.Error.Message)
	}
	return line
}

func (s *script) job(app storage.AppID, id storage.JobID) (string, error) {
	job, ok, err := s.h.Scheduler(app).Get(id)
	if err != nil {
		return "", err
	}
	if !ok {
		return "no such job", nil
	}
	lines := []string{s.line(&job)}
	for _, a := range job.History {
		line := fmt.Sprintf("  attempt %d until %s: %s: %s", a.Number, s.since(a.EndedAt), a.Error.Code, a.Error.Message)
		if a.Interrupted {
			line += " (interrupted)"
		}
		if a.Postponed {
			line += " (postponed)"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n"), nil
}

// since prints an instant as the time since the beginning.
func (s *script) since(t time.Time) string {
	d := t.Sub(s.begin)
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	if d >= 0 {
		text = "+" + text
	}
	return text
}

// minted matches the ids that the engine makes, a job's or a document's, and the token of an attempt
// of a job that has such an id.
var minted = regexp.MustCompile(`[0-9A-Za-z_-]{66,}|\bj?[0-9a-v]{24}\b`)

// aliased matches what stands for one of them.
var aliased = regexp.MustCompile(`\b(doc|job|token)[0-9]+\b`)

// hide puts aliases in the place of ids.
func (s *script) hide(text string) string {
	return minted.ReplaceAllStringFunc(text, func(id string) string {
		if alias, ok := s.aliases[id]; ok {
			return alias
		}
		kind := "doc"
		switch {
		case len(id) == 25:
			kind = "job"
		case len(id) > 25:
			kind = "token"
		}
		n := 1
		for s.ids[kind+strconv.Itoa(n)] != "" {
			n++
		}
		alias := kind + strconv.Itoa(n)
		s.aliases[id], s.ids[alias] = alias, id
		return alias
	})
}

// reveal puts ids in the place of aliases.
func (s *script) reveal(text string) string {
	return aliased.ReplaceAllStringFunc(text, func(alias string) string {
		if id, ok := s.ids[alias]; ok {
			return id
		}
		return alias
	})
}

// diff shows where two texts part, and a few lines around.
func diff(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	from := max(n-3, 0)
	return fmt.Sprintf("line %d, want\n%s\ngot\n%s", n+1,
		strings.Join(a[from:min(n+4, len(a))], "\n"), strings.Join(b[from:min(n+4, len(b))], "\n"))
}
