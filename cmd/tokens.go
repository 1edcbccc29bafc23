package cmd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"carillon/client"
	"carillon/dispatch"
	"carillon/server"
	"carillon/server/api"
	"carillon/storage"
)

// defaultExpiry is how long a token is good for, unless it is said.
const defaultExpiry = 90 * 24 * time.Hour

// tokenCommands are the commands about the tokens of operators.
func tokenCommands() []Verb {
	return []Verb{
		{"tokens create", "name", "make a token that lets an operator in, and print it", "tokens create ann --apps acme --scopes read,write --data ./data", tokensCreate},
		{"tokens list", "", "list the tokens of operators", "tokens list --server 127.0.0.1:8377", tokensList},
		{"tokens revoke", "name", "make a token good for nothing, at once", "tokens revoke 4f6c --data ./data --yes", tokensRevoke},
	}
}

// tokenPlace is where tokens are: in a data directory that is not served, or in one that is.
type tokenPlace struct {
	dir, site *string
	token     func() (string, error)
}

func tokenPlaceFlags(flags *flag.FlagSet) *tokenPlace {
	p := &tokenPlace{
		dir:  dataFlag(flags, "`DIR` of the data, if it is not being served"),
		site: flags.String("server", "", "`ADDRESS` of the server that has the data open, in the place of DIR"),
	}
	p.token = siteToken(flags, p.site)
	return p
}

// do has the server do it, if one is named, or else does it to the tokens of the directory, or with them
// if it only reads.
func (p *tokenPlace) do(std Stdio, how access, online func(*client.Client) error, offline func(storage.Tokens) error) error {
	if *p.site == "" {
		open := withStore
		if how == reading {
			open = readStore
		}
		return open(std, *p.dir, func(store *storage.Store) error {
			// Of what a server has not done, the log can say no more than where it was done.
			return offline(store.Tokens().By(storage.AuditEntry{At: time.Now(), Operator: "command", Action: "tokens", From: "data directory"}))
		})
	}
	at, err := openSite(*p.site, p.token, false)
	if err != nil {
		return err
	}
	defer at.close()
	return at.told(online(at.Client))
}

func tokensCreate(flags *flag.FlagSet) func(context.Context, Stdio) error {
	p := tokenPlaceFlags(flags)
	name := flags.String("name", "", "`NAME` of the operator, with or without the flag")
	apps := flags.String("apps", "", "`APPS` of the operator, with commas between")
	allApps := flags.Bool("all-apps", false, "every app, and the store as a whole")
	scopes := flags.String("scopes", "", "`SCOPES`, with commas between: "+scopeList())
	expires := flags.Duration("expires", defaultExpiry, "`TIME` that the token is good for; 0 is for ever")
	return func(ctx context.Context, std Stdio) error {
		op := server.Operator{Name: *name, AllApps: *allApps}
		for _, app := range listOf(*apps) {
			op.Apps = append(op.Apps, storage.AppID(app))
		}
		for _, scope := range listOf(*scopes) {
			op.Scopes = append(op.Scopes, server.Scope(scope))
		}
		switch {
		case op.Name == "":
			return usageError{errors.New("the operator's name is missing")}
		case len(op.Scopes) == 0:
			return usageError{errors.New("--scopes is missing: any of " + scopeList())}
		case op.AllApps == (len(op.Apps) > 0):
			return usageError{errors.New("want either --apps or --all-apps")}
		case *expires < 0:
			return usageError{fmt.Errorf("--expires is %v, want 0s or more", *expires)}
		}
		now, expiresAt := time.Now(), time.Time{}
		if *expires > 0 {
			expiresAt = now.Add(*expires)
		}
		return p.do(std, changing, func(c *client.Client) error {
			made, err := c.CreateToken(ctx, api.NewToken{Name: op.Name, Apps: listOf(*apps), AllApps: op.AllApps, Scopes: op.Scopes, ExpiresAt: expiresAt})
			if err == nil {
				fmt.Fprintln(std.Out, made.Token)
			}
			return err
		}, func(tokens storage.Tokens) error {
			text, _, err := server.NewToken(tokens, op, now, expiresAt)
			if err == nil {
				fmt.Fprintln(std.Out, text)
			}
			return err
		})
	}
}

func scopeList() string {
	var names []string
	for _, scope := range server.Scopes() {
		names = append(names, string(scope))
	}
	return strings.Join(names, ", ")
}

// listOf are the words of a flag that has commas between them.
func listOf(text string) (words []string) {
	for word := range strings.SplitSeq(text, ",") {
		if word = strings.TrimSpace(word); word != "" {
			words = append(words, word)
		}
	}
	return words
}

func tokensList(flags *flag.FlagSet) func(context.Context, Stdio) error {
	p := tokenPlaceFlags(flags)
	output := outputFlag(flags)
	return func(ctx context.Context, std Stdio) error {
		form, err := output()
		if err != nil {
			return err
		}
		shown := []api.Token{}
		err = p.do(std, reading, func(c *client.Client) (err error) {
			shown, err = c.Tokens(ctx)
			return err
		}, func(tokens storage.Tokens) error {
			all, err := tokens.List()
			for i := range all {
				shown = append(shown, server.TokenOf(&all[i], time.Now()))
			}
			return err
		})
		if err != nil {
			return err
		}
		return printList(std.Out, form, shown, func() { showTokens(std.Out, shown) })
	}
}

// showTokens prints them for people.
func showTokens(w io.Writer, tokens []api.Token) {
	printTable(w, "ID NAME APPS SCOPES GOOD", func(row func(...any)) {
		for _, t := range tokens {
			apps, until := "all apps", "for ever"
			if !t.AllApps {
				apps = fmt.Sprint(t.Apps)
			}
			if t.ExpiresAt != nil {
				until = "until " + t.ExpiresAt.Format(time.RFC3339)
			}
			if t.Expired {
				until = "expired"
			}
			scopes := make([]string, len(t.Scopes))
			for i, scope := range t.Scopes {
				scopes[i] = string(scope)
			}
			row(t.ID, t.Name, apps, strings.Join(scopes, ","), until)
		}
	})
}

func tokensRevoke(flags *flag.FlagSet) func(context.Context, Stdio) error {
	p := tokenPlaceFlags(flags)
	id := flags.String("name", "", "`ID` of the token, as tokens list has it, with or without the flag")
	yes := yesFlag(flags)
	return func(ctx context.Context, std Stdio) error {
		if *id == "" {
			return usageError{errors.New("the token's id is missing")}
		}
		if err := confirm(std, *yes, "make the token "+*id+" good for nothing"); err != nil {
			return err
		}
		err := p.do(std, changing, func(c *client.Client) error {
			return c.RevokeToken(ctx, *id)
		}, func(tokens storage.Tokens) error {
			known, err := tokens.Remove(*id)
			if err == nil && !known {
				err = dispatch.Errorf(dispatch.CodeNotFound, "no token %.64q", *id)
			}
			return err
		})
		if err == nil {
			fmt.Fprintf(std.Out, "token %s is good for nothing from now on\n", *id)
		}
		return err
	}
}
