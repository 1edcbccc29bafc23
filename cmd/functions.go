package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"strings"

	"carillon/client"
	"carillon/dispatch"
	"carillon/server/api"
)

// functionCommands are the commands about functions.
func functionCommands() []Verb {
	return []Verb{
		{"functions list", "", "list the functions that an app's server has", "functions list --app acme", functionsList},
		{"functions schema", "name", "print the JSON Schemas of what a function takes and returns", "functions schema counters:bump --app acme", functionsSchema},
		{"types", "", "print types of TypeScript for the functions (api.d.ts)", "types --app acme >api.d.ts", functionTypes},
		{"call", "app function args", "call a function as a client, and print what it returns", "call acme counters:get '{\"key\":\"k\"}'", call},
	}
}

func functionsList(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := remoteFlags(flags)
	return func(ctx context.Context, std Stdio) error {
		return ask(ctx, r, std, reading, (*client.App).Functions, func(w io.Writer, functions []api.Function) {
			printTable(w, "PATH KIND FOR POOL TAGS", func(row func(...any)) {
				for i := range functions {
					f := &functions[i]
					who, pool := "clients", "-"
					if f.Internal {
						who = "the program"
					}
					if f.Pool != "" {
						pool = f.Pool
					}
					row(f.Path, f.Kind, who, pool, strings.Join(f.Tags, ","))
				}
			})
		})
	}
}

// schemas are those of one function.
type schemas struct {
	Path   string          `json:"path"`
	Args   json.RawMessage `json:"args"`
	Result json.RawMessage `json:"result"`
}

func functionsSchema(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := remoteFlags(flags)
	path := flags.String("name", "", "`PATH` of the function, with or without the flag")
	return func(ctx context.Context, std Stdio) error {
		if *path == "" {
			return usageError{errors.New("the function's path is missing")}
		}
		find := func(app *client.App, ctx context.Context) (schemas, error) {
			functions, err := app.Functions(ctx)
			if err != nil {
				return schemas{}, err
			}
			for i := range functions {
				if f := &functions[i]; f.Path == *path {
					return schemas{f.Path, f.Args, f.Result}, nil
				}
			}
			return schemas{}, dispatch.Errorf(dispatch.CodeNotFound, `no function %.256q; "functions list" lists them`, *path)
		}
		return ask(ctx, r, std, reading, find, func(w io.Writer, of schemas) {
			enc := json.NewEncoder(w)
			enc.SetIndent("", "  ")
			_ = enc.Encode(of) // to standard output, which may be gone
		})
	}
}

func functionTypes(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := remoteFlags(flags)
	internal := flags.Bool("internal", false, "internal functions, too")
	return func(ctx context.Context, std Stdio) error {
		app, err := r.appOf()
		if err != nil {
			return err
		}
		at, err := r.open(std, reading)
		if err != nil {
			return err
		}
		defer at.close()
		text, err := at.App(app).TypeScript(ctx, *internal)
		if err != nil {
			return at.told(err)
		}
		_, err = io.WriteString(std.Out, text)
		return err
	}
}

func call(flags *flag.FlagSet) func(context.Context, Stdio) error {
	site := flags.String("server", "http://"+defaultListen, "`ADDRESS` of the server, host:port or URL")
	token := flags.String("token", "", "`TOKEN` of a client, if the server asks clients who they are")
	name := appFlag(flags, "`APP` that the function is called in, with or without the flag")
	function := flags.String("function", "", "`PATH` of the function, with or without the flag")
	args := flags.String("args", "", "`JSON` of its arguments, with or without the flag, - for standard input; {} if not given")
	key := flags.String("idempotency-key", "", "`KEY` of the call, so that it takes effect once however often it is repeated")
	return func(ctx context.Context, std Stdio) error {
		app, err := checkApp(*name)
		if err != nil {
			return err
		}
		if *function == "" {
			return usageError{errors.New("the function is missing")}
		}
		body, err := argsOf(std, *args)
		if err != nil {
			return err
		}
		at, err := openSite(*site, func() (string, error) { return *token, nil }, false)
		if err != nil {
			return err
		}
		defer at.close()
		if *key != "" {
			ctx = client.WithIdempotencyKey(ctx, *key)
		}
		// It may be an action, which may take long: its server bounds it.
		result, err := client.Call[json.RawMessage](ctx, at.App(string(app)), *function, body)
		if err != nil {
			return at.told(err)
		}
		return printJSON(std.Out, result)
	}
}
