// Package client asks a Carillon server over HTTP: clients run functions with it, operators look
// after jobs, triggers and apps. It is for programs that have no engine of their own, and links none.
//
//	c, err := client.New("http://127.0.0.1:8377", client.Options{Token: token})
//	defer c.Close()
//	app := c.App("acme")
//	id, err := client.Call[string](ctx, app, "notes:post", Note{Text: "hi"})
//	for job, err := range app.Jobs(ctx, api.JobFilter{States: []api.State{api.StateFailed}}) {
//		…
//	}
//
// What is sent and answered are the types of package server/api. Every error is an *Error, or wraps
// one: errors.Is(err, api.CodeNotFound) tells its code.
//
// # Attempts
//
// An answer can be lost, and then it is not known whether the request was done. What becomes of it:
//
//	            ┌────────── wait: back-off with jitter, or Retry-After ◄─────────┐
//	            ▼                                                                │ may it be repeated?
//	request ─ attempt ─┬─ answer ─► result                                       │
//	                   ├─ unavailable, or too many: with Retry-After ────────────┤ reads, what has a key, what sets: yes
//	                   ├─ no connection ─────────────────────────────────────────┤ other changes:                    yes
//	                   ├─ lost, unknown, or refused by a proxy ──────────────────┤ other changes:                    no
//	                   └─ any other error ─► *Error                              │ actions, imports:                 never
//
// Calls of functions and schedules have an idempotency key, which is drawn at random where none is
// given (WithIdempotencyKey), and so are done once, however often they are sent. An action has
// none and is sent once: Action. The server refuses a key of an action, so that Call, with
// the path of an action, runs nothing.
//
// Invariants:
//
//	C1  An action is sent once.
//	C2  A change without a key is repeated only if the server has said that it was not done, or was
//	    not reached.
//	C3  All attempts of one call have one key, and no two calls have the same one, but where the
//	    caller gives it.
//	C4  A listing has each row of each page once, in order, and ends with the last page or an error.
//	C5  Of a stream of events none is left out: it goes on behind the last one that was yielded, or
//	    begins again with EventReset.
//	C6  All that blocks ends with its context. Nothing of the package runs when a call has returned,
//	    but for idle connections until Client.Close.
package client
