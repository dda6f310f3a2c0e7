package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestPushThatBreaks: whoever loses the server in the middle of a push is told that it can be gone on with.
func TestPushThatBreaks(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			panic(http.ErrAbortHandler)
		}
		code := "model_not_found"
		if strings.HasSuffix(r.URL.Path, "/upload") {
			code = "upload_not_found"
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"error":"none","code":"` + code + `","retryable":false}`))
	}))
	defer s.Close()
	_, err := run("models", "push", versions(t, 1)+"/plus", "--server", s.URL)
	if err == nil || !strings.HasSuffix(err.Error(), "the same command goes on from what the server has") {
		t.Errorf("got %v", err)
	}
}
