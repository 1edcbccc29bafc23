//go:build seeded

package actors

import "os"

var planted = os.Getenv("CARILLON_SEEDED")

// seeded says whether the engine is to have the known fault of that name.
func seeded(fault string) bool { return fault == planted }
