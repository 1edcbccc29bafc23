package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"carillon/client"
	"carillon/server/api"
)

// documentCommands are the commands about documents.
func documentCommands() []Verb {
	return []Verb{
		{"docs tables", "", "list the tables of an app, with their indexes", "docs tables --app acme", docsTables},
		{"docs list", "table", "list documents of a table", "docs list bells --app acme --index by_tower --eq north --from 500", docsList},
		{"docs get", "table id", "print a document, and its version", "docs get bells 000000000g1t2sjq7to26lev --app acme", docsGet},
		{"docs create", "table value", "make a document", `docs create bells '{"tower":"north"}' --app acme`, docsCreate},
		{"docs put", "table id value", "replace a document, if it has the version", `docs put bells 000000000g1t2sjq7to26lev '{"tower":"south"}' --version 6fdd12c5 --app acme`, docsPut},
		{"docs delete", "table id", "delete a document for good, if it has the version", "docs delete bells 000000000g1t2sjq7to26lev --version 6fdd12c5 --app acme --yes", docsDelete},
	}
}

func docsTables(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := remoteFlags(flags)
	return func(ctx context.Context, std Stdio) error {
		return ask(ctx, r, std, reading, (*client.App).Tables, func(w io.Writer, tables []api.Table) {
			printTable(w, "NAME DOCUMENTS TYPE INDEXES", func(row func(...any)) {
				for _, t := range tables {
					var indexes []string
					for _, x := range t.Indexes {
						var fields []string
						for _, f := range x.Fields {
							fields = append(fields, f.Name)
						}
						indexes = append(indexes, x.Name+"("+strings.Join(fields, ",")+")")
					}
					count := fmt.Sprint(t.Documents)
					if t.More {
						count += "+"
					}
					if t.Type == "" {
						t.Type = "-"
					}
					row(t.Name, count, t.Type, strings.Join(indexes, " "))
				}
			})
		})
	}
}

// tableFlags declares the flags of a verb about documents of a table, and returns what says which one.
func tableFlags(flags *flag.FlagSet) (r *remote, table func() (string, error)) {
	r = remoteFlags(flags)
	given := flags.String("table", "", "`NAME` of the table, with or without the flag")
	return r, func() (string, error) { return inPath("table's name", *given) }
}

// documentFlags is tableFlags of a verb about one document.
func documentFlags(flags *flag.FlagSet) (r *remote, which func() (table, id string, err error)) {
	r, table := tableFlags(flags)
	given := flags.String("id", "", "`ID` of the document, with or without the flag")
	return r, func() (string, string, error) {
		name, err := table()
		if err != nil {
			return "", "", err
		}
		id, err := inPath("document's id", *given)
		return name, id, err
	}
}

// inPath is text that a path may have as a segment: one that would lead elsewhere is refused.
func inPath(what, text string) (string, error) {
	switch {
	case text == "":
		return "", usageError{fmt.Errorf("the %s is missing", what)}
	case strings.Contains(text, "/") || strings.Trim(text, ".") == "":
		return "", usageError{fmt.Errorf("the %s is %.64q, which cannot be one", what, text)}
	}
	return text, nil
}

func docsList(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r, table := tableFlags(flags)
	r.rows = "documents"
	var f client.DocumentFilter
	flags.StringVar(&f.Index, "index", "", "`NAME` of the index to read through; in the order of insertion if not given")
	flags.Func("eq", "only those whose first field of the index has the `VALUE`; given again, whose second one, and so on", func(value string) error {
		f.Eq = append(f.Eq, value)
		return nil
	})
	for name, into := range map[string]**string{"from": &f.From, "after": &f.After, "to": &f.To, "before": &f.Before} {
		about := map[string]string{"from": "the `VALUE` or more", "after": "more than the `VALUE`", "to": "the `VALUE` or less", "before": "less than the `VALUE`"}[name]
		flags.Func(name, "only those whose next field is "+about, func(value string) error {
			*into = &value
			return nil
		})
	}
	flags.BoolVar(&f.Desc, "desc", false, "turn the order around")
	limit, cursor := pageFlags(flags, "documents")
	return func(ctx context.Context, std Stdio) error {
		name, err := table()
		if err != nil {
			return err
		}
		f.Limit, f.Cursor = *limit, *cursor
		list := func(app *client.App, ctx context.Context) (*api.DocumentPage, error) {
			return client.FirstPage(app.DocumentPages(ctx, name, f))
		}
		return ask(ctx, r, std, reading, list, func(w io.Writer, page *api.DocumentPage) {
			printTable(w, "ID VERSION DOCUMENT", func(row func(...any)) {
				for _, d := range page.Documents {
					row(d.ID, d.Version, string(d.Value))
				}
			})
			sayMore(w, page.Next)
		})
	}
}

// printDocument prints the document with a line for each member.
func printDocument(w io.Writer, d api.Document) {
	var text bytes.Buffer
	if json.Indent(&text, d.Value, "", "  ") != nil {
		text.Write(d.Value)
	}
	fmt.Fprintf(w, "id       %s\nversion  %s\n%s\n", d.ID, d.Version, &text)
}

func docsGet(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r, which := documentFlags(flags)
	return func(ctx context.Context, std Stdio) error {
		table, id, err := which()
		if err != nil {
			return err
		}
		get := func(app *client.App, ctx context.Context) (api.Document, error) { return app.Document(ctx, table, id) }
		return ask(ctx, r, std, reading, get, printDocument)
	}
}

// valueFlag declares the flag of a document's JSON.
func valueFlag(flags *flag.FlagSet) func(Stdio) (json.RawMessage, error) {
	given := flags.String("value", "", "`JSON` of the document, with or without the flag, - for standard input")
	return func(std Stdio) (json.RawMessage, error) {
		if *given == "" {
			return nil, usageError{errors.New("the document is missing")}
		}
		return argsOf(std, *given)
	}
}

func docsCreate(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r, table := tableFlags(flags)
	value := valueFlag(flags)
	return func(ctx context.Context, std Stdio) error {
		name, err := table()
		if err != nil {
			return err
		}
		data, err := value(std)
		if err != nil {
			return err
		}
		create := func(app *client.App, ctx context.Context) (api.Document, error) {
			return app.CreateDocument(ctx, name, data)
		}
		return ask(ctx, r, std, changing, create, printDocument)
	}
}

// seenFlags is documentFlags of a verb that changes the document, with the version that the change is made of.
func seenFlags(flags *flag.FlagSet) (r *remote, which func() (table, id, version string, err error)) {
	r, document := documentFlags(flags)
	given := flags.String("version", "", "`VERSION` of the document that was seen: it is not changed if there is another")
	return r, func() (table, id, version string, err error) {
		if table, id, err = document(); err == nil && *given == "" {
			err = usageError{errors.New("--version is missing: docs get prints it")}
		}
		return table, id, *given, err
	}
}

func docsPut(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r, which := seenFlags(flags)
	value := valueFlag(flags)
	return func(ctx context.Context, std Stdio) error {
		table, id, version, err := which()
		if err != nil {
			return err
		}
		data, err := value(std)
		if err != nil {
			return err
		}
		put := func(app *client.App, ctx context.Context) (api.Document, error) {
			return app.PutDocument(ctx, table, id, version, data)
		}
		return ask(ctx, r, std, changing, put, printDocument)
	}
}

func docsDelete(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r, which := seenFlags(flags)
	yes := yesFlag(flags)
	return func(ctx context.Context, std Stdio) error {
		table, id, version, err := which()
		if err != nil {
			return err
		}
		if err := confirm(std, *yes, "delete document "+id); err != nil {
			return err
		}
		remove := func(app *client.App, ctx context.Context) (api.Empty, error) {
			return api.Empty{}, app.DeleteDocument(ctx, table, id, version)
		}
		return ask(ctx, r, std, changing, remove, func(w io.Writer, _ api.Empty) { fmt.Fprintf(w, "deleted %s\n", id) })
	}
}
