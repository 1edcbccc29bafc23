// Package oidc lets clients of a program's server call its functions with the tokens of an
// OpenID Connect issuer. It is a package of its own, so that only a program that names it
// links what it takes to verify such tokens:
//
//	cmd.Main(cmd.Options{Engine: engine(), Clients: new(oidc.Issuer)})
//
// The command then has the flags --oidc-issuer, --oidc-audience, --oidc-app-claim,
// --oidc-any-app and --oidc-anonymous with its verb serve.
package oidc
