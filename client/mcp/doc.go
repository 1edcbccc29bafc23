// Package mcp lets agents look at jobs, and look after them, by the Model Context Protocol. Only a
// program that imports it links the SDK of that protocol.
//
// A server has it at POST /mcp, for operators with the scope read:
//
//	h := server.New(eng, server.Options{Operator: server.Tokens(eng), MCP: mcp.Handler(mcp.Options{})})
//
// A program that an agent starts has it on its standard input and output:
//
//	c, err := client.New("http://127.0.0.1:8377", client.Options{Token: token, NoKeys: true})
//	err = mcp.Serve(ctx, c, os.Stdin, os.Stdout, mcp.Options{})
//
// docs/mcp.md lists the tools.
//
// Invariants:
//
//	P1  A tool asks what the operator's token may ask by itself: it is a client's request, with
//	    the scopes, the hidden fields and the audit log of every other.
//	P2  A tool that writes is there only if Options.AllowWrite is set and the token has the scope.
//	    None deletes, imports, or makes a token.
//	P3  A result has at most MaxBytes, and MaxRows rows, whatever is stored.
//	P4  A result is one JSON object whose field notice is a fixed text that says the rest is data.
//	    What tenants have written is within its field data, escaped so that it has no character
//	    that is not seen.
package mcp
