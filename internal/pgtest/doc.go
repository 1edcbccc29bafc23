// Package pgtest starts a PostgreSQL server for tests, of the one that Debian installs, and
// has a proxy for what goes to it.
//
//	var server pgtest.Server // of the test binary
//
//	func TestMain(m *testing.M) {
//		goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { server.Stop(); os.Exit(code) }))
//	}
//
//	address := server.Address(t) // skips where there is no PostgreSQL
//
// Where PostgreSQL is not installed tests are skipped, unless CARILLON_POSTGRES is "required".
package pgtest
