// Package sample is the app that "carillon demo" runs, and the example to copy
// from: a file for each namespace, in it first what is stored, then the
// references, then the handlers.
//
//	posts      a mutation schedules an action: publish now, notify 30 s later
//	orders     work handed over at once: place now, charge in the background
//	billing    an instant instead of a delay, and a schedule that is replaced
//	reminders  a job that can be canceled until it runs
//	counters   many jobs at once, and a job that fails a few times first
//	jobs       the system table _scheduled_functions, read and canceled from
//	cleanup    a nightly trigger: a bounded batch, and a job for the rest
//	presence   a trigger every quarter of an hour, working from what is now
//	heartbeat  a trigger every 5 s, working from the slot it runs for
//	search     one job for many edits: a page is indexed when it rests
//	otp        a job that expires: a password is mailed while it is good, or not at all
//	campaign   many jobs of one call that can be called off together, by their tag
//	refunds    a pool and a rate for a provider that answers 429 when it is busy
//	exports    a pool with keys: one job of a user at a time
//	approvals  a job that ends from outside, when that was decided
//	photos     a chain of three jobs, each told what the one before has made
//	archives   a long export that tells how far it is, and goes on there after a crash
//	surveys    a thousand jobs at once, and one for the end of them all
//	live       a page of a user's jobs that is up to date without asking
//	echo       what clients in other languages send comes back as it was
//
// Use:
//
//	eng, err := actors.Open("data", actors.Options{
//		Functions: sample.Functions(), Tables: sample.Tables(), Pools: sample.Pools(), Crons: sample.Crons(),
//	})
//
// Three rules are followed everywhere. They are what a reader should take home:
//
//	X1  What is written and what is scheduled go together: both are done in one
//	    mutation, so that after a crash there are both or neither.
//	X2  An action may run more than once, so what it does to the world carries the
//	    job's id as its key, and what it records is found by that key first.
//	X3  Arguments are checked before anything is written, and the message names
//	    the field and the bound.
package sample
