package server_test

import (
	"slices"
	"testing"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/server/api"
	"carillon/storage"
)

// TestTheAPIHasTheEnginesWords: package api, which imports nothing of the engine, has its values.
func TestTheAPIHasTheEnginesWords(t *testing.T) {
	same := func(name string, got []string, want ...string) {
		t.Helper()
		slices.Sort(got)
		if slices.Sort(want); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	texts := func(codes []dispatch.Code) (list []string) {
		for _, c := range codes {
			list = append(list, string(c))
		}
		return list
	}
	same("Code", api.Code("").Enum(), texts(dispatch.Codes())...)
	same("Kind", api.Kind("").Enum(), string(dispatch.KindQuery), string(dispatch.KindMutation), string(dispatch.KindAction))
	same("State", api.State("").Enum(), words(storage.StatePending, storage.StateRunning, storage.StateHeld, storage.StateSuccess, storage.StateFailed, storage.StateCanceled, storage.StateExpired)...)
	same("Wait", api.Wait("").Enum(), words(storage.WaitHeld, storage.WaitVolume, storage.WaitPaused, storage.WaitStuck, storage.WaitPredecessor, storage.WaitNotDue, storage.WaitBackoff, storage.WaitPool,
		storage.WaitRate, storage.WaitAppCap, storage.WaitEngineCap, storage.WaitSuspect, storage.WaitClaimed, storage.WaitClock, storage.WaitClaim, storage.WaitOutside)...)
	same("Region", api.Region("").Enum(), words("", storage.RegionOpen, storage.RegionHeld, storage.RegionDead, storage.RegionFinished)...)
	same("Overlap", api.Overlap("").Enum(), words(storage.OverlapSkip, storage.OverlapQueue, storage.OverlapAllow, storage.OverlapReplace)...)
	same("CatchUpMode", api.CatchUpMode("").Enum(), words(storage.CatchUpOne, storage.CatchUpNone, storage.CatchUpAll)...)
	same("SlotOutcome", api.SlotOutcome("").Enum(), words(storage.SlotFired, storage.SlotSkipped, storage.SlotCanceled, storage.SlotUndone)...)
	same("BackfillOutcome", api.BackfillOutcome("").Enum(), words("", storage.BackfillDone, storage.BackfillCanceled, storage.BackfillChanged)...)
	same("OperationAction", api.OperationAction("").Enum(), words(storage.OperationCancel, storage.OperationRetry, storage.OperationDrop)...)
	same("OperationOutcome", api.OperationOutcome("").Enum(), words("", storage.OperationDone, storage.OperationCanceled, storage.OperationFailed)...)
	same("UniquePolicy", api.UniquePolicy("").Enum(), words(storage.UniqueKeep, storage.UniqueReplace, storage.UniqueThrottle, storage.UniqueRefuse)...)
	same("EventKind", api.EventKind("").Enum(), append(words(actors.EventReset, actors.EventJob, actors.EventReady, actors.EventScheduled, actors.EventRescheduled, actors.EventRetried, actors.EventHeld, actors.EventReleased,
		actors.EventEnded, actors.EventCanceled, actors.EventExpired, actors.EventCorrected, actors.EventPurged, actors.EventStarted, actors.EventProgressed), "lagged", "end")...)
}

func words[T ~string](values ...T) (list []string) {
	for _, v := range values {
		list = append(list, string(v))
	}
	return list
}
