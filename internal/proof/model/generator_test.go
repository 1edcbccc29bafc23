package model_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"pgregory.net/rapid"

	"carillon/actors/actorstest"
	"carillon/storage"
)

// step is what is drawn for one command: which, and numbers and programs that
// are made to fit what is there when its turn comes. So a history that is cut
// shorter, or made simpler, is still one.
type step struct {
	Word  string
	App   int
	N, M  int
	Order order // a program, and how it is scheduled
}

var (
	modelApps = []storage.AppID{"acme", "bell", "cope"}

	// Nothing ends at the very moment at which something else is due, or overdue:
	// what takes time takes a few milliseconds more than whole ones of a quarter second.
	modelTakes    = []string{"", "", "", "307ms", "1207ms", "2707ms", "4007ms", "5757ms", "9007ms"}
	modelDelays   = []string{"0s", "0s", "250ms", "500ms", "1s", "2s", "5s", "30s", "1h", "-5s"}
	modelAdvances = []string{"1ms", "50ms", "250ms", "600ms", "1s", "3s", "10s", "61s", "5m"}
	modelSteps    = []string{"1s", "-1s", "5s", "-5s", "1m", "-1m", "1h", "-1h", "24h", "-24h", "87600h", "-87600h"}
	modelSpecs    = []string{"@every 1s", "@every 7s", "@every 1m1s", "*/5 * * * * *", "3,17,18 * * * * *", "* * * * *"}
	modelEnds     = []string{"", "", "", "", "error", "error", "permanent", "panic", "goexit"}
)

// drawProgram draws a program. Only on its way to its own time may an action be
// deaf, or a nested mutation be one that takes any.
func drawProgram(t *rapid.T, acts bool, depth int) program {
	p := program{
		Takes: rapid.SampledFrom(modelTakes).Draw(t, "takes"),
		Ends:  rapid.SampledFrom(modelEnds).Draw(t, "ends"),
		Until: rapid.IntRange(0, 2).Draw(t, "until"),
	}
	if p.Ends == "" {
		p.Until = 0
	}
	p.Deaf = p.Takes != "" && rapid.IntRange(0, 3).Draw(t, "deaf") == 3
	kinds := []string{"count", "run", "cancel", "nest"}
	if acts {
		kinds = kinds[1:]
	}
	if depth == 0 {
		kinds = kinds[:1]
		if acts {
			return p
		}
	}
	for range rapid.IntRange(0, 3).Draw(t, "ops") {
		var d op
		switch rapid.SampledFrom(kinds).Draw(t, "op") {
		case "count":
			d.Count = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "count")
		case "run":
			o := drawOrder(t, depth-1)
			if o.Child = rapid.SampledFrom([]string{"", "", "x", "y"}).Draw(t, "child"); o.Child != "" {
				o.Key = ""
			}
			o.drawGroup(t)
			d.Run = &o
		case "cancel":
			d.Cancel = fmt.Sprintf("#%d", rapid.IntRange(0, 20).Draw(t, "cancel"))
		case "nest":
			inner := drawProgram(t, false, depth-1)
			inner.Takes, inner.Deaf = "", false
			if inner.Ends == "goexit" {
				inner.Ends = "panic" // it would end the outer one, too
			}
			d.Nest = &inner
		}
		p.Does = append(p.Does, d)
	}
	return p
}

func drawOrder(t *rapid.T, depth int) order {
	o := order{
		After:   rapid.SampledFrom(modelDelays).Draw(t, "after"),
		Acts:    rapid.Bool().Draw(t, "acts"),
		Once:    rapid.IntRange(0, 5).Draw(t, "once") == 5,
		Retries: rapid.SampledFrom([]int{0, -1, 1, 2}).Draw(t, "retries"),
		Timeout: rapid.SampledFrom([]string{"", "", "", "1s", "3s"}).Draw(t, "timeout"),
	}
	if o.Retries > 0 {
		o.Base = rapid.SampledFrom([]string{"0s", "700ms", "2s"}).Draw(t, "base")
	}
	if rapid.IntRange(0, 2).Draw(t, "id") == 2 {
		o.ID = fmt.Sprintf("id%d", rapid.IntRange(1, 5).Draw(t, "chosen"))
	}
	o.drawPlace(t)
	o.drawLast(t)
	o.Do = drawProgram(t, o.Acts, depth)
	o.drawFill(t)
	o.drawPending(t)
	o.Do.Saves = o.Acts && rapid.IntRange(0, 3).Draw(t, "saves") == 3
	o.Then = drawThen(t, depth)
	return o
}

// drawStep draws a step of any kind.
func drawStep(t *rapid.T) step {
	words := []string{""} // the simplest step does nothing, so that a long history shrinks
	for _, c := range commands() {
		for range c.draws {
			words = append(words, c.word)
		}
	}
	s := step{
		Word: rapid.SampledFrom(words).Draw(t, "word"),
		App:  rapid.IntRange(0, len(modelApps)-1).Draw(t, "app"),
		N:    rapid.IntRange(0, 100).Draw(t, "n"),
		M:    rapid.IntRange(0, 100).Draw(t, "m"),
	}
	switch s.Word {
	case "call", "schedule", "schedule-many", "reschedule", "crash-at", "group":
		s.Order = drawOrder(t, 2)
	}
	return s
}

// generator makes lines of steps, to fit what is there.
type generator struct {
	m      *model
	player *actorstest.Player
	tokens func(storage.AppID, storage.JobID) []*asked
	names  int  // given so far
	steps  bool // of the wall may be any
}

func (g *generator) app(s *step) *app { return g.m.apps[modelApps[s.App%len(modelApps)]] }

// line is the line for the step; "" if it has nothing to do.
func (g *generator) line(s *step) string {
	if s.Word == "" {
		return ""
	}
	c, ok := commandOf(s.Word)
	if !ok {
		panic("no command " + s.Word)
	}
	return c.make(g, s)
}

// name gives the program and all inside it their names, and its cancels
// something to cancel.
func (g *generator) name(a *app, p program) program {
	g.names++
	p.Name = fmt.Sprintf("%s.n%d", a.id, g.names)
	does := p.Does
	p.Does = nil
	for _, d := range does {
		switch {
		case d.Nest != nil:
			inner := g.name(a, *d.Nest)
			d.Nest = &inner
		case d.Run != nil:
			o := *d.Run
			o.Do = g.name(a, o.Do)
			d.Run = &o
		case d.Cancel != "":
			var n int
			fmt.Sscanf(d.Cancel, "#%d", &n)
			if d.Cancel = p.Name; len(a.jobs) > 0 && n < 18 { // else itself
				d.Cancel = a.jobs[n%len(a.jobs)].name
			}
		}
		p.Does = append(p.Does, d)
	}
	return p
}

func (g *generator) json(a *app, p program) string {
	text, err := json.Marshal(g.name(a, p))
	if err != nil {
		panic(err)
	}
	return string(text)
}

func (g *generator) call(s *step) string {
	a := g.app(s)
	return fmt.Sprintf("call %s %s %s", a.id, s.Order.path(), g.json(a, s.Order.Do))
}

func (g *generator) schedule(s *step) string {
	a, o := g.app(s), &s.Order
	line := fmt.Sprintf("schedule %s %s", a.id, o.After)
	if o.ID != "" {
		line += " id=" + o.ID
	}
	if o.Once {
		line += " once"
	}
	if o.Timeout != "" {
		line += " timeout=" + o.Timeout
	}
	if policy, ok := o.retry(); ok {
		line += fmt.Sprintf(" attempts=%d", policy.MaxAttempts)
		if o.Base != "" {
			line += " base=" + o.Base
		}
	}
	prog := g.json(a, o.Do)
	if o.Toss {
		line += " keep-result=false"
	}
	line += g.groupWord(a, s)
	return fmt.Sprintf("%s%s%s %s %s", line, o.placeWords(), o.thenWord(programIn(prog).Name), o.path(), prog)
}

func (g *generator) advance(s *step) string {
	return "advance " + modelAdvances[s.N%len(modelAdvances)]
}

// jobCommand is about a job that a command can name, preferably one that it fits.
func (g *generator) jobCommand(s *step) string {
	a := g.app(s)
	var fitting, any []string
	for _, j := range a.jobs {
		alias := g.player.Alias(j.id)
		if alias == "" {
			continue
		}
		any = append(any, alias)
		live := s.Word == "cancel" || s.Word == "reschedule"
		if live && !j.state.Ended() || !live && (j.state == storage.StateFailed || j.state == storage.StateHeld) {
			fitting = append(fitting, alias)
		}
	}
	if len(fitting) == 0 || s.M < 10 {
		fitting = any
	}
	if len(fitting) == 0 {
		return ""
	}
	return fmt.Sprintf("%s %s %s", s.Word, a.id, fitting[s.N%len(fitting)])
}

// clock steps the wall, within some decades of its beginning.
func (g *generator) clock(s *step) string {
	text := modelSteps[s.N%len(modelSteps)]
	// The model does not know what a step back of more than five minutes puts right: the
	// watch has those.
	if span(text) < -5*time.Minute && !g.steps {
		return ""
	}
	if sum := (g.m.step + span(text)).Hours(); sum < -20*8760 || sum > 60*8760 {
		return ""
	}
	return "clock " + text
}

func (g *generator) limits(s *step) string { return fmt.Sprintf("limits %d %d", 1+s.N%3, 1+s.M%4) }

// crashAt crashes in the middle of another command.
func (g *generator) crashAt(s *step) string {
	inner := *s
	inner.Word = []string{"call", "schedule", "advance", "advance", "cancel", "call", "delete-app", "import"}[s.M%8]
	line := g.line(&inner)
	if line == "" {
		return ""
	}
	return fmt.Sprintf("crash-at %s %d %s", []string{"commit", "committed"}[s.N%2], 1+s.N/2%6, line)
}

func (g *generator) cron(s *step) string {
	a := g.app(s)
	if a.paused["app"] {
		return ""
	}
	var options strings.Builder
	if overlap := []string{"", "allow", "queue", "skip", "replace"}[s.N%5]; overlap != "" {
		options.WriteString(" overlap=" + overlap)
	}
	if catchUp := []string{"", "none", "all"}[s.M%3]; catchUp != "" {
		options.WriteString(" catch-up=" + catchUp)
	}
	if s.N%10 == 9 && s.Word == "cron" {
		options.WriteString(" paused")
	}
	return fmt.Sprintf("%s %s %s.t%d UTC%s %s %s", s.Word, a.id, a.id, s.N/4%2, options.String(),
		[]string{"model:tick", "model:haste"}[s.M/3%2], modelSpecs[s.M/6%len(modelSpecs)])
}

func (g *generator) cronCommand(s *step) string {
	a := g.app(s)
	if len(a.triggers) == 0 {
		return ""
	}
	line := fmt.Sprintf("%s %s %s.%s", s.Word, a.id, a.id, []string{"t0", "t1", "t0", "t1", "boot"}[s.N%5])
	if s.Word == "pause" {
		line += " for a while"
	}
	return line
}
