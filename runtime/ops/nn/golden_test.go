package nn

import (
	"testing"

	"github.com/aimass/aimass/runtime/ops/golden"
)

func TestGolden(t *testing.T) { golden.Run(t, "testdata/golden.json.gz", Register) }

func TestMutants(t *testing.T) { golden.Mutate(t, "testdata/golden.json.gz", Register, 8) }
