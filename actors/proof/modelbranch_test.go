package proof_test

import (
	"maps"
	"slices"
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

// branch calls try, which takes the model through what was noted in a command,
// until it finds nothing wrong: with no unlikely answer at first, then with one,
// then with two and so on. If it always finds something, what it found at first stays.
func (m *model) branch(noted []happening, try func()) {
	back := m.save(noted)
	var first []finding
	open := [][]int{nil}
	for n := 0; len(open) > 0 && n < mostTries; n++ {
		back()
		m.answers, m.asked, open = open[0], nil, open[1:]
		try()
		if len(m.findings) == 0 {
			return
		}
		if n == 0 {
			first = m.findings
		}
		for at := len(m.answers); at < len(m.asked); at++ {
			for answer := 1; answer < m.asked[at]; answer++ {
				next := make([]int, at+1)
				copy(next, m.answers)
				next[at] = answer
				open = append(open, next)
			}
		}
	}
	m.findings = first
}

// save returns what takes the model back to what it is like now, as often as
// it is called.
func (m *model) save(noted []happening) (back func()) {
	var saved []func()
	was := *m
	saved = append(saved, func() {
		*m = was
		m.runs, m.begun = slices.Clone(was.runs), slices.Clone(was.begun)
	})
	was.runs, was.begun = slices.Clone(m.runs), slices.Clone(m.begun)
	runs := map[*run]bool{}
	for _, h := range slices.Concat(noted, m.begun) {
		runs[h.run] = true
	}
	for _, r := range m.runs {
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
	a.jobs, a.unsettled, a.window = slices.Clone(a.jobs), slices.Clone(a.unsettled), slices.Clone(a.window)
	a.counters, a.effects, a.triggers = maps.Clone(a.counters), maps.Clone(a.effects), maps.Clone(a.triggers)
}
