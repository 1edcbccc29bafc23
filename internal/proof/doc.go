// Package proof breaks the engine in every way we know of and counts what was lost,
// doubled, early or leaked. Each method is a test in a package of its own below this
// one; what is here is how a method is sized and how it reports.
//
//	package     method                                               attacks
//	model       model: random histories beside a model of the engine G1 to G5, G8 to G11, G13 to G17, G19, G20, G22, G26, G32, G33, G38
//	linear      linearizability: what concurrent callers were told   G1, G2, G3, G8, G9, G26,
//	            of one engine, of two nodes, and of two nodes whose  G43, G44
//	            log gets another server
//	kill        kill -9 loop: a server, its clients, kills           G1 to G5, G8, G9, G11, G19, G26 to G30, G32 to G36
//	            load: sixty-four clients, and a kill in the middle   G1, G3, G39
//	crash       crash points, disk errors, short writes,             G1 to G7, G9, G15, G19, G20, G23, G27 to G30, G32 to G36
//	            whole lives, power loss (also on ext4), failed commits
//	damage      damaged pages, damaged bytes, reads that fail        G37
//	clock       clocks: walls that step, suspend, run back           G11, G12, G14, G15, G19, G22
//	isolation   isolation, thousands of new apps, soak               G12, G17, G18, G24, G26
//	seeded      seeded faults: the tests themselves are tested       all
//
// docs/reliability.md says what each method does, how a feature comes into the model
// and how a fault is seeded; .ci/proof runs them all, with fuzzing and shuffled tests
// besides, and prints one table.
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
