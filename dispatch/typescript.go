package dispatch

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"carillon/internal/jsonschema"
)

// TypeScript is a module of TypeScript (a .d.ts file) with the types of what the functions take
// and return, by path: those that clients may call, and internal ones too if they are asked
// for. It is made of their schemas, so that a text or a number may look like no more than that,
// and the same registry gives the same text.
//
//	import type { Functions } from "./api";
//	function call<P extends keyof Functions>(path: P, args: Functions[P]["args"]): Promise<Functions[P]["result"]>
func (r *Registry) TypeScript(internal bool) string {
	args, results := jsonschema.Maker{}, jsonschema.Maker{Encoded: true}
	var functions strings.Builder
	for _, info := range r.Functions() {
		if info.Internal && !internal {
			continue
		}
		fn := r.functions[info.Path]
		fmt.Fprintf(&functions, "  %s: {\n    kind: %q;\n    args: %s;\n    result: %s;\n  };\n", strconv.Quote(info.Path), info.Kind,
			jsonschema.TypeScript(argsSchema(&args, fn.args.typ()), "Args_"), jsonschema.TypeScript(resultSchema(&results, fn.returns), "Result_"))
	}
	var out strings.Builder
	out.WriteString("// Types of the functions of a Carillon app. Made by GET /v1/apps/{app}/functions/api.d.ts.\n")
	for prefix, defs := range slices.All([]jsonschema.Schema{args.Defs, results.Defs}) {
		name := []string{"Args_", "Result_"}[prefix]
		for _, def := range defs {
			fmt.Fprintf(&out, "\nexport type %s%s = %s;\n", name, def.Name, jsonschema.TypeScript(def.Value.(jsonschema.Schema), name))
		}
	}
	fmt.Fprintf(&out, "\nexport interface Functions {\n%s}\n", functions.String())
	return out.String()
}
