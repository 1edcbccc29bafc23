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
	{
		name: "convex-instant-is-now", what: "a consistent query is answered as of now",
		pkg: "server", tests: "TestConvexInstants",
		edits: []edit{{"server/convex.go", `	if call.TS != nil {
		result`, `	if call.TS != nil && !FAULT {
		result`}},
	},
	{
		name: "convex-sent-again-twice", what: "a mutation that a session sends again is applied again",
		pkg: "server", tests: "TestG40_ASessionsMutationIsAppliedOnce",
		edits: []edit{{"server/convexsync.go", `	value, err := s.call(keyed, dispatch.KindMutation, m)`, `	if FAULT {
		keyed = ctx
	}
	value, err := s.call(keyed, dispatch.KindMutation, m)`}},
	},
	{
		name: "convex-answer-behind", what: "a mutation is answered behind the transition that shows it, and resolves with some later one",
		pkg: "server", tests: "TestG40_ASessionsMutationIsAppliedOnce",
		edits: []edit{{"server/convexqueries.go", `		for _, r := range responses {
			if s.send(ctx, r) != nil {
				return
			}
		}
`, `		if FAULT {
			_ = s.send(ctx, transition)
			transition.StartVersion = transition.EndVersion
		}
		for _, r := range responses {
			if s.send(ctx, r) != nil {
				return
			}
		}
		if FAULT {
			continue
		}
`}},
	},
	{
		name: "convex-not-asked-again", what: "the host is not asked who a client is before it is told something",
		pkg: "server", tests: "TestG40_NothingIsToldOfAnotherIdentity",
		edits: []edit{{"server/convexqueries.go", `	if err := s.look(); err != nil && was == nil {
		return`, `	if FAULT {
	} else if err := s.look(); err != nil && was == nil {
		return`}},
	},
	{
		name: "convex-cookies-kept", what: "the host is shown the cookies of the request that was upgraded",
		pkg: "server", tests: "TestG40_NothingIsToldOfAnotherIdentity",
		edits: []edit{{"server/convexsync.go", `	asked.Header.Del("Cookie")`, `	if !FAULT {
		asked.Header.Del("Cookie")
	}`}},
	},
	{
		name: "convex-waiting-uncounted", what: "mutations that wait on a WebSocket take memory that is not counted",
		pkg: "server", tests: "TestConvexCallsThatWaitAreCounted",
		edits: []edit{{"server/convexsync.go", `			err = s.do(ctx, all, message, &held)`, `			if FAULT {
				held.release()
			}
			err = s.do(ctx, all, message, &held)`}},
	},
	{
		name: "convex-waiting-kept", what: "what a mutation on a WebSocket takes is never given back",
		pkg: "server", tests: "TestConvexCallsThatWaitAreCounted",
		edits: []edit{{"server/convexsync.go", `		m.held.release()
	}`, `		if !FAULT {
			m.held.release()
		}
	}`}},
	},
	{
		name: "convex-rate-passed-by", what: "over a WebSocket a client asks as often as it likes",
		pkg: "server", tests: "TestConvexMessagesHaveTheRateOfRequests",
		edits: []edit{{"server/convexsync.go", `		if wait == 0 {
			return true`, `		if wait == 0 || FAULT {
			return true`}},
	},
	{
		name: "convex-end-not-noticed", what: "the queries of a client go on behind the end of its credential, until there is something to tell",
		pkg: "server", tests: "TestG40_ACredentialEndsByItself",
		edits: []edit{{"server/convexidentity.go", `	default:
		s.again = until`, `	case FAULT:
	default:
		s.again = until`}},
	},
	{
		name: "convex-change-not-noticed", what: "a client is told nothing of a credential that the host has revoked, until there is something to tell",
		pkg: "server", tests: "TestG40_ACredentialEndsByItself",
		edits: []edit{{"server/convexidentity.go", `so that no change is missed
			_, _ = s.caller(ctx)`, `so that no change is missed
			if !FAULT {
				_, _ = s.caller(ctx)
			}`}},
	},
	{
		name: "convex-operator-not-cut", what: "an action that an operator runs over a WebSocket goes on behind the end of their token",
		pkg: "server", tests: "TestConvexOperatorsEnd",
		edits: []edit{{"server/convexsync.go", `		defer s.h.recheck(nil, who.op)() // the connection goes on`, `		if !FAULT {
			defer s.h.recheck(nil, who.op)()
		}`}},
	},
	{
		name: "convex-operator-not-asked", what: "the queries of an operator go on behind the end of their token, until there is something to tell",
		pkg: "server", tests: "TestConvexOperatorsEnd",
		edits: []edit{{"server/convexidentity.go", `	case operator ||`, `	case operator && !FAULT ||`}},
	},
	{
		name: "convex-revocation-untold", what: "connections are not told that a token was revoked over HTTP",
		pkg: "server", tests: "TestConvexOperatorsEnd",
		edits: []edit{{"server/tokens.go", `	h.opts.Connections.Recheck()`, `	if !FAULT {
		h.opts.Connections.Recheck()
	}`}},
	},
	{
		name: "oidc-end-unsaid", what: "an identity does not say when its token of an issuer ends",
		pkg: "cmd/oidc", tests: "TestOIDCLetsGoodTokensIn",
		edits: []edit{{"cmd/oidc/oidc.go", `	return &dispatch.Identity{Subject: token.Subject,`, `	if FAULT {
		token.Expiry = time.Time{}
	}
	return &dispatch.Identity{Subject: token.Subject,`}},
	},
	{
		name: "session-key-of-identity", what: "the key of a session's request is another one for another identity",
		pkg: "dispatch", tests: "TestG39_ASessionsKeyIsOfTheSession",
		edits: []edit{{"dispatch/idempotency.go", `	case k.session != nil:
`, `	case k.session != nil && !FAULT:
`}},
	},
	{
		name: "session-key-for-a-day", what: "a key is kept for a day though it has a time of its own",
		pkg: "storage", tests: "TestG39_AKeyIsKeptForItsOwnTime",
		edits: []edit{{"storage/idempotency.go", `		UntilMs: ceilMs(tx.now.Add(cmp.Or(key.For, IdempotencyFor))),`, `		UntilMs: ceilMs(tx.now.Add(func() time.Duration {
			if FAULT {
				return IdempotencyFor
			}
			return cmp.Or(key.For, IdempotencyFor)
		}())),`}},
	},
}
