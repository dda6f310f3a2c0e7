package text

import (
	"context"
	"io/fs"
	"math"
	"slices"
	"testing"

	"github.com/aimass/aimass/runtime/native"
	"github.com/aimass/aimass/runtime/tensor"
)

const small = `{"normalizer":{"type":"BertNormalizer","lowercase":true,"handle_chinese_chars":true},"pre_tokenizer":{"type":"BertPreTokenizer"},
"model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,
"vocab":{"[PAD]":0,"[UNK]":1,"[CLS]":2,"[SEP]":3,"pain":4,"##ful":5,"knee":6}}}`

func source(params map[string]string) native.Source {
	return native.Source{Params: params,
		Read:   func(string) ([]byte, error) { return []byte(small), nil },
		Beside: func(model, _ string) ([]byte, error) { return nil, fs.ErrNotExist },
	}
}

func alloc(d tensor.DType, s tensor.Shape) (*tensor.Tensor, error) { return tensor.New(d, s), nil }

func TestTokenizer(t *testing.T) {
	m, err := newTokenizer(source(map[string]string{"max_pieces": "4"}))
	if err != nil {
		t.Fatal(err)
	}
	out, err := m.Run(context.Background(), []tensor.Value{tensor.FromStrings([]string{"Painful knee pain", "knee"}, 2)}, alloc)
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range [][]int64{{2, 4, 5, 3, 2, 6, 3, 0}, {1, 1, 1, 1, 1, 1, 1, 0}, {0, 0, 0, 0, 0, 0, 0, 0}, {4, 3}} {
		if got := data[int64](out[k]); !slices.Equal(got, want) {
			t.Errorf("output %d: got %v, want %v", k, got, want)
		}
	}
	if _, err := m.Run(context.Background(), []tensor.Value{tensor.FromStrings(nil, 0)}, alloc); err == nil {
		t.Error("no text at all was taken")
	}
	for _, bad := range []map[string]string{{"max_pieces": "1"}, {"max_pieces": "many"}, {"colour": "red"}, {"tokenizer": "absent"}} {
		if _, err := newTokenizer(source(bad)); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
}

func TestPool(t *testing.T) {
	hidden := tensor.FromSlice([]float32{1, 3, 3, 1, 9, 9}, 1, 3, 2)
	mask := tensor.FromSlice([]int64{1, 1, 0}, 1, 3)
	for _, c := range []struct {
		params map[string]string
		want   []float32
	}{
		{map[string]string{"normalize": "false"}, []float32{2, 2}},
		{map[string]string{"normalize": "false", "pooling": "cls"}, []float32{1, 3}},
		{map[string]string{"normalize": "false", "pooling": "max"}, []float32{3, 3}},
		{nil, []float32{float32(math.Sqrt(.5)), float32(math.Sqrt(.5))}},
	} {
		m, err := newPool(source(c.params))
		if err != nil {
			t.Fatal(err)
		}
		out, err := m.Run(context.Background(), []tensor.Value{hidden, mask}, alloc)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range data[float32](out[0]) {
			if math.Abs(float64(v-c.want[i])) > 1e-6 {
				t.Errorf("%v: got %v, want %v", c.params, data[float32](out[0]), c.want)
				break
			}
		}
	}
	for _, bad := range []map[string]string{{"pooling": "sum"}, {"normalize": "yes"}, {"colour": "red"}} {
		if _, err := newPool(source(bad)); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
	m, _ := newPool(source(nil))
	if _, err := m.Run(context.Background(), []tensor.Value{hidden, tensor.New(tensor.Int64, tensor.Shape{1, 2})}, alloc); err == nil {
		t.Error("a mask of another length was taken")
	}
}
