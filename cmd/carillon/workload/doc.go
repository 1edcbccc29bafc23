// Package workload is what Carillon and its peers are measured by: the workloads
// W1a to W11, one for each promise about speed. The command runs them on Carillon
// alone, the module in bench/ on Carillon and its peers side by side.
//
//	list, err := workload.Select("W1b,W3")
//	harness := &workload.Harness{System: workload.Carillon(), Dir: dir, Scale: 1}
//	err = harness.Run(ctx, list, func(row workload.Row) { fmt.Println(row.Workload, row.PerSecond) })
//
// A workload drives a Queue, which each system implements, so that the very same
// code measures all of them:
//
//	Workload ──Schedule, Batch──► Queue ──► the system, durable before it returns
//	         ◄──Work.Started───── handler of a job, in its first statement
//
// What only some can do is an interface of its own: Documents, Keyed. A system is left
// out of the workloads that its System.Absent names; W4 and W8 to W10 are about the engine's own
// sleep, cron, pools and results, and run on nothing else. CarillonOn is the engine with its log in what
// several nodes share; W11 is about these.
//
// A Series is what a store has more and more of, at several sizes: Harness.Grow tells
// by how much each figure grows with them. It is about the engine only.
//
// Every call is durable before it returns. A job carries two small fields. A
// system is opened anew, in an empty directory, for each workload.
package workload
