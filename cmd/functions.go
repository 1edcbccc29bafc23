package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"carillon/dispatch"
	"carillon/server/api"
)

// functionCommands are the commands about functions.
func functionCommands() []Verb {
	return []Verb{
		{"functions list", "", "list the functions that an app's server has", functionsList},
		{"functions schema", "name", "print the JSON Schemas of what a function takes and returns", functionsSchema},
		{"types", "", "print types of TypeScript for the functions (api.d.ts)", functionTypes},
		{"call", "app function args", "call a function as a client, and print what it returns", call},
	}
}

func functionsList(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := remoteFlags(flags, false)
	return func(ctx context.Context, std Stdio) error {
		return ask(ctx, r, std, http.MethodGet, "/functions", nil, func(w io.Writer, functions []api.Function) {
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
	r := remoteFlags(flags, false)
	path := flags.String("name", "", "`PATH` of the function, with or without the flag")
	return func(ctx context.Context, std Stdio) error {
		if *path == "" {
			return usageError{errors.New("the function's path is missing")}
		}
		var failed error
		form, err := r.output()
		if err != nil {
			return err
		}
		r.output = func() (string, error) { return formTable, nil }
		err = ask(ctx, r, std, http.MethodGet, "/functions", nil, func(w io.Writer, functions []api.Function) {
			failed = dispatch.Errorf(dispatch.CodeNotFound, "no function %.256q", *path)
			for i := range functions {
				if f := &functions[i]; f.Path == *path {
					enc := json.NewEncoder(w)
					if form == formTable {
						enc.SetIndent("", "  ")
					}
					failed = enc.Encode(schemas{f.Path, f.Args, f.Result})
				}
			}
		})
		return errors.Join(err, failed)
	}
}

func functionTypes(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := remoteFlags(flags, false)
	internal := flags.Bool("internal", false, "internal functions, too")
	return func(ctx context.Context, std Stdio) error {
		app, err := checkApp(*r.app)
		if err != nil {
			return err
		}
		c, err := r.client(std, true)
		if err != nil {
			return err
		}
		defer c.close()
		return c.text(ctx, fmt.Sprintf("/v1/apps/%s/functions/api.d.ts?internal=%t", url.PathEscape(string(app)), *internal), std.Out)
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
		c, err := newClient(*site, func() (string, error) { return *token, nil })
		if err != nil {
			return err
		}
		defer c.close()
		c.http.Timeout = 0 // an action may take long, and its server bounds it
		c.idempotencyKey = *key
		var result json.RawMessage
		path := "/v1/apps/" + url.PathEscape(string(app)) + "/functions/" + url.PathEscape(*function)
		if err := c.do(ctx, http.MethodPost, path, body, &result); err != nil {
			return err
		}
		return printJSON(std.Out, result)
	}
}
