package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"carillon/internal/pgserver"
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
	programs, ok := pgserver.Programs()
	if !ok {
		return nil, errors.New("river and others need PostgreSQL, of the Debian package postgresql; install it, or name the other -peers")
	}
	owner, err := pgserver.Owner()
	if err == nil && owner != nil {
		err = os.Chown(dir, int(owner.Uid), int(owner.Gid))
	}
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	init := exec.CommandContext(ctx, filepath.Join(programs, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
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
	cmd := exec.Command(filepath.Join(programs, "postgres"), args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	cmd.Dir = dir
	return start(ctx, cmd, addr, syscall.SIGINT) // that is its fast shutdown
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
