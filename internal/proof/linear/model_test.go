package linear_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/anishathalye/porcupine"

	"carillon/storage"
)

// What the clients of one app share: few things, so that they get in each other's way.
const (
	linearDocs = 4 // documents, each a number
	linearFars = 3 // ids of jobs that are not due while the test lasts
)

// linearState is all that one app has, and also what one look at all of it sees.
type linearState struct {
	Docs [linearDocs]int
	Far  linearJobs
	Near linearJobs
}

// linearJobs is a letter for each job: '-' unknown, 'o' open, 's' success, 'c'
// canceled. What is not known at its end is left out, so that == compares.
type linearJobs string

func (j linearJobs) at(i int) byte {
	if i < len(j) {
		return j[i]
	}
	return '-'
}

func (j linearJobs) with(i int, state byte) linearJobs {
	letters := []byte(j)
	for len(letters) <= i {
		letters = append(letters, '-')
	}
	letters[i] = state
	return linearJobs(strings.TrimRight(string(letters), "-"))
}

// linearStep is one thing that an operation does. An operation of several steps
// is one mutation or one query, and so is to look like one instant.
type linearStep struct {
	Do    string // see linearState.step
	Key   int    // of the document, or the job
	Near  bool   // the job is one that becomes due while the test lasts
	Value int    // of put and add; milliseconds until a near job is due
}

// job is the id of the job the step is about.
func (do linearStep) job() storage.JobID {
	if do.Near {
		return storage.JobID(fmt.Sprint("near-", do.Key))
	}
	return storage.JobID(fmt.Sprint("far-", do.Key))
}

// linearSeen is what a step has answered.
type linearSeen struct {
	Value int
	State string      // of a job, before the step; or the ids of jobs
	All   linearState // what look saw
}

// step is the specification: what a step does to the state, and what it answers.
// To schedule an id that an open job holds is refused, and changes nothing.
func (s linearState) step(do linearStep) (linearState, linearSeen) {
	jobs := &s.Far
	if do.Near {
		jobs = &s.Near
	}
	switch do.Do {
	case "put":
		s.Docs[do.Key] = do.Value
		return s, linearSeen{}
	case "add":
		s.Docs[do.Key] += do.Value
		return s, linearSeen{Value: s.Docs[do.Key]}
	case "get":
		return s, linearSeen{Value: s.Docs[do.Key]}
	case "look":
		return s, linearSeen{All: s}
	case "list":
		return s, linearSeen{State: s.open()}
	case "delete":
		return linearState{}, linearSeen{}
	case "import":
		if s != (linearState{}) {
			return s, linearSeen{State: "there"}
		}
		return linearSeed, linearSeen{}
	}
	found := jobs.at(do.Key)
	switch {
	case do.Do == "schedule" && found == 'o':
		return s, linearSeen{State: "held"}
	case do.Do == "schedule":
		*jobs = jobs.with(do.Key, 'o')
		return s, linearSeen{}
	case do.Do == "cancel" && found == 'o':
		*jobs = jobs.with(do.Key, 'c')
	case do.Do == "fire" && found == 'o':
		// The job's effect and its end are one instant (G3).
		*jobs = jobs.with(do.Key, 's')
		s.Docs[do.Key%linearDocs]++
	}
	return s, linearSeen{State: string(found)}
}

// open is the ids of the open jobs.
func (s linearState) open() string {
	var ids []string
	for i := range s.Far {
		if s.Far[i] == 'o' {
			ids = append(ids, string(linearStep{Key: i}.job()))
		}
	}
	for i := range s.Near {
		if s.Near[i] == 'o' {
			ids = append(ids, string(linearStep{Key: i, Near: true}.job()))
		}
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}

// linearAnswer is how an operation ended. One that is unknown has happened as a
// whole, at an instant between call and return, or never.
type linearAnswer struct {
	Unknown bool
	Seen    []linearSeen
}

// linearModel is the specification of one app for the checker.
func linearModel() porcupine.Model {
	model := porcupine.NondeterministicModel{
		Init: func() []any { return []any{linearState{}} },
		Step: func(state, input, output any) []any {
			before, answer := state.(linearState), output.(linearAnswer)
			after, seen := before, []linearSeen(nil)
			for _, do := range input.([]linearStep) {
				var one linearSeen
				after, one = after.step(do)
				seen = append(seen, one)
			}
			switch {
			case answer.Unknown:
				return []any{before, after}
			case slices.Equal(seen, answer.Seen):
				return []any{after}
			}
			return nil
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v: %+v", input, output) },
		DescribeState:     func(state any) string { return fmt.Sprintf("%+v", state) },
	}
	return model.ToModel()
}

// The checker can fail: hand-made histories, some of which no serial order explains.
func TestLinearizabilityChecker(t *testing.T) {
	steps := func(do ...linearStep) []linearStep { return do }
	answer := func(seen ...linearSeen) linearAnswer { return linearAnswer{Seen: seen} }
	op := func(call, ret int64, do []linearStep, end linearAnswer) porcupine.Operation {
		return porcupine.Operation{Call: call, Return: ret, Input: do, Output: end}
	}
	unknown := linearAnswer{Unknown: true}
	put := func(key, value int) linearStep { return linearStep{Do: "put", Key: key, Value: value} }
	get := func(key int) linearStep { return linearStep{Do: "get", Key: key} }
	far := func(what string) linearStep { return linearStep{Do: what} }
	whole := far
	near := func(what string) linearStep { return linearStep{Do: what, Near: true} }
	number := func(n int) linearSeen { return linearSeen{Value: n} }
	state := func(s string) linearSeen { return linearSeen{State: s} }
	none := linearSeen{}
	for _, tt := range []struct {
		name    string
		want    porcupine.CheckResult
		history []porcupine.Operation
	}{
		{"a read beside a write sees it", porcupine.Ok, []porcupine.Operation{
			op(1, 4, steps(put(0, 7)), answer(none)), op(2, 3, steps(get(0)), answer(number(7))),
		}},
		{"a read after a write does not see it", porcupine.Illegal, []porcupine.Operation{
			op(1, 2, steps(put(0, 7)), answer(none)), op(3, 4, steps(get(0)), answer(number(0))),
		}},
		{"two reads beside a write see it come and go", porcupine.Illegal, []porcupine.Operation{
			op(1, 9, steps(put(0, 7)), answer(none)),
			op(2, 3, steps(get(0)), answer(number(7))), op(4, 5, steps(get(0)), answer(number(0))),
		}},
		{"one of two additions is lost", porcupine.Illegal, []porcupine.Operation{
			op(1, 4, steps(linearStep{Do: "add", Value: 1}), answer(number(1))),
			op(2, 3, steps(linearStep{Do: "add", Value: 1}), answer(number(1))),
		}},
		{"half of a mutation is seen", porcupine.Illegal, []porcupine.Operation{
			op(1, 4, steps(put(0, 7), put(1, 7)), answer(none, none)),
			op(2, 3, steps(get(0), get(1)), answer(number(7), number(0))),
		}},
		{"an unknown write has happened", porcupine.Ok, []porcupine.Operation{
			op(1, 2, steps(put(0, 7)), unknown), op(3, 4, steps(get(0)), answer(number(7))),
		}},
		{"an unknown write has not happened", porcupine.Ok, []porcupine.Operation{
			op(1, 2, steps(put(0, 7)), unknown), op(3, 4, steps(get(0)), answer(number(0))),
		}},
		{"an unknown write happens late", porcupine.Illegal, []porcupine.Operation{
			op(1, 2, steps(put(0, 7)), unknown),
			op(3, 4, steps(get(0)), answer(number(0))), op(5, 6, steps(get(0)), answer(number(7))),
		}},
		{"half of an unknown mutation has happened", porcupine.Illegal, []porcupine.Operation{
			op(1, 2, steps(put(0, 7), far("schedule")), unknown),
			op(3, 4, steps(get(0), far("job")), answer(number(7), state("-"))),
		}},
		{"a job is scheduled, canceled and scheduled again", porcupine.Ok, []porcupine.Operation{
			op(1, 2, steps(far("schedule")), answer(none)), op(3, 4, steps(far("cancel")), answer(state("o"))),
			op(5, 6, steps(far("schedule")), answer(none)), op(7, 8, steps(far("list")), answer(state("far-0"))),
		}},
		{"two clients are told that they have scheduled one id", porcupine.Illegal, []porcupine.Operation{
			op(1, 4, steps(far("schedule")), answer(none)), op(2, 3, steps(far("schedule")), answer(none)),
		}},
		{"two clients are told that they have canceled one job", porcupine.Illegal, []porcupine.Operation{
			op(1, 2, steps(far("schedule")), answer(none)),
			op(3, 6, steps(far("cancel")), answer(state("o"))), op(4, 5, steps(far("cancel")), answer(state("o"))),
		}},
		{"a job that was acknowledged is not listed", porcupine.Illegal, []porcupine.Operation{
			op(1, 2, steps(far("schedule")), answer(none)), op(3, 4, steps(far("list")), answer(state(""))),
		}},
		{"a job runs", porcupine.Ok, []porcupine.Operation{
			op(1, 2, steps(near("schedule")), answer(none)), op(5, 9, steps(near("fire")), answer(state("o"))),
			op(6, 7, steps(near("job"), get(0)), answer(state("s"), number(1))),
		}},
		{"a job runs early", porcupine.Illegal, []porcupine.Operation{
			op(1, 2, steps(near("schedule")), answer(none)), op(5, 9, steps(near("fire")), answer(state("o"))),
			op(3, 4, steps(near("job")), answer(state("s"))),
		}},
		{"a job has ended before its effect is seen", porcupine.Illegal, []porcupine.Operation{
			op(1, 2, steps(near("schedule")), answer(none)), op(5, 9, steps(near("fire")), answer(state("o"))),
			op(6, 7, steps(near("job"), get(0)), answer(state("s"), number(0))),
		}},
		{"a job has its effect twice", porcupine.Illegal, []porcupine.Operation{
			op(1, 2, steps(near("schedule")), answer(none)), op(5, 9, steps(near("fire")), answer(state("o"))),
			op(10, 11, steps(get(0)), answer(number(2))),
		}},
		{"a job runs though its cancel was acknowledged", porcupine.Illegal, []porcupine.Operation{
			op(1, 2, steps(near("schedule")), answer(none)), op(3, 4, steps(near("cancel")), answer(state("o"))),
			op(5, 9, steps(near("fire")), answer(state("o"))),
		}},
		{"an app is deleted, and imported", porcupine.Ok, []porcupine.Operation{
			op(1, 2, steps(put(0, 7), far("schedule")), answer(none, none)), op(3, 4, steps(whole("delete")), answer(none)),
			op(5, 6, steps(whole("import")), answer(none)), op(7, 8, steps(get(0), get(1)), answer(number(0), number(500))),
		}},
		{"half of an app is gone", porcupine.Illegal, []porcupine.Operation{
			op(1, 2, steps(put(0, 7), far("schedule")), answer(none, none)), op(3, 6, steps(whole("delete")), unknown),
			op(4, 5, steps(get(0), far("job")), answer(number(0), state("o"))),
		}},
		{"half of an import is there", porcupine.Illegal, []porcupine.Operation{
			op(1, 4, steps(whole("import")), unknown), op(2, 3, steps(get(1), linearStep{Do: "job", Key: 1}), answer(number(500), state("-"))),
		}},
		{"an app is imported over another one", porcupine.Illegal, []porcupine.Operation{
			op(1, 2, steps(put(0, 7)), answer(none)), op(3, 4, steps(whole("import")), answer(none)),
		}},
		{"a job of a deleted app runs later", porcupine.Illegal, []porcupine.Operation{
			op(1, 2, steps(near("schedule")), answer(none)), op(3, 4, steps(whole("delete")), answer(none)),
			op(2, 4, steps(near("fire")), unknown), op(5, 6, steps(get(0)), answer(number(1))),
		}},
		{"a job of a deleted app has run before", porcupine.Ok, []porcupine.Operation{
			op(1, 2, steps(near("schedule")), answer(none)), op(3, 4, steps(get(0)), answer(number(1))),
			op(5, 6, steps(whole("delete")), answer(none)), op(2, 6, steps(near("fire")), unknown),
			op(7, 8, steps(get(0)), answer(number(0))),
		}},
		{"a look at everything sees no instant", porcupine.Illegal, []porcupine.Operation{
			op(1, 2, steps(put(0, 7), far("schedule")), answer(none, none)),
			op(3, 4, steps(linearStep{Do: "look"}), answer(linearSeen{All: linearState{Docs: [linearDocs]int{7}}})),
		}},
	} {
		if got := porcupine.CheckOperations(linearModel(), tt.history); got != (tt.want == porcupine.Ok) {
			t.Errorf("%s: the checker says %v, want %s", tt.name, got, tt.want)
		}
	}
}
