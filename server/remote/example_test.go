package remote_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"carillon/dispatch"
	"carillon/server/remote"
)

func ExampleNew() {
	declare := func(reg *dispatch.Registry, secret string) error {
		worker, err := remote.New(remote.Options{URL: "http://127.0.0.1:9000", Secret: secret})
		if err != nil {
			return err
		}
		reg.Remote("mail:*", worker)
		return nil
	}
	fmt.Println(declare(dispatch.NewRegistry(), "short"))
	// Output: remote: the secret has 5 bytes, want 16 to 1024
}

// A worker in Go.
func ExampleVerify() {
	worker := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 2<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		ask, attempt, err := remote.Verify("a secret of the worker", r.Header, body, time.Now())
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		fmt.Println(ask.InstanceName, ask.FunctionPath, ask.ID, attempt)
	}
	w := httptest.NewRecorder()
	worker(w, httptest.NewRequest(http.MethodPost, remote.Path, strings.NewReader("{}")))
	fmt.Println(w.Code)
	// Output: 403
}
