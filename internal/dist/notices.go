package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
)

// license matches the files of a module that must go along with what is made of it.
var license = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|copyright)(\.(md|txt))?$`)

// notices writes the licenses of what is linked into a binary, of Go itself first. A module
// without one is an error: it may not be given away.
func notices(w io.Writer, info *debug.BuildInfo) error {
	root, err := ask("env", "GOROOT")
	if err != nil {
		return err
	}
	if err := notice(w, "Go", root); err != nil || len(info.Deps) == 0 {
		return err
	}
	query := []string{"list", "-m", "-f", "{{.Dir}}"}
	for _, m := range info.Deps {
		query = append(query, m.Path)
	}
	dirs, err := ask(query...)
	if err != nil {
		return err
	}
	for i, dir := range strings.Split(dirs, "\n") {
		if err := notice(w, query[4+i]+" "+info.Deps[i].Version, dir); err != nil {
			return err
		}
	}
	return nil
}

// ask is what the go command answers.
func ask(args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

// notice writes the license files of a directory.
func notice(w io.Writer, of, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	found := false
	for _, entry := range entries {
		if entry.IsDir() || !license.MatchString(entry.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return err
		}
		found = true
		if _, err := fmt.Fprintf(w, "== %s: %s\n\n%s\n\n", of, entry.Name(), strings.TrimSpace(strings.ReplaceAll(string(text), "\r\n", "\n"))); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("%s has no license in %s", of, dir)
	}
	return nil
}
