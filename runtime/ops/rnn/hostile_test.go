package rnn

import (
	"testing"

	"github.com/aimass/aimass/runtime/ops/golden"
)

func TestHostileCalls(t *testing.T) { golden.Hostile(t, Register, false, "GRU", "LSTM") }
