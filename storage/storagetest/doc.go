// Package storagetest breaks the disk under a process, for tests of this module:
// strace kills the process at one of its disk calls, or has the call fail.
//
// In the process, which is best the test binary itself:
//
//	runtime.LockOSThread() // for good, lest this thread become a committer's
//	s, err := storage.Open(dir, storage.Options{Fault: storagetest.OwnThreads()})
//
// In the test, first with no harm done to it, and then for each of the points:
//
//	strace := storagetest.FindStrace(t)
//	err := strace.Command(t.Context(), storagetest.Count(log), os.Args[0]).Run()
//	counts, err := storagetest.ReadCounts(log, storagetest.Whole)
//	for _, n := range counts.Points("pwrite64") {
//		err := strace.Command(t.Context(), storagetest.Kill("pwrite64", n), os.Args[0]).Run()
//		...
//	}
//
// strace counts the calls of each kind and thread. So a process has a thread that
// opens files, and one for each committer and for what makes its checkpoints, which make
// IdleCalls calls of each kind in vain before their first one: a count up to there means
// opening, and one above it a committer or a checkpoint. The options of a Part have nothing
// counted but calls that concern it. (LD_PRELOAD, the other way, has no effect on a Go program.)
package storagetest
