package service

import (
	"context"
	"sync"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/batcher"
	"github.com/aimass/aimass/pipeline"
	"github.com/aimass/aimass/runtime/tensor"
)

// Embedding is a text's vector.
type Embedding struct {
	// Vector are its little-endian float32 elements.
	Vector []byte
	// Pieces is the number of pieces that the text was split into, 0 if the model doesn't
	// tell.
	Pieces int64
}

// embedParallel bounds the texts of one call that are under way at once.
const embedParallel = 64

// encoder says where a model that turns texts into vectors has its ports.
type encoder struct{ text, vector, pieces int }

// encoderOf finds them: the one text input, the one float32 output with a row for each text,
// and an int64 output with a number for each, if there is one.
func encoderOf(v *pipeline.Served) (e encoder, err error) {
	e = encoder{text: -1, vector: -1, pieces: -1}
	for i := range v.Inputs {
		if p := &v.Inputs[i]; p.DType == tensor.String && len(p.Shape) == 1 {
			e.text = i
		} else if !p.Optional {
			e.text = -1
			break
		}
	}
	for i := range v.Outputs {
		switch p := &v.Outputs[i]; {
		case p.DType == tensor.Float32 && len(p.Shape) == 2 && e.vector < 0:
			e.vector = i
		case p.DType == tensor.Int64 && len(p.Shape) == 1 && e.pieces < 0:
			e.pieces = i
		}
	}
	if e.text < 0 || e.vector < 0 {
		return e, api.Errorf(api.CodeUnsupported, "model '%s' makes no embeddings: expected one BYTES input of shape [-1] and an FP32 output of shape [-1,-1]", v.Model)
	}
	return e, nil
}

// Embed turns texts into vectors. Each text is a request of its own, so that texts of one
// call and of others share batches by the model's own rules. timeout, if not zero, is that of the whole call.
func (s *Service) Embed(model, tenant, route string, caller batcher.Caller, timeout time.Duration, texts []string) ([]Embedding, error) {
	arrived := time.Now()
	ctx, cancel := batcher.Watch(context.Background(), caller)
	defer cancel()
	out := make([]Embedding, len(texts))
	var first error
	var once sync.Once
	var wg sync.WaitGroup
	next := make(chan int, len(texts))
	for i := range texts {
		next <- i
	}
	close(next)
	for range min(len(texts), embedParallel) {
		wg.Go(func() {
			c := &Call{}
			for i := range next {
				if ctx.Err() != nil {
					return
				}
				var err error
				if out[i], err = s.embed(ctx, c, model, tenant, route, arrived, timeout, texts[i]); err != nil {
					once.Do(func() { first = err })
					cancel()
					return
				}
			}
		})
	}
	wg.Wait()
	if first == nil && ctx.Err() != nil {
		first = api.Errorf(api.CodeCancelled, "the caller closed the connection")
	}
	return out, first
}

func (s *Service) embed(ctx context.Context, c *Call, model, tenant, route string, arrived time.Time, timeout time.Duration, text string) (
	out Embedding, err error,
) {
	defer c.Finish()
	if err := s.Begin(c, []byte(model), nil, tenant, route); err != nil {
		return out, err
	}
	e, err := encoderOf(c.Served)
	if err != nil {
		return out, err
	}
	if err := c.Bind(e.text, tensor.String, tensor.Shape{1}, nil, []string{text}); err != nil {
		return out, err
	}
	if c.Arrived = arrived; timeout > 0 {
		c.Timeout(timeout)
	}
	c.WantAll(true)
	if err := c.Run(ctx); err != nil {
		return out, err
	}
	t, ok := c.Out[e.vector].(*tensor.Tensor)
	if !ok || len(t.Shape) != 2 || t.Shape[0] != 1 {
		return out, api.Errorf(api.CodeExecutionFailed, "model '%s' did not give one vector for one text", c.Served.Model)
	}
	out.Vector = append([]byte(nil), t.Bytes()...)
	if e.pieces >= 0 {
		if n, ok := c.Out[e.pieces].(*tensor.Tensor); ok && n.DType == tensor.Int64 && n.Elements() == 1 {
			out.Pieces = tensor.Data[int64](n)[0]
		}
	}
	return out, nil
}
