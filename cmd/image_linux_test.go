package cmd

import (
	"bufio"
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"carillon/dispatch"
)

// image is what a Dockerfile makes, as a directory to run things in.
type image struct {
	root                         string
	user                         uint32
	env                          []string
	entrypoint, command, healthy []string
}

// mustImage carries out the Dockerfile with the files of a context. What it does not know is a fault: it
// is for one that begins with nothing, and copies.
func mustImage(t *testing.T, context string) *image {
	t.Helper()
	m := &image{root: filepath.Join(t.TempDir(), "root")}
	must(t, os.Mkdir(m.root, 0o755))
	for line := range strings.Lines(mustRead(t, filepath.Join("deploy", "Dockerfile"))) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest = strings.ReplaceAll(rest, "$TARGETARCH", runtime.GOARCH)
		switch word {
		case "", "#", "ARG", "EXPOSE", "VOLUME", "STOPSIGNAL":
		case "FROM":
			if rest != "scratch" {
				t.Fatalf("it begins with %s", rest)
			}
		case "COPY":
			var uid int
			from, to, _ := strings.Cut(rest, " ")
			if owner, ok := strings.CutPrefix(from, "--chown="); ok {
				uid = mustOwner(t, owner)
				from, to, _ = strings.Cut(to, " ")
			}
			mustCopy(t, filepath.Join(context, from), filepath.Join(m.root, to), uid)
		case "USER":
			m.user = uint32(mustOwner(t, rest))
		case "ENV":
			m.env = append(m.env, rest)
		case "HEALTHCHECK":
			_, list, _ := strings.Cut(rest, " CMD ")
			must(t, json.Unmarshal([]byte(list), &m.healthy))
		case "ENTRYPOINT":
			must(t, json.Unmarshal([]byte(rest), &m.entrypoint))
		case "CMD":
			must(t, json.Unmarshal([]byte(rest), &m.command))
		default:
			t.Fatalf("the line %q is not understood", line)
		}
	}
	return m
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mustOwner is the number of a user whose group has the same.
func mustOwner(t *testing.T, text string) int {
	t.Helper()
	user, group, _ := strings.Cut(text, ":")
	id, err := strconv.Atoi(user)
	if err != nil || id == 0 || user != group {
		t.Fatalf("the owner is %s", text)
	}
	return id
}

// mustCopy copies a file or an empty directory.
func mustCopy(t *testing.T, from, to string, owner int) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(to), 0o755))
	info, err := os.Stat(from)
	must(t, err)
	if info.IsDir() {
		must(t, os.Mkdir(to, 0o755))
	} else {
		data, err := os.ReadFile(from)
		must(t, err)
		must(t, os.WriteFile(to, data, info.Mode().Perm()))
	}
	must(t, os.Chown(to, owner, owner))
}

// process is one of the image: in its root, as its user, with its environment and more.
func (m *image) process(t *testing.T, args []string, env ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), args[0], args[1:]...)
	c.Dir, c.Env = "/", slices.Concat(m.env, env)
	c.SysProcAttr = &syscall.SysProcAttr{Chroot: m.root, Credential: &syscall.Credential{Uid: m.user, Gid: m.user}}
	return c
}

// TestImageServes: with the files of the image, and no others, and as its user, the command serves, its
// check is green while it does and red when it does not, and the roots of certificates are found. It
// needs a static binary, and to be root.
func TestImageServes(t *testing.T) {
	binary := os.Getenv("CARILLON_STATIC")
	if binary == "" || os.Geteuid() != 0 {
		t.Skip("not root, or $CARILLON_STATIC does not name a static binary")
	}
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"status":"ok"}`)
	}))
	defer elsewhere.Close()

	context := t.TempDir()
	must(t, os.Mkdir(filepath.Join(context, "data"), 0o755))
	dir := filepath.Join(context, "linux-"+runtime.GOARCH)
	must(t, os.Mkdir(dir, 0o755))
	mustCopy(t, binary, filepath.Join(dir, "carillon"), 0)
	roots := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: elsewhere.Certificate().Raw})
	must(t, os.WriteFile(filepath.Join(context, "ca-certificates.crt"), roots, 0o644))

	m := mustImage(t, context)
	server := m.process(t, slices.Concat(m.entrypoint, m.command), "CARILLON_LISTEN=127.0.0.1:0")
	var log bytes.Buffer
	server.Stderr = &log
	stdout, err := server.StdoutPipe()
	must(t, err)
	must(t, server.Start())
	lines := bufio.NewScanner(stdout)
	lines.Scan()
	site := "CARILLON_SERVER=" + mustAddress(t, lines.Text())
	healthy := func(site string) error {
		out, err := m.process(t, m.healthy, site, "CARILLON_TIMEOUT=1m").CombinedOutput()
		if (err == nil) != (string(out) == "ok\n") {
			t.Errorf("the check has said %q, %v", out, err)
		}
		return err
	}
	eventually(t, "the check is green", func() bool { return healthy(site) == nil })
	if err := healthy("CARILLON_SERVER=" + elsewhere.URL); err != nil {
		t.Errorf("a certificate of the image's roots is not trusted: %v", err)
	}

	must(t, server.Process.Signal(syscall.SIGTERM))
	for lines.Scan() {
	}
	if err := server.Wait(); err != nil {
		t.Errorf("the server has ended: %v\n%s", err, &log)
	}
	var exit *exec.ExitError
	if err := healthy(site); !errors.As(err, &exit) || exit.ExitCode() != dispatch.CodeUnavailable.ExitCode() {
		t.Errorf("the check of a server that has ended: %v", err)
	}
	// All that was written is in the volume, and belongs to the user.
	must(t, filepath.WalkDir(m.root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		inside, _ := filepath.Rel(m.root, path)
		info, err := entry.Info()
		if owner := info.Sys().(*syscall.Stat_t).Uid; (owner == m.user) != strings.HasPrefix(inside, "data/") {
			t.Errorf("%s belongs to %d", inside, owner)
		}
		return err
	}))
	if files, _ := os.ReadDir(filepath.Join(m.root, "data")); len(files) == 0 {
		t.Error("the volume is empty")
	}
}
