package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os/exec"
	"strings"
	"time"

	"github.com/aimass/aimass/cache"
	"github.com/aimass/aimass/runtime/tensor"
	"github.com/aimass/aimass/server/wire"
)

// speed is the most bytes a second that f, which handles n, does on one core: of many short measurements, the best.
func speed(n int, f func()) float64 {
	best := math.Inf(1)
	for range 100 {
		runs, began := 0, time.Now()
		for time.Since(began) < 5*time.Millisecond {
			f()
			runs++
		}
		best = min(best, time.Since(began).Seconds()/float64(runs))
	}
	return float64(n) / best
}

// wireSpeed measures what bytes cost on their way in and out, on one core and in this process.
func (r *run) wireSpeed() error {
	c, err := cache.New(cache.Config{MaxBytes: 256 << 20})
	if err != nil {
		return err
	}
	defer c.Close()
	fmt.Fprintf(r.out, "| what | GB/s | goal |\n|---|---|---|\n")
	for _, size := range []int{64 << 10, 256 << 10, 1 << 20} {
		body := make([]byte, size)
		rng := rand.New(rand.NewPCG(1, uint64(size)))
		for i := 0; i < size; i += 8 {
			binary.LittleEndian.PutUint64(body[i:], rng.Uint64())
		}
		for range 100 { // it is kept from the second time on, and some time later
			key := c.RawKey(nil, body)
			if c.Raw(&key) != nil {
				break
			}
			c.KeepRaw(&key, body, size)
			time.Sleep(10 * time.Millisecond)
		}
		hits := true
		v := speed(size, func() {
			key := c.RawKey(nil, body)
			hits = hits && c.Raw(&key) != nil
		})
		if !hits {
			return fmt.Errorf("the cache forgot a body of %d bytes", size)
		}
		fmt.Fprintf(r.out, "| cache: key and check of %d KiB | %.2f | 3 |\n", size>>10, v/1e9)
	}
	const n = 1 << 16
	out := &wire.Response{Model: "m", Version: "1", Outputs: []wire.Result{{Name: "y", DType: tensor.Float32, Shape: tensor.Shape{n}, Data: make([]byte, 4*n)}}}
	rng := rand.New(rand.NewPCG(7, 8))
	for i := range n {
		binary.LittleEndian.PutUint32(out.Outputs[0].Data[4*i:], math.Float32bits(float32(rng.NormFloat64())))
	}
	text := wire.AppendData(nil, tensor.Float32, out.Outputs[0].Data, nil)
	body := append(append([]byte(fmt.Sprintf(`{"inputs":[{"name":"x","datatype":"FP32","shape":[%d],"data":[`, n)), text...), "]}]}"...)
	request, sink := new(wire.Request), &memory{}
	v := speed(len(body), func() {
		if e := request.Parse(body, -1, sink); e != nil {
			err = e
		}
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(r.out, "| JSON, FP32, read | %.2f | 0.4 |\n", v/1e9)
	answer, _, err := wire.AppendResponse(nil, out)
	if err != nil {
		return err
	}
	v = speed(len(answer), func() { answer, _, _ = wire.AppendResponse(answer[:0], out) })
	fmt.Fprintf(r.out, "| JSON, FP32, written | %.2f | 0.4 |\n", v/1e9)
	return r.mixed()
}

// memory is a Sink that keeps an input's elements.
type memory struct{ buf []byte }

func (*memory) Model() string           { return "m" }
func (*memory) Check(*wire.Input) error { return nil }
func (m *memory) Buffer(_ *wire.Input, size int) []byte {
	if size > len(m.buf) {
		m.buf = make([]byte, size)
	}
	return m.buf[:size]
}

// mixed compares sequences of mixed length with and without padding.
func (r *run) mixed() error {
	model, err := r.place.tool(r.place.dir, "models", "all-minilm-l6-v2.onnx")
	if err != nil {
		fmt.Fprintf(r.out, "\nNOT RUN: ragged batches: %v\n", err)
		return nil
	}
	var times []float64
	cosine := 1.0
	for range r.rounds {
		text, err := exec.CommandContext(r.ctx, r.binary, "bench", "mixed", model, "--json").Output()
		if err != nil {
			return fmt.Errorf("bench mixed: %w", err)
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		var got struct {
			Speedup float64 `json:"speedup"`
			Cosine  float64 `json:"min_cosine"`
		}
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil {
			return err
		}
		times, cosine = append(times, got.Speedup), min(cosine, got.Cosine)
	}
	fmt.Fprintf(r.out, "\nMiniLM, sequences of mixed length (log-normal, median 24, 8 to 128), batches of 16, one core: %.2f× the throughput of padded "+
		"batches (goal 1.8); least cosine to the answers alone %.7f (goal .99999).\n", median(times), cosine)
	return nil
}
