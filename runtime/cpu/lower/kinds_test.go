package lower

import "testing"

func TestKernelName(t *testing.T) {
	f := func(symbol, want string) {
		t.Helper()
		if got := kernelName(symbol); got != want {
			t.Errorf("%s: %s, want %s", symbol, got, want)
		}
	}
	const pkg = "example.com/x/runtime/cpu/lower."
	f(pkg+"(*fuser).dense.func2", "dense")
	f(pkg+"lowerSoftmax.func1", "softmax")
	f(pkg+"lowerSoftmax.func1.2", "softmax")
	f(pkg+"lowerMatMul.(*fuser).dense.func1", "dense")
	f(pkg+"(*window).run-fm", "run")
	f(pkg+"Steps", "Steps")
}

// TestEveryLoweringIsKnown: what the table lists is what Fast reports, and views are not lowered besides.
func TestEveryLoweringIsKnown(t *testing.T) {
	n := 0
	for _, w := range lowerings {
		for op := range w {
			n++
			if !Fast(op) || View(op) {
				t.Errorf("%s: fast %v, view %v", op, Fast(op), View(op))
			}
		}
	}
	if n == 0 || Fast("NoSuchOp") || !View("Reshape") {
		t.Errorf("%d operators", n)
	}
}
