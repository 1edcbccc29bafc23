package server

import (
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"carillon/dispatch"
	"carillon/internal/jsonschema"
	"carillon/server/api"
	"carillon/server/lunora"
)

// openapiPath is where the document is. Every caller may read it: it tells of the routes, which are
// public, and nothing of the functions and the apps that there are.
const openapiPath = "/v1/openapi.json"

// openapi answers with the OpenAPI document of the handler's routes.
func (h *handler) openapi(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, h.document())
}

// Refs of the document.
const (
	schemaRefs = "#/components/schemas/"
	errorRef   = "#/components/responses/Error"
	refusalRef = "#/components/responses/Refusal" // of clients of Lunora's scheduler
)

// object is a JSON object, in order.
type object = jsonschema.Schema

func ref(to string) object { return object{{Name: "$ref", Value: to}} }

// document is the OpenAPI 3.1 document of the routes: of the rows, and of what describe.go says.
func (h *handler) document() []byte {
	d := newDocument()
	for _, rt := range h.routes() {
		if said, ok := descriptions[rt.method+" "+rt.pattern]; ok {
			d.add(&rt, &said)
		}
	}
	base := h.opts.BasePath
	if base == "" {
		base = "/"
	}
	text, err := json.Marshal(object{
		{Name: "openapi", Value: "3.1.0"},
		{Name: "info", Value: object{{Name: "title", Value: "Carillon"}, {Name: "version", Value: "1"}, {Name: "summary", Value: "An embedded scheduler: functions for clients, and what operators look after."}}},
		{Name: "jsonSchemaDialect", Value: jsonschema.Dialect},
		{Name: "servers", Value: []object{{{Name: "url", Value: base}}}},
		{Name: "paths", Value: d.paths},
		{Name: "components", Value: object{
			{Name: "schemas", Value: append(d.answers.Defs, d.bodies.Defs...)},
			{Name: "responses", Value: object{{Name: "Error", Value: object{
				{Name: "description", Value: "It was not done, or with the codes unknown and internal perhaps."},
				{Name: "headers", Value: object{{Name: "Retry-After", Value: object{{Name: "description", Value: "In how many seconds it may be asked again."}, {Name: "schema", Value: object{{Name: "type", Value: "integer"}}}}}}},
				{Name: "content", Value: content("application/json", d.answers.Of(reflect.TypeFor[api.Error]()))},
			}}, {Name: "Refusal", Value: object{
				{Name: "description", Value: "It was refused, in the form that clients of Lunora's scheduler know."},
				{Name: "content", Value: content("application/json", d.answers.Of(reflect.TypeFor[lunora.Refusal]()))},
			}}}},
			{Name: "securitySchemes", Value: object{
				{Name: "operator", Value: object{{Name: "type", Value: "http"}, {Name: "scheme", Value: "bearer"}, {Name: "description", Value: "A token of an operator with the scopes that are listed."}}},
				{Name: "client", Value: object{{Name: "type", Value: "http"}, {Name: "scheme", Value: "bearer"}, {Name: "description", Value: "What the host's Identify takes: with carillon serve --oidc-issuer a token of the issuer."}}},
			}},
		}},
	})
	if err != nil {
		panic(err) // it is made of text and numbers
	}
	return text
}

// nameOf is the name of the type in the document.
func nameOf(t reflect.Type) string {
	name := jsonschema.NameOf(t)
	if t.PkgPath() == reflect.TypeFor[lunora.Refusal]().PkgPath() {
		name = "Lunora" + name // there are others of these names
	}
	return name
}

// document is the part of an OpenAPI document that grows with each route.
type document struct {
	paths           object
	answers, bodies jsonschema.Maker
}

func newDocument() *document {
	d := &document{paths: object{}}
	d.answers = jsonschema.Maker{Refs: schemaRefs, Encoded: true, Special: enumOf, Name: nameOf}
	// A type that is a body, too, is decoded by other rules, and has another name there.
	d.bodies = jsonschema.Maker{Refs: schemaRefs, Special: enumOf, Name: func(t reflect.Type) string { return nameOf(t) + "Body" }}
	d.answers.Of(reflect.TypeFor[api.Error]())
	d.answers.Of(reflect.TypeFor[lunora.Refusal]())
	return d
}

// enumOf is the schema of one of package api's types that have a set of values. A field of a body
// that is "" was left out.
func enumOf(t reflect.Type, encoded bool) (object, bool) {
	if t.Kind() != reflect.String {
		return nil, false
	}
	of, ok := reflect.Zero(t).Interface().(interface{ Enum() []string })
	if !ok {
		return nil, false
	}
	values := []any{}
	for _, v := range of.Enum() {
		values = append(values, v)
	}
	if !encoded && !slices.Contains(of.Enum(), "") {
		values = append(values, "")
	}
	return object{{Name: "type", Value: "string"}, {Name: "enum", Value: values}}, true
}

func content(media string, schema object) object {
	return object{{Name: media, Value: object{{Name: "schema", Value: schema}}}}
}

// inBraces is a variable of a pattern.
var inBraces = regexp.MustCompile(`\{(\w+)(\.\.\.)?\}`)

// add adds an operation.
func (d *document) add(rt *route, said *description) {
	op := object{
		{Name: "operationId", Value: said.id},
		{Name: "summary", Value: said.summary},
		{Name: "tags", Value: []string{tagOf(rt)}},
	}
	parameters := []object{}
	for _, m := range inBraces.FindAllStringSubmatch(rt.pattern, -1) {
		p := pathParameters[m[1]]
		parameters = append(parameters, p.object("path"))
	}
	for _, p := range said.query {
		parameters = append(parameters, p.object("query"))
	}
	if said.keyed {
		parameters = append(parameters, text(keyHeader, "With it the request can be repeated, and is done once.").object("header"))
	}
	if said.events {
		parameters = append(parameters, text("Last-Event-ID", "The id of an event, after which the stream goes on.").object("header"))
	}
	if len(parameters) > 0 {
		op = append(op, jsonschema.Member{Name: "parameters", Value: parameters})
	}
	if body := d.body(rt, said); body != nil {
		op = append(op, jsonschema.Member{Name: "requestBody", Value: body})
	}
	op = append(op, jsonschema.Member{Name: "responses", Value: d.responses(rt, said)})
	if security := securityOf(rt, said); security != nil {
		op = append(op, jsonschema.Member{Name: "security", Value: security})
	}
	if rt.whole {
		op = append(op, jsonschema.Member{Name: "x-carillon-all-apps", Value: true})
	}
	if said.events {
		op = append(op, jsonschema.Member{Name: "x-carillon-events", Value: d.events()})
	}
	d.put(inBraces.ReplaceAllString(rt.pattern, "{$1}"), strings.ToLower(rt.method), op)
}

// put has the path's item have the operation.
func (d *document) put(path, method string, op object) {
	at := slices.IndexFunc(d.paths, func(m jsonschema.Member) bool { return m.Name == path })
	if at < 0 {
		at = len(d.paths)
		d.paths = append(d.paths, jsonschema.Member{Name: path, Value: object{}})
	}
	d.paths[at].Value = append(d.paths[at].Value.(object), jsonschema.Member{Name: method, Value: op})
}

// tagOf groups the operations by what they are about.
func tagOf(rt *route) string {
	about, ok := strings.CutPrefix(rt.pattern, "/v1/apps/{app}/")
	if !ok {
		about = strings.TrimPrefix(rt.pattern, "/v1")
	}
	about, _, _ = strings.Cut(strings.TrimPrefix(about, "/"), "/")
	return about
}

func (p parameter) object(in string) object {
	schema := p.schema
	if p.often {
		schema = object{{Name: "type", Value: "array"}, {Name: "items", Value: p.schema}}
	}
	o := object{{Name: "name", Value: p.name}, {Name: "in", Value: in}, {Name: "description", Value: p.about}}
	if in == "path" {
		o = append(o, jsonschema.Member{Name: "required", Value: true})
	}
	return append(o, jsonschema.Member{Name: "schema", Value: schema})
}

func (d *document) body(rt *route, said *description) object {
	switch {
	case rt.stream:
		return object{{Name: "required", Value: true}, {Name: "content", Value: object{{Name: octets, Value: object{}}}}}
	case said.body == nil:
		return nil
	}
	schema := d.bodies.Exactly(said.body)
	if said.foreign { // of its fields those that are not known are not looked at
		at := slices.IndexFunc(d.bodies.Defs, func(m jsonschema.Member) bool { return m.Name == nameOf(said.body)+"Body" })
		of := &d.bodies.Defs[at].Value
		*of = slices.DeleteFunc((*of).(object), func(m jsonschema.Member) bool { return m.Name == "additionalProperties" })
	}
	o := object{}
	if len(said.needed) > 0 {
		schema = append(schema, jsonschema.Member{Name: "required", Value: said.needed})
		o = append(o, jsonschema.Member{Name: "required", Value: true})
	}
	return append(o, jsonschema.Member{Name: "content", Value: content("application/json", schema)})
}

// responses are the answers by status. What is refused is listed by status, too, where that can be
// told beforehand.
func (d *document) responses(rt *route, said *description) object {
	byStatus := map[int]object{}
	for _, a := range said.answers {
		o := object{{Name: "description", Value: http.StatusText(a.status)}}
		if a == (described{status: a.status}) { // it has no body
			byStatus[a.status] = o
			continue
		}
		var what object
		switch {
		case a.media == "application/json":
			what = content(a.media, object{{Name: "type", Value: "object"}})
		case a.media != "":
			what = object{{Name: a.media, Value: object{}}}
		case a.bare != nil:
			what = content("application/json", d.answers.Of(a.bare))
		default:
			what = content("application/json", object{
				{Name: "type", Value: "object"},
				{Name: "required", Value: []string{"result"}},
				{Name: "properties", Value: object{{Name: "result", Value: d.answers.Of(a.of)}}},
			})
		}
		byStatus[a.status] = append(o, jsonschema.Member{Name: "content", Value: what})
	}
	refusal := ref(errorRef)
	if said.foreign {
		refusal = ref(refusalRef)
	}
	for _, status := range refusals(rt, said) {
		if byStatus[status] == nil {
			byStatus[status] = refusal
		}
	}
	var all object
	for status := range 600 {
		if o := byStatus[status]; o != nil {
			all = append(all, jsonschema.Member{Name: strconv.Itoa(status), Value: o})
		}
	}
	return append(all, jsonschema.Member{Name: "default", Value: refusal})
}

// refusals are the statuses that the route may refuse with.
func refusals(rt *route, said *description) []int {
	if rt.probe {
		return nil
	}
	statuses := []int{http.StatusForbidden, http.StatusTooManyRequests, http.StatusInternalServerError}
	asks := strings.Contains(rt.pattern, "{") || said.body != nil || len(said.query) > 0
	if asks {
		statuses = append(statuses, http.StatusBadRequest, http.StatusNotFound, http.StatusServiceUnavailable, http.StatusGatewayTimeout)
	}
	if rt.client == nil || said.body != nil {
		statuses = append(statuses, http.StatusUnauthorized)
	}
	if said.body != nil || rt.stream {
		statuses = append(statuses, http.StatusRequestEntityTooLarge)
	}
	if said.body != nil {
		statuses = append(statuses, http.StatusUnsupportedMediaType)
	}
	if rt.pattern == functionPattern { // a function may choose any code
		for _, code := range dispatch.Codes() {
			statuses = append(statuses, code.HTTPStatus())
		}
	}
	if said.conflict {
		statuses = append(statuses, http.StatusConflict)
	}
	return statuses
}

// securityOf is who may use the route: nil of one that every caller may.
func securityOf(rt *route, said *description) []object {
	switch {
	case rt.client == nil:
		return []object{{{Name: "operator", Value: rt.scopes}}}
	case said.keyed: // of clients only calls have an identity
		return []object{{}, {{Name: "client", Value: []string{}}}}
	}
	return nil
}

// events are the data of a stream's events, by name.
func (d *document) events() object {
	all := object{}
	for _, kind := range api.EventKind("").Enum() {
		of := reflect.TypeFor[api.JobEvent]()
		switch api.EventKind(kind) {
		case api.EventReset, api.EventLagged:
			of = reflect.TypeFor[api.EventReason]()
		case api.EventReady:
			of = reflect.TypeFor[api.Ready]()
		case api.EventEnd:
			of = reflect.TypeFor[api.Error]()
		}
		all = append(all, jsonschema.Member{Name: kind, Value: d.answers.Of(of)})
	}
	return all
}
