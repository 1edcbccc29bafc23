package api_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
)

// Documents that are what the server has at /v1/openapi.json and at …/functions/openapi.json, as tests
// of it say.
const (
	openapiFile   = "../../docs/openapi.json"
	functionsFile = "../testdata/functions.json"
)

// TestTheOpenAPIDocumentsAreValid: a validator of OpenAPI 3.1 takes the documents, and does not take
// one that is at fault.
func TestTheOpenAPIDocumentsAreValid(t *testing.T) {
	var text []byte
	for _, file := range []string{functionsFile, openapiFile} {
		var err error
		if text, err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(text, []byte(`"openapi": "3.1.`)) {
			t.Errorf("%s is not of OpenAPI 3.1", file)
		}
		for _, fault := range faults(t, text) {
			t.Errorf("%s: %s", file, fault)
		}
	}
	for was, is := range map[string]string{`"in": "path"`: `"in": "URL"`, `"required": true`: `"required": "yes"`, `"#/components/responses/Error"`: `"#/components/responses/Fault"`} {
		if len(faults(t, bytes.Replace(text, []byte(was), []byte(is), 1))) == 0 {
			t.Errorf("with %s the document is taken, too", is)
		}
	}
}

// faults are what a validator says against the document.
func faults(t *testing.T, text []byte) (all []string) {
	t.Helper()
	doc, err := libopenapi.NewDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := doc.BuildV3Model(); err != nil {
		return []string{err.Error()}
	}
	v, errs := validator.NewValidator(doc)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	_, found := v.ValidateDocument()
	for _, f := range found {
		all = append(all, f.Message+": "+f.Reason)
		for _, of := range f.SchemaValidationErrors {
			all = append(all, of.Location+": "+of.Reason)
		}
	}
	return all
}
