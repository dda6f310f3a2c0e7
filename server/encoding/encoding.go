// Package encoding compresses and decompresses HTTP bodies: gzip (RFC 1952), deflate (a zlib stream, RFC 1950, as HTTP
// means it) and zstd (RFC 8878).
//
// Neighbours: server decompresses request bodies before server/wire parses them, and compresses responses.
//
// Ownership: what Append functions return belongs to the caller, what they are given is read until they return.
//
// Concurrency: a Set is safe for concurrent use; it keeps compressors and decompressors in pools.
package encoding

import (
	"bytes"
	"compress/flate"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"github.com/aimass/aimass/api"
)

// Kind is a content coding.
type Kind uint8

// The codings, in the order in which a server prefers them where a client has no preference.
const (
	Identity Kind = iota
	Zstd
	Gzip
	Deflate
	kinds
)

var names = [kinds]string{"identity", "zstd", "gzip", "deflate"}

// String returns the coding's name in HTTP headers.
func (k Kind) String() string { return names[k] }

// Accepted is the value of the header Accept-Encoding in an answer that refuses a coding.
const Accepted = "gzip, deflate, zstd"

// Parse reads the header Content-Encoding.
func Parse(header []byte) (Kind, error) {
	switch name := strings.ToLower(strings.TrimSpace(string(header))); name {
	case "", "identity":
		return Identity, nil
	case "gzip", "x-gzip":
		return Gzip, nil
	case "deflate":
		return Deflate, nil
	case "zstd":
		return Zstd, nil
	default:
		return Identity, api.Errorf(api.CodeUnsupportedEncoding, "Content-Encoding '%s' is not supported, only %s", name, Accepted)
	}
}

// Negotiate chooses the coding of an answer by the header Accept-Encoding (RFC 9110, section 12.5.3): the highest weight
// wins, then the order of the Kinds. Identity is the answer where nothing else is acceptable.
func Negotiate(header []byte) Kind {
	if len(header) == 0 {
		return Identity
	}
	best, bestWeight := Identity, 0.0
	var weights [kinds]float64
	rest := -1.0
	for item := range strings.SplitSeq(string(header), ",") {
		name, params, _ := strings.Cut(item, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		w := weight(params)
		if name == "*" {
			rest = w
		}
		for k := Zstd; k < kinds; k++ {
			if name == names[k] || k == Gzip && name == "x-gzip" {
				weights[k] = w + 1 // told apart from those that are not named
			}
		}
	}
	for k := Zstd; k < kinds; k++ {
		w := weights[k] - 1
		if w < 0 {
			w = rest
		}
		if w > bestWeight {
			best, bestWeight = k, w
		}
	}
	return best
}

// weight reads a parameter q=0.5; 1 where it is absent, 0 where it is malformed.
func weight(params string) float64 {
	name, value, ok := strings.Cut(strings.TrimSpace(params), "=")
	if !ok {
		return 1
	}
	w, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil || strings.TrimSpace(name) != "q" || !(w >= 0 && w <= 1) {
		return 0
	}
	return w
}

// Set holds compressors and decompressors for reuse.
type Set struct {
	readers [kinds]sync.Pool
	writers [kinds]sync.Pool
}

// maxWindow bounds the memory that a zstd stream may ask of its reader; 8 MiB is what RFC 8878 recommends to support.
const maxWindow = 8 << 20

// AppendDecompressed appends the decompressed form of body to dst. limit bounds its length and is checked while
// decompressing; option names, in the error, what raises the limit.
func (s *Set) AppendDecompressed(dst []byte, k Kind, body []byte, limit int, option string) ([]byte, error) {
	r, err := s.reader(k, bytes.NewReader(body))
	if err != nil {
		return dst, api.Errorf(api.CodeDecompressionFailed, "body is not valid %s", k)
	}
	start := len(dst)
	for {
		if len(dst) == cap(dst) {
			// The growth is bounded by what was decompressed so far, never by what a header promises.
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if len(dst)-start > limit {
			return dst[:start], api.Errorf(api.CodeBodyTooLarge, "decompressed body is larger than the limit of %d bytes (%s)", limit, option)
		}
		if err == io.EOF {
			s.readers[k].Put(r)
			return dst, nil
		}
		if err != nil {
			return dst[:start], api.Errorf(api.CodeDecompressionFailed, "body is not valid %s", k)
		}
	}
}

// reader takes a decompressor from the pool or makes one. One that failed is not put back.
func (s *Set) reader(k Kind, body *bytes.Reader) (io.Reader, error) {
	switch r := s.readers[k].Get().(type) {
	case *gzip.Reader:
		return r, r.Reset(body)
	case zlib.Resetter:
		return r.(io.Reader), r.Reset(body, nil)
	case *zstd.Decoder:
		return r, r.Reset(body)
	}
	switch k {
	case Gzip:
		return gzip.NewReader(body)
	case Deflate:
		return zlib.NewReader(body)
	case Zstd:
		return zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	}
	panic("BUG: no decompressor for " + k.String())
}

// resetWriter is what all compressors have in common.
type resetWriter interface {
	io.WriteCloser
	Reset(io.Writer)
}

// AppendCompressed appends the compressed form of body to dst.
func (s *Set) AppendCompressed(dst []byte, k Kind, body []byte) ([]byte, error) {
	out := &appender{dst}
	w, _ := s.writers[k].Get().(resetWriter)
	if w == nil {
		var err error
		if w, err = newWriter(k); err != nil {
			return dst, err
		}
	}
	w.Reset(out)
	if _, err := w.Write(body); err != nil {
		return dst, err
	}
	if err := w.Close(); err != nil {
		return dst, err
	}
	s.writers[k].Put(w)
	return out.b, nil
}

func newWriter(k Kind) (resetWriter, error) {
	switch k {
	case Gzip:
		return gzip.NewWriterLevel(nil, flate.BestSpeed)
	case Deflate:
		return zlib.NewWriterLevel(nil, flate.BestSpeed)
	case Zstd:
		return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true))
	}
	panic("BUG: no compressor for " + k.String())
}

type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}
