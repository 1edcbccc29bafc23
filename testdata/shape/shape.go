// Package shape is a program whose shape is wrong in each way that Open tells:
// no test's file can be, since what tests declare is not held against them.
package shape

import (
	"carillon/dispatch"
	"carillon/storage"
)

// Note is a document.
type Note struct {
	Author string `json:"author"`
}

// The tables. Twin is a second declaration of Listed's name.
var (
	Listed   = storage.NewTable[Note]("listed", storage.Index("by_author", "author"))
	Unlisted = storage.NewTable[Note]("unlisted", storage.Index("by_author", "author"))
	Twin     = storage.NewTable[Note]("listed")
	Plain    = storage.NewTable[Note]("plain")
)

// The references. Confused has the path of Bound.
var (
	Bound    = dispatch.Mutation[dispatch.None, dispatch.None]("shape:bound")
	Confused = dispatch.Query[dispatch.None, dispatch.None]("shape:bound")
	Unbound  = dispatch.InternalAction[dispatch.None, dispatch.None]("shape:unbound")
	Former   = dispatch.Mutation[dispatch.None, dispatch.None]("shape:renamed", dispatch.Formerly("shape:former"))
	Old      = declare("shape:former")
)

// declare stands between a package and its references.
func declare(path string) *dispatch.MutationRef[dispatch.None, dispatch.None] {
	return dispatch.Mutation[dispatch.None, dispatch.None](path)
}

// Functions binds what is bound.
func Functions() *dispatch.Registry {
	reg := dispatch.NewRegistry()
	nothing := func(*dispatch.MutationCtx, dispatch.None) (none dispatch.None, err error) { return }
	Bound.Handle(reg, nothing)
	Former.Handle(reg, nothing)
	return reg
}
