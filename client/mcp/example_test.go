package mcp_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"

	"carillon/actors"
	"carillon/client/mcp"
	"carillon/dispatch"
	"carillon/server"
)

func ExampleHandler() {
	dir, err := os.MkdirTemp("", "mcp")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	eng, err := actors.Open(dir, actors.Options{Functions: dispatch.NewRegistry()})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close(context.Background())

	agents := mcp.Handler(mcp.Options{AllowWrite: true})
	h := server.New(eng, server.Options{Operator: server.Tokens(eng), MCP: agents})

	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "http://localhost/mcp", nil))
	fmt.Println(w.Code, "without a token")
	// Output: 401 without a token
}
