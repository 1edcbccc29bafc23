// Command carillon serves the sample app over HTTP, and looks after data directories: any
// that an engine has made, of whatever program. It is package carillon/cmd with the sample's
// functions, and an example of such a main.
package main

import (
	"carillon/client/mcp"
	"carillon/cmd"
	"carillon/cmd/carillon/sample"
	"carillon/cmd/oidc"
	"carillon/storage/postgres"
)

func main() { cmd.Main(options()) }

func options() cmd.Options {
	return cmd.Options{
		Name:    "carillon",
		About:   "the sample app",
		Engine:  sample.Engine(),
		Clients: new(oidc.Issuer),
		Agents:  mcp.Agents{},
		Log:     postgres.Log,
		Try:     sample.Try,
	}
}
