package control

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
)

func ifElse() []*ops.Op {
	return []*ops.Op{{Name: "If", Since: 1, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: -1,
		Attrs: form.Required(form.Graph("then_branch", "else_branch")),
		Shape: func(c *ops.ShapeCall) error {
			yes, no := c.Node.Attrs.Graph("then_branch"), c.Node.Attrs.Graph("else_branch")
			for i := range c.Out {
				if yes != nil && no != nil && i < len(yes.Out) && i < len(no.Out) && yes.Out[i].Type.Kind == no.Out[i].Type.Kind && yes.Out[i].Type.DType == no.Out[i].Type.DType {
					declare(c, i, yes.Out[i])
				}
			}
			return nil
		},
		Eval: ifEval}}
}

func ifEval(c *ops.Call) error {
	cond, err := truth("the condition", c.In[0])
	if err != nil {
		return err
	}
	name := "else_branch"
	if cond {
		name = "then_branch"
	}
	g, err := body(c, name, 0)
	if err != nil {
		return err
	}
	out, err := c.Sub(g, nil)
	if err != nil {
		return err
	}
	if len(out) != len(c.Node.Out) {
		return fmt.Errorf("%s gives %d outputs, expected %d", name, len(out), len(c.Node.Out))
	}
	for i, v := range out {
		c.Set(i, v)
	}
	return nil
}
