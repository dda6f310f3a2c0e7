package onnx

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/aimass/aimass/runtime/graph"
)

// Memory is a model in memory, which must stay unchanged while the graph is used.
type Memory struct {
	Bytes []byte
	// Files are its external data, by location.
	Files map[string][]byte
	// Await is set where both are still arriving. It returns when a part of them may be read; what is
	// found wrong on the way is not its business, and zeros must do then.
	Await func(part []byte)
}

// Read reads a model from memory, which the graph's constants go on pointing into.
// External data are refused.
func Read(b []byte) (*graph.Model, error) {
	return read(b, source{external: func(map[string]string, int) ([]byte, error) {
		return nil, problemf(Weights, "external data need a file beside them")
	}}, func() int { return len(b) })
}

// ReadMemory is Read with external data.
func ReadMemory(m Memory) (*graph.Model, error) {
	size := len(m.Bytes)
	for _, f := range m.Files {
		size += len(f)
	}
	if m.Await != nil {
		m.awaitFrame()
	}
	return read(m.Bytes, source{external: func(entries map[string]string, want int) ([]byte, error) {
		loc := entries["location"]
		data, ok := m.Files[loc]
		if !ok {
			return nil, problemf(Weights, "external data %q: no such file beside the model", loc)
		}
		return part(data, entries, want)
	}, await: m.Await}, func() int { return size })
}

func read(b []byte, from source, size func() int) (*graph.Model, error) {
	m, err := parseModel(b)
	if err != nil {
		return nil, err
	}
	return (&builder{model: m, from: from, size: size}).build()
}

// awaitFrame awaits all of the protobuf but the raw data of the graph's large initializers, which
// are waited for when their elements are asked for.
func (m Memory) awaitFrame() {
	const graphField, initializerField, rawField, large = 7, 5, 9, 64 << 10
	m.fields(m.Bytes, func(num protowire.Number, b []byte) {
		if num != graphField {
			m.Await(b)
			return
		}
		m.fields(b, func(num protowire.Number, b []byte) {
			if num != initializerField || len(b) < large {
				m.Await(b)
				return
			}
			m.fields(b, func(num protowire.Number, b []byte) {
				if num != rawField {
					m.Await(b)
				}
			})
		})
	})
}

// fields calls do for the length-delimited fields of a message, whose other parts it awaits. If the
// message is malformed it awaits all of the model, for the parser to say so.
func (m Memory) fields(b []byte, do func(num protowire.Number, b []byte)) {
	const head = 20 // two varints at most: tag and length, or tag and value
	for len(b) > 0 {
		m.Await(b[:min(head, len(b))])
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 || typ == protowire.StartGroupType {
			m.Await(m.Bytes)
			return
		}
		b = b[n:]
		if typ == protowire.BytesType {
			var v []byte
			v, n = protowire.ConsumeBytes(b)
			if n >= 0 {
				do(num, v)
			}
		} else {
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			m.Await(m.Bytes)
			return
		}
		b = b[n:]
	}
}
