// Package cmd is the command of a program: it serves the program's functions over HTTP, and
// looks after data directories and servers, of whatever program.
//
//	func main() {
//		cmd.Main(cmd.Options{
//			About:  "the bells of a tower",
//			Engine: actors.Options{Program: "tower", Functions: functions(), Crons: crons},
//		})
//	}
//
// What the command has beyond that only links with a program that names it: package
// carillon/cmd/oidc lets clients in with the tokens of an OpenID Connect issuer.
//
// Verbs that read or change data either open a data directory (--data), where nothing is
// begun meanwhile: no job, no tick; or ask a server that is running (--server). A directory
// has one owner at a time: while it is served, a verb that opens it is told that it is in
// use. A server answers operators, who have a token (--token, $CARILLON_ADMIN_TOKEN,
// --token-file); demo on a loopback address answers every client on the same machine.
//
// The exit code is 0, 2 for wrong usage, the code of package dispatch's table for an error
// that has one (24, unavailable, for a directory in use), and else 1. An error is one line on
// standard error, and of crons check one for each faulty trigger.
//
// Invariants:
//
//	M1  An exported name shows no type of a third party.
//	M2  A verb that only reads a data directory changes nothing in it.
//	M3  What starts a server, or changes data, does nothing at all if its flags are wrong.
package cmd
