package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aimass/aimass/internal/chromium"
)

// TestDashboardPage looks at the dashboard in a real browser while a model is asked, some
// requests fail, and a canary runs: figures, lines, the log of one request, both languages, a
// small screen, nothing in the browser's console.
func TestDashboardPage(t *testing.T) {
	browser, err := chromium.Start()
	if errors.Is(err, chromium.ErrAbsent) {
		t.Skip("NOT RUN: " + err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = browser.Close() })
	models := t.TempDir()
	writeModel(t, models, plus(1), "1")
	writeModel(t, models, plus(2), "2")
	p := start(t, models, "127.0.0.1", "--access-log")
	promote := func(what, body string) {
		if code, text := post(t, p.url("/v2/repository/models/plus/"+what), body); code != 200 {
			t.Fatal(text)
		}
	}
	promote("promote", `{"version":"1","force":true}`)
	promote("canary", `{"version":"2","percent":25}`)
	const request = `{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[10,20]}]}`
	ask := func() {
		for i := range 40 {
			if code, body := post(t, p.url("/v2/models/plus/infer"), request, "X-Request-Id", fmt.Sprintf("look-%d", i)); code != 200 {
				t.Fatal(body)
			}
		}
		post(t, p.url("/v2/models/plus/infer"), `{"inputs":[]}`, "X-Request-Id", "the-bad-one")
	}
	ask()
	for _, view := range []struct {
		name          string
		width, height int
		language      string
	}{{"dashboard", 1280, 900, "en"}, {"dashboard-phone", 390, 844, "zh-CN"}} {
		page, err := browser.Open(view.width, view.height, view.width < 500, view.language)
		if err != nil {
			t.Fatal(err)
		}
		ok := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatalf("%s: %v; the browser says: %v", view.name, err, page.Errors())
			}
		}
		ok(page.Go(p.url("/dashboard")))
		ok(page.Until(`document.body.dataset.shown === "yes"`))
		ask()
		ok(page.Until(`[...document.querySelectorAll("#rate path")].some((e) => e.getAttribute("d").length > 5)`))
		for _, want := range []string{"plus", "READY", "the-bad-one"} {
			ok(page.Until(fmt.Sprintf(`document.querySelector("main").innerText.includes(%q)`, want)))
		}
		var wrong []string
		ok(page.Eval(strings.Replace(audit, "(%d)", fmt.Sprintf("(%d)", view.width), 1), &wrong))
		for _, w := range wrong {
			t.Errorf("%s: %s", view.name, w)
		}
		if dir := os.Getenv("AIMASS_SHOTS"); dir != "" {
			b, err := page.Screenshot()
			ok(err)
			ok(os.WriteFile(filepath.Join(dir, view.name+".png"), b, 0o644))
		}
		ok(page.Click("#log button"))
		ok(page.Until(`location.hash === "#request=the-bad-one" && !document.getElementById("filter").hidden`))
		ok(page.Click("#language"))
		if e := page.Errors(); len(e) != 0 {
			t.Errorf("%s: the browser's console: %v", view.name, e)
		}
		page.Close()
	}
}
