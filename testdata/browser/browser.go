// Package browser has tests that look at the dashboard as operators do: in a Chromium, at a server
// which is a process of its own. It is a module of its own, so that what drives the browser
// is no dependency of Carillon.
//
//	cd testdata/browser && npm ci --ignore-scripts && go test .
//
// needs a chromium in the PATH. Screenshots of each page, light, dark and as wide as a phone, are made by
//
//	go test -run Screenshots -shots DIR .
//
// How it goes together:
//
//	TestMain ── the test binary again, as a server: program_test.go
//	    │                    ▲
//	    └─ one Chromium ── tab of a test, with cookies of its own
//	                         └─ fails the test for a dialog, a console error, a broken policy
//
// Nothing here sleeps: a test waits for what an element says, or for an event of a job.
package browser
