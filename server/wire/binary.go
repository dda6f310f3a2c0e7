package wire

import (
	"encoding/binary"
	"math"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/runtime/tensor"
)

// bindBinary hands out the bytes behind the JSON to the inputs that have a binary_data_size, in their order.
func (r *Request) bindBinary(tail []byte) error {
	for i := range r.Inputs {
		in := &r.Inputs[i]
		if len(in.Shared.Region) > 0 {
			if err := r.p.sink.Check(in); err != nil {
				return err
			}
		}
		if in.BinarySize < 0 {
			continue
		}
		if in.BinarySize > len(tail) {
			return api.Errorf(api.CodeSizeMismatch, "input '%s': binary_data_size is %d, but only %d bytes of binary data are left",
				in.Name, in.BinarySize, len(tail))
		}
		part := tail[:in.BinarySize:in.BinarySize]
		tail = tail[in.BinarySize:]
		if err := bindPart(in, part, r.p.sink); err != nil {
			return err
		}
	}
	if len(tail) > 0 {
		return api.Errorf(api.CodeTrailingBytes, "%d bytes follow the last binary tensor", len(tail))
	}
	return nil
}

// bindPart makes part the data of an input whose name, type and shape are set.
func bindPart(in *Input, part []byte, sink Sink) error {
	if err := sink.Check(in); err != nil {
		return err
	}
	n := in.Shape.Elements()
	if in.DType == tensor.String {
		var err error
		in.Strings, err = SplitBytes(part, n)
		if err != nil {
			return api.Errorf(api.CodeOf(err), "input '%s' for model '%s': %s", in.Name, sink.Model(), api.Message(err))
		}
		return nil
	}
	if want := in.DType.Bytes(n); len(part) != want {
		return api.Errorf(api.CodeSizeMismatch, "input byte size mismatch for input '%s' for model '%s'. Expected %d, got %d",
			in.Name, sink.Model(), want, len(part))
	}
	buf := sink.Buffer(in, len(part))
	if buf == nil {
		in.Data = part
		return nil
	}
	if len(buf) != len(part) {
		panic("BUG: a Sink's buffer does not fit the input")
	}
	copy(buf, part)
	in.Data = buf
	return nil
}

// ParseRaw reads a request whose body is the one input's data and nothing else (Inference-Header-Content-Length: 0). The
// caller gives the input's name, type and shape; a dimension of -1, at most one, is what the body's size makes of it. A
// BYTES input takes the whole body as one element. All outputs are wanted in binary.
func (r *Request) ParseRaw(body, name []byte, d tensor.DType, shape []int, sink Sink) error {
	r.Reset()
	r.BinaryOutput = true
	in := r.nextInput()
	in.Name, in.DType, in.BinarySize = name, d, len(body)
	free, known := -1, 1
	for axis, extent := range shape {
		in.Shape = append(in.Shape, extent)
		switch {
		case extent >= 0:
			known *= extent
		case free >= 0:
			return api.Errorf(api.CodeShapeMismatch, "input '%s': a raw request needs a shape with at most one variable dimension, the model's is %v",
				name, tensor.Shape(shape))
		default:
			free = axis
		}
	}
	if d == tensor.String {
		if free >= 0 {
			in.Shape[free], free = 1, -1
		}
		if in.Shape.Elements() != 1 {
			return api.Errorf(api.CodeShapeMismatch, "input '%s': a raw request holds one BYTES element, the model's shape is %v", name, tensor.Shape(shape))
		}
		if err := sink.Check(in); err != nil {
			return err
		}
		in.Strings = []string{string(body)}
		return nil
	}
	if free >= 0 {
		row := d.Bytes(known)
		if row == 0 || len(body)%row != 0 {
			return api.Errorf(api.CodeSizeMismatch, "input '%s': %d bytes are not a multiple of the %d that one step of the variable dimension takes",
				name, len(body), row)
		}
		in.Shape[free] = len(body) / row
	}
	return bindPart(in, body, sink)
}

// SplitBytes reads the n elements of a binary BYTES tensor: each its length in 4 bytes, little-endian, and its bytes. The
// strings have memory of their own.
func SplitBytes(data []byte, n int) ([]string, error) {
	if n > len(data)/4 {
		return nil, api.Errorf(api.CodeSizeMismatch, "%d BYTES elements need at least %d bytes, got %d", n, 4*n, len(data))
	}
	all := string(data)
	list := make([]string, n)
	at := 0
	for i := range list {
		if len(data)-at < 4 {
			return nil, api.Errorf(api.CodeSizeMismatch, "expected %d BYTES elements, data end after %d", n, i)
		}
		size := binary.LittleEndian.Uint32(data[at:])
		at += 4
		if uint64(size) > uint64(len(data)-at) {
			return nil, api.Errorf(api.CodeBytesElementInvalid, "BYTES element %d claims %d bytes, only %d are left", i, size, len(data)-at)
		}
		list[i] = all[at : at+int(size)]
		at += int(size)
	}
	if at != len(data) {
		return nil, api.Errorf(api.CodeSizeMismatch, "%d bytes follow the last of %d BYTES elements", len(data)-at, n)
	}
	return list, nil
}

// AppendBytes appends the binary form of a BYTES tensor. It fails for an element whose length does not fit in 4 bytes.
func AppendBytes(dst []byte, elements []string) ([]byte, error) {
	for i, s := range elements {
		if uint64(len(s)) > math.MaxUint32 {
			return dst, api.Errorf(api.CodeInternal, "BYTES element %d is larger than 4 GiB", i)
		}
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(s)))
		dst = append(dst, s...)
	}
	return dst, nil
}

// BytesSize is the length of what AppendBytes appends.
func BytesSize(elements []string) int {
	n := 4 * len(elements)
	for _, s := range elements {
		n += len(s)
	}
	return n
}
