package sim

import "testing"

func TestSuite(t *testing.T) {
	sum, n := 0.0, 0
	for _, c := range Cases(1, 20) {
		m := &c.Machine
		b := Bound(m, c.Trace)
		s := Judge("ours", Run(m, c.Trace, Ours(Config(m))), b)
		t.Logf("%-22s load %.2f n %d: %.3f of bound, refused %d dropped %d late %d batch %.1f p99 %.2f ms", c.Name, c.Load, len(c.Trace), s.OfBound, s.Refused, s.Dropped, s.Late, s.Batch, float64(s.P99)/1e6)
		sum += s.OfBound
		n++
	}
	t.Logf("mean %.3f", sum/float64(n))
	t.Log(Small(1, 300))
}
