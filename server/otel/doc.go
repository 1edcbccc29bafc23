// Package otel makes spans of OpenTelemetry of an engine's runs. It uses the API only: which SDK and
// exporter there are, if any, the program decides.
//
//	functions.Use(otel.Middleware(provider)) // before Open
//
// A call is a span in its caller's trace, and so is a function that runs inside another. Each
// attempt of a job is the root of a trace of its own, linked to the span that has scheduled the
// job: also if that was weeks ago, in another process. docs/tracing.md says more.
//
// Invariants:
//
//	O1  No span has arguments, results, or the text of an error, which may be secrets: an error is
//	    its code.
//	O2  What a handler schedules, and hands on, is linked to the span of the run.
package otel
