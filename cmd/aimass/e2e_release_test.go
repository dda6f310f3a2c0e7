package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/client"
)

// versions writes versions 1 … n of the model "plus", each adding its number, to a folder
// of its own.
func versions(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	for v := 1; v <= n; v++ {
		writeModel(t, dir, plus(float32(v)), fmt.Sprint(v))
	}
	return dir
}

func askPlus(c *client.Client, q client.Request) (float32, *client.Result, error) {
	q.Model, q.Inputs = "plus", []client.Tensor{client.Float32("x", []int{1, 2}, []float32{0, 0})}
	r, err := c.Infer(context.Background(), &q)
	if err != nil {
		return 0, nil, err
	}
	y, err := r.Float32s("y")
	if err != nil {
		return 0, nil, err
	}
	return y[0], r, nil
}

// TestE2ERelease is a version's life by the command line, against a server of its own.
func TestE2ERelease(t *testing.T) {
	from, models := versions(t, 2), t.TempDir()
	p := start(t, models, "127.0.0.1")
	c := p.client(t)
	at := []string{"--server", p.url("")}
	do := func(want string, args ...string) string {
		t.Helper()
		out, err := run(append(append([]string{"models"}, args...), at...)...)
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
		return out
	}
	serves := func(version string, want float32) {
		t.Helper()
		if y, r, err := askPlus(c, client.Request{Version: version}); err != nil || y != want || r.Version != fmt.Sprint(want) {
			t.Errorf("version %q answers %v (%v), want %v", version, y, err, want)
		}
	}
	do("version 1: READY", "push", filepath.Join(from, "plus", "1"))
	do("version 2: READY", "push", filepath.Join(from, "plus", "2"))
	serves("", 1)
	do("canary 100 %", "canary", "plus", "2", "--percent", "100")
	serves("", 2)
	do("stable", "rollback", "plus") // ends the canary
	serves("", 1)
	do("previous", "promote", "plus", "2")
	serves("", 2)
	serves("previous", 1)
	do("best", "alias", "plus", "best", "1")
	serves("best", 1)
	do("shadow 50 %", "shadow", "plus", "1", "--percent", "50")
	do("promote", "history", "plus")
	do("version/model.onnx", "diff", "plus", "1", "2")
	do("stable", "rollback", "plus")
	serves("", 1)

	// What was pulled can be pushed: under another name, and unpacked into another repository.
	file := filepath.Join(t.TempDir(), "plus-2.tar.zst")
	do("sha256", "pull", "plus", "--version", "2", "--out", file)
	do("other version 1: READY", "push", file, "--model", "other")
	elsewhere := t.TempDir()
	do("2", "pull", "plus", "--version", "2", "--into", elsewhere)
	a, _ := os.ReadFile(filepath.Join(from, "plus", "2", "model.onnx"))
	b, err := os.ReadFile(filepath.Join(elsewhere, "plus", "2", "model.onnx"))
	if err != nil || string(a) != string(b) {
		t.Error("the pulled model differs", err)
	}
	do("plus version 2: READY", "push", filepath.Join(from, "plus", "2")) // again: it keeps its number
	if out := do("", "release", "plus"); strings.Contains(out, "\n3 ") {
		t.Errorf("the same bundle became another version: %s", out)
	}
	if code := p.stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	p = start(t, models, "127.0.0.1")
	c = p.client(t)
	serves("", 1)
	serves("best", 1)
}

// TestE2ETransfers: pieces, ranges, and who may.
func TestE2ETransfers(t *testing.T) {
	p := start(t, versions(t, 1), "127.0.0.1")
	path := p.url("/v2/repository/models/plus/versions/1/download")
	send := func(method, url, body string, headers ...string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequest(method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(b)
	}
	get := func(url string, headers ...string) (*http.Response, string) {
		t.Helper()
		return send(http.MethodGet, url, "", headers...)
	}
	whole, all := get(path)
	etag := whole.Header.Get("ETag")
	if whole.StatusCode != 200 || len(all) == 0 || len(etag) != 66 || whole.Header.Get("Repr-Digest") == "" || whole.Header.Get("Accept-Ranges") != "bytes" {
		t.Fatalf("%d %v", whole.StatusCode, whole.Header)
	}
	f := func(status int, want string, headers ...string) {
		t.Helper()
		if r, b := get(path, headers...); r.StatusCode != status || b != want && status < 400 || r.Header.Get("ETag") != etag {
			t.Errorf("%v: %d, %d bytes of %d, %v", headers, r.StatusCode, len(b), len(want), r.Header)
		}
	}
	f(206, all[10:21], "Range", "bytes=10-20")
	f(206, all[10:], "Range", "bytes=10-")
	f(206, all[len(all)-5:], "Range", "bytes=-5")
	f(206, all[10:], "Range", "bytes=10-", "If-Range", etag)
	f(200, all, "Range", "bytes=10-", "If-Range", `"other"`)
	f(304, "", "If-None-Match", etag)
	f(200, all, "If-Match", etag)
	f(200, all, "If-Match", `"other", `+etag)
	f(412, "", "If-Match", `"other"`)
	f(412, "", "If-Match", "W/"+etag)
	put := func(status int, want string, headers ...string) {
		t.Helper()
		if r, b := send(http.MethodPut, p.url("/v2/repository/models/plus/versions/1/upload"), all, headers...); r.StatusCode != status || !strings.Contains(b, want) {
			t.Errorf("PUT %v: %d %s", headers, r.StatusCode, b)
		}
	}
	put(412, "ETag", "If-None-Match", "*")
	put(412, etag[1:20], "If-Match", `"other"`)
	f(416, "", "Range", fmt.Sprintf("bytes=%d-", len(all)))

	for _, what := range []string{"release", "history", "diff?from=1&to=1", "versions/1/download", "versions/9/upload"} {
		if r, b := get(p.url("/v2/repository/models/plus/"+what), "Origin", "http://evil.example"); r.StatusCode != 403 || !strings.Contains(b, string(api.CodeAdminForbidden)) {
			t.Errorf("%s: %d %s", what, r.StatusCode, b)
		}
	}
	if r, b := get(p.url("/v2/logs"), "Authorization", "Bearer nothing-of-the-kind", "Origin", "http://evil.example"); r.StatusCode != 403 {
		t.Errorf("logs: %d %s", r.StatusCode, b)
	}

	// What has come of an upload is kept while the rest is on its way, so that a server that dies
	// loses nothing of it, and holds none of it in memory.
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url(""), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "PUT /v2/repository/models/half/versions/1/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\n\r\n%s", strings.Repeat("x", 3_000_000))
	kept := ""
	for range 500 {
		if _, kept = get(p.url("/v2/repository/models/half/versions/1/upload")); strings.Contains(kept, `"offset":3000000`) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if !strings.Contains(kept, `"offset":3000000,"size":5000000`) {
		t.Errorf("while 3,000,000 of 5,000,000 bytes have come: %s", kept)
	}
	conn.Close()

	// A line that breaks after each few bytes: the client goes on until all is there.
	proxy := httptest.NewServer(breaking(t, p.url("")))
	defer proxy.Close()
	c, err := client.New(proxy.URL, client.Options{Retry: client.Retry{Base: time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	bundle := &bundleFile{model: "again"}
	if bundle.File, err = os.CreateTemp(t.TempDir(), ""); err != nil {
		t.Fatal(err)
	}
	defer bundle.close()
	if _, err := bundle.WriteString(all); err != nil {
		t.Fatal(err)
	}
	bundle.size, bundle.sha = int64(len(all)), strings.Trim(etag, `"`)
	u, err := c.Push(context.Background(), "again", 1, bundle, bundle.size, bundle.sha, client.PushOptions{Piece: 100})
	if err != nil || !u.Complete || u.SHA256 != bundle.sha {
		t.Errorf("%+v %v", u, err)
	}
	var got strings.Builder
	if b, err := c.Pull(context.Background(), "plus", "1", &got, 0, "", nil); err != nil || got.String() != all || b.SHA256 != bundle.sha {
		t.Errorf("%+v %v, %d bytes of %d", b, err, got.Len(), len(all))
	}
}

// breaking hands requests on and cuts every third answer: before it, or in its middle.
func breaking(t *testing.T, to string) http.Handler {
	var n atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		out, _ := http.NewRequest(r.Method, to+r.URL.RequestURI(), strings.NewReader(string(body)))
		out.Header = r.Header.Clone()
		resp, err := http.DefaultTransport.RoundTrip(out)
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		for k, v := range resp.Header {
			w.Header()[k] = v
		}
		if k := n.Add(1); k%3 == 0 {
			w.WriteHeader(resp.StatusCode)
			_, _ = w.Write(b[:len(b)/2])
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(resp.StatusCode)
		_, _ = w.Write(b)
	})
}

// TestE2EWay: a request's id and its trace find every line of its way, in files, live and
// after a restart, and the collector gets its spans.
func TestE2EWay(t *testing.T) {
	var mu sync.Mutex
	var exported []string
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		mu.Lock()
		exported = append(exported, string(b))
		mu.Unlock()
	}))
	defer collector.Close()
	models, logs := versions(t, 1), t.TempDir()
	p := start(t, models, "127.0.0.1", "--log-dir", logs, "--log-verbose", "1", "--otlp-endpoint", collector.URL)
	c := p.client(t)
	ctx, cancel := context.WithCancel(context.Background())
	var live []string
	var followed sync.WaitGroup
	followed.Go(func() {
		err := c.FollowLogs(ctx, client.LogQuery{RequestID: "way-1"}, func(line json.RawMessage) error {
			mu.Lock()
			defer mu.Unlock()
			live = append(live, message(t, line))
			if len(live) == 3 {
				cancel()
			}
			return nil
		})
		if err == nil {
			t.Error("following ended by itself")
		}
	})
	const trace = "0af7651916cd43dd8448eb211c80319c"
	if _, _, err := askPlus(c, client.Request{ID: "way-1", Tenant: "clinic", Traceparent: "00-" + trace + "-b7ad6b7169203331-01"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := askPlus(c, client.Request{ID: "way-2", Version: "9"}); api.CodeOf(err) != api.CodeModelVersionNotFound {
		t.Fatal(err)
	}
	messages := func(q client.LogQuery) (out []string) {
		t.Helper()
		lines, _, err := c.Logs(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			out = append(out, message(t, l))
		}
		return out
	}
	check := func() {
		t.Helper()
		for _, f := range []struct {
			q    client.LogQuery
			want []string
		}{
			{client.LogQuery{RequestID: "way-1"}, []string{"routed", "executed", "request"}},
			{client.LogQuery{RequestID: "way-1", Level: "info"}, []string{"request"}},
			{client.LogQuery{TraceID: trace}, []string{"routed", "executed", "request"}},
			{client.LogQuery{Tenant: "clinic", Model: "plus"}, []string{"routed", "executed", "request"}},
			{client.LogQuery{Code: "model_version_not_found", Since: time.Now().Add(-time.Hour)}, []string{"request refused"}},
			{client.LogQuery{RequestID: "way-3"}, nil},
		} {
			if got := messages(f.q); !slices.Equal(got, f.want) {
				t.Errorf("%+v: %v, want %v", f.q, got, f.want)
			}
		}
	}
	check()
	time.AfterFunc(20*time.Second, cancel)
	followed.Wait()
	if !slices.Equal(live, []string{"routed", "executed", "request"}) {
		t.Errorf("followed %v", live)
	}
	if out, err := run("logs", "--request-id", "way-1", "--server", p.url("")); err != nil || !strings.Contains(out, "queue_ns") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, _, err := c.Logs(context.Background(), client.LogQuery{Level: "loud"}); api.CodeOf(err) != api.CodeLogQueryInvalid {
		t.Error(err)
	}
	if code := p.stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	all := strings.Join(exported, "")
	for _, want := range []string{trace, `"parentSpanId":"b7ad6b7169203331"`, `"name":"POST /v2/models/{model}/infer"`, `"name":"queue"`, `"name":"infer"`, "way-1", "model_version_not_found"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s in what was exported: %.2000s", want, all)
		}
	}
	p = start(t, models, "127.0.0.1", "--log-dir", logs)
	c = p.client(t)
	check()
}

func message(t *testing.T, line json.RawMessage) string {
	t.Helper()
	var m struct {
		Msg string `json:"msg"`
	}
	if err := json.Unmarshal(line, &m); err != nil {
		t.Errorf("%s: %v", line, err)
	}
	return m.Msg
}

// TestE2EPromote promotes and rolls back under load: no request fails, and each answer is
// that of one version. What it does to the latency it tells (make bench-switch).
func TestE2EPromote(t *testing.T) {
	p := start(t, versions(t, 2), "127.0.0.1")
	c := p.client(t)
	ctx := context.Background()
	if _, err := c.Promote(ctx, "plus", client.Promotion{Version: "1"}); err != nil {
		t.Fatal(err)
	}
	quiet, switches := 500*time.Millisecond, 20
	if os.Getenv("AIMASS_SWITCH_BENCH") != "" {
		quiet, switches = 10*time.Second, 400
	}
	var stop atomic.Bool
	var phase atomic.Int32
	var mu sync.Mutex
	took := map[int32][]time.Duration{}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			mine := map[int32][]time.Duration{}
			for !stop.Load() {
				k, began := phase.Load(), time.Now()
				y, r, err := askPlus(c, client.Request{})
				if err != nil || r.Version != fmt.Sprint(y) {
					t.Errorf("%v from version %v: %v", y, r, err)
					return
				}
				mine[k] = append(mine[k], time.Since(began))
			}
			mu.Lock()
			defer mu.Unlock()
			for k, list := range mine {
				took[k] = append(took[k], list...)
			}
		})
	}
	time.Sleep(quiet)
	phase.Store(1)
	for k := range switches {
		var err error
		if k%2 == 0 {
			_, err = c.Promote(ctx, "plus", client.Promotion{Version: "2"})
		} else {
			_, err = c.Rollback(ctx, "plus")
		}
		if err != nil {
			t.Error(err)
		}
		time.Sleep(quiet / time.Duration(switches))
	}
	stop.Store(true)
	wg.Wait()
	var p99 [2]time.Duration
	for k, name := range []string{"before", "while switching"} {
		list := took[int32(k)]
		if len(list) == 0 {
			t.Fatalf("no request %s", name)
		}
		slices.Sort(list)
		p99[k] = list[len(list)*99/100]
		t.Logf("%s: %d requests, p50 %v, p99 %v, p99.9 %v", name, len(list), list[len(list)/2], p99[k], list[len(list)*999/1000])
	}
	t.Logf("p99 while switching %.2f of that before (goal 1.5)", float64(p99[1])/float64(p99[0]))
}
