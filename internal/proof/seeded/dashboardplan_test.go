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
}
