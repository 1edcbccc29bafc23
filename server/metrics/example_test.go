package metrics_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/server"
	"carillon/server/metrics"
)

func ExampleNew() {
	functions := dispatch.NewRegistry()
	dispatch.Query[dispatch.None, string]("greet:hello").Handle(functions, func(*dispatch.QueryCtx, dispatch.None) (string, error) {
		return "hello", nil
	})

	m := metrics.New()
	functions.Use(m.Middleware)
	dir, err := os.MkdirTemp("", "metrics")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	eng, err := actors.Open(dir, actors.Options{Functions: functions})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close(context.Background())
	refusals := new(server.Refusals)
	m.Watch(eng, refusals)
	h := server.New(eng, server.Options{Operator: server.Tokens(eng), Refusals: refusals, Metrics: m.Handler()})

	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost/metrics", nil))
	fmt.Println(w.Code, "without a token")
	// Output: 401 without a token
}
