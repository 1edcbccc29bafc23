package seeded_test

// dashboardFaults are planted in the pages of the dashboard, and in the sessions that let operators in there.
var dashboardFaults = []seededFault{
	{
		name: "session-unsealed", what: "a cookie that the server has not written is a session",
		pkg: "server", tests: "TestSessionsAreOfATokenThatIsGood",
		edits: []edit{{"server/session.go", `if dot < 0 || !hmac.Equal(`, `if dot < 0 || !FAULT && !hmac.Equal(`}},
	},
	{
		name: "session-for-ever", what: "a session lasts longer than 12 hours",
		pkg: "server", tests: "TestSessionsAreOfATokenThatIsGood",
		edits: []edit{{"server/session.go", `if err != nil || !h.eng.Clock().Wall.Before(`, `if err != nil || !FAULT && !h.eng.Clock().Wall.Before(`}},
	},
	{
		name: "session-outlives-its-token", what: "a session lets in after its token has expired",
		pkg: "server", tests: "TestSessionsAreOfATokenThatIsGood",
		edits: []edit{{"server/session.go", `eng.Clock().Wall) {`, `eng.Clock().Wall) && !FAULT {`}},
	},
	{
		name: "session-of-the-revoked", what: "a session whose token was revoked is not asked to sign in",
		pkg: "server", tests: "TestSessionsAreOfATokenThatIsGood",
		edits: []edit{{"server/session.go", `if !known ||`, `if (!known && !FAULT) ||`}},
	},
	{
		name: "session-key-forgotten", what: "each start signs sessions with another key",
		pkg: "server", tests: "TestSessionsAreOfATokenThatIsGood",
		edits: []edit{{"storage/sessionkey.go", `			return tx.Put(kv.Meta, metaSession, made)`, `			if FAULT {
				return nil
			}
			return tx.Put(kv.Meta, metaSession, made)`}},
	},
	{
		name: "session-in-the-api", what: "the JSON API takes the cookie of a session",
		pkg: "server", tests: "TestSessionsAreOfATokenThatIsGood",
		edits: []edit{{"server/operation.go", `		op, err := h.operator(w, r)
`, `		if FAULT {
			r, _ = h.withSession(r)
		}
		op, err := h.operator(w, r)
`}},
	},
	{
		name: "session-without-the-secret", what: "a session begins with the id of a token and no secret",
		pkg: "server", tests: "TestSignInNeedsATokenOfTheStore",
		edits: []edit{{"server/dashboard.go", `	if err == nil {
		_, err = h.operatorOf(shown)
	}`, `	if err == nil || FAULT {
		_, err = h.operatorOf(shown)
	}`}},
	},
	{
		name: "sign-in-goes-anywhere", what: "who has signed in is sent to an address that is no page",
		pkg: "server", tests: "TestSignInGoesToPagesAlone",
		edits: []edit{{"server/dashboard.go", `	u, err := url.Parse(address)
`, `	u, err := url.Parse(address)
	if FAULT {
		return address
	}
`}},
	},
	{
		name: "form-of-another-origin", what: "a form that a page of another origin sends is taken",
		pkg: "server", tests: "TestFormsAreOfTheSameOrigin",
		edits: []edit{{"server/dashboard.go", `if err := protection.Check(r); err != nil {`, `if err := protection.Check(r); err != nil && !FAULT {`}},
	},
	{
		name: "page-for-another-host", what: "a page is shown for a name that was made to resolve to this machine",
		pkg: "server", tests: "TestFormsAreOfTheSameOrigin",
		edits: []edit{{"server/dashboard.go", `if err := h.host.check(r, true); err != nil {`, `if err := h.host.check(r, true); err != nil && !FAULT {`}},
	},
	{
		name: "form-unbounded", what: "a form is read however long it is",
		pkg: "server", tests: "TestFormsAreOfTheSameOrigin",
		edits: []edit{{"server/ui/page.go", `	r.Body = http.MaxBytesReader(w, r.Body, MaxForm)`, `	if !FAULT {
		r.Body = http.MaxBytesReader(w, r.Body, MaxForm)
	}`}},
	},
	{
		name: "page-unescaped", what: "text is part of the page's tags",
		pkg: "server", tests: "TestPagesEscapeWhatIsHostile",
		edits: []edit{{"server/ui/page.go", `	return &Answer{status: http.StatusOK, body: body.Bytes()}`, `	if FAULT {
		return &Answer{status: http.StatusOK, body: bytes.ReplaceAll(body.Bytes(), []byte("&lt;"), []byte("<"))}
	}
	return &Answer{status: http.StatusOK, body: body.Bytes()}`}},
	},
	{
		name: "page-without-policy", what: "a browser is not told what a page may run and load",
		pkg: "server", tests: "TestPagesEscapeWhatIsHostile",
		edits: []edit{{"server/ui/page.go", `	h.Set("X-Frame-Options", "DENY")`, `	if FAULT {
		h.Del("Content-Security-Policy")
	}
	h.Set("X-Frame-Options", "DENY")`}},
	},
	{
		name: "referrer-told", what: "other sites are told the address of a page",
		pkg: "server", tests: "TestReferrersStayHere",
		edits: []edit{{"server/ui/page.go", `	if r.Header.Get("Sec-Fetch-Site") != "" {`, `	if r.Header.Get("Sec-Fetch-Site") != "" && !FAULT {`}},
	},
	{
		name: "pages-as-the-host", what: "pages show, and do, what their operator may not",
		pkg: "server", tests: "TestEveryPageHasItsDoor|TestPagesHideWhatOperatorsMayNotSee",
		edits: []edit{{"server/dashboard.go", `	asked := &request{Request: inner, route: rt, op: op}
`, `	if FAULT {
		op = &Operator{Name: op.Name, AllApps: true, Scopes: Scopes()}
	}
	asked := &request{Request: inner, route: rt, op: op}
`}},
	},
	{
		name: "page-unaudited", what: "what a form changes has no entry in the audit log",
		pkg: "server", tests: "TestFormsAreOfTheSameOrigin",
		edits: []edit{{"server/dashboard.go", `	h.audited(rt, asked)
`, `	if !FAULT {
		h.audited(rt, asked)
	}
`}},
	},
}
