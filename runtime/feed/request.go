package feed

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/aimass/aimass/internal/half"
	"github.com/aimass/aimass/runtime/tensor"
)

// Request is inputs as the body of an inference request has them, with the right answers
// where they are known.
type Request struct {
	Inputs map[string]*tensor.Tensor
	// Labels are one number a row; nil where none are given.
	Labels []float64
}

// maxLine bounds a line of requests.
const maxLine = 1 << 30

// ReadRequests calls f with each request of a text of JSON lines; empty lines are passed
// over. An error names the line.
func ReadRequests(r io.Reader, f func(*Request) error) error {
	b := bufio.NewReaderSize(r, 1<<20)
	for n := 1; ; n++ {
		line, err := readLine(b)
		if line = bytes.TrimSpace(line); len(line) > 0 {
			q, perr := ParseRequest(line)
			if perr == nil {
				perr = f(q)
			}
			if perr != nil {
				return fmt.Errorf("line %d: %w", n, perr)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
}

func readLine(b *bufio.Reader) ([]byte, error) {
	var out []byte
	for {
		part, err := b.ReadSlice('\n')
		if out = append(out, part...); err != bufio.ErrBufferFull {
			return out, err
		}
		if len(out) > maxLine {
			return nil, fmt.Errorf("it has more than %d bytes", maxLine)
		}
	}
}

// ParseRequest reads one: {"inputs": [{"name", "shape", "datatype", "data"}], "labels": […]}.
// What else a request may hold is passed over.
func ParseRequest(b []byte) (*Request, error) {
	var q struct {
		Inputs []struct {
			Name       string          `json:"name"`
			Shape      []int           `json:"shape"`
			Datatype   string          `json:"datatype"`
			Parameters map[string]any  `json:"parameters"`
			Data       json.RawMessage `json:"data"`
		} `json:"inputs"`
		Labels []float64 `json:"labels"`
	}
	if err := json.Unmarshal(b, &q); err != nil {
		return nil, fmt.Errorf("no inference request in JSON: %w", err)
	}
	if len(q.Inputs) == 0 {
		return nil, fmt.Errorf("the request has no inputs")
	}
	out := &Request{Inputs: map[string]*tensor.Tensor{}, Labels: q.Labels}
	for _, in := range q.Inputs {
		if out.Inputs[in.Name] != nil {
			return nil, fmt.Errorf("input %q is there twice", in.Name)
		}
		d, ok := tensor.ParseV2(in.Datatype)
		if !ok {
			return nil, fmt.Errorf("input %q: there is no datatype %q", in.Name, in.Datatype)
		}
		s := tensor.Shape(in.Shape)
		if err := s.Check(); err != nil {
			return nil, fmt.Errorf("input %q: %w", in.Name, err)
		}
		t, err := elements(d, s, in.Data, in.Parameters["content_type"] == "base64")
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", in.Name, err)
		}
		out.Inputs[in.Name] = t
	}
	return out, nil
}

// elements reads a flat or nested array.
func elements(d tensor.DType, s tensor.Shape, data []byte, base64Texts bool) (*tensor.Tensor, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var raw []byte
	var texts []string
	n := 0
	for {
		tok, err := dec.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if delim, ok := tok.(json.Delim); ok {
			if delim == '{' {
				return nil, fmt.Errorf("the data hold an object")
			}
			continue
		}
		n++
		if d != tensor.String {
			if raw, err = appendElement(raw, d, tok); err != nil {
				return nil, fmt.Errorf("element %d: %w", n, err)
			}
			continue
		}
		text, ok := tok.(string)
		if !ok {
			return nil, fmt.Errorf("element %d is %v, expected a text", n, tok)
		}
		if base64Texts {
			b, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return nil, fmt.Errorf("element %d: %w", n, err)
			}
			text = string(b)
		}
		texts = append(texts, text)
	}
	if n != s.Elements() {
		return nil, fmt.Errorf("%d elements, expected %d for shape %v", n, s.Elements(), s)
	}
	if d == tensor.String {
		return tensor.FromStrings(texts, s...), nil
	}
	t := tensor.New(d, s)
	copy(t.Bytes(), raw)
	return t, nil
}

// appendElement appends one element in the machine's form.
func appendElement(b []byte, d tensor.DType, tok json.Token) ([]byte, error) {
	if v, ok := tok.(bool); ok && d == tensor.Bool {
		if v {
			return append(b, 1), nil
		}
		return append(b, 0), nil
	}
	num, ok := tok.(json.Number)
	if !ok || d == tensor.Bool {
		return nil, fmt.Errorf("%v is no %s", tok, d.V2())
	}
	var bits uint64
	switch d {
	case tensor.Float64, tensor.Float32, tensor.Float16, tensor.BFloat16:
		v, err := num.Float64()
		if err != nil {
			return nil, fmt.Errorf("%s is no %s", num, d.V2())
		}
		switch d {
		case tensor.Float64:
			bits = math.Float64bits(v)
		case tensor.Float32:
			bits = uint64(math.Float32bits(float32(v)))
		case tensor.Float16:
			bits = uint64(half.FromFloat32(float32(v)))
		default:
			bits = uint64(half.BrainFromFloat32(float32(v)))
		}
	case tensor.Uint8, tensor.Uint16, tensor.Uint32, tensor.Uint64:
		v, err := strconv.ParseUint(string(num), 10, d.Bits())
		if err != nil {
			return nil, fmt.Errorf("%s is no %s", num, d.V2())
		}
		bits = v
	default:
		v, err := strconv.ParseInt(string(num), 10, d.Bits())
		if err != nil {
			return nil, fmt.Errorf("%s is no %s", num, d.V2())
		}
		bits = uint64(v)
	}
	var w [8]byte
	binary.NativeEndian.PutUint64(w[:], bits)
	return append(b, w[:d.Bits()/8]...), nil // the low bytes come first on every machine we run on
}
