package pipeline

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/batcher"
	"github.com/aimass/aimass/cache"
	"github.com/aimass/aimass/repository/config"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/runtime/tensor"
)

// sums serves a model that adds what a sequence has sent so far: sum = x + state, with the
// controls that it is told as further outputs.
func sums(t *testing.T, sequenceBatching string) *Served {
	t.Helper()
	g := build.New("sums", 17)
	n := build.Sym("n")
	x := g.Input("x", build.Float, n, build.Size(1))
	state := g.Input("state", build.Float, n, build.Size(1))
	for _, c := range []string{"start", "end", "ready"} {
		g.Output(g.OpAs("is_"+c, "Identity", []string{g.Input(c, build.Int32, n, build.Size(1))}), build.Int32, n, build.Size(1))
	}
	g.Output(g.OpAs("id", "Identity", []string{g.Input("corrid", build.Int64, n, build.Size(1))}), build.Int64, n, build.Size(1))
	g.Output(g.OpAs("sum", "Add", []string{x, state}), build.Float, n, build.Size(1))
	g.Output(g.OpAs("next", "Identity", []string{"sum"}), build.Float, n, build.Size(1))
	b, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	m, err := runtime.NewEngine(runtime.Config{}).Read(b)
	if err != nil {
		t.Fatal(err)
	}
	file, err := config.Parse([]byte("max_batch_size: 8\n" + sequenceBatching))
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := config.Resolve(config.Source{Model: "sums", File: file, Runtime: m})
	if err != nil {
		t.Fatal(err)
	}
	hot, err := cache.New(cache.Config{}.WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	p := New(hot)
	v, err := p.Attach(Spec{Model: "sums", Version: 1, Runtime: m, Inputs: ports(c.Inputs), Outputs: ports(c.Outputs), MaxBatch: c.MaxBatch, Config: c, Batcher: batcher.Config{}.WithDefaults(2)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Detach(v); hot.Close() })
	return v
}

const sumState = `sequence_batching {
  max_sequence_idle_microseconds: 2000000
  control_input { name: "start" control { kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] } }
  control_input { name: "end" control { kind: CONTROL_SEQUENCE_END int32_false_true: [ 0, 1 ] } }
  control_input { name: "ready" control { kind: CONTROL_SEQUENCE_READY int32_false_true: [ 0, 1 ] } }
  control_input { name: "corrid" control { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_INT64 } }
  state { input_name: "state" output_name: "next" data_type: TYPE_FP32 dims: [ 1 ] }
`

// send gives the sum and what the controls said.
func send(ctx context.Context, v *Served, s Sequence, x float32) (sum float32, said string, err error) {
	c := &Call{Sequence: s}
	c.In = make([]tensor.Tensor, len(v.Inputs))
	c.In[0] = *tensor.FromSlice([]float32{x}, 1, 1)
	if err := v.Infer(ctx, c); err != nil {
		return 0, "", err
	}
	defer c.Release()
	out := func(name string) *tensor.Tensor {
		i, _ := v.FindOutput([]byte(name))
		return c.Out[i].(*tensor.Tensor)
	}
	one := func(name string) int32 { return tensor.Data[int32](out(name))[0] }
	return tensor.Data[float32](out("sum"))[0], fmt.Sprint(one("is_start"), one("is_end"), one("is_ready"), tensor.Data[int64](out("id"))[0]), nil
}

func TestSequence(t *testing.T) {
	v := sums(t, sumState+"}")
	ctx := context.Background()
	for i, step := range []struct {
		s    Sequence
		x    float32
		want float32
		said string
	}{
		{Sequence{Number: 7, Start: true}, 1, 1, "1 0 1 7"}, {Sequence{Number: 7}, 2, 3, "0 0 1 7"},
		{Sequence{Text: "7", Start: true}, 10, 10, ""}, {Sequence{Number: 7}, 3, 6, "0 0 1 7"},
		{Sequence{Text: "7", End: true}, 5, 15, ""}, {Sequence{Number: 7, End: true}, 1, 7, "0 1 1 7"},
		{Sequence{Number: 7, Start: true, End: true}, 4, 4, "1 1 1 7"},
	} {
		got, said, err := send(ctx, v, step.s, step.x)
		if err != nil || got != step.want || step.said != "" && said != step.said {
			t.Fatalf("step %d: got %v, %q, %v", i, got, said, err)
		}
	}
	if n := v.LiveSequences(); n != 0 {
		t.Errorf("%d sequences live", n)
	}
	for name, s := range map[string]struct {
		s    Sequence
		code api.Code
		want string
	}{
		"none":    {Sequence{}, api.CodeSequenceInvalid, "correlation ID"},
		"unknown": {Sequence{Number: 9}, api.CodeSequenceNotStarted, "START flag"},
		"ended":   {Sequence{Number: 7}, api.CodeSequenceNotStarted, "sequence 7 to model 'sums'"},
		"end":     {Sequence{Text: "x", End: true}, api.CodeSequenceNotStarted, "sequence 'x'"},
	} {
		if _, _, err := send(ctx, v, s.s, 1); api.CodeOf(err) != s.code || !strings.Contains(err.Error(), s.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := v.Find([]byte("state")); err == nil {
		t.Error("a client may set the state")
	}
	if _, err := v.FindOutput([]byte("next")); err == nil {
		t.Error("a client may read the state")
	}
}

func TestSequenceIsStartedOnce(t *testing.T) {
	v := sums(t, sumState+" oldest { max_candidate_sequences: 2 } }")
	ctx := context.Background()
	must := func(s Sequence) {
		t.Helper()
		if _, _, err := send(ctx, v, s, 1); err != nil {
			t.Fatal(err)
		}
	}
	must(Sequence{Number: 1, Start: true})
	if _, _, err := send(ctx, v, Sequence{Number: 1, Start: true}, 1); api.CodeOf(err) != api.CodeSequenceInvalid {
		t.Errorf("started twice: %v", err)
	}
	must(Sequence{Number: 2, Start: true})
	if _, _, err := send(ctx, v, Sequence{Number: 3, Start: true}, 1); api.CodeOf(err) != api.CodeSequenceLimit || api.RetryAfter(err) <= 0 {
		t.Errorf("one too many: %v", err)
	}
	must(Sequence{Number: 1, End: true})
	must(Sequence{Number: 3, Start: true})
}

// TestTheTurnIsWaitedForInTime: a request whose time is over while another of its sequence runs says so, and leaves the
// sequence as it was.
func TestTheTurnIsWaitedForInTime(t *testing.T) {
	v := sums(t, sumState+"}")
	if _, _, err := send(t.Context(), v, Sequence{Number: 1, Start: true}, 1); err != nil {
		t.Fatal(err)
	}
	s := v.sequences.live[sequenceKey{number: 1}]
	<-s.turn
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, _, err := send(ctx, v, Sequence{Number: 1}, 1); api.CodeOf(err) != api.CodeRequestTimeout {
		t.Errorf("got %v", err)
	}
	s.turn <- struct{}{}
	if got, _, err := send(t.Context(), v, Sequence{Number: 1, End: true}, 1); err != nil || got != 2 {
		t.Errorf("afterwards: %v, %v", got, err)
	}
}

func TestIdleSequenceExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := sums(t, sumState+"}")
		ctx := context.Background()
		if _, _, err := send(ctx, v, Sequence{Number: 1, Start: true}, 1); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			time.Sleep(1900 * time.Millisecond)
			if got, _, err := send(ctx, v, Sequence{Number: 1}, 1); err != nil || got != float32(i+2) {
				t.Fatalf("got %v, %v", got, err)
			}
		}
		time.Sleep(2100 * time.Millisecond)
		if n := v.LiveSequences(); n != 0 {
			t.Errorf("%d sequences live after the idle time", n)
		}
		if _, _, err := send(ctx, v, Sequence{Number: 1}, 1); api.CodeOf(err) != api.CodeSequenceNotStarted {
			t.Errorf("after the idle time: %v", err)
		}
		if got, _, err := send(ctx, v, Sequence{Number: 1, Start: true}, 5); err != nil || got != 5 {
			t.Errorf("begun again: %v, %v", got, err)
		}
	})
}

// TestSequencesUnderLoad: many sequences at once, requests of one sent without waiting for the one
// before, some cancelled: a sum is that of the requests that were answered, in some order of
// the sequence, and nothing is stuck.
func TestSequencesUnderLoad(t *testing.T) {
	v := sums(t, sumState+"}")
	var wg sync.WaitGroup
	for g := range 12 {
		wg.Go(func() {
			for round := range 10 {
				id := uint64(1 + g*100 + round)
				if _, _, err := send(context.Background(), v, Sequence{Number: id, Start: true}, 1); err != nil {
					t.Error(err)
					return
				}
				var mu sync.Mutex
				answered := 0
				var inner sync.WaitGroup
				for range 6 {
					inner.Go(func() {
						ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(2000))*time.Microsecond)
						defer cancel()
						if _, said, err := send(ctx, v, Sequence{Number: id}, 1); err == nil {
							mu.Lock()
							answered++
							mu.Unlock()
							if !strings.HasSuffix(said, fmt.Sprint(" ", id)) {
								t.Errorf("sequence %d: the model saw %s", id, said)
							}
						} else if c := api.CodeOf(err); c != api.CodeCancelled && c != api.CodeRequestTimeout {
							t.Error(err)
						}
					})
				}
				inner.Wait()
				got, _, err := send(context.Background(), v, Sequence{Number: id, End: true}, 1)
				if err != nil || got != float32(2+answered) {
					t.Errorf("sequence %d: got %v, %v after %d answers", id, got, err, answered)
				}
			}
		})
	}
	wg.Wait()
	if n := v.LiveSequences(); n != 0 {
		t.Errorf("%d sequences live", n)
	}
}

// TestSileroKeepsItsState: a voice detector of the zoo hears the same in a sequence as when its
// state is passed on by hand.
func TestSileroKeepsItsState(t *testing.T) {
	b, err := os.ReadFile("../build/zoo/silero-vad/model.onnx")
	if err != nil {
		t.Skip("NOT RUN: the zoo's silero-vad is not there (make zoo)")
	}
	s := newShop(t)
	s.put(t, "vad/1/model.onnx", b)
	s.put(t, "vad/config.pbtxt", []byte(`sequence_batching { state { input_name: "state" output_name: "stateN" data_type: TYPE_FP32 dims: [ 2, 1, 128 ] } }`))
	if err := s.repo.Load(context.Background(), "vad", nil); err != nil {
		t.Fatal(err)
	}
	v, err := s.pipe.Resolve([]byte("vad"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Done()
	rate := tensor.FromSlice([]int64{16000})
	state := tensor.New(tensor.Float32, tensor.Shape{2, 1, 128})
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 8 {
		chunk := tensor.New(tensor.Float32, tensor.Shape{1, 576})
		for k := range tensor.Data[float32](chunk) {
			tensor.Data[float32](chunk)[k] = float32(rng.NormFloat64()) / 4
		}
		hand := &device.Call{In: []tensor.Value{chunk, state, rate}}
		if err := v.Runtime.Run(context.Background(), hand); err != nil {
			t.Fatal(err)
		}
		want := tensor.Data[float32](hand.Out[0].(*tensor.Tensor))[0]
		state = hand.Out[1].(*tensor.Tensor).Clone()
		hand.Release()
		c := &Call{Sequence: Sequence{Text: "call", Start: i == 0, End: i == 7}}
		c.In = make([]tensor.Tensor, 3)
		c.In[0], c.In[2] = *chunk, *rate
		if err := v.Infer(context.Background(), c); err != nil {
			t.Fatal(err)
		}
		if got := tensor.Data[float32](c.Out[0].(*tensor.Tensor))[0]; got != want {
			t.Errorf("chunk %d: got %v, want %v", i, got, want)
		}
		c.Release()
	}
}
