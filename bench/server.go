package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a server that the bench has started.
type server struct {
	Addr string `json:"addr"` // host:port
	PID  int    `json:"pid"`
}

// process is a server as its owner sees it.
type process struct {
	server
	cmd    *exec.Cmd
	exited chan error
	stop   os.Signal // what has it stop cleanly
}

// startTime bounds how long a server may take to listen, or to stop.
const startTime = 30 * time.Second

// startServer starts a server of the kind with its data in dir.
func startServer(ctx context.Context, kind, dir string) (*process, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	switch kind {
	case "postgres":
		return startPostgres(ctx, dir, addr)
	case "redis":
		return startRedis(ctx, dir, addr, "always")
	case "redis-everysec":
		return startRedis(ctx, dir, addr, "everysec")
	}
	return nil, fmt.Errorf("no server is a %s", kind)
}

// freeAddr is an address of loopback that no process listens on.
func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

// redisConf is how Redis is tuned; see README.md.
func redisConf(fsync string) []string {
	return []string{
		"--appendonly", "yes", "--appendfsync", fsync, "--save", "",
		"--auto-aof-rewrite-percentage", "0", "--protected-mode", "yes", "--daemonize", "no", "--loglevel", "warning",
	}
}

func startRedis(ctx context.Context, dir, addr, fsync string) (*process, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("asynq needs redis-server, of the Debian package redis-server; install it, or name the other -peers (%w)", err)
	}
	host, port, _ := net.SplitHostPort(addr)
	args := append([]string{"--bind", host, "--port", port, "--dir", dir}, redisConf(fsync)...)
	return start(ctx, exec.Command(path, args...), addr, syscall.SIGTERM)
}

// postgresConf is how PostgreSQL is tuned; see README.md.
func postgresConf() []string {
	return []string{
		"shared_buffers=1GB", "synchronous_commit=on", "fsync=on", "full_page_writes=on",
		"wal_level=minimal", "max_wal_senders=0", "max_wal_size=8GB", "min_wal_size=2GB", "checkpoint_timeout=15min",
		"wal_buffers=64MB", "max_connections=200", "jit=off", "random_page_cost=1.1",
		"unix_socket_directories=", "log_min_messages=error",
	}
}

func startPostgres(ctx context.Context, dir, addr string) (*process, error) {
	initdb, err := postgresBinary("initdb")
	if err != nil {
		return nil, err
	}
	postgres, err := postgresBinary("postgres")
	if err != nil {
		return nil, err
	}
	owner, err := postgresOwner(dir)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	init := exec.CommandContext(ctx, initdb, "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
	init.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	init.Dir = dir
	if out, err := init.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, lastLine(string(out)))
	}
	host, port, _ := net.SplitHostPort(addr)
	args := []string{"-D", data, "-h", host, "-p", port}
	for _, set := range postgresConf() {
		args = append(args, "-c", set)
	}
	cmd := exec.Command(postgres, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	cmd.Dir = dir
	return start(ctx, cmd, addr, syscall.SIGINT) // that is its fast shutdown
}

// postgresBinary finds a program of PostgreSQL, which Debian keeps out of the path.
func postgresBinary(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		return "", fmt.Errorf("river needs PostgreSQL (%s), of the Debian package postgresql; install it, or name the other -peers", name)
	}
	return found[len(found)-1], nil
}

// postgresOwner is whom PostgreSQL runs as, since it refuses to be root: its
// own user then, who is given the directory. Otherwise it is nil.
func postgresOwner(dir string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root, and there is no user postgres: %w", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(dir, uid, gid)
}

// start starts a server and waits until it listens. It is killed if the bench
// itself is.
func start(ctx context.Context, cmd *exec.Cmd, addr string, stop os.Signal) (*process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true // Ctrl-C is for the bench, which stops it
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = io.Discard, &said
	p := &process{cmd: cmd, exited: make(chan error, 1), stop: stop}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.server = server{Addr: addr, PID: cmd.Process.Pid}
	go func() { p.exited <- cmd.Wait() }()
	deadline := time.After(startTime)
	for {
		if conn, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
			return p, conn.Close()
		}
		select {
		case err := <-p.exited:
			return nil, fmt.Errorf("%s has ended: %w: %s", filepath.Base(cmd.Path), err, lastLine(said.String()))
		case <-deadline:
			p.close()
			return nil, fmt.Errorf("%s does not listen on %s", filepath.Base(cmd.Path), addr)
		case <-ctx.Done():
			p.close()
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// close stops the server, by force if it has to.
func (p *process) close() {
	// Errors say that it has ended already.
	_ = p.cmd.Process.Signal(p.stop)
	select {
	case <-p.exited:
	case <-time.After(startTime):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}
