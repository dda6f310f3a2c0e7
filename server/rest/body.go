package rest

import (
	"io"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/server/encoding"
)

// maxInputOption names the option that raises the limit of a body.
const maxInputOption = "--http-max-input-size"

// read reads the request's body into j.raw, and decompresses it into j.plain where it is compressed.
func (h *Handler) read(ctx *fasthttp.RequestCtx, j *job) ([]byte, error) {
	kind, err := encoding.Parse(ctx.Request.Header.ContentEncoding())
	if err != nil {
		ctx.Response.Header.Set(fasthttp.HeaderAcceptEncoding, encoding.Accepted)
		h.drain(ctx)
		return nil, err
	}
	stream := ctx.RequestBodyStream()
	if stream == nil {
		j.raw = append(j.raw[:0], ctx.Request.Body()...)
	} else if j.raw, err = h.readStream(ctx, stream, j.raw[:0]); err != nil {
		h.drain(ctx)
		return nil, err
	}
	if kind == encoding.Identity {
		return j.raw, nil
	}
	j.plain, err = h.codings.AppendDecompressed(j.plain[:0], kind, j.raw, h.cfg.MaxInput, maxInputOption)
	if api.CodeOf(err) == api.CodeBodyTooLarge {
		err = h.tooLarge(ctx, h.cfg.MaxInput+1)
	}
	return j.plain, err
}

// smallPiece is the length below which a piece of a chunked body counts against MaxChunks. fasthttp hands on at most one
// chunk a read, so that no body of more than MaxChunks chunks below this size passes.
const smallPiece = 1024

func (h *Handler) readStream(ctx *fasthttp.RequestCtx, stream io.Reader, dst []byte) ([]byte, error) {
	length := ctx.Request.Header.ContentLength()
	if length > h.cfg.MaxInput {
		return dst, h.tooLarge(ctx, length)
	}
	small := 0
	for {
		if len(dst) == cap(dst) {
			// The buffer follows what has arrived, not what a header promises.
			dst = append(dst, make([]byte, max(4096, min(len(dst), 1<<20)))...)[:len(dst)]
		}
		n, err := stream.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if len(dst) > h.cfg.MaxInput {
			return dst, h.tooLarge(ctx, len(dst))
		}
		if err == io.EOF {
			if length >= 0 && len(dst) < length {
				return dst, api.Errorf(api.CodeMalformedRequest, "the body ends after %d of %d bytes", len(dst), length)
			}
			return dst, nil
		}
		if err != nil {
			return dst, api.Wrap(api.CodeMalformedRequest, err, "the body can't be read")
		}
		if length < 0 && n < smallPiece {
			if small++; small > h.cfg.MaxChunks {
				return dst, api.Errorf(api.CodeTooManyChunks, "chunked request body consists of more than %d small chunks", h.cfg.MaxChunks)
			}
		}
	}
}

func (h *Handler) tooLarge(ctx *fasthttp.RequestCtx, got int) error {
	part := "JSON"
	if len(ctx.Request.Header.PeekBytes(headerLength)) > 0 {
		part = "input"
	}
	return api.Errorf(api.CodeBodyTooLarge, "Request %s size of %d bytes exceeds the maximum allowed value of %d bytes. Use %s to increase the limit.",
		part, got, h.cfg.MaxInput, maxInputOption)
}

// Bounds on what is read and thrown away of a refused body. Closing at once would destroy the answer in the network:
// unread bytes make the kernel reset the connection.
const (
	drainBytes = 4 << 30
	drainTime  = 20 * time.Second
)

// drain reads the rest of a body that was refused, within bounds, and has the connection closed.
func (h *Handler) drain(ctx *fasthttp.RequestCtx) {
	ctx.SetConnectionClose()
	stream := ctx.RequestBodyStream()
	if stream == nil {
		return
	}
	var scratch [16 << 10]byte
	end := time.Now().Add(drainTime)
	for total := 0; total < drainBytes && time.Now().Before(end); {
		n, err := stream.Read(scratch[:])
		total += n
		if err != nil {
			return
		}
	}
}
