package contrib

import (
	"fmt"
	"math"
	"slices"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func nGramRepeatBlock() *ops.Op {
	return &ops.Op{
		Name: "NGramRepeatBlock", Domain: Domain, Since: 1, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1,
		Attrs: form.Required(form.Int("ngram_size")),
		Shape: func(c *ops.ShapeCall) error {
			form.Like(c, 0, c.In[1].DType, 1)
			return nil
		},
		Eval: evalNGramRepeatBlock,
	}
}

// evalNGramRepeatBlock sets the scores of tokens to −∞ that would make an n-gram appear
// a second time.
func evalNGramRepeatBlock(c *ops.Call) error {
	ids, err := need(c, 0, 2)
	if err != nil {
		return err
	}
	scores, err := need(c, 1, 2)
	if err != nil {
		return err
	}
	size := c.Node.Attrs.Int("ngram_size", 0)
	if size < 1 || scores.Shape[0] != ids.Shape[0] || scores.DType != tensor.Float32 {
		return fmt.Errorf("ngram_size %d, ids %v, scores %v", size, ids, scores)
	}
	tokens, err := tensor.Int64s(ids)
	if err != nil {
		return err
	}
	y, err := c.Output(0, scores.DType, scores.Shape)
	if err != nil {
		return err
	}
	out := tensor.Data[float32](y)
	copy(out, tensor.Data[float32](scores))
	length, words := ids.Shape[1], scores.Shape[1]
	if int64(length) < size {
		return nil
	}
	n := int(size)
	for b := range ids.Shape[0] {
		row := tokens[b*length : (b+1)*length]
		tail := row[length-n+1:]
		for i := 0; i+n <= length; i++ {
			if !slices.Equal(row[i:i+n-1], tail) {
				continue
			}
			w := row[i+n-1]
			if w < 0 || w >= int64(words) {
				return fmt.Errorf("token %d is outside of %d scores", w, words)
			}
			out[b*words+int(w)] = float32(math.Inf(-1))
		}
	}
	return nil
}
