package dispatch

import (
	"encoding/json"
	"reflect"

	"carillon/internal/jsonschema"
)

// OpenAPI returns an OpenAPI 3.1 document, as JSON, of the public functions, each as a path below
// the URL: what it takes as its body, and what it answers. Types with a name are components, those
// of arguments with Args_ in front and those of results with Result_.
func (r *Registry) OpenAPI(url string) []byte {
	type object = jsonschema.Schema
	const refs = "#/components/schemas/"
	named := func(prefix string) func(reflect.Type) string {
		return func(t reflect.Type) string { return prefix + jsonschema.NameOf(t) }
	}
	args := jsonschema.Maker{Refs: refs, Name: named("Args_")}
	results := jsonschema.Maker{Refs: refs, Name: named("Result_"), Encoded: true}
	inJSON := func(schema object) object {
		return object{{Name: "application/json", Value: object{{Name: "schema", Value: schema}}}}
	}
	refused := object{
		{Name: "description", Value: "It was refused or has failed, with the status of its code."}, {Name: "content", Value: inJSON(results.Of(reflect.TypeFor[Error]()))},
	}
	paths := object{}
	for _, info := range r.Functions() {
		if info.Internal {
			continue
		}
		fn := r.functions[info.Path]
		op := object{{Name: "operationId", Value: info.Path}, {Name: "tags", Value: []Kind{info.Kind}}}
		if info.Kind == KindMutation {
			op = append(op, jsonschema.Member{Name: "parameters", Value: []object{{
				{Name: "name", Value: "Idempotency-Key"},
				{Name: "in", Value: "header"},
				{Name: "description", Value: "With it the call can be repeated, and is applied once."},
				{Name: "schema", Value: object{{Name: "type", Value: "string"}, {Name: "maxLength", Value: MaxIdempotencyKey}}},
			}}})
		}
		op = append(op, jsonschema.Member{Name: "requestBody", Value: object{{Name: "content", Value: inJSON(argsSchema(&args, fn.args.typ()))}}})
		op = append(op, jsonschema.Member{Name: "responses", Value: object{
			{Name: "200", Value: object{{Name: "description", Value: "What it returns."}, {Name: "content", Value: inJSON(object{
				{Name: "type", Value: "object"},
				{Name: "required", Value: []string{"result"}},
				{Name: "properties", Value: object{{Name: "result", Value: resultSchema(&results, fn.returns)}}},
			})}}},
			{Name: "default", Value: object{{Name: "$ref", Value: "#/components/responses/Error"}}},
		}})
		paths = append(paths, jsonschema.Member{Name: "/" + info.Path, Value: object{{Name: "post", Value: op}}})
	}
	text, err := json.Marshal(object{
		{Name: "openapi", Value: "3.1.0"},
		{Name: "info", Value: object{{Name: "title", Value: "Functions"}, {Name: "version", Value: "1"}}},
		{Name: "jsonSchemaDialect", Value: jsonschema.Dialect},
		{Name: "servers", Value: []object{{{Name: "url", Value: url}}}},
		{Name: "paths", Value: paths},
		{Name: "components", Value: object{
			{Name: "schemas", Value: append(args.Defs, results.Defs...)},
			{Name: "responses", Value: object{{Name: "Error", Value: refused}}},
		}},
	})
	if err != nil {
		panic(err) // it is of text, numbers and lists
	}
	return text
}
