package model_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// What happened at one moment happened in an order that handlers cannot always
// tell. Where that matters the model asks, and is taken through the command with
// one answer after the other until all that is seen fits. What fits no answer is
// wrong.

// mostTries bounds how often a command is tried.
const mostTries = 2000

// choose asks a question with n answers, of which 0 is tried first.
func (m *model) choose(n int) (answer int) {
	if at := len(m.asked); at < len(m.answers) {
		answer = m.answers[at]
	}
	m.asked = append(m.asked, n)
	return answer
}

// maybe asks whether something that is open happened.
func (m *model) maybe() bool { return m.choose(2) == 1 }

// way leads through a command: the answers to its first questions, all
// others being 0.
type way struct {
	answers []int
	reached int // how much of the command fitted on the way that this one parts from
}

// branch calls try, which takes the model through what was noted in a command,
// until it finds nothing wrong. It parts from the ways that have come farthest,
// and as late as possible. If all are wrong, what the first has found stays.
func (m *model) branch(noted []event, try func()) {
	back := m.save(noted)
	var first []finding
	open := []way{{}}
	for n := 0; len(open) > 0 && n < mostTries; n++ {
		best := len(open) - 1
		for i := best; i >= 0; i-- {
			if open[i].reached > open[best].reached {
				best = i
			}
		}
		taken := open[best]
		open = slices.Delete(open, best, best+1)
		back()
		m.answers, m.asked, m.reached = taken.answers, nil, 0
		try()
		if len(m.findings) == 0 {
			return
		}
		if n == 0 {
			first = m.findings
		}
		if *showModel {
			fmt.Fprintln(os.Stderr, "  with the answers", m.answers, "of", m.asked, "it has found:", m.findings[0].text)
		}
		for at := len(taken.answers); at < len(m.asked); at++ {
			for answer := m.asked[at] - 1; answer > 0; answer-- {
				next := make([]int, at+1)
				copy(next, taken.answers)
				next[at] = answer
				open = append(open, way{next, m.reached})
			}
		}
	}
	m.findings = first
}

// next says which of the events came first: the first of them, or another of
// the same moment. What an action has done in a transaction it notes when it
// hears of it; that it has ended it notes before anybody hears of it.
func (m *model) next(seen []event) int {
	if seen[0].run == nil {
		return 0
	}
	could := []int{0}
	earlier := map[*run]bool{seen[0].run: true}
	for i, h := range seen[1:] {
		if !h.at.Equal(seen[0].at) || h.run == nil {
			break
		}
		if !earlier[h.run] && (seen[0].what == "end" && len(could) == 1 || h.what == "did" && h.run.app == seen[0].run.app) {
			could = append(could, 1+i)
		}
		earlier[h.run] = true
	}
	if len(could) == 1 {
		return 0
	}
	return could[m.choose(len(could))]
}

// place says before which of the events a command was done that is a change
// of its own: the n-th, or another one of the same moment.
func (m *model) place(c *command, l *line, seen []event, n int) int {
	if c.word == "crash-at" && !strings.HasSuffix(l.printed, "crashed") {
		inner, in := l.inner()
		return m.place(&inner, in, seen, n)
	}
	if c.calls() || c.word == "crash-at" {
		return n
	}
	first, last := n, n
	for first > 0 && !seen[first-1].at.Before(l.done) {
		first--
	}
	for last < len(seen) && !seen[last].at.After(l.done) {
		last++
	}
	if n += m.choose(last - first + 1); n > last {
		n -= last - first + 1
	}
	return n
}

// save returns what takes the model back to what it is like now, as often as
// it is called.
func (m *model) save(noted []event) (back func()) {
	var saved []func()
	was := *m
	saved = append(saved, func() {
		*m = was
		m.runs, m.left, m.begun = slices.Clone(was.runs), slices.Clone(was.left), slices.Clone(was.begun)
	})
	was.runs, was.left, was.begun = slices.Clone(m.runs), slices.Clone(m.left), slices.Clone(m.begun)
	runs := map[*run]bool{}
	for _, h := range slices.Concat(noted, m.begun) {
		runs[h.run] = true
	}
	for _, r := range slices.Concat(m.runs, m.left) {
		runs[r] = true
	}
	for _, a := range m.apps {
		was := *a
		was.copy()
		saved = append(saved, func() { *a = was; a.copy() })
		for _, t := range a.triggers {
			was := *t
			saved = append(saved, func() { *t = was })
		}
		for _, j := range a.jobs {
			was := *j
			saved = append(saved, func() { *j = was })
			runs[j.run] = true
		}
		for _, j := range a.shown {
			was := *j
			saved = append(saved, func() { *j = was })
		}
		for _, e := range a.unsettled {
			runs[e.run] = true
		}
		runs[a.holder] = true
	}
	delete(runs, nil)
	for r := range runs {
		was := *r
		saved = append(saved, func() { *r = was })
	}
	return func() {
		for _, restore := range saved {
			restore()
		}
	}
}

// copy makes what the app is made of its own.
func (a *app) copy() {
	a.jobs, a.shown, a.unsettled, a.window = slices.Clone(a.jobs), slices.Clone(a.shown), slices.Clone(a.unsettled), slices.Clone(a.window)
	a.counters, a.effects, a.triggers, a.queued = maps.Clone(a.counters), maps.Clone(a.effects), maps.Clone(a.triggers), maps.Clone(a.queued)
}
