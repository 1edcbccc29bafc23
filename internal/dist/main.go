package main

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Getenv("SOURCE_DATE_EPOCH"), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

// run carries out one line of the command.
func run(args []string, epoch string, out io.Writer) error {
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH is %q, want seconds since 1970", epoch)
	}
	at := time.Unix(seconds, 0).UTC()
	switch verb, n := append(args, "")[0], len(args); {
	case verb == "archive" && n == 3:
		return archive(args[1], args[2], at)
	case verb == "sbom" && n == 4, verb == "notices" && n == 2:
		binary, err := os.ReadFile(args[n-1])
		if err != nil {
			return err
		}
		info, err := buildinfo.Read(bytes.NewReader(binary))
		if err != nil {
			return err
		}
		if verb == "notices" {
			return notices(out, info)
		}
		return sbom(out, args[1], args[2], info, binary, at)
	}
	return errors.New("want archive OUT DIR, sbom NAME VERSION BINARY, or notices BINARY")
}
