// Package remote has functions run by workers, which are programs in any language that answer HTTP:
// the caller for dispatch.Registry.Remote.
//
//	worker, err := remote.New(remote.Options{
//		URL:    "http://127.0.0.1:9000",
//		Secret: os.Getenv("WORKER_SECRET"),
//	})
//	if err != nil {
//		return err
//	}
//	reg.Remote("mail:*", worker)
//
// Each attempt is a POST of a Dispatch as JSON to URL + Path, with two signatures, both the base64url
// without padding of HMAC-SHA256 with the secret:
//
//	x-lunora-scheduler-signature  of the body
//	x-carillon-signature          of "carillon/1", app, job, attempt, timestamp and body, each on a line
//
// The second one has the headers x-carillon-attempt and x-carillon-timestamp (Unix seconds) besides;
// app and job are in the body. Verify checks both.
//
//	2xx                                  it has finished; of a workflow: it was started
//	409, x-lunora-dispatch-declined: 1,
//	    code DISPATCH_IN_PROGRESS        an earlier attempt runs: later again, and not charged
//	anything else, or no answer          a failed attempt, which is retried by the job's policy
//
// Invariants:
//
//	R1  No request is sent without both signatures.
//	R2  The address that is dialled is one that the policy allows, whatever a name resolves to: see
//	    Options. No redirect is followed, and no proxy is used.
//	R3  Nothing is sent twice for one attempt, but what the connection did not take.
//	R4  The secret, and a user or password of the URL, are in no error.
package remote
