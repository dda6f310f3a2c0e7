package rest

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/pipeline"
	"github.com/aimass/aimass/server/logs"
	"github.com/aimass/aimass/server/sock"
)

// The lane is the fast path of REST: a plain inference request on a connection that sends one request at a time is answered where its
// bytes were read. An HTTP server's general work, which for a small model is more than the model's, is left out; what the request means
// is decided by the same code. Whatever is unusual, and every request that turns out to be wrong, goes the usual way.

// lane appends the answer of v to a request; false has it go the usual way, and nothing has happened.
func (h *Handler) lane(c *sock.Conn, dst []byte, p *plain, v *pipeline.Served, began time.Time) ([]byte, bool) {
	// Shutdown takes a connection in the lane for idle: it waits until the lane is empty, see Idle.
	h.inLane.Add(1)
	defer h.inLane.Add(-1)
	if h.service.Draining() || v.Cached {
		return dst, false
	}
	j := h.jobs.Get().(*job)
	defer h.jobs.Put(j)
	j.reset(h)
	defer j.end()
	j.inference, j.tenant = true, string(p.tenant)
	if len(p.id) > 0 {
		j.takeID(p.id)
	}
	if h.service.Begin(&j.call, p.model, p.version, j.tenant, string(p.route)) != nil || j.call.Served != v || j.parse(p.body, p.jsonLen) != nil || j.prepare(p.timeout) != nil {
		return dst, false
	}
	j.call.Caller, j.call.ID = c, j.id
	err := j.call.Run(context.Background())
	jsonLen := -1
	if err == nil {
		j.plain, jsonLen, err = j.appendOutputs(j.plain[:0])
	}
	h.service.Counts.HTTP(err)
	if err == nil {
		return h.appendHead(dst, http.StatusOK, j, jsonLen, 0, began), true
	}
	h.noteRefusal(err, began)
	if len(j.id) == 0 {
		j.id = newID(j.id)
	}
	j.plain = api.AppendErrorBody(j.plain[:0], err, api.RequestPrefix(string(j.givenID)), string(j.id))
	status := api.CodeOf(err).HTTPStatus()
	if !h.quietly(err, began) {
		h.log.Done(&logs.Request{Protocol: "http", Call: "POST " + string(p.path), Client: c.RemoteAddr().String(), ID: string(j.id), Tenant: j.tenant,
			Model: string(p.model), Version: string(p.version), Status: status, In: len(p.body), Out: len(j.plain), Took: time.Since(began), Err: err})
	}
	return h.appendHead(dst, status, j, -1, api.RetryAfter(err), began), true
}

var zeroDate [dateLen]byte

// appendHead appends an answer's head and the body, which is in j.plain.
func (h *Handler) appendHead(dst []byte, status int, j *job, jsonLen int, retry time.Duration, now time.Time) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(append(append(dst, ' '), http.StatusText(status)...), dateName...)
	at := len(dst)
	dst = append(dst, zeroDate[:]...)
	h.date.put(dst[at:], now)
	dst = append(dst, "\r\nContent-Type: "...)
	if jsonLen >= 0 {
		dst = append(append(dst, contentBinary...), "\r\nInference-Header-Content-Length: "...)
		dst = strconv.AppendInt(dst, int64(jsonLen), 10)
	} else {
		dst = append(dst, contentJSON...)
	}
	dst = append(dst, "\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(j.plain)), 10)
	if retry > 0 {
		dst = append(dst, "\r\nRetry-After: "...)
		dst = strconv.AppendInt(dst, retrySeconds(retry), 10)
	}
	if len(j.id) > 0 {
		dst = append(append(dst, "\r\nX-Request-Id: "...), j.id...)
	}
	return append(append(dst, headEnd...), j.plain...)
}

// Idle waits until no request is in the lane, after the service was told to drain.
func (h *Handler) Idle(ctx context.Context) {
	for h.inLane.Load() > 0 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
}
