package server

import (
	"bytes"
	"sync"
	"testing"

	"github.com/aimass/aimass/server/encoding"
	"github.com/aimass/aimass/server/service"
)

func serviceConfig(token string) service.Config {
	return service.Config{Name: "n", Version: "v", AdminToken: token}
}

func compress(t *testing.T, coding string, body []byte) []byte {
	t.Helper()
	kind, err := encoding.Parse([]byte(coding))
	if err != nil {
		t.Fatal(err)
	}
	var s encoding.Set
	out, err := s.AppendCompressed(nil, kind, body)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// safeBuffer is a log that may be read while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func decompress(t *testing.T, coding string, body []byte) []byte {
	t.Helper()
	kind, err := encoding.Parse([]byte(coding))
	if err != nil {
		t.Fatal(err)
	}
	var s encoding.Set
	out, err := s.AppendDecompressed(nil, kind, body, 1<<30, "")
	if err != nil {
		t.Fatal(err)
	}
	return out
}
