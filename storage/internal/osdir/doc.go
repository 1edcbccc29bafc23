// Package osdir is what is below every file of a store: directories whose names are durable,
// locks that end with their process, and syncs, as each system has them.
//
//	err := osdir.Make(dir)
//	release, err := osdir.Lock(dir, time.Second)
//	defer release()
//	err = os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "file"))
//	err = osdir.Sync(dir)
//
// Invariants:
//
//	O1  What Make has made, and a name that was there before Sync, survives a power cut.
//	O2  A lock has one holder, in this process and all others, or holders that share it.
//	    Closing its file gives it back, and so does the death of the process.
//	O3  Data that was written before Datasync, into blocks that the file has, survives a
//	    power cut.
package osdir
