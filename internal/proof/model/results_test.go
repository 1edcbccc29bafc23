package model_test

import (
	"encoding/json"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"carillon/storage"
)

// What a job's program returns is kept with the job: what it was answered, as JSON, and so many
// bytes more as it is told to fill it with. One that is too large is not kept, nor one that is to
// be tossed; and of the long ones of an app the oldest make room for those that come (G33).

const (
	modelMaxResult = 700  // bytes
	modelResults   = 1500 // bytes of those of an app that do not lie in their records
	modelShort     = 256  // bytes that do
)

// drawFill draws how much a program fills its result with, and whether it is tossed.
func (o *order) drawFill(t *rapid.T) {
	o.Do.Fills = rapid.SampledFrom([]int{0, 0, 0, 252, 253, 400, 600, 900}).Draw(t, "fills")
	o.Toss = rapid.IntRange(0, 7).Draw(t, "toss") == 7
}

// fill is what the program returns that was answered so.
func (p *program) fill(answers []string) []string {
	if p.Fills > 0 {
		answers = append(answers[:len(answers):len(answers)], strings.Repeat("x", p.Fills))
	}
	return answers
}

// returned notes what the run of a job has returned.
func (j *job) returned(answers []string) {
	if answers == nil {
		answers = []string{}
	}
	text, err := json.Marshal(j.prog.fill(answers))
	if err != nil {
		panic(err)
	}
	j.result = string(text)
}

// kept is the result that is kept, unless later ones have needed the room; else why it is not.
func (j *job) kept() (result, why string) {
	switch {
	case j.order.Toss:
		return "", "it is not to be kept"
	case len(j.result) > modelMaxResult:
		return "", "it is larger than"
	}
	return j.result, ""
}

// compareResults compares the results of all jobs that are a success.
func (m *model) compareResults(a *app) {
	seen := m.seen[a.id]
	bytes := 0                                         // of those that came later
	for _, listed := range slices.Backward(seen.all) { // the last that has ended first
		if listed.State != storage.StateSuccess || listed.Trigger != "" {
			continue
		}
		var j *job
		for _, k := range a.jobs {
			if k.id == listed.ID && k.name == nameOf(&listed) && k.state == storage.StateSuccess {
				j = k
			}
		}
		if j == nil || j.result == "" {
			continue // compareJobs tells; or it was settled by a crash
		}
		want, why := j.kept()
		if len(want) > modelShort {
			if bytes += len(want); bytes > modelResults {
				want, why = "", "it was kept until the results of later jobs"
			}
		}
		job, ok := seen.jobs[j.id]
		if !ok || job.Seq() != listed.Seq() {
			continue // a later job has its id
		}
		reason := ""
		if job.NotKept != nil {
			reason = job.NotKept.Reason
		}
		if string(job.Result) != want || job.ResultSize != len(j.result) || !strings.HasPrefix(reason, why) || (reason == "") != (why == "") {
			m.found("lost", "app %s: the result of job %s (%s) is %.100q, of %d bytes (%s), want %.100q of %d (%s)", a.id, j.id, j.name, job.Result, job.ResultSize, reason, want, len(j.result), why)
		}
	}
}
