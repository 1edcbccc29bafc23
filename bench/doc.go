// Command bench measures Carillon and its peers side by side: the workloads of
// package workload, on one machine, in turn, over several rounds.
//
//	go run . [-rounds N] [-only NAMES] [-peers NAMES] [-scale FACTOR] [-o table|json] [-svg DIR]
//
// It is a module of its own, so that no peer becomes a dependency of Carillon.
// PostgreSQL and Redis are started by it on loopback, with their data in a
// temporary directory, and stopped at the end.
//
//	parent ──starts──► servers
//	   └── for each round, workload, system ──► child: one process, which runs
//	                                            one workload on one system
//	                                            and prints its rows
//
// Each measurement has a process of its own, so that nothing is left over from
// the one before: neither garbage nor goroutines nor memory. What is reported is
// the median over the rounds, with the least and the greatest.
//
// How each peer is tuned, and why, is in README.md.
package main
