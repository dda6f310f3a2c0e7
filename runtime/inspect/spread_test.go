package inspect

import (
	"strings"
	"testing"

	"github.com/aimass/aimass/runtime/onnx/build"
)

func TestSpread(t *testing.T) {
	conv := func(size int64) *build.Graph {
		g := build.New("conv", 17)
		x := g.Input("x", build.Float, build.Sym("N"), build.Size(32), build.Size(size), build.Size(size))
		w := g.Const("w", make([]float32, 32*32*9), 32, 32, 3, 3)
		for range 3 {
			x = g.Op("Conv", []string{x, w}, build.Is("pads", 1, 1, 1, 1))
		}
		g.Output(x, build.Float)
		return g
	}
	lstm := func() *build.Graph {
		g := build.New("lstm", 17)
		x := g.Input("x", build.Float, build.Size(2000), build.Size(1), build.Size(64))
		g.OpAs("y", "LSTM", []string{x, g.Const("w", make([]float32, 4*64*64), 1, 4*64, 64), g.Const("r", make([]float32, 4*64*64), 1, 4*64, 64)}, build.I("hidden_size", 64))
		g.Output("y", build.Float)
		return g
	}
	for _, c := range []struct {
		name   string
		graph  *build.Graph
		cores  int
		reason string
	}{
		// Three steps of 96×96 outputs of 32 channels, each a sum of 32 × 9, and perhaps some that change the layout.
		{"large", conv(96), 16, "254 million MACs"},
		{"small", conv(8), 1, "a row has 1 million MACs, fewer than 50"},
		{"recurrent", lstm(), 1, "step by step in time"},
		{"dense", dense(), 1, "fewer than 50"},
	} {
		if s := report(t, c.graph).Spread; min(s.Cores, 16) != c.cores || !strings.Contains(s.Reason, c.reason) {
			t.Errorf("%s: %+v, expected %d cores because of %q", c.name, s, c.cores, c.reason)
		}
	}
}
