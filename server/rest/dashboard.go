package rest

import (
	"embed"
	"path"

	"github.com/valyala/fasthttp"

	"github.com/aimass/aimass/api"
)

// web is the dashboard's page. It holds nothing of the server: what it shows it asks for, under
// the rule for those calls.
//
//go:embed web
var web embed.FS

var pathDashboard = []byte("/dashboard")

// pagePolicy lets the page load and ask what is here, and nothing else.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// dashboard sends the page and its two files.
func (h *Handler) dashboard(ctx *fasthttp.RequestCtx, rest string) error {
	name, kind := "dashboard.html", "text/html; charset=utf-8"
	switch rest {
	case "", "/":
	case "/dashboard.js":
		name, kind = rest[1:], "text/javascript; charset=utf-8"
	case "/dashboard.css":
		name, kind = rest[1:], "text/css; charset=utf-8"
	default:
		return notFound()
	}
	b, err := web.ReadFile(path.Join("web", name))
	if err != nil {
		return api.Wrap(api.CodeInternal, err, "the page can't be read")
	}
	header := &ctx.Response.Header
	header.Set("Content-Security-Policy", pagePolicy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set(fasthttp.HeaderCacheControl, "no-cache")
	return h.fixed(ctx, []byte(kind), b)
}

// dashboardData tells the page of everything, and so only those who may change the server.
func (h *Handler) dashboardData(ctx *fasthttp.RequestCtx, j *job) error {
	if err := method(ctx, fasthttp.MethodGet); err != nil {
		return err
	}
	if err := h.admit(ctx, j); err != nil {
		return err
	}
	return h.sendJSON(ctx, h.service.Dashboard())
}
