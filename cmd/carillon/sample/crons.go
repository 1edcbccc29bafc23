package sample

import (
	"carillon/cron"
	"carillon/dispatch"
)

// Crons returns the triggers that every app has, for actors.Options.Crons. They
// are told apart by name from one version of the program to the next: an
// unchanged one keeps its next slot, one that is gone from here goes with its
// pending tick.
func Crons() []dispatch.Trigger {
	return []dispatch.Trigger{
		{Name: "cleanup", Schedule: cron.Daily(3, 0), Call: cleanupOldMessages.With(cleanupArgs{})},
		{Name: "presence", Schedule: cron.Expr("*/15 * * * *"), Call: presenceSweep.With(none)},
		{Name: "heartbeat", Schedule: cron.Expr("*/5 * * * * *"), Call: heartbeatTick.With(none)},
	}
}
