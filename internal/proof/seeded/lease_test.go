package seeded_test

// leaseFaults are planted where an engine answers for a store that other nodes may take over (G44).
var leaseFaults = []seededFault{
	{
		name: "lease-looked-at-before", what: "a read looks at the lease before it reads, and not after",
		pkg: "actors", tests: "TestG44_TheLeaseIsLookedAtAfterReading",
		edits: []edit{{"actors/engine.go", `	return asError(e.lapse.answer(fn(snap.Reader())))
`, `	if FAULT {
		if err := e.lapse.held(); err != nil {
			return err
		}
		return asError(fn(snap.Reader()))
	}
	return asError(e.lapse.answer(fn(snap.Reader())))
`}},
	},
	{
		name: "lease-query-unchecked", what: "a query is answered though the lease has ended",
		pkg: "actors", tests: "TestG44_TheLeaseIsLookedAtAfterReading",
		edits: []edit{{"actors/handlers.go", `if err := h.eng.lapse.held(); err != nil {`, `if err := h.eng.lapse.held(); err != nil && !FAULT {`}},
	},
	{
		name: "lease-read-only-mutation", what: "a mutation that writes nothing is answered though the lease has ended",
		pkg: "actors", tests: "TestG44_TheLeaseIsLookedAtAfterReading",
		edits: []edit{{"actors/lease.go", `if l.lease == nil || reply == nil {`, `if l.lease == nil || reply == nil || FAULT {`}},
	},
	{
		name: "lease-export-goes-on", what: "an export goes on behind the end of the lease",
		pkg: "actors", tests: "TestG44_TheLeaseIsLookedAtAfterReading",
		edits: []edit{{"actors/lease.go", `if err := w.lapse.held(); err != nil {`, `if err := w.lapse.held(); err != nil && !FAULT {`}},
	},
	{
		name: "lease-listing-unchecked", what: "apps are listed though the lease has ended",
		pkg: "actors", tests: "TestG44_NoAnswerWithoutTheLease",
		edits: []edit{{"actors/apps.go", `	return page, asError(e.lapse.answer(err))
`, `	if FAULT {
		return page, asError(err)
	}
	return page, asError(e.lapse.answer(err))
`}},
	},
	{
		name: "lease-action-unchecked", what: "an action begins though the lease has ended",
		pkg: "actors", tests: "TestG44_NothingBeginsWithoutTheLease",
		edits: []edit{{"actors/handlers.go", `if lapsed = h.eng.lapse.held(); lapsed != nil {`, `if lapsed = h.eng.lapse.held(); lapsed != nil && !FAULT {`}},
	},
	{
		name: "lease-job-unchecked", what: "a due job begins though the lease has ended",
		pkg: "actors", tests: "TestG44_NothingBeginsWithoutTheLease",
		edits: []edit{
			{"actors/release.go", `case app.eng.lapse.held() != nil:`, `case !FAULT && app.eng.lapse.held() != nil:`},
			{"actors/release.go", `len(s.runQueue.due) > 0 && s.eng.lapse.held() == nil`, `len(s.runQueue.due) > 0 && (FAULT && s.runQueue.first().mutation || s.eng.lapse.held() == nil)`},
		},
	},
	{
		name: "lease-term-unheard", what: "actions go on when the lease has lapsed",
		pkg: "actors", tests: "TestG44_ALapseCutsActionsOff",
		edits: []edit{{"actors/lease.go", `func() { stop(cutByLapse) })`, `func() {
		if !FAULT {
			stop(cutByLapse)
		}
	})`}},
	},
	{
		name: "lease-watch-unchecked", what: "a watch is told of a commit though the lease has ended",
		pkg: "actors", tests: "TestG44_NothingIsToldWithoutTheLease",
		edits: []edit{{"actors/watch.go", `if lapsed = lapse.held(); lapsed != nil {`, `if lapsed = lapse.held(); lapsed != nil && !FAULT {`}},
	},
	{
		name: "lease-live-unchecked", what: "a live query has a transition though the lease has ended",
		pkg: "actors", tests: "TestG44_NothingIsToldWithoutTheLease",
		edits: []edit{{"actors/live.go", `if lapsed := lapse.held(); lapsed != nil {`, `if lapsed := lapse.held(); lapsed != nil && !FAULT {`}},
	},
	{
		name: "lease-wait-unchecked", what: "a call that waits is told of an end though the lease has ended",
		pkg: "actors", tests: "TestG44_NothingIsToldWithoutTheLease",
		edits: []edit{{"actors/waiters.go", `if err := a.eng.lapse.held(); err != nil {`, `if err := a.eng.lapse.held(); err != nil && !FAULT {`}},
	},
	{
		name: "lease-idle-watch-stays", what: "a watch to which nothing happens does not hear of the end of the lease",
		pkg: "actors", tests: "TestG44_NothingIsToldWithoutTheLease",
		edits: []edit{{"actors/feeds.go", `		case <-l.lost:
			return nil, "", l.gone()
`, `		case <-l.lost:
			if !FAULT {
				return nil, "", l.gone()
			}
			<-ctx.Done()
`}},
	},
	{
		name: "lease-of-the-store-unused", what: "an engine of a store that another node may own does not ask for its lease",
		pkg: "actors", tests: "TestG44_AnotherNodeTakesOver",
		edits: []edit{{"actors/node.go", `if l := store.Lease(); l != nil {`, `if l := store.Lease(); l != nil && !FAULT {`}},
	},
	{
		name: "lease-end-unheard", what: "an engine goes on when its lease is lost for good",
		pkg: "actors", tests: "TestG44_ActionsEndWithTheLease",
		edits: []edit{{"actors/lease.go", `	e.closing.Store(true)
	e.cancel(cutByLapse)
`, `	if FAULT {
		return
	}
	e.closing.Store(true)
	e.cancel(cutByLapse)
`}},
	},
}
