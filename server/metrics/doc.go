// Package metrics tells Prometheus how an engine goes. Only a program that imports it links the
// client library, which has a registry of its own here and touches no global one.
//
//	m := metrics.New()
//	functions.Use(m.Middleware) // before Open; for how long handlers take
//	eng, err := actors.Open("data", actors.Options{Functions: functions})
//	refusals := new(server.Refusals)
//	m.Watch(eng, refusals)
//	h := server.New(eng, server.Options{Operator: server.Tokens(eng), Refusals: refusals, Metrics: m.Handler()})
//
// GET /metrics is then for operators of all apps with the scope read. On a listener of its own
// the handler needs no token. docs/operating.md says what each metric means.
//
// Invariants:
//
//	M1  No label has the name of an app, of a job or of a caller: there are as many series as
//	    the program has functions, whatever is stored.
//	M2  To be asked costs the engine no lock that a job waits for. The counters of all apps are
//	    read for a twentieth of the time at most, and a second apart.
//	M3  Names, labels and units stay as they are: a test pins them.
package metrics
