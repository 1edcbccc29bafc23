package ui

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// argument is a field of the form that is made of the JSON Schema of a function's arguments.
type argument struct {
	Name    string
	Kind    string // text, number, flag, choice, or json for all else
	Choices []choice
	Format  string
	Needed  bool
	Value   string // what was typed
}

// choice is a value of an enum: what is sent, and what is shown.
type choice struct{ Value, Text string }

// Field is the name that it has in the form, where other fields are, too.
func (a argument) Field() string { return argumentPrefix + a.Name }

// Bounds of a form: a function with more arguments is given all of them as one text; and how many references a
// schema goes through to say what one field is.
const (
	maxArguments  = 100
	maxReferences = 8

	argumentPrefix = "arg."
	allArguments   = "args" // the field of all of them
)

// schema is what a form has to know of one.
type schema struct {
	Ref        string                     `json:"$ref"`
	Defs       map[string]json.RawMessage `json:"$defs"`
	AnyOf      []json.RawMessage          `json:"anyOf"`
	Type       json.RawMessage            `json:"type"`
	Enum       []json.RawMessage          `json:"enum"`
	Format     string                     `json:"format"`
	Properties json.RawMessage            `json:"properties"`
	Required   []string                   `json:"required"`
}

// types are the schema's, without null, which a field that is left empty stands for.
func (s *schema) types() (types []string) {
	var one string
	if json.Unmarshal(s.Type, &one) == nil {
		types = []string{one}
	} else if json.Unmarshal(s.Type, &types) != nil {
		return nil
	}
	return slices.DeleteFunc(types, func(t string) bool { return t == "null" })
}

// resolved is the schema that this one stands for: behind references, and choices between it and null.
func resolved(text json.RawMessage, defs map[string]json.RawMessage) (s schema, ok bool) {
	for range maxReferences {
		s = schema{}
		if json.Unmarshal(text, &s) != nil {
			return s, false
		}
		if s.Defs != nil {
			defs = s.Defs
		}
		var others []json.RawMessage
		for _, of := range s.AnyOf {
			if string(of) != `{"type":"null"}` {
				others = append(others, of)
			}
		}
		switch name, local := strings.CutPrefix(s.Ref, "#/$defs/"); {
		case len(others) == 1:
			text = others[0]
		case len(others) > 1:
			return schema{}, true // any of several
		case local:
			next, known := defs[name]
			if !known {
				return s, false
			}
			text = next
		default:
			s.Defs = defs
			return s, true
		}
	}
	return s, false
}

// argumentsOf are the fields of the arguments, with what was typed. None means that all are one text of JSON: they
// are no object whose members are known.
func argumentsOf(text json.RawMessage, typed url.Values) []argument {
	s, ok := resolved(text, nil)
	if !ok || s.Properties == nil {
		return nil
	}
	list := []argument{}
	members := json.NewDecoder(bytes.NewReader(s.Properties))
	if begin, err := members.Token(); err != nil || begin != json.Delim('{') {
		return nil
	}
	for members.More() { // in their order
		name, err := members.Token()
		if err != nil {
			return nil
		}
		var property json.RawMessage
		if members.Decode(&property) != nil || len(list) == maxArguments {
			return nil
		}
		a := argument{Name: name.(string), Kind: "json"}
		a.Needed, a.Value = slices.Contains(s.Required, a.Name), typed.Get(a.Field())
		if of, ok := resolved(property, s.Defs); ok {
			a.Kind, a.Format = kindOf(&of), of.Format
			for _, value := range of.Enum {
				c := choice{Value: string(value), Text: string(value)}
				_ = json.Unmarshal(value, &c.Text) // what is no text is shown as it is written
				a.Choices = append(a.Choices, c)
			}
		}
		list = append(list, a)
	}
	return list
}

func kindOf(s *schema) string {
	types := s.types()
	switch {
	case len(s.Enum) > 0:
		return "choice"
	case len(types) != 1:
		return "json"
	case types[0] == "string":
		return "text"
	case types[0] == "integer", types[0] == "number":
		return "number"
	case types[0] == "boolean":
		return "flag"
	}
	return "json"
}

// argsIn are the arguments of the form, in JSON. A field that is left empty is not among them; what the function
// makes of them is for it to say.
func argsIn(list []argument, form url.Values) (json.RawMessage, error) {
	f := fields{form: form}
	if list == nil {
		return f.json(allArguments), f.err
	}
	var out bytes.Buffer
	out.WriteByte('{')
	for _, a := range list {
		text := form.Get(a.Field())
		value := json.RawMessage(strings.TrimSpace(text))
		switch {
		case len(value) == 0 && (a.Kind != "text" || text == ""):
			continue
		case a.Kind == "text":
			value = mustJSON(text)
		case !json.Valid(value), a.Kind == "number" && value[0] != '-' && (value[0] < '0' || value[0] > '9'):
			return nil, unfit("%s is %.80q, which is no %s", a.Name, text, map[bool]string{true: "number", false: "JSON"}[a.Kind == "number"])
		}
		if out.Len() > 1 {
			out.WriteByte(',')
		}
		out.Write(mustJSON(a.Name))
		out.WriteByte(':')
		out.Write(value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// mustJSON is the text in JSON.
func mustJSON(text string) []byte {
	out, err := json.Marshal(text)
	if err != nil {
		panic(err) // every text has a JSON form
	}
	return out
}
