package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/client"
	"github.com/aimass/aimass/runtime/onnx/build"
)

// writeModel puts a model into a repository.
func writeModel(t *testing.T, repo string, g *build.Graph, version string) {
	t.Helper()
	b, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(repo, g.Name, version)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "model.onnx"), b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// double gives each input back, floats doubled, of N rows.
func double(name string, columns int64) *build.Graph {
	g := build.New(name, 17)
	n, k := build.Sym("N"), build.Size(columns)
	x := g.Input("x", build.Float, n, k)
	s := g.Input("s", build.String, n, k)
	i := g.Input("i", build.Int64, n, k)
	b := g.Input("b", build.Bool, n, k)
	g.OpAs("y", "Add", []string{x, x})
	g.OpAs("s2", "Identity", []string{s})
	g.OpAs("i2", "Identity", []string{i})
	g.OpAs("b2", "Identity", []string{b})
	g.Output("y", build.Float, n, k)
	g.Output("s2", build.String, n, k)
	g.Output("i2", build.Int64, n, k)
	g.Output("b2", build.Bool, n, k)
	return g
}

func request(rows int) *client.Request {
	shape := []int{rows, 2}
	n := 2 * rows
	x, s, i, b := make([]float32, n), make([]string, n), make([]int64, n), make([]bool, n)
	for k := range n {
		x[k], s[k], i[k], b[k] = float32(k)+0.25, strings.Repeat("é\"", k%5), int64(k)<<40, k%3 == 0
	}
	return &client.Request{Model: "double", ID: "id-7", Inputs: []client.Tensor{
		client.Float32("x", shape, x), client.Strings("s", shape, s), client.Int64("i", shape, i), client.Bool("b", shape, b)}}
}

func checkAnswer(t *testing.T, r *client.Request, res *client.Result) {
	t.Helper()
	x, _ := r.Inputs[0].Float32s()
	s, _ := r.Inputs[1].Strings()
	i, _ := r.Inputs[2].Int64s()
	b, _ := r.Inputs[3].Bools()
	y, err1 := res.Float32s("y")
	s2, err2 := res.Strings("s2")
	i2, err3 := res.Int64s("i2")
	b2, err4 := res.Bools("b2")
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	if len(y) != len(x) || len(s2) != len(s) || len(i2) != len(i) || len(b2) != len(b) {
		t.Fatalf("%d elements came back for %d", len(y), len(x))
	}
	for k := range x {
		if y[k] != 2*x[k] || s2[k] != s[k] || i2[k] != i[k] || b2[k] != b[k] {
			t.Fatalf("element %d: %v %q %d %v", k, y[k], s2[k], i2[k], b2[k])
		}
	}
	if res.ID != r.ID || res.Model != r.Model || res.Version != "1" {
		t.Errorf("id %q, model %q, version %q", res.ID, res.Model, res.Version)
	}
}

// TestClientAgainstServer drives the real server through every form of the client's requests.
func TestClientAgainstServer(t *testing.T) {
	repo := t.TempDir()
	writeModel(t, repo, double("double", 2), "1")
	url := "http://" + startServer(t, repo)
	ctx := context.Background()
	for _, format := range []client.Format{client.Binary, client.JSON} {
		for _, coding := range []client.Compression{client.None, client.Gzip, client.Zstd} {
			c, err := client.New(url, client.Options{Format: format, Compression: coding, Tenant: "t"})
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for rows := range 9 {
				wg.Go(func() {
					r := request(max(rows*rows*8, 1))
					r.Timeout = 20 * time.Second
					res, err := c.Infer(ctx, r)
					if err != nil {
						t.Errorf("format %d, %s, %d rows: %v", format, coding, rows, err)
						return
					}
					checkAnswer(t, r, res)
				})
			}
			wg.Wait()
			c.Close()
		}
	}
	c, err := client.New(url, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	stats, err := c.Statistics(ctx, "double", "")
	if err != nil || len(stats) != 1 || stats[0].InferenceStats.Success.Count != 6*9 || stats[0].InferenceStats.ComputeInfer.NS == 0 {
		t.Errorf("%+v, %v", stats, err)
	}
}

// TestClientAsksServer: what the server refuses, and what it tells of itself.
func TestClientAsksServer(t *testing.T) {
	repo := t.TempDir()
	writeModel(t, repo, double("double", 2), "1")
	c, err := client.New(startServer(t, repo), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	refused := func(want api.Code, change func(*client.Request)) {
		t.Helper()
		r := request(1)
		change(r)
		_, err := c.Infer(ctx, r)
		var e *client.Error
		if !errors.As(err, &e) || e.Code() != want || e.Attempts != 1 || e.RequestID != "id-7" {
			t.Errorf("%v (%+v), want %s", err, e, want)
		}
	}
	refused(api.CodeModelNotFound, func(r *client.Request) { r.Model = "nobody" })
	refused(api.CodeModelVersionNotFound, func(r *client.Request) { r.Version = "9" })
	refused(api.CodeShapeMismatch, func(r *client.Request) { r.Inputs[0] = client.Float32("x", []int{1, 3}, make([]float32, 3)) })
	refused(api.CodeDtypeMismatch, func(r *client.Request) { r.Inputs[0] = client.Float64("x", []int{1, 2}, make([]float64, 2)) })
	refused(api.CodeInputMissing, func(r *client.Request) { r.Inputs = r.Inputs[:3] })
	refused(api.CodeOutputUnexpected, func(r *client.Request) { r.Outputs = []client.Output{{Name: "z"}} })

	res, err := c.Infer(ctx, &client.Request{Model: "double", Inputs: request(1).Inputs, Outputs: []client.Output{{Name: "i2"}}})
	if err != nil || len(res.Outputs) != 1 || res.Outputs[0].Name != "i2" {
		t.Errorf("%+v, %v", res, err)
	}
	meta, err := c.ModelMetadata(ctx, "double", "1")
	if err != nil || len(meta.Inputs) != 4 || meta.Inputs[0].DType != client.FP32 || meta.Inputs[0].Shape[0] != -1 || meta.Versions[0] != "1" {
		t.Errorf("%+v, %v", meta, err)
	}
	cfg, err := c.ModelConfig(ctx, "double", "")
	if err != nil || cfg.Name != "double" || cfg.MaxBatchSize <= 0 || len(cfg.Input) != 4 {
		t.Errorf("%v, %v", cfg, err)
	}
	table, err := c.Errors(ctx)
	if err != nil || len(table) != len(api.Table()) {
		t.Errorf("%d codes, %v", len(table), err)
	}
	server, err := c.ServerMetadata(ctx)
	if err != nil || server.Name == "" || len(server.Extensions) == 0 {
		t.Errorf("%+v, %v", server, err)
	}
	if ok, err := c.ModelReady(ctx, "double", ""); !ok || err != nil {
		t.Errorf("ready %v, %v", ok, err)
	}
	if ok, err := c.ModelReady(ctx, "nobody", ""); ok || api.CodeOf(err) != api.CodeModelNotFound {
		t.Errorf("ready %v, %v", ok, err)
	}
	if err := c.PurgeCache(ctx); err != nil {
		t.Error(err)
	}
}

// TestModels runs `aimass models` against the real server.
func TestModels(t *testing.T) {
	repo := t.TempDir()
	writeModel(t, repo, double("double", 2), "1")
	url := "http://" + startServer(t, repo)
	f := func(args ...string) string {
		t.Helper()
		out, err := run(append(append([]string{"models"}, args...), "--server", url)...)
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return out
	}
	want := func(out string, words ...string) {
		t.Helper()
		for _, w := range words {
			if !strings.Contains(out, w) {
				t.Errorf("no %q in\n%s", w, out)
			}
		}
	}
	want(f("list"), "MODEL", "double  1", "READY")
	want(f("show", "double"), "input   x     FP32   [-1 2]", "versions 1", `"max_batch_size"`)
	want(f("show", "double", "--json"), `"metadata"`, `"config"`)
	writeModel(t, repo, double("late", 3), "4")
	want(f("load", "late"), "late version 4: READY")
	want(f("list", "--ready", "--json"), `"late"`, `"READY"`)
	want(f("stats", "late"), "late", "never")
	want(f("unload", "late"), "late version 4: UNAVAILABLE")
	file := filepath.Join(repo, "double", "1", "model.onnx")
	want(f("load", "given", "--config", "{}", "--file", "1/model.onnx="+file), "given version 1: READY")
	if err := os.WriteFile(filepath.Join(repo, "late", "4", "model.onnx"), []byte("no model"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"load", "late"}, {"show", "nobody"}} {
		_, err := run(append([]string{"models", "--server", url}, args...)...)
		var e *client.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), e.Code().Info().Action) || e.Code() == api.CodeInternal {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestInspectRepository(t *testing.T) {
	repo := t.TempDir()
	writeModel(t, repo, double("double", 2), "1")
	out, err := run("inspect", repo)
	if err != nil || !strings.Contains(out, "double  1        READY  4   4") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = run("inspect", filepath.Join(repo, "double"), "--devices", "--graph", "--shape", "x=5x2")
	for _, w := range []string{"x: float32[N,2], here [5,2]\n", "DEVICE", "cpu", "y = Add(x, x)"} {
		if !strings.Contains(out, w) || err != nil {
			t.Errorf("%v: no %q in\n%s", err, w, out)
		}
	}
	if err := os.WriteFile(filepath.Join(repo, "double", "1", "model.onnx"), []byte("no model"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err = run("inspect", repo); err == nil || !strings.Contains(err.Error(), "1 of 1 versions do not load") || !strings.Contains(out, "UNAVAILABLE") {
		t.Errorf("%v\n%s", err, out)
	}
}
