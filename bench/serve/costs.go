package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/aimass/aimass/api/inferencepb"
	"github.com/aimass/aimass/bench/load"
)

// inFlight is the load of the rows: requests under way, each on a connection of its own over HTTP.
const inFlight = 64

// row is one line of the table of costs.
type row struct {
	server   *server
	what     string
	model    string
	protocol string
	distinct int
	flight   int // requests in flight; 0 stands for inFlight
	batch    int // rows in a request; 0 stands for one
	shapes   []string
	outputs  []string
	limit    float64 // goal: at most so many times the no-op of the protocol; 0: none
	cpu, p99 float64 // µs of processor a request; ms
	rps      float64
}

// costs measures the processor time of small requests beside that of a server which does
// nothing.
func (r *run) costs() error {
	ours, err := r.serve(filepath.Join(r.dir, "models"), nil)
	if err != nil {
		return err
	}
	defer ours.stop()
	us := &server{name: "aimass", http: ours.http, grpc: ours.grpc, pid: ours.cmd.Process.Pid}
	noops := map[string]*server{}
	for _, protocol := range []string{"http-json", "http-bin", "grpc"} {
		file, err := record(r.dir, us, protocol)
		if err != nil {
			return err
		}
		p, s, err := r.noop(protocol, file)
		if err != nil {
			return err
		}
		defer p.stop()
		noops[protocol] = s
	}
	var rows []*row
	for _, protocol := range []string{"http-json", "http-bin", "grpc"} {
		rows = append(rows, &row{server: noops[protocol], what: "no-op", model: "mlp", protocol: protocol})
	}
	goals := map[string]float64{"http-json": 1.7, "http-bin": 1.5, "grpc": 1.5}
	hitGoals := map[string]float64{"http-json": 1.2, "http-bin": 1.2}
	servers := []*server{us}
	for i := range r.peers {
		servers = append(servers, &r.peers[i])
	}
	cached := func(model string) bool { return strings.HasSuffix(model, "_cached") }
	for _, t := range []struct {
		kind    string
		models  []string
		without func(model string) bool
	}{{"triton", []string{"mlp", "gbdt"}, cached}, {"triton-cache", []string{"mlp"}, func(m string) bool { return !cached(m) }}} {
		p, s, err := r.triton(t.kind, t.models...)
		if err != nil {
			fmt.Fprintf(r.out, "NOT RUN: %s: %v\n\n", t.kind, err)
			continue
		}
		defer p.stop()
		s.without = t.without
		servers = append(servers, s)
	}
	for _, s := range servers {
		for _, model := range []string{"mlp", "gbdt"} {
			for _, protocol := range []string{"http-json", "http-bin", "grpc"} {
				rows = append(rows, &row{server: s, what: model + ", computed", model: model, protocol: protocol, limit: goals[protocol]})
			}
		}
		for _, protocol := range []string{"http-json", "http-bin", "grpc"} {
			rows = append(rows, &row{server: s, what: hit, model: "mlp_cached", protocol: protocol, distinct: 1, limit: hitGoals[protocol]})
		}
	}
	rows = slices.DeleteFunc(rows, func(x *row) bool { return x.server.without != nil && x.server.without(x.model) })
	for range r.rounds {
		for _, x := range rows {
			if err := x.measure(r.ctx, r.duration); err != nil {
				fmt.Fprintf(os.Stderr, "%s %s %s: %v\n", x.server.name, x.what, x.protocol, err)
			}
		}
	}
	base := map[string]float64{}
	fmt.Fprintf(r.out, "%d requests in flight, best of %d. CPU is the server's alone.\n\n| server | what | protocol | requests/s | CPU µs a request | to the "+
		"no-op | goal | p99 ms |\n|---|---|---|---|---|---|---|---|\n", inFlight, r.rounds)
	for _, x := range rows {
		if x.what == "no-op" {
			base[x.protocol] = x.cpu
		}
		ratio, goal := "", ""
		if x.cpu == 0 {
			fmt.Fprintf(r.out, "| %s | %s | %s | failed | | | | |\n", x.server.name, x.what, x.protocol)
			continue
		}
		if x.what != "no-op" {
			ratio = fmt.Sprintf("%.2f×", x.cpu/base[x.protocol])
		}
		if x.limit > 0 && x.server == us {
			goal = fmt.Sprintf("≤ %.1f×", x.limit)
		}
		fmt.Fprintf(r.out, "| %s | %s | %s | %.0f | %.1f | %s | %s | %.2f |\n", x.server.name, x.what, x.protocol, x.rps, x.cpu, ratio, goal, x.p99)
	}
	toHits(r.out, us, rows)
	return nil
}

// hit is what the rows of the cache are called.
const hit = "mlp, cache hit"

// toHits compares what our server needs with what Triton needs to find an answer in its cache.
func toHits(out io.Writer, us *server, rows []*row) {
	hits := map[string]float64{}
	for _, x := range rows {
		if x.what == hit && x.server.name == "Triton" {
			hits[x.protocol] = x.cpu
		}
	}
	// Found answers have no goal by gRPC.
	computed, found := map[string]float64{"http-json": .8, "http-bin": .6, "grpc": 1}, map[string]float64{"http-json": .4, "http-bin": .4}
	var said []string
	for _, x := range rows {
		theirs, goal := hits[x.protocol], 0.0
		switch {
		case x.server != us || x.cpu == 0 || theirs == 0:
			continue
		case x.what == hit:
			goal = found[x.protocol]
		case x.model == "mlp":
			goal = computed[x.protocol]
		default:
			continue
		}
		text := fmt.Sprintf("%s, %s %.2f×", x.what, x.protocol, x.cpu/theirs)
		if goal > 0 {
			text += fmt.Sprintf(" (goal %.1f)", goal)
		}
		said = append(said, text)
	}
	if len(said) > 0 {
		fmt.Fprintf(out, "\nTo Triton's cache hit by the same protocol: %s.\n", strings.Join(said, "; "))
	}
}

func (x *row) measure(ctx context.Context, d time.Duration) error {
	url := x.server.http
	if x.protocol == "grpc" {
		url = x.server.grpc
	}
	o := load.Options{URL: url, Models: []string{x.model}, Protocol: x.protocol, Concurrency: cmp.Or(x.flight, inFlight), Distinct: x.distinct, Duration: d / 4,
		Batch: x.batch, Shapes: x.shapes, Outputs: x.outputs}
	warm, err := load.New(ctx, o)
	if err != nil {
		return err
	}
	defer warm.Close()
	if _, err := warm.Run(ctx, nil); err != nil {
		return err
	}
	o.Duration = d
	p, err := load.New(ctx, o)
	if err != nil {
		return err
	}
	defer p.Close()
	before, err := cpuOfTree(x.server.pid)
	if err != nil {
		return err
	}
	res, err := p.Run(ctx, nil)
	if err != nil {
		return err
	}
	after, err := cpuOfTree(x.server.pid)
	if err != nil || res.Requests == 0 || res.ErrorCount() > 0 {
		return fmt.Errorf("%d answers, errors %v, %v", res.Requests, res.Errors, err)
	}
	cpu := float64((after - before).Microseconds()) / float64(res.Requests)
	if x.cpu == 0 || cpu < x.cpu {
		x.cpu, x.rps, x.p99 = cpu, res.RPS, float64(res.Latency.P99)/1e6
	}
	return nil
}

// noop starts the server that does nothing.
func (r *run) noop(protocol, file string) (*process, *server, error) {
	kind := "noop-http"
	if protocol == "grpc" {
		kind = "noop-grpc"
	}
	addr, err := freePort()
	if err != nil {
		return nil, nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	p, err := start(r.ctx, "", addr, nil, self, kind, addr, file)
	if err != nil {
		return nil, nil, err
	}
	return p, &server{name: "no-op", http: "http://" + addr, grpc: addr, pid: p.cmd.Process.Pid}, nil
}

// floatsBody is one request of rows of zeros in the binary extension, to mlp or heavy: JSON, and how long it is.
func floatsBody(rows, columns int) (body []byte, jsonLen int) {
	head := fmt.Sprintf(`{"inputs":[{"name":"input","datatype":"FP32","shape":[%d,%d],"parameters":{"binary_data_size":%d}}],"outputs":[{"name":"output","parameters":{"binary_data":true}}]}`, rows, columns, 4*rows*columns)
	return append([]byte(head), make([]byte, 4*rows*columns)...), len(head)
}

// record asks our server for what the no-op is to answer.
func record(dir string, s *server, protocol string) (file string, err error) {
	rec := &replay{}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	switch protocol {
	case "grpc":
		err = rec.grpc(ctx, s.grpc)
	case "http-json":
		err = rec.http(s.http, []byte(`{"inputs":[{"name":"input","datatype":"FP32","shape":[1,32],"data":[`+strings.TrimSuffix(strings.Repeat("0.5,", 32), ",")+
			`]}]}`), -1)
	default:
		body, n := floatsBody(1, 32)
		err = rec.http(s.http, body, n)
	}
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(rec)
	if err != nil {
		return "", err
	}
	file = filepath.Join(dir, "noop-"+protocol+".json")
	return file, os.WriteFile(file, b, 0o644)
}

func (rec *replay) http(url string, body []byte, jsonLen int) error {
	resp, err := http.Get(url + "/v2/models/mlp")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	meta, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(http.MethodPost, url+"/v2/models/mlp/infer", bytes.NewReader(body))
	if err != nil {
		return err
	}
	const length = "Inference-Header-Content-Length"
	if jsonLen >= 0 {
		req.Header.Set(length, strconv.Itoa(jsonLen))
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	rec.Metadata, rec.ContentType, rec.HeaderLength = string(meta), answer.Header.Get("Content-Type"), answer.Header.Get(length)
	if rec.Infer, err = io.ReadAll(answer.Body); err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s", rec.Infer)
	}
	return err
}

func (rec *replay) grpc(ctx context.Context, addr string) error {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	c := inferencepb.NewGRPCInferenceServiceClient(conn)
	m, err := c.ModelMetadata(ctx, &inferencepb.ModelMetadataRequest{Name: "mlp"})
	if err != nil {
		return err
	}
	a, err := c.ModelInfer(ctx, &inferencepb.ModelInferRequest{ModelName: "mlp", Inputs: []*inferencepb.ModelInferRequest_InferInputTensor{{Name: "input",
		Datatype: "FP32", Shape: []int64{1, 32}}},
		RawInputContents: [][]byte{make([]byte, 128)}})
	if err != nil {
		return err
	}
	if rec.GRPCMetadata, err = proto.Marshal(m); err == nil {
		rec.GRPCInfer, err = proto.Marshal(a)
	}
	return err
}

// agreement holds our load generator against perf_analyzer and wrk.
func (r *run) agreement() error {
	p, err := r.serve(filepath.Join(r.dir, "models"), nil)
	if err != nil {
		return err
	}
	defer p.stop()
	s := &server{name: "aimass", http: p.http, grpc: p.grpc, pid: p.cmd.Process.Pid}
	if err := r.beside(s); err != nil {
		fmt.Fprintf(r.out, "NOT RUN: perf_analyzer: %v\n", err)
	}
	if _, err := exec.LookPath("wrk"); err != nil {
		fmt.Fprintf(r.out, "NOT RUN: wrk is not installed.\n")
		return nil
	}
	for _, x := range []*row{{server: s, model: "heavy", flight: embedFlight, batch: besideRows}, {server: s, model: "mlp", flight: inFlight}} {
		if err := r.besideWrk(x); err != nil {
			return err
		}
	}
	return nil
}

// besideWrk holds our load generator against wrk under the same load. On requests as small as mlp's what the generators themselves cost, on
// the server's cores, counts as much as the server does.
func (r *run) besideWrk(x *row) error {
	inputs := map[string]int{"heavy": 256, "mlp": 32}
	rows := max(x.batch, 1)
	body, n := floatsBody(rows, inputs[x.model])
	x.protocol, x.distinct = "http-bin", 1
	var lua strings.Builder
	fmt.Fprintf(&lua, "wrk.method = \"POST\"\nwrk.headers[\"Inference-Header-Content-Length\"] = \"%d\"\nwrk.body = \"", n)
	for _, b := range body {
		fmt.Fprintf(&lua, "\\%03d", b)
	}
	lua.WriteString("\"\n")
	script := filepath.Join(r.dir, "wrk.lua")
	if err := os.WriteFile(script, []byte(lua.String()), 0o644); err != nil {
		return err
	}
	best, theirs := 0.0, 0.0
	for range r.rounds {
		x.cpu = 0
		if err := x.measure(r.ctx, r.duration); err != nil {
			return err
		}
		best = max(best, x.rps)
		out, err := exec.CommandContext(r.ctx, "wrk", "-t1", fmt.Sprint("-c", x.flight), fmt.Sprintf("-d%ds", int(math.Ceil(r.duration.Seconds()))), "-s", script,
			x.server.http+"/v2/models/"+x.model+"/infer").Output()
		if err != nil {
			return err
		}
		if _, rest, ok := strings.Cut(string(out), "Requests/sec:"); ok {
			v, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			theirs = max(theirs, v)
		}
	}
	fmt.Fprintf(r.out, "\nBeside wrk on %s, binary, %d rows a request, %d connections: %.0f and %.0f requests/s (%+.0f %%; goal within 10 %%).\n", x.model, rows,
		x.flight, best, theirs, 100*(best/theirs-1))
	return nil
}
