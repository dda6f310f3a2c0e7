//go:build cuda && cgo

package runtime_test

import (
	"fmt"
	"testing"

	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/gpu"
	"github.com/aimass/aimass/runtime/onnx"
)

// TestGPUGrowingShapes serves larger and larger batches, whose arenas grow: with memory pools no device
// waits for that, without them the answers are the same, and in both cases all memory comes back.
func TestGPUGrowingShapes(t *testing.T) {
	state := useDouble(t)
	for _, pools := range []bool{true, false} {
		for _, layout := range []gpu.Layout{gpu.Whole, gpu.Stages, gpu.Split} {
			t.Run(fmt.Sprintf("pools=%v/%v", pools, layout), func(t *testing.T) {
				setting := "POOLS="
				if !pools {
					setting += "0"
				}
				state.Set("FAIL=", "NOPEER=", setting)
				e := onGPUs(t, 2, gpu.Config{})
				m, err := e.ReadAt(onnx.Memory{Bytes: mlp(t, 1).file}, runtime.Placement{GPU: gpu.Options{Layout: layout, NoHost: true}})
				if err != nil {
					t.Fatal(err)
				}
				before := state.Counters()
				for rows := 1; rows <= 256; rows *= 4 {
					s := mlp(t, rows)
					got, err := answer(m, s.in)
					if err != nil {
						t.Fatal(err)
					}
					if err := differ(got, reference(t, s)); err != nil {
						t.Fatal(err)
					}
				}
				after := state.Counters()
				plain, ordered := after["call.cuMemFree"]-before["call.cuMemFree"], after["call.cuMemFreeAsync"]-before["call.cuMemFreeAsync"]
				if pools && (plain > 0 || ordered == 0) || !pools && (plain == 0 || ordered > 0) {
					t.Errorf("arenas were freed %d times with a wait of the device and %d times without", plain, ordered)
				}
				if err := m.Close(); err != nil {
					t.Error(err)
				}
				for i := range doubleDevices {
					if left := state.Counter(fmt.Sprintf("live.%d", i)); left != 0 {
						t.Errorf("%d bytes of device %d are left", left, i)
					}
				}
			})
		}
	}
}
