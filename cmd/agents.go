package cmd

import (
	"context"
	"flag"
)

// agentCommands are those of a program whose Options have Agents.
func (p *program) agentCommands() []Verb {
	if p.Agents == nil {
		return nil
	}
	return []Verb{{
		"mcp", "", "give an agent tools for jobs and triggers, over standard input and output",
		"mcp --server 127.0.0.1:8377 --token-file ./agent-token\nmcp --data ./data", p.mcp,
	}}
}

// mcp answers one agent until that closes standard input. A directory that agents may write to is
// theirs as long.
func (p *program) mcp(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := placeFlags(flags)
	write := flags.Bool("allow-write", false, "give it tools that change something, too, as far as the token has the scopes write and call")
	return func(ctx context.Context, std Stdio) error {
		how := reading
		if *write {
			how = changing
		}
		at, err := r.open(std, how)
		if err != nil {
			return err
		}
		defer at.close()
		if err := p.Agents.Serve(ctx, at.Client, std.In, std.Out, *write); err != nil {
			return at.told(err)
		}
		return nil
	}
}
