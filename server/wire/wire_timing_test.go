package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/aimass/aimass/runtime/tensor"
)

// fixed is a Sink with memory of its own, as the server's have.
type fixed struct{ buf []byte }

func (*fixed) Model() string      { return "m" }
func (*fixed) Check(*Input) error { return nil }
func (f *fixed) Buffer(in *Input, size int) []byte {
	if in.BinarySize >= 0 {
		return nil
	}
	if size > len(f.buf) {
		f.buf = make([]byte, size)
	}
	return f.buf[:size]
}

// numbers writes n normally distributed values as a client would: text(v) for each, with sep between them.
func numbers(n int, sep string, text func(dst []byte, v float64) []byte) string {
	rng := rand.New(rand.NewPCG(7, 8))
	var b []byte
	for i := range n {
		if i > 0 {
			b = append(b, sep...)
		}
		b = text(b, rng.NormFloat64())
	}
	return string(b)
}

func float32Text(dst []byte, v float64) []byte { return appendFloat32(dst, float32(v)) }

// widenedText is what Python's json module makes of a float32 that became a float: up to 17 digits.
func widenedText(dst []byte, v float64) []byte { return appendFloat64(dst, float64(float32(v))) }
func float64Text(dst []byte, v float64) []byte { return appendFloat64(dst, v) }
func intText(dst []byte, v float64) []byte     { return strconv.AppendInt(dst, int64(v*1e5), 10) }

func requestOf(datatype string, n int, data string) []byte {
	return []byte(one(fmt.Sprintf(`"name":"x","datatype":"%s","shape":[1,%d],"data":[%s]`, datatype, n, data)))
}

func BenchmarkParse(b *testing.B) {
	f := func(name, datatype string, n int, data string) {
		b.Run(name, func(b *testing.B) {
			body := requestOf(datatype, n, data)
			r, sink := new(Request), new(fixed)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if err := r.Parse(body, -1, sink); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/element")
		})
	}
	f("FP32/shortest", "FP32", 1<<16, numbers(1<<16, ",", float32Text))
	f("FP32/spaced", "FP32", 1<<16, numbers(1<<16, ", ", float32Text))
	f("FP32/widened", "FP32", 1<<16, numbers(1<<16, ", ", widenedText))
	f("FP32/16", "FP32", 16, numbers(16, ",", float32Text))
	f("FP64", "FP64", 1<<16, numbers(1<<16, ", ", float64Text))
	f("FP16", "FP16", 1<<16, numbers(1<<16, ", ", float32Text))
	f("INT64", "INT64", 1<<16, numbers(1<<16, ", ", intText))
	f("INT32", "INT32", 1<<16, numbers(1<<16, ",", intText))
}

func BenchmarkParseBinary(b *testing.B) {
	head := one(`"name":"x","datatype":"FP32","shape":[1,16],"parameters":{"binary_data_size":64}`)
	body := append([]byte(head), make([]byte, 64)...)
	r, sink := new(Request), new(fixed)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Parse(body, len(head), sink); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendResponse(b *testing.B) {
	rng := rand.New(rand.NewPCG(9, 10))
	f := func(name string, d tensor.DType, n int, put func(e []byte)) {
		b.Run(name, func(b *testing.B) {
			data := make([]byte, d.Bytes(n))
			for i := 0; i < len(data); i += d.Bytes(1) {
				put(data[i:])
			}
			resp := &Response{Model: "m", Version: "1", Outputs: []Result{{Name: "y", DType: d, Shape: tensor.Shape{n}, Data: data}}}
			body, _, _ := AppendResponse(nil, resp)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				body, _, _ = AppendResponse(body[:0], resp)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/element")
		})
	}
	float := func(e []byte) { binary.LittleEndian.PutUint32(e, math.Float32bits(float32(rng.NormFloat64()))) }
	f("FP32", tensor.Float32, 1<<16, float)
	f("FP32/16", tensor.Float32, 16, float)
	f("FP64", tensor.Float64, 1<<16, func(e []byte) { binary.LittleEndian.PutUint64(e, math.Float64bits(rng.NormFloat64())) })
	f("INT64", tensor.Int64, 1<<16, func(e []byte) { binary.LittleEndian.PutUint64(e, uint64(int64(rng.NormFloat64()*1e5))) })
}
