package server_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	validate "github.com/santhosh-tekuri/jsonschema/v6"

	"carillon/server"
)

var rewrite = flag.Bool("rewrite", false, "write the OpenAPI document into its file")

// noAgents is an Options.MCP that says nothing.
func noAgents(http.Handler) http.Handler {
	return http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
}

const openapiFile = "../docs/openapi.json"

// servedDocument is the document that the handler serves, indented.
func servedDocument(tb testing.TB, h http.Handler, path string) []byte {
	tb.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	var out bytes.Buffer
	if err := json.Indent(&out, w.Body.Bytes(), "", "  "); err != nil || w.Code != 200 {
		tb.Fatal(w.Code, w.Body, err)
	}
	return out.Bytes()
}

// TestTheOpenAPIDocumentIsCommitted: docs/openapi.json is what the server has at
// /v1/openapi.json. Package api's tests have a validator look at it.
func TestTheOpenAPIDocumentIsCommitted(t *testing.T) {
	eng := mustOpen(t)
	got := servedDocument(t, server.New(eng, server.Options{Operator: eventsOperators.hook, Metrics: http.NotFoundHandler(), MCP: noAgents}), "/v1/openapi.json")
	if *rewrite {
		if err := os.WriteFile(openapiFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(openapiFile); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what is served (%v): go test ./server -run OpenAPI -rewrite", openapiFile, err)
	}
}

// TestTheFunctionsOpenAPIDocument: each public function is a path, with what it takes and answers,
// as testdata/functions.json has it, which package api's tests have a validator look at.
func TestTheFunctionsOpenAPIDocument(t *testing.T) {
	s := mustSite(t, server.Options{Admin: func(*http.Request) error { return nil }, BasePath: "/x"})
	got := s.mustSend(t, s.mustRequest(t, "GET", "/x/v1/apps/acme/functions/openapi.json", nil))
	var out bytes.Buffer
	if err := json.Indent(&out, []byte(got.body), "", "  "); err != nil || got.status != 200 {
		t.Fatal(got.status, got.body, err)
	}
	const file = "testdata/functions.json"
	if *rewrite {
		if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(file); err != nil || !bytes.Equal(out.Bytes(), want) {
		t.Errorf("%s is not what is served (%v): go test ./server -run OpenAPI -rewrite", file, err)
	}
	whole, err := validate.UnmarshalJSON(&out)
	if err != nil {
		t.Fatal(err)
	}
	c := validate.NewCompiler()
	if err := c.AddResource("mem:///functions", whole); err != nil {
		t.Fatal(err)
	}
	fits := func(pointer, text string) bool {
		schema, err := c.Compile("mem:///functions#/paths/" + pointer + "/content/application~1json/schema")
		if err != nil {
			t.Fatal(err)
		}
		value, err := validate.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(value) == nil
	}
	const args, refusal = `{"text":"hi"}`, `{"texts":"hi"}`
	answer := s.mustSend(t, s.mustRequest(t, "POST", "/x/v1/apps/acme/functions/text:length", strings.NewReader(args)))
	const post = "~1text:length/post/"
	if !fits(post+"requestBody", args) || fits(post+"requestBody", refusal) || !fits(post+"responses/200", answer.body) || fits(post+"responses/200", `{"result":"2"}`) {
		t.Errorf("the document of text:length, which answers %s, is not of what it takes and answers", answer.body)
	}
}

// TestTheOpenAPIDocumentIsOfTheHandlersRoutes: below the base path, and of a handler without
// operators only what clients may ask.
func TestTheOpenAPIDocumentIsOfTheHandlersRoutes(t *testing.T) {
	eng := mustOpen(t)
	var doc struct {
		Servers []struct{ URL string }
		Paths   map[string]any
	}
	if err := json.Unmarshal(servedDocument(t, server.New(eng, server.Options{BasePath: "/x/y/"}), "/x/y/v1/openapi.json"), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Servers) != 1 || doc.Servers[0].URL != "/x/y" || doc.Paths["/v1/health"] == nil || doc.Paths["/v1/apps"] != nil {
		t.Errorf("the document is of %v: %v", doc.Servers, doc.Paths)
	}
}

// TestEveryRouteIsDescribed: a route that the OpenAPI document does not have, or says other
// scopes or parameters of than the server does, is red.
func TestEveryRouteIsDescribed(t *testing.T) {
	s := mustSite(t, server.Options{})
	if got := s.call(t, "acme", "notes:post", `{"text":"hi"}`); got.status != 200 { // which makes the app
		t.Fatal(got.body)
	}
	h := server.New(s.eng, server.Options{Admin: func(*http.Request) error { return nil }, Metrics: http.NotFoundHandler(), MCP: noAgents})
	doc := mustDocument(t)
	left := map[string]bool{}
	for path, item := range doc.Paths {
		for method := range item {
			left[strings.ToUpper(method)+" "+path] = true
		}
	}
	ids := map[string]bool{}
	for _, route := range server.Routes(h) {
		method, path, _ := strings.Cut(strings.Replace(route, "...}", "}", 1), " ")
		op := doc.operation(method, path)
		if op == nil {
			t.Errorf("%s is not in the OpenAPI document: describe.go has to say what it is", route)
			continue
		}
		delete(left, method+" "+path)
		if ids[op.OperationID] || op.OperationID == "" || !strings.HasSuffix(op.Summary, ".") {
			t.Errorf("%s: the id is %q, the summary %q", route, op.OperationID, op.Summary)
		}
		ids[op.OperationID] = true
		scopes := slices.DeleteFunc(strings.Fields(rights[route]), func(s string) bool { return s == "whole" || s == open })
		var said []string
		if len(op.Security) == 1 {
			said = op.Security[0]["operator"]
		}
		if !slices.Equal(said, scopes) || op.Whole != strings.HasPrefix(rights[route], "whole") {
			t.Errorf("%s: it is for %v, all apps %t; the test has %q", route, op.Security, op.Whole, rights[route])
		}
		var queried, inPath []string
		for _, p := range op.Parameters {
			switch p.In {
			case "query":
				queried = append(queried, p.Name)
			case "path":
				inPath = append(inPath, "{"+p.Name+"}")
			}
			if p.Description == "" {
				t.Errorf("%s: parameter %s is not described", route, p.Name)
			}
		}
		if want := regexp.MustCompile(`\{\w+\}`).FindAllString(path, -1); !slices.Equal(inPath, want) {
			t.Errorf("%s: %q are in its path", route, inPath)
		}
		if known := knownParameters(h, method, path); len(queried) > 0 || known != nil {
			if strings.HasSuffix(path, "/events") { // it knows all of a listing, and refuses some
				known = slices.DeleteFunc(known, func(name string) bool { return !slices.Contains(queried, name) })
			}
			if slices.Sort(queried); !slices.Equal(queried, known) {
				t.Errorf("%s: the document has the parameters %q, the server knows %q", route, queried, known)
			}
		}
	}
	if len(left) > 0 {
		t.Errorf("there are no routes %v", left)
	}
}

// knownParameters are those that the refusal of an unknown one names, in order.
func knownParameters(h http.Handler, method, path string) (known []string) {
	path = strings.NewReplacer("{app}", "acme", "{name}", "none", "{id}", "none", "{token}", "none", "{pool}", "none", "{group}", "7", "{function}", "text:length").Replace(path)
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, path+"?nope=1", nil)
	r.Host = "localhost"
	h.ServeHTTP(w, r)
	var refused struct {
		Message string
		Error   struct{ Message string } // of Lunora's scheduler
	}
	if w.Code != 400 || json.Unmarshal(w.Body.Bytes(), &refused) != nil {
		return nil
	}
	refused.Message = cmp.Or(refused.Message, refused.Error.Message)
	_, list, ok := strings.Cut(refused.Message, `unknown parameter "nope", want any of [`)
	if !ok {
		return nil
	}
	for _, name := range strings.Fields(strings.TrimSuffix(list, "]")) {
		known = append(known, strings.Trim(name, `"`))
	}
	slices.Sort(known)
	return known
}

// openapiDocument is what the tests read of the committed document.
type openapiDocument struct {
	Paths    map[string]map[string]*openapiOperation
	compiler *validate.Compiler

	mu       sync.Mutex
	compiled map[string]*validate.Schema
}

type openapiOperation struct {
	OperationID, Summary string
	Security             []map[string][]string
	Whole                bool `json:"x-carillon-all-apps"`
	Parameters           []struct{ Name, In, Description string }
	RequestBody          *struct {
		Content map[string]any
	}
	Responses map[string]struct {
		Ref     string `json:"$ref"`
		Content map[string]any
	}
}

func (d *openapiDocument) operation(method, path string) *openapiOperation {
	return d.Paths[path][strings.ToLower(method)]
}

var readDocument = sync.OnceValues(func() (*openapiDocument, error) {
	text, err := os.ReadFile(openapiFile)
	if err != nil {
		return nil, err
	}
	d := &openapiDocument{compiler: validate.NewCompiler(), compiled: map[string]*validate.Schema{}}
	if err := json.Unmarshal(text, d); err != nil {
		return nil, err
	}
	whole, err := validate.UnmarshalJSON(bytes.NewReader(text))
	if err == nil {
		err = d.compiler.AddResource("mem:///openapi.json", whole)
	}
	return d, err
})

func mustDocument(tb testing.TB) *openapiDocument {
	tb.Helper()
	d, err := readDocument()
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// check says why the text is not of the schema at the JSON pointer.
func (d *openapiDocument) check(text []byte, at ...string) error {
	for i, part := range at {
		at[i] = strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(part)
	}
	where := "mem:///openapi.json#/" + strings.Join(at, "/")
	d.mu.Lock()
	defer d.mu.Unlock()
	schema := d.compiled[where]
	if schema == nil {
		var err error
		if schema, err = d.compiler.Compile(where); err != nil {
			return err
		}
		d.compiled[where] = schema
	}
	value, err := validate.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// documented holds every answer of the handler, and every body that it takes, against the
// OpenAPI document.
func documented(tb testing.TB, h http.Handler, base string) http.Handler {
	d := mustDocument(tb)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength < 0 || r.ContentLength > 64<<10 {
			h.ServeHTTP(w, r) // http.MaxBytesReader has to see the server's own writer
			return
		}
		seen, body := &seenAnswer{ResponseWriter: w, status: 200}, &seenBody{ReadCloser: r.Body}
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = body
		}
		h.ServeHTTP(seen, r)
		path := strings.Replace(strings.TrimPrefix(r.Pattern, strings.TrimSuffix(base, "/")), "...}", "}", 1)
		op := d.operation(r.Method, path)
		if op == nil {
			return // no route, or none of its methods
		}
		if err := d.checkAnswer(op, r.Method, path, seen, body.text.Bytes()); err != nil {
			tb.Errorf("%s %s: %d %.1000s is not as the OpenAPI document says: %v", r.Method, r.URL, seen.status, seen.body.Bytes(), err)
		}
	})
}

func (d *openapiDocument) checkAnswer(op *openapiOperation, method, path string, seen *seenAnswer, body []byte) error {
	status := fmt.Sprint(seen.status)
	said, ok := op.Responses[status]
	if !ok {
		return fmt.Errorf("it has no status %s", status)
	}
	media, _, _ := strings.Cut(seen.Header().Get("Content-Type"), ";")
	at := []string{"paths", path, strings.ToLower(method)}
	switch {
	case seen.status == http.StatusSwitchingProtocols:
		return nil // what comes then is no answer
	case said.Ref != "":
		return d.check(seen.body.Bytes(), "components", "responses", strings.TrimPrefix(said.Ref, "#/components/responses/"), "content", "application/json", "schema")
	case said.Content[media] == nil:
		return fmt.Errorf("it has no %s", media)
	case media != "application/json":
		return nil
	}
	if err := d.check(seen.body.Bytes(), append(slices.Clone(at), "responses", status, "content", media, "schema")...); err != nil {
		return err
	}
	if op.RequestBody == nil || op.RequestBody.Content[media] == nil || len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	if err := d.check(body, append(at, "requestBody", "content", media, "schema")...); err != nil {
		return fmt.Errorf("it has taken %.300s: %w", body, err)
	}
	return nil
}

// seenAnswer is an answer of which a copy is kept.
type seenAnswer struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (s *seenAnswer) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

func (s *seenAnswer) Write(p []byte) (int, error) {
	if s.Header().Get("Content-Type") == "application/json" {
		s.body.Write(p)
	}
	return s.ResponseWriter.Write(p)
}

func (s *seenAnswer) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// seenBody is a body of which a copy is kept.
type seenBody struct {
	io.ReadCloser
	text bytes.Buffer
}

func (s *seenBody) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	s.text.Write(p[:n])
	return n, err
}
