package rest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/repository/config"
	"github.com/aimass/aimass/repository/store"
	"github.com/aimass/aimass/server/releases"
	"github.com/aimass/aimass/server/sock"
)

// release answers what lies below /v2/repository/models/M/ and is about versions. All of
// it is for those who may change the server: bundles and histories are not for callers of
// a model.
func (h *Handler) release(ctx *fasthttp.RequestCtx, j *job, model, what string) error {
	call, ok := releaseCalls[what]
	if !ok {
		return notFound()
	}
	if err := method(ctx, call.method); err != nil {
		return err
	}
	if err := h.admit(ctx, j); err != nil {
		return err
	}
	j.model = append(j.model[:0], model...)
	out, err := call.answer(h, ctx, j, model)
	if err != nil {
		return err
	}
	return h.sendJSON(ctx, out)
}

// admit checks who calls, and gives the call an id, under which history and log note it.
func (h *Handler) admit(ctx *fasthttp.RequestCtx, j *job) error {
	if len(j.id) == 0 {
		j.id = newID(j.id)
	}
	if err := h.service.Authorize(caller(ctx)); err != nil {
		h.drain(ctx)
		return err
	}
	return nil
}

func (j *job) by() releases.By { return releases.By{RequestID: string(j.id)} }

// releaseCall is one call about a model's versions.
type releaseCall struct {
	method string
	answer func(h *Handler, ctx *fasthttp.RequestCtx, j *job, model string) (any, error)
}

var releaseCalls = map[string]releaseCall{
	"release": {fasthttp.MethodGet, func(h *Handler, _ *fasthttp.RequestCtx, _ *job, model string) (any, error) {
		return h.service.Releases().Status(model)
	}},
	"history": {fasthttp.MethodGet, func(h *Handler, ctx *fasthttp.RequestCtx, _ *job, model string) (any, error) {
		limit, err := queryInt(ctx, "limit", 100, 1, 1000)
		if err != nil {
			return nil, err
		}
		before, err := queryInt(ctx, "before", 0, 0, 1<<53)
		if err != nil {
			return nil, err
		}
		list, err := h.service.Releases().History(model, int64(before), limit)
		return map[string]any{"model": model, "history": list}, err
	}},
	"diff": {fasthttp.MethodGet, func(h *Handler, ctx *fasthttp.RequestCtx, _ *job, model string) (any, error) {
		q := ctx.QueryArgs()
		if !q.Has("from") || !q.Has("to") {
			return nil, api.Errorf(api.CodeParameterInvalid, "a diff is between two versions: ?from=1&to=2")
		}
		return h.service.Releases().Diff(model, string(q.Peek("from")), string(q.Peek("to")))
	}},
	"promote": {fasthttp.MethodPost, func(h *Handler, ctx *fasthttp.RequestCtx, j *job, model string) (any, error) {
		var in struct {
			Version versionText    `json:"version"`
			Gate    *releases.Gate `json:"gate"`
			Force   bool           `json:"force"`
		}
		if err := h.decodeOwn(ctx, j, &in); err != nil {
			return nil, err
		}
		return h.service.Releases().Promote(ctx, model, releases.Promotion{Version: string(in.Version), Gate: in.Gate, Force: in.Force}, j.by())
	}},
	"rollback": {fasthttp.MethodPost, func(h *Handler, ctx *fasthttp.RequestCtx, j *job, model string) (any, error) {
		if err := h.decodeOwn(ctx, j, &struct{}{}); err != nil {
			return nil, err
		}
		return h.service.Releases().Rollback(ctx, model, j.by())
	}},
	"canary": {fasthttp.MethodPost, func(h *Handler, ctx *fasthttp.RequestCtx, j *job, model string) (any, error) {
		in := share{}
		if err := h.decodeOwn(ctx, j, &in); err != nil {
			return nil, err
		}
		return h.service.Releases().SetCanary(ctx, model, string(in.Version), in.Percent, j.by())
	}},
	"shadow": {fasthttp.MethodPost, func(h *Handler, ctx *fasthttp.RequestCtx, j *job, model string) (any, error) {
		in := share{Tolerance: 1e-3}
		if err := h.decodeOwn(ctx, j, &in); err != nil {
			return nil, err
		}
		return h.service.Releases().SetShadow(ctx, model, string(in.Version), in.Percent, in.Tolerance, j.by())
	}},
	"alias": {fasthttp.MethodPost, func(h *Handler, ctx *fasthttp.RequestCtx, j *job, model string) (any, error) {
		var in struct {
			Alias   string      `json:"alias"`
			Version versionText `json:"version"`
		}
		if err := h.decodeOwn(ctx, j, &in); err != nil {
			return nil, err
		}
		return h.service.Releases().SetAlias(ctx, model, in.Alias, string(in.Version), j.by())
	}},
}

type share struct {
	Version   versionText `json:"version"`
	Percent   float64     `json:"percent"`
	Tolerance float64     `json:"tolerance"`
}

// versionText is a version as JSON has it: a number, a string, or null for none.
type versionText string

// UnmarshalJSON reads any of the three forms.
func (v *versionText) UnmarshalJSON(b []byte) error {
	text := string(b)
	switch {
	case text == "null":
		text = ""
	case text[0] == '"':
		var err error
		if text, err = strconv.Unquote(text); err != nil {
			return fmt.Errorf("json: a version is no plain string")
		}
	case strings.Trim(text, "0123456789") != "":
		return fmt.Errorf("json: a version is neither a whole number nor a string")
	}
	*v = versionText(text)
	return nil
}

// queryInt reads a whole number of the query string.
func queryInt(ctx *fasthttp.RequestCtx, name string, def, low, high int) (int, error) {
	text := ctx.QueryArgs().Peek(name)
	if len(text) == 0 {
		return def, nil
	}
	n, err := strconv.Atoi(string(text))
	if err != nil || n < low || n > high {
		return 0, api.Errorf(api.CodeParameterInvalid, "got %s=%.50s, expected a whole number from %d to %d", name, text, low, high)
	}
	return n, nil
}

// versionPath answers what lies below /v2/repository/models/M/versions/V/.
func (h *Handler) versionPath(ctx *fasthttp.RequestCtx, j *job, model, rest string) error {
	version, what, _ := strings.Cut(rest, "/")
	if version == "" {
		return notFound()
	}
	if v, err := url.PathUnescape(version); err == nil {
		version = v
	}
	j.model, j.version = append(j.model[:0], model...), append(j.version[:0], version...)
	switch what {
	case "download":
		if err := method(ctx, fasthttp.MethodGet); err != nil {
			return err
		}
		if err := h.admit(ctx, j); err != nil {
			return err
		}
		return h.download(ctx, model, version)
	case "upload":
		if err := method(ctx, fasthttp.MethodGet, fasthttp.MethodPut, fasthttp.MethodDelete); err != nil {
			return err
		}
		if err := h.admit(ctx, j); err != nil {
			return err
		}
		return h.upload(ctx, j, model, version)
	}
	return notFound()
}

// download streams a bundle, or the range of it that is asked for.
func (h *Handler) download(ctx *fasthttp.RequestCtx, model, version string) error {
	p, n, err := h.service.Releases().Download(model, version)
	if err != nil {
		return err
	}
	header := &ctx.Response.Header
	etag := `"` + p.SHA256 + `"`
	header.Set(fasthttp.HeaderETag, etag)
	header.Set(fasthttp.HeaderAcceptRanges, "bytes")
	if sum, err := hex.DecodeString(p.SHA256); err == nil {
		header.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum)+":")
	}
	header.Set(fasthttp.HeaderContentDisposition, fmt.Sprintf(`attachment; filename="%s-%d.tar.zst"`, model, n))
	if err := ifMatch(&ctx.Request.Header, etag); err != nil {
		p.Close()
		return err
	}
	if tagListed(ctx.Request.Header.Peek(fasthttp.HeaderIfNoneMatch), etag, true) {
		p.Close()
		ctx.SetStatusCode(fasthttp.StatusNotModified)
		return nil
	}
	from, to := int64(0), p.Size-1
	want := ctx.Request.Header.Peek(fasthttp.HeaderRange)
	if match := ctx.Request.Header.Peek(fasthttp.HeaderIfRange); len(match) > 0 && string(match) != etag {
		want = nil
	}
	if r, ok := byteRange(string(want), p.Size); ok {
		if r.from > r.to {
			p.Close()
			header.Set(fasthttp.HeaderContentRange, fmt.Sprintf("bytes */%d", p.Size))
			return api.Errorf(api.CodeRangeNotSatisfiable, "got the range '%.100s', the bundle has %d bytes", want, p.Size)
		}
		from, to = r.from, r.to
		ctx.SetStatusCode(fasthttp.StatusPartialContent)
		header.Set(fasthttp.HeaderContentRange, fmt.Sprintf("bytes %d-%d/%d", from, to, p.Size))
	}
	header.SetContentType("application/zstd")
	ctx.SetBodyStream(&section{io.NewSectionReader(p, from, to-from+1), p}, int(to-from+1))
	return nil
}

// section is a part of a file that closes it.
type section struct {
	*io.SectionReader
	io.Closer
}

// upload answers GET (how far), PUT (a piece) and DELETE (forget it).
func (h *Handler) upload(ctx *fasthttp.RequestCtx, j *job, model, version string) error {
	n, ok := config.ParseVersion(version)
	if !ok {
		h.drain(ctx)
		return api.Errorf(api.CodeVersionInvalid, "got the version '%.100s', expected a whole number above zero", version)
	}
	r := h.service.Releases()
	switch {
	case ctx.IsPut():
		out, err := h.piece(ctx, j, model, n)
		if err != nil || unread(ctx) {
			h.drain(ctx)
		}
		if err != nil {
			return err
		}
		return h.sendJSON(ctx, out)
	case ctx.IsDelete():
		if err := r.Drop(model, n); err != nil {
			return err
		}
		return h.sendJSON(ctx, struct{}{})
	}
	out, err := r.Progress(model, n)
	if err != nil {
		return err
	}
	return h.sendJSON(ctx, out)
}

func (h *Handler) piece(ctx *fasthttp.RequestCtx, j *job, model string, version int64) (*releases.Uploaded, error) {
	if coding := ctx.Request.Header.ContentEncoding(); len(coding) > 0 && string(coding) != "identity" {
		return nil, api.Errorf(api.CodeUnsupportedEncoding, "a bundle is compressed already: send it without Content-Encoding")
	}
	p := store.Piece{Length: int64(ctx.Request.Header.ContentLength()), Size: -1}
	if p.Length < 0 {
		p.Length = -1
	}
	p.Size = p.Length
	if text := string(ctx.Request.Header.Peek(fasthttp.HeaderContentRange)); text != "" {
		if err := parseContentRange(text, &p); err != nil {
			return nil, err
		}
	}
	var err error
	if p.SHA256, err = reprDigest(string(ctx.Request.Header.Peek("Repr-Digest"))); err != nil {
		return nil, err
	}
	if err := h.precondition(ctx, model, version); err != nil {
		return nil, err
	}
	load := true
	switch text := string(ctx.QueryArgs().Peek("load")); text {
	case "", "true":
	case "false":
		load = false
	default:
		return nil, api.Errorf(api.CodeParameterInvalid, "got load=%.50s, expected true or false", text)
	}
	return h.service.Releases().Upload(ctx, model, version, p, bodyOf(ctx), load, j.by())
}

// precondition refuses a piece that is to be taken only if the version is there, or only if it is not.
func (h *Handler) precondition(ctx *fasthttp.RequestCtx, model string, version int64) error {
	header := &ctx.Request.Header
	none := header.Peek(fasthttp.HeaderIfNoneMatch)
	if len(header.Peek(fasthttp.HeaderIfMatch)) == 0 && len(none) == 0 {
		return nil
	}
	etag := ""
	p, _, err := h.service.Releases().Download(model, strconv.FormatInt(version, 10))
	switch code := api.CodeOf(err); {
	case err == nil:
		etag = `"` + p.SHA256 + `"`
		p.Close()
	case code != api.CodeModelNotFound && code != api.CodeModelVersionNotFound:
		return err
	}
	if err := ifMatch(&ctx.Request.Header, etag); err != nil {
		return err
	}
	if etag != "" && tagListed(none, etag, true) {
		return api.Errorf(api.CodePreconditionFailed, "got If-None-Match '%.100s', and the version is there with the ETag %s", none, etag)
	}
	return nil
}

// bodyOf reads a body as it comes. Request.Body would have all of a stream in memory first.
func bodyOf(ctx *fasthttp.RequestCtx) io.Reader {
	if s := ctx.RequestBodyStream(); s != nil {
		return &alive{s, ctx}
	}
	return bytes.NewReader(ctx.Request.Body())
}

// unread reports whether a body has more than was read of it, as that of a version that was
// there already.
func unread(ctx *fasthttp.RequestCtx) bool {
	s := ctx.RequestBodyStream()
	if s == nil {
		return false
	}
	var next [1]byte
	n, _ := s.Read(next[:])
	return n > 0
}

// alive tells the connection that a long body is still coming, so that it is bounded by
// its pace rather than by its length.
type alive struct {
	io.Reader
	ctx *fasthttp.RequestCtx
}

func (a *alive) Read(b []byte) (int, error) {
	n, err := a.Reader.Read(b)
	if c, ok := a.ctx.Conn().(*sock.Conn); ok && n > 0 {
		c.Progress()
	}
	return n, err
}

// parseContentRange reads "bytes A-B/N", "bytes A-B/*" and, for a last piece without
// bytes, "bytes */N" (RFC 9110, section 14.4).
func parseContentRange(text string, p *store.Piece) error {
	bad := api.Errorf(api.CodeParameterInvalid, "got Content-Range '%.100s', expected 'bytes FIRST-LAST/SIZE'", text)
	rest, ok := strings.CutPrefix(text, "bytes ")
	span, size, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 {
		return bad
	}
	var err error
	if p.Size = -1; size != "*" {
		if p.Size, err = strconv.ParseInt(size, 10, 64); err != nil || p.Size < 0 {
			return bad
		}
	}
	if span == "*" {
		if p.Size < 0 {
			return bad
		}
		p.Offset, p.Length = p.Size, 0
		return nil
	}
	first, last, ok := strings.Cut(span, "-")
	if p.Offset, err = strconv.ParseInt(first, 10, 64); err != nil || !ok || p.Offset < 0 {
		return bad
	}
	end, err := strconv.ParseInt(last, 10, 64)
	if err != nil || end < p.Offset || p.Size >= 0 && end >= p.Size || p.Length >= 0 && p.Length != end-p.Offset+1 {
		return bad
	}
	p.Length = end - p.Offset + 1
	p.Partial = p.Size < 0
	return nil
}

// reprDigest reads the SHA-256 of a field such as sha-256=:BASE64: (RFC 9530).
func reprDigest(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	for item := range strings.SplitSeq(text, ",") {
		v, ok := strings.CutPrefix(strings.TrimSpace(item), "sha-256=:")
		if !ok {
			continue
		}
		sum, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(v, ":"))
		if err == nil && len(sum) == 32 && strings.HasSuffix(v, ":") {
			return hex.EncodeToString(sum), nil
		}
	}
	return "", api.Errorf(api.CodeParameterInvalid, "got Repr-Digest '%.100s', expected sha-256=:BASE64:", text)
}
