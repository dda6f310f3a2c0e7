package runtime

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/aimass/aimass/runtime/native"
	"github.com/aimass/aimass/runtime/tensor"
)

// Native makes a model of Go code from Config.Natives and what its constructor is given.
// The error says which names there are, or what the constructor refused.
func (e *Engine) Native(name string, from native.Source) (*Model, error) {
	var names []string
	for _, n := range e.cfg.Natives {
		if n.Name == name {
			return openNative(n, from)
		}
		names = append(names, n.Name)
	}
	sort.Strings(names)
	known := "there are none"
	if len(names) > 0 {
		known = "there are " + strings.Join(names, ", ")
	}
	return nil, fmt.Errorf("no native model is called %q: %s", name, known)
}

func openNative(n native.Entry, from native.Source) (*Model, error) {
	code, err := n.New(from)
	if err != nil {
		return nil, fmt.Errorf("native model %s: %w", n.Name, err)
	}
	prog, err := native.Compile(code)
	if err != nil {
		return nil, fmt.Errorf("native model %s: %w", n.Name, err)
	}
	m := &Model{program: prog, Batch: Batch{Reason: "the native model takes one request at a time"}}
	for _, p := range code.Inputs() {
		m.Inputs = append(m.Inputs, Port(p))
	}
	for _, p := range code.Outputs() {
		m.Outputs = append(m.Outputs, Port(p))
	}
	if r, ok := code.(native.Rowwise); ok && r.Rowwise() {
		m.Batch = Batch{Rows: true, Reason: "the native model declares its rows independent"}
		if p := m.unbatched(); p != "" {
			m.Batch = Batch{Reason: fmt.Sprintf("the native model declares its rows independent, but %s has no open first extent", p)}
		}
	}
	if a, ok := code.(native.Asker); ok {
		list := a.Asks()
		m.asks = func(name string) bool { return slices.Contains(list, name) }
	} else {
		m.asks = func(string) bool { return true }
	}
	if s, ok := code.(native.Sampler); ok {
		m.sample = s.Sample
	}
	return m, nil
}

// Asks reports whether the model's answers may rest on those of another model of the server.
func (m *Model) Asks(name string) bool { return m.asks != nil && m.asks(name) }

// unbatched names a port whose first extent is not open, "" if there is none.
func (m *Model) unbatched() string {
	for _, list := range [][]Port{m.Inputs, m.Outputs} {
		for _, p := range list {
			if s := p.Shape(); len(s) == 0 || s[0] >= 0 {
				return fmt.Sprintf("%q", p.Name)
			}
		}
	}
	return ""
}

// Sample gives inputs to warm up with, in order of Inputs, for a batch of that many rows;
// nil if the model has none to offer, as an ONNX file never has.
func (m *Model) Sample(rows int) []tensor.Value {
	if m.sample == nil {
		return nil
	}
	return m.sample(rows)
}
