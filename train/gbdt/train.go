package gbdt

import (
	"context"
	"fmt"
	"math/rand/v2"
)

// Progress is told after each round.
type Progress struct {
	// Round counts from 1 up to Rounds, the most there may be.
	Round, Rounds int
	// Loss is the validation loss now, Best the least so far and BestRound when
	// that was; without a validation set all are 0.
	Loss, Best float64
	BestRound  int
}

// Train fits a model to data. With valid, which must have the same features,
// the loss on it is followed, and EarlyStop cuts the model back to the best
// round. progress may be nil; it is called on the caller's goroutine. The error
// of a context that ends is its cause.
func Train(ctx context.Context, c Config, data, valid *Dataset, progress func(Progress)) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := data.validate(&c, "training"); err != nil {
		return nil, err
	}
	if valid != nil {
		if err := valid.validate(&c, "validation"); err != nil {
			return nil, err
		}
		if err := sameSchema(data, valid); err != nil {
			return nil, err
		}
	} else if c.EarlyStop > 0 {
		c.EarlyStop = 0
	}
	t := newTrainer(&c, data, valid)
	for round := 1; round <= c.Rounds; round++ {
		if err := t.round(ctx, round); err != nil {
			return nil, fmt.Errorf("gbdt: training stopped in round %d: %w", round, err)
		}
		p := Progress{Round: round, Rounds: c.Rounds}
		if valid != nil {
			t.follow(&p)
		}
		if progress != nil {
			progress(p)
		}
		if c.EarlyStop > 0 && round-t.bestRound >= c.EarlyStop {
			break
		}
	}
	if c.EarlyStop > 0 {
		t.model.Trees = t.model.Trees[:t.bestRound*c.outputs()]
	}
	return t.model, nil
}

// trainer holds a training in progress.
type trainer struct {
	c           *Config
	data, valid *Dataset
	obj         objective
	model       *Model
	grower      *grower
	weights     []float64
	scores      [][]float64
	grads       [][]pair
	drawn, left []int32
	validWeight []float64
	validScores [][]float64
	best        float64
	bestRound   int
}

func newTrainer(c *Config, data, valid *Dataset) *trainer {
	t := &trainer{c: c, data: data, valid: valid, obj: newObjective(c), weights: data.rowWeights(c)}
	t.grower = newGrower(c, data, newBinned(data, c))
	t.model = &Model{Objective: c.Objective, Features: append([]Feature(nil), data.Features...), Base: t.obj.base(data.Labels, t.weights)}
	t.scores = fill(t.model.Base, data.Rows())
	t.grads = make([][]pair, c.outputs())
	for k := range t.grads {
		t.grads[k] = make([]pair, data.Rows())
	}
	if valid != nil {
		t.validWeight = valid.rowWeights(c)
		t.validScores = fill(t.model.Base, valid.Rows())
	}
	return t
}

// fill gives n scores of each base value.
func fill(base []float64, n int) [][]float64 {
	s := make([][]float64, len(base))
	for k, b := range base {
		s[k] = make([]float64, n)
		for i := range s[k] {
			s[k][i] = b
		}
	}
	return s
}

// round adds one tree an output.
func (t *trainer) round(ctx context.Context, round int) error {
	n, workers := t.data.Rows(), t.grower.workers
	shareRows(n, workers, func(from, to int) {
		t.obj.gradients(t.scores, t.data.Labels, t.weights, t.grads, from, to)
	})
	rng := rand.New(rand.NewPCG(t.c.Seed, uint64(round)))
	t.sample(rng)
	for k := range t.grads {
		tree, leaves, err := t.grower.grow(ctx, t.grads[k], t.drawn, rng)
		if err != nil {
			return err
		}
		t.renew(&tree, leaves, k)
		t.update(&tree, leaves, k)
		if t.valid != nil {
			shareRows(t.valid.Rows(), workers, func(from, to int) { tree.add(t.validScores[k], t.valid.Columns, from, to) })
		}
		t.model.Trees = append(t.model.Trees, tree)
	}
	return nil
}

// sample draws this round's rows in rising order (selection sampling, Knuth,
// The Art of Computer Programming, volume 2, algorithm S); the others are left.
func (t *trainer) sample(rng *rand.Rand) {
	n := t.data.Rows()
	want := max(1, int(t.c.RowFraction*float64(n)))
	t.drawn, t.left = t.drawn[:0], t.left[:0]
	for r := range n {
		if want == n || rng.IntN(n-r) < want-len(t.drawn) {
			t.drawn = append(t.drawn, int32(r))
		} else {
			t.left = append(t.left, int32(r))
		}
	}
}

// update adds a new tree to the training scores. The rows that it grew on lie
// by leaves already; the others must walk down.
func (t *trainer) update(tree *Tree, leaves []leaf, k int) {
	scores, workers := t.scores[k], t.grower.workers
	share(len(leaves), workers, func(i int) {
		v := float64(tree.Nodes[leaves[i].node].Value)
		for _, r := range t.grower.rows[leaves[i].begin:leaves[i].end] {
			scores[r] += v
		}
	})
	shareRows(len(t.left), workers, func(from, to int) {
		for _, r := range t.left[from:to] {
			tree.add(scores, t.data.Columns, int(r), int(r)+1)
		}
	})
}

// renew sets the leaves' values from their residuals where the objective does, within the bounds that monotone features set.
func (t *trainer) renew(tree *Tree, leaves []leaf, k int) {
	obj, ok := t.obj.(renewer)
	if !ok {
		return
	}
	var res, w []float64
	for i := range leaves {
		l := &leaves[i]
		res, w = res[:0], w[:0]
		for _, r := range t.grower.rows[l.begin:l.end] {
			res = append(res, t.data.Labels[r]-t.scores[k][r])
			w = append(w, weightAt(t.weights, int(r)))
		}
		tree.Nodes[l.node].Value = float32(l.lim.clip(obj.renew(res, w)) * t.c.LearningRate)
	}
}

// follow takes the validation loss of the round just done.
func (t *trainer) follow(p *Progress) {
	loss := meanLoss(t.obj, t.validScores, t.valid.Labels, t.validWeight, t.grower.workers)
	t.model.Loss = append(t.model.Loss, loss)
	if t.bestRound == 0 || loss < t.best {
		t.best, t.bestRound = loss, p.Round
	}
	p.Loss, p.Best, p.BestRound = loss, t.best, t.bestRound
}
