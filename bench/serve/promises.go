package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aimass/aimass/bench/load"
)

// promises measures what each caller is promised while others keep the server busy.
func (r *run) promises() error {
	if err := r.tenants(); err != nil {
		return err
	}
	models := filepath.Join(r.dir, "models")
	gathering := filepath.Join(r.dir, "gathering")
	b, err := os.ReadFile(filepath.Join(models, "heavy", "1", "model.onnx"))
	if err != nil {
		return err
	}
	for name, config := range map[string]string{"heavy": "", "gathering": "dynamic_batching { max_queue_delay_microseconds: 60000000 }\n"} {
		if err := writeModel(gathering, name, b, config); err != nil {
			return err
		}
	}
	addr, err := freePort()
	if err != nil {
		return err
	}
	s, err := r.serve(gathering, nil, "--metrics", addr)
	if err != nil {
		return err
	}
	defer s.stop()
	p, err := load.New(r.ctx, load.Options{URL: s.http, Models: []string{"heavy"}, Concurrency: inFlight, Duration: time.Hour})
	if err != nil {
		return err
	}
	defer p.Close()
	busy := make(chan struct{})
	ctx, idle := context.WithCancel(r.ctx)
	go func() { _, _ = p.Run(ctx, nil); close(busy) }()
	defer func() { idle(); <-busy }()
	time.Sleep(r.duration / 2)
	if err := r.gone(s, addr); err != nil {
		return err
	}
	return r.late(s)
}

const (
	tenantCount  = 2
	tenantLoad   = 0.8 // of the peak, by all together
	tenantGreed  = 10
	tenantFlight = 256
)

// tenants has one send ten times its share and looks at the others.
func (r *run) tenants() error {
	s, err := r.serve(filepath.Join(r.dir, "models"), []string{"taskset=0", "GOMAXPROCS=1"}, "--threads", "1")
	if err != nil {
		return err
	}
	defer s.stop()
	c := &crowd{model: "heavy"}
	closed, err := r.apart(s, c, "--concurrency", "64")
	if err != nil {
		return err
	}
	share := tenantLoad * closed.RPS / tenantCount
	// One process each, so that the greedy one's requests don't wait in the others' generator.
	round := func(greed float64) (p99 float64, err error) {
		done := make(chan error, 1)
		go func() {
			_, err := r.apart(s, c, "--tenant", "greedy", "--rate", fmt.Sprint(greed*share), "--connections", fmt.Sprint(tenantFlight), "--warmup", "500ms")
			done <- err
		}()
		flags := []string{"--rate", fmt.Sprint(share * (tenantCount - 1)), "--warmup", "500ms"}
		for k := range tenantCount - 1 {
			flags = append(flags, "--tenant", fmt.Sprint("modest", k))
		}
		res, err := r.apart(s, c, flags...)
		if e := <-done; err == nil {
			err = e
		}
		if err != nil {
			return 0, err
		}
		return float64(res.Latency.P99) / 1e6, nil
	}
	var fair, greedy []float64
	for range max(r.rounds, 3) {
		for greed, into := range map[float64]*[]float64{1: &fair, tenantGreed: &greedy} {
			v, err := round(greed)
			if err != nil {
				return err
			}
			*into = append(*into, v)
		}
	}
	fmt.Fprintf(r.out, "Tenants: %d send heavy %.0f requests/s each, %.0f %% of the peak; then one sends %d times as much. The other's p99: %.2f and %.2f ms, "+
		"%.2f× (goal 1.2).\n\n",
		tenantCount, share, 100*tenantLoad, tenantGreed, median(fair), median(greedy), median(greedy)/median(fair))
	return nil
}

// heavyRequest is one to a model like heavy, as it goes over the wire.
func heavyRequest(s *process, model string, timeout time.Duration) []byte {
	const width = 256
	var params string
	if timeout > 0 {
		params = fmt.Sprintf(`"parameters":{"timeout":%d},`, timeout.Microseconds())
	}
	head := fmt.Sprintf(`{%s"inputs":[{"name":"input","datatype":"FP32","shape":[1,%d],"parameters":{"binary_data_size":%d}}]}`, params, width, 4*width)
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST /v2/models/%s/infer HTTP/1.1\r\nHost: x\r\nInference-Header-Content-Length: %d\r\nContent-Length: %d\r\n\r\n%s", model, len(head),
		len(head)+4*width, head)
	b.Write(make([]byte, 4*width))
	return b.Bytes()
}

// tries of what is measured one by one.
const tries = 100

// gone closes connections whose request waits, and looks when its place is free.
func (r *run) gone(s *process, metrics string) error {
	waiting := func() (int, error) {
		resp, err := http.Get("http://" + metrics + "/metrics")
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			return 0, err
		}
		_, rest, ok := strings.Cut(string(text), `aimass_batcher_queue_requests{model="gathering",version="1"} `)
		value, _, _ := strings.Cut(rest, "\n")
		if !ok {
			return 0, fmt.Errorf("/metrics does not tell of the queue")
		}
		return strconv.Atoi(value)
	}
	until := func(want int) error {
		for {
			if n, err := waiting(); err != nil || n == want {
				return err
			}
		}
	}
	var took []float64
	request := heavyRequest(s, "gathering", 0)
	for range tries {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.http, "http://"))
		if err != nil {
			return err
		}
		if _, err := c.Write(request); err != nil {
			return err
		}
		if err := until(1); err != nil {
			return err
		}
		began := time.Now()
		c.Close()
		if err := until(0); err != nil {
			return err
		}
		took = append(took, time.Since(began).Seconds()*1e3)
	}
	slices.Sort(took)
	fmt.Fprintf(r.out, "Cancellation: while %d other connections keep all cores busy, the place of a request whose connection was closed was seen free after "+
		"%.2f ms (median of %d), %.2f at most, with the time to ask for the metrics (goal 10).\n\n",
		inFlight, took[len(took)/2], tries, took[len(took)-1])
	return nil
}

// late sends requests that can hardly make their deadline to a busy model, and looks how long after it they are answered.
func (r *run) late(s *process) error {
	c, err := net.Dial("tcp", strings.TrimPrefix(s.http, "http://"))
	if err != nil {
		return err
	}
	defer c.Close()
	in := bufio.NewReader(c)
	var over []float64
	answers := map[int]int{}
	for i := range 4 * tries {
		timeout := time.Duration(1+i%20) * 500 * time.Microsecond
		request := heavyRequest(s, "heavy", timeout)
		began := time.Now()
		if _, err := c.Write(request); err != nil {
			return err
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil {
			return err
		}
		answers[resp.StatusCode]++
		over = append(over, (time.Since(began)-timeout).Seconds()*1e3)
	}
	slices.Sort(over)
	fmt.Fprintf(r.out, "Deadlines: beside the same load, %d requests with timeouts of 0.5 to 10 ms had their answer (%d times 200, %d times 503, %d times "+
		"504) %.2f ms after the deadline at the latest, p99 %.2f (goal 5).\n",
		len(over), answers[200], answers[503], answers[504], max(over[len(over)-1], 0), max(over[len(over)*99/100], 0))
	return nil
}
