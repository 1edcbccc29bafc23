// Package lunora has the wire formats of the scheduler of Lunora: what its clients send, what they are
// answered, and how the values of arguments are written that JSON does not have. It knows no engine; package
// server has the routes.
//
// Use:
//
//	call, err := lunora.Parse(body)               // what a client has sent to schedule
//	args, err := lunora.Arguments(call.Args)      // JSON for the function
//
// # Invariants
//
//	V1  Arguments of plain JSON are handed on byte for byte. A value that is written otherwise is what the
//	    client means, in JSON's words, or it is refused.
//	V2  A refusal has one of the codes that clients know, or one that no client takes for another.
package lunora
