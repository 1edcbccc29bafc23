package storage

import (
	"fmt"
	"time"

	"carillon/proto"
	"carillon/storage/internal/kv"
)

// encoded is what a generated encoder has returned: of a record in memory it
// cannot fail.
func encoded(data []byte, err error) []byte {
	if err != nil {
		panic("storage: encode a record: " + err.Error())
	}
	return data
}

// unmarshal decodes a record and refuses a version it does not know. version
// points at the record's version field.
func unmarshal(data []byte, m interface{ UnmarshalVT([]byte) error }, version *uint32) error {
	return readable(data, m.UnmarshalVT(data), version)
}

// readable says why a record cannot be used whose decoder has returned err.
func readable(data []byte, err error, version *uint32) error {
	switch {
	case data == nil:
		return fmt.Errorf("%w: record is missing", ErrCorrupt)
	case err != nil && kv.DamageOf(data) != nil:
		return damageOf(data)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	case *version != recordVersion:
		return fmt.Errorf("%w: record version %d, this reader knows %d", ErrFormat, *version, recordVersion)
	}
	return nil
}

// timeOf is the instant of a stored number of milliseconds; 0 is no instant.
func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return shown(ms)
}

// shown is the instant as people and JSON can read it: within the years 1 to 9999,
// whatever an earlier release or a wrong clock has written down.
func shown(ms int64) time.Time {
	const first = -62_135_596_800_000 // the year 1
	return time.UnixMilli(min(max(ms, first), maxInstantMs)).UTC()
}

// msOf is timeOf backwards. What is finer than a millisecond is cut off.
func msOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// encodeJob makes the record of a job that lies at job.place.
func encodeJob(job *Job) []byte {
	p := proto.Job{
		Version:       recordVersion,
		Function:      job.Function,
		Args:          job.Args,
		EnqueuedAtMs:  msOf(job.EnqueuedAt),
		State:         storedState(job.State),
		Attempts:      uint32(job.Attempts),
		Failures:      uint32(job.Failures),
		Interruptions: uint32(job.Interruptions),
		AtMostOnce:    job.AtMostOnce,
		TimeoutMs:     job.Timeout.Milliseconds(),
		Claims:        job.Claims,
		Tags:          job.Tags,
		Trigger:       job.Trigger,
		SlotMs:        msOf(job.Slot),
		CaughtUp:      job.CaughtUp,
		Era:           uint64(job.Era),
		AskedEra:      uint64(job.AskedEra),
		StartedAtMs:   msOf(job.StartedAt),
		CompletedAtMs: msOf(job.CompletedAt),
		HeldAtMs:      msOf(job.HeldAt),
		NotAfterMs:    msOf(job.NotAfter),
		Postponed:     uint32(job.Postponed),
		PutOffSinceMs: msOf(job.PutOffSince),
		Forgotten:     uint32(job.Forgotten),
		Unique:        encodeUnique(job.Unique),
		Revision:      uint32(job.Revision),
		Parent:        encodeParent(job.Parent),
		Once:          job.Once,
		Backfill:      job.Backfill,
		KeepResult:    job.KeepResult,
		Ends:          uint32(job.Ends),
		Outcome:       encodeOutcome(job.Outcome),
		Group:         uint64(job.Group),
		GroupOutcome:  encodeGroupOutcome(job.GroupOutcome),
		Operation:     uint64(job.Operation),
		Instance:      job.Instance,
		ShardKey:      job.ShardKey,
		Outside:       encodeOutside(job.outside),
		Remote:        job.Remote,
	}
	if t := job.Trace; t != nil {
		p.Trace, p.TraceState = t.encode(), t.State
	}
	if job.Then != nil {
		p.Then = encodeJob(job.Then)
	}
	if p.Result = job.Result; job.NotKept == nil && job.ResultSize > shortResult {
		p.Result, p.ResultBytes = nil, int64(job.ResultSize)
	}
	p.Pool, p.PoolKey, p.Ordered = job.Pool, job.PoolKey, job.Ordered
	if job.Priority != DefaultPriority {
		p.Priority = uint32(job.Priority)
	}
	if job.State == StateHeld || job.State == StateExpired {
		p.Reason = job.Reason
	}
	if scheduled := msOf(job.ScheduledFor); !job.State.keyedByDue() || scheduled != job.place.ms {
		p.ScheduledForMs = scheduled
	}
	if !job.State.keyedByDue() {
		p.DueMs = msOf(job.Due)
	}
	if home, minted := job.ID.home(); !minted || home != (place{msOf(job.ScheduledFor), job.place.seq}) {
		p.Id = string(job.ID)
	}
	p.Retry = encodeRetry(job.Retry)
	if e := job.Error; e != nil {
		p.Error = &proto.JobError{Code: e.Code, Message: e.Message}
	}
	p.NotKept = encodeNotKept(job.NotKept)
	for i := range job.History {
		a := &job.History[i]
		p.History = append(p.History, &proto.Attempt{
			Number:      uint32(a.Number),
			DueMs:       msOf(a.Due),
			StartedAtMs: msOf(a.StartedAt),
			EndedAtMs:   msOf(a.EndedAt),
			Error:       &proto.JobError{Code: a.Error.Code, Message: a.Error.Message},
			Interrupted: a.Interrupted,
			Postponed:   a.Postponed,
			Unsure:      a.Unsure,
		})
	}
	return encoded(p.MarshalVT())
}

// decodeJob reads the record of a job found at p.
func decodeJob(p place, data []byte) (Job, error) {
	var r proto.Job
	// Not by unmarshal, through which the record would be on the heap.
	if err := readable(data, r.UnmarshalVT(data), &r.Version); err != nil {
		return Job{}, err
	}
	job := Job{
		ID:            JobID(r.Id),
		Function:      r.Function,
		Args:          r.Args,
		State:         stateOf(r.State),
		EnqueuedAt:    timeOf(r.EnqueuedAtMs),
		StartedAt:     timeOf(r.StartedAtMs),
		CompletedAt:   timeOf(r.CompletedAtMs),
		Attempts:      int(r.Attempts),
		Failures:      int(r.Failures),
		Interruptions: int(r.Interruptions),
		AtMostOnce:    r.AtMostOnce,
		Timeout:       time.Duration(r.TimeoutMs) * time.Millisecond,
		Claims:        r.Claims,
		Tags:          r.Tags,
		Trigger:       r.Trigger,
		Slot:          timeOf(r.SlotMs),
		CaughtUp:      r.CaughtUp,
		Era:           EraID(r.Era),
		AskedEra:      EraID(r.AskedEra),
		Reason:        r.Reason,
		HeldAt:        timeOf(r.HeldAtMs),
		NotAfter:      timeOf(r.NotAfterMs),
		Postponed:     int(r.Postponed),
		PutOffSince:   timeOf(r.PutOffSinceMs),
		Forgotten:     int(r.Forgotten),
		Pool:          r.Pool,
		PoolKey:       r.PoolKey,
		Ordered:       r.Ordered,
		Priority:      DefaultPriority,
		Unique:        decodeUnique(r.Unique),
		Revision:      int(r.Revision),
		Once:          r.Once,
		Backfill:      r.Backfill,
		KeepResult:    r.KeepResult,
		Instance:      r.Instance,
		ShardKey:      r.ShardKey,
		Ends:          int(r.Ends),
		Result:        r.Result,
		ResultSize:    len(r.Result) + int(r.ResultBytes),
		Group:         GroupID(r.Group),
		GroupOutcome:  decodeGroupOutcome(r.GroupOutcome),
		Operation:     OperationID(r.Operation),
		outside:       decodeOutside(r.Outside),
		Remote:        r.Remote,
		Trace:         decodeTrace(r.Trace, r.TraceState),
		place:         p,
	}
	if r.Priority != 0 {
		job.Priority = int(r.Priority)
	}
	due, scheduled := p.ms, r.ScheduledForMs
	if !job.State.keyedByDue() {
		due = r.DueMs
	} else if scheduled == 0 {
		scheduled = p.ms
	}
	job.Due, job.ScheduledFor = shown(due), shown(scheduled)
	if job.ID == "" {
		job.ID = mintJobID(place{scheduled, p.seq})
	}
	var err error
	if job.Parent, err = decodeParent(r.Parent); err != nil {
		return Job{}, err
	}
	job.Retry = decodeRetry(r.Retry)
	if r.Error != nil {
		job.Error = &JobError{Code: r.Error.Code, Message: r.Error.Message}
	}
	if job.NotKept = decodeNotKept(r.NotKept); job.NotKept != nil {
		job.ResultSize = job.NotKept.Bytes
	}
	if len(r.Then) > 0 {
		then, err := decodeJob(place{}, r.Then)
		if err != nil {
			return Job{}, fmt.Errorf("follow-up: %w", err)
		}
		if err := checkStored(&then); err != nil { // the job could not end
			return Job{}, fmt.Errorf("%w: follow-up: %w", ErrCorrupt, err)
		}
		job.Then = &then
	}
	job.Outcome = decodeOutcome(r.Outcome, job.Parent)
	for _, a := range r.History {
		job.History = append(job.History, Attempt{
			Number:      int(a.Number),
			Due:         timeOf(a.DueMs),
			StartedAt:   timeOf(a.StartedAtMs),
			EndedAt:     timeOf(a.EndedAtMs),
			Error:       JobError{Code: a.Error.GetCode(), Message: a.Error.GetMessage()},
			Interrupted: a.Interrupted,
			Postponed:   a.Postponed,
			Unsure:      a.Unsure,
		})
	}
	return job, nil
}

func encodeNotKept(n *NotKept) *proto.NotKept {
	if n == nil {
		return nil
	}
	return &proto.NotKept{Bytes: int64(n.Bytes), Reason: n.Reason}
}

func decodeNotKept(n *proto.NotKept) *NotKept {
	if n == nil {
		return nil
	}
	return &NotKept{Bytes: int(n.Bytes), Reason: n.Reason}
}

func encodeCheckpoint(job *Job, value []byte) []byte {
	p := proto.Checkpoint{Version: recordVersion, Revision: uint32(job.Revision), Value: value}
	return encoded(p.MarshalVT())
}

func decodeCheckpoint(data []byte) (value []byte, revision int, err error) {
	var p proto.Checkpoint
	if err := unmarshal(data, &p, &p.Version); err != nil {
		return nil, 0, fmt.Errorf("checkpoint: %w", err)
	}
	return p.Value, int(p.Revision), nil
}

// encodeProgress is that of the attempt that the job, as it was before, is claimed for.
func encodeProgress(job *Job, p Progress) []byte {
	r := proto.Progress{
		Version: recordVersion, Revision: uint32(job.Revision), Attempt: uint32(job.Attempts + 1),
		AtMs: msOf(p.At), Done: p.Done, Total: p.Total, Note: p.Note,
	}
	return encoded(r.MarshalVT())
}

func decodeProgress(data []byte) (p Progress, revision, attempt int, err error) {
	var r proto.Progress
	if err := unmarshal(data, &r, &r.Version); err != nil {
		return Progress{}, 0, 0, fmt.Errorf("progress: %w", err)
	}
	return Progress{Done: r.Done, Total: r.Total, Note: r.Note, At: timeOf(r.AtMs)}, int(r.Revision), int(r.Attempt), nil
}

func encodeOutcome(o *Outcome) *proto.Outcome {
	if o == nil {
		return nil
	}
	p := &proto.Outcome{
		Function: o.Function, State: storedState(o.State), Ordinal: uint32(o.Ordinal), Result: o.Result,
		NotKept: encodeNotKept(o.NotKept), Reason: o.Reason,
	}
	if e := o.Error; e != nil {
		p.Error = &proto.JobError{Code: e.Code, Message: e.Message}
	}
	return p
}

func decodeOutcome(p *proto.Outcome, job JobID) *Outcome {
	if p == nil {
		return nil
	}
	o := &Outcome{
		Job: job, Function: p.Function, State: stateOf(p.State), Ordinal: int(p.Ordinal), Result: p.Result,
		NotKept: decodeNotKept(p.NotKept), Reason: p.Reason,
	}
	if e := p.Error; e != nil {
		o.Error = &JobError{Code: e.Code, Message: e.Message}
	}
	return o
}

func encodeRetry(r *Retry) *proto.Retry {
	if r == nil {
		return nil
	}
	return &proto.Retry{Limit: uint32(r.Limit), Linear: r.Linear, BaseMs: r.Base.Milliseconds(), MaxMs: r.Max.Milliseconds(), Jitter: r.Jitter}
}

func decodeRetry(r *proto.Retry) *Retry {
	if r == nil {
		return nil
	}
	return &Retry{
		Limit:  int(r.Limit),
		Linear: r.Linear,
		Base:   time.Duration(r.BaseMs) * time.Millisecond,
		Max:    time.Duration(r.MaxMs) * time.Millisecond,
		Jitter: r.Jitter,
	}
}

// storedState is the state as written. Running is never written in the job's
// record: a claim beside it says so.
func storedState(s State) proto.JobState {
	switch s {
	case StateSuccess:
		return proto.JobState_JOB_STATE_SUCCESS
	case StateFailed:
		return proto.JobState_JOB_STATE_FAILED
	case StateCanceled:
		return proto.JobState_JOB_STATE_CANCELED
	case StateHeld:
		return proto.JobState_JOB_STATE_HELD
	case StateExpired:
		return proto.JobState_JOB_STATE_EXPIRED
	default:
		return proto.JobState_JOB_STATE_PENDING
	}
}

func stateOf(s proto.JobState) State {
	switch s {
	case proto.JobState_JOB_STATE_SUCCESS:
		return StateSuccess
	case proto.JobState_JOB_STATE_FAILED:
		return StateFailed
	case proto.JobState_JOB_STATE_CANCELED:
		return StateCanceled
	case proto.JobState_JOB_STATE_HELD:
		return StateHeld
	case proto.JobState_JOB_STATE_EXPIRED:
		return StateExpired
	default:
		return StatePending
	}
}

func encodeClaim(id ClaimID, begin ClaimBegin, attempt int, at time.Time) []byte {
	p := proto.Claim{
		Version: recordVersion, Attempt: uint32(attempt), ClaimedAtMs: msOf(at),
		Incarnation: id.Incarnation, Token: id.Token, Begin: uint32(begin),
	}
	return encoded(p.MarshalVT())
}

// foreignClaim is a claim that is none of this store's. One that cannot be read stays as it is.
func foreignClaim(data []byte) []byte {
	_, begin, attempt, err := decodeClaim(data)
	if err != nil {
		return data
	}
	return encodeClaim(ClaimID{}, begin, attempt, time.Time{})
}

func decodeClaim(data []byte) (id ClaimID, begin ClaimBegin, attempt int, err error) {
	var p proto.Claim
	if err := unmarshal(data, &p, &p.Version); err != nil {
		return ClaimID{}, BeginUntold, 0, fmt.Errorf("claim: %w", err)
	}
	return ClaimID{p.Incarnation, p.Token}, ClaimBegin(p.Begin), int(p.Attempt), nil
}
