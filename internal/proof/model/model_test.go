package model_test

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/internal/proof"
	"carillon/storage"
)

var saveScript = flag.String("save-script", "", "write the shrunk history of a red run of the model under this name into testdata/scripts/model")

var showModel = flag.Bool("show-model", false, "print each command before it is played, for one that never ends")

// scripts is where histories are kept that were red once, and stepScripts those of the
// watch.
const (
	scripts     = "../../../testdata/scripts/model"
	stepScripts = "../../../testdata/scripts/steps"
)

// history is one history of an engine and its model, as a script.
type history struct {
	h         *actorstest.Harness
	m         *model
	generator *generator
	player    *actorstest.Player
	notes     *journal
	lines     []string
	audiences map[storage.AppID]*audience
	noted     []event         // by handlers during the last command
	nested    map[string]bool // the names of the programs that actions have called

	playing atomic.Int64 // the number of the command
}

// onHistory opens an engine with a model beside it.
func onHistory(t *testing.T, play func(*history)) (x *history) {
	t.Helper()
	notes := &journal{}
	x = &history{notes: notes, nested: map[string]bool{}}
	opts := actors.Options{
		Functions: modelFunctions(notes), Tables: []storage.Schema{counterTable}, Pools: modelPools,
		AppConcurrency: 2, Concurrency: 3, MaxJobs: modelMaxJobs,
		MutationTimeout: modelTurn, TurnWait: modelWait, ActionTimeout: modelDeadline, Grace: modelGrace,
		IdleAfter: modelIdle, ClaimAhead: modelAhead, ClockCheck: modelCheck, MaxInterruptions: modelCrashes,
		MaxResult: modelMaxResult, MaxResultBytes: modelResults,
		Retention: 200 * 365 * 24 * time.Hour, DeadRetention: -1, Logger: slog.New(slog.DiscardHandler),
	}
	defer func() {
		// The bubble panics if goroutines of the engine's are left behind in it.
		if v := recover(); v != nil {
			x.m.found("leaked", "%v", v)
		}
	}()
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		notes.wall = h.Now
		x.h, x.m, x.player = h, newModel(time.Now(), 2, 3, modelApps...), actorstest.NewPlayer(h)
		x.audiences = map[storage.AppID]*audience{}
		x.m.audiences = x.audiences
		x.goOn()
		x.generator = &generator{m: x.m, player: x.player, tokens: notes.tokens}
		play(x)
		for _, p := range x.audiences {
			p.all.leave()
			p.some.leave()
		}
		h.Advance(10 * time.Second) // handlers that were deaf when a crash cut them off come to their end
	})
	return x
}

// play plays one line on the engine and on the model, and compares them.
func (x *history) play(text string) {
	c, ok := commandOf(text)
	if !ok {
		x.m.found("other", "unknown command: %s", text)
		return
	}
	x.lines = append(x.lines, text)
	if *showModel {
		fmt.Fprintln(os.Stderr, text)
	}
	m, h := x.m, x.h
	l := &line{text: text, words: strings.Fields(text), at: time.Now(), id: x.player.ID}
	l.began = l.at
	watchdog := time.AfterFunc(1000*time.Hour, func() { panic("this does not end:\n" + strings.Join(x.lines, "\n")) })
	defer watchdog.Stop()
	for _, p := range x.audiences {
		p.keeps = p.left
		if l.words[0] == "crash-at" && slices.Contains(l.words, "delete-app") {
			p.all.leave() // what they look at would come into being again before the crash
			p.some.leave()
		}
	}
	command := x.playing.Add(1)
	x.player.Opening = func() {
		if command == x.playing.Load() { // else it is the first commit long after
			x.notes.note(event{what: "open"})
		}
	}
	l.printed = x.perform(l)
	if *showModel {
		fmt.Fprintln(os.Stderr, "  "+l.printed)
	}
	l.done = time.Now()
	h.Settle()
	x.goOn()
	asleep := map[storage.AppID]actors.Inspection{}
	for _, id := range modelApps {
		asleep[id] = h.Inspect(id)
	}
	for _, id := range modelApps { // all are opened, and recover, before they are looked at
		if _, _, err := h.Scheduler(id).Get("none"); err != nil {
			m.found("other", "app %s: %v", id, err)
		}
	}
	h.Settle()
	now := time.Now()
	if *showModel {
		for _, h := range x.notes.seen {
			fmt.Fprintln(os.Stderr, "   ", h)
		}
		fmt.Fprintln(os.Stderr, "  "+now.Format(stamp), "wall", h.Now().Format(stamp))
	}
	m.seen = map[storage.AppID]*sight{}
	for _, id := range modelApps {
		s, err := look(h, id)
		if err != nil {
			m.found("other", "app %s: %v", id, err)
		}
		m.seen[id] = s
	}
	x.hear(l)
	m.untold()
	for _, id := range modelApps {
		for _, job := range m.seen[id].all {
			x.audiences[id].seqs[keyOf(job.ID, nameOf(&job))] = job.Seq()
		}
	}
	life := m.life
	m.now, m.cut, m.graceful, m.crashed, m.acked = now, false, false, false, ""
	seen := x.notes.take()
	x.noted, m.noted = seen, seen
	n, waited := c.waited(l, seen)
	if waited {
		l.at = l.done
	}
	m.branch(seen, func() {
		n := m.place(&c, l, seen, n)
		m.follow(seen[:n], l.at)
		m.before(&c, l)
		m.tell(l.at)
		m.follow(seen[n:], now)
		if c.after != nil {
			c.after(m, l)
		}
		m.tell(now)
		if len(m.findings) > 0 {
			return
		}
		for _, id := range modelApps {
			m.apps[id].window = nil
			m.ticks(m.apps[id], now)
			m.holds(m.apps[id], now)
			m.tell(time.Time{}) // of what is seen by now
			m.expires(m.apps[id], now)
			m.tell(time.Time{})
			m.holds(m.apps[id], now) // what follows them, too
			m.tell(time.Time{})
		}
		for _, id := range modelApps {
			a := m.apps[id]
			m.compare(a, now)
			m.compareEvents(a)
			if m.life == life && !a.reborn {
				m.compareAlarm(a, asleep[a.id], now)
			}
			a.reborn = false
		}
	})
	x.compareEphemeral()
	if err := h.Engine.Check(); err != nil {
		m.found("other", "check: %v", err)
	}
}

// TestG3_Model plays random histories on the engine and on a model of it.
func TestG3_Model(t *testing.T) {
	tally := proof.NewTally(t, "model")
	checks, most := proof.Pick(4, 8, 200), proof.Pick(25, 60, 500)
	setFlag(t, "rapid.checks", strconv.Itoa(checks))
	setFlag(t, "rapid.seed", proof.Pick("7", "28", "0")) // the long form draws other histories each time
	setFlag(t, "rapid.nofailfile", "true")
	var last *history // the last one that was red
	defer func() {
		if last != nil {
			report(t, tally, last, scripts)
		}
	}()
	steps, ran, slept, held, ticks, refused, turned, told, anew, outside, groups, revised, replaced, gaveWay, bulks := 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
	began, span := time.Now(), proof.For(time.Hour, time.Hour, 24*time.Hour)
	rapid.Check(t, func(rt *rapid.T) {
		if last == nil && time.Since(began) > span {
			return
		}
		drawn := rapid.SliceOfN(rapid.Custom(drawStep), most, most).Draw(rt, "steps")
		x := onHistory(t, func(x *history) {
			for i := range drawn {
				if text := x.generator.line(&drawn[i]); text != "" {
					x.play(text)
				}
				if len(x.m.findings) > 0 {
					break
				}
			}
		})
		steps, ran, slept, held, ticks = steps+len(x.lines), ran+x.m.ran, slept+x.m.hibernated, held+x.m.heldJobs, ticks+x.m.heldTicks
		refused, turned = refused+x.m.refusals, turned+x.m.turned
		told, anew, outside, groups = told+x.m.told, anew+x.m.begunAnew, outside+x.m.outside, groups+x.m.groupsEnded
		bulks += x.m.bulks
		revised, replaced, gaveWay = revised+x.m.revised, replaced+x.m.replacedCalls, gaveWay+x.m.superseded
		tally.Tried(len(x.lines))
		if len(x.m.findings) > 0 {
			last = x
			rt.Fatalf("%s", x.m.findings[0].text)
		}
	})
	t.Logf("%d events were predicted, and told then; watches began anew %d times; %d attempts ended from outside, and %d groups", told, anew, outside, groups)
	t.Logf("%d times a job was given other arguments after an attempt, %d times a call took the place of a job, %d jobs gave way to one that followed, and %d were canceled or tried again with others", revised, replaced, gaveWay, bulks)
	t.Logf("%d calls were refused since they had waited too long, and %d jobs interrupted by that", refused, turned)
	t.Logf("%d steps, %d runs of functions, %d jobs were held, %d of them ticks, an app was asleep after %d", steps, ran, held, ticks, slept)
	if ran == 0 || slept == 0 || told == 0 || anew == 0 || held == 0 && proof.Pick(false, true, true) {
		tally.Other("nothing ran, nothing slept, nothing was held, or nothing was told")
	}
}

// ours are the flags that a test has set.
var ours = map[string]bool{}

// setFlag sets a flag of rapid's, unless the command line has set it.
func setFlag(t *testing.T, name, value string) {
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	if set && !ours[name] {
		return
	}
	ours[name] = true
	was := flag.Lookup(name).Value.String()
	if err := flag.Set(name, value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { flag.Set(name, was) }) // it could be set before
}

// report counts what is wrong, and prints the history as a script that finds it again.
func report(t *testing.T, tally *proof.Tally, x *history, dir string) {
	for _, f := range x.m.findings {
		switch f.kind {
		case "lost":
			tally.Lost("%s", f.text)
		case "doubled":
			tally.Doubled("%s", f.text)
		case "early":
			tally.Early("%s", f.text)
		case "leaked":
			tally.Leaked("%s", f.text)
		default:
			tally.Other("%s", f.text)
		}
	}
	script := x.script()
	t.Logf("the history as a script:\n\n%s", script)
	for _, h := range x.noted {
		t.Logf("during its last command: %v", h)
	}
	if *saveScript == "" {
		t.Logf("-save-script NAME writes it into %s", dir)
		return
	}
	name := filepath.Join(dir, *saveScript+".txt")
	if err := os.WriteFile(name, []byte(script), 0o644); err != nil {
		t.Error(err)
	}
}

// script is the history as it is saved: what was wrong, and all commands.
func (x *history) script() string {
	var out strings.Builder
	for _, f := range x.m.findings {
		fmt.Fprintf(&out, "# %s: %s\n", f.kind, strings.ReplaceAll(f.text, "\n", "\n# "))
	}
	for _, text := range x.lines {
		out.WriteString(text + "\n")
	}
	return out.String()
}

// TestG3_ModelScripts plays the histories again that were red once.
func TestG3_ModelScripts(t *testing.T) {
	playScripts(t, scripts, func(x *history) func(string) { return x.play })
}

// playScripts plays the histories in the directory, each line as play says.
func playScripts(t *testing.T, dir string, play func(*history) func(string)) {
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in %s: %v", dir, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			lines := slices.DeleteFunc(strings.Split(string(data), "\n"), func(text string) bool {
				return text == "" || strings.HasPrefix(text, "#")
			})
			x := onHistory(t, func(x *history) {
				play := play(x)
				for _, text := range lines {
					if play(text); len(x.m.findings) > 0 {
						break
					}
				}
			})
			for _, f := range x.m.findings {
				t.Errorf("after %q: %s: %s", x.lines[len(x.lines)-1], f.kind, f.text)
			}
		})
	}
}
