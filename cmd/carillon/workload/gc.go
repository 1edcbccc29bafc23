package workload

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// GCPercent is GOGC of the command, unless the environment says otherwise, and of
// every system that it is measured beside, while the heap is small: collecting it
// often cost a fifth of the engine's processor time.
const GCPercent = 600

// gcGarbage is how much garbage there may be for GCPercent's sake, in bytes. With a
// larger heap GOGC falls to its default, lest 300 MB of live memory take 2 GB.
const gcGarbage = 256 << 20

// TuneGC sets GOGC for this process, and again after each collection.
func TuneGC() {
	debug.SetGCPercent(GCPercent)
	now := GCPercent
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	// A finalizer runs once after each collection, since it is set anew each time.
	var collected func(*[16]byte)
	collected = func(sentinel *[16]byte) {
		metrics.Read(live)
		if want := gcPercent(live[0].Value.Uint64()); want != now {
			now = want
			debug.SetGCPercent(now)
		}
		runtime.SetFinalizer(sentinel, collected)
	}
	runtime.SetFinalizer(new([16]byte), collected)
}

// gcPercent is GOGC for so much live memory, in steps of 50.
func gcPercent(live uint64) int {
	return max(min(int(gcGarbage*100/max(live, 1<<20))/50*50, GCPercent), 100)
}
