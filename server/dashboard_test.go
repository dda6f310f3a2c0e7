package server

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/aimass/aimass/pipeline"
	"github.com/aimass/aimass/server/service"
)

// TestDashboard: the page is static and says so to the browser; its data count what was
// answered, and are for those who may change the server.
func TestDashboard(t *testing.T) {
	cfg := Config{}
	cfg.Service.Training = trainingRunner(t)
	cfg.Service.AdminToken = "sixteen-characters"
	cfg.Service.GPUs = func() []service.DashboardGPU { return []service.DashboardGPU{{UUID: "GPU-1", Name: "one", Total: 8}} }
	s, f := serve(t, cfg, io.Discard)
	for path, kind := range map[string]string{"/dashboard": "text/html", "/dashboard/": "text/html", "/dashboard/dashboard.js": "text/javascript", "/dashboard/dashboard.css": "text/css"} {
		a := ask(t, s, "GET", path, "")
		if a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), kind) || !strings.Contains(a.header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
	}
	for _, path := range []string{"/dashboard/../web/dashboard.js", "/dashboard/other.js", "/dashboardx"} {
		if a := ask(t, s, "GET", path, ""); a.status != 404 {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	f.pipe.SetRules("simple", pipeline.Rules{Stable: 1, Canary: 3, CanaryShare: 0.25, Aliases: map[string]int64{"best": 3}})
	for range 3 {
		if a := ask(t, s, "POST", "/v2/models/simple/versions/3/infer", simpleRequest(2, "")); a.status != 200 {
			t.Fatal(a.body)
		}
	}
	ask(t, s, "POST", "/v2/models/absent/infer", simpleRequest(1, ""))
	ask(t, s, "POST", "/v2/train/jobs", trainingRequest)
	var d service.Dashboard
	a := ask(t, s, "GET", "/v2/dashboard", "")
	if err := json.Unmarshal([]byte(a.body), &d); err != nil || a.status != 200 {
		t.Fatal(a.status, a.body, err)
	}
	for _, m := range d.Models {
		if m.Name != "simple" {
			continue
		}
		if m.Stable != 1 || m.Canary != 3 || m.CanaryPercent != 25 || m.Aliases["best"] != 3 || len(m.Versions) < 2 {
			t.Errorf("%+v", m)
		}
		v := m.Versions[0]
		if v.Version != "3" || !v.Serves || v.State != "READY" || v.Requests != 3 || v.Batches["2"] != 3 || v.Latency[len(v.Latency)-1] != 3 {
			t.Errorf("%+v", v)
		}
	}
	if len(d.Models) < 4 || len(d.GPUs) != 1 || len(d.Jobs) != 1 || d.Jobs[0].Trainer != "gbdt" || len(d.LimitsNS) < 30 {
		t.Errorf("%d models, %v, %v", len(d.Models), d.GPUs, d.Jobs)
	}
	if !strings.Contains(a.body, `"code":"model_not_found"`) {
		t.Errorf("no count of the failure: %s", a.body)
	}
	if a := ask(t, s, "GET", "/v2/dashboard", "", "Origin: http://elsewhere.example"); a.status != 403 {
		t.Errorf("a page of another site: %d", a.status)
	}
	if a := ask(t, s, "GET", "/v2/dashboard", "", "Authorization: Bearer wrong"); a.status != 403 {
		t.Errorf("a wrong token: %d", a.status)
	}
}
