package math

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
)

// evalMod is the remainder: of flooring division, or of truncating division with fmod.
func evalMod(c *ops.Call) error {
	if c.Node.Attrs.Int("fmod", 0) != 0 {
		return evalArith(opFMod)(c)
	}
	return evalArith(opMod)(c)
}

// evalBitShift shifts integers; the right shift of signed ones keeps the sign, and
// amounts outside of the width shift everything out.
func evalBitShift(c *ops.Call) error {
	switch d := c.Node.Attrs.Str("direction", ""); d {
	case "LEFT":
		return evalArith(opShiftLeft)(c)
	case "RIGHT":
		return evalArith(opShiftRight)(c)
	default:
		return fmt.Errorf("direction: expected LEFT or RIGHT, got %q", d)
	}
}
