package seeded_test

// schemaFaults are planted where JSON Schemas are made of Go types.
var schemaFaults = []seededFault{
	{
		name: "arrays-of-any-length", what: "more elements than an array has room for are dropped",
		pkg: "dispatch", tests: "TestArgumentsAreDecodedStrictly",
		edits: []edit{{"internal/strictjson/strictjson.go", `jsonv1.UnmarshalArrayFromAnyLength(false)`, `jsonv1.UnmarshalArrayFromAnyLength(FAULT)`}},
	},
	{
		name: "schema-refuses-null", what: "the schema of arguments takes no null, which is the zero value",
		pkg: "internal/jsonschema", tests: "TestSchemasAreOfWhatIsDecoded",
		edits: []edit{{"internal/jsonschema/schema.go", `m.value(t, !m.Encoded) }`, `m.value(t, !m.Encoded && !FAULT) }`}},
	},
	{
		name: "schema-of-nil-lists", what: "the schema of a result takes no null, which a nil slice is written as",
		pkg: "internal/jsonschema", tests: "TestSchemasAreOfWhatIsEncoded",
		edits: []edit{{"internal/jsonschema/schema.go", `		null = true // nil
`, `		null = !FAULT || null
`}},
	},
	{
		name: "schema-without-bounds", what: "the schema of an integer takes those that its type does not",
		pkg: "internal/jsonschema", tests: "TestSchemasAreOfWhatIsDecoded|TestWhatIsMadeOfASchemaIsDecoded",
		edits: []edit{{"internal/jsonschema/schema.go", `int64(math.MaxInt64) >> (64 - t.Bits())
`, `int64(math.MaxInt64) >> (64 - t.Bits())
		if FAULT {
			most = math.MaxInt64
		}
`}},
	},
	{
		name: "schema-requires-omitted", what: "a field that is left out when it is empty is demanded of a result",
		pkg: "internal/jsonschema", tests: "TestSchemasAreOfWhatIsEncoded",
		edits: []edit{{"internal/jsonschema/fields.go", `slices.Contains(options, "omitempty") ||`, `!FAULT && slices.Contains(options, "omitempty") ||`}},
	},
	{
		name: "schema-of-bytes-as-list", what: "the schema of bytes is a list of numbers",
		pkg: "internal/jsonschema", tests: "TestSchemasAreOfWhatIsEncoded",
		edits: []edit{{"internal/jsonschema/schema.go", `	if t.Kind() != reflect.Slice || t.Elem().Kind() != reflect.Uint8 {`, `	if t.Kind() != reflect.Slice || t.Elem().Kind() != reflect.Uint8 || FAULT {`}},
	},
	{
		name: "schema-lets-more-in", what: "the schema of arguments takes fields that there are not",
		pkg: "internal/jsonschema", tests: "TestSchemasAreOfWhatIsDecoded",
		edits: []edit{{"internal/jsonschema/schema.go", `Member{"additionalProperties", false})`, `Member{"additionalProperties", FAULT})`}},
	},
	{
		name: "schema-null-for-all", what: "the schema of arguments takes null as a whole where the function does not",
		pkg: "dispatch", tests: "TestSchemasOfArguments",
		edits: []edit{{"dispatch/schema.go", `	case shapeScalar:
		return`, `	case shapeScalar:
		if FAULT {
			return m.Of(t)
		}
		return`}},
	},
	{
		name: "types-of-internal", what: "the types for clients have internal functions",
		pkg: "dispatch", tests: "TestTypeScriptOfFunctions",
		edits: []edit{{"dispatch/typescript.go", `		if info.Internal && !internal {`, `		if info.Internal && !internal && !FAULT {`}},
	},
	{
		name: "types-without-question-marks", what: "a field of arguments must be given, as its type in TypeScript says",
		pkg: "dispatch", tests: "TestTypeScriptOfFunctions",
		edits: []edit{{"internal/jsonschema/typescript.go", `name, mark := p.Name, "?"`, `name, mark := p.Name, map[bool]string{false: "?"}[FAULT]`}},
	},
}
