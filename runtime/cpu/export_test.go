package cpu

import (
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/tensor"
)

// PartRows is how many rows of these inputs run at a time, 0 if they run whole.
func PartRows(prog device.Program, in []tensor.Value) int {
	pl, err := prog.(*program).planFor(in)
	if err != nil {
		return 0
	}
	c, err := pl.cut(in)
	if err != nil || c == nil {
		return 0
	}
	return c.rows
}
