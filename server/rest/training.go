package rest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/server/encoding"
	"github.com/aimass/aimass/server/sock"
	"github.com/aimass/aimass/train/jobs"
	"github.com/aimass/aimass/train/snapshot"
)

var pathTrain = []byte("/v2/train")

// training answers what lies below /v2/train. All of it is for those who may change the server:
// jobs and data are not for callers of a model.
func (h *Handler) training(ctx *fasthttp.RequestCtx, j *job, rest string) error {
	parts := strings.Split(strings.Trim(rest, "/"), "/")
	what := parts[0]
	id, more := "", ""
	if len(parts) > 1 {
		id, more = parts[1], strings.Join(parts[2:], "/")
	}
	answer, methods := h.trainingCall(what, id, more)
	if answer == nil {
		return notFound()
	}
	if err := method(ctx, methods...); err != nil {
		return err
	}
	if err := h.admit(ctx, j); err != nil {
		return err
	}
	if h.service.Training() == nil {
		h.drain(ctx)
		return api.Errorf(api.CodeUnsupported, "training is switched off: --train-dir is off")
	}
	return answer(ctx, j)
}

// trainingCall finds the call of a path with its methods.
func (h *Handler) trainingCall(what, id, more string) (answer func(*fasthttp.RequestCtx, *job) error, methods []string) {
	type call = func(*fasthttp.RequestCtx, *job) error
	get, post, remove := fasthttp.MethodGet, fasthttp.MethodPost, fasthttp.MethodDelete
	show := func(f func(r *jobs.Runner) (any, error)) call {
		return func(ctx *fasthttp.RequestCtx, _ *job) error {
			v, err := f(h.service.Training())
			if err != nil {
				return err
			}
			return h.sendJSON(ctx, v)
		}
	}
	name, artefact := strings.CutPrefix(more, "artefacts/")
	switch {
	case what == "" && id == "":
		return show(func(r *jobs.Runner) (any, error) { return map[string]any{"trainers": r.Trainers()}, nil }), []string{get}
	case what == "jobs" && id == "":
		return h.trainingJobs, []string{get, post}
	case what == "jobs" && more == "":
		return show(func(r *jobs.Runner) (any, error) { return r.Get(id) }), []string{get}
	case what == "jobs" && more == "cancel":
		return show(func(r *jobs.Runner) (any, error) { return r.Cancel(id) }), []string{post}
	case what == "jobs" && more == "logs":
		return func(ctx *fasthttp.RequestCtx, _ *job) error { return h.trainingLog(ctx, id) }, []string{get}
	case what == "jobs" && more == "artefacts":
		return show(func(r *jobs.Runner) (any, error) {
			names, err := r.Artefacts(id)
			return map[string]any{"artefacts": names}, err
		}), []string{get}
	case what == "jobs" && artefact && name != "":
		return func(ctx *fasthttp.RequestCtx, _ *job) error { return h.trainingArtefact(ctx, id, name) }, []string{get}
	case what == "snapshots" && id == "":
		return h.trainingSnapshots, []string{get, post}
	case what == "snapshots" && more == "":
		return func(ctx *fasthttp.RequestCtx, _ *job) error {
			r := h.service.Training()
			if ctx.IsDelete() {
				if err := r.RemoveSnapshot(id); err != nil {
					return err
				}
				return h.sendJSON(ctx, struct{}{})
			}
			s, err := r.Snapshots().Get(id)
			if err != nil {
				return err
			}
			return h.sendJSON(ctx, s)
		}, []string{get, remove}
	}
	return nil, nil
}

// trainingJobs lists the jobs or makes one.
func (h *Handler) trainingJobs(ctx *fasthttp.RequestCtx, j *job) error {
	r := h.service.Training()
	if !ctx.IsPost() {
		return h.sendJSON(ctx, map[string]any{"jobs": r.List()})
	}
	body, err := h.read(ctx, j)
	if err != nil {
		return err
	}
	var q jobs.Request
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		var own *api.Error
		if errors.As(err, &own) {
			return own
		}
		return api.Errorf(api.CodeInvalidJSON, "the body does not fit this call: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); err != io.EOF {
		return api.Errorf(api.CodeTrailingBytes, "bytes follow the JSON object")
	}
	made, err := r.Create(q)
	if err != nil {
		return err
	}
	return h.sendJSON(ctx, made)
}

// trainingSnapshots lists the snapshots or stores one, as it comes in.
func (h *Handler) trainingSnapshots(ctx *fasthttp.RequestCtx, j *job) error {
	s := h.service.Training().Snapshots()
	if !ctx.IsPost() {
		return h.sendJSON(ctx, map[string]any{"snapshots": s.List()})
	}
	var in io.Reader = ctx.RequestBodyStream()
	kind, err := encoding.Parse(ctx.Request.Header.ContentEncoding())
	if in == nil || err != nil || kind != encoding.Identity {
		// A compressed body is held in memory, within the limit of all bodies.
		body, err := h.read(ctx, j)
		if err != nil {
			return err
		}
		in = bytes.NewReader(body)
	}
	of := snapshot.Table
	switch t, _, _ := mime.ParseMediaType(string(ctx.Request.Header.ContentType())); t {
	case "application/jsonl", "application/x-ndjson", "application/json":
		of = snapshot.Requests
	}
	snap, err := s.Add(string(ctx.QueryArgs().Peek("name")), of, in, h.cfg.MaxUpload)
	if err != nil {
		h.drain(ctx)
		return err
	}
	return h.sendJSON(ctx, snap)
}

// trainingLog answers with a job's log, or for those who follow it with an event stream of what
// is there and what comes. The id of an event is the offset behind it, to go on from.
func (h *Handler) trainingLog(ctx *fasthttp.RequestCtx, id string) error {
	from, err := queryInt(ctx, "from", 0, 0, 1<<53)
	if err != nil {
		return err
	}
	if last := ctx.Request.Header.Peek("Last-Event-Id"); len(last) > 0 {
		if n, err := strconv.ParseInt(string(last), 10, 64); err == nil && n >= 0 {
			from = int(n)
		}
	}
	follow := ctx.QueryArgs().GetBool("follow") || strings.Contains(string(ctx.Request.Header.Peek(fasthttp.HeaderAccept)), "text/event-stream")
	r := h.service.Training()
	if _, err := r.Get(id); err != nil {
		return err
	}
	if !follow {
		lines, end := []json.RawMessage{}, int64(from)
		err := r.Log(ctx, id, int64(from), false, func(more []json.RawMessage, next int64) error {
			lines, end = append(lines, more...), next
			return nil
		})
		if err != nil {
			return err
		}
		return h.sendJSON(ctx, map[string]any{"lines": lines, "next": end})
	}
	var gone <-chan struct{}
	if c, ok := ctx.Conn().(*sock.Conn); ok {
		gone = c.Gone()
	}
	ctx.Response.Header.SetContentType("text/event-stream")
	ctx.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
	ctx.SetConnectionClose()
	ctx.Response.ImmediateHeaderFlush = true
	ctx.SetBodyStreamWriter(func(w *bufio.Writer) { h.streamTraining(w, r, id, int64(from), gone) })
	return nil
}

// errStreamEnds ends a stream whose client has gone, or whose server stops.
var errStreamEnds = errors.New("the stream ends")

func (h *Handler) streamTraining(w *bufio.Writer, r *jobs.Runner, id string, from int64, gone <-chan struct{}) {
	last := time.Now()
	err := r.Log(context.Background(), id, from, true, func(lines []json.RawMessage, next int64) error {
		select {
		case <-gone:
			return errStreamEnds
		default:
		}
		if h.service.Draining() {
			return errStreamEnds
		}
		for i, line := range lines {
			if i == len(lines)-1 {
				_, _ = w.WriteString("id: " + strconv.FormatInt(next, 10) + "\n")
			}
			_, _ = w.WriteString("data: ")
			_, _ = w.Write(line)
			_, _ = w.WriteString("\n\n")
		}
		if len(lines) == 0 {
			if time.Since(last) < beat {
				return nil
			}
			_, _ = w.WriteString(": nothing new\n\n")
		}
		last = time.Now()
		return w.Flush()
	})
	if j, gerr := r.Get(id); err == nil && gerr == nil {
		state, _ := json.Marshal(map[string]any{"state": j.State, "error": j.Error})
		_, _ = w.WriteString("event: end\ndata: " + string(state) + "\n\n")
		_ = w.Flush()
	}
}

// trainingArtefact sends a file that a job has left.
func (h *Handler) trainingArtefact(ctx *fasthttp.RequestCtx, id, name string) error {
	f, err := h.service.Training().Artefact(id, name)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return api.Wrap(api.CodeInternal, err, "the artefact can't be read")
	}
	kind := mime.TypeByExtension(filepath.Ext(name))
	switch filepath.Ext(name) {
	case ".html", ".svg":
		// Not shown by a browser as a page of this server.
		ctx.Response.Header.Set(fasthttp.HeaderContentDisposition, "attachment")
	case ".jsonl", ".md":
		kind = "text/plain; charset=utf-8"
	}
	if kind == "" {
		kind = "application/octet-stream"
	}
	ctx.Response.Header.SetContentType(kind)
	ctx.Response.SetBodyStream(f, int(st.Size())) // fasthttp closes it
	return nil
}

// drift tells how far what a model is asked is from what it was trained on.
func (h *Handler) drift(ctx *fasthttp.RequestCtx, name, version []byte) error {
	if err := method(ctx, fasthttp.MethodGet); err != nil {
		return err
	}
	d, err := h.service.Drift(name, version)
	if err != nil {
		return err
	}
	return h.sendJSON(ctx, d)
}
