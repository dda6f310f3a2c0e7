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
	"github.com/aimass/aimass/server/logs"
	"github.com/aimass/aimass/server/sock"
)

// Under overload most requests are refused, and what a refusal costs is taken from those that are
// served. So once requests have been refused for want of time or room, connections look at the bytes of
// a request before it is parsed: where its queue would refuse it whatever it holds, the refusal is written
// at once. Only inference requests in their plainest form are treated so; all others go the usual way.

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

// plea is what the bytes of a request say about its urgency.
type plea struct {
	model, version []byte
	tenant, id     []byte
	timeout        time.Duration
}

var (
	postModel    = []byte("POST /v2/models/")
	versionsPart = []byte("versions/")
	inferTail    = []byte("infer HTTP/1.1")
)

// read takes a plea out of a whole request; false if it is not of the plainest form.
func (p *plea) read(request []byte) bool {
	line, rest, ok := cutLine(request)
	line, found := bytes.CutPrefix(line, postModel)
	if !ok || !found {
		return false
	}
	var what []byte
	if p.model, what, ok = bytes.Cut(line, []byte{'/'}); !ok || bytes.IndexByte(p.model, '%') >= 0 {
		return false
	}
	if after, ok := bytes.CutPrefix(what, versionsPart); ok {
		p.version, what, _ = bytes.Cut(after, []byte{'/'})
	}
	if !bytes.Equal(what, inferTail) {
		return false
	}
	length, jsonLen := -1, -1
	for {
		if line, rest, ok = cutLine(rest); !ok {
			return false
		}
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte{':'})
		value = bytes.TrimSpace(value)
		switch {
		case is(name, "content-length"):
			length = number(value)
		case is(name, "inference-header-content-length"):
			if jsonLen = number(value); jsonLen <= 0 {
				return false
			}
		case is(name, "x-request-timeout-ms"):
			ms := number(value)
			if ms < 0 {
				return false
			}
			p.shorten(time.Duration(ms) * time.Millisecond)
		case is(name, "x-aimass-tenant"):
			p.tenant = value
		case is(name, "x-request-id"):
			p.id = value
		case is(name, "connection"), is(name, "expect"), is(name, "transfer-encoding"), is(name, "content-encoding"), is(name, "upgrade"):
			return false
		}
	}
	if length != len(rest) || jsonLen > length {
		return false
	}
	if jsonLen < 0 {
		jsonLen = length
	}
	return p.readBody(rest[:jsonLen])
}

// readBody looks for the members of a body that matter; a quotation mark inside a JSON string is escaped, so a
// name in quotation marks and a colon is a member.
func (p *plea) readBody(body []byte) bool {
	if bytes.Contains(body, []byte(`"priority"`)) || bytes.Contains(body, []byte(`"id"`)) {
		return false
	}
	_, after, ok := bytes.Cut(body, []byte(`"timeout"`))
	if !ok {
		return true
	}
	after = bytes.TrimLeft(after, ": ")
	n := 0
	for n < len(after) && after[n] >= '0' && after[n] <= '9' {
		n++
	}
	us := number(after[:n])
	if us < 0 {
		return false
	}
	p.shorten(time.Duration(us) * time.Microsecond)
	return true
}

func (p *plea) shorten(d time.Duration) {
	if d > 0 && (p.timeout == 0 || d < p.timeout) {
		p.timeout = d
	}
}

// cutLine cuts a line that ends in CR LF.
func cutLine(b []byte) (line, rest []byte, ok bool) {
	n := bytes.IndexByte(b, '\n')
	if n < 1 || b[n-1] != '\r' {
		return nil, nil, false
	}
	return b[:n-1], b[n+1:], true
}

// is compares a header's name with one in small letters.
func is(name []byte, small string) bool {
	return len(name) == len(small) && bytes.EqualFold(name, []byte(small))
}

// number reads a decimal number below 10^12; −1 if it is none.
func number(b []byte) int {
	if len(b) == 0 || len(b) > 12 {
		return -1
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1
		}
		n = 10*n + int(c-'0')
	}
	return n
}

// turnAway appends the refusal of a request that would be refused whatever it holds. Some go the usual way all the same:
// those that the log has a line for.
func (h *Handler) turnAway(dst, request []byte, now time.Time) ([]byte, bool) {
	var p plea
	if !h.log.RefusalsFull(now) || !p.read(request) || len(p.id) > 0 && !usableID(p.id) {
		return dst, false
	}
	v := h.service.Pipeline().Peek(p.model, p.version)
	if v == nil {
		return dst, false
	}
	err := v.TurnAway(p.timeout, string(p.tenant))
	if err == nil {
		return dst, false
	}
	h.refused.Store(now.UnixNano())
	h.service.Counts.HTTP(err)
	h.log.SkipRefusal()
	return h.appendRefusal(dst, &p, err, now), true
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
func (h *Handler) appendRefusal(dst []byte, p *plea, err error, now time.Time) []byte {
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
	var p plea
	if text := ctx.Request.Header.PeekBytes(headerTimeout); len(text) > 0 {
		ms := number(text)
		if ms < 0 {
			return nil
		}
		p.shorten(time.Duration(ms) * time.Millisecond)
	}
	if !p.readBody(body[:n]) {
		return nil
	}
	return j.call.Served.TurnAway(p.timeout, j.tenant)
}
