package cpu

import (
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/tensor"
)

// PartRows is how many rows of these inputs run at a time, 0 if they run whole.
func PartRows(prog device.Program, in []tensor.Value) int {
	c, err := prog.(*program).partsFor(in)
	if err != nil || c == nil {
		return 0
	}
	return c.rows
}
