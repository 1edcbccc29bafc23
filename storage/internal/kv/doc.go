// Package kv is a volume: five flat key spaces, ordered by byte, with snapshots and one
// writer. What is written goes to a log first; the file is the sorted copy of it, for reads.
//
//	db, err := kv.Open(path, kv.Options{})        // the copy
//	log, err := kv.OpenLog(dir, store, kv.Options{})
//	err = db.Join(ctx, log, 0)                    // and what the log has besides
//	err = errors.Join(log.Make(), db.Claim(ctx, 16<<20))
//	err = db.Update(func(tx *kv.Txn) error { return tx.Put(kv.Data, key, value) })
//	pin, err := db.Begin()
//	defer pin.Close()
//	err = pin.Read(func(snap *kv.Snapshot) error {
//		value = bytes.Clone(snap.Get(kv.Data, key)) // the bytes are the volume's
//		return nil
//	})
//
// A log that several nodes reach (wal.Shared) has a checkpoint of each volume, a shard. A node
// makes its copies of that, follows, and may become the owner:
//
//	log := kv.Over(shared, kv.Options{})
//	db, rebuilt, err := kv.OpenCopy(ctx, path, log, shard, meta, kv.Options{})
//	err = db.Follow(ctx)             // as a standby, again and again
//	err = db.Claim(ctx, 16<<20)      // wal.ErrOwned: go on following
//	err = db.Update(…)               // and the copy is folded into the log's checkpoint
//
// # The way of a change
//
//	Update ──► record ──► log, one sync for all volumes ──► shown ──► answered
//	                                                          │
//	             memory: the latest layer ◄───────────────────┘
//	                         │ large, or its records are, or old
//	                         ▼
//	                     frozen layer ──► the copy, one transaction ──► the log forgets
//
// Moment pins all volumes of a store at once, for backups; Log.Since reads what came between
// two of its Places; a Restored is a copy that is made of such rows and records, and Rewrite
// makes one of another. A record that is not small lies compressed in the log (pack.go).
//
// # A DB's way
//
//	 Open          Join           Claim
//	──────► copy ───────► shown ─────────► written ──── Close ────► closed, the copy has all
//	                                          │
//	                                          │ unknown outcome; a checkpoint that met
//	                                          │ damage, or left the copy unsure
//	                                          ▼
//	                                        failed ── Abandon, and Open anew
//
// # Invariants
//
//	V1  After Update returned nil its writes are shown, and survive a power cut (unless NoSync).
//	V2  What is shown is durable: no reader sees what a power cut takes back.
//	V3  An Update that failed has changed nothing, unless its outcome is unknown: then nothing
//	    is written before the DB was opened anew and claimed, which decides it for good.
//	V4  A Snapshot is the volume at one moment, however long it is read.
//	V5  The log is trimmed of a record when the copy has it durably, but for the last of them. So
//	    a volume that is quiet is made to go on when it holds a long log back (Log.Holders),
//	    and the records of one that is lost are moved out of it (Log.MoveApart).
//	V6  A write that a damaged page of the copy is in the way of is refused before it is
//	    durable. Damage that is met later, by a checkpoint, loses the volume, and no record.
//	V7  A log and a copy that are not of one moment of one store are refused: each record
//	    bears a checksum of all before it, and the copy that of the last one it has.
//	V8  Layers have their bounds in memory, and so have the records behind them in the log: an
//	    Update waits for a checkpoint, and is refused while checkpoints fail (ErrNoRoom). A log
//	    that is full takes claims, and what can be copied makes room in it, before a claim too.
//	V9  A change is in the copy maxAge after it was made, if the disk keeps up, and when Close
//	    returns.
//	V10 Nothing is in the log before the copy is of a format whose readers know of the log.
//	V11 A checkpoint that failed is tried again, after 100 ms to 30 s; what it was to copy is shown
//	    by the frozen layer until then. The copy stays open if it still shows the commit before:
//	    a full disk, and a sync of pages that failed, leave nothing that it refers to. If it may
//	    show what is not durable (boltfile.ErrUnsure) or is damaged the DB has failed, and is
//	    opened anew (DB.Failed): by an owner, and by a standby, too.
//
// Of a shared log, in the place of V5 and the last sentence of V3:
//
//	V12 The copy says of which store, shard and record it is, with the claim and the checksum of
//	    that record, and is used if the log has it, else made anew, under another name until
//	    it is whole. Once a page of it is found damaged the DB has failed, and Close throws
//	    the copy away. Follow and Claim see that the log has the record which is shown last,
//	    too: what is shown and lost by the log (wal.ErrTailLost) is not built upon. The copy that is
//	    opened next says so (DB.TailLost), also where another node's claim has come between.
//	V13 An append of unknown outcome is found out before Update returns: the shard is claimed
//	    again, and the log read. The DB stays open, and is read, meanwhile. It remains unknown
//	    where another node owns the shard and has had the log forget the record.
//	V14 What a checkpoint has written to the copy is folded into the log's checkpoint, behind
//	    the commits, a few shards at a time, each by one fold. One that failed is tried again,
//	    with what has come since. The log keeps what was folded in the last minute, up to 16
//	    MiB of a shard, so that a copy which is somewhat behind goes on. What an earlier owner left unfolded is read
//	    of the log.
//	V15 An Update waits while the records that are not folded take 64 MiB, and is refused while
//	    folds fail.
package kv
