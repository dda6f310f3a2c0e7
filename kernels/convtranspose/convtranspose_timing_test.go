package convtranspose

import (
	"testing"

	"github.com/aimass/aimass/kernels/act"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

func BenchmarkRun(b *testing.B) {
	const c, oc, h = 24, 24, 120
	p := Pack(Geometry{C: c, OC: oc, Axes: [3]Axis{{}, {K: 2, Stride: 2}, {K: 2, Stride: 2}}}, make([]float32, c*oc*4), nil)
	in := [3]int{1, h, h}
	x, y, work := make([]float32, c*h*h), make([]float32, oc*4*h*h), make([]float32, p.Workspace(in))
	best := kt.Best(b, func() { p.Run(y, x, 1, in, work, act.Act{}, 1) })
	b.ReportMetric(2*c*oc*4*h*h/best, "GFLOP/s")
}
