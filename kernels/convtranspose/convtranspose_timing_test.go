package convtranspose

import (
	"testing"

	"github.com/aimass/aimass/kernels/conv"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

func BenchmarkRun(b *testing.B) {
	const c, oc, h = 24, 24, 120
	p := Pack(Geometry{C: c, OC: oc, Window: conv.Window{KH: 2, KW: 2, StrideH: 2, StrideW: 2}}, make([]float32, c*oc*4), nil)
	x, y, work := make([]float32, c*h*h), make([]float32, oc*4*h*h), make([]float32, p.Workspace(h, h))
	best := kt.Best(b, func() { p.Run(y, 2*h, 2*h, x, 1, h, h, work, nil, 1) })
	b.ReportMetric(2*c*oc*4*h*h/best, "GFLOP/s")
}
