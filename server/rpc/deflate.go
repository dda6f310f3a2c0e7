package rpc

import (
	"io"

	"github.com/klauspost/compress/zlib"
	"google.golang.org/grpc/encoding"
)

// gRPC's registry of compressors must be filled before any server starts; it has gzip, clients also send deflate.
func init() { encoding.RegisterCompressor(deflate{}) }

type deflate struct{}

func (deflate) Name() string { return "deflate" }

func (deflate) Compress(w io.Writer) (io.WriteCloser, error) {
	return zlib.NewWriterLevel(w, zlib.BestSpeed)
}

func (deflate) Decompress(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) }
