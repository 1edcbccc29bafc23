package seeded_test

// idempotencyFaults are planted where calls have idempotency keys (G39).
var idempotencyFaults = []seededFault{
	{
		name: "keyed-not-kept", what: "the outcome of a call with an idempotency key is not kept",
		pkg: "actors", tests: "TestG39_ARepeatIsAnsweredAsTheFirst",
		edits: []edit{{"actors/idempotency.go", `	if err != nil {
		return nil, err
	}
	return value, tx.Keep`, `	if err != nil || FAULT {
		return value, err
	}
	return value, tx.Keep`}},
	},
	{
		name: "keyed-apart", what: "the outcome of a call with an idempotency key is not in the call's commit",
		pkg: "internal/proof/kill", tests: "TestG39_Load",
		edits: []edit{{"storage/idempotency.go", `	tx.put(keys.keptCall(key.Name[:]), row)`, `	if !FAULT {
		tx.put(keys.keptCall(key.Name[:]), row)
	}`}},
	},
	{
		name: "keyed-of-all", what: "all principals share their idempotency keys",
		pkg: "actors", tests: "TestG39_WhoAKeyBelongsTo",
		edits: []edit{{"dispatch/idempotency.go", `	case identity != nil:`, `	case identity != nil && !FAULT:`}},
	},
	{
		name: "keyed-operator-is-a-caller", what: "an operator has the idempotency keys of those who call anonymously",
		pkg: "actors", tests: "TestG39_WhoAKeyBelongsTo",
		edits: []edit{{"dispatch/idempotency.go", `	case k.Operator != nil:`, `	case k.Operator != nil && !FAULT:`}},
	},
	{
		name: "keyed-of-any-call", what: "another call with an idempotency key is answered as the first",
		pkg: "actors", tests: "TestG39_WhoAKeyBelongsTo",
		edits: []edit{{"storage/idempotency.go", `	case !bytes.Equal(p.Fingerprint, key.Fingerprint[:]):`, `	case !bytes.Equal(p.Fingerprint, key.Fingerprint[:]) && !FAULT:`}},
	},
	{
		name: "keyed-failure-kept", what: "a call with an idempotency key that failed is told of as applied",
		pkg: "actors", tests: "TestG39_AFailedCallKeepsNothing",
		edits: []edit{{"actors/idempotency.go", `	value, err := fn()`, `	value, err := fn()
	if err != nil && FAULT {
		value, err = json.RawMessage("{}"), nil
	}`}},
	},
	{
		name: "keyed-forgotten-early", what: "an idempotency key is forgotten after half of its time",
		pkg: "storage", tests: "TestG39_AnOutcomeIsKeptWithItsCommit",
		edits: []edit{{"storage/idempotency.go", `	case p == nil, !at.IsZero() && p.UntilMs <= at.UnixMilli():`, `	case p == nil, !at.IsZero() && (p.UntilMs <= at.UnixMilli() || FAULT && p.UntilMs <= at.Add(12*time.Hour).UnixMilli()):`}},
	},
	{
		name: "keyed-evicted", what: "at the bound the oldest idempotency keys make room for a new one",
		pkg: "storage", tests: "TestG39_KeysAreBounded",
		edits: []edit{{"storage/idempotency.go", `tx.purgeKeptCalls(at, keptAtOnce)`, `tx.purgeKeptCalls(at.Add(map[bool]time.Duration{true: IdempotencyFor}[FAULT]), keptAtOnce)`}},
	},
	{
		name: "keyed-without-bound", what: "an app keeps any number of idempotency keys",
		pkg: "storage", tests: "TestG39_KeysAreBounded",
		edits: []edit{{"storage/idempotency.go", `c.keyed >= most {`, `c.keyed >= most && !FAULT {`}},
	},
	{
		name: "keyed-spare-stays", what: "keys of clients' sessions that fill an app's room have further calls be refused",
		pkg: "storage", tests: "TestG39_SpareKeysGiveWay",
		edits: []edit{{"storage/idempotency.go", `	for err != nil {
		n, failed`, `	for err != nil && !FAULT {
		n, failed`}, {"storage/idempotency.go", `		err = full()
	}
	return nil
}`, `		err = full()
	}
	return err
}`}},
	},
	{
		name: "keyed-any-gives-way", what: "a key that is no session's gives way to another call",
		pkg: "storage", tests: "TestG39_SpareKeysGiveWay",
		edits: []edit{{"storage/idempotency.go", `tx.dropKeptCalls(keptSpare, nil, keptAtOnce)`, `tx.dropKeptCalls(keptEnd(!FAULT), nil, keptAtOnce)`}},
	},
	{
		name: "keyed-spare-never-void", what: "keys of clients' sessions are there for good",
		pkg: "storage", tests: "TestG39_SpareKeysGiveWay",
		edits: []edit{{"storage/idempotency.go", `		dropped, err := tx.dropKeptCalls(end,`, `		if FAULT && end == keptSpare {
			continue
		}
		dropped, err := tx.dropKeptCalls(end,`}},
	},
	{
		name: "keyed-bytes-off-by-one", what: "idempotency keys may have a byte more than their bound",
		pkg: "storage", tests: "TestG39_KeysAreBounded",
		edits: []edit{{"storage/idempotency.go", `c.keyedBytes+uint64(size) > most {`, `c.keyedBytes+uint64(size) > most && !FAULT {`}},
	},
	{
		name: "keyed-long-result-is-none", what: "a repeat of a call with a long result is answered with none",
		pkg: "actors", tests: "TestG39_ALongResultIsToldOf",
		edits: []edit{{"actors/idempotency.go", `	case kept != nil && kept.Result == nil && kept.Size > 0:`, `	case kept != nil && kept.Result == nil && kept.Size > 0 && !FAULT:`}},
	},
	{
		name: "keyed-action-runs", what: "the idempotency key of an action is ignored",
		pkg: "actors", tests: "TestG39_WhoAKeyBelongsTo",
		edits: []edit{{"actors/idempotency.go", `	if inv.key == nil {`, `	if inv.key == nil || FAULT {`}},
	},
	{
		name: "keyed-inherited", what: "what a handler calls has the idempotency key of its own call",
		pkg: "actors", tests: "TestG39_WhoAKeyBelongsTo",
		edits: []edit{{"dispatch/idempotency.go", `	return context.WithValue(ctx, idempotencyKey{}, (*KeyedCall)(nil)), key, nil`, `	if FAULT {
		return ctx, key, nil
	}
	return context.WithValue(ctx, idempotencyKey{}, (*KeyedCall)(nil)), key, nil`}},
	},
	{
		name: "keyed-never-purged", what: "void idempotency keys stay for ever",
		pkg: "actors", tests: "TestG39_VoidKeysGoAway",
		edits: []edit{{"storage/idempotency.go", `	if at.IsZero() || limit < 1 {`, `	if at.IsZero() || limit < 1 || FAULT {`}},
	},
	{
		name: "keyed-asleep-unpurged", what: "an app that sleeps is not woken for its void idempotency keys",
		pkg: "actors", tests: "TestG39_VoidKeysGoAway",
		edits: []edit{{"storage/expired.go", `	if c.keyed > 0 && !e.Keys.IsZero() {`, `	if c.keyed > 0 && !e.Keys.IsZero() && !FAULT {`}},
	},
	{
		name: "keyed-doubtful-clock", what: "idempotency keys are forgotten by a clock that has leapt ahead",
		pkg: "actors", tests: "TestG39_AClockThatLeapsAheadForgetsNothing",
		edits: []edit{{"actors/idempotency.go", `	if e.clock.doubted() {`, `	if e.clock.doubted() && !FAULT {`}},
	},
	{
		name: "keyed-schedule-by-instant", what: "a schedule is another call when it is repeated later",
		pkg: "actors", tests: "TestG39_SchedulesAreOnce",
		edits: []edit{{"dispatch/idempotency.go", `	job, err := p.plan(epoch, due, call, opts)`, `	if FAULT {
		epoch, due = time.Now(), due.Add(time.Since(epoch))
	}
	job, err := p.plan(epoch, due, call, opts)`}},
	},
	{
		name: "keyed-before-identity", what: "an idempotency key over HTTP is of the app alone",
		pkg: "server", tests: "TestG39_ARepeatOverHTTP",
		edits: []edit{{"server/idempotency.go", `		return dispatch.WithIdempotencyKey(ctx, keys[0]), nil`, `		if FAULT {
			return dispatch.WithOperatorKey(ctx, "", keys[0]), nil
		}
		return dispatch.WithIdempotencyKey(ctx, keys[0]), nil`}},
	},
}
