package rest

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/server/sock"
)

// Answers are remembered at two levels, both for models with a response cache and only once the cache itself has
// answered an equal request. By the body and what else decides the answer: then the body need not be parsed. And by all
// bytes of a request as they came, where a connection sends one request at a time: then nothing is parsed at all.

// answer is a remembered answer to a body. It never changes.
type answer struct {
	// body is as sent, but without an id where the request's body had none: a header's id is put in front.
	body []byte
	// jsonLen is the length of the JSON in body where binary data follow it, else -1.
	jsonLen      int
	coding, vary string
	// id is the id in the request's body.
	id []byte
}

// maxAnswer bounds the answers that are remembered.
const maxAnswer = 1 << 20

// recall answers from memory, if it can.
func (j *job) recall(ctx *fasthttp.RequestCtx, body []byte) bool {
	if j.h.service.Observed() {
		return false
	}
	began := time.Now()
	j.appendScope(ctx)
	v := j.call.Served
	c := j.h.service.Pipeline().Cache()
	j.key, j.usesKey = c.RawKey(j.scope, body), true
	a, ok := c.Raw(&j.key).(*answer)
	if !ok || a.coding != "" && len(a.id) == 0 && len(j.id) > 0 {
		return false
	}
	header := &ctx.Response.Header
	if a.vary != "" {
		header.Set(fasthttp.HeaderVary, a.vary)
	}
	if a.coding != "" {
		header.SetContentEncoding(a.coding)
	}
	switch {
	case len(a.id) > 0:
		j.takeID(a.id)
		ctx.Response.SetBodyRaw(a.body)
		setContent(header, a.jsonLen)
	case len(j.givenID) > 0:
		b := appendIDMember(append(ctx.Response.SwapBody(nil)[:0], '{'), j.givenID)
		added := len(b) - 1
		ctx.Response.SwapBody(append(b, a.body[1:]...))
		if a.jsonLen >= 0 {
			added += a.jsonLen
		} else {
			added = -1
		}
		setContent(header, added)
	default:
		ctx.Response.SetBodyRaw(a.body)
		setContent(header, a.jsonLen)
	}
	v.CountHit(began)
	c.Stats().Bodies.Add(1)
	j.teach(ctx)
	return true
}

// appendScope spells out what decides an answer besides the body. The generation stands for the model and its version.
func (j *job) appendScope(ctx *fasthttp.RequestCtx) {
	h := &ctx.Request.Header
	j.generation = j.call.Served.Generation()
	b := binary.LittleEndian.AppendUint64(j.scope[:0], j.generation)
	for _, part := range [...][]byte{[]byte(j.call.Tenant), h.PeekBytes(headerLength), h.PeekBytes(headerTimeout), h.Peek(fasthttp.HeaderAcceptEncoding)} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	j.scope = b
}

// setContent sets the headers that say what a body is.
func setContent(h *fasthttp.ResponseHeader, jsonLen int) {
	if jsonLen < 0 {
		h.SetContentTypeBytes(contentJSON)
		return
	}
	var text [20]byte
	h.SetContentTypeBytes(contentBinary)
	h.SetBytesKV(headerLength, strconv.AppendInt(text[:0], int64(jsonLen), 10))
}

// appendIDMember spells the member of a response's JSON that holds the id.
func appendIDMember(dst, id []byte) []byte {
	return append(api.AppendJSONEscaped(append(dst, `"id":"`...), id), `",`...)
}

// remember keeps the answer that was just made.
func (j *job) remember(ctx *fasthttp.RequestCtx) {
	body := ctx.Response.Body()
	if len(body) > maxAnswer {
		return
	}
	header := &ctx.Response.Header
	a := &answer{jsonLen: -1, coding: string(header.ContentEncoding()), vary: string(header.Peek(fasthttp.HeaderVary)), id: bytes.Clone(j.request.ID)}
	if text := header.PeekBytes(headerLength); len(text) > 0 {
		n, err := fasthttp.ParseUint(text)
		if err != nil {
			return
		}
		a.jsonLen = n
	}
	if len(a.id) == 0 && len(j.givenID) > 0 {
		if a.coding != "" {
			return
		}
		skip := len(appendIDMember(nil, j.givenID))
		a.body = append([]byte{'{'}, body[1+skip:]...)
		if a.jsonLen >= 0 {
			a.jsonLen -= skip
		}
	} else {
		a.body = bytes.Clone(body)
	}
	j.h.service.Pipeline().Cache().KeepRaw(&j.key, a, len(a.body)+len(a.id))
	j.teach(ctx)
}

// token says what the answer that a connection learns depends on.
type token struct {
	name, version []byte
	generation    uint64
	epoch         uint64
}

// reply is a remembered answer to a request's bytes, the head included. It never changes.
type reply struct {
	token
	bytes []byte
	// date is where the date stands in bytes.
	date int
}

// teach has the connection learn the answer that was just made.
func (j *job) teach(ctx *fasthttp.RequestCtx) {
	c, ok := ctx.Conn().(*sock.Conn)
	if !ok {
		return
	}
	request := &ctx.Request.Header
	if !request.IsHTTP11() || request.ConnectionClose() || request.ContentLength() != len(j.raw) || !c.Single(j.raw) || !c.Learns() {
		return
	}
	c.Learn(&token{name: bytes.Clone(j.model), version: bytes.Clone(j.version), generation: j.generation, epoch: j.key.Epoch()})
}

// known is the Answerer of the handler's connections.
type known struct{ h *Handler }

// Answer implements sock.Answerer: for a plain inference request by what it asks for, else from memory.
func (k known) Answer(conn *sock.Conn, dst, request []byte) ([]byte, bool) {
	h, s := k.h, k.h.service
	if s.Observed() || s.Draining() {
		return dst, false
	}
	began := time.Now()
	var p plain
	if rest, ok := p.target(request); ok {
		if v := s.Pipeline().Peek(p.model, p.version); v != nil && !v.Cached {
			if !p.headers(rest) {
				return dst, false
			}
			if h.crowded(began) {
				if out, ok := h.turnAway(dst, &p, v, began); ok {
					return out, true
				}
			}
			return h.lane(conn, dst, &p, v, began)
		}
	}
	c := s.Pipeline().Cache()
	key := c.RawKey(nil, request)
	r, ok := c.Raw(&key).(*reply)
	if !ok {
		return dst, false
	}
	v := s.Pipeline().Peek(r.name, r.version)
	if v == nil || v.Generation() != r.generation {
		return dst, false
	}
	at := len(dst) + r.date
	dst = append(dst, r.bytes...)
	h.date.put(dst[at:at+dateLen], began)
	v.CountHit(began)
	c.Stats().Wires.Add(1)
	s.Counts.HTTP(nil)
	return dst, true
}

var (
	dateName   = []byte("\r\nDate: ")
	statusGood = []byte("HTTP/1.1 200 OK\r\n")
	headEnd    = []byte("\r\n\r\n")
	closing    = []byte("\r\nConnection: close\r\n")
)

// Keep implements sock.Answerer.
func (k known) Keep(what any, request, written []byte) {
	t := what.(*token)
	end := bytes.Index(written, headEnd)
	if end < 0 || !bytes.HasPrefix(written, statusGood) || bytes.Contains(written[:end+2], closing) {
		return
	}
	at := bytes.Index(written[:end], dateName)
	if at < 0 || at+len(dateName)+dateLen > end {
		return
	}
	c := k.h.service.Pipeline().Cache()
	key := c.RawKey(nil, request)
	r := &reply{token: *t, bytes: bytes.Clone(written), date: at + len(dateName)}
	c.KeepRaw(key.At(t.epoch), r, len(r.bytes)+len(t.name)+len(t.version)+128)
}
