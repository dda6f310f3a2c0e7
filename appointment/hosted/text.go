package hosted

import (
	"context"
	"math"
	"slices"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/internal/wordpiece"
	"github.com/aimass/aimass/runtime/native"
	"github.com/aimass/aimass/runtime/tensor"
)

// A text model is a sentence encoder with BERT's inputs whose first output is a vector
// for each piece; its tokenizer lies beside it.
const (
	tokenizerFile = "tokenizer.json"
	// maxPieces of one text; what is longer is cut.
	maxPieces = 128
	// sameModel is the cosine above which two vectors of one text come from one model: they
	// differ by the padding's rounding only.
	sameModel = .9999
)

// encoded are the vectors of a clinic's phrases.
type encoded struct {
	options []string
	vectors [][]float64
}

// tokenizer reads the text model's tokenizer, once there is one.
func (s *served) tokenizer() (*wordpiece.Tokenizer, error) {
	if t := s.pieces.Load(); t != nil {
		return t, nil
	}
	if s.beside == nil {
		return nil, notLoaded(s.text)
	}
	b, err := s.beside(s.text, tokenizerFile)
	if err != nil {
		return nil, api.Wrap(api.CodeModelUnavailable, err, "this needs the model '%s' with its %s, which is not loaded", s.text, tokenizerFile)
	}
	t, err := wordpiece.Read(b)
	if err != nil {
		return nil, api.Errorf(api.CodeModelUnavailable, "model '%s': %w", s.text, err)
	}
	s.pieces.Store(t)
	return t, nil
}

// Closest implements recommend.Models: the nearest by cosine. The options' vectors are
// kept; the first option is encoded with every text, so that vectors of a model which was
// since replaced are noticed and made again.
func (s *served) Closest(ctx context.Context, text string, options []string) (int, error) {
	have := s.encoded.Load()
	if have == nil || !slices.Equal(have.options, options) {
		have = nil
	}
	list := append([]string{text}, options...)
	if have != nil {
		list = list[:2]
	}
	vectors, err := s.encode(ctx, list)
	if err != nil {
		return 0, err
	}
	if have != nil && cosine(vectors[1], have.vectors[0]) < sameModel {
		have = nil
		if vectors, err = s.encode(ctx, append([]string{text}, options...)); err != nil {
			return 0, err
		}
	}
	if have == nil {
		have = &encoded{slices.Clone(options), vectors[1:]}
		s.encoded.Store(have)
	}
	best, nearest := 0, math.Inf(-1)
	for k, v := range have.vectors {
		if c := cosine(vectors[0], v); c > nearest {
			best, nearest = k, c
		}
	}
	return best, nil
}

// encode gives each text's vector, the mean of its pieces', all in one batch.
func (s *served) encode(ctx context.Context, list []string) ([][]float64, error) {
	t, err := s.tokenizer()
	if err != nil {
		return nil, err
	}
	rows, length := make([][]int64, len(list)), 0
	for i, text := range list {
		rows[i] = t.Append(nil, text, maxPieces)
		length = max(length, len(rows[i]))
	}
	b := len(rows)
	ids, mask := make([]int64, b*length), make([]int64, b*length)
	for i, r := range rows {
		copy(ids[i*length:], r)
		for k := range r {
			mask[i*length+k] = 1
		}
	}
	out, err := s.ask(ctx, s.text, []native.Named{
		{Name: "input_ids", Tensor: tensor.FromSlice(ids, b, length)}, {Name: "attention_mask", Tensor: tensor.FromSlice(mask, b, length)},
		{Name: "token_type_ids", Tensor: tensor.FromSlice(make([]int64, b*length), b, length)},
	}, "output_0")
	if err != nil {
		return nil, err
	}
	v := out[0]
	if v.DType != tensor.Float32 || len(v.Shape) != 3 || v.Shape[0] != b || v.Shape[1] != length {
		return nil, api.Errorf(api.CodeExecutionFailed, "model '%s' gave %v, expected a vector for each of %d pieces", s.text, v, length)
	}
	return means(tensor.Data[float32](v), rows, length, v.Shape[2]), nil
}

// means averages the vectors of each row's pieces.
func means(v []float32, rows [][]int64, length, width int) [][]float64 {
	out := make([][]float64, len(rows))
	for i, r := range rows {
		out[i] = make([]float64, width)
		for k := range r {
			for j, x := range v[(i*length+k)*width : (i*length+k+1)*width] {
				out[i][j] += float64(x)
			}
		}
	}
	return out
}

// cosine of the angle between two vectors; their lengths do not matter.
func cosine(a, b []float64) float64 {
	dot, aa, bb := 0.0, 0.0, 0.0
	for i, x := range a[:min(len(a), len(b))] {
		dot, aa, bb = dot+x*b[i], aa+x*x, bb+b[i]*b[i]
	}
	return dot / math.Sqrt(aa*bb+1e-30)
}
