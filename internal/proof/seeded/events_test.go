package seeded_test

// eventsFaults are planted where changes of jobs leave as server-sent events.
var eventsFaults = []seededFault{
	{
		name: "event-id-of-anything", what: "a stream goes on from the id of another app, filter or operator",
		pkg: "server", tests: "TestG36_EventsTellASnapshotAndEveryChange",
		edits: []edit{{"server/events.go", `|| !hmac.Equal(`, `|| !FAULT && !hmac.Equal(`}},
	},
	{
		name: "reset-keeps-the-id", what: "a client whose stream breaks within a snapshot goes on from before it",
		pkg: "server", tests: "TestG36_EventsTellASnapshotAndEveryChange",
		edits: []edit{{"server/events.go", `		if err := s.put(name, "id: \n", api.EventReason{Reason: reason}); err != nil {`, `		empty := "id: \n"
		if FAULT {
			empty = ""
		}
		if err := s.put(name, empty, api.EventReason{Reason: reason}); err != nil {`}},
	},
	{
		name: "progress-note-shown", what: "the note of a progress is shown to who may not read arguments",
		pkg: "server", tests: "TestG36_EventsTellASnapshotAndEveryChange",
		edits: []edit{{"server/events.go", `&e.Progress.Note, e.Progress.Note != "")`, `&e.Progress.Note, e.Progress.Note != "" && !FAULT)`}},
	},
	{
		name: "event-args-shown", what: "the text of a job's error is in the events of who may not read it",
		pkg: "server", tests: "TestG36_EventsTellASnapshotAndEveryChange",
		edits: []edit{{"server/events.go", `	if e.Job != nil {
`, `	if e.Job != nil && !FAULT {
`}},
	},
	{
		name: "stream-with-one-deadline", what: "a stream that is quiet for long has the deadline of its last event",
		pkg: "server", tests: "TestG36_AQuietStreamStaysAlive",
		edits: []edit{{"server/events.go", `	if s.setDeadline(eventTimeout); s.closing`, `	if !FAULT || !s.timed {
		s.setDeadline(eventTimeout)
	}
	if s.timed = true; s.closing`}, {"server/events.go", `	odd     bool            //`, `	timed   bool
	odd     bool            //`}},
	},
	{
		name: "stream-reads-on", what: "the time that a body may take ends a stream",
		pkg: "server", tests: "TestG36_AQuietStreamStaysAlive",
		edits: []edit{{"server/events.go", `	liftReadDeadline(w)
`, `	if !FAULT {
		liftReadDeadline(w)
	}
`}},
	},
	{
		name: "lag-not-told", what: "a client that was too slow is told that its stream begins",
		pkg: "server", tests: "TestG36_AClientThatDoesNotRead",
		edits: []edit{{"server/events.go", `		if s.reset.Lagged() {`, `		if s.reset.Lagged() && !FAULT {`}},
	},
	{
		name: "quiet-stream-without-headers", what: "a stream that has nothing to tell is not begun for 15 seconds",
		pkg: "server", tests: "TestG36_AQuietStreamStaysAlive",
		edits: []edit{{"server/events.go", `	for begin := time.After(headersAfter); ; {`, `	begin := time.After(headersAfter)
	if FAULT {
		begin = nil
	}
	for {`}},
	},
	{
		name: "revoked-listens-on", what: "a stream goes on when its operator was revoked",
		pkg: "server", tests: "TestARevokedOperatorHearsNoMore",
		edits: []edit{{"server/recheck.go", `if err == nil || ctx.Err() != nil {`, `if err == nil || ctx.Err() != nil || FAULT {`}},
	},
	{
		name: "scopes-taken-on-sight", what: "a stream goes on as it was begun when its operator may read no more",
		pkg: "server", tests: "TestARevokedOperatorHearsNoMore",
		edits: []edit{{"server/recheck.go", `	if op.may(ScopeReadArgs) != r.op.may(ScopeReadArgs) {`, `	if op.may(ScopeReadArgs) != r.op.may(ScopeReadArgs) && !FAULT {`}},
	},
	{
		name: "streams-counted-for-ever", what: "a stream that has ended is counted",
		pkg: "server", tests: "TestStreamsAreBounded",
		edits: []edit{{"server/streams.go", `		s.count(-1, owners[:])`, `		if !FAULT {
			s.count(-1, owners[:])
		}`}},
	},
	{
		name: "streams-hold-the-server", what: "the end of a server waits for streams",
		pkg: "server", tests: "TestShutdownEndsStreams",
		edits: []edit{{"server/streams.go", `		srv.RegisterOnShutdown(end)`, `		if _ = end; !FAULT {
			srv.RegisterOnShutdown(end)
		}`}},
	},
}
