// Package convex has the wire format of the npm package convex: what its clients send and are answered
// over HTTP, and how values of Go types cross between them and functions. It knows no engine; package
// server has the routes.
//
// Use:
//
//	call, err := convex.Parse(body)                                   // what a client has sent
//	args, err := convex.Arguments(call.Args, argsType, call.Format)   // JSON for the function
//	value, err := convex.Value(result, resultType, call.Format)       // JSON for the client
//
// How a value is written depends on the type that the function declares, so that it is of the same type in
// JavaScript whatever it is:
//
//	Go                                   JavaScript
//	int64, uint64                        BigInt
//	[]byte                               ArrayBuffer
//	float64, float32                     number
//	int, uint and the shorter ones       number; beyond ±2⁵³ BigInt
//	what has a MarshalJSON, any          as its JSON is: a whole number beyond ±2⁵³ is a BigInt
//
// # Invariants
//
//	V1  What a client decodes of a value is the value: nothing is rounded, dropped or taken for something
//	    else. What the client cannot hold is an error that says where it is and why.
//	V2  What a function is given of arguments is what the client has sent: a number that JavaScript has
//	    rounded, NaN and infinities, and bytes in the place of text are refused.
package convex
