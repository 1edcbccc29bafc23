// Package webhook sends a program's alerts (dispatch.Registry.AlertTo) to a URL, signed: a job
// that is dead, slots of a trigger that were missed, a handler that is stuck.
//
//	err := webhook.Register(reg, webhook.Options{
//		URL:    "https://ops.example.com/carillon",
//		Secret: os.Getenv("WEBHOOK_SECRET"), // whsec_…
//	})
//
// Each is a job of the app that it is about, at path "carillon:webhook", with retries for about
// a day: it is scheduled in the commit that makes the job dead, so no crash loses it, and may be
// delivered more than once, with the same webhook-id each time.
//
// The request is a POST of a dispatch.Alert as JSON, signed as the Standard Webhooks
// specification has it: webhook-id, webhook-timestamp (Unix seconds), and webhook-signature,
// which is "v1," and the base64 of HMAC-SHA256, with the secret, of id.timestamp.body. Verify
// checks one.
//
// Invariants:
//
//	W1  A request without a good signature is never sent: a secret that is too short or malformed
//	    is refused by Register.
//	W2  The secret and the URL's own user and password are in no error and no log line.
//	W3  Only an answer of 2xx is a delivery; 410 ends it for good, 429 and 503 with Retry-After
//	    put it off, anything else is tried again. No redirect is followed.
package webhook
