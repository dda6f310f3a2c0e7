package client_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/aimass/aimass/client"
)

// fake speaks the protocol's inference call by the book, apart from this project's server: it echoes each input as an
// output of the same name, in the form asked for.
type fake struct {
	mu       sync.Mutex
	requests []*seen
	// before may answer instead; n counts requests from 1.
	before func(n int, w http.ResponseWriter, r *http.Request) (done bool)
}

// seen is a request as it came.
type seen struct {
	header http.Header
	path   string
	body   map[string]any // the JSON
	wire   int            // bytes of the body as sent
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s := &seen{header: r.Header.Clone(), path: r.URL.EscapedPath(), wire: len(raw)}
	raw, err = expand(r.Header.Get("Content-Encoding"), raw)
	tail := []byte(nil)
	if n, e := strconv.Atoi(r.Header.Get("Inference-Header-Content-Length")); e == nil && err == nil {
		raw, tail = raw[:n], raw[n:]
	}
	if err == nil && len(raw) > 0 {
		err = json.Unmarshal(raw, &s.body)
	}
	f.mu.Lock()
	f.requests = append(f.requests, s)
	n := len(f.requests)
	f.mu.Unlock()
	if f.before != nil && f.before(n, w, r) {
		return
	}
	if err != nil {
		http.Error(w, `{"error":"`+err.Error()+`"}`, http.StatusBadRequest)
		return
	}
	echo(w, r, s.body, tail)
}

func (f *fake) last() *seen {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests[len(f.requests)-1]
}

func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.requests)
}

func expand(coding string, b []byte) ([]byte, error) {
	switch coding {
	case "gzip":
		r, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(r)
	case "zstd":
		d, err := zstd.NewReader(nil)
		if err != nil {
			return nil, err
		}
		defer d.Close()
		return d.DecodeAll(b, nil)
	}
	return b, nil
}

// echo answers with the inputs as outputs; those that came in binary go back in binary if that is asked for.
func echo(w http.ResponseWriter, r *http.Request, body map[string]any, tail []byte) {
	params, _ := body["parameters"].(map[string]any)
	binaryOut := params["binary_data_output"] == true
	var outs []any
	var parts []byte
	for _, x := range body["inputs"].([]any) {
		in := x.(map[string]any)
		out := map[string]any{"name": in["name"], "datatype": in["datatype"], "shape": in["shape"]}
		p, _ := in["parameters"].(map[string]any)
		if size, ok := p["binary_data_size"].(float64); ok {
			part := tail[:int(size)]
			tail = tail[int(size):]
			if !binaryOut {
				http.Error(w, "binary in, JSON out", http.StatusNotImplemented)
				return
			}
			out["parameters"] = map[string]any{"binary_data_size": size}
			parts = append(parts, part...)
		} else {
			out["data"] = in["data"]
		}
		outs = append(outs, out)
	}
	answer := map[string]any{"model_name": strings.Split(r.URL.Path, "/")[3], "model_version": "7", "outputs": outs}
	if id, ok := body["id"]; ok {
		answer["id"] = id
	}
	head, _ := json.Marshal(answer)
	if binaryOut {
		w.Header().Set("Inference-Header-Content-Length", strconv.Itoa(len(head)))
	}
	all := append(head, parts...)
	switch r.Header.Get("Accept-Encoding") {
	case "gzip":
		var b bytes.Buffer
		g := gzip.NewWriter(&b)
		g.Write(all)
		g.Close()
		w.Header().Set("Content-Encoding", "gzip")
		all = b.Bytes()
	case "zstd":
		e, _ := zstd.NewWriter(nil)
		w.Header().Set("Content-Encoding", "zstd")
		all = e.EncodeAll(all, nil)
	}
	w.Write(all)
}

// start runs a fake and makes a client of it.
func start(t *testing.T, h http.Handler, o client.Options) *client.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := client.New(s.URL, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// fail answers with an error body.
func fail(w http.ResponseWriter, status int, code string, retryable bool) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":"the text","code":%q,"request_id":"r-1","retryable":%v}`, code, retryable)
}

func le[T any](v ...T) []byte {
	b, err := binary.Append(nil, binary.LittleEndian, v)
	if err != nil {
		panic(err)
	}
	return b
}
