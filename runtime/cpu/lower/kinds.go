package lower

import (
	"reflect"
	goruntime "runtime"
	"strings"
)

// Fast reports whether some lowering takes nodes of an operator, by qualified name. Whether
// it takes one node depends on that node's types, shapes and attributes.
func Fast(op string) bool {
	for _, w := range lowerings {
		if w[op] != nil {
			return true
		}
	}
	return false
}

// Heavy reports an operator that does more work than to move or map elements, so that a kernel
// for it is worth a plan.
func Heavy(op string) bool {
	for _, w := range lowerings[:heavyWaves] {
		if w[op] != nil && !views[op] {
			return true
		}
	}
	return false
}

// View reports whether an operator may cost nothing, as it changes the shape alone.
func View(op string) bool { return views[op] }

// Kernel names what a step runs: "eval" where that is the operator's Eval, "view" where
// nothing is computed, else the name of the lowering that made the step.
func (s *Step) Kernel() string {
	if s.Run == nil {
		return "eval"
	}
	name := goruntime.FuncForPC(reflect.ValueOf(s.Run).Pointer()).Name()
	return kernelName(name)
}

// kernelName makes "dense" of ".../lower.(*fuser).dense.func2" and "softmax" of
// ".../lower.lowerSoftmax.func1": the function in which a step's closure stands.
func kernelName(symbol string) string {
	parts := strings.Split(symbol[strings.LastIndexByte(symbol, '/')+1:], ".")
	for len(parts) > 1 {
		last := parts[len(parts)-1]
		if digits := strings.TrimPrefix(strings.TrimPrefix(last, "gowrap"), "func"); strings.Trim(digits, "0123456789-") != "" {
			break
		}
		parts = parts[:len(parts)-1]
	}
	name := strings.TrimSuffix(parts[len(parts)-1], "-fm")
	if rest := strings.TrimPrefix(name, "lower"); rest != "" && rest != name {
		return strings.ToLower(rest[:1]) + rest[1:]
	}
	return name
}
