package rest

import (
	"net/url"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/aimass/aimass/api"
)

// sharedMemory answers the calls of the system shared memory extension; rest is status, register
// or unregister, with region/NAME/ in front of it for one region.
func (h *Handler) sharedMemory(ctx *fasthttp.RequestCtx, j *job, rest string) error {
	name := ""
	if after, ok := strings.CutPrefix(rest, "region/"); ok {
		k := strings.LastIndexByte(after, '/')
		if k < 1 {
			return notFound()
		}
		var err error
		if name, err = url.PathUnescape(after[:k]); err != nil {
			return notFound()
		}
		rest = after[k+1:]
	}
	tenant, shared := string(ctx.Request.Header.PeekBytes(headerTenant)), h.service.SharedMemory()
	if rest == "status" {
		if err := method(ctx, fasthttp.MethodGet); err != nil {
			return err
		}
		list, err := shared.Status(tenant, name)
		if err != nil {
			return err
		}
		type region struct {
			Name   string `json:"name"`
			Key    string `json:"key"`
			Offset uint64 `json:"offset"`
			Size   uint64 `json:"byte_size"`
		}
		out := make([]region, len(list))
		for i, g := range list {
			out[i] = region{g.Name, g.Key, g.Offset, g.Size}
		}
		return h.sendJSON(ctx, out)
	}
	if rest != "unregister" && (rest != "register" || name == "") {
		return notFound()
	}
	if err := method(ctx, fasthttp.MethodPost); err != nil {
		return err
	}
	if err := h.service.Authorize(caller(ctx)); err != nil {
		h.drain(ctx)
		return err
	}
	var err error
	if rest == "unregister" {
		err = shared.Unregister(tenant, name)
	} else {
		var in struct {
			Key    string  `json:"key"`
			Offset uint64  `json:"offset"`
			Size   *uint64 `json:"byte_size"`
		}
		if err := h.decode(ctx, j, &in); err != nil {
			return err
		}
		if in.Key == "" || in.Size == nil {
			return api.Errorf(api.CodeFieldMissing, "a shared memory region needs the fields 'key' and 'byte_size'")
		}
		err = shared.Register(tenant, name, in.Key, in.Offset, *in.Size)
	}
	if err != nil {
		return err
	}
	h.send(ctx, contentJSON, []byte(`{}`))
	return nil
}
