package contrib

import (
	"testing"

	"github.com/aimass/aimass/runtime/ops/golden"
)

func TestGolden(t *testing.T) { golden.Run(t, "testdata/golden.json.gz", Register) }
