package ml

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func zipMap() []*ops.Op {
	return []*ops.Op{{
		Name: "ZipMap", Domain: Domain, Since: 1,
		MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Join(form.Ints("classlabels_int64s"), form.Strs("classlabels_strings")),
		Eval:  evalZipMap,
	}}
}

// evalZipMap makes a sequence of maps, one a row, from label to score. The maps share the
// input's memory.
func evalZipMap(c *ops.Call) error {
	l := readLabels(c.Node.Attrs, "classlabels_int64s")
	if l.count() == 0 {
		return fmt.Errorf("one of classlabels_strings and classlabels_int64s is expected")
	}
	x := c.T(0)
	n, classes, err := rows(x.Shape)
	if err != nil {
		return err
	}
	if classes != l.count() {
		return fmt.Errorf("input 0 has %d columns for %d labels", classes, l.count())
	}
	keys := tensor.FromSlice(l.ints, len(l.ints))
	if len(l.strs) > 0 {
		keys = tensor.FromStrings(l.strs, len(l.strs))
	}
	flat := x.Reshaped(tensor.Shape{n, classes})
	out := &tensor.Sequence{Elem: make([]tensor.Value, n)}
	for i := range n {
		out.Elem[i] = &tensor.Map{Keys: keys, Values: flat.Rows(i, i+1).Reshaped(tensor.Shape{classes})}
	}
	c.Set(0, out)
	return nil
}
