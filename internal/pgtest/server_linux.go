package pgtest

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"carillon/internal/pgserver"
)

// startTime bounds how long a server may take to start.
const startTime = 60 * time.Second

// Server is a PostgreSQL server, on a socket in a directory of its own. The zero value is the one of
// a test binary: it begins with the first call of Address, and ends with Stop, or with the process.
type Server struct {
	// Settings are given to it, each as name=value, on top of its defaults.
	Settings []string

	once sync.Once
	err  error
	dir  string
	port int // of the socket; of TCP on loopback too, unless it is 0
	cmd  *exec.Cmd
	ends bool // with its test
}

// Socket is what it listens on, once Address was called.
func (s *Server) Socket() string {
	return filepath.Join(s.dir, fmt.Sprintf(".s.PGSQL.%d", cmp.Or(s.port, 5432)))
}

// Address returns the address of its database. Without PostgreSQL it skips the test.
func (s *Server) Address(tb testing.TB) string {
	tb.Helper()
	bin := mustBinaries(tb)
	s.once.Do(func() { s.err = s.make(bin) })
	if s.err != nil {
		tb.Fatal(s.err)
	}
	return fmt.Sprintf("postgres://postgres@/postgres?host=%s&port=%d", s.dir, cmp.Or(s.port, 5432))
}

// New starts a server that ends with the test.
func New(tb testing.TB) *Server {
	tb.Helper()
	return start(tb, func(*Server) error { return nil })
}

// start starts a server that ends with the test; prepare is called before.
func start(tb testing.TB, prepare func(*Server) error) *Server {
	tb.Helper()
	bin := mustBinaries(tb)
	s := &Server{ends: true}
	tb.Cleanup(s.Stop)
	err := s.copyTemplate(bin)
	if err == nil {
		err = prepare(s)
	}
	if err == nil {
		err = s.launch(bin)
	}
	if err != nil {
		tb.Fatal(err)
	}
	s.once.Do(func() {})
	return s
}

// Standby starts a standby of the server, which follows it, and ends with the test.
func (s *Server) Standby(tb testing.TB) *Server {
	tb.Helper()
	standby := s.Backup(tb, "-R", "-X", "stream")
	standby.Start(tb)
	return standby
}

// Backup copies the data of the server, while it is at work, to a server that is not started, and
// ends with the test. The arguments are for pg_basebackup.
func (s *Server) Backup(tb testing.TB, args ...string) *Server {
	tb.Helper()
	bin := mustBinaries(tb)
	b := &Server{Settings: s.Settings, ends: true}
	tb.Cleanup(b.Stop)
	err := b.place()
	if err == nil {
		args = append([]string{"-D", filepath.Join(b.dir, "data"), "-h", s.dir, "-U", "postgres", "-c", "fast", "--no-sync"}, args...)
		_, err = b.run(bin, "pg_basebackup", args...)
	}
	if err != nil {
		tb.Fatal(err)
	}
	b.once.Do(func() {})
	return b
}

// Recover starts a backup as a primary of its own, with what the server that it is of has written up to the
// restore point of that name. That one has stopped.
func (s *Server) Recover(tb testing.TB, of *Server, point string) {
	tb.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, "data", "recovery.signal"), nil, 0o666); err != nil {
		tb.Fatal(err)
	}
	settings := s.Settings
	s.Settings = append(slices.Clone(settings), "restore_command=cp "+filepath.Join(of.dir, "data", "pg_wal")+"/%f %p", "recovery_target_name="+point, "recovery_target_action=promote")
	s.Start(tb)
	s.Settings = settings
	s.Await(tb, "SELECT NOT pg_is_in_recovery()")
}

// Dump writes all that a schema has into a file, as of one moment. Restore reads it on another server.
func (s *Server) Dump(tb testing.TB, schema string) (file string) {
	tb.Helper()
	file = filepath.Join(s.dir, "dump-"+schema)
	if _, err := s.run(mustBinaries(tb), "pg_dump", "-h", s.dir, "-U", "postgres", "-n", schema, "-f", file, "postgres"); err != nil {
		tb.Fatal(err)
	}
	return file
}

// Restore has the server have what another one has dumped.
func (s *Server) Restore(tb testing.TB, file string) {
	tb.Helper()
	if _, err := s.run(mustBinaries(tb), "psql", "-q", "-v", "ON_ERROR_STOP=1", "-h", s.dir, "-U", "postgres", "-f", file, "postgres"); err != nil {
		tb.Fatal(err)
	}
}

// SQL runs a statement, and returns what psql prints of its rows.
func (s *Server) SQL(tb testing.TB, statement string) string {
	tb.Helper()
	out, err := s.run(mustBinaries(tb), "psql", "-qAt", "-h", s.dir, "-U", "postgres", "-c", statement, "postgres")
	if err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// Await waits until a statement yields true.
func (s *Server) Await(tb testing.TB, statement string) {
	tb.Helper()
	for began := time.Now(); s.SQL(tb, statement) != "t"; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > startTime {
			tb.Fatal("never true: " + statement)
		}
	}
}

// Promote makes a primary of a standby, and waits until it is one.
func (s *Server) Promote(tb testing.TB) {
	tb.Helper()
	if _, err := s.run(mustBinaries(tb), "pg_ctl", "promote", "-D", filepath.Join(s.dir, "data"), "-w", "-t", "60"); err != nil {
		tb.Fatal(err)
	}
}

// StopNow has the server end at once, without a word to its clients or its files, as when it
// is killed.
func (s *Server) StopNow() {
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGCONT)
	_ = s.cmd.Process.Signal(syscall.SIGQUIT)
	_ = s.cmd.Wait() // its end is an error
}

// Start starts it again.
func (s *Server) Start(tb testing.TB) {
	tb.Helper()
	if err := s.launch(mustBinaries(tb)); err != nil {
		tb.Fatal(err)
	}
}

// Restart is StopNow and Start.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	s.StopNow()
	s.Start(tb)
}

// Freeze has none of the server's processes do anything, until Thaw.
func (s *Server) Freeze(tb testing.TB) { s.signal(tb, syscall.SIGSTOP) }

// Thaw has a frozen server go on.
func (s *Server) Thaw(tb testing.TB) { s.signal(tb, syscall.SIGCONT) }

// signal sends a signal to all processes of the server: its children lead groups of their own.
func (s *Server) signal(tb testing.TB, sig syscall.Signal) {
	tb.Helper()
	first := s.cmd.Process.Pid
	pids := []int{first}
	if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", first, first)); err == nil {
		for _, child := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(child); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && pid == first {
			tb.Fatal(err)
		}
	}
}

// Stop stops the server and removes what it has left. That of the test binary is the last.
func (s *Server) Stop() {
	if s.cmd != nil && s.cmd.Process != nil {
		s.StopNow()
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
	if !s.ends && template.dir != "" {
		_ = os.RemoveAll(template.dir)
	}
}

// mustBinaries is where PostgreSQL's programs are. Without them it skips the test.
func mustBinaries(tb testing.TB) string {
	tb.Helper()
	bin, ok := pgserver.Programs()
	if !ok {
		if os.Getenv("CARILLON_POSTGRES") == "required" {
			tb.Fatal("there is no PostgreSQL, of the Debian package postgresql, and CARILLON_POSTGRES says that it is required")
		}
		tb.Skip("there is no PostgreSQL: install the Debian package postgresql")
	}
	return bin
}

// place makes the directory.
func (s *Server) place() (err error) {
	if s.dir, err = os.MkdirTemp(within(), "pgtest"); err != nil {
		return err
	}
	_, err = s.owner()
	return err
}

// run runs a program of PostgreSQL as the user of the server, and returns what it says.
func (s *Server) run(bin, name string, args ...string) (string, error) {
	owner, err := s.owner()
	if err != nil {
		return "", err
	}
	cmd := exec.Command(filepath.Join(bin, name), args...)
	cmd.Dir, cmd.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: owner}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return string(out), nil
}

func (s *Server) initdb(bin string) error {
	_, err := s.run(bin, "initdb", "-D", filepath.Join(s.dir, "data"), "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C", "--wal-segsize=1")
	return err
}

func (s *Server) make(bin string) error {
	if err := s.copyTemplate(bin); err != nil {
		return err
	}
	return s.launch(bin)
}

// template is what all servers of the process begin as.
var template struct {
	sync.Once
	Server
	err error
}

// copyTemplate makes the data of the server.
func (s *Server) copyTemplate(bin string) error {
	t := &template
	t.Do(func() {
		if t.err = t.place(); t.err == nil {
			t.err = t.initdb(bin)
		}
	})
	if t.err != nil {
		return t.err
	}
	if err := s.place(); err != nil {
		return err
	}
	if out, err := exec.Command("cp", "-a", filepath.Join(t.dir, "data"), s.dir).CombinedOutput(); err != nil {
		return fmt.Errorf("copy of a new server: %w: %s", err, out)
	}
	return nil
}

// launch starts the server of the data that is there, and waits until it answers.
func (s *Server) launch(bin string) error {
	dir := s.dir
	owner, err := s.owner()
	if err != nil {
		return err
	}
	args := []string{"-D", filepath.Join(dir, "data")}
	listen := "listen_addresses="
	if s.port != 0 {
		listen += "127.0.0.1"
	}
	for _, set := range append([]string{listen, fmt.Sprintf("port=%d", cmp.Or(s.port, 5432)), "unix_socket_directories=" + dir, "shared_buffers=32MB", "jit=off", "autovacuum=off", "max_wal_size=1GB", "wal_keep_size=64MB", "dynamic_shared_memory_type=mmap"}, s.Settings...) {
		args = append(args, "-c", set)
	}
	said, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	defer said.Close()
	cmd := exec.Command(filepath.Join(bin, "postgres"), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner, Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd = cmd
	for began := time.Now(); time.Since(began) < startTime; time.Sleep(10 * time.Millisecond) {
		if exec.Command(filepath.Join(bin, "pg_isready"), "-q", "-h", dir, "-p", strconv.Itoa(cmp.Or(s.port, 5432))).Run() == nil {
			return nil
		}
	}
	text, _ := os.ReadFile(filepath.Join(dir, "log"))
	return fmt.Errorf("PostgreSQL does not start: %s", text)
}

// within is where the server's directory is: among temporary files, unless these are where the user whom the server runs
// as in the place of root may not go.
func within() string {
	dir := os.TempDir()
	for at := dir; os.Geteuid() == 0; at = filepath.Dir(at) {
		if info, err := os.Stat(at); err != nil || info.Mode().Perm()&0o001 == 0 {
			return "/tmp"
		}
		if at == filepath.Dir(at) {
			break
		}
	}
	return dir
}

// owner is the user that the server runs as, since it refuses to be root: the user postgres then, which
// is given the directory, and what a test has put into it. Otherwise it is nil.
func (s *Server) owner() (*syscall.Credential, error) {
	owner, err := pgserver.Owner()
	if owner == nil || err != nil {
		return nil, err
	}
	found, err := filepath.Glob(filepath.Join(s.dir, "*"))
	if err != nil {
		return nil, err
	}
	for _, path := range append(found, s.dir) {
		if err := os.Lchown(path, int(owner.Uid), int(owner.Gid)); err != nil {
			return nil, err
		}
	}
	return owner, nil
}
