package pgtest

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	bin := mustBinaries(tb)
	standby := &Server{Settings: s.Settings, ends: true}
	tb.Cleanup(standby.Stop)
	err := standby.place()
	if err == nil {
		err = standby.run(bin, "pg_basebackup", "-D", filepath.Join(standby.dir, "data"), "-h", s.dir, "-U", "postgres", "-R", "-c", "fast", "-X", "stream", "--no-sync")
	}
	if err == nil {
		err = standby.launch(bin)
	}
	if err != nil {
		tb.Fatal(err)
	}
	standby.once.Do(func() {})
	return standby
}

// Promote makes a primary of a standby, and waits until it is one.
func (s *Server) Promote(tb testing.TB) {
	tb.Helper()
	if err := s.run(mustBinaries(tb), "pg_ctl", "promote", "-D", filepath.Join(s.dir, "data"), "-w", "-t", "60"); err != nil {
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

// run runs a program of PostgreSQL as the user of the server.
func (s *Server) run(bin, name string, args ...string) error {
	owner, err := s.owner()
	if err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(bin, name), args...)
	cmd.Dir, cmd.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: owner}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

func (s *Server) initdb(bin string) error {
	return s.run(bin, "initdb", "-D", filepath.Join(s.dir, "data"), "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C", "--wal-segsize=1")
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
