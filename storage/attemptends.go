package storage

// AttemptEnds is how many attempts have ended how.
type AttemptEnds struct {
	Success     uint32
	Retried     uint32 // have failed, and are tried again
	Dead        uint32 // have failed, and are not
	Postponed   uint32 // put off by their handlers
	Interrupted uint32 // cut off by a crash, a shutdown or a volume's failure, and begun again
	Held        uint32 // this program could not run them
	Canceled    uint32
}

// count counts the end of an attempt that has left its job in the state.
func (n *AttemptEnds) count(left State, end *End) {
	switch {
	case left == StateSuccess:
		n.Success++
	case left == StateFailed:
		n.Dead++
	case left == StateHeld:
		n.Held++
	case left == StateCanceled:
		n.Canceled++
	case end.Outside: // it goes on
	case end.Interrupted:
		n.Interrupted++
	case end.Postponed:
		n.Postponed++
	default:
		n.Retried++
	}
}

// Ends is how many attempts the transaction has ended (EndAttempt).
func (tx *Tx) Ends() AttemptEnds { return tx.ends }
