package main

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aimass/aimass/bench/load"
)

// manyModels hosts a thousand models with room for two hundred.
func (r *run) manyModels() error {
	const models, room = 1000, 200
	dir := filepath.Join(r.dir, "many")
	b, err := os.ReadFile(filepath.Join(r.dir, "models", "mlp", "1", "model.onnx"))
	if err != nil {
		return err
	}
	o := load.Options{Concurrency: 16, Duration: 5 * r.duration}
	for i := range models {
		name := fmt.Sprintf("m%03d", i)
		if err := writeModel(dir, name, b, ""); err != nil {
			return err
		}
		o.Models = append(o.Models, fmt.Sprintf("%s=%g", name, 1/math.Pow(float64(i+1), 1.1)))
	}
	const each = 153 << 10 // what a version counts: the overhead and its weights
	s, err := r.serve(dir, nil, "--model-bytes", fmt.Sprint(room*each), "--no-warmup")
	if err != nil {
		return err
	}
	defer s.stop()
	o.URL = s.http
	p, err := load.New(r.ctx, o) // asks for every model's metadata, so each has been loaded once
	if err != nil {
		return err
	}
	defer p.Close()
	res, err := p.Run(r.ctx, nil)
	if err != nil {
		return err
	}
	resp, err := http.Get(s.http + "/v2/models/stats")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	stats, _ := io.ReadAll(resp.Body)
	fmt.Fprintf(r.out, "%d models of %d KB, room for about %d, Zipf (1.1), 16 in flight: %d answers, %d failed; %.0f/s, p50 %.2f ms, p99 %.2f ms. %d models "+
		"were loaded at the end, %d MB resident.\n",
		models, len(b)>>10, room, res.Requests, res.ErrorCount(), res.RPS, float64(res.Latency.P50)/1e6, float64(res.Latency.P99)/1e6,
		strings.Count(string(stats), `"name":"m`), memoryOf(s.cmd.Process.Pid)>>20)
	return nil
}

// connections opens many that are idle, and puts load on others.
func (r *run) connections() error {
	const idle, busy = 10000, 1000
	s, err := r.serve(filepath.Join(r.dir, "models"), nil)
	if err != nil {
		return err
	}
	defer s.stop()
	pid, addr := s.cmd.Process.Pid, strings.TrimPrefix(s.http, "http://")
	settle := func() int64 {
		time.Sleep(2 * time.Second)
		return memoryOf(pid)
	}
	before := settle()
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	for range idle {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return fmt.Errorf("connection %d of %d: %w", len(open)+1, idle, err)
		}
		open = append(open, c)
		// One request each: idle connections are those that have been used.
		fmt.Fprintf(c, "GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReaderSize(c, 512), nil)
		if err != nil {
			return fmt.Errorf("connection %d of %d: %w", len(open), idle, err)
		}
		resp.Body.Close()
	}
	after := settle()
	p, err := load.New(r.ctx, load.Options{URL: s.http, Models: []string{"mlp"}, Concurrency: busy, Duration: r.duration, Warmup: r.duration / 2})
	if err != nil {
		return err
	}
	defer p.Close()
	res, err := p.Run(r.ctx, nil)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.out, "%d idle connections take %.1f KB each (goal 20). With them %d busy ones: %d answers, %d errors, %.0f/s, p99 %.1f ms.\n",
		idle, float64(after-before)/idle/1024, busy, res.Requests, res.ErrorCount(), res.RPS, float64(res.Latency.P99)/1e6)
	return nil
}
