package text

import (
	"context"
	"fmt"
	"strconv"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/internal/wordpiece"
	"github.com/aimass/aimass/runtime/native"
	"github.com/aimass/aimass/runtime/tensor"
)

// tokenizer gives the pieces of texts. The shorter ones of a request are filled up with
// piece 0 to the length of the longest, which the mask tells apart.
type tokenizer struct {
	native.Alone
	t     *wordpiece.Tokenizer
	limit int
}

// defaultLimit is the number of pieces after which a text is cut, and most what the
// parameter may ask for: the positions that BERT knows.
const (
	defaultLimit = 256
	mostPieces   = 512
)

// newTokenizer reads tokenizer.json from the version's folder, or from beside the model that
// the parameter "tokenizer" names. "max_pieces" cuts longer texts.
func newTokenizer(from native.Source) (native.Model, error) {
	if p := unknown(from.Params, "tokenizer", "max_pieces"); p != "" {
		return nil, fmt.Errorf("parameter %q is not known, expected tokenizer or max_pieces", p)
	}
	m := &tokenizer{limit: defaultLimit}
	if v := from.Params["max_pieces"]; v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 2 || n > mostPieces {
			return nil, fmt.Errorf("parameter max_pieces: got %q, expected 2 to %d", v, mostPieces)
		}
		m.limit = n
	}
	const file = "tokenizer.json"
	read := func() ([]byte, error) { return from.Read(file) }
	if beside := from.Params["tokenizer"]; beside != "" {
		read = func() ([]byte, error) { return from.Beside(beside, file) }
	}
	b, err := read()
	if err != nil {
		return nil, fmt.Errorf("%s can't be read: put it into the version's folder, or name the model that has it by the parameter tokenizer", file)
	}
	m.t, err = wordpiece.Read(b)
	return m, err
}

func (*tokenizer) Inputs() []native.Port {
	return []native.Port{native.Tensor("text", tensor.String, -1)}
}

func (*tokenizer) Outputs() []native.Port {
	return []native.Port{
		native.Tensor("input_ids", tensor.Int64, -1, -1), native.Tensor("attention_mask", tensor.Int64, -1, -1),
		native.Tensor("token_type_ids", tensor.Int64, -1, -1), native.Tensor("pieces", tensor.Int64, -1),
	}
}

// Sample implements native.Sampler.
func (*tokenizer) Sample(int) []tensor.Value {
	return []tensor.Value{tensor.FromStrings([]string{"a text"}, 1)}
}

// Run implements native.Model.
func (m *tokenizer) Run(ctx context.Context, in []tensor.Value, alloc native.Alloc) ([]tensor.Value, error) {
	texts := in[0].(*tensor.Tensor).Strings()
	if len(texts) == 0 {
		return nil, api.Errorf(api.CodeValueInvalid, "input 'text': got no text, expected at least one")
	}
	var flat []int64
	ends := make([]int, len(texts))
	longest := 0
	for i, s := range texts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		begin := len(flat)
		flat = m.t.Append(flat, s, m.limit)
		ends[i] = len(flat)
		longest = max(longest, len(flat)-begin)
	}
	out := make([]tensor.Value, 4)
	for k := range 3 {
		t, err := alloc(tensor.Int64, tensor.Shape{len(texts), longest})
		if err != nil {
			return nil, err
		}
		out[k] = t
	}
	count, err := alloc(tensor.Int64, tensor.Shape{len(texts)})
	if err != nil {
		return nil, err
	}
	out[3] = count
	ids, mask, begin := data[int64](out[0]), data[int64](out[1]), 0
	for i, end := range ends {
		n := copy(ids[i*longest:(i+1)*longest], flat[begin:end])
		for k := range n {
			mask[i*longest+k] = 1
		}
		data[int64](count)[i] = int64(n)
		begin = end
	}
	return out, nil
}
