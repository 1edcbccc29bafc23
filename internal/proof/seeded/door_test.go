package seeded_test

// doorFaults are planted where something comes in, or is shown.
var doorFaults = []seededFault{
	{
		name: "byid-out-of-order", what: "a listing by id has the jobs that are where their ids say behind all others",
		pkg: "storage", tests: "TestG42_ListingByID",
		edits: []edit{{"storage/byid.go", `home.id < c.id)`, `home.id < c.id && !FAULT)`}},
	},
	{
		name: "byid-dead-among-pending", what: "a listing by id of pending jobs has the dead ones in it",
		pkg: "storage", tests: "TestG42_ListingByID",
		edits: []edit{{"storage/byid.go", `(dead != (c.t == tagDead) ||`, `(dead != (c.t == tagDead) && !(FAULT && c.t == tagDead) ||`}},
	},
	{
		name: "instance-unbounded", what: "what a client says of its instance is stored, however long it is",
		pkg: "storage", tests: "TestInstanceIsKept",
		edits: []edit{{"storage/tags.go", `if len(name) > MaxInstance ||`, `if len(name) > MaxInstance && !FAULT ||`}},
	},
	{
		name: "lunora-own-envelope", what: "clients of Lunora's scheduler are refused in a form that they do not know",
		pkg: "server", tests: "TestG42_LunoraRefuses",
		edits: []edit{{"server/answer.go", `foreign, ok := w.(*lunoraWriter); ok {`, `foreign, ok := w.(*lunoraWriter); ok && !FAULT {`}},
	},
	{
		name: "lunora-duplicate-untold", what: "an id that is held is refused with another code than clients of Lunora's scheduler know",
		pkg: "server", tests: "TestG42_LunoraSchedules",
		edits: []edit{{"server/lunora.go", `e.Code == dispatch.CodeAlreadyExists && chosen:`, `e.Code == dispatch.CodeAlreadyExists && chosen && !FAULT:`}},
	},
	{
		name: "lunora-args-shown", what: "an operator without read-args sees the arguments in a record",
		pkg: "server", tests: "TestG42_LunoraSchedules",
		edits: []edit{{"server/lunora.go", `if r.op.may(ScopeReadArgs) {`, `if r.op.may(ScopeReadArgs) || FAULT {`}},
	},
	{
		name: "lunora-linear-lost", what: "a job of Lunora's client waits ever longer where it asked for a linear back-off",
		pkg: "server", tests: "TestG42_LunoraSchedules",
		edits: []edit{{"server/lunora.go", `if p.Backoff == lunora.Linear {`, `if p.Backoff == lunora.Linear && !FAULT {`}},
	},
	{
		name: "lunora-limit-ignored", what: "the concurrency that a client of Lunora's scheduler gives a pool is not its limit",
		pkg: "server", tests: "TestG42_LunoraSchedules",
		edits: []edit{{"server/lunora.go", `limit == call.MaxConcurrency {`, `limit == call.MaxConcurrency || FAULT {`}},
	},
	{
		name: "lunora-finished-shown", what: "a job that has ended is shown to clients of Lunora's scheduler as one that waits",
		pkg: "server", tests: "TestG42_LunoraSchedules",
		edits: []edit{{"server/lunora.go", `known && !job.State.Ended() {`, `known && (!job.State.Ended() || FAULT) {`}},
	},
	{
		name: "lunora-mark-passed-on", what: "a value that JSON does not have reaches a function as the array that stands for it",
		pkg: "server/lunora", tests: "TestArguments",
		edits: []edit{{"server/lunora/args.go", `text(elements[0]) == Mark {`, `text(elements[0]) == Mark && !FAULT {`}},
	},
	{
		name: "lunora-remote-args-decoded", what: "arguments of a remote function are not passed on as the client of Lunora's scheduler has sent them",
		pkg: "server", tests: "TestG42_LunoraWorkflows",
		edits: []edit{{"server/lunora.go", `if !remote {`, `if !remote || FAULT {`}},
	},
	{
		name: "lunora-workflow-not-completed", what: "a client of Lunora's scheduler completes a workflow, whose slot is held further on",
		pkg: "server", tests: "TestG42_LunoraWorkflows",
		edits: []edit{{"server/lunora.go", `if _, err := r.app.CompleteWorkflow(`, `if FAULT {
	} else if _, err := r.app.CompleteWorkflow(`}},
	},
	{
		name: "lunora-id-before-target", what: "a call without a target is refused because of its id",
		pkg: "server/lunora", tests: "TestParse",
		edits: []edit{{"server/lunora/call.go", `	case f.err != nil:
		return call, f.err`, `	case FAULT && f.has("id"):
		return call, refuse(CodeInvalidID, "id")
	case f.err != nil:
		return call, f.err`}},
	},
	{
		name: "lunora-change-untold", what: "a WebSocket of Lunora's scheduler does not tell of what has changed",
		pkg: "server", tests: "TestG42_LunoraWatch",
		edits: []edit{{"server/lunorawatch.go", `			if err == nil {`, `			if err == nil && !FAULT {`}},
	},
	{
		name: "lunora-ping-unanswered", what: "a WebSocket of Lunora's scheduler does not answer its client's ping",
		pkg: "server", tests: "TestG42_LunoraWatch",
		edits: []edit{{"server/lunorawatch.go", `string(text) == lunora.Ping &&`, `string(text) == lunora.Ping && !FAULT &&`}},
	},
	{
		name: "names-in-any-case", what: "a field is found by a name in another case",
		pkg: "dispatch", tests: "TestArgumentsAreDecodedStrictly",
		edits: []edit{{"internal/strictjson/strictjson.go", `jsonv2.MatchCaseInsensitiveNames(false)`, `jsonv2.MatchCaseInsensitiveNames(FAULT)`}},
	},
	{
		name: "last-name-counts", what: "of two fields with one name the last counts",
		pkg: "dispatch", tests: "TestArgumentsAreDecodedStrictly",
		edits: []edit{{"internal/strictjson/strictjson.go", `jsontext.AllowDuplicateNames(false)`, `jsontext.AllowDuplicateNames(FAULT)`}},
	},
	{
		name: "not-utf8-replaced", what: "text that is not UTF-8 is replaced",
		pkg: "dispatch", tests: "TestArgumentsAreDecodedStrictly",
		edits: []edit{{"internal/strictjson/strictjson.go", `jsontext.AllowInvalidUTF8(false), // lone`, `jsontext.AllowInvalidUTF8(FAULT), // lone`}},
	},
	{
		name: "claims-made-alike", what: "claims that differ in bytes that are not UTF-8 are made one",
		pkg: "dispatch", tests: "TestBadIdentitiesAreRefused",
		edits: []edit{{"internal/strictjson/strictjson.go", `jsonv1.DefaultOptionsV1(), jsontext.AllowInvalidUTF8(false))`, `jsonv1.DefaultOptionsV1(), jsontext.AllowInvalidUTF8(FAULT))`}},
	},
	{
		name: "bytes-for-characters", what: "the first byte of a character is shown in its place",
		pkg: "cron", tests: "TestG21_ErrorsNameCharacters",
		edits: []edit{{"cron/schedule.go", `n++
		switch {`, `n++
		if FAULT {
			c = rune(string(c)[0])
		}
		switch {`}},
	},
	{
		name: "refusal-waits-for-body", what: "a refusal waits half a minute for a body that it throws away",
		pkg: "server", tests: "TestG24_ARefusalDoesNotWaitForTheBody",
		edits: []edit{{"server/answer.go", `	setDiscardDeadline(w)
`, `	if !FAULT {
		setDiscardDeadline(w)
	}
`}},
	},
	{
		name: "apps-of-others-listed", what: "an operator lists the apps of others",
		pkg: "server", tests: "TestAppsAreTheOperators",
		edits: []edit{{"server/apps.go", `if !r.op.AllApps {`, `if !r.op.AllApps && !FAULT {`}},
	},
	{
		name: "apps-of-others-made", what: "an operator makes an app that is not one of theirs",
		pkg: "server", tests: "TestAppsAreTheOperators",
		edits: []edit{{"server/apps.go", `if !r.op.has(id) {`, `if !r.op.has(id) && !FAULT {`}},
	},
	{
		name: "deleted-unconfirmed", what: "an app is deleted though the body names another",
		pkg: "server", tests: "TestAppsLife",
		edits: []edit{{"server/apps.go", `if body.Name != string(r.app.ID()) {`, `if body.Name != string(r.app.ID()) && !FAULT {`}},
	},
	{
		name: "import-unbounded", what: "an import is read to its end, however long it is",
		pkg: "server", tests: "TestImportIsBounded",
		edits: []edit{
			{"server/apps.go", `if r.ContentLength > h.opts.MaxImport {`, `if r.ContentLength > h.opts.MaxImport && !FAULT {`},
			{"server/apps.go", `http.MaxBytesReader(w, r.Body, h.opts.MaxImport)`, `http.MaxBytesReader(w, r.Body, func() int64 {
			if FAULT {
				return 1 << 40
			}
			return h.opts.MaxImport
		}())`},
		},
	},
	{
		name: "created-admits", what: "an app that an operator has made is admitted as long as it is live",
		pkg: "actors", tests: "TestCreate",
		edits: []edit{{"actors/apps.go", `live {
		v.(`, `live && !FAULT {
		v.(`}},
	},
	{
		name: "names-unbounded", what: "a page of apps reads names until it is full",
		pkg: "storage", tests: "TestListAppsReadsABoundedPart",
		edits: []edit{{"storage/apps.go", `|| examined == share {`, `|| examined == share && !FAULT {`}},
	},
	{
		name: "host-unchecked", what: "a page whose name was made to resolve to this machine can call",
		pkg: "server", tests: "TestLoopbackChecksHost",
		edits: []edit{{"server/origin.go", `if !g.open && !operators || !ok ||`, `if FAULT || !g.open && !operators || !ok ||`}},
	},
	{
		name: "preflight-unanswered", what: "preflights of allowed origins are not answered",
		pkg: "server", tests: "TestCORS",
		edits: []edit{{"server/origin.go", `if len(allowed) == 0 {`, `if len(allowed) == 0 || FAULT {`}},
	},
	{
		name: "plain-refusals", what: "what net/http refuses itself is plain text",
		pkg: "server", tests: "TestRefusalsOfTheServerAreJSON",
		edits: []edit{{"server/refusals.go", `if !ok {
		return c.Conn.Write(p)`, `if !ok || FAULT {
		return c.Conn.Write(p)`}},
	},
	{
		name: "browser-refused-with-json", what: "what net/http refuses a browser itself is JSON",
		pkg: "server", tests: "TestRefusalsOfTheServerAreForBrowsersPages",
		edits: []edit{{"server/refusals.go", `	if page {`, `	if page && !FAULT {`}},
	},
	{
		name: "page-accepted-before", what: "what a request of a connection accepts counts for those behind it",
		pkg: "server", tests: "TestRefusalsOfTheServerAreForBrowsersPages",
		edits: []edit{{"server/refusals.go", `	c.begun = c.begun[:0]`, `	if !FAULT {
		c.begun = c.begun[:0]
	}`}},
	},
	{
		name: "reset-over-answer", what: "a client that still sends has its answer reset",
		pkg: "server", tests: "TestAnAnswerReachesAClientThatStillSends",
		edits: []edit{{"server/refusals.go", `CloseWrite() error }); ok {`, `CloseWrite() error }); ok && !FAULT {`}},
	},
	{
		name: "later-than-json", what: "an instant is shown that JSON cannot hold",
		pkg: "storage", tests: "TestG26_JobsLaterThanTheLatestInstantAreStillOpen",
		edits: []edit{{"storage/record.go", `return time.UnixMilli(min(max(ms, first), maxInstantMs)).UTC()`, `if FAULT {
		return time.UnixMilli(ms).UTC()
	}
	return time.UnixMilli(min(max(ms, first), maxInstantMs)).UTC()`}},
	},
	{
		name: "bad-row-hides-others", what: "a trigger that cannot be read hides the others",
		pkg: "storage", tests: "TestG37_ARowThatCannotBeReadSpoilsNoListing",
		edits: []edit{{"storage/trigger.go", `t = Trigger{Name: name, Fault: cannotRead(err), unreadable: true}`, `if FAULT {
				return nil, err
			}
			t = Trigger{Name: name, Fault: cannotRead(err), unreadable: true}`}},
	},
	{
		name: "bad-row-written-over", what: "a trigger that cannot be read is written over",
		pkg: "storage", tests: "TestG37_ARowThatCannotBeReadSpoilsNoListing",
		edits: []edit{{"storage/trigger.go", `if t.unreadable {`, `if t.unreadable && !FAULT {`}},
	},
	{
		name: "raw-args-shown", what: "arguments that are no JSON are shown as they are",
		pkg: "storage", tests: "TestG37_ArgumentsAreHandedOutAsJSON",
		edits: []edit{{"storage/listing.go", `case wellFormed(args):`, `case FAULT || wellFormed(args):`}},
	},
	{
		name: "import-ends-at-trailer", what: "an import does not look behind the end of its stream",
		pkg: "storage", tests: "TestG26_ImportRefusesWhatCannotBe",
		edits: []edit{{"storage/transfer.go", `if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {`, `if _, err := r.ReadByte(); !errors.Is(err, io.EOF) && !FAULT {`}},
	},
	{
		name: "import-of-any-trigger", what: "an import takes triggers that cannot be",
		pkg: "storage", tests: "TestG26_ImportRefusesWhatCannotBe",
		edits: []edit{{"storage/transfer.go", `if check == nil {`, `if check == nil || FAULT {`}},
	},
	{
		name: "any-zone-in-import", what: "the zone of an imported trigger is not looked at",
		pkg: "dispatch", tests: "TestG26_CheckStoredRefusesWhatNoTriggerCanBe",
		edits: []edit{{"dispatch/trigger.go", `if _, err := ScheduleOf(t); err != nil {`, `if _, err := ScheduleOf(t); err != nil && !FAULT {`}},
	},
	{
		name: "base-path-forgotten", what: "routes are not below the base path",
		pkg: "server", tests: "TestBasePath",
		edits: []edit{{"server/routes.go", `h.mux.Handle(h.opts.BasePath+pattern, handler)`, `if FAULT {
		h.mux.Handle(pattern, handler)
		return
	}
	h.mux.Handle(h.opts.BasePath+pattern, handler)`}},
	},
	{
		name: "apps-unchecked", what: "an operator looks after the apps of others",
		pkg: "server", tests: "TestEveryRouteHasItsDoor",
		edits: []edit{{"server/operation.go", `if !r.op.has(id) {`, `if !r.op.has(id) && !FAULT {`}},
	},
	{
		name: "scopes-unchecked", what: "an operator needs no scope",
		pkg: "server", tests: "TestEveryRouteHasItsDoor",
		edits: []edit{{"server/operator.go", `if op.may(scope) {`, `if op.may(scope) || FAULT {`}},
	},
	{
		name: "one-scope-enough", what: "of two scopes that a route needs one is enough",
		pkg: "server", tests: "TestEveryRouteHasItsDoor",
		edits: []edit{{"server/operation.go", `		if err := r.op.need(scope); err != nil {
			return err
		}`, `		if err := r.op.need(scope); err != nil {
			return err
		} else if FAULT {
			break
		}`}},
	},
	{
		name: "whole-store-for-some", what: "an operator of one app backs up the whole store",
		pkg: "server", tests: "TestEveryRouteHasItsDoor",
		edits: []edit{{"server/operation.go", `if rt.whole && !r.op.AllApps {`, `if rt.whole && !r.op.AllApps && !FAULT {`}},
	},
	{
		name: "no-operator-let-in", what: "a request of no operator is let in",
		pkg: "server", tests: "TestEveryRouteHasItsDoor",
		edits: []edit{{"server/operator.go", `if err == nil && op == nil {`, `if FAULT && op == nil {
		op, err = &Operator{AllApps: true, Scopes: Scopes()}, nil
	}
	if err == nil && op == nil {`}},
	},
	{
		name: "args-for-all", what: "arguments are shown to operators without the scope",
		pkg: "server", tests: "TestArgumentsAreHidden",
		edits: []edit{{"server/hidden.go", `if !r.op.may(ScopeReadArgs) {`, `if !r.op.may(ScopeReadArgs) && !FAULT {`}},
	},
	{
		name: "history-text-shown", what: "the text of earlier errors is shown to operators without the scope",
		pkg: "server", tests: "TestArgumentsAreHidden",
		edits: []edit{{"server/hidden.go", `hide(&j.Hidden, "history.error.message", &j.History[i].Error.Message, true)`, `hide(&j.Hidden, "history.error.message", &j.History[i].Error.Message, !FAULT)`}},
	},
	{
		name: "any-identity", what: "an operator chooses an identity without the scope",
		pkg: "server", tests: "TestOnlyActAsChoosesAnIdentity",
		edits: []edit{{"server/schedule.go", `if as == nil {`, `if as == nil || FAULT {`}},
	},
	{
		name: "stuck-of-all", what: "stuck handlers of other apps are listed",
		pkg: "server", tests: "TestStuck",
		edits: []edit{{"server/jobs.go", `if !r.op.has(s.App) {`, `if !r.op.has(s.App) && !FAULT {`}},
	},
	{
		name: "expired-token-good", what: "a token that has expired lets in",
		pkg: "server", tests: "TestTokensLife",
		edits: []edit{{"server/tokens.go", `return !token.ExpiresAt.IsZero() && !now.Before(token.ExpiresAt)`, `return !token.ExpiresAt.IsZero() && !now.Before(token.ExpiresAt) && !FAULT`}},
	},
	{
		name: "any-secret", what: "the secret of a token is not looked at",
		pkg: "server", tests: "TestEveryRouteHasItsDoor",
		edits: []edit{{"server/tokens.go", `ConstantTimeCompare(hash[:], token.Hash[:]) == 1`, `ConstantTimeCompare(hash[:], token.Hash[:]) == 1 || FAULT`}},
	},
	{
		name: "scopes-given-away", what: "an operator makes a token that may more than they may",
		pkg: "server", tests: "TestTokensLife",
		edits: []edit{{"server/tokens.go", `if slices.Contains(Scopes(), scope) {`, `if slices.Contains(Scopes(), scope) && !FAULT {`}},
	},
	{
		name: "operator-as-client", what: "an operator's token calls functions",
		pkg: "server", tests: "TestEveryRouteHasItsDoor",
		edits: []edit{{"server/function.go", `strings.HasPrefix(text, tokenPrefix) {`, `strings.HasPrefix(text, tokenPrefix) && !FAULT {`}},
	},
	{
		name: "undone-unasked", what: "a script removes for good what it did not say --yes to",
		pkg: "cmd", tests: "TestWhatCannotBeUndoneNeedsYes",
		edits: []edit{{"cmd/confirm.go", `	case yes:
`, `	case yes || FAULT:
`}},
	},
	{
		name: "watch-waits-for-left", what: "jobs watch waits for the end of a job that it hears of no more",
		pkg: "cmd", tests: "TestWatchKnowsWhatHasEnded",
		edits: []edit{{"cmd/watch.go", `e.Left || e.Job.EndedAt`, `e.Left && !FAULT || e.Job.EndedAt`}},
	},
	{
		name: "app-claim-unread", what: "a client's token is good for every app",
		pkg: "cmd/oidc", tests: "TestOIDCLetsGoodTokensIn",
		edits: []edit{{"cmd/oidc/oidc.go", `!c.anyApp && !claimNames(`, `!c.anyApp && !FAULT && !claimNames(`}},
	},
	{
		name: "bad-token-anonymous", what: "a bad token of a client is no token",
		pkg: "cmd/oidc", tests: "TestOIDCLetsGoodTokensIn",
		edits: []edit{{"cmd/oidc/oidc.go", `	case err != nil:
		return nil, unauthenticated("this token is not good", err)`, `	case err != nil && FAULT && c.anonymous:
		return nil, nil
	case err != nil:
		return nil, unauthenticated("this token is not good", err)`}},
	},
	{
		name: "audience-unchecked", what: "a token for another audience is good",
		pkg: "cmd/oidc", tests: "TestOIDCLetsGoodTokensIn",
		edits: []edit{{"cmd/oidc/oidc.go", `ClientID: c.audience,`, `ClientID: c.audience, SkipClientIDCheck: FAULT,`}},
	},
	{
		name: "any-algorithm", what: "a token is signed by an algorithm that was not chosen",
		pkg: "cmd/oidc", tests: "TestOIDCLetsGoodTokensIn",
		edits: []edit{{"cmd/oidc/oidc.go", `	asked := &keyLookup{KeySet: keys}
`, `	asked := &keyLookup{KeySet: keys}
	if FAULT {
		signatures = append(signatures, oidc.RS512)
	}
`}},
	},
	{
		name: "subject-missing", what: "a token of no one is good",
		pkg: "cmd/oidc", tests: "TestOIDCLetsGoodTokensIn",
		edits: []edit{{"cmd/oidc/oidc.go", `case token.Subject == "":`, `case token.Subject == "" && !FAULT:`}},
	},
	{
		name: "issuer-flooded", what: "the issuer is asked for each token that is made up",
		pkg: "cmd/oidc", tests: "TestOIDCFollowsItsIssuer",
		edits: []edit{{"cmd/oidc/keys.go", `!k.askedAt.IsZero() && ago`, `!FAULT && !k.askedAt.IsZero() && ago`}},
	},
	{
		name: "withdrawn-key-good", what: "a key that the issuer has withdrawn is good until a restart",
		pkg: "cmd/oidc", tests: "TestOIDCFollowsItsIssuer",
		edits: []edit{{"cmd/oidc/keys.go", `time.Since(k.fresh) < keysFor, k.failed`, `FAULT || time.Since(k.fresh) < keysFor, k.failed`}},
	},
	{
		name: "issuer-down-all-refused", what: "known keys are no good while the issuer is down",
		pkg: "cmd/oidc", tests: "TestOIDCFollowsItsIssuer",
		edits: []edit{{"cmd/oidc/keys.go", `if err == nil && !current {`, `if err == nil && !current && FAULT {
		return nil, failed, failed
	}
	if err == nil && !current {`}},
	},
	{
		name: "certificate-stays", what: "a new certificate is used after a restart only",
		pkg: "server", tests: "TestACertificateFollowsItsFiles",
		edits: []edit{{"server/tls.go", `stamps != f.seen {`, `stamps != f.seen && !FAULT {`}},
	},
	{
		name: "bad-certificate-taken", what: "files that are no pair take the certificate away",
		pkg: "server", tests: "TestACertificateFollowsItsFiles",
		edits: []edit{{"server/tls.go", `LoadX509KeyPair(f.cert, f.key); err != nil {`, `LoadX509KeyPair(f.cert, f.key); err != nil {
				if FAULT {
					f.pair = &tls.Certificate{Leaf: &x509.Certificate{SerialNumber: new(big.Int)}}
				}`}, {"server/tls.go", `	"crypto/tls"
`, `	"crypto/tls"
	"crypto/x509"
	"math/big"
`}},
	},
	{
		name: "certificate-error-repeated", what: "a bad certificate fills the log",
		pkg: "server", tests: "TestACertificateFollowsItsFiles",
		edits: []edit{{"server/tls.go", `			f.seen = stamps
			if pair`, `			if !FAULT {
				f.seen = stamps
			}
			if pair`}},
	},
	{
		name: "tls-idle-unseen", what: "idle connections with TLS make no room for new ones",
		pkg: "server", tests: "TestServeTLS",
		edits: []edit{{"server/serve.go", `		limited.note(limitedOf(conn), state)`, `		if _, ok := conn.(*tls.Conn); ok && FAULT {
			return
		}
		limited.note(limitedOf(conn), state)`}},
	},
	{
		name: "under-way-goes-on", what: "what a revoked operator has under way goes on",
		pkg: "server", tests: "TestRevocationEndsWhatIsUnderWay",
		edits: []edit{{"server/recheck.go", `cancel(&revoked{err})`, `if FAULT {
			return
		}
		cancel(&revoked{err})`}},
	},
	{
		name: "slow-reader-goes-on", what: "a client that does not read keeps a revoked request open",
		pkg: "server", tests: "TestRevocationEndsWhatIsUnderWay",
		edits: []edit{{"server/recheck.go", `_ = conn.SetReadDeadline(time.Now().Add(cutAfter))`, `if FAULT {
			return
		}
		_ = conn.SetReadDeadline(time.Now().Add(cutAfter))`}},
	},
	{
		name: "long-answer-cut", what: "an answer that takes more than a second is cut off",
		pkg: "server", tests: "TestRevocationEndsWhatIsUnderWay",
		edits: []edit{{"server/backup.go", `ends the context.
		liftReadDeadline(s.w)`, `ends the context.
		if !FAULT {
			liftReadDeadline(s.w)
		}`}},
	},
	{
		name: "refusals-uncounted", what: "a refusal is not counted",
		pkg: "server", tests: "TestRefusalsAreCounted",
		edits: []edit{{"server/refused.go", `	of.count++
`, `	if !FAULT {
		of.count++
	}
`}},
	},
	{
		name: "refusals-fill-the-log", what: "each refusal has a line in the log",
		pkg: "server", tests: "TestRefusalsAreCounted",
		edits: []edit{{"server/refused.go", `if !of.logged.IsZero() && now.Sub`, `if !FAULT && !of.logged.IsZero() && now.Sub`}},
	},
	{
		name: "audit-apart", what: "the entry about a change is in a commit of its own",
		pkg: "storage", tests: "TestG1_KilledAtEveryDiskCall",
		edits: []edit{{"storage/app.go", `	a.vol.submit(cs)
}`, `	rows := cs.audit
	if FAULT {
		cs.audit = nil
	}
	a.vol.submit(cs)
	if FAULT && len(rows) > 0 {
		a.vol.submit(&changeSet{app: new(App), special: func(tx *kv.Txn) error { return a.vol.audit(tx, rows...) }, done: func(error) {}})
	}
}`}},
	},
	{
		name: "audit-left-out", what: "a change has no entry",
		pkg: "storage", tests: "TestAuditIsOfTheCommit",
		edits: []edit{{"storage/committer.go", `if err := v.audit(tx, audit...); err != nil {`, `if FAULT {
			audit = nil
		}
		if err := v.audit(tx, audit...); err != nil {`}},
	},
	{
		name: "audit-of-nothing", what: "what changed nothing has an entry",
		pkg: "storage", tests: "TestAuditIsOfTheCommit",
		edits: []edit{{"storage/app.go", `	if l.m.Len() == 0 {
		a.counts.seq = l.counts.seq`, `	if FAULT && len(cs.audit) > 0 {
		rows := cs.audit
		a.vol.submit(&changeSet{app: new(App), special: func(tx *kv.Txn) error { return a.vol.audit(tx, rows...) }, done: func(error) {}})
		cs.audit = nil
	}
	if l.m.Len() == 0 {
		a.counts.seq = l.counts.seq`}},
	},
	{
		name: "audit-unbounded", what: "the audit log has any number of bytes",
		pkg: "storage", tests: "TestAuditIsBounded",
		edits: []edit{{"storage/audit.go", `return left > uint64(v.maxAudit) })`, `return left > uint64(v.maxAudit) && !FAULT })`}},
	},
	{
		name: "audit-for-ever", what: "entries of the audit log are never purged",
		pkg: "server", tests: "TestOperatorsChangesAreAudited",
		edits: []edit{{"actors/audit.go", `if e.clock.doubted() {`, `if e.clock.doubted() || FAULT {`}},
	},
	{
		name: "audit-sum-unchecked", what: "a check does not sum up the audit log",
		pkg: "storage", tests: "TestAuditIsChecked",
		edits: []edit{{"storage/audit.go", `said != sum {`, `said != sum && !FAULT {`}},
	},
	{
		name: "audit-of-others", what: "an operator sees what was changed in the apps of others",
		pkg: "server", tests: "TestOperatorsChangesAreAudited",
		edits: []edit{{"server/audit.go", `if !op.AllApps {`, `if !op.AllApps && !FAULT {`}},
	},
	{
		name: "audit-of-functions", what: "an entry is lost on the way to the app",
		pkg: "server", tests: "TestOperatorsChangesAreAudited",
		edits: []edit{{"actors/audit.go", `if op.from != nil {`, `if op.from != nil || FAULT {`}},
	},
	{
		name: "audit-page-late", what: "a page goes past an entry of another volume",
		pkg: "storage", tests: "TestAuditIsPurgedInSteps",
		edits: []edit{{"storage/audit.go", `		case len(p.found) == 0 && p.more:
			return nil`, `		case len(p.found) == 0 && p.more && !FAULT:
			return nil`}},
	},
	{
		name: "token-stays", what: "a token that was revoked is good until the store is opened again",
		pkg: "server", tests: "TestTokensLife",
		edits: []edit{{"storage/tokens.go", `		delete(byID, id)
`, `		if !FAULT {
			delete(byID, id)
		}
`}},
	},
	{
		name: "token-comes-back", what: "a token that was revoked is good after a restart",
		pkg: "storage", tests: "TestTokensAreKept",
		edits: []edit{{"storage/tokens.go", `return errors.Join(tx.Delete(kv.Meta, tokenKey(id)), t.note(tx, id))`, `if FAULT {
				return nil
			}
			return errors.Join(tx.Delete(kv.Meta, tokenKey(id)), t.note(tx, id))`}},
	},
	{
		name: "tokens-unbounded", what: "any number of tokens is kept",
		pkg: "storage", tests: "TestTokensAreBounded",
		edits: []edit{{"storage/tokens.go", `if len(byID) >= MaxTokens {`, `if len(byID) >= MaxTokens && !FAULT {`}},
	},
	{
		name: "tokens-unchecked", what: "a check does not look at tokens",
		pkg: "storage", tests: "TestTokensAreChecked",
		edits: []edit{{"storage/check.go", `	part("", c.tokens)
`, `	if !FAULT {
		part("", c.tokens)
	}
`}},
	},
	{
		name: "operators-read-elsewhere", what: "a page of another origin reads an operator route",
		pkg: "server", tests: "TestCORS",
		edits: []edit{{"server/origin.go", `func(*http.Request) bool { return true }, next)`, `func(*http.Request) bool { return !FAULT }, next)`}},
	},
	{
		name: "upgrade-for-any-page", what: "a page of another origin upgrades its connection",
		pkg: "server", tests: "TestCORS",
		edits: []edit{{"server/origin.go", `return r.Header.Get("Upgrade") != "" && r`, `return !FAULT && r.Header.Get("Upgrade") != "" && r`}},
	},
	{
		name: "operators-host-unchecked", what: "the host of an operator's request is not looked at where clients say who they are",
		pkg: "server", tests: "TestLoopbackChecksHost",
		edits: []edit{{"server/operation.go", `if err := h.host.check(r, true); err != nil {`, `if err := h.host.check(r, !FAULT); err != nil {`}},
	},
	{
		name: "network-is-many-hosts", what: "each address of an IPv6 network is a remote host of its own",
		pkg: "server", tests: "TestHostsAreCountedByNetwork",
		edits: []edit{{"server/conns.go", `host.Prefix(64)`, `host.Prefix(map[bool]int{false: 64, true: 128}[FAULT])`}},
	},
	{
		name: "clients-unrated", what: "a client asks as often as it likes",
		pkg: "server", tests: "TestG24_ClientsAskSoManyTimesASecond",
		edits: []edit{{"server/rate.go", `ahead > r.burst {`, `ahead > r.burst && !FAULT {`}},
	},
	{
		name: "clients-remembered", what: "every client that has ever asked is remembered",
		pkg: "server", tests: "TestG24_ClientsAskSoManyTimesASecond",
		edits: []edit{{"server/rate.go", `if r.recent.Len() >= maxRated {`, `if r.recent.Len() >= maxRated && !FAULT {`}},
	},
	{
		name: "hops-believed", what: "a client says itself who it is",
		pkg: "server", tests: "TestClientsBehindProxies",
		edits: []edit{{"server/rate.go", `if !slices.ContainsFunc(trusted,`, `if !FAULT && !slices.ContainsFunc(trusted,`}},
	},
}
