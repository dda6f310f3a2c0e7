package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/aimass/aimass/bench/load"
)

// tier measures the cache's second tier: what one server has computed, another answers from Redis; then Redis is killed under load.
func (r *run) tier() error {
	redis, addr, err := r.redis()
	if err != nil {
		return err
	}
	defer redis.stop()
	models := filepath.Join(r.dir, "shared")
	b, err := os.ReadFile(filepath.Join(r.dir, "models", "heavy", "1", "model.onnx"))
	if err != nil {
		return err
	}
	if err := writeModel(models, "heavy", b, "response_cache { enable: true }\n"); err != nil {
		return err
	}
	const distinct = 4096 // more than one connection asks for in tierFirst
	const tierFirst = 200 * time.Millisecond
	var server [2]*process
	var metrics [2]string
	for i := range server {
		if metrics[i], err = freePort(); err != nil {
			return err
		}
		if server[i], err = r.serve(models, nil, "--cache-redis", "redis://"+addr, "--metrics", metrics[i]); err != nil {
			return err
		}
		defer server[i].stop()
	}
	ask := func(i, flight int, d time.Duration) (*load.Result, error) {
		p, err := load.New(r.ctx, load.Options{URL: server[i].http, Models: []string{"heavy"}, Concurrency: flight, Distinct: distinct, Duration: d})
		if err != nil {
			return nil, err
		}
		defer p.Close()
		return p.Run(r.ctx, nil)
	}
	computed, err := ask(0, 1, tierFirst)
	if err != nil {
		return err
	}
	if _, err := ask(0, 8, r.duration); err != nil {
		return err
	}
	found, err := ask(1, 1, tierFirst)
	if err != nil {
		return err
	}
	hits, misses := secondTier(metrics[1])
	killed := time.AfterFunc(r.duration/2, func() { _ = redis.cmd.Process.Kill() })
	defer killed.Stop()
	without, err := ask(1, 8, r.duration)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.out, "Two servers share answers through Redis. What the first has computed (p50 %.2f ms) the second answers at its first request without "+
		"computing %.0f of %.0f times, p50 %.2f ms. "+
		"Redis was killed under load: %d answers, %d failed, the longest took %.1f ms.\n", float64(computed.Latency.P50)/1e6, hits, hits+misses,
		float64(found.Latency.P50)/1e6,
		without.Requests, without.ErrorCount(), float64(without.Latency.Max)/1e6)
	return nil
}

// redis starts the system's Redis or Valkey.
func (r *run) redis() (p *process, addr string, err error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if program, err = exec.LookPath("valkey-server"); err != nil {
			return nil, "", fmt.Errorf("neither redis-server nor valkey-server is installed")
		}
	}
	if addr, err = freePort(); err != nil {
		return nil, "", err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, "", err
	}
	p, err = start(r.ctx, "", addr, nil, program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", r.dir)
	return p, addr, err
}

// secondTier reads how often a server found what it looked for in the cache's second tier, and how often not.
func secondTier(metrics string) (hits, misses float64) {
	resp, err := http.Get("http://" + metrics + "/metrics")
	if err != nil {
		return 0, 0
	}
	defer resp.Body.Close()
	for s := bufio.NewScanner(resp.Body); s.Scan(); {
		event, value, ok := strings.Cut(strings.TrimPrefix(s.Text(), `aimass_cache_second_tier_total{event="`), `"} `)
		var n float64
		if _, err := fmt.Sscan(value, &n); !ok || err != nil {
			continue
		}
		switch event {
		case "hit":
			hits = n
		case "miss":
			misses = n
		}
	}
	return hits, misses
}
