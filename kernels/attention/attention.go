// Package attention computes scaled dot-product attention for a batch of
// sequences and heads, one fused pass for each: a few query rows against all
// keys, softmax, then the values, with the scores never leaving the cache.
//
// Nothing is kept or allocated; Out must not overlap an input. Safe for
// concurrent use on different outputs. Neighbours: pool, isa.
package attention

import (
	"fmt"

	"github.com/aimass/aimass/kernels/isa"
)

// Params describes one call. Element d of token t of head h of sequence s is
// at s*SeqStride + t*TokenStride + h*HeadStride + d of its slice, so q, k and v
// may be three parts of one fused buffer, or have tokens and heads swapped.
//
//	out = softmax(Scale·q·kᵀ + bias) · v
type Params struct {
	Seqs, Heads int
	// KVHeads is the number of heads of k and v; query head h reads head
	// h·KVHeads/Heads (grouped queries). 0 means Heads.
	KVHeads int
	// QLen and KLen are tokens a sequence. With Starts they are ignored.
	QLen, KLen int
	// Starts, if not nil, has Seqs+1 increasing token offsets: sequence s is
	// the tokens Starts[s]..Starts[s+1]-1 of q, k, v and out alike, packed one
	// behind the other without padding, and SeqStride is not used.
	Starts []int32
	// KeyLens, if not nil, has for each sequence the number of leading keys
	// that count, in 0..KLen; a query that sees no key gives zeros.
	KeyLens []int32
	// DK is the width of a head of q and k, DV that of v and out.
	DK, DV       int
	Q, K, V, Out Strides
	Scale        float32
	Causal       bool // query i sees keys ≤ i + KLen − QLen
	// Window, if not 0, hides keys ≤ i + KLen − QLen − Window from query i.
	Window int
	// Softcap, if not 0, bounds scores before the bias is added: they become Softcap·tanh(score/Softcap).
	Softcap float32
	// Sinks, if not nil, has for each head one more score that takes part in the softmax and has no value.
	Sinks     []float32
	Bias      []float32
	BiasSeq   int // steps of Bias a sequence, head, query and key, each may be 0;
	BiasHead  int // BiasKey is 0 or 1. A mask for each key is BiasQuery 0, BiasHead 0.
	BiasQuery int
	BiasKey   int
	Blank     Blank
	Threads   int
}

// Blank says what a query gives whose weights are no numbers.
type Blank int32

// The ways with such queries.
const (
	KeepNaN     Blank = iota // NaN
	BlankUnseen              // zeros where every score is −∞, else NaN
	BlankNaN                 // zeros
)

// Strides are the steps of one tensor, in elements.
type Strides struct{ Seq, Token, Head int }

// Run computes out from q, k and v.
func (p *Params) Run(out, q, k, v []float32) { p.run(isa.Current().Level, out, q, k, v) }

func (p *Params) run(level isa.Level, out, q, k, v []float32) {
	if p.Seqs == 0 || p.Heads == 0 || p.DV == 0 {
		return
	}
	p.check(out, q, k, v)
	if level != isa.Generic && p.DK > 0 {
		p.runNative(level, out, q, k, v)
		return
	}
	p.runGeneric(out, q, k, v)
}

func (p *Params) kvHeads() int {
	if p.KVHeads == 0 {
		return p.Heads
	}
	return p.KVHeads
}

// seq gives the tokens of sequence s: query and key counts, and the offset of
// its first token in each tensor.
func (p *Params) seq(s int) (nq, nk, q, k, v, o int) {
	if p.Starts != nil {
		t := int(p.Starts[s])
		n := int(p.Starts[s+1]) - t
		nq, nk = n, n
		q, k, v, o = t*p.Q.Token, t*p.K.Token, t*p.V.Token, t*p.Out.Token
	} else {
		nq, nk = p.QLen, p.KLen
		q, k, v, o = s*p.Q.Seq, s*p.K.Seq, s*p.V.Seq, s*p.Out.Seq
	}
	return nq, nk, q, k, v, o
}

func (p *Params) check(out, q, k, v []float32) {
	if p.Starts != nil && len(p.Starts) < p.Seqs+1 {
		panic("BUG: attention: Starts is too short")
	}
	if p.KeyLens != nil && len(p.KeyLens) < p.Seqs {
		panic("BUG: attention: KeyLens is too short")
	}
	if p.Window < 0 || p.Sinks != nil && len(p.Sinks) < p.Heads {
		panic(fmt.Sprintf("BUG: attention: a window of %d, %d sinks for %d heads", p.Window, len(p.Sinks), p.Heads))
	}
	if h := p.kvHeads(); h < 1 || p.Heads%h != 0 {
		panic(fmt.Sprintf("BUG: attention: %d heads over %d", p.Heads, h))
	}
	for s := range p.Seqs {
		nq, nk, oq, ok, ov, oo := p.seq(s)
		if nq < 0 || nk < 0 {
			panic("BUG: attention: a sequence of negative length")
		}
		if p.KeyLens != nil && (p.KeyLens[s] < 0 || int(p.KeyLens[s]) > nk) {
			panic("BUG: attention: KeyLens out of range")
		}
		if nq == 0 {
			continue
		}
		within("q", q, oq, nq, p.Heads, p.DK, p.Q)
		within("out", out, oo, nq, p.Heads, p.DV, p.Out)
		if nk == 0 {
			continue
		}
		within("k", k, ok, nk, p.kvHeads(), p.DK, p.K)
		within("v", v, ov, nk, p.kvHeads(), p.DV, p.V)
		if p.Bias != nil {
			last := s*p.BiasSeq + (p.Heads-1)*p.BiasHead + (nq-1)*p.BiasQuery + (nk-1)*p.BiasKey
			if last >= len(p.Bias) {
				panic(fmt.Sprintf("BUG: attention: bias has %d values, needs %d", len(p.Bias), last+1))
			}
		}
	}
}

func within(name string, x []float32, at, tokens, heads, d int, s Strides) {
	if need := at + (tokens-1)*s.Token + (heads-1)*s.Head + d; len(x) < need {
		panic(fmt.Sprintf("BUG: attention: %s has %d values of %d", name, len(x), need))
	}
}
