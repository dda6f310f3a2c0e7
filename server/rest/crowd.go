package rest

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/pipeline"
	"github.com/aimass/aimass/server/logs"
	"github.com/aimass/aimass/server/sock"
)

// Under overload most requests are refused, and what a refusal costs is taken from those that are
// served. So once some have been refused for want of time or room, a request's queue is asked before its
// inputs are parsed: where it would refuse the request whatever it holds, the refusal is written at once.

// crowdedFor is how long after a refusal requests are looked at beforehand.
const crowdedFor = time.Second

// crowded reports whether requests have been refused lately.
func (h *Handler) crowded(now time.Time) bool {
	at := h.refused.Load()
	return at != 0 && now.UnixNano()-at < int64(crowdedFor)
}

// noteRefusal remembers a refusal for want of capacity.
func (h *Handler) noteRefusal(err error, now time.Time) {
	if logs.Crowded(err) {
		h.refused.Store(now.UnixNano())
	}
}

// quietly counts a refusal that the log will not have a line for.
func (h *Handler) quietly(err error, now time.Time) bool {
	if !logs.Crowded(err) || !h.log.RefusalsFull(now) {
		return false
	}
	h.log.SkipRefusal()
	return true
}

// expect has the connection tell where the next request begins.
func (j *job) expect(ctx *fasthttp.RequestCtx) {
	c, ok := ctx.Conn().(*sock.Conn)
	request := &ctx.Request.Header
	if ok && request.IsHTTP11() && !request.ConnectionClose() && request.ContentLength() == len(j.raw) {
		c.Single(j.raw)
	}
}

// urgency looks for the members of a body that decide how long a request may wait; a quotation mark inside a JSON string is
// escaped, so a name in quotation marks and a colon is a member. ok is false where the body must be parsed.
func urgency(body []byte) (timeout time.Duration, ok bool) {
	if bytes.Contains(body, []byte(`"priority"`)) || bytes.Contains(body, []byte(`"id"`)) {
		return 0, false
	}
	_, after, found := bytes.Cut(body, []byte(`"timeout"`))
	if !found {
		return 0, true
	}
	after = bytes.TrimLeft(after, ": ")
	n := 0
	for n < len(after) && after[n] >= '0' && after[n] <= '9' {
		n++
	}
	us := number(after[:n])
	return time.Duration(us) * time.Microsecond, us >= 0
}

// shorter is the lesser of two timeouts of which 0 is none.
func shorter(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// turnAway appends the refusal of a request that v would refuse whatever it holds. Some go on all the same: those that the
// log has a line for.
func (h *Handler) turnAway(dst []byte, p *plain, v *pipeline.Served, now time.Time) ([]byte, bool) {
	if !h.log.RefusalsFull(now) {
		return dst, false
	}
	timeout, ok := urgency(p.json())
	if !ok {
		return dst, false
	}
	err := v.TurnAway(shorter(p.timeout, timeout), string(p.tenant))
	if err == nil {
		return dst, false
	}
	h.refused.Store(now.UnixNano())
	h.service.Counts.HTTP(err)
	h.log.SkipRefusal()
	return h.appendRefusal(dst, p, err, now), true
}

// refusal is an answer to all requests that are refused with the same error and bring no id, ready but for the date and
// the id that each is given. It never changes.
type refusal struct {
	err   error
	bytes []byte
	// date, head and body are where the date and the two copies of the id stand.
	date, head, body int
}

// idLen is the length of an id that newID makes.
const idLen = 16

var noID = bytes.Repeat([]byte{'0'}, idLen)

// appendRefusal writes what fail would, head included.
func (h *Handler) appendRefusal(dst []byte, p *plain, err error, now time.Time) []byte {
	if len(p.id) > 0 {
		r := makeRefusal(err, api.RequestPrefix(string(p.id)), p.id)
		h.date.put(r.bytes[r.date:], now)
		return append(dst, r.bytes...)
	}
	r := h.refusal.Load()
	if r == nil || r.err != err {
		r = makeRefusal(err, api.RequestPrefix(""), noID)
		h.refusal.Store(r)
	}
	at := len(dst)
	dst = append(dst, r.bytes...)
	out := dst[at:]
	h.date.put(out[r.date:], now)
	var id [idLen / 2]byte
	binary.LittleEndian.PutUint64(id[:], rand.Uint64())
	hex.Encode(out[r.head:], id[:])
	copy(out[r.body:], out[r.head:r.head+idLen])
	return dst
}

func makeRefusal(err error, prefix string, id []byte) *refusal {
	r := &refusal{err: err}
	body := api.AppendErrorBody(nil, err, prefix, string(id))
	b := append([]byte("HTTP/1.1 503 Service Unavailable"), dateName...)
	r.date = len(b)
	b = append(b, make([]byte, dateLen)...)
	b = append(b, "\r\nContent-Type: application/json\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	if d := api.RetryAfter(err); d > 0 {
		b = append(b, "\r\nRetry-After: "...)
		b = strconv.AppendInt(b, retrySeconds(d), 10)
	}
	b = append(b, "\r\nX-Request-Id: "...)
	r.head = len(b)
	b = append(append(b, id...), headEnd...)
	r.body = len(b) + bytes.LastIndex(body, id)
	r.bytes = append(b, body...)
	return r
}

// retrySeconds is the value of the header Retry-After.
func retrySeconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// turnedAway is what is left of turnAway for a request that came in several pieces: its inputs need not be parsed.
func (j *job) turnedAway(ctx *fasthttp.RequestCtx, body []byte) error {
	n, err := jsonLength(ctx)
	if err != nil || n == 0 || n > len(body) {
		return nil // an error of the request's, or one without JSON
	}
	if n < 0 {
		n = len(body)
	}
	timeout, ok := urgency(body[:n])
	if !ok {
		return nil
	}
	if text := ctx.Request.Header.PeekBytes(headerTimeout); len(text) > 0 {
		ms := number(text)
		if ms < 0 {
			return nil
		}
		timeout = shorter(timeout, time.Duration(ms)*time.Millisecond)
	}
	return j.call.Served.TurnAway(timeout, j.tenant)
}
