package seeded_test

// overlayFaults are planted in what lies between the log and its copy.
var overlayFaults = []seededFault{
	{
		name: "overlay-any-copy", what: "the layers are laid over whatever copy there is",
		pkg: "storage/internal/overlay", tests: "TestFreezeIsOneAtATime",
		edits: []edit{{"storage/internal/overlay/stack.go", `return id >= v.id && id-v.id <= v.txs`, `return FAULT || id >= v.id && id-v.id <= v.txs`}},
	},
	{
		name: "overlay-deleted-shows", what: "a deleted key does not hide the copy's",
		pkg: "storage/internal/overlay", tests: "TestTable_ALayeredSpaceIsOne",
		edits: []edit{{"storage/internal/overlay/cursor.go", `if nearest.value != nil || nearest.cursor != nil {`, `if nearest.value != nil || nearest.cursor != nil || FAULT {`}},
	},
	{
		name: "overlay-older-wins", what: "of two layers the older one's word counts",
		pkg: "storage/internal/overlay", tests: "TestTable_ALayeredSpaceIsOne",
		edits: []edit{{"storage/internal/overlay/cursor.go", `d == 0 ||`, `d == 0 && !FAULT ||`}},
	},
	{
		name: "overlay-dropped-early", what: "a layer is dropped before the copy shows what it has",
		pkg: "storage/internal/overlay", tests: "TestTable_ALayeredSpaceIsOne",
		edits: []edit{{"storage/internal/overlay/stack.go", `	v.latest = newLayer(len(v.frozen.spaces))
	s.view.Store(&v)`, `	v.latest = newLayer(len(v.frozen.spaces))
	s.view.Store(&v)
	if FAULT {
		v := v
		v.frozen = nil
		s.view.Store(&v)
	}`}},
	},
}
