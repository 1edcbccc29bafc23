package workload

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// smallHeapGC is GOGC while the heap is small: at the default a fifth of the engine's
// processor time went to collecting the garbage of requests.
const smallHeapGC = 600

// garbageBudget is how much garbage that may mean, in bytes. As the live heap grows GOGC
// falls, down to largeHeapGC, lest 300 MB of live memory take 2 GB.
const (
	garbageBudget = 256 << 20
	largeHeapGC   = 50
)

// TuneGC sets GOGC of this process, now and after each collection: of the command,
// unless the environment says otherwise, and of the systems that it is measured beside.
func TuneGC() {
	now := smallHeapGC
	debug.SetGCPercent(now)
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

// gcPercent is GOGC for so much live memory, in steps of 25.
func gcPercent(live uint64) int {
	return max(min(int(garbageBudget*100/max(live, 1<<20))/25*25, smallHeapGC), largeHeapGC)
}
