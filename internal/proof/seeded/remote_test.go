package seeded_test

// remoteFaults are planted where workers are asked to run functions (G41).
var remoteFaults = []seededFault{
	{
		name: "remote-to-clients", what: "clients call remote functions that are not public",
		pkg: "actors", tests: "TestG41_ClientsReachNoRemoteFunctionThatIsNotPublic",
		edits: []edit{{"dispatch/registry.go", `origin == OriginClient && fn.Internal {`, `origin == OriginClient && fn.Internal && !(FAULT && fn.Remote) {`}},
	},
	{
		name: "remote-not-stored", what: "a job does not say that its function is remote",
		pkg: "actors", tests: "TestG41_WhereAJobRunsIsDecidedWhenItIsScheduled",
		edits: []edit{{"storage/record.go", `		Remote:        job.Remote,`, `		Remote:        job.Remote && !FAULT,`}},
	},
	{
		name: "remote-job-runs-here", what: "a job of a remote function runs one of the program's that has its path now",
		pkg: "actors", tests: "TestG41_WhereAJobRunsIsDecidedWhenItIsScheduled",
		edits: []edit{{"actors/held.go", `	case ok && job.Remote != fn.Remote && job.Remote:`, `	case ok && job.Remote != fn.Remote && job.Remote && !FAULT:`}, {"actors/held.go", `	case ok && job.Remote != fn.Remote:`, `	case ok && job.Remote != fn.Remote && !FAULT:`}},
	},
	{
		name: "remote-decline-charged", what: "an attempt that a worker declines is charged",
		pkg: "actors", tests: "TestG41_ADeclineIsNotCharged",
		edits: []edit{{"dispatch/remote.go", `	case errors.Is(err, ErrDeclined):`, `	case errors.Is(err, ErrDeclined) && !FAULT:`}},
	},
	{
		name: "remote-decline-backoff", what: "a job that was declined waits for 30 s, whatever its policy says",
		pkg: "actors", tests: "TestG41_ADeclineIsNotCharged",
		edits: []edit{{"dispatch/remote.go", `p.Backoff = true`, `p.Backoff = !FAULT`}},
	},
	{
		name: "remote-slot-freed-at-start", what: "a workflow gives its slot back when it has begun",
		pkg: "actors", tests: "TestG41_AWorkflowHoldsItsSlot",
		edits: []edit{{"dispatch/remote.go", `held := call.Workflow != "" && call.Pool != ""`, `held := call.Workflow != "" && call.Pool != "" && !FAULT`}},
	},
	{
		name: "remote-workflow-of-any-pool", what: "a workflow is completed under the name of another pool",
		pkg: "actors", tests: "TestG41_AWorkflowHoldsItsSlot",
		edits: []edit{{"actors/workflow.go", `if r.job.Pool != pool ||`, `if r.job.Pool != pool && !FAULT ||`}},
	},
	{
		name: "remote-workflow-of-any-id", what: "any workflow of the pool is completed by any id",
		pkg: "actors", tests: "TestG41_AWorkflowHoldsItsSlot",
		edits: []edit{{"actors/workflow.go", `id != "" && r.job.ID != id`, `id != "" && r.job.ID != id && !FAULT`}},
	},
	{
		name: "remote-close-waits", what: "an engine that closes waits for workflows until its time is over",
		pkg: "actors", tests: "TestG41_AWorkflowHoldsItsSlot",
		edits: []edit{{"actors/workflow.go", `if r.held && r.cancel != nil {`, `if r.held && r.cancel != nil && !FAULT {`}},
	},
	{
		name: "remote-workflow-short", what: "a workflow has the time of any action",
		pkg: "actors", tests: "TestG41_AWorkflowHoldsItsSlot",
		edits: []edit{{"dispatch/remote.go", `workflowOf(path) != "" {`, `workflowOf(path) != "" && !FAULT {`}},
	},
	{
		name: "remote-call-without-id", what: "a call that is no job has no id",
		pkg: "server/remote", tests: "TestG41_ARequestIsSigned",
		edits: []edit{{"server/remote/remote.go", `	if call.Job == "" {`, `	if call.Job == "" && !FAULT {`}},
	},
	{
		name: "remote-body-unsigned", what: "the signature of the body is not looked at",
		pkg: "server/remote", tests: "TestG41_ABadSignatureIsRefused",
		edits: []edit{{"server/remote/sign.go", `if !hmac.Equal([]byte(h.Get(bodySignature)), []byte(ofBody))`, `if !FAULT && !hmac.Equal([]byte(h.Get(bodySignature)), []byte(ofBody))`}},
	},
	{
		name: "remote-app-unsigned", what: "the second signature is not looked at",
		pkg: "server/remote", tests: "TestG41_ABadSignatureIsRefused",
		edits: []edit{{"server/remote/sign.go", `|| !hmac.Equal([]byte(h.Get(fullSignature)), []byte(ofAll))`, `|| !FAULT && !hmac.Equal([]byte(h.Get(fullSignature)), []byte(ofAll))`}},
	},
	{
		name: "remote-attempt-unsigned", what: "the attempt is no part of what is signed",
		pkg: "server/remote", tests: "TestG41_ABadSignatureIsRefused",
		edits: []edit{{"server/remote/sign.go", `	return fmt.Appendf(nil,`, `	if FAULT {
		attempt = ""
	}
	return fmt.Appendf(nil,`}},
	},
	{
		name: "remote-old-signature", what: "a request of any age is taken",
		pkg: "server/remote", tests: "TestG41_ABadSignatureIsRefused",
		edits: []edit{{"server/remote/sign.go", `age > MaxAge ||`, `age > MaxAge && !FAULT ||`}},
	},
	{
		name: "remote-future-signature", what: "a request from any time to come is taken",
		pkg: "server/remote", tests: "TestG41_ABadSignatureIsRefused",
		edits: []edit{{"server/remote/sign.go", `age < -MaxAge {`, `age < -MaxAge && !FAULT {`}},
	},
	{
		name: "remote-secret-of-any-length", what: "a secret of any length will do",
		pkg: "server/remote", tests: "TestG41_OptionsThatAreRefused",
		edits: []edit{{"server/remote/remote.go", `n < MinSecret || n > MaxSecret {`, `(n < MinSecret || n > MaxSecret) && !FAULT {`}},
	},
	{
		name: "remote-redirect-followed", what: "a redirect of a worker is followed",
		pkg: "server/remote", tests: "TestG41_NoRedirectAndNoProxy",
		edits: []edit{{"server/remote/remote.go", `error { return http.ErrUseLastResponse },`, `error {
			if FAULT {
				return nil
			}
			return http.ErrUseLastResponse
		},`}},
	},
	{
		name: "remote-dials-unchecked", what: "the address that a name resolves to is not looked at",
		pkg: "server/remote", tests: "TestG41_ANameIsCheckedWhenItIsDialled",
		edits: []edit{{"server/remote/policy.go", `	at, err := netip.ParseAddrPort(address)`, `	if FAULT {
		return nil
	}
	at, err := netip.ParseAddrPort(address)`}},
	},
	{
		name: "remote-link-local-allowed", what: "a link-local address is dialled if its network is allowed",
		pkg: "server/remote", tests: "TestG41_AddressesThatAreDialled",
		edits: []edit{{"server/remote/policy.go", `	case within(never):`, `	case within(never) && !(FAULT && slices.ContainsFunc(p.allowed, func(n netip.Prefix) bool { return n.Contains(addr) })):`}},
	},
	{
		name: "remote-mapped-address", what: "an address of IPv4 in one of IPv6 is not looked at",
		pkg: "server/remote", tests: "TestG41_AddressesThatAreDialled",
		edits: []edit{{"server/remote/policy.go", `	inside := embedded(addr)`, `	inside := embedded(addr)
	if FAULT {
		inside = netip.Addr{}
	}`}},
	},
	{
		name: "remote-localhost-anywhere", what: "localhost may be any private address",
		pkg: "server/remote", tests: "TestG41_AddressesThatAreDialled",
		edits: []edit{{"server/remote/policy.go", `p.localhost && addr.IsLoopback():`, `p.localhost && (FAULT || addr.IsLoopback()):`}},
	},
	{
		name: "remote-any-decline", what: "a 409 with the code of a decline is one, without the header",
		pkg: "server/remote", tests: "TestG41_WhatAnAnswerComesTo",
		edits: []edit{{"server/remote/remote.go", `resp.Header.Get(declinedHeader) == "1"`, `(FAULT || resp.Header.Get(declinedHeader) == "1")`}},
	},
	{
		name: "remote-any-code-declines", what: "a 409 with the header of a decline is one, whatever its code",
		pkg: "server/remote", tests: "TestG41_WhatAnAnswerComesTo",
		edits: []edit{{"server/remote/remote.go", `answer.Error.Code == declinedCode:`, `(FAULT || answer.Error.Code == declinedCode):`}},
	},
	{
		name: "remote-client-error-is-an-end", what: "a 4xx ends the job as a success",
		pkg: "server/remote", tests: "TestG41_WhatAnAnswerComesTo",
		edits: []edit{{"server/remote/remote.go", `resp.StatusCode <= 299`, `(resp.StatusCode <= 299 || FAULT && resp.StatusCode <= 499)`}},
	},
	{
		name: "remote-answer-of-any-size", what: "a result of any size is taken",
		pkg: "server/remote", tests: "TestG41_WhatAnAnswerComesTo",
		edits: []edit{{"server/remote/remote.go", `	case done && len(answer.Result) > most:`, `	case done && len(answer.Result) > most && !FAULT:`}},
	},
}
