package model_test

import (
	"strings"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// Options.TurnWait may be short. What a client, the host or an action has asked for and
// has not begun by then is refused, and changes nothing; a job of such an action is
// interrupted by that, and not charged. Due jobs wait for as long as it takes.

// modelWaits are none of the spans after which anything else happens.
var modelWaits = []string{"307ms", "613ms", "1613ms", "1h"}

// again is how long a job waits that was interrupted by a refusal.
const again = time.Second

func (g *generator) turnWait(s *step) string {
	return "turn-wait " + modelWaits[s.N%len(modelWaits)]
}

// turnWait restarts the engine with the bound of the line.
func (x *history) turnWait(l *line) {
	x.player.Reconfigure(func(o *actors.Options) { o.TurnWait = span(l.words[1]) })
}

func beforeTurnWait(m *model, l *line) {
	beforeRestart(m, l)
	m.waits = span(l.words[1])
}

// before does to the model what the command does, unless the host was refused since it
// had waited too long.
func (m *model) before(c *command, l *line) {
	if took := l.done.Sub(l.began); !c.calls() && c.word != "crash-at" && !c.waitsTwice() {
		code, _ := l.failed()
		refused := code == dispatch.CodeUnavailable && strings.Contains(l.printed, "for its turn")
		if !m.cut && (took > m.wait || refused && took < m.wait) {
			m.found("other", "%s: %q after %v, calls wait for %v", l.text, l.printed, took, m.wait)
		}
		if refused {
			m.refusals++
			return
		}
	}
	if c.before != nil {
		c.before(m, l)
	}
}

// callBegan demands that the call began in time, or was refused then.
func (m *model) callBegan(l *line, p *program) (began bool) {
	for _, h := range m.noted {
		if h.what == "start" && h.run.prog.Name == p.Name && h.run.job.ID == "" {
			if waited := h.at.Sub(l.began); waited > m.wait {
				m.found("other", "%s began after %v, calls wait for %v", p.Name, waited, m.wait)
			}
			return true
		}
	}
	code, _ := l.failed()
	if took := l.done.Sub(l.began); code != dispatch.CodeUnavailable || took != m.wait {
		m.found("other", "%s has not begun: %q after %v, calls wait for %v", p.Name, l.printed, took, m.wait)
	}
	m.refusals++
	return false
}

// nested notes that what an action called has begun.
func (m *model) nested(r *run) {
	for i, by := range m.begun {
		if d := by.op.Nest; d != nil && d.Name == r.prog.Name && by.run.app == r.app && by.run.job.ID == r.job.ID && by.run.job.Attempt == r.job.Attempt {
			m.begun[i].answers = []string{"begun"}
		}
	}
}

// refused says whether what an action asked for was refused since it had not begun in time.
func (m *model) refused(by, h event) bool {
	code, failed := failedWith(h.answers[0])
	took := h.at.Sub(by.at)
	if took > m.wait && by.op.Nest == nil {
		m.found("other", "%s: %s after %v, calls wait for %v", h.run.prog.Name, h.answers[0], took, m.wait)
	}
	return failed && code == dispatch.CodeUnavailable && took == m.wait && len(by.answers) == 0
}

// turnedAway ends an attempt of whose calls one was refused: it is tried again a little
// later, and not charged.
func (m *model) turnedAway(a *app, j *job, c *change, at time.Time) {
	history := j.history
	c.durable = func() bool {
		now := m.seen[a.id].of(j)
		return len(now.History) > history && (j.order.Once || strings.Contains(now.History[history].Error.Message, "too long for its turn"))
	}
	m.uncharged(a, j, at)
	if j.state == storage.StatePending {
		j.due = ceil(m.wall(at).Add(again))
	}
	m.turned++
}
