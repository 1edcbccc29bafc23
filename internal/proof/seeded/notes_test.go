package seeded_test

// noteFaults are planted where checkpoints and progress of jobs are kept (G34).
var noteFaults = []seededFault{
	{
		name: "checkpoint-not-given", what: "the next attempt is given no checkpoint",
		pkg: "actors", tests: "TestG34_TheNextAttemptResumes",
		edits: []edit{{"storage/notes.go", `if _, kind, _, _ := noteOf(r.key); kind != noteCheckpoint {`, `if _, kind, _, _ := noteOf(r.key); kind != noteCheckpoint || FAULT {`}},
	},
	{
		name: "checkpoint-gone-with-its-attempt", what: "a checkpoint is dropped when its attempt fails",
		pkg: "actors", tests: "TestG34_TheNextAttemptResumes",
		edits: []edit{{"storage/notes.go", `kind != noteCheckpoint || !again {`, `kind != noteCheckpoint || !again || FAULT {`}},
	},
	{
		name: "last-checkpoint-lost", what: "a checkpoint that waits is not written with the end of its attempt",
		pkg: "actors", tests: "TestG34_TheLastCheckpointIsNotLost",
		edits: []edit{{"actors/notes.go", `	if end.checkpoint == nil || `, `	if FAULT || end.checkpoint == nil || `}},
	},
	{
		name: "checkpoints-unpaced", what: "each checkpoint is written at once",
		pkg: "actors", tests: "TestG34_TheLastCheckpointIsNotLost",
		edits: []edit{{"actors/notes.go", `	n.saveFrom = now.Add(noteEvery)
	before`, `	if !FAULT {
		n.saveFrom = now.Add(noteEvery)
	}
	before`}},
	},
	{
		name: "checkpoint-said-too-soon", what: "a checkpoint is said to be saved before it is durable",
		pkg: "actors", tests: "TestG34_OverEveryCrash",
		edits: []edit{{"actors/notes.go", `	if now.Before(n.saveFrom) {
`, `	if now.Before(n.saveFrom) || FAULT {
`}},
	},
	{
		name: "failed-checkpoint-forgotten", what: "a checkpoint whose commit has failed is not written with the end",
		pkg: "actors", tests: "TestG34_AFailedCommit",
		edits: []edit{{"actors/notes.go", `if n.waits == nil && value != nil && !n.over {`, `if n.waits == nil && value != nil && !n.over && !FAULT {`}},
	},
	{
		name: "checkpoint-of-another-attempt", what: "an attempt saves a checkpoint while another one runs",
		pkg: "storage", tests: "TestG34_NotesInTheStore",
		edits: []edit{{"storage/notes.go", `return id == job.claim, nil`, `return id == job.claim || FAULT, nil`}},
	},
	{
		name: "checkpoint-of-other-arguments", what: "a job with other arguments is given the checkpoint of its former ones",
		pkg: "actors", tests: "TestG34_OtherArgumentsBeginAnew",
		edits: []edit{{"storage/notes.go", `if of == job.Revision {`, `if of == job.Revision || FAULT {`}},
	},
	{
		name: "checkpoint-of-the-dead-dropped", what: "a dead job that is retried begins anew",
		pkg: "actors", tests: "TestG34_ADeadJobResumes",
		edits: []edit{{"storage/ends.go", `tx.dropNotes(job, state == StateFailed)`, `tx.dropNotes(job, state == StateFailed && !FAULT)`}},
	},
	{
		name: "purged-checkpoint-stays", what: "the checkpoint of a dead job that is purged stays",
		pkg: "actors", tests: "TestG34_ADeadJobResumes",
		edits: []edit{{"storage/purge.go", `			err = tx.dropNotes(job, false)
`, `			if !FAULT {
				err = tx.dropNotes(job, false)
			}
`}},
	},
	{
		name: "dropped-checkpoint-stays", what: "the checkpoint of a dead job that is dropped counts for ever",
		pkg: "actors", tests: "TestG34_BoundsOfCheckpoints",
		edits: []edit{{"storage/dead.go", `	if err := tx.dropNotes(job, false); err != nil {
`, `	if err := tx.dropNotes(job, FAULT); err != nil {
`}},
	},
	{
		name: "checkpoints-without-end", what: "the checkpoints of an app may have any number of bytes",
		pkg: "actors", tests: "TestG34_BoundsOfCheckpoints",
		edits: []edit{{"storage/notes.go", `uint64(tx.app.mostSaved.Load()); sum > most {`, `uint64(tx.app.mostSaved.Load()); sum > most && !FAULT {`}},
	},
	{
		name: "checkpoint-twice-counted", what: "a checkpoint that takes the place of another counts beside it",
		pkg: "actors", tests: "TestG34_BoundsOfCheckpoints",
		edits: []edit{{"storage/notes.go", `	c.saved -= min(c.saved, uint64(size))
`, `	if !FAULT {
		c.saved -= min(c.saved, uint64(size))
	}
`}},
	},
	{
		name: "progress-unpaced", what: "progress is written as soon as it is told",
		pkg: "actors", tests: "TestG34_ProgressIsSeenAtOnce",
		edits: []edit{{"actors/notes.go", `			n.tellFrom = now.Add(noteEvery)
`, `			if n.tellFrom = now.Add(noteEvery); FAULT {
				n.tellFrom = now
			}
`}},
	},
	{
		name: "progress-unseen", what: "readers see the progress that was written last",
		pkg: "actors", tests: "TestG34_ProgressIsSeenAtOnce",
		edits: []edit{{"storage/listing.go", `told := v.app.progress.Load(); told != nil {`, `told := v.app.progress.Load(); told != nil && !FAULT {`}},
	},
	{
		name: "progress-outlives-its-attempt", what: "the progress of an attempt that is over is shown of the next one",
		pkg: "storage", tests: "TestG34_NotesInTheStore",
		edits: []edit{
			{"storage/notes.go", `if revision == job.Revision && attempt == job.Attempts+1 {`, `if revision == job.Revision && (attempt == job.Attempts+1 || FAULT) {`},
			{"storage/ends.go", `	if !end.State.Ended() {
`, `	if !end.State.Ended() && !FAULT {
`},
		},
	},
}
