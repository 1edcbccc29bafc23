package seeded_test

// convexFaults are planted where clients of npm convex call.
var convexFaults = []seededFault{
	{
		name: "convex-small-is-a-number", what: "a small int64 is a number for a Convex client",
		pkg: "server/convex", tests: "TestValuesAreOfTheirDeclaredType",
		edits: []edit{{"server/convex/value.go", `of != bigint && isExact(n)`, `(of != bigint || FAULT) && isExact(n)`}},
	},
	{
		name: "convex-names-unchecked", what: "a result has names that a Convex client refuses or loses",
		pkg: "server/convex", tests: "TestWhatAClientCannotHold",
		edits: []edit{{"server/convex/value.go", `if err := checkName(name); err != nil {`, `if err := checkName(name); err != nil && !FAULT {`}},
	},
	{
		name: "convex-rounded-taken", what: "a number that JavaScript has rounded is taken for an int64",
		pkg: "server/convex", tests: "TestArguments",
		edits: []edit{{"server/convex/args.go", `|| !isExact(n) {`, `|| !isExact(n) && !FAULT {`}},
	},
	{
		name: "convex-bytes-as-text", what: "bytes of a Convex client come as their base64 where text is declared",
		pkg: "server/convex", tests: "TestArguments",
		edits: []edit{{"server/convex/args.go", `if of.of() != octets && of.of() != byValue {`, `if of.of() != octets && of.of() != byValue && !FAULT {`}},
	},
	{
		name: "convex-acts-without-scope", what: "an operator without act-as, or of another app, calls with setAdminAuth",
		pkg: "server", tests: "TestConvexCallers",
		edits: []edit{{"server/convex.go", `if err := h.admit(who.op.route, who.op); err != nil {`, `if err := h.admit(who.op.route, who.op); err != nil && !FAULT {`}},
	},
	{
		name: "convex-internal-without-call", what: "an operator without call calls internal functions with setAdminAuth",
		pkg: "server", tests: "TestConvexCallers",
		edits: []edit{{"server/convex.go", `op.may(ScopeCall) {`, `op.may(ScopeCall) || FAULT {`}},
	},
	{
		name: "convex-operator-from-a-page", what: "a page of an allowed origin calls as an operator",
		pkg: "server", tests: "TestConvexCallers",
		edits: []edit{{"server/convex.go", `if err := http.NewCrossOriginProtection().Check(r); err != nil {`, `if err := http.NewCrossOriginProtection().Check(r); err != nil && !FAULT {`}},
	},
	{
		name: "convex-not-audited", what: "what an operator calls with setAdminAuth is not in the audit log",
		pkg: "server", tests: "TestConvexCallers",
		edits: []edit{{"server/convex.go", `if who.op != nil && fn.Kind != dispatch.KindQuery {`, `if who.op != nil && fn.Kind != dispatch.KindQuery && !FAULT {`}},
	},
}
