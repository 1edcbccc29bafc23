package cmd

import "io"

// standardOutput remembers that something could not be written, so that no verb has to look:
// a token that was printed to a full disk is lost, and the line must not have succeeded.
// A verb writes to it from one goroutine at a time.
type standardOutput struct {
	io.Writer
	failed error // of the first write that failed
}

func (o *standardOutput) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if err != nil && o.failed == nil {
		o.failed = err
	}
	return n, err
}
