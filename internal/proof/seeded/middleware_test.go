package seeded_test

// middlewareFaults are those of what stands around handlers, of hooks, and of the options that
// functions have for their jobs.
var middlewareFaults = []seededFault{
	{
		name: "middleware-swallows", what: "a middleware takes the error of a handler back",
		pkg: "dispatch", tests: "TestMiddlewareDecides",
		edits: []edit{{"dispatch/middleware.go", `		if err == nil {
			err = ended`, `		if err == nil && !FAULT {
			err = ended`}},
	},
	{
		name: "middleware-inside-out", what: "the first middleware is innermost",
		pkg: "dispatch", tests: "TestMiddleware",
		edits: []edit{{"dispatch/middleware.go", `	err := next(*ctx)
`, `	if FAULT {
		next = func(inside context.Context) (err error) {
			*ctx = inside
			out, err = handler()
			return err
		}
		for _, m := range f.env.Registry.around {
			next = m.before(run, next)
		}
	}
	err := next(*ctx)
`}},
	},
	{
		name: "middleware-unfits", what: "a middleware that panics has its job held",
		pkg: "dispatch", tests: "TestAMiddlewareThatPanicsLeavesTheArgumentsAlone",
		edits: []edit{{"dispatch/invoke.go", `s != nil && f.entered && !s.decoded`, `s != nil && (f.entered || FAULT) && !s.decoded`}},
	},
	{
		name: "defaults-win", what: "the options of a function win over its job's",
		pkg: "dispatch", tests: "TestDefaults",
		edits: []edit{{"dispatch/defaults.go", `	if !o.atMostOnce && o.retry == nil {`, `	if FAULT {
		for _, opt := range f.Defaults {
			opt.changeRun(&o)
		}
	}
	if !o.atMostOnce && o.retry == nil {`}},
	},
	{
		name: "expires-rounded-down", what: "ExpiresAfter is cut to whole milliseconds",
		pkg: "dispatch", tests: "TestG12_ExpiresAfter",
		edits: []edit{{"dispatch/defaults.go", `due.Add(ceil(*o.expires))`, `due.Add(map[bool]time.Duration{true: o.expires.Truncate(time.Millisecond), false: ceil(*o.expires)}[FAULT])`}},
	},
	{
		name: "dead-untold", what: "the hooks are told of no dead job",
		pkg: "actors", tests: "TestG5_HooksAreToldOfTheDead",
		edits: []edit{{"actors/hooks.go", `|| !tx.MayLeaveDead() {`, `|| !tx.MayLeaveDead() || FAULT {`}},
	},
	{
		name: "failed-death-told", what: "the hooks are told of a dead job whose end is not durable",
		pkg: "actors", tests: "TestG5_HooksAreToldOfTheDead",
		edits: []edit{{"actors/commit.go", `			app.eng.waiters.doubt(app.id)
`, `			app.eng.waiters.doubt(app.id)
			if FAULT {
				app.tellDead(tx)
			}
`}},
	},
	{
		name: "hook-ends-hooks", what: "a hook that panics keeps those behind it from being told",
		pkg: "actors", tests: "TestG5_HooksAreToldOfTheDead",
		edits: []edit{{"actors/hooks.go", `				callHook(eng, "OnDead", func() { hook(eng.ctx, id, job) })`, `				if FAULT {
					hook(eng.ctx, id, job)
				} else {
					callHook(eng, "OnDead", func() { hook(eng.ctx, id, job) })
				}`}},
	},
	{
		name: "stuck-untold", what: "the hooks are told of no stuck handler",
		pkg: "actors", tests: "TestG17_HooksAreToldOfTheStuck",
		edits: []edit{{"actors/hooks.go", `	if len(e.hooks.stuck) == 0 {`, `	if len(e.hooks.stuck) == 0 || FAULT {`}},
	},
}
