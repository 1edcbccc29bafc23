// Package boltfile is the file under a volume: one bbolt database with five flat key
// spaces, ordered by byte, with snapshots and one writer.
//
// It is the only package that imports bbolt, and hides its traps: creation is
// safe against a crash, opening and closing never wait for ever, and damage of the
// file is an error. bbolt writes; what is read, and what a write is about to touch,
// is read by this package (page.go), which trusts no number of a page.
//
//	db, err := boltfile.Open(path, boltfile.Options{LockTimeout: time.Second})
//	err = db.Update(func(tx *boltfile.Txn) error { return tx.Put(boltfile.Data, key, value) })
//	pin, err := db.Begin()
//	defer pin.Close()
//	err = pin.Read(func(snap *boltfile.Snapshot) error {
//		value = bytes.Clone(snap.Get(boltfile.Data, key)) // the bytes are the file's
//		return nil
//	})
//
// Invariants:
//
//	K1  A file under its final name always opens: it was committed, synced and renamed before.
//	K2  After Update returned nil its writes survive a power cut (unless NoSync).
//	K3  After Update returned an error nothing was changed. One that is ErrUnsure says that the
//	    outcome is unknown until the file was opened anew; every Update is ErrUnsure then.
//	K4  bbolt shows a commit to readers before it has synced it, and after a sync that failed:
//	    what is shown while an Update is under way, or after an ErrUnsure, may not be durable.
//	K5  Nothing is written to a file before the latest commit that it shows is durable:
//	    bbolt takes the pages of the one before it for free, and they are all there is
//	    if the power fails while the latest is not on the disk. A commit that failed, with a
//	    write or a sync, and is not shown, leaves the one before, which was durable, and pages
//	    that nothing refers to; the next Update writes each that it refers to, and first the
//	    meta pages, as an opening does. So no sync that failed is trusted. One that is shown
//	    is the next opening's.
//	K6  A page that is damaged, or cannot be read, is an ErrDamaged that names it, of
//	    the call that needs it: no panic, no fault, no endless walk. A write whose pages
//	    are damaged is refused before it has changed one.
//	K7  Close returns within CloseWait, though Pins are held, unless an Update is under way.
//	K8  A value that is not what was put under its key in its space is never returned:
//	    something stands for it whose DamageOf names the key, also if a byte of the key is
//	    damaged and a Get asks for it. In Meta, which every use
//	    needs, that is the error of a Get. (In a file that was upgraded, values that were
//	    not written since have no checksum.)
//	K9  A file of the first format is read as it is, and becomes one of the second with
//	    the first Update: whole, or not at all.
package boltfile
