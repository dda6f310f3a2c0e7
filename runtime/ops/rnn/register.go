package rnn

import (
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
)

var common = form.Join(
	form.Floats("activation_alpha", "activation_beta"), form.Strs("activations"),
	form.Float("clip"), form.Str("direction"), form.Int("hidden_size"),
)

// Register adds the family's operators.
func Register(r *ops.Registry) {
	add := func(name string, since, maxIn, maxOut, gates int, eval func(*ops.Call) error, attrs ...string) {
		r.Add(&ops.Op{
			Name: name, Since: since, MinIn: 3, MaxIn: maxIn, MinOut: 0, MaxOut: maxOut,
			Attrs: form.Join(common, form.Int(attrs...)), Shape: shapeRecurrent(gates), Eval: eval,
		})
	}
	rnn := evaluator(rnnCell[float32](), rnnCell[float64]())
	add("RNN", 1, 6, 2, 1, rnn, "output_sequence")
	add("RNN", 7, 6, 2, 1, rnn)
	add("RNN", 14, 6, 2, 1, rnn, "layout")
	gru := evaluator(gruCell[float32](), gruCell[float64]())
	add("GRU", 1, 6, 2, 3, gru, "output_sequence")
	add("GRU", 3, 6, 2, 3, gru, "output_sequence", "linear_before_reset")
	add("GRU", 7, 6, 2, 3, gru, "linear_before_reset")
	add("GRU", 14, 6, 2, 3, gru, "linear_before_reset", "layout")
	lstm := evaluator(lstmCell[float32](), lstmCell[float64]())
	add("LSTM", 1, 8, 3, 4, lstm, "input_forget", "output_sequence")
	add("LSTM", 7, 8, 3, 4, lstm, "input_forget")
	add("LSTM", 14, 8, 3, 4, lstm, "input_forget", "layout")
}
