// Package wal is the log in front of what a store keeps: records of several volumes,
// durable in the order they were appended, read back from any sequence number on.
//
// Log is the seam. File is the log of a store on its own disk. One in a database can
// stand in its place (package pglog), which several nodes reach (Shared): nothing in Log says where the records are, and each
// append and each claim says whether it is in, is not, or may be.
//
// In storage/internal/kv a commit becomes a record here, and bbolt is the sorted copy that is
// written behind it.
//
//	log, err := wal.OpenFile("data/log", wal.Options{ID: store})
//	claim, err := log.Claim(ctx, volume) // what others append there is refused from now on
//	for rec, err := range log.Read(ctx, volume, applied+1) {
//		apply(rec) // takeover records, which have no data, too
//	}
//	errs := log.Append(wal.Record{Volume: volume, Epoch: claim.Epoch, Seq: claim.Last + 1, Data: data})
//	err = log.Trim(claim, claim.Last+1) // once it is durable elsewhere
//
// # A volume
//
//	                Claim                     Append: nil
//	            ┌───────────┐               ┌────────────┐
//	┌───────────┴┐          ▼               │            ▼
//	│ unclaimed  │     ┌─────────┐     ┌────┴────┐
//	│ (opened,   │     │ claimed │◄────┤  next   │
//	│  new)      │     │ epoch e │     │ record  │
//	└────────────┘     └─┬──┬──┬─┘     └─────────┘
//	  ▲                  │  │  │ Claim: epoch e+1; e is fenced
//	  │  ErrUnknown      │  │  └────────► claimed
//	  └──────────────────┘  └──► Trim
//
// # The file
//
//	segment  │ batch 17, directory │ batch 18 │ batch 19 │ zeros, or batches of an earlier use │
//	batch    │ header │ entries │ data of the records │ zeros up to the block │
//
// A batch is one write and one fdatasync: all that was asked for while the batch before
// was on its way. Batches have numbers without a gap over all segments, and each says up
// to which one all were durable when it was written. A segment begins with a directory of
// all volumes, so that nothing is needed of those before it. It is made of holes, is filled
// with zeros ahead of its batches, 256 KiB at a time, and is written over when what it held
// was trimmed: a sync of blocks that were written before needs no journal of the file
// system, and a batch for which the disk has no room is refused, and not unknown.
//
// A record for which a segment is too small is a batch by itself, in a segment of its own
// size, which is removed when it was trimmed.
//
// A batch is no part of the log if it cannot be read and no later one says that it was
// durable, or if a segment of a later run begins with its number: that is how a batch
// whose write or sync has failed is given up.
//
// # Invariants
//
//	L1  A record is answered with nil when its batch was synced, and is read from then on
//	    until it is trimmed.
//	L2  A record that is refused is never read. One of unknown outcome is decided by the
//	    next claim of its volume, or when the log is opened, and stays so.
//	L3  An append is taken under the claim in force only, as the next of its volume. Epochs
//	    go up.
//	L4  Nothing is read before it is durable; so what an earlier process has left is
//	    written and synced again when the log is opened.
//	L5  A segment is trusted no more once a write or a sync in it has failed. The batch goes
//	    to none, those after it to another segment.
//	L6  A block is written once in a use of its segment, but for L4 and for what a crash
//	    has torn: a write cannot harm what was acknowledged.
//	L7  A segment is written over, or removed, when a batch that says that it is trimmed
//	    is durable.
//	L8  Damage is told from the end of the log, and is an error of the volumes that it
//	    concerns, with file and offset. Which those are is known if the entries of the
//	    batch are; else they are all volumes but those that are seen to miss nothing. A
//	    volume in doubt stays so, whatever becomes of the segment.
//	L9  The log has its bounds: MaxLength, four segments for claims, so that a full log
//	    can be trimmed, one on its way, Spare, and Keep. A new log takes one step of filling.
//	    What was moved apart is counted by itself: a file has one volume's records as they
//	    were then.
//	L10 A batch is written into blocks that its file has durably. When those cannot be had, the
//	    batch is refused, and the next one goes to a segment that has them, or to a new one.
//	L11 Before each batch the file that it goes to has its name, and its size, still. Once one
//	    had not, nothing is appended until the log is opened anew (ErrReplaced).
//	L12 Records that were moved apart are durable, with the name of their file, before
//	    the segments that they were in are free. If the file is not there or damaged when
//	    the log is opened, that is damage of the volume.
//	L13 What is kept refuses nothing: it counts apart from MaxLength, makes way on a full
//	    disk, and damage in it is no volume's, but ends what is kept. What is kept
//	    is without a gap up to what is needed.
//
// What was trimmed is read for as long as its segment is kept (Options.Keep): by a backup that
// goes on from an earlier one, or for a copy that is older than the log.
//
// A volume that is not trimmed holds back the segments with its records, and all behind them.
// File.MoveApart copies these, damage included, to a file of their own. File.Salvage gives up
// what a damaged volume has in the log, so that it can be claimed and trimmed again.
//
// A block that cannot be read is damage like any other. At the end of the log it may hold
// what was durable last: then the log is not opened.
//
// What cannot be told from a torn tail: damage of the very last batch of a log that was
// not closed, and the loss of the newest segment. A copy that has applied more than the
// log has tells.
//
// In memory the log has 40 bytes for each record that was not trimmed, or is kept.
package wal
