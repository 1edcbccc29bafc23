package storage

// Wait is what a pending or held job waits for: exactly one of these. Job.Reason says more
// where there is more to say.
type Wait string

// What jobs wait for.
const (
	WaitHeld        Wait = "held"             // a program that can run it, or a person
	WaitVolume      Wait = "volume down"      // its volume, or that what is damaged there can be read
	WaitPaused      Wait = "paused"           // the end of a pause
	WaitStuck       Wait = "handler stuck"    // the return of handlers that were given up
	WaitPredecessor Wait = "predecessor runs" // the end of another job: of its trigger, of its unique key, or before it in an ordered pool
	WaitNotDue      Wait = "not due"          // its instant
	WaitBackoff     Wait = "back-off"         // the instant of its next attempt
	WaitPool        Wait = "pool full"        // a permit of its pool
	WaitRate        Wait = "rate"             // that more of its app, or of its pool, may begin
	WaitAppCap      Wait = "app cap"          // one of the permits that the app may have
	WaitEngineCap   Wait = "engine cap"       // one of the permits that all apps share
	WaitSuspect     Wait = "suspect"          // the end of other jobs that crashes have cut off
	WaitClaimed     Wait = "claimed"          // nothing but its instant: its handler is about to begin
	WaitClock       Wait = "clock in doubt"   // that the wall clock is believed: by it the job is too late
	WaitClaim       Wait = "not claimed"      // its claim: others are due before it, and are claimed first
	WaitOutside     Wait = "pending outside"  // an end from outside, or its timeout
)
