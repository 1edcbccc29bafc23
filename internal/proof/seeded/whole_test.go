package seeded_test

// wholeFaults are about apps as a whole: deleted, exported and imported.
var wholeFaults = []seededFault{
	{
		name: "deleted-app-heard", what: "what the runs of a deleted app tell is heard by the app that has its name now",
		pkg: "actors", tests: "TestG16_ASlotOfADeletedAppIsGivenBackOnce",
		edits: []edit{
			{"actors/scheduler.go", `if m.end.run.app == s.appState {`, `if m.end.run.app == s.appState || FAULT {`},
			{"actors/scheduler.go", `if m.run.app == s.appState {`, `if m.run.app == s.appState || FAULT {`},
		},
	},
	{
		name: "hold-is-charged", what: "what a hold interrupts counts as a cancel",
		pkg: "internal/proof/model", tests: "TestG3_ModelScripts",
		edits: []edit{{"actors/drain.go", `s.runs.stop(r, cutByHold)`, `if FAULT {
			s.runs.stop(r, errJobCanceled)
		} else {
			s.runs.stop(r, cutByHold)
		}`}},
	},
	{
		name: "delete-acked-early", what: "a delete is acknowledged before it is done",
		pkg: "actors", tests: "TestG1_ADeleteIsDurableWhenItReturns",
		edits: []edit{{"actors/engine.go", `err = e.store.Delete(id, e.auditOf(ctx, id)...)`, `if FAULT {
		go func() { _ = e.store.Delete(id) }()
		return nil
	}
	err = e.store.Delete(id, e.auditOf(ctx, id)...)`}},
	},
}
