//go:build !seeded

package actors

// seeded says whether the engine is to have the known fault of that name. It
// never is, but in tests of the tests: see docs/reliability.md.
func seeded(string) bool { return false }
