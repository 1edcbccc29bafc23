package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"carillon/cmd/carillon/workload"
)

// contest runs workloads on systems in turn.
type contest struct {
	systems   []contestant
	workloads []workload.Workload
	rounds    int
	scale     float64
	log       io.Writer

	rows   []workload.Row // of all rounds
	absent []absence
}

// absence is a workload that a system is left out of.
type absence struct{ system, workload, reason string }

// patience bounds one workload on one system, at scale 1.
const patience = 15 * time.Minute

// run runs the rounds. The servers are stopped, and all data removed, whatever
// becomes of it.
func (c *contest) run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "carillon-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o711); err != nil { // PostgreSQL has to pass through it
		return err
	}
	servers := map[string]*process{}
	defer func() {
		for _, p := range servers {
			p.close()
		}
	}()
	for _, s := range c.systems {
		if s.needs == "" || servers[s.needs] != nil {
			continue
		}
		p, err := startServer(ctx, s.needs, filepath.Join(dir, s.needs))
		if err != nil {
			return err
		}
		servers[s.needs] = p
	}
	for round := range c.rounds {
		for _, w := range c.workloads {
			for _, s := range c.turn(round) {
				if c.isAbsent(s, w.Name) {
					continue
				}
				o := order{System: s.name, Workload: w.Name, Scale: c.scale, Dir: dir}
				if p := servers[s.needs]; p != nil {
					o.Server = p.server
				}
				began := time.Now()
				rows, err := c.measure(ctx, o)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				outcome := "done"
				if err != nil {
					if s.name == "carillon" {
						return fmt.Errorf("carillon: %s: %w", w.Name, err)
					}
					outcome = err.Error()
					c.absent = append(c.absent, absence{s.name, w.Name, outcome})
				}
				c.rows = append(c.rows, rows...)
				fmt.Fprintf(c.log, "round %d of %d  %-4s %-14s %v  %s\n", round+1, c.rounds, w.Name, s.name, time.Since(began).Round(time.Second/10), outcome)
			}
		}
	}
	return nil
}

// turn is the order of the systems in a round. It is turned round each time, so that
// none is always the one that follows a certain other.
func (c *contest) turn(round int) []contestant {
	order := slices.Clone(c.systems)
	if round%2 == 1 {
		slices.Reverse(order)
	}
	return order
}

// isAbsent says whether the system is left out of the workload, and notes why
// the first time.
func (c *contest) isAbsent(s contestant, name string) bool {
	for _, a := range c.absent {
		if a.system == s.name && a.workload == name {
			return true
		}
	}
	reason, absent := s.open(server{}).Absent[name]
	if absent {
		c.absent = append(c.absent, absence{s.name, name, reason})
	}
	return absent
}

// measure has a process of its own carry the order out.
func (c *contest) measure(ctx context.Context, o order) ([]workload.Row, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	limit := max(time.Duration(float64(patience)*c.scale), 3*time.Minute)
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(limited, self, childFlag, string(text))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 20 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case limited.Err() != nil:
		return nil, fmt.Errorf("it was not done within %v", limit)
	case err != nil:
		return nil, errors.New(strings.TrimPrefix(lastLine(errs.String()), "bench: "))
	}
	var rows []workload.Row
	for lines := bufio.NewScanner(&out); lines.Scan(); {
		var row workload.Row
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			return nil, err
		}
		if !isFloor(row.Workload) || row.System == contestants()[0].name {
			rows = append(rows, row)
		}
	}
	return rows, nil
}
