// Package proof breaks the engine in every way we know of and counts what was
// lost, doubled, early or leaked. It is made of tests; what is exported here is
// how they are sized and how they report.
//
//	func TestG3_KillLoop(t *testing.T) {
//		tally := proof.NewTally(t, "kill -9 loop")
//		for range proof.Pick(2, 20, 200) {
//			tally.Tried(1)
//			if missing := round(t); missing != "" {
//				tally.Lost("%s was acknowledged and is not there", missing)
//			}
//		}
//	}
//
// The form of a proof, from the environment variable CARILLON_PROOF:
//
//	unset ──► smoke   part of "go test ./...": seconds
//	short ──► short   .ci/proof short: minutes, part of .ci/run
//	long  ──► long    .ci/proof long: hours, or what CARILLON_PROOF_FOR allows each method
//
// Invariants:
//
//	P1 A finding turns its test red; no tally is only printed.
//	P2 A method that tried nothing turns its test red.
//	P3 A row of the report is written when its test ends, also when it fails.
package proof
