package pass

import (
	"fmt"
	"slices"

	"github.com/aimass/aimass/runtime/ops/math"
	"github.com/aimass/aimass/runtime/tensor"
)

// The row rules of products.

func matmul(c *rowCall) error {
	if err := c.others(2); err != nil {
		return err
	}
	for i := 2; i < len(c.n.In); i++ {
		columns := i == 3 && c.in(1).kind != perRow && len(c.shape(i)) == 1 // zero points of B, one for each column
		if c.n.In[i] != nil && c.shape(i).Elements() != 1 && !columns {
			return fmt.Errorf("input %d may run along the batch", i)
		}
	}
	return c.product(0, 1)
}

// quantizedMatmul: scales and zero points, which follow each operand and the result, are the same for all rows.
func quantizedMatmul(c *rowCall) error {
	for i := range c.n.In {
		if i == 0 || i == 3 {
			continue
		}
		columns := (i == 4 || i == 5) && c.in(3).kind != perRow && len(c.shape(i)) == 1 // of B, one for each column
		if c.in(i).kind == perRow || c.shape(i).Elements() != 1 && !columns {
			return fmt.Errorf("input %d may run along the batch", i)
		}
	}
	return c.product(0, 3)
}

// product sets the rows of the product of inputs i and j.
func (c *rowCall) product(i, j int) error {
	a, b := c.in(i), c.in(j)
	sa, sb := c.shape(i), c.shape(j)
	ra, rb := len(sa), len(sb)
	if rb == 1 && ra >= 2 && a.axis < ra-1 && b.kind != perRow { // each row times one vector
		return c.setAll(a)
	}
	if ra < 2 || rb < 2 {
		return fmt.Errorf("a vector operand is not followed")
	}
	rank := max(ra, rb)
	a.axis += rank - ra
	b.axis += rank - rb
	switch {
	case a.kind == perRow && b.kind == perRow:
		if a != b || a.axis >= rank-2 {
			return fmt.Errorf("both operands carry rows, and not as a batch of matrices: %v on axis %d, %v on axis %d", sa, c.in(i).axis, sb, c.in(j).axis)
		}
	case a.kind == perRow:
		if a.axis == rank-1 {
			return fmt.Errorf("it sums over the batch axis")
		}
		if k := a.axis - (rank - rb); a.axis < rank-2 && k >= 0 && sb[k] != 1 {
			return fmt.Errorf("the right operand has an extent of its own along the batch")
		}
	default:
		if b.axis == rank-2 {
			return fmt.Errorf("it sums over the batch axis")
		}
		if k := b.axis - (rank - ra); b.axis < rank-2 && k >= 0 && sa[k] != 1 {
			return fmt.Errorf("the left operand has an extent of its own along the batch")
		}
		a = b
	}
	return c.setAll(a)
}

func gemm(c *rowCall) error {
	a, b, z := c.in(0), c.in(1), c.in(2)
	if b.kind == perRow || a.kind != perRow || a.axis != int(c.n.Attrs.Int("transA", 0)) {
		return fmt.Errorf("the rows are not the left operand's rows")
	}
	r := a
	r.axis = 0
	if z.kind == perRow && (z != r || len(c.shape(2)) != 2) {
		return fmt.Errorf("the addend keeps the rows elsewhere")
	}
	if z.kind != perRow && len(c.n.In) > 2 && c.n.In[2] != nil {
		if s := c.shape(2); len(s) == 2 && s[0] != 1 {
			return fmt.Errorf("the addend has an extent of its own along the batch")
		}
	}
	return c.set(0, r)
}

// sumOfProducts: operands that carry rows have them under one label, which the output keeps; the others
// lack that label or repeat along it.
func sumOfProducts(c *rowCall) error {
	shapes := make([]tensor.Shape, len(c.n.In))
	for i := range c.n.In {
		shapes[i] = c.shape(i)
	}
	eq, err := math.ParseEinsum(c.n.Attrs.Str("equation", ""), shapes)
	if err != nil {
		return err
	}
	var label rune
	r := rows{}
	for i, term := range eq.Terms {
		s := c.in(i)
		if s.kind != perRow {
			continue
		}
		l := term[s.axis]
		s.axis = 0
		if r.kind == perRow && (l != label || s != r) {
			return fmt.Errorf("its inputs keep the rows under different labels")
		}
		label, r = l, s
	}
	for i, term := range eq.Terms {
		at := slices.Index(term, label)
		if at >= 0 && (c.in(i).kind != perRow && shapes[i][at] != 1 || slices.Contains(term[at+1:], label)) {
			return fmt.Errorf("input %d has an extent of its own along the batch", i)
		}
	}
	if r.axis = slices.Index(eq.Out, label); r.axis < 0 {
		return fmt.Errorf("it sums over the batch axis")
	}
	return c.set(0, r)
}

// bitProduct sums over input 0's last axis with weights that carry no rows.
func bitProduct(c *rowCall) error {
	a := c.in(0)
	if a.kind == perRow && a.axis == len(c.shape(0))-1 {
		return fmt.Errorf("it sums over the batch axis")
	}
	if err := c.others(1); err != nil {
		return err
	}
	return c.set(0, a)
}

// mixture gives every token its experts: tokens and the router's logits lie in the same order.
func mixture(c *rowCall) error {
	a, l := c.in(0), c.in(1)
	if a.kind != perRow || a.axis != 0 || l != a || len(c.shape(0)) < 2 || len(c.shape(1)) < 2 {
		return fmt.Errorf("tokens and the router's values are not both by rows of axis 0")
	}
	if err := c.others(2); err != nil {
		return err
	}
	return c.set(0, a)
}
