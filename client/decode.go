package client

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/aimass/aimass/internal/half"
)

// decodeResult reads the answer to an inference. The binary outputs are parts of its body.
func decodeResult(a *answer) (*Result, error) {
	head, tail := a.body, []byte(nil)
	if text := a.header.Get(headerLength); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > len(a.body) {
			return nil, fmt.Errorf("header %s is %q, the body has %d bytes", headerLength, text, len(a.body))
		}
		head, tail = a.body[:n], a.body[n:]
	}
	var m struct {
		Model      string         `json:"model_name"`
		Version    string         `json:"model_version"`
		ID         string         `json:"id"`
		Parameters map[string]any `json:"parameters"`
		Outputs    []jsonOutput   `json:"outputs"`
	}
	if err := json.Unmarshal(head, &m); err != nil {
		if json.Unmarshal(quoteNotFinite(head), &m) != nil {
			return nil, fmt.Errorf("no JSON of an inference: %w", err)
		}
	}
	r := &Result{Model: m.Model, Version: m.Version, ID: m.ID, Parameters: m.Parameters, Outputs: make([]Tensor, len(m.Outputs))}
	for i := range m.Outputs {
		var err error
		if tail, err = m.Outputs[i].decode(&r.Outputs[i], tail); err != nil {
			return nil, fmt.Errorf("output %w", err)
		}
	}
	if len(tail) > 0 {
		return nil, fmt.Errorf("%d bytes follow the last output", len(tail))
	}
	return r, nil
}

type jsonOutput struct {
	Name       string          `json:"name"`
	DType      DType           `json:"datatype"`
	Shape      []int           `json:"shape"`
	Data       json.RawMessage `json:"data"`
	Parameters struct {
		BinarySize *int `json:"binary_data_size"`
	} `json:"parameters"`
}

// decode makes a tensor of an output, whose data may be the next part of tail; it returns what is left of that.
func (o *jsonOutput) decode(t *Tensor, tail []byte) (rest []byte, err error) {
	t.Name, t.DType, t.Shape = o.Name, o.DType, o.Shape
	size := o.Parameters.BinarySize
	switch {
	case size == nil:
		err = t.decodeJSON(o.Data)
	case *size < 0 || *size > len(tail):
		return nil, fmt.Errorf("%q: %d bytes are announced, %d are there", t.Name, *size, len(tail))
	default:
		part := tail[:*size:*size]
		tail = tail[*size:]
		if t.DType == BYTES {
			t.strs, err = splitStrings(part)
		} else {
			t.data = part
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%q: %w", t.Name, err)
	}
	return tail, t.check()
}

// splitStrings reads strings, each behind its length in 4 bytes.
func splitStrings(b []byte) ([]string, error) {
	out := []string{}
	for len(b) > 0 {
		if len(b) < 4 {
			return nil, errors.New("a string's length is cut off")
		}
		n := binary.LittleEndian.Uint32(b)
		if b = b[4:]; uint64(n) > uint64(len(b)) {
			return nil, fmt.Errorf("a string of %d bytes is cut off", n)
		}
		out = append(out, string(b[:n]))
		b = b[n:]
	}
	return out, nil
}

// decodeJSON reads elements of an array, flat or nested; raw is valid JSON.
func (t *Tensor) decodeJSON(raw []byte) error {
	if len(raw) == 0 || raw[0] != '[' {
		return errors.New("neither data nor binary data")
	}
	size := t.DType.Size()
	if size == 0 && t.DType != BYTES {
		return fmt.Errorf("the protocol has no datatype %q", t.DType)
	}
	if t.DType == BYTES {
		t.strs = []string{}
	} else {
		t.data = []byte{}
	}
	for i := 0; i < len(raw); {
		switch raw[i] {
		case '[', ']', ',', ' ', '\t', '\r', '\n':
			i++
			continue
		}
		end := tokenEnd(raw, i)
		if err := t.element(raw[i:end]); err != nil {
			return err
		}
		i = end
	}
	return nil
}

// tokenEnd finds the end of the scalar that begins at i.
func tokenEnd(raw []byte, i int) int {
	if raw[i] == '"' {
		for i++; i < len(raw) && raw[i] != '"'; i++ {
			if raw[i] == '\\' {
				i++
			}
		}
		return min(i+1, len(raw))
	}
	n := bytes.IndexAny(raw[i:], ",[] \t\r\n")
	if n <= 0 {
		return len(raw)
	}
	return i + n
}

// element appends one element from its JSON.
func (t *Tensor) element(token []byte) error {
	text := string(token)
	if token[0] == '"' {
		if err := json.Unmarshal(token, &text); err != nil {
			return err
		}
		if t.DType == BYTES {
			t.strs = append(t.strs, text)
			return nil
		}
	}
	le := binary.LittleEndian
	size := t.DType.Size()
	bad := func(err error) error { return fmt.Errorf("%s is no %s: %w", token, t.DType, err) }
	switch t.DType {
	case BOOL:
		if text != "true" && text != "false" {
			return bad(errors.New("expected true or false"))
		}
		t.data = append(t.data, map[string]byte{"true": 1, "false": 0}[text])
	case INT8, INT16, INT32, INT64:
		v, err := strconv.ParseInt(text, 10, 8*size)
		if err != nil {
			return bad(err)
		}
		t.data = append(t.data, le.AppendUint64(nil, uint64(v))[:size]...)
	case UINT8, UINT16, UINT32, UINT64:
		v, err := strconv.ParseUint(text, 10, 8*size)
		if err != nil {
			return bad(err)
		}
		t.data = append(t.data, le.AppendUint64(nil, v)[:size]...)
	case FP64:
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return bad(err)
		}
		t.data = le.AppendUint64(t.data, math.Float64bits(v))
	case FP32, FP16, BF16:
		v, err := strconv.ParseFloat(text, 32)
		if err != nil {
			return bad(err)
		}
		switch b := math.Float32bits(float32(v)); t.DType {
		case FP32:
			t.data = le.AppendUint32(t.data, b)
		case FP16:
			t.data = le.AppendUint16(t.data, half.FromFloat32(float32(v)))
		case BF16:
			t.data = le.AppendUint16(t.data, half.BrainFromFloat32(math.Float32frombits(b)))
		}
	default:
		return bad(errors.New("expected a string"))
	}
	return nil
}

// quoteNotFinite puts the literals NaN, Infinity and -Infinity, which JSON does not know and servers write, into quotes.
func quoteNotFinite(text []byte) []byte {
	out := make([]byte, 0, len(text)+64)
	for i := 0; i < len(text); {
		if text[i] == '"' {
			end := tokenEnd(text, i)
			out = append(out, text[i:end]...)
			i = end
			continue
		}
		word := ""
		for _, w := range []string{"NaN", "Infinity", "-Infinity"} {
			if bytes.HasPrefix(text[i:], []byte(w)) {
				word = w
			}
		}
		if word == "" {
			out = append(out, text[i])
			i++
			continue
		}
		out = append(append(append(out, '"'), word...), '"')
		i += len(word)
	}
	return out
}
