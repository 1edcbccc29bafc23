package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// configFlag names the file that has values of flags.
const configFlag = "config"

// secret are flags whose values are in no file and are not shown: a file may be read by others,
// and --token-file names one that is not.
var secret = map[string]bool{"admin-token": true, "token": true}

// addConfig declares --config.
func addConfig(flags *flag.FlagSet) {
	if flags.Lookup(configFlag) == nil {
		flags.String(configFlag, "", "`FILE`, a JSON object, with values of flags that neither the line nor the environment has")
	}
}

// readConfig reads values of flags from a file: an object of JSON whose keys are flags of any
// verb below the command. The errors say the line.
func readConfig(path string, c *cobra.Command) (map[string]found, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	fault := func(offset int64, format string, args ...any) error {
		return fmt.Errorf("%s:%d: %s", path, 1+bytes.Count(text[:offset], []byte("\n")), fmt.Sprintf(format, args...))
	}
	var whole map[string]any
	err = json.Unmarshal(text, &whole)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return nil, fault(syntax.Offset, "%v", syntax)
	}
	if err != nil || whole == nil {
		return nil, fault(0, `want an object, such as {"drain": "30s"}`)
	}
	known := map[string]bool{}
	_ = walk(c, func(c *cobra.Command) error {
		c.Flags().VisitAll(func(f *pflag.Flag) { known[f.Name] = true })
		return nil
	})
	// Once more, key by key, since an object that is decoded forgets lines and repeated keys.
	values, dec := map[string]found{}, json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, at := token.(string), dec.InputOffset()
		var value any
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		given, ok := flagText(value)
		_, twice := values[name]
		switch {
		case twice:
			return nil, fault(at, "%q is given twice", name)
		case deliberate[name] || name == configFlag:
			return nil, fault(at, "%q is for the line alone", name)
		case secret[name]:
			return nil, fault(at, `%q is a secret: "token-file" names a file that has it`, name)
		case !known[name]:
			return nil, fault(at, "%q is no flag of any command", name)
		case !ok:
			return nil, fault(at, "%q is no string, number or boolean, nor a list of those", name)
		}
		values[name] = found{given, fmt.Sprintf("%s:%d", path, 1+bytes.Count(text[:at], []byte("\n")))}
	}
	return values, nil
}

// flagText is a value of JSON as a flag takes it: of a list, with commas between.
func flagText(value any) (string, bool) {
	switch value := value.(type) {
	case string:
		return value, true
	case json.Number:
		return value.String(), true
	case bool:
		return fmt.Sprint(value), true
	case []any:
		texts := make([]string, len(value))
		for i, v := range value {
			if _, list := v.([]any); list {
				return "", false
			}
			text, ok := flagText(v)
			if !ok || strings.Contains(text, ",") {
				return "", false
			}
			texts[i] = text
		}
		return strings.Join(texts, ","), true
	}
	return "", false
}

// setting is a flag of a verb, with what it says and where that is from.
type setting struct {
	Flag   string `json:"flag"`
	Value  string `json:"value"`
	Source string `json:"source"` // "default", "$CARILLON_DRAIN", "carillon.json:3"
}

// config prints what is in force for a verb: the flags, without the line.
func (p *program) config(flags *flag.FlagSet) func(context.Context, Stdio) error {
	var words []string
	flags.Func("of", "`VERB`, with or without the flag; serve if there is none", func(word string) error {
		words = append(words, strings.Fields(word)...)
		return nil
	})
	form := outputFlag(flags)
	addConfig(flags)
	return func(_ context.Context, std Stdio) error {
		form, err := form()
		if err != nil {
			return err
		}
		if len(words) == 0 {
			words = []string{"serve"}
		}
		c, rest, err := p.tree(std).Find(words)
		if err != nil || len(rest) > 0 || c.Flags().Lookup(configFlag) == nil {
			return usageError{fmt.Errorf("there is no verb %q", strings.Join(words, " "))}
		}
		own := c.Flags()
		if err := own.Set(configFlag, flags.Lookup(configFlag).Value.String()); err != nil {
			return err
		}
		sources, err := p.fill(c)
		if err != nil {
			return usageError{err}
		}
		list := settings(own, sources)
		return printList(std.Out, form, list, func() { printSettings(std.Out, list) })
	}
}

// notShown is shown in the place of a secret.
const notShown = "(hidden)"

// withoutPassword is the address of a log as it may be shown: nothing of it, where a password may be in it that is
// not the user's.
func withoutPassword(address string) string {
	u, err := url.Parse(address)
	if err != nil || strings.Contains(strings.ToLower(address), "password") || u.User == nil && strings.Contains(address, "@") {
		return notShown
	}
	for key := range u.Query() {
		if strings.Contains(strings.ToLower(key), "password") { // of which letters were escaped
			return notShown
		}
	}
	return u.Redacted()
}

// settings are the flags with what they say.
func settings(flags *pflag.FlagSet, sources map[string]found) (list []setting) {
	flags.VisitAll(func(f *pflag.Flag) {
		if deliberate[f.Name] || f.Name == configFlag {
			return
		}
		s := setting{f.Name, f.Value.String(), "default"}
		if from, ok := sources[f.Name]; ok {
			s.Value, s.Source = from.value, from.where
		}
		switch {
		case s.Value == "":
		case secret[f.Name]:
			s.Value = notShown
		case f.Name == "store":
			s.Value = withoutPassword(s.Value)
		}
		list = append(list, s)
	})
	return list
}

func printSettings(w io.Writer, list []setting) {
	printTable(w, "FLAG VALUE FROM", func(row func(cells ...any)) {
		for _, s := range list {
			if s.Value == "" {
				s.Value = "-"
			}
			row("--"+s.Flag, s.Value, s.Source)
		}
	})
}
