package cmd

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// The forms of what a verb prints.
const (
	formTable = "table" // for people
	formJSON  = "json"  // one value, as the routes of the server have it
	formLines = "jsonl" // of a list each row on a line
)

// outputFlag declares the flag -o, and returns what reads it once the flags are parsed.
func outputFlag(flags *flag.FlagSet) func() (form string, err error) {
	form := flags.String("o", formTable, "`FORM` of the output: table, json, or jsonl for each row of a list on a line")
	return func() (string, error) {
		switch *form {
		case formTable, formJSON, formLines:
			return *form, nil
		case "text": // as table was called
			return formTable, nil
		}
		return "", usageError{fmt.Errorf("-o is %q, want table, json or jsonl", *form)}
	}
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// printList prints the list as JSON, or for people by table.
func printList(w io.Writer, form string, list any, table func()) error {
	if form == formTable {
		table()
		return nil
	}
	rows, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return printAs(w, form, rows, "")
}

// printAs prints v as JSON, or each row of it on a line. The rows are v itself, or its field
// of the name.
func printAs(w io.Writer, form string, v json.RawMessage, field string) error {
	if form == formJSON {
		return printJSON(w, v)
	}
	rows := v
	if field != "" {
		var of map[string]json.RawMessage
		if err := json.Unmarshal(v, &of); err != nil {
			return err
		}
		rows = of[field]
	}
	if rows = bytes.TrimSpace(rows); !bytes.HasPrefix(rows, []byte("[")) {
		if len(rows) == 0 || bytes.Equal(rows, []byte("null")) {
			return nil
		}
		return printJSON(w, rows)
	}
	var each []json.RawMessage
	if err := json.Unmarshal(rows, &each); err != nil {
		return err
	}
	for _, row := range each {
		if err := printJSON(w, row); err != nil {
			return err
		}
	}
	return nil
}

// printTable prints a table with a head, whose words have spaces between. Of what is printed
// to standard output, which may be gone, no error is told.
func printTable(w io.Writer, head string, rows func(row func(cells ...any))) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.ReplaceAll(head, " ", "\t"))
	rows(func(cells ...any) {
		texts := make([]string, len(cells))
		for i, cell := range cells {
			texts[i] = strings.Join(strings.Fields(fmt.Sprint(cell)), " ")
		}
		fmt.Fprintln(table, strings.TrimRight(strings.Join(texts, "\t"), "\t"))
	})
	_ = table.Flush()
}

// sayMore says how the next page is asked for, if there is one.
func sayMore(w io.Writer, next string) {
	if next != "" {
		fmt.Fprintf(w, "there are more: --cursor %s\n", next)
	}
}

// oneLine is the error's text without line breaks.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
