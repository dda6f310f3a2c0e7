package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/client"
	"github.com/aimass/aimass/runtime/onnx/build"
)

// plus is y = x + w.
func plus(w float32) *build.Graph {
	g := build.New("plus", 17)
	x := g.Input("x", build.Float, build.Sym("n"), build.Size(2))
	g.Output(g.OpAs("y", "Add", []string{x, g.Const("w", []float32{w, w}, 2)}), build.Float, build.Sym("n"), build.Size(2))
	return g
}

// TestE2ESwitch loads version after version while clients ask: no request may fail, and
// each answer is that of one version.
func TestE2ESwitch(t *testing.T) {
	const versions = 12
	models := t.TempDir()
	writeModel(t, models, plus(1), "1")
	p := start(t, models, "127.0.0.1")
	c := p.client(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var asked atomic.Int64
	var newest atomic.Int64 // as far as loading it has been answered
	newest.Store(1)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				least := newest.Load()
				r, err := c.Infer(context.Background(), &client.Request{Model: "plus", Inputs: []client.Tensor{client.Float32("x", []int{1, 2}, []float32{10, 20})}})
				if err != nil {
					t.Errorf("request %d, version %d or newer: %v", asked.Load(), least, err)
					return
				}
				y, err := r.Float32s("y")
				v, _ := strconv.ParseInt(r.Version, 10, 64)
				if err != nil || len(y) != 2 || y[0] != 10+float32(v) || y[1] != 20+float32(v) || v < least || v > versions {
					t.Errorf("version %s answered %v (%v), with version %d loaded", r.Version, y, err, least)
					return
				}
				asked.Add(1)
			}
		})
	}
	for v := 2; v <= versions; v++ {
		writeModel(t, models, plus(float32(v)), strconv.Itoa(v))
		if err := c.Load(ctx, "plus", nil); err != nil {
			t.Fatal(err)
		}
		newest.Store(int64(v))
		time.Sleep(20 * time.Millisecond)
	}
	cancel()
	wg.Wait()
	if asked.Load() < 10*versions {
		t.Errorf("only %d requests were answered", asked.Load())
	}
	if err := c.Unload(context.Background(), "plus", false); err != nil {
		t.Fatal(err)
	}
	_, err := c.Infer(context.Background(), &client.Request{Model: "plus", Inputs: []client.Tensor{client.Float32("x", []int{1, 2}, []float32{0, 0})}})
	if api.CodeOf(err) != api.CodeModelUnavailable {
		t.Errorf("an unloaded model answers %v", err)
	}
}

// slow takes about as long as products of size×size matrices do.
func slow(size int64, layers int) *build.Graph {
	g := build.New("slow", 17)
	x := g.Input("x", build.Float, build.Sym("n"), build.Size(size))
	w := g.Const("w", make([]float32, size*size), size, size)
	h := x
	for range layers {
		h = g.Op("MatMul", []string{h, w})
	}
	g.Output(g.OpAs("y", "Add", []string{h, x}), build.Float, build.Sym("n"), build.Size(size))
	return g
}

// TestE2EDrain sends SIGTERM to a server at work: it is not ready at once, serves through
// the grace time, answers what is in flight and exits with 0.
func TestE2EDrain(t *testing.T) {
	models := t.TempDir()
	writeModel(t, models, slow(512, 100), "1")
	writeModel(t, models, plus(1), "1")
	p := start(t, models, "127.0.0.1", "--grace", "500ms", "--drain-timeout", "30s")
	c := p.client(t)
	const rows = 256
	q := &client.Request{Model: "slow", Inputs: []client.Tensor{client.Float32("x", []int{rows, 512}, make([]float32, rows*512))}}
	results := make(chan error, 4)
	for range cap(results) {
		go func() {
			_, err := c.Infer(context.Background(), q)
			results <- err
		}()
	}
	time.Sleep(50 * time.Millisecond)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	if ready, err := c.Ready(context.Background()); ready || err != nil {
		t.Errorf("after SIGTERM: ready %t, %v", ready, err)
	}
	if _, err := c.Infer(context.Background(), &client.Request{Model: "plus", Inputs: []client.Tensor{client.Float32("x", []int{1, 2}, []float32{1, 1})}}); err != nil {
		t.Errorf("a request in the grace time: %v", err)
	}
	for range cap(results) {
		if err := <-results; err != nil {
			t.Errorf("a request in flight: %v", err)
		}
	}
	_ = p.cmd.Wait()
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestE2EAdmin: whatever changes the server answers on loopback only, or to the token.
func TestE2EAdmin(t *testing.T) {
	host := ""
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
			host = n.IP.String()
		}
	}
	if host == "" {
		t.Skip("NOT RUN: this machine has no address but loopback")
	}
	models, secret := t.TempDir(), "sixteen letters or more"
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	writeModel(t, models, plus(1), "1")
	p := start(t, models, "0.0.0.0", "--admin-token-file", token)
	_, port, _ := net.SplitHostPort(p.http)
	outside := "http://" + net.JoinHostPort(host, port)
	calls := []string{"/v2/repository/models/plus/load", "/v2/repository/models/plus/unload", "/v2/logging", "/v2/trace/setting"}
	for _, path := range calls {
		for _, auth := range []string{"", "Bearer wrong", "Bearer ", secret} {
			if status, body := post(t, outside+path, "{}", "Authorization", auth); status != http.StatusForbidden && status != http.StatusUnauthorized {
				t.Errorf("%s from outside with %q: %d %s", path, auth, status, body)
			}
		}
	}
	if status, body := post(t, outside+"/v2/models/plus/infer", `{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}]}`); status != http.StatusOK {
		t.Errorf("a prediction from outside: %d %s", status, body)
	}
	if status, body := post(t, outside+"/v2/repository/models/plus/load", "{}", "Authorization", "Bearer "+secret); status != http.StatusOK {
		t.Errorf("load from outside with the token: %d %s", status, body)
	}
	if status, body := post(t, p.url("/v2/repository/models/plus/load"), "{}"); status != http.StatusOK {
		t.Errorf("load over loopback: %d %s", status, body)
	}
}

// TestE2EBadModels has a server load what is no model: stable codes, no paths, and it goes
// on serving.
func TestE2EBadModels(t *testing.T) {
	models := t.TempDir()
	writeModel(t, models, plus(1), "1")
	good, err := plus(1).Encode()
	if err != nil {
		t.Fatal(err)
	}
	put := func(name string, b []byte) {
		t.Helper()
		dir := filepath.Join(models, name, "1")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "model.onnx"), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := start(t, models, "127.0.0.1")
	want := map[string]string{"empty": "model_truncated", "garbage": "model_invalid", "huge": "model_too_large", "folder": "", "linked": ""}
	put("empty", nil)
	put("garbage", []byte("%PDF-1.7 is not a model"))
	for k := 1; k < 50; k++ {
		name := fmt.Sprintf("cut%d", k)
		put(name, good[:len(good)*k/50])
		want[name] = "model_truncated"
	}
	put("huge", nil)
	if err := os.Truncate(filepath.Join(models, "huge", "1", "model.onnx"), 1<<31); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(models, "folder", "1", "model.onnx"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(models, "linked", "1"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/nowhere/at/all", filepath.Join(models, "linked", "1", "model.onnx")); err != nil {
		t.Fatal(err)
	}
	for name, code := range want {
		status, body := post(t, p.url("/v2/repository/models/"+name+"/load"), "{}")
		var e struct {
			Error, Code string
			Retryable   bool
		}
		if err := json.Unmarshal([]byte(body), &e); err != nil || status < 400 || e.Error == "" || e.Code == "internal" || code != "" && e.Code != code && !strings.HasPrefix(name, "cut") {
			t.Errorf("%s: %d %s, want the code %s", name, status, body, code)
		}
		if strings.HasPrefix(name, "cut") && e.Code != code && e.Code != "model_invalid" {
			t.Errorf("%s: %s", name, body)
		}
		for _, leak := range []string{models, "/nowhere", os.TempDir() + "/", "0xc0", "goroutine"} {
			if strings.Contains(body, leak) {
				t.Errorf("%s: the answer tells %q: %s", name, leak, body)
			}
		}
	}
	if status, body := post(t, p.url("/v2/models/plus/infer"), `{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}]}`); status != http.StatusOK {
		t.Errorf("the good model: %d %s", status, body)
	}
}

// resident is the resident memory of a process in bytes.
func resident(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.Fields(string(b))[1])
	if err != nil {
		t.Fatal(err)
	}
	return n * os.Getpagesize()
}

// TestE2ECycles loads, asks and unloads a model a thousand times: memory must not grow.
func TestE2ECycles(t *testing.T) {
	if os.Getenv("AIMASS_CYCLES") != "1" {
		t.Skip("NOT RUN: a thousand loads (make test-cycles)")
	}
	models := t.TempDir()
	writeModel(t, models, plus(1), "1")
	g := slow(128, 3)
	writeModel(t, models, g, "1")
	p := start(t, models, "127.0.0.1")
	c := p.client(t)
	ctx := context.Background()
	// The server gives memory back a quarter of a second after a model has left. What it holds
	// until then comes and goes by megabytes, and is no growth.
	settled := func() int {
		time.Sleep(time.Second)
		return resident(t, p.cmd.Process.Pid)
	}
	at50 := 0
	for k := 1; k <= 1000; k++ {
		if err := c.Load(ctx, "slow", nil); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Infer(ctx, &client.Request{Model: "slow", Inputs: []client.Tensor{client.Float32("x", []int{2, 128}, make([]float32, 256))}}); err != nil {
			t.Fatal(err)
		}
		if err := c.Unload(ctx, "slow", false); err != nil {
			t.Fatal(err)
		}
		if k == 50 {
			at50 = settled()
		}
		if k%250 == 0 {
			t.Logf("after %d cycles: %d KiB resident", k, settled()>>10)
		}
	}
	grown := settled() - at50
	t.Logf("%d KiB more are resident after 1000 cycles than after 50 (goal 5120)", grown>>10)
	if grown > 5<<20 {
		t.Errorf("after 50 cycles %d KiB were resident", at50>>10)
	}
}
