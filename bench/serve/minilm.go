package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	embedLength = 32 // tokens of a request
	embedFlight = 8
	embedBatch  = 8 // of ONNX Runtime alone
)

// embedOutput is the sentence's output, under the exporter's name; Triton is told to serve it alone, too.
const embedOutput = "882"

// embedModels writes a repository that holds minilm, where other servers have it.
func (r *run) embedModels() (dir string, err error) {
	model, err := r.place.tool(r.place.dir, "models", "all-minilm-l6-v2.onnx")
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(model)
	if err != nil {
		return "", err
	}
	dir = filepath.Join(r.dir, "embed")
	return dir, writeModel(dir, "minilm", b, "")
}

func embedShapes() (shapes []string) {
	for _, in := range []string{"input_ids", "attention_mask", "token_type_ids"} {
		shapes = append(shapes, fmt.Sprintf("%s=1x%d", in, embedLength))
	}
	return shapes
}

// embed serves MiniLM beside Triton, whose Python backend runs ONNX Runtime, and beside ONNX Runtime alone
// in a process, which has no requests to read.
func (r *run) embed() error {
	dir, err := r.embedModels()
	if err != nil {
		return err
	}
	model := filepath.Join(dir, "minilm", "1", "model.onnx")
	ours, err := r.serve(dir, nil)
	if err != nil {
		return err
	}
	defer ours.stop()
	theirs, triton, err := r.triton("triton", "minilm")
	if err != nil {
		return err
	}
	defer theirs.stop()
	us := &server{name: "aimass", http: ours.http, pid: ours.cmd.Process.Pid}
	rows := []*row{
		{server: us, model: "minilm", protocol: "http-bin", outputs: []string{embedOutput}},
		{server: triton, model: "minilm", protocol: "http-bin", outputs: []string{"embedding"}},
	}
	var alone float64
	var rate, p99, cost [2][]float64
	for range r.rounds {
		for i, x := range rows {
			x.flight, x.cpu = embedFlight, 0
			x.shapes = embedShapes()
			if err := x.measure(r.ctx, r.duration); err != nil {
				return fmt.Errorf("%s: %w", x.server.name, err)
			}
			rate[i], p99[i], cost[i] = append(rate[i], x.rps), append(p99[i], x.p99), append(cost[i], x.cpu/1000)
		}
		v, err := r.runtimeAlone(model)
		if err != nil {
			return err
		}
		alone = max(alone, v)
	}
	fmt.Fprintf(r.out, "Sequences of %d tokens, binary, %d in flight, medians of %d. ONNX Runtime alone: batches of %d on %d threads, its best.\n\n| server | "+
		"sequences/s | p99 ms | CPU ms a sequence |\n|---|---|---|---|\n",
		embedLength, embedFlight, r.rounds, embedBatch, threads)
	for i, x := range rows {
		fmt.Fprintf(r.out, "| %s | %.0f | %.1f | %.1f |\n", x.server.name, median(rate[i]), median(p99[i]), median(cost[i]))
	}
	fmt.Fprintf(r.out, "| ONNX Runtime alone | %.0f | | |\n\nThroughput %.2f× Triton's (goal 1.3), %.2f× that of ONNX Runtime alone (goal 1.0); p99 %.2f× "+
		"Triton's (goal 1.0).\n",
		alone, median(rate[0])/median(rate[1]), median(rate[0])/alone, median(p99[0])/median(p99[1]))
	return nil
}

// threads of ONNX Runtime alone.
const threads = 2

// runtimeAlone gives the sequences a second of ONNX Runtime in a process of its own.
func (r *run) runtimeAlone(model string) (float64, error) {
	python, err := r.place.tool(r.place.dir, "venvs", "build", "bin", "python")
	if err != nil {
		return 0, err
	}
	script, err := r.place.tool(r.place.scripts, "inproc.py")
	if err != nil {
		return 0, err
	}
	args := []string{script, model, "--threads", fmt.Sprint(threads), "--duration", r.duration.String(), "--output", embedOutput, "--json"}
	for _, in := range []string{"input_ids", "attention_mask", "token_type_ids"} {
		args = append(args, "--shape", fmt.Sprintf("%s=%dx%d:int64", in, embedBatch, embedLength))
	}
	out, err := exec.CommandContext(r.ctx, python, args...).Output()
	if err != nil {
		return 0, fmt.Errorf("inproc.py: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	var got struct {
		P50 float64 `json:"p50_ns"`
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil || got.P50 <= 0 {
		return 0, fmt.Errorf("inproc.py says %q", lines[len(lines)-1])
	}
	return embedBatch * 1e9 / got.P50, nil
}

// besideRows is large enough to make the server the bottleneck, rather than a load generator that shares its cores.
const besideRows = 64

// beside holds our load generator against perf_analyzer.
func (r *run) beside(s *server) error {
	script, err := r.place.tool(r.place.scripts, "perf_analyzer.sh")
	if err == nil {
		_, err = r.place.tool(r.place.dir, "perf_analyzer", "pa.bin")
	}
	if err != nil {
		return err
	}
	x := &row{server: s, model: "heavy", protocol: "http-bin", flight: embedFlight, batch: besideRows}
	var ours, theirs []float64
	for range r.rounds {
		x.cpu = 0
		if err := x.measure(r.ctx, r.duration); err != nil {
			return err
		}
		ours = append(ours, x.rps)
		c := exec.CommandContext(r.ctx, "bash", script, "-m", "heavy", "-u", strings.TrimPrefix(s.http, "http://"), "-i", "http",
			"-b", fmt.Sprint(besideRows), "--concurrency-range", fmt.Sprint(embedFlight), "--measurement-interval", fmt.Sprint(r.duration.Milliseconds()),
			"--max-trials", "3", "--stability-percentage", "50")
		c.Env = append(os.Environ(), "AIMASS_PEERS="+r.place.dir)
		out, err := c.CombinedOutput()
		_, rest, ok := strings.Cut(string(out), "Throughput: ")
		var v float64
		if _, serr := fmt.Sscan(rest, &v); !ok || serr != nil {
			return fmt.Errorf("perf_analyzer: %v: %.300s", err, out)
		}
		theirs = append(theirs, v/besideRows) // it counts rows
	}
	fmt.Fprintf(r.out, "Beside perf_analyzer on heavy, binary, %d rows a request, %d in flight: %.0f and %.0f requests/s (%+.0f %%; goal within 10 %%).\n",
		besideRows, embedFlight, median(ours), median(theirs), 100*(median(ours)/median(theirs)-1))
	return nil
}
