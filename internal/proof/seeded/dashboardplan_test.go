package seeded_test

// planFaults are planted in the dashboard's pages of triggers and functions.
var planFaults = []seededFault{
	{
		name: "page-slots-out-of-phase", what: "the page of a trigger has the slots of another interval of its length",
		pkg: "server", tests: "TestTriggerPagesShowSlots",
		edits: []edit{{"server/ui/triggers.go", `	t.schedule = schedule.WithAnchor(slot)`, `	t.schedule = schedule
	if !FAULT {
		t.schedule = schedule.WithAnchor(slot)
	}`}},
	},
	{
		name: "calendar-of-another-zone", what: "the calendar of a trigger has the days of UTC",
		pkg: "server/ui", tests: "TestCalendarsHaveTheSlotsOfEachDay",
		edits: []edit{{"server/ui/calendar.go", `	today := schedule.In(now)
`, `	today := schedule.In(now)
	if FAULT {
		today = now.UTC()
	}
`}},
	},
	{
		name: "calendar-counts-on", what: "the calendar counts every slot of a trigger that runs each second",
		pkg: "server/ui", tests: "TestCalendarsHaveTheSlotsOfEachDay",
		edits: []edit{{"server/ui/calendar.go", ` && n <= countedSlots; at`, ` && (FAULT || n <= countedSlots); at`}, {"server/ui/calendar.go", `	case n > countedSlots:`, `	case n > countedSlots && !FAULT:`}},
	},
	{
		name: "slot-never-late", what: "a slot that was run late is shown as one in time",
		pkg: "server/ui", tests: "TestSlotsSayHowTheyEnded",
		edits: []edit{{"server/ui/triggers.go", `late > lateAfter {`, `late > lateAfter && !FAULT {`}},
	},
	{
		name: "preview-saves", what: "the button that shows the next five slots makes the trigger",
		pkg: "server", tests: "TestFormsMakeTriggers",
		edits: []edit{{"server/ui/triggerform.go", `if r.field("do") == "preview" {`, `if r.field("do") == "preview" && !FAULT {`}},
	},
	{
		name: "edit-drops-a-field", what: "an edit that changes nothing has missed slots run by another limit",
		pkg: "server", tests: "TestFormsMakeTriggers",
		edits: []edit{{"server/ui/triggerform.go", `	if c.CatchUp.Limit != 0 {`, `	if c.CatchUp.Limit != 0 && !FAULT {`}},
	},
	{
		name: "edit-blind", what: "an edit of one who may not see the arguments of a trigger replaces them by none",
		pkg: "server", tests: "TestFormsMakeTriggers",
		edits: []edit{{"server/ui/triggerform.go", `	case c.Args == nil:`, `	case c.Args == nil && !FAULT:`}},
	},
	{
		name: "preview-of-another-phase", what: "the first slots of an interval that is made now are those of one made in 1970",
		pkg: "server", tests: "TestFormsMakeTriggers",
		edits: []edit{{"server/crons.go", `	schedule = schedule.WithAnchor(at)
`, `	if !FAULT {
		schedule = schedule.WithAnchor(at)
	}
`}},
	},
	{
		name: "call-unaudited", what: "a function that an operator runs has no entry in the audit log",
		pkg: "server", tests: "TestFormsRunFunctions",
		edits: []edit{{"server/call.go", `	if fn.Kind != dispatch.KindQuery {`, `	if fn.Kind != dispatch.KindQuery && !FAULT {`}},
	},
	{
		name: "call-as-a-service", what: "an operator without act-as runs a function as a service",
		pkg: "server", tests: "TestFormsRunFunctions",
		edits: []edit{{"server/call.go", `	if err := r.mayActAs(body.As); err != nil {`, `	if err := r.mayActAs(body.As); err != nil && !FAULT {`}},
	},
	{
		name: "call-as-a-user", what: "an operator runs a function as a user",
		pkg: "server", tests: "TestFormsRunFunctions",
		edits: []edit{{"server/call.go", `	if err := checkService(body.As); err != nil {`, `	if err := checkService(body.As); err != nil && !FAULT {`}},
	},
	{
		name: "argument-typed-through", what: "what is typed in the field of a number is other arguments, too",
		pkg: "server/ui", tests: "TestArgumentsAreOfTheSchema",
		edits: []edit{{"server/ui/arguments.go", `		case !json.Valid(value), a.Kind`, `		case !FAULT && !json.Valid(value), a.Kind`}},
	},
	{
		name: "form-forgets", what: "a form that is refused has forgotten what was typed",
		pkg: "server", tests: "TestFormsRunFunctions",
		edits: []edit{{"server/ui/functions.go", `	d.Error = &e
`, `	if d.Error = &e; FAULT {
		d.Fields = argumentsOf(d.Args, nil)
	}
`}},
	},
	{
		name: "slot-of-no-state", what: "the latest slots of a trigger do not say what came of their jobs",
		pkg: "server", tests: "TestTriggerPagesShowSlots",
		edits: []edit{{"server/crons.go", `system.Get(s.Job); err == nil && known {`, `system.Get(s.Job); err == nil && known && !FAULT {`}},
	},
}
