package lunora_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"carillon/server/lunora"
)

// marked is a value behind a mark.
func marked(of string) string { return `["$lunora.wire$",` + of + `]` }

// TestArguments: what JSON can say is said in its words, and all else is refused.
func TestArguments(t *testing.T) {
	deep := func(n int, inner string) string {
		return `{"a":` + strings.Repeat("[", n-1) + inner + strings.Repeat("]", n-1) + `}`
	}
	for args, want := range map[string]string{
		`{}`:                         `{}`,
		` {"b" : 1.0, "a":[ 1e3 ]} `: ` {"b" : 1.0, "a":[ 1e3 ]} `,
		`{"a":"$lunora.wire$"}`:      `{"a":"$lunora.wire$"}`,
		`{"a":["x\\"]}`:              `{"a":["x\\"]}`,
		`{"n":` + marked(`"bigint","9007199254740993"`) + `}`:              `{"n":9007199254740993}`,
		`{"n":` + marked(`"bigint","-0"`) + `}`:                            ``,
		`{"n":` + marked(`"bigint","0"`) + `}`:                             `{"n":0}`,
		`{"n":` + marked(`"bigint","01"`) + `}`:                            ``,
		`{"n":` + marked(`"bigint","1e3"`) + `}`:                           ``,
		`{"n":` + marked(`"bigint",1`) + `}`:                               ``,
		`{"n":` + marked(`"bigint","1","2"`) + `}`:                         ``,
		`{"n":` + marked(`"bigint"`) + `}`:                                 ``,
		`{"d":[` + marked(`"date",1500`) + `]}`:                            `{"d":["1970-01-01T00:00:01.5Z"]}`,
		`{"d":` + marked(`"date",null`) + `}`:                              ``,
		`{"d":` + marked(`"date",253402300800000`) + `}`:                   ``,
		`{"b":` + marked(`"bytes","aGk="`) + `,"a":1}`:                     `{"a":1,"b":"aGk="}`,
		`{"b":` + marked(`"bytes","aGk=","Uint8Array"`) + `}`:              `{"b":"aGk="}`,
		`{"b":` + marked(`"bytes","aGk"`) + `}`:                            ``,
		`{"b":` + marked(`"bytes","aGk=",3`) + `}`:                         ``,
		`{"x":` + marked(`"nan"`) + `}`:                                    ``,
		`{"x":` + marked(`"-inf"`) + `}`:                                   ``,
		`{"x":` + marked(`"undefined"`) + `}`:                              ``,
		`{"x":` + marked(`"map",[]`) + `}`:                                 ``,
		`{"x":` + marked(`"arr",["$lunora.wire$"]`) + `}`:                  ``,
		`{"x":["$lunora.wire$"]}`:                                          ``,
		`{"x":["\u0024lunora.wire$","bigint","7"]}`:                        `{"x":7}`,
		`{"x":["` + `\u0024lun\u006fra.w\u0069re$","bigint","7"]}`:         `{"x":7}`,
		`{"x":{"y":[{"z":` + marked(`"bigint","7"`) + `}]},"a":{}}`:        `{"a":{},"x":{"y":[{"z":7}]}}`,
		deep(64, marked(`"bigint","7"`)):                                   deep(64, `7`),
		deep(65, marked(`"bigint","7"`)):                                   ``,
		`{"n":` + marked(`"bigint","`+strings.Repeat("1", 1024)+`"`) + `}`: `{"n":` + strings.Repeat("1", 1024) + `}`,
		`{"n":` + marked(`"bigint","`+strings.Repeat("1", 1025)+`"`) + `}`: ``,
	} {
		got, err := lunora.Arguments(json.RawMessage(args))
		refused, ok := errors.AsType[*lunora.Error](err)
		switch {
		case want == "" && (!ok || refused.Code != lunora.CodeInvalidInput || !strings.HasPrefix(refused.Message, "args: ")):
			t.Errorf("%.80s: %s, %v, want a refusal", args, got, err)
		case want != "" && (err != nil || string(got) != want):
			t.Errorf("%.80s: %s, %v, want %s", args, got, err, want)
		}
	}
}

// TestParse: what is wrong is found in the order target, instant, id, and each has its code.
func TestParse(t *testing.T) {
	const head = `{"functionPath":"a:b","scheduledFor":1`
	for body, want := range map[string]lunora.Code{
		head + `}`: "",
		head + `,"originUrl":7,"args":null,"id":null,"retry":null,"maxConcurrency":0}`: "",
		head + `,"retry":{"maxAttempts":1,"backoff":"linear","baseMs":0,"maxMs":0.5}}`: "",
		head + `,"pool":"p","maxConcurrency":1}`:                                       "",
		`{"functionPath":"a:b","scheduledFor":999999999999999}`:                        "",
		`{"functionPath":"a:b","scheduledFor":1.5e3}`:                                  "",
		`{"functionPath":"a:b","scheduledFor":1e15}`:                                   lunora.CodeInvalidInput,
		`{"functionPath":"a:b","scheduledFor":0}`:                                      lunora.CodeInvalidInput,
		`{"functionPath":"a:b","scheduledFor":1.5}`:                                    lunora.CodeInvalidInput,
		`{"functionPath":"a:b","scheduledFor":"1"}`:                                    lunora.CodeInvalidInput,
		`{"functionPath":"a:b","scheduledFor":null}`:                                   lunora.CodeInvalidInput,
		`{"functionPath":"a:b","scheduledFor":0,"id":7}`:                               lunora.CodeInvalidInput,
		`{"functionPath":"a:b","scheduledFor":1,"id":7,"args":7}`:                      lunora.CodeInvalidID,

		`{"scheduledFor":1}`:                       lunora.CodeInvalidInput,
		`{"functionPath":7,"id":7}`:                lunora.CodeInvalidInput,
		`[]`:                                       lunora.CodeInvalidInput,
		`{`:                                        lunora.CodeInvalidInput,
		head + `,"scheduledFor":1}`:                lunora.CodeInvalidInput,
		head + `,"workflow":"w"}`:                  lunora.CodeInvalidInput,
		head + `,"args":"x"}`:                      lunora.CodeInvalidInput,
		head + `,"args":[]}`:                       lunora.CodeInvalidInput,
		head + `,"shardKey":7}`:                    lunora.CodeInvalidInput,
		head + `,"pool":7}`:                        lunora.CodeInvalidInput,
		head + `,"retry":7}`:                       lunora.CodeInvalidInput,
		head + `,"retry":{"maxAttempts":0}}`:       lunora.CodeInvalidInput,
		head + `,"retry":{"maxAttempts":1.5}}`:     lunora.CodeInvalidInput,
		head + `,"retry":{"baseMs":-1}}`:           lunora.CodeInvalidInput,
		head + `,"retry":{"maxMs":1e21}}`:          lunora.CodeInvalidInput,
		head + `,"retry":{"backoff":"never"}}`:     lunora.CodeInvalidInput,
		head + `,"pool":"p","maxConcurrency":0}`:   lunora.CodeInvalidInput,
		head + `,"pool":"p","maxConcurrency":1.5}`: lunora.CodeInvalidInput,
		head + `,"pool":"p","maxConcurrency":"1"}`: lunora.CodeInvalidInput,
	} {
		call, err := lunora.Parse([]byte(body))
		refused, ok := errors.AsType[*lunora.Error](err)
		if ok != (want != "") || err != nil && !ok || ok && (refused.Code != want || refused.Message == "") || !ok && call.FunctionPath != "a:b" {
			t.Errorf("%s: %+v, %#v, want %s", body, call, err, want)
		}
	}
	call, err := lunora.Parse([]byte(head + `,"retry":{}}`))
	if err != nil || *call.Retry != (lunora.Retry{MaxAttempts: 5, Backoff: lunora.Exponential, BaseMs: 30_000}) || string(call.Args) != "{}" || call.ID != nil {
		t.Errorf("%+v, %v", call, err)
	}
}
