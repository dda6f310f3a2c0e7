// Package text holds the native models around a sentence encoder: Tokenizer turns texts
// into the numbered pieces that it takes, Pool its hidden states into one vector a text. An
// ensemble puts the three together, so that a text becomes an embedding in one call.
//
// Neighbours: internal/wordpiece splits text; Entries go into runtime.Config.Natives.
//
// Ownership and concurrency are native.Model's; the models keep no state between runs.
package text

import (
	"github.com/aimass/aimass/runtime/native"
	"github.com/aimass/aimass/runtime/tensor"
)

// Names by which a configuration asks for the models.
const (
	Tokenizer = "text-tokenizer"
	Pool      = "text-pool"
)

// Entries lists the models of this package.
func Entries() []native.Entry {
	return []native.Entry{{Name: Tokenizer, New: newTokenizer}, {Name: Pool, New: newPool}}
}

// unknown names a parameter that is none of known.
func unknown(params map[string]string, known ...string) string {
	for name := range params {
		found := false
		for _, k := range known {
			found = found || k == name
		}
		if !found {
			return name
		}
	}
	return ""
}

func data[T tensor.Number](v tensor.Value) []T { return tensor.Data[T](v.(*tensor.Tensor)) }

func shape(v tensor.Value) tensor.Shape { return v.(*tensor.Tensor).Shape }
