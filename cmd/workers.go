package cmd

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"carillon/dispatch"
	worker "carillon/server/remote"
)

// workers are the programs that remote functions run in, as flags say.
type workers struct {
	at         []workerAt
	secretFile string
	allow      []netip.Prefix
	callers    []*worker.Caller
}

// workerAt is where the functions under a prefix run.
type workerAt struct {
	prefix, url string
	public      bool
}

func (w *workers) flags(flags *flag.FlagSet) {
	add := func(public bool) func(string) error {
		return func(text string) error {
			for _, word := range listOf(text) {
				prefix, url, ok := strings.Cut(word, "=")
				if err := dispatch.CheckRemotePrefix(prefix); !ok || err != nil {
					return errors.Join(errors.New("want PREFIX=URL, such as mail:*=http://127.0.0.1:9000"), err)
				}
				w.at = append(w.at, workerAt{prefix, url, public})
			}
			return nil
		}
	}
	flags.Func("remote", "`PREFIX=URL` of functions that a worker runs, such as mail:*=http://127.0.0.1:9000, with commas between several; with --secret-file", add(false))
	flags.Func("remote-public", "the same, `PREFIX=URL`, for functions that clients may call", add(true))
	flags.StringVar(&w.secretFile, "secret-file", "", "`FILE` with the secret that each request to a worker is signed with")
	flags.Func("origin-allow", "`NETWORKS` such as 10.0.0.0/8, with commas between, that the name of a worker may resolve to though they are private", func(text string) error {
		for _, word := range listOf(text) {
			network, err := netip.ParsePrefix(word)
			if err != nil {
				return err
			}
			w.allow = append(w.allow, network)
		}
		return nil
	})
}

// register declares the remote functions. The callers are closed by close.
func (w *workers) register(reg *dispatch.Registry) (err error) {
	if len(w.at) == 0 && w.secretFile == "" {
		return nil
	}
	if len(w.at) == 0 || w.secretFile == "" {
		return usageError{errors.New("--remote and --secret-file go together")}
	}
	secret, err := os.ReadFile(w.secretFile)
	if err != nil {
		return err
	}
	defer func() {
		if v := recover(); v != nil { // a prefix within another, or with functions of the program
			err = usageError{fmt.Errorf("--remote: %v", v)}
		}
	}()
	for _, at := range w.at {
		caller, err := worker.New(worker.Options{URL: at.url, Allow: w.allow, Secret: strings.TrimSpace(string(secret))})
		if err != nil {
			return usageError{fmt.Errorf("--remote %s: %w", at.prefix, err)}
		}
		w.callers = append(w.callers, caller)
		if at.public {
			reg.PublicRemote(at.prefix, caller)
		} else {
			reg.Remote(at.prefix, caller)
		}
	}
	return nil
}

func (w *workers) close() {
	for _, caller := range w.callers {
		caller.Close()
	}
}
