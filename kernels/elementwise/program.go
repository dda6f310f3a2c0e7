package elementwise

import (
	"fmt"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/isa"
)

// MaxInputs and MaxSteps bound a Program.
const (
	MaxInputs = 6
	MaxSteps  = 24
	maxRegs   = 8
)

// Layout says how an input of a Program lies against the rows×cols output.
type Layout uint8

// The layouts of an input.
const (
	Full   Layout = iota // rows×cols values, dense
	Row                  // cols values, the same for each row
	Col                  // rows values, one for each row
	Scalar               // one value
)

// Step computes one register from others. Registers 0..len(inputs)-1 hold the
// inputs at the start and may be overwritten; there are eight.
type Step struct {
	// Unary: Dst = Act(X). Otherwise Dst = X Op Y.
	Unary     bool
	Act       act.Act
	Op        Op
	Dst, X, Y uint8
}

// Program is a short chain of pointwise steps, run over blocks that stay in
// the first-level cache. It is read-only after NewProgram and safe for
// concurrent use.
type Program struct {
	layouts []Layout
	steps   []Step
	code    []int32   // the steps for C
	consts  []float32 // their parameters
	out     uint8
	level   isa.Level
}

// NewProgram checks and compiles the steps; the last step's Dst is the result.
// It returns an error for a program that is empty, too long, or reads a
// register that nothing wrote.
func NewProgram(layouts []Layout, steps []Step) (*Program, error) {
	return newProgram(isa.Current().Level, layouts, steps)
}

func newProgram(level isa.Level, layouts []Layout, steps []Step) (*Program, error) {
	if err := CheckProgram(layouts, len(steps)); err != nil {
		return nil, err
	}
	p := &Program{level: level, layouts: append([]Layout(nil), layouts...), steps: append([]Step(nil), steps...)}
	var written [maxRegs]bool
	for i := range layouts {
		written[i] = true
	}
	for i, s := range steps {
		if s.Dst >= maxRegs || s.X >= maxRegs || s.Y >= maxRegs || int(s.Act.Func) >= act.Count || s.Op >= opCount {
			return nil, fmt.Errorf("elementwise: step %d is out of range", i)
		}
		if !written[s.X] || (!s.Unary && !written[s.Y]) {
			return nil, fmt.Errorf("elementwise: step %d reads an empty register", i)
		}
		written[s.Dst] = true
		kind, fn := int32(0), int32(s.Op)
		if s.Unary {
			kind, fn = 1, int32(s.Act.Func)
		}
		p.code = append(p.code, kind, fn, int32(s.Dst), int32(s.X), int32(s.Y))
		p.consts = append(p.consts, s.Act.A, s.Act.B)
	}
	p.out = steps[len(steps)-1].Dst
	return p, nil
}

// Run computes the dense rows×cols matrix dst from one slice an input. A full
// input may be dst itself.
func (p *Program) Run(dst []float32, rows, cols int, inputs [][]float32, threads int) {
	if rows*cols == 0 {
		return
	}
	CheckRun(p.layouts, dst, rows, cols, inputs)
	if p.level != isa.Generic {
		p.runNative(dst, rows, cols, inputs, threads)
		return
	}
	p.runGeneric(dst, rows, cols, inputs)
}

// CheckProgram returns an error for a program of too many inputs or steps, or none, or of an
// unknown layout. Programs of other types have the same bounds.
func CheckProgram(layouts []Layout, steps int) error {
	if len(layouts) == 0 || len(layouts) > MaxInputs || steps == 0 || steps > MaxSteps {
		return fmt.Errorf("elementwise: a program of %d inputs and %d steps; at most %d and %d", len(layouts), steps, MaxInputs, MaxSteps)
	}
	for i, l := range layouts {
		if l > Scalar {
			return fmt.Errorf("elementwise: input %d has unknown layout %d", i, l)
		}
	}
	return nil
}

// CheckRun panics where a slice is shorter than a run over a rows×cols matrix needs.
func CheckRun[T float32 | float64](layouts []Layout, dst []T, rows, cols int, inputs [][]T) {
	n := rows * cols
	if len(dst) < n || len(inputs) != len(layouts) {
		panic(fmt.Sprintf("BUG: elementwise: program of %d inputs got %d; dst %d of %d", len(layouts), len(inputs), len(dst), n))
	}
	for i, in := range inputs {
		if need := [...]int{Full: n, Row: cols, Col: rows, Scalar: 1}[layouts[i]]; len(in) < need {
			panic(fmt.Sprintf("BUG: elementwise: input %d has %d values of %d", i, len(in), need))
		}
	}
}
