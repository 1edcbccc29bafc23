// Arguments and results have the types the reference was declared with.
package misuse

import "carillon/dispatch"

type Note struct{ Text string }

var post = dispatch.Mutation[Note, string]("notes:post")

func host(caller dispatch.Caller) error {
	_ = post.With("hi")              // want `cannot use "hi" (untyped string constant) as Note value in argument to post.With`
	_, err := post.Run(caller, "hi") // want `cannot use "hi" (untyped string constant) as Note value in argument to post.Run`
	var id int
	id, err = post.Run(caller, Note{}) // want "cannot use post.Run(caller, Note{}) (value of type string) as int value in assignment"
	_ = id
	return err
}

func functions(reg *dispatch.Registry) {
	post.Handle(reg, func(*dispatch.MutationCtx, string) (string, error) { return "", nil }) // want "cannot use (func(*dispatch.MutationCtx, string) (string, error) literal) (value of type func(*dispatch.MutationCtx, string) (string, error)) as func(*dispatch.MutationCtx, Note) (string, error) value in argument to post.Handle"
	post.Handle(reg, func(*dispatch.QueryCtx, Note) (string, error) { return "", nil })      // want "cannot use (func(*dispatch.QueryCtx, Note) (string, error) literal) (value of type func(*dispatch.QueryCtx, Note) (string, error)) as func(*dispatch.MutationCtx, Note) (string, error) value in argument to post.Handle"
}
