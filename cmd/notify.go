package cmd

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"
)

// tellTimeout bounds how long a server waits for its manager to take a state.
const tellTimeout = time.Second

// notifier tells the service manager how the server is, by systemd's protocol (sd_notify): a
// datagram to the socket that the environment names.
type notifier struct {
	socket string // "": there is no manager that listens
	logger *slog.Logger
}

// tell sends a state. That it cannot is no reason to end.
func (n notifier) tell(state string) {
	if n.socket == "" {
		return
	}
	conn, err := net.Dial("unixgram", n.socket)
	if err == nil {
		_ = conn.SetWriteDeadline(time.Now().Add(tellTimeout)) // the manager may not read
		_, err = conn.Write([]byte(state))
		_ = conn.Close()
	}
	if err != nil {
		n.logger.Warn("the service manager is not told", "state", state, "err", err)
	}
}

// watchdog is how often the manager wants to hear of the server at least; 0 is never.
func (p *program) watchdog() (time.Duration, error) {
	text, pid := p.Getenv("WATCHDOG_USEC"), p.Getenv("WATCHDOG_PID")
	if text == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0, nil
	}
	usec, err := strconv.ParseInt(text, 10, 64)
	if err != nil || usec < 1 || usec > int64(24*time.Hour/time.Microsecond) {
		return 0, fmt.Errorf("$WATCHDOG_USEC is %.40q, want microseconds up to a day", text)
	}
	return time.Duration(usec) * time.Microsecond, nil
}

// keepAlive calls alive, twice in each span, until ctx ends, but only when ping has returned nil by
// then: a server whose engine does not answer is started again by the manager.
func keepAlive(ctx context.Context, span time.Duration, ping func(context.Context) error, alive func(), logger *slog.Logger) {
	beat := time.NewTicker(span / 2)
	defer beat.Stop()
	for {
		limit, cancel := context.WithTimeout(ctx, span/2)
		err := ping(limit)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			alive()
		default:
			logger.Error("the engine does not answer", "err", err)
		}
		select {
		case <-beat.C:
		case <-ctx.Done():
			return
		}
	}
}
