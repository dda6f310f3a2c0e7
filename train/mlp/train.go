package mlp

import (
	"context"
	"math"
	"math/rand/v2"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/train/design"
)

// Progress is told after each epoch.
type Progress struct {
	Epoch, Epochs int
	Loss, Best    float64
	BestEpoch     int
}

// Train fits a network to fit and keeps the weights that did best on valid. The error is that
// of a setting, of the context, or of a training that diverged.
func Train(ctx context.Context, c Config, fit, valid *design.Matrix, tell func(Progress)) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	t := newTrainer(&c, fit)
	var best *Model
	stale := 0
	for epoch := 1; epoch <= c.Epochs; epoch++ {
		if err := t.epoch(ctx); err != nil {
			return nil, err
		}
		loss := meanLoss(c.Loss, t.net.Scores(valid), valid)
		if math.IsNaN(loss) || math.IsInf(loss, 0) {
			return nil, api.Errorf(api.CodeTrainingParameterInvalid, "the training diverged in epoch %d: lower learning_rate, now %v", epoch, c.LearningRate)
		}
		if stale++; best == nil || loss < best.Loss {
			best, stale = t.net.clone(), 0
			best.Loss, best.Best = loss, epoch
		}
		best.Epochs = epoch
		if tell != nil {
			tell(Progress{epoch, c.Epochs, loss, best.Loss, best.Best})
		}
		if c.EarlyStop > 0 && stale >= c.EarlyStop {
			break
		}
	}
	return best, nil
}

// trainer holds a training in progress.
type trainer struct {
	c     *Config
	fit   *design.Matrix
	rng   *rand.Rand
	order []int
	net   *Model
	step  *step
	adam  adam
}

func newTrainer(c *Config, fit *design.Matrix) *trainer {
	t := &trainer{c: c, fit: fit, rng: rand.New(rand.NewPCG(c.Seed, 0x6d6c70))}
	t.order = t.rng.Perm(fit.Rows)
	t.net = initial(c, fit, t.rng)
	t.step = newStep(t.net, min(c.Batch, fit.Rows))
	t.adam = adam{rate: c.LearningRate, decay: c.WeightDecay}
	for i := range t.net.layers {
		t.adam.follow(t.net.layers[i].w, t.step.grads[i].w, true)
		t.adam.follow(t.net.layers[i].b, t.step.grads[i].b, false)
	}
	for j := range t.net.embeddings {
		t.adam.follow(t.net.embeddings[j].rows, t.step.tables[j], true)
	}
	return t
}

// initial draws the weights: of the layers by He, of embeddings small.
func initial(c *Config, fit *design.Matrix, rng *rand.Rand) *Model {
	m := &Model{Outputs: c.Outputs, width: fit.Width}
	normal := func(n int, std float64) []float32 {
		out := make([]float32, n)
		for i := range out {
			out[i] = float32(rng.NormFloat64() * std)
		}
		return out
	}
	in := fit.Width
	for _, cats := range fit.Categories {
		w := min(c.Embedding, cats/2+1)
		m.embeddings = append(m.embeddings, table{cats, w, normal((cats+1)*w, 0.1)})
		in += w
	}
	for _, out := range c.Hidden {
		m.layers = append(m.layers, layer{in, out, normal(in*out, math.Sqrt(2/float64(in))), make([]float32, out)})
		in = out
	}
	m.layers = append(m.layers, layer{in, c.Outputs, normal(in*c.Outputs, math.Sqrt(1/float64(in))), make([]float32, c.Outputs)})
	return m
}

// epoch goes over the rows once, in a new order. Rows that do not fill a batch wait for the
// next order.
func (t *trainer) epoch(ctx context.Context) error {
	t.rng.Shuffle(len(t.order), func(i, j int) { t.order[i], t.order[j] = t.order[j], t.order[i] })
	n := t.step.batch
	for at := 0; at+n <= len(t.order); at += n {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		t.step.load(t.fit, t.order[at:at+n], func() bool { return t.c.Unknown > 0 && t.rng.Float64() < t.c.Unknown })
		t.step.gradients(t.c.Loss)
		t.adam.update()
	}
	return nil
}

// adam takes steps along followed gradients.
type adam struct {
	rate, decay float64
	steps       int
	parts       []part
}

// part is a vector of parameters with its gradient and moments.
type part struct {
	x, grad, first, second []float32
	decays                 bool
}

func (a *adam) follow(x, grad []float32, decays bool) {
	a.parts = append(a.parts, part{x, grad, make([]float32, len(x)), make([]float32, len(x)), decays})
}

// update is Adam with the usual constants and decoupled weight decay.
func (a *adam) update() {
	const b1, b2, eps = 0.9, 0.999, 1e-8
	a.steps++
	c1 := 1 / (1 - math.Pow(b1, float64(a.steps)))
	c2 := 1 / (1 - math.Pow(b2, float64(a.steps)))
	for _, p := range a.parts {
		keep := float32(1)
		if p.decays {
			keep = float32(1 - a.rate*a.decay)
		}
		rate, scale := float32(a.rate*c1), float32(c2)
		for i, g := range p.grad {
			p.first[i] = b1*p.first[i] + (1-b1)*g
			p.second[i] = b2*p.second[i] + (1-b2)*g*g
			p.x[i] = keep*p.x[i] - rate*p.first[i]/(float32(math.Sqrt(float64(p.second[i]*scale)))+eps)
		}
	}
}
