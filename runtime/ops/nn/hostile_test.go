package nn

import (
	"testing"

	"github.com/aimass/aimass/runtime/ops/golden"
)

// Random shapes do not suit the operators named here; the mutants look at them.
func TestHostileCalls(t *testing.T) {
	golden.Hostile(t, Register, false, "AffineGrid", "Col2Im", "ConvInteger", "DeformConv",
		"LinearAttention", "MaxRoiPool", "MaxUnpool", "NegativeLogLikelihoodLoss", "RoiAlign", "RotaryEmbedding",
		"SoftmaxCrossEntropyLoss", "ai.onnx.preview.FlexAttention")
}
