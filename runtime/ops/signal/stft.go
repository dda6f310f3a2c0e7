package signal

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func stft() *ops.Op {
	return &ops.Op{
		Name: "STFT", Since: 17, MinIn: 2, MaxIn: 4, MinOut: 1, MaxOut: 1,
		Attrs: form.Int("onesided"),
		Shape: func(c *ops.ShapeCall) error {
			c.SetType(0, c.In[0].DType)
			step, length := tensorOf(c, 1), tensorOf(c, 3)
			if !c.In[0].Known || step == nil || c.Has(2) && !c.In[2].Known || c.Has(3) && length == nil {
				return nil
			}
			var window tensor.Shape
			if c.Has(2) {
				window = c.In[2].Shape
			}
			p, err := planSTFT(c.In[0].Shape, step, window, length, c.Node.Attrs.Int("onesided", 1) != 0)
			if err != nil {
				return err
			}
			c.Set(0, c.In[0].DType, tensor.Shape{p.batch, p.frames, p.bins, 2})
			return nil
		},
		Eval: evalSTFT,
	}
}

// stftPlan is an STFT with everything known but the data.
type stftPlan struct {
	batch, samples, width int
	step, frame, span     int // span: the samples of a frame that the window reaches
	frames, bins          int
}

func planSTFT(s tensor.Shape, step *tensor.Tensor, window tensor.Shape, length *tensor.Tensor, onesided bool) (*stftPlan, error) {
	p := &stftPlan{width: 1}
	switch {
	case len(s) == 2:
	case len(s) == 3 && (s[2] == 1 || s[2] == 2):
		p.width = s[2]
	default:
		return nil, fmt.Errorf("input 0 is of shape %v, expected [batch, samples, 1 or 2]", s)
	}
	p.batch, p.samples = s[0], s[1]
	by, err := scalar(step, "frame_step")
	if err != nil {
		return nil, err
	}
	frame := int64(p.samples)
	if window != nil {
		if len(window) != 1 {
			return nil, fmt.Errorf("window is of shape %v, expected rank 1", window)
		}
		frame = int64(window[0])
	}
	if length != nil {
		if frame, err = scalar(length, "frame_length"); err != nil {
			return nil, err
		}
	}
	if by < 1 || frame < 1 || frame > int64(p.samples) {
		return nil, fmt.Errorf("frame_step %d and a frame of %d do not fit %d samples", by, frame, p.samples)
	}
	p.step, p.frame, p.span = int(min(by, int64(p.samples))), int(frame), int(frame)
	if window != nil {
		p.span = min(p.span, window[0])
	}
	p.frames = 1 + (p.samples-p.frame)/p.step
	if by > int64(p.samples) {
		p.frames = 1
	}
	p.bins = p.frame
	if onesided {
		p.bins = p.frame/2 + 1
	}
	return p, nil
}

func evalSTFT(c *ops.Call) error {
	if err := form.NeedReal("input 0", c.T(0)); err != nil {
		return err
	}
	var window tensor.Shape
	var weights []float64
	var err error
	if w := c.T(2); w != nil {
		window = w.Shape
		if weights, err = tensor.Float64s(w); err != nil {
			return fmt.Errorf("window: %w", err)
		}
	}
	p, err := planSTFT(c.T(0).Shape, c.T(1), window, c.T(3), c.Node.Attrs.Int("onesided", 1) != 0)
	if err != nil {
		return err
	}
	x, err := tensor.Float64s(c.T(0))
	if err != nil {
		return err
	}
	t, err := c.Output(0, c.T(0).DType, tensor.Shape{p.batch, p.frames, p.bins, 2})
	if err != nil {
		return err
	}
	y, store := form.Sink[float64](t)
	f := newFFT(p.frame)
	line := make([]complex128, p.frame)
	at := 0
	for b := range p.batch {
		for i := range p.frames {
			from := (b*p.samples + i*p.step) * p.width
			clear(line)
			for k := range p.span {
				v := complex(x[from+k*p.width], 0)
				if p.width == 2 {
					v = complex(real(v), x[from+k*2+1])
				}
				if weights != nil {
					v *= complex(weights[k], 0)
				}
				line[k] = v
			}
			f.forward(line)
			for _, v := range line[:p.bins] {
				y[at], y[at+1] = real(v), imag(v)
				at += 2
			}
		}
	}
	return store()
}
