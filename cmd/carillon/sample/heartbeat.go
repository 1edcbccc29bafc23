package sample

import (
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// Beat is a document of the table beats: a slot of the heartbeat that ran.
type Beat struct {
	Slot  time.Time `json:"slot"`
	RanAt time.Time `json:"ranAt"`
}

const (
	// keptBeats is how long a beat is kept, counted from slot to slot: at one in 5 s
	// there are 4,321 at most, and heartbeat:list needs no pages.
	keptBeats = 6 * time.Hour
	// beatBatch bounds what one tick deletes: more than one comes up only after the
	// server was down, and the ticks that follow have time for the rest.
	beatBatch = 100
)

var (
	beats = storage.NewTable[Beat]("beats", storage.Index("by_slot", "slot"))

	heartbeatTick = dispatch.InternalMutation[dispatch.None, dispatch.None]("heartbeat:tick")
	heartbeatList = dispatch.Query[dispatch.None, []Beat]("heartbeat:list")
)

func handleHeartbeat(reg *dispatch.Registry) {
	// The engine runs each slot of a trigger once. That the slot is looked up first
	// guards against people, who may run the job of a dead tick again.
	heartbeatTick.Handle(reg, func(ctx *dispatch.MutationCtx, _ dispatch.None) (dispatch.None, error) {
		slot := ctx.Tick.Slot.UTC()
		if slot.IsZero() {
			ctx.Log.Info("the heartbeat was run by hand: no slot, no beat")
			return none, nil
		}
		_, known, err := beats.Query(ctx.DB).By("by_slot").Eq(slot).First()
		if err != nil || known {
			return none, err
		}
		if _, err := beats.Insert(ctx.DB, Beat{Slot: slot, RanAt: ctx.Now.UTC()}); err != nil {
			return none, err
		}
		for beat, err := range beats.Query(ctx.DB).By("by_slot").Before(slot.Add(-keptBeats)).Take(beatBatch).All() {
			if err != nil {
				return none, err
			}
			if err := beats.Delete(ctx.DB, beat.ID); err != nil {
				return none, err
			}
		}
		return none, nil
	})

	heartbeatList.Handle(reg, func(ctx *dispatch.QueryCtx, _ dispatch.None) ([]Beat, error) {
		return values(beats.Query(ctx.DB).By("by_slot"))
	})
}
