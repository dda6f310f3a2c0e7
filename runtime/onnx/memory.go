package onnx

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// Memory is a model in memory, which must stay unchanged while the graph is used.
type Memory struct {
	Bytes []byte
	// Files are its external data, by location.
	Files map[string][]byte
	// Lender is set where both hold their data only for who asks for them. What it finds wrong on the way is not the
	// reader's business, and zeros must do then.
	Lender tensor.Lender
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
	if m.Lender != nil {
		// The graph copies what it keeps of it.
		f := &frame{Memory: m}
		defer f.back()
		if f.await(); f.err != nil {
			return nil, f.err
		}
	}
	return read(m.Bytes, source{external: func(entries map[string]string, want int) ([]byte, error) {
		loc := entries["location"]
		data, ok := m.Files[loc]
		if !ok {
			return nil, problemf(Weights, "external data %q: no such file beside the model", loc)
		}
		return part(data, entries, want)
	}, lender: m.Lender, scarce: m.Lender != nil}, func() int { return size })
}

func read(b []byte, from source, size func() int) (*graph.Model, error) {
	m, err := parseModel(b)
	if err != nil {
		return nil, err
	}
	return (&builder{model: m, from: from, size: size}).build()
}

// frame is all of the protobuf but the raw data of the graph's large initializers, borrowed while the graph is read.
type frame struct {
	Memory
	parts [][]byte
	err   error
}

// borrow borrows a part of the model.
func (f *frame) borrow(b []byte) {
	if len(b) == 0 || f.err != nil {
		return
	}
	if f.err = f.Lender.Borrow(b); f.err == nil {
		f.parts = append(f.parts, b)
	}
}

// back returns all parts.
func (f *frame) back() {
	for _, b := range f.parts {
		f.Lender.Return(b)
	}
}

// await borrows the frame.
func (f *frame) await() {
	const graphField, initializerField, rawField = 7, 5, 9
	f.fields(f.Bytes, func(num protowire.Number, b []byte) {
		if num != graphField {
			f.borrow(b)
			return
		}
		f.fields(b, func(num protowire.Number, b []byte) {
			if num != initializerField || len(b) < tensor.Large {
				f.borrow(b)
				return
			}
			f.fields(b, func(num protowire.Number, b []byte) {
				if num != rawField {
					f.borrow(b)
				}
			})
		})
	})
}

// fields calls do for the length-delimited fields of a message, whose other parts it borrows. If the
// message is malformed it borrows all of the model, for the parser to say so.
func (f *frame) fields(b []byte, do func(num protowire.Number, b []byte)) {
	const head = 20 // two varints at most: tag and length, or tag and value
	for len(b) > 0 && f.err == nil {
		f.borrow(b[:min(head, len(b))])
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 || typ == protowire.StartGroupType {
			f.borrow(f.Bytes)
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
			f.borrow(f.Bytes)
			return
		}
		b = b[n:]
	}
}
