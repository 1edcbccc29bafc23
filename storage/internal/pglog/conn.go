package pglog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"carillon/storage/internal/wal"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// leastVersion is the oldest PostgreSQL whose promises were read.
const leastVersion = 130000

// ErrUnfit says that a server cannot keep what a log promises.
var ErrUnfit = errors.New("PostgreSQL server is not fit for a log")

// target is where a log is.
type target struct {
	config *pgx.ConnConfig
	schema string
	unsafe bool
}

// parse reads an address.
func parse(address string) (target, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return target{}, fmt.Errorf("address of PostgreSQL: %w", err)
	}
	t := target{config: config, schema: "carillon"}
	params := config.RuntimeParams
	if schema, ok := params["schema"]; ok {
		t.schema = schema
	}
	if unsafe, ok := params["unsafe"]; ok {
		if t.unsafe, err = strconv.ParseBool(unsafe); err != nil {
			return target{}, fmt.Errorf("address of PostgreSQL: unsafe=%s: %w", unsafe, err)
		}
	}
	delete(params, "schema")
	delete(params, "unsafe")
	if t.schema == "" || len(t.schema) > 63 {
		return target{}, fmt.Errorf("address of PostgreSQL: a schema has 1 to 63 bytes, not %d", len(t.schema))
	}
	params["search_path"] = pgx.Identifier{t.schema}.Sanitize()
	params["application_name"] = "carillon"
	for _, timeout := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		params[timeout] = "0" // what is given up is decided here
	}
	// A plan of a statement is kept while the log grows. One that was made when it was short
	// would read all of it for each append.
	for _, plan := range []string{"enable_seqscan", "enable_hashjoin", "enable_mergejoin"} {
		params[plan] = "off"
	}
	// What is off makes a plan seem so dear that PostgreSQL compiles it: a quarter of a second for two rows of nodes.
	params["jit"] = "off"
	if config.ValidateConnect == nil { // of several hosts, the one that can be written to
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
		if t.unsafe {
			config.ValidateConnect = nil
		}
	}
	return t, nil
}

// conn is a connection to the server.
type conn struct {
	*pgx.Conn
	server string          // as it runs now; "": not known
	of     int             // its timeline; 0: not known
	warned bool            // by the server, since the latest statement began
	known  map[string]bool // statements that it was told
	limit  *time.Timer     // of a call of timed
}

// errNoDial keeps pgx from asking a server to cancel: where an append waits for a standby,
// canceled means committed, and not replicated.
var errNoDial = errors.New("nothing is canceled")

// connect makes a connection and checks the server, within the limit for each host. It begins with the
// host of that number.
func (l *Log) connect(ctx context.Context, limit time.Duration, first int) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, limit*time.Duration(1+len(l.target.config.Fallbacks)))
	defer cancel()
	defer context.AfterFunc(l.ending, cancel)()
	config, c := l.target.config.Copy(), &conn{known: map[string]bool{}}
	begin(config, first)
	var connected atomic.Bool
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if connected.Load() {
			return nil, errNoDial
		}
		return dial(ctx, network, addr)
	}
	config.ConnectTimeout = limit
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		c.warned = c.warned || n.SeverityUnlocalized == "WARNING"
	}
	if !l.target.unsafe {
		validate := config.ValidateConnect
		config.ValidateConnect = func(ctx context.Context, p *pgconn.PgConn) error { // else the next host
			if err := validate(ctx, p); err != nil {
				return err
			}
			return l.check(ctx, p, c)
		}
	}
	var err error
	if c.Conn, err = pgx.ConnectConfig(ctx, config); err != nil {
		return nil, pooled(err)
	}
	connected.Store(true)
	return c, nil
}

// pooled gives the reason where a pooler refuses the settings of a session: PostgreSQL takes them.
func pooled(err error) error {
	var said *pgconn.PgError
	if errors.As(err, &said) && said.Code == pgerrProtocol && strings.Contains(said.Message, "startup parameter") {
		return fmt.Errorf("%w: a pooler such as PgBouncer stands between, and takes no settings of a session; connect to PostgreSQL itself: %w", ErrUnfit, err)
	}
	return err
}

// pgerrProtocol is protocol_violation.
const pgerrProtocol = "08P01"

// server is what a server says of itself.
type server struct {
	commit, fsync string
	recovery      bool
	version       int
	process       int   // that answers
	told          int   // that was said to answer
	started       int64 // on its clock
	history
}

// check refuses a server that would forget what it has acknowledged, or that is not the one
// which speaks.
func (l *Log) check(ctx context.Context, p *pgconn.PgConn, c *conn) error {
	results, err := p.Exec(ctx, `SELECT current_setting('synchronous_commit'), current_setting('fsync'), pg_is_in_recovery()::int,
		current_setting('server_version_num'), pg_backend_pid(),
		CASE WHEN pg_is_in_recovery() THEN 0 ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END,
		(extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint, (SELECT system_identifier FROM pg_control_system())`).ReadAll()
	if err != nil {
		return err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 {
		return fmt.Errorf("%w: it does not say what it is", ErrUnfit)
	}
	s, recovery, told := server{told: int(p.PID())}, 0, make([]any, 0, 8)
	for _, text := range results[0].Rows[0] {
		told = append(told, string(text))
	}
	if _, err := fmt.Sscan(fmt.Sprintln(told...), &s.commit, &s.fsync, &recovery, &s.version, &s.process, &s.timeline, &s.started, &s.system); err != nil {
		return fmt.Errorf("%w: it says of itself %q", ErrUnfit, told)
	}
	s.recovery = recovery != 0
	l.seeing.Lock()
	defer l.seeing.Unlock()
	if l.shards == 0 && s.system != l.seen.system {
		l.seen = history{} // the node was given another log
	}
	if why := s.unfit(l.seen); why != "" {
		return fmt.Errorf("%w: %s (with unsafe=1 in its address it is taken as it is)", ErrUnfit, why)
	}
	c.server, c.of = fmt.Sprintf("%d/%d", s.timeline, s.started), s.timeline
	if s.history == l.seen {
		return nil
	}
	if err := s.remember(l.opts.TimelineFile); err != nil { // before anything is built upon it
		return err
	}
	l.seen = s.history
	l.latest.Store(int64(s.timeline))
	return nil
}

// useless says that what is sent over the connection would have no answer, or one of an old primary, which may go on
// for those who are connected to it.
func (l *Log) useless(c *conn) bool { return c.ended() || c.of > 0 && int64(c.of) < l.latest.Load() }

// unfit says why the server is of no use behind what was seen, "" if it is.
func (s server) unfit(seen history) string {
	switch {
	case s.version < leastVersion:
		return fmt.Sprintf("its version is %d, the least is %d", s.version, leastVersion)
	case s.recovery:
		return "it is in recovery, a standby"
	case s.fsync != "on":
		return fmt.Sprintf("fsync is %s: what it acknowledges may be lost with its power", s.fsync)
	case s.commit != "on" && s.commit != "remote_apply":
		return fmt.Sprintf("synchronous_commit is %s: what it acknowledges may be lost", s.commit)
	case s.process != s.told:
		return fmt.Sprintf("a pooler such as PgBouncer stands between (it gives number %d to process %d): in transaction mode it forgets prepared statements, and settings of a session; connect to PostgreSQL itself", s.told, s.process)
	}
	return seen.ahead(s.history)
}

// close closes the connection. What a statement under way does there is not known.
func (c *conn) close() {
	p := c.PgConn()
	if !p.IsClosed() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = c.Close(ctx)
	}
	_ = p.Conn().Close()
	<-p.CleanupDone()
}

// ended says that the server, or what is between, has closed the connection while it had
// nothing to do: what is sent over it would have no answer. A server that speaks unasked says why
// it ends.
func (c *conn) ended() bool { return c.PgConn().IsClosed() || readable(c.PgConn().Conn()) }

// timed calls fn, and closes the connection if that takes longer than the limit, if there is
// one, or than ctx lives. fn may begin the limit anew.
func (c *conn) timed(ctx context.Context, limit time.Duration, fn func() error) error {
	c.warned = false
	hangUp := func() { _ = c.PgConn().Conn().Close() }
	if limit > 0 {
		c.limit = time.AfterFunc(limit, hangUp)
		defer c.limit.Stop()
	}
	defer context.AfterFunc(ctx, hangUp)()
	return fn()
}

// maxBusy is how many connections are in use at a time, besides those for appends, and what must
// not wait behind others: PostgreSQL has 100 for all nodes if it is not told otherwise.
const maxBusy = 12

// take returns a connection for anything but appends. It waits for one while maxBusy are in use,
// unless the server is away.
func (l *Log) take(ctx context.Context) (*conn, error) {
	select {
	case l.places <- struct{}{}:
	default:
		if err := l.goneAway(); err != nil {
			return nil, err
		}
		select {
		case l.places <- struct{}{}:
		case <-ctx.Done():
			return nil, refused(ctx.Err())
		case <-l.ending.Done():
			return nil, wal.ErrClosed
		}
	}
	c, err := l.pick(ctx)
	if err != nil {
		<-l.places
	}
	return c, err
}

// pick returns a connection, at once if one is there that is not in use.
func (l *Log) pick(ctx context.Context) (*conn, error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil, wal.ErrClosed
	}
	var c *conn
	if n := len(l.idle); n > 0 {
		c, l.idle = l.idle[n-1], l.idle[:n-1]
	}
	l.mu.Unlock()
	switch {
	case c == nil:
		return l.reach(ctx)
	case l.useless(c):
		c.close()
		return l.pick(ctx)
	}
	return c, nil
}

// prepare has the server know a statement.
func (c *conn) prepare(name string) error {
	if c.known[name] {
		return nil
	}
	_, err := c.Prepare(context.Background(), name, statements[name])
	c.known[name] = err == nil
	return err
}

// query runs a statement. The caller closes the rows.
func (c *conn) query(name string, args ...any) (pgx.Rows, error) {
	if err := c.prepare(name); err != nil {
		return nil, refused(err) // it was not run
	}
	return c.Query(context.Background(), name, args...)
}

// give takes a connection back that take has returned.
func (l *Log) give(c *conn, err error) {
	l.keep(c, err)
	<-l.places
}

// keep has a connection wait for use. One whose statement has failed is closed.
func (l *Log) keep(c *conn, err error) {
	l.mu.Lock()
	keep := err == nil && !l.closed && len(l.idle) < maxBusy && !c.PgConn().IsClosed()
	if keep {
		l.idle = append(l.idle, c)
	}
	l.mu.Unlock()
	if !keep {
		c.close()
	}
}

// theServer stands, among the arguments of a statement, for the server that runs it.
const theServer = argument("the server")

type argument string

// ask runs a statement that yields at most one row, on a connection of its own. ok says
// whether there was one. An error is ErrRefused or ErrUnknown.
func (l *Log) ask(ctx context.Context, name string, args []any, into ...any) (ok bool, err error) {
	take, give := l.take, l.give
	if name == "beat" || name == "leave" || name == "release" { // other nodes wait for them, or must not
		take, give = l.pick, l.keep
	}
	c, err := take(ctx)
	if err != nil {
		return false, refused(err)
	}
	for i, arg := range args {
		if arg == theServer {
			args[i] = c.server
		}
	}
	err = c.timed(ctx, l.opts.AnswerTimeout, func() error {
		rows, err := c.query(name, args...)
		if err == nil {
			ok, err = rowOf(rows, into...)
		}
		return err
	})
	if c.warned && err == nil {
		err = errWarned
	}
	give(c, err)
	return ok, outcome(err)
}

// errWarned is the answer of a server that has not waited for its standby.
var errWarned = errors.New("the server has answered with a warning")

// refused is an error before which nothing was sent.
func refused(err error) error {
	if err == nil || errors.Is(err, wal.ErrRefused) {
		return err
	}
	return fmt.Errorf("%w: %w", wal.ErrRefused, err)
}

// outcome tells of an error in a statement whether it certainly has done nothing.
func outcome(err error) error {
	var said *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case pgconn.SafeToRetry(err), errors.Is(err, wal.ErrRefused):
		return refused(err)
	case errors.As(err, &said) && said.SeverityUnlocalized == "ERROR" && said.Code != unknownCompletion:
		return refused(err) // its transaction was rolled back
	}
	return fmt.Errorf("%w: %w", wal.ErrUnknown, err)
}

// unknownCompletion is statement_completion_unknown, of servers that are many.
const unknownCompletion = "40003"
