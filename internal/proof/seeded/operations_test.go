package seeded_test

// operationFaults are planted where something is done to many jobs.
var operationFaults = []seededFault{
	{
		name: "operation-on-later-jobs", what: "an operation is on jobs that came after the count",
		pkg: "actors", tests: "TestOperationIsOnWhatWasCounted",
		edits: []edit{{"storage/operations.go", `	if action == OperationRetry || action == OperationDrop {
		return`, `	if FAULT {
		return true
	}
	if action == OperationRetry || action == OperationDrop {
		return`}},
	},
	{
		name: "operation-sleeps", what: "an operation does not go on after a crash before its app is called",
		pkg: "actors", tests: "TestOperationGoesOnAfterACrash",
		edits: []edit{{"storage/app.go", `if c.operations > 0 {`, `if c.operations > 0 && !FAULT {`}},
	},
	{
		name: "operation-once-through", what: "an operation looks for jobs once, and misses what moves meanwhile",
		pkg: "actors", tests: "TestOperationFindsWhatMoves",
		edits: []edit{{"actors/operations.go", `o.Action != storage.OperationDrop && o.Changed:`, `o.Action != storage.OperationDrop && o.Changed && !FAULT:`}},
	},
	{
		name: "operation-counts-rounds", what: "an operation begins its count anew with each round",
		pkg: "actors", tests: "TestOperationIsOnWhatWasCounted",
		edits: []edit{{"actors/operations.go", `		o.Changed = false //`, `		if FAULT {
			o.Done = 0
		}
		o.Changed = false //`}},
	},
	{
		name: "operation-changes-twice", what: "a reschedule or run of many changes a job again that it finds again",
		pkg: "actors", tests: "TestOperationRunsEachJobOnce",
		edits: []edit{{"storage/reschedule.go", `change.Operation == was.Operation {`, `change.Operation == was.Operation && !FAULT {`}},
	},
	{
		name: "operation-as-of-nothing", what: "an operation on what was there when nothing was is on what came since",
		pkg: "actors", tests: "TestOperationReschedules",
		edits: []edit{{"storage/operations.go", `	return AsOf{c.seq, max(c.ended, 1)}`, `	if FAULT {
		return AsOf{c.seq, c.ended}
	}
	return AsOf{c.seq, max(c.ended, 1)}`}},
	},
	{
		name: "operation-refuses-all", what: "a reschedule of many jobs ends with the first that cannot be rescheduled",
		pkg: "actors", tests: "TestOperationReschedules",
		edits: []edit{{"actors/operations.go", `if errors.Is(err, storage.ErrInvalid) {
		return false, nil`, `if errors.Is(err, storage.ErrInvalid) && FAULT {
		return false, storage.ErrLimit
	}
	if errors.Is(err, storage.ErrInvalid) {
		return false, nil`}},
	},
	{
		name: "operation-loses-what-it-sets", what: "a reschedule of many jobs is written down without their instant",
		pkg: "actors", tests: "TestOperationReschedules",
		edits: []edit{{"storage/operations.go", `		Due: timeOf(p.DueMs), Priority: int(p.Priority), Audited: p.Audited,
	}`, `		Due: timeOf(p.DueMs), Priority: int(p.Priority), Audited: p.Audited,
	}
	if FAULT {
		o.Due = time.Time{}
	}`}},
	},
	{
		name: "job-forgets-its-operation", what: "a job does not keep which operation has changed it, and is changed again",
		pkg: "actors", tests: "TestOperationRunsEachJobOnce",
		edits: []edit{{"storage/record.go", `	if job.Then != nil {
		p.Then`, `	if FAULT {
		p.Operation = 0
	}
	if job.Then != nil {
		p.Then`}},
	},
	{
		name: "operation-unnamed-when-damaged", what: "an operation whose record is damaged is a key of no kind",
		pkg: "storage", tests: "TestG37_ADamagedValueOfEachKind",
		edits: []edit{{"storage/damage.go", `		return operationName(rest)`, `		if !FAULT {
			return operationName(rest)
		}`}},
	},
	{
		name: "operation-stays-canceled", what: "an operation that was canceled is done all the same",
		pkg: "actors", tests: "TestOperationOfAPausedAppAndACopy",
		edits: []edit{{"actors/operations.go", `o.Outcome, o.EndedAt = storage.OperationCanceled, tx.Now()`, `if FAULT {
			return true, nil
		}
		o.Outcome, o.EndedAt = storage.OperationCanceled, tx.Now()`}},
	},
	{
		name: "operation-ends-unaudited", what: "the audit log is not told how an operation ends",
		pkg: "actors", tests: "TestOperationGoesOnAfterACrash",
		edits: []edit{{"storage/operations.go", `if o.Audited {`, `if o.Audited && !FAULT {`}},
	},
	{
		name: "operation-of-the-program-audited", what: "an operation that no operator has asked for is in the audit log",
		pkg: "actors", tests: "TestOperationIsAudited",
		edits: []edit{{"actors/operations.go", `if by := s.eng.auditOf(s.ctx, s.app); len(by) > 0 {`, `if FAULT {
		plan.By, plan.Audited = "ann", true
	}
	if by := s.eng.auditOf(s.ctx, s.app); len(by) > 0 {`}},
	},
	{
		name: "audit-of-one-entry", what: "who cancels an operation takes the place of how it ends in the audit log",
		pkg: "actors", tests: "TestOperationIsAudited",
		edits: []edit{{"storage/audit.go", `	tx.audit = append(tx.audit, e.encode())`, `	if FAULT {
		tx.audit = nil
	}
	tx.audit = append(tx.audit, e.encode())`}},
	},
	{
		name: "operations-kept", what: "any number of operations that have ended is kept",
		pkg: "actors", tests: "TestOperationsAreBounded",
		edits: []edit{{"storage/operations.go", `excess := int(c.overOperations) - keep`, `excess := int(c.overOperations) - keep
	if FAULT {
		excess = 0
	}`}},
	},
	{
		name: "operations-looked-for-args", what: "an operator without read-args has an operation look for text in arguments",
		pkg: "server", tests: "TestOperationsHideArguments",
		edits: []edit{{"server/operations.go", `	if err := r.mayFilter(&filter); err != nil {`, `	if err := r.mayFilter(&filter); err != nil && !FAULT {`}},
	},
	{
		name: "operation-filter-shown", what: "the text that an operation looks for in arguments is shown without read-args",
		pkg: "server", tests: "TestOperationsHideArguments",
		edits: []edit{{"server/operations.go", `o.Filter.ArgsContains != "")`, `o.Filter.ArgsContains != "" && !FAULT)`}},
	},
	{
		name: "operation-without-a-condition", what: "an operation of a newer release goes on without a condition that this one does not know",
		pkg: "actors", tests: "TestOperationOfANewerReleaseFails",
		edits: []edit{{"storage/operations.go", `	strict.DisallowUnknownFields()`, `	if !FAULT {
		strict.DisallowUnknownFields()
	}`}},
	},
	{
		name: "operation-of-another-action", what: "an operation whose action this release does not know is taken for a retry",
		pkg: "actors", tests: "TestOperationOfANewerReleaseFails",
		edits: []edit{{"storage/operations.go", `if !slices.Contains(operationActions, o.Action) {`, `if !slices.Contains(operationActions, o.Action) && !FAULT {`}},
	},
	{
		name: "operation-of-a-newer-release-stays", what: "an operation that this release does not know does not end, and holds up those behind it",
		pkg: "actors", tests: "TestOperationOfANewerReleaseFails",
		edits: []edit{{"actors/operations.go", `errors.Is(err, storage.ErrInvalid)):`, `errors.Is(err, storage.ErrInvalid) && !FAULT):`}},
	},
}
