//go:build cuda && cgo

package runtime_test

import (
	"fmt"
	"testing"

	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/gpu"
	"github.com/aimass/aimass/runtime/onnx"
)

// TestGPUOrder counts how often the host waits in a batch of a model that lies on several devices:
// once for each, at the end, however often they wait for each other. Without peer access sums go
// through pinned memory, in the same order.
func TestGPUOrder(t *testing.T) {
	state := useDouble(t)
	for _, s := range []sample{mlp(t, 7), transformer(t, 2, 5)} {
		want := reference(t, s)
		for _, layout := range []gpu.Layout{gpu.Stages, gpu.Split} {
			for _, n := range []int{2, 3, 4} {
				for _, peer := range []string{"", "1"} {
					t.Run(fmt.Sprintf("%s/%v/%d/nopeer=%s", s.name, layout, n, peer), func(t *testing.T) {
						state.Set("FAIL=", "NOPEER="+peer)
						e := onGPUs(t, n, gpu.Config{Lanes: 1})
						m, err := e.ReadAt(onnx.Memory{Bytes: s.file}, runtime.Placement{GPU: gpu.Options{Layout: layout, NoHost: true}})
						if err != nil {
							t.Fatal(err)
						}
						defer m.Close()
						x, err := m.Explain(s.in)
						if err != nil {
							t.Fatal(err)
						}
						run := func() {
							got, err := answer(m, s.in)
							if err != nil {
								t.Fatal(err)
							}
							if err := differ(got, want); err != nil {
								t.Fatal(err)
							}
						}
						run()
						before := state.Counters()
						const batches = 5
						for range batches {
							run()
						}
						after := state.Counters()
						count := func(call string) uint64 { return after["call."+call] - before["call."+call] }
						if waits := count("cuStreamSynchronize"); waits > batches*uint64(n) || x.Phases < 2 {
							t.Errorf("the host waits %d times in %d batches of %d phases on %d devices", waits, batches, x.Phases, n)
						}
						t.Logf("a batch: %d phases, the host waits %d times, devices %d times, %d events, %d graphs, %d copies", x.Phases, count("cuStreamSynchronize")/batches,
							count("cuStreamWaitEvent")/batches, count("cuEventRecord")/batches, count("cuGraphLaunch")/batches,
							(count("cuMemcpyHtoDAsync")+count("cuMemcpyDtoHAsync")+count("cuMemcpyPeerAsync"))/batches)
					})
				}
			}
		}
	}
}
