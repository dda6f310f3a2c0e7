package sock

import (
	"errors"
	"testing"
)

// TestBareHead: a head is refused for its end alone, however it is cut, and what follows it is no part of it.
func TestBareHead(t *testing.T) {
	for text, want := range map[string]bool{
		"GET / HTTP/1.1\n\n":                          true,
		"GET / HTTP/1.1\r\nHost: x\n\n":               true,
		"GET / HTTP/1.1\r\nHost: x\r\n\n":             true,
		"\r\nGET / HTTP/1.1\nHost: x\n\n{}":           true,
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n":           false,
		"GET / HTTP/1.1\nHost: x\r\n\r\n":             false,
		"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n":   false,
		"PUT / HTTP/1.1\r\nHost: x\r\n\r\n{\n\n}\n\n": false,
		"GET / HTTP/1.1\r\nHost: x\r\n":               false,
	} {
		for cut := range len(text) {
			h := head{on: true}
			first := h.bare([]byte(text[:cut]))
			if got := h.bare([]byte(text[cut:])) || first; got != want {
				t.Errorf("%q cut at %d: refused is %v", text, cut, got)
			}
		}
	}
}

// TestBareLines: the bytes come with the error, so that the HTTP server knows of a request to answer.
func TestBareLines(t *testing.T) {
	client, c, _ := pair(t, Config{})
	client.Write([]byte("GET / HTTP/1.1\nHost: x\n\n"))
	b := make([]byte, 100)
	if n, err := c.Read(b); n != 24 || !errors.Is(err, ErrBareLine) {
		t.Errorf("%d, %v", n, err)
	}
}
