package webhook_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"carillon/dispatch"
	"carillon/server/webhook"
)

// A receiver checks the signature before it believes the alert.
func ExampleVerify() {
	secret := "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), 32))
	receive := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
		if err == nil {
			err = webhook.Verify(secret, r.Header, body, time.Now())
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		fmt.Println("page the one on call:", string(body))
	}
	w := httptest.NewRecorder()
	receive(w, httptest.NewRequest(http.MethodPost, "/carillon", bytes.NewReader([]byte("{}"))))
	fmt.Println(w.Code)
	// Output: 401
}

func ExampleRegister() {
	reg, secret := dispatch.NewRegistry(), "whsec_too-short"
	err := webhook.Register(reg, webhook.Options{URL: "https://ops.example.com/carillon", Secret: secret})
	fmt.Println(err)
	// Output: webhook: what follows "whsec_" in the secret is not base64
}
