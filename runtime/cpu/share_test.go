package cpu

import (
	"testing"

	"github.com/aimass/aimass/runtime/ops"
)

func TestShare(t *testing.T) {
	d := New(&ops.Registry{}, Config{Threads: 4})
	for runs, want := range []int{4, 4, 2, 1, 1} {
		if got := d.share(4); got != want {
			t.Errorf("%d runs: %d threads, expected %d", runs, got, want)
		}
		if got := d.share(1); got != 1 {
			t.Errorf("%d runs: %d threads of 1", runs, got)
		}
		select {
		case d.slots <- struct{}{}:
		default:
		}
	}
}
