package pgtest

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startTime bounds how long the server may take to start.
const startTime = 60 * time.Second

// Server is one PostgreSQL of a test binary, on a socket in a directory of its own. It begins
// with the first call of Address, and ends with Stop, or with the process.
type Server struct {
	// Settings are given to it, each as name=value, on top of its defaults.
	Settings []string

	once sync.Once
	err  error
	dir  string
	cmd  *exec.Cmd
}

// Socket is what it listens on, once Address was called.
func (s *Server) Socket() string { return filepath.Join(s.dir, ".s.PGSQL.5432") }

// Address returns the address of its database. Without PostgreSQL it skips the test.
func (s *Server) Address(tb testing.TB) string {
	tb.Helper()
	bin := binaries()
	if bin == "" {
		if os.Getenv("CARILLON_POSTGRES") == "required" {
			tb.Fatal("there is no PostgreSQL, of the Debian package postgresql, and CARILLON_POSTGRES says that it is required")
		}
		tb.Skip("there is no PostgreSQL: install the Debian package postgresql")
	}
	s.once.Do(func() { s.err = s.start(bin) })
	if s.err != nil {
		tb.Fatal(s.err)
	}
	return "postgres://postgres@/postgres?host=" + s.dir
}

// Restart has the server end at once, without a word to its clients or its files, as when it
// is killed, and starts it again.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGQUIT)
	_ = s.cmd.Wait() // its end is an error
	if err := s.launch(binaries()); err != nil {
		tb.Fatal(err)
	}
}

// Stop stops the server and removes what it has left.
func (s *Server) Stop() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Signal(syscall.SIGQUIT) // it may have ended; its files are removed
		_ = s.cmd.Wait()
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}

// binaries is the directory of the programs of PostgreSQL, which Debian keeps out of the path.
func binaries() string {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path)
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return ""
	}
	slices.SortFunc(found, func(a, b string) int { return cmp.Or(len(a)-len(b), cmp.Compare(a, b)) })
	return filepath.Dir(found[len(found)-1])
}

func (s *Server) start(bin string) error {
	dir, err := os.MkdirTemp(within(), "pgtest")
	if err != nil {
		return err
	}
	s.dir = dir
	owner, err := s.owner()
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	init := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
	init.Dir, init.SysProcAttr = dir, &syscall.SysProcAttr{Credential: owner}
	if out, err := init.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return s.launch(bin)
}

// launch starts the server of the data that is there, and waits until it answers.
func (s *Server) launch(bin string) error {
	dir := s.dir
	owner, err := s.owner()
	if err != nil {
		return err
	}
	args := []string{"-D", filepath.Join(dir, "data")}
	for _, set := range append([]string{"listen_addresses=", "unix_socket_directories=" + dir, "shared_buffers=32MB", "jit=off", "autovacuum=off", "max_wal_size=1GB", "dynamic_shared_memory_type=mmap"}, s.Settings...) {
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
		if exec.Command(filepath.Join(bin, "pg_isready"), "-q", "-h", dir).Run() == nil {
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
// is given the directory. Otherwise it is nil.
func (s *Server) owner() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root: %w", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(s.dir, uid, gid)
}
