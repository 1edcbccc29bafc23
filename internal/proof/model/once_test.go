package model_test

import (
	"maps"

	"carillon/dispatch"
	"carillon/storage"
)

// A job may schedule another once under a name, however often it is tried (G29).

// parent is the job that has scheduled something once; nil if a client or the host has asked.
func (a *app) parent(by *run) *job {
	if by == nil || by.job.ID == "" {
		return nil
	}
	return a.job(by.job.ID)
}

// onceRefusal is why the order must be refused, since nothing is once for what is no job.
func (o *order) onceRefusal(by *run) dispatch.Code {
	if o.Child != "" && (by == nil || by.job.ID == "") {
		return dispatch.CodeInvalidArgument
	}
	return ""
}

// child is what the run's job has scheduled under the order's name before.
func (a *app) child(by *run, o *order) (id storage.JobID, was bool) {
	if j := a.parent(by); o.Child != "" && j != nil {
		id, was = j.children[o.Child]
	}
	return id, was
}

// bear notes that it has scheduled the job.
func (a *app) bear(by *run, o *order, id storage.JobID) {
	parent := a.parent(by)
	if o.Child == "" || parent == nil {
		return
	}
	was := parent.children
	parent.children = maps.Clone(was)
	if parent.children == nil {
		parent.children = map[string]storage.JobID{}
	}
	parent.children[o.Child] = id
	a.undoing(func() { parent.children = was })
}
