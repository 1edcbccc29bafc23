package sample

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"carillon/actors"
	"carillon/storage"
)

// LivePage is a page of the jobs with a tag, such as those of one user, that is up to date
// without asking: what a server would push to a browser.
type LivePage struct {
	mu   sync.Mutex
	jobs map[uint64]storage.Job // those of a page are few: a filter chooses them
	at   actors.Position
}

// Follow keeps the page up to date until ctx ends, or an error: then it may be called again,
// and goes on where it was if it can.
func (p *LivePage) Follow(ctx context.Context, app *actors.App, tag string) error {
	for e, err := range app.WatchAfter(ctx, storage.JobFilter{Tags: []string{tag}}, p.at) {
		if err != nil {
			return err
		}
		p.take(e)
	}
	return nil
}

func (p *LivePage) take(e actors.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.Kind == actors.EventReset {
		p.jobs, p.at = map[uint64]storage.Job{}, actors.Position{}
		return
	}
	if !e.Position.IsZero() {
		p.at = e.Position
	}
	switch {
	case e.Kind == actors.EventReady:
	case e.Left:
		delete(p.jobs, e.Job.Seq())
	case e.Kind == actors.EventProgressed:
		if job, ok := p.jobs[e.Job.Seq()]; ok {
			job.Progress = e.Job.Progress
			p.jobs[e.Job.Seq()] = job
		}
	default:
		p.jobs[e.Job.Seq()] = e.Job
	}
}

// Text is the page as it is now: a line for each job, the oldest first.
func (p *LivePage) Text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var lines []string
	for _, seq := range slices.Sorted(maps.Keys(p.jobs)) {
		job := p.jobs[seq]
		line := fmt.Sprintf("%s: %s", job.Function, job.State)
		if job.Progress != nil {
			line += fmt.Sprintf(", %d of %d", job.Progress.Done, job.Progress.Total)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}
