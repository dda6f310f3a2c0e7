package runtime_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/tensor"
	"google.golang.org/protobuf/encoding/protowire"
)

// wire writes messages by field numbers of onnx.proto: runtime/onnx/build writes no
// nested graphs.
type wire []byte

func (w wire) text(num protowire.Number, s ...string) wire {
	for _, x := range s {
		w = protowire.AppendString(protowire.AppendTag(w, num, protowire.BytesType), x)
	}
	return w
}

func (w wire) int(num protowire.Number, v uint64) wire {
	return protowire.AppendVarint(protowire.AppendTag(w, num, protowire.VarintType), v)
}

func (w wire) msg(num protowire.Number, m wire) wire {
	return protowire.AppendBytes(protowire.AppendTag(w, num, protowire.BytesType), m)
}

func port(name string, dtype uint64, dims ...uint64) wire {
	shape := wire{}
	for _, d := range dims {
		dim := wire{}
		if d > 0 {
			dim = dim.int(1, d)
		}
		shape = shape.msg(1, dim)
	}
	return wire{}.text(1, name).msg(2, wire{}.msg(1, wire{}.int(1, dtype).msg(2, shape)))
}

// loopModel is Loop(trips, true, x) with one carried value, which the body's node step
// makes of itself.
func loopModel(step wire) []byte {
	body := wire{}.msg(1, wire{}.text(1, "go").text(2, "on").text(4, "Identity")).msg(1, step).text(2, "body").
		msg(11, port("i", 7)).msg(11, port("go", 9)).msg(11, port("s", 1, 0)).msg(12, port("on", 9)).msg(12, port("t", 1, 0))
	loop := wire{}.text(1, "trips", "", "x").text(2, "y").text(3, "looping").text(4, "Loop").msg(5, wire{}.text(1, "body").int(20, 5).msg(6, body))
	g := wire{}.msg(1, loop).text(2, "g").msg(11, port("trips", 7)).msg(11, port("x", 1, 0)).msg(12, port("y", 1, 0))
	return wire{}.int(1, 8).msg(7, g).msg(8, wire{}.int(2, 17))
}

func TestLoopEndsByDeadline(t *testing.T) {
	m, err := runtime.NewEngine(runtime.Config{}).Read(loopModel(wire{}.text(1, "s", "s").text(2, "t").text(4, "Mul")))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	x := tensor.FromSlice([]float32{1, 1}, 2)
	c := &device.Call{In: []tensor.Value{tensor.Scalar(int64(3)), x}}
	if err := m.Run(context.Background(), c); err != nil || tensor.Data[float32](c.Out[0].(*tensor.Tensor))[0] != 1 {
		t.Fatalf("three trips: %v, %v", c.Out, err)
	}
	c.Release()
	c.In[0] = tensor.Scalar(int64(1 << 60))
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := m.Run(ctx, c); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("2^60 trips: %v, want that the deadline passed", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("2^60 trips ended after %v, with a deadline of 100 ms", took)
	}
	ctx, stop := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, stop)
	if err := m.Run(ctx, c); !errors.Is(err, context.Canceled) {
		t.Errorf("2^60 trips: %v, want that it was cancelled", err)
	}
}

// TestLoopThatGrows doubles its value in each of 2^60 trips.
func TestLoopThatGrows(t *testing.T) {
	e := runtime.NewEngine(runtime.Config{CPU: cpu.Config{MaxBytes: 1 << 20}})
	m, err := e.Read(loopModel(wire{}.text(1, "s", "s").text(2, "t").text(4, "Concat").msg(5, wire{}.text(1, "axis").int(3, 0).int(20, 2))))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	err = run(t, "a loop that grows", m, tensor.Scalar(int64(1<<60)), tensor.FromSlice([]float32{1, 1}, 2))
	if err == nil || !strings.Contains(err.Error(), "limit") || !strings.Contains(err.Error(), "looping") {
		t.Errorf("got %v, want an error that names the node and the limit", err)
	}
}
