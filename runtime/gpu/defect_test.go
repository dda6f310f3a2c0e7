package gpu

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// host compiles what the devices don't take, but islands, at which it panics.
type host struct{ device.Device }

func (host) Compile(g *graph.Graph) (device.Program, error) {
	if g.Name == "island" {
		panic("out of luck")
	}
	return echo{}, nil
}

// echo answers with its input.
type echo struct{ device.Program }

func (echo) Run(_ context.Context, call *device.Call) error {
	call.Out = append(call.Out[:0], call.In...)
	return nil
}
func (echo) Prepare([]tensor.Value) error { return nil }

// TestPlanningMayPanic: neither shape rules nor placing take the process down, or leave locks behind; the host runs the model instead, or
// the error is told where it may not.
func TestPlanningMayPanic(t *testing.T) {
	for name, shape := range map[string]func(*ops.ShapeCall) error{
		"infer": func(*ops.ShapeCall) error { panic("out of shape") },
		"place": func(c *ops.ShapeCall) error { c.Out[0] = c.In[0]; return nil },
	} {
		reg := ops.NewRegistry()
		reg.Add(&ops.Op{Name: "Odd", Domain: "test", Since: 1, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1, Shape: shape, Eval: func(*ops.Call) error { return nil }})
		x, y := &graph.Value{Name: "x"}, &graph.Value{Name: "y"}
		g := &graph.Graph{Name: "odd", In: []*graph.Value{x}, Out: []*graph.Value{y}, Nodes: []*graph.Node{{Op: "Odd", Domain: "test", Opset: 1, In: []*graph.Value{x}, Out: []*graph.Value{y}}}}
		m, err := newModel(g, reg)
		if err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		p := &program{dev: &Device{cfg: Config{MaxPlans: 1, MaxBytes: 1 << 20}, host: host{}, log: slog.New(slog.NewTextHandler(&log, nil))}, m: m, derived: newDerived()}
		p.state.instances = []*instance{{p: p, plans: map[string]*prepared{}, defects: map[string]*defect{}}}
		run := func(n int) error {
			in := []tensor.Value{tensor.New(tensor.Float32, tensor.Shape{n})}
			if err := p.Prepare(in); err != nil {
				return err
			}
			return p.Run(context.Background(), &device.Call{In: in})
		}
		for _, n := range []int{1, 1, 2, 1} {
			if err := run(n); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if got := strings.Count(log.String(), "BUG: gpu: planning a run: out of"); got != 3 {
			t.Errorf("%s: logged %d times, want once for each time that plans of these shapes were asked for anew:\n%s", name, got, log.String())
		}
		p.opt.NoHost = true
		if err := run(2); err == nil || !strings.Contains(err.Error(), "out of") {
			t.Errorf("%s, where the host may not run it: %v", name, err)
		}
	}
}
