package seeded_test

// openapiFaults are planted in the OpenAPI document, and in what it is of.
var openapiFaults = []seededFault{
	{
		name: "openapi-without-scopes", what: "the OpenAPI document does not say which scopes a route needs",
		pkg: "server", tests: "TestTheOpenAPIDocumentIsCommitted",
		edits: []edit{{"server/openapi.go", `	case rt.client == nil:
		return`, `	case rt.client == nil && !FAULT:
		return`}},
	},
	{
		name: "openapi-without-base-path", what: "the OpenAPI document of a handler below a prefix sends clients elsewhere",
		pkg: "server", tests: "TestTheOpenAPIDocumentIsOfTheHandlersRoutes",
		edits: []edit{{"server/openapi.go", `	if base == "" {`, `	if base == "" || FAULT {`}},
	},
	{
		name: "openapi-of-other-words", what: "an answer has a word that the OpenAPI document does not have",
		pkg: "server", tests: "TestG38_HeldJobsOverHTTP",
		edits: []edit{{"server/jobs.go", `	if job.Unique != nil {`, `	if FAULT {
		shown.Wait = "a while"
	}
	if job.Unique != nil {`}},
	},
	{
		name: "openapi-of-internal", what: "the OpenAPI document of the functions has internal ones",
		pkg: "server", tests: "TestTheFunctionsOpenAPIDocument",
		edits: []edit{{"dispatch/openapi.go", `		if info.Internal {`, `		if info.Internal && !FAULT {`}},
	},
	{
		name: "parameter-taken-for-false", what: "a parameter that is neither true nor false is taken for false",
		pkg: "server", tests: "TestTypesOfFunctions",
		edits: []edit{{"server/functions.go", `	internal, err := flagOf(query, "internal")
	if err != nil {`, `	internal, err := flagOf(query, "internal")
	if err != nil && !FAULT {`}},
	},
}
