package hosted

import (
	"context"
	"testing"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/runtime/native"
	"github.com/aimass/aimass/runtime/tensor"
)

const words = `{"normalizer":{"type":"BertNormalizer","handle_chinese_chars":true,"lowercase":true},"pre_tokenizer":{"type":"BertPreTokenizer"},
	"model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":50,
	"vocab":{"[UNK]":0,"[CLS]":1,"[SEP]":2,"my":3,"heart":4,"skin":5,"hurts":6,"itches":7,"baby":8}}}`

// encoder is a text model whose vector of a piece says which piece it is, from an offset
// on. Padding gets a vector that would spoil every mean.
type encoder struct {
	offset int
	rows   []int // of each call
}

func (e *encoder) call(_ context.Context, model string, in []native.Named, want ...string) ([]*tensor.Tensor, error) {
	if model != "encoder" || want[0] != "output_0" {
		return nil, api.Errorf(api.CodeModelNotFound, "no %s", model)
	}
	ids, mask := in[0].Tensor, tensor.Data[int64](in[1].Tensor)
	e.rows = append(e.rows, ids.Shape[0])
	const width = 12
	out := tensor.New(tensor.Float32, tensor.Shape{ids.Shape[0], ids.Shape[1], width})
	v := tensor.Data[float32](out)
	for k, id := range tensor.Data[int64](ids) {
		v[k*width+(int(id)+e.offset)%width] = 1
		if mask[k] == 0 {
			for j := range width {
				v[k*width+j] = 1000
			}
		}
	}
	return []*tensor.Tensor{out}, nil
}

func TestClosest(t *testing.T) {
	e := &encoder{}
	s := &served{call: e.call, text: "encoder", beside: func(model, name string) ([]byte, error) { return []byte(words), nil }}
	options := []string{"my heart hurts", "skin", "my baby"}
	f := func(text string, want int) {
		t.Helper()
		got, err := s.Closest(context.Background(), text, options)
		if err != nil || got != want {
			t.Errorf("%q: option %d, want %d: %v", text, got, want, err)
		}
	}
	f("Skin itches", 1)
	f("heart", 0)
	f("my my my baby baby baby hurts", 2)
	if len(e.rows) != 3 || e.rows[0] != 4 || e.rows[1] != 2 {
		t.Errorf("rows %v, want the options to be encoded once", e.rows)
	}
	e.offset = 5 // another model takes the name
	f("skin", 1)
	if n := len(e.rows); n != 5 || e.rows[4] != 4 {
		t.Errorf("rows %v, want the options to be encoded again", e.rows)
	}
	options = []string{"baby", "itches"}
	f("itches", 1)
}

func TestClosestWithoutItsParts(t *testing.T) {
	f := func(s *served) {
		t.Helper()
		if _, err := s.Closest(context.Background(), "heart", []string{"skin"}); api.CodeOf(err) != api.CodeModelUnavailable {
			t.Errorf("%v, code %s", err, api.CodeOf(err))
		}
	}
	e := &encoder{}
	with := func(text string) func(string, string) ([]byte, error) {
		return func(string, string) ([]byte, error) { return []byte(text), nil }
	}
	f(&served{text: "encoder"})
	f(&served{text: "encoder", beside: with(words)})
	f(&served{text: "other", beside: with(words), call: e.call})
	f(&served{text: "encoder", beside: with("{}"), call: e.call})
}
