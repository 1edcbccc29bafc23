package actorstest

import (
	"strings"
	"sync"

	"carillon/actors"
	"carillon/storage"
)

// Player plays the commands of Scripts one by one, for a test that makes its
// story up as it goes.
type Player struct {
	// Opening, if set, is called each time the directory is opened again, before
	// any job starts: at its first commit, which may be during a later command than
	// the one that it was set for. It is called in a goroutine of the engine's.
	Opening func()

	s     *script
	fault func(string) error // the test's own
}

// NewPlayer begins a story: instants of its commands are counted from now.
func NewPlayer(h *Harness) *Player {
	return &Player{s: newScript(h), fault: h.opts.Testing.Fault}
}

// Play runs one command and returns what it prints.
func (p *Player) Play(line string) string {
	p.watch()
	var out strings.Builder
	p.s.run(line, &out)
	return strings.TrimSuffix(out.String(), "\n")
}

// Reconfigure is Harness.Reconfigure as a command of the story.
func (p *Player) Reconfigure(change func(*actors.Options)) {
	p.watch()
	p.s.h.Reconfigure(change)
}

// watch has an engine that the command may open tell of it. No job starts
// before its claim is durable, so the first commit is early enough.
func (p *Player) watch() {
	if p.Opening == nil {
		return
	}
	var once sync.Once
	opening := p.Opening
	p.s.h.opts.Testing.Fault = func(point string) error {
		once.Do(opening)
		if p.fault == nil {
			return nil
		}
		return p.fault(point)
	}
}

// Alias is how a job is called in commands; "" if its id was minted, and no
// command has printed it yet.
func (p *Player) Alias(id storage.JobID) string {
	if !minted.MatchString(string(id)) {
		return string(id)
	}
	return p.s.aliases[string(id)]
}

// ID is what the alias stands for, or the alias itself if it is none.
func (p *Player) ID(alias string) storage.JobID {
	if id, ok := p.s.ids[alias]; ok {
		return storage.JobID(id)
	}
	return storage.JobID(alias)
}
