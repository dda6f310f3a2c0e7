package contrib

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func embedLayerNormalization() *ops.Op {
	return &ops.Op{
		Name: "EmbedLayerNormalization", Domain: Domain, Since: 1, MinIn: 7, MaxIn: 9, MinOut: 1, MaxOut: 3,
		Attrs: form.Join(form.Float("epsilon"), form.Int("mask_index_type")),
		Shape: func(c *ops.ShapeCall) error {
			d := c.In[2].DType
			c.SetType(0, d)
			c.SetType(1, tensor.Int32)
			c.SetType(2, d)
			if ids, word := c.In[0], c.In[2]; ids.Known && word.Known && len(ids.Shape) == 2 && len(word.Shape) == 2 {
				s := tensor.Shape{ids.Shape[0], ids.Shape[1], word.Shape[1]}
				c.Set(0, d, s)
				c.Set(1, tensor.Int32, tensor.Shape{ids.Shape[0]})
				c.Set(2, d, s)
			}
			return nil
		},
		Eval: evalEmbed,
	}
}

// table is an embedding: one row a number.
type table struct {
	name  string
	rows  []float32
	width int
	ids   []int64
}

func (t *table) add(dst []float32, i int) error {
	if t.ids == nil || t.rows == nil {
		return nil
	}
	id := t.ids[i]
	if id < 0 || id >= int64(len(t.rows)/t.width) {
		return fmt.Errorf("%s %d is outside of %d rows", t.name, id, len(t.rows)/t.width)
	}
	for k, v := range t.rows[int(id)*t.width : (int(id)+1)*t.width] {
		dst[k] += v
	}
	return nil
}

// evalEmbed sums the embeddings of words, positions and segments and normalises the sum.
// Output 1 counts each row's mask, 0 without one; output 2 is the sum.
func evalEmbed(c *ops.Call) error {
	ids, err := need(c, 0, 2)
	if err != nil {
		return err
	}
	word, err := need(c, 2, 2)
	if err != nil {
		return err
	}
	batch, length, width := ids.Shape[0], ids.Shape[1], word.Shape[1]
	tables := []*table{{name: "word"}, {name: "position"}, {name: "segment"}}
	for k, at := range []struct{ ids, rows int }{{0, 2}, {8, 3}, {1, 4}} {
		t := tables[k]
		t.width = width
		if t.rows, err = floats(c, at.rows); err != nil {
			return err
		}
		if t.rows != nil && (c.T(at.rows).Rank() != 2 || c.T(at.rows).Shape[1] != width || width == 0) {
			return fmt.Errorf("input %d is %v, expected rows of %d", at.rows, c.T(at.rows), width)
		}
		if !c.Has(at.ids) {
			continue
		}
		if t.ids, err = tensor.Int64s(c.T(at.ids)); err != nil {
			return fmt.Errorf("input %d: %w", at.ids, err)
		}
		if len(t.ids) == length && batch != 1 && at.ids == 8 {
			t.ids = repeat(t.ids, batch)
		}
		if len(t.ids) != batch*length {
			return fmt.Errorf("input %d is %v, expected %v", at.ids, c.T(at.ids), ids.Shape)
		}
	}
	if tables[1].ids == nil {
		tables[1].ids = make([]int64, batch*length)
		for i := range tables[1].ids {
			tables[1].ids[i] = int64(i % length)
		}
	}
	sum := make([]float32, batch*length*width)
	for i := range batch * length {
		for _, t := range tables {
			if err := t.add(sum[i*width:(i+1)*width], i); err != nil {
				return err
			}
		}
	}
	return embedOutputs(c, sum, tensor.Shape{batch, length, width})
}

func repeat(v []int64, n int) []int64 {
	out := make([]int64, 0, len(v)*n)
	for range n {
		out = append(out, v...)
	}
	return out
}

func embedOutputs(c *ops.Call, sum []float32, s tensor.Shape) error {
	width := s[2]
	gamma, err := vector(c, 5, width)
	if err != nil {
		return err
	}
	beta, err := vector(c, 6, width)
	if err != nil {
		return err
	}
	if gamma == nil || beta == nil {
		return fmt.Errorf("gamma and beta are needed")
	}
	y, err := c.Output(0, c.T(2).DType, s)
	if err != nil {
		return err
	}
	out, store := form.Sink[float32](y)
	eps := float64(c.Node.Attrs.Float("epsilon", 1e-12))
	for at := 0; at < len(sum); at += width {
		normRow(out[at:at+width], sum[at:at+width], gamma, beta, eps, false)
	}
	if err := store(); err != nil {
		return err
	}
	if c.Wanted(2) {
		t, err := c.Output(2, c.T(2).DType, s)
		if err != nil {
			return err
		}
		if err := tensor.StoreFloat32s(t, sum); err != nil {
			return err
		}
	}
	if !c.Wanted(1) {
		return nil
	}
	t, err := c.Output(1, tensor.Int32, tensor.Shape{s[0]})
	if err != nil || !c.Has(7) {
		return err
	}
	mask, err := tensor.Int64s(c.T(7))
	if err != nil || len(mask) != s[0]*s[1] {
		return fmt.Errorf("input 7 is %v, expected integers %v", c.T(7), s[:2])
	}
	for i, v := range mask {
		if v == 1 {
			tensor.Data[int32](t)[i/s[1]]++
		}
	}
	return nil
}
