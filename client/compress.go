package client

import (
	"bytes"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// Compression is a coding of bodies.
type Compression uint8

// The codings. Floats of models compress badly: measure before you turn it on.
const (
	None Compression = iota
	Gzip
	Zstd
	compressions
)

// String is the coding's name in HTTP headers.
func (c Compression) String() string { return [...]string{"", "gzip", "zstd"}[c] }

// compressFrom is the length from which a body is worth compressing: below it lies what fits in one network packet.
const compressFrom = 1024

// pack compresses a body and gives the value of the header Content-Encoding, "" where it is as it was.
func (c Compression) pack(body []byte) (packed []byte, coding string, err error) {
	if c == None || len(body) < compressFrom {
		return body, "", nil
	}
	var b bytes.Buffer
	var w io.WriteCloser
	if c == Gzip {
		w, err = gzip.NewWriterLevel(&b, gzip.BestSpeed)
	} else {
		w, err = zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true))
	}
	if err == nil {
		_, err = w.Write(body)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, "", fmt.Errorf("client: compress: %w", err)
	}
	return b.Bytes(), c.String(), nil
}

// maxWindow bounds the memory that a zstd stream may ask of its reader; 8 MiB is what RFC 8878 recommends to support.
const maxWindow = 8 << 20

// unpack decompresses an answer; the bound holds for the result.
func unpack(coding string, raw []byte, limit int64) ([]byte, error) {
	var r io.Reader
	var err error
	switch coding {
	case "", "identity":
		return raw, nil
	case "gzip", "x-gzip":
		r, err = gzip.NewReader(bytes.NewReader(raw))
	case "deflate":
		r, err = zlib.NewReader(bytes.NewReader(raw))
	case "zstd":
		var d *zstd.Decoder
		d, err = zstd.NewReader(bytes.NewReader(raw), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err == nil {
			defer d.Close()
		}
		r = d
	default:
		return nil, fmt.Errorf("the answer has the unknown Content-Encoding %q", coding)
	}
	if err != nil {
		return nil, fmt.Errorf("the answer is not valid %s: %w", coding, err)
	}
	b, err := readBounded(r, -1, limit)
	if err != nil {
		return nil, fmt.Errorf("the answer, in %s: %w", coding, err)
	}
	return b, nil
}
