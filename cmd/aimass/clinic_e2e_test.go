package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aimass/aimass/internal/chromium"
	"github.com/aimass/aimass/internal/race"
)

// tour is a clinic with its models, open in real browsers.
type tour struct {
	*testing.T
	base    string
	browser *chromium.Browser
}

// startClinic runs the demo with its models until the test ends and gives its address.
func startClinic(t *testing.T, models string) string {
	t.Helper()
	if err := writeDemo(context.Background(), models, io.Discard); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	said, done := &lockedBuffer{}, make(chan error, 1)
	f := clinicFlags{server: "http://127.0.0.1:" + freePort(t), models: models, http: "127.0.0.1:0", demo: true, speed: 4}
	go func() { done <- runClinic(ctx, f, said) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the clinic ended with %v", err)
		}
	})
	at := regexp.MustCompile(`patient's phone\s+(\S+)/phone`)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if m := at.FindStringSubmatch(said.String()); m != nil {
			return m[1]
		}
		select {
		case err := <-done:
			done <- nil
			t.Fatalf("the clinic does not open: %v", err)
		default:
		}
	}
	t.Fatal("the clinic is not open in a minute")
	return ""
}

func (t *tour) ok(err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// phone opens the phone page as one of the demo's patients.
func (t *tour) phone(patient, language string) *chromium.Page {
	t.Helper()
	p, err := t.browser.Open(390, 844, true, language)
	t.ok(err)
	t.ok(p.Go(t.base + "/phone"))
	if patient != "" {
		t.shot(p, "phone-0-who-"+language[:2])
		t.ok(p.Click(`button[value="` + patient + `"]`))
		t.ok(p.Until(`document.querySelector(".needs")`))
	}
	return p
}

// shot keeps a picture where AIMASS_SHOTS names a folder, and looks for what makes a page
// hard to use.
func (t *tour) shot(p *chromium.Page, name string) {
	t.Helper()
	var wrong []string
	t.ok(p.Eval(strings.Replace(audit, "(%d)", fmt.Sprintf("(%d)", p.Width), 1), &wrong))
	for _, w := range wrong {
		t.Errorf("%s: %s", name, w)
	}
	if dir := os.Getenv("AIMASS_SHOTS"); dir != "" {
		b, err := p.Screenshot()
		t.ok(err)
		t.ok(os.WriteFile(filepath.Join(dir, name+".png"), b, 0o644))
	}
}

// audit lists what is wrong with a page for those who can't see it, and for small screens.
const audit = `((screenWidth) => {
  const wrong = [], shown = (e) => e.checkVisibility({ visibilityProperty: true }) && e.getClientRects().length > 0;
  const name = (e) => (e.getAttribute("aria-label") || e.labels?.[0]?.innerText || e.innerText || e.title || "").trim();
  if (!document.documentElement.lang) wrong.push("no language");
  if (!document.title) wrong.push("no title");
  if (document.querySelectorAll("main h1, main h2").length === 0) wrong.push("no heading");
  for (const e of document.querySelectorAll("a, button, input:not([type=hidden]), textarea, [role=slider]")) if (shown(e) && !name(e)) wrong.push("no name: " + e.outerHTML.slice(0, 120));
  for (const e of document.querySelectorAll("button, .button, input:not([type=radio], [type=checkbox], [type=hidden])")) {
    const r = e.getBoundingClientRect();
    if (shown(e) && (r.height < 24 || r.width < 24)) wrong.push("too small to hit: " + e.outerHTML.slice(0, 120));
  }
  for (const e of document.querySelectorAll("[id]")) if (document.querySelectorAll("#" + CSS.escape(e.id)).length > 1) wrong.push("twice: #" + e.id);
  const wide = document.documentElement.scrollWidth;
  if (wide > screenWidth) wrong.push("wider than the screen: " + wide + " of " + screenWidth);
  if (/%!|\{\{|undefined|NaN/.test(document.body.innerText)) wrong.push("broken text: " + document.body.innerText.match(/.{0,30}(%!|\{\{|undefined|NaN).{0,30}/)[0]);
  const light = (c) => { const v = c.match(/[\d.]+/g).slice(0, 3).map((x) => { x /= 255; return x <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4; }); return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
  const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (c.startsWith("rgb(")) return c; } return "rgb(255, 255, 255)"; };
  for (const e of document.querySelectorAll("main p, main h1, main h2, main button, main a, main small, main label, main .badge, main strong")) {
    if (!shown(e) || !e.innerText.trim() || e.closest(".stars")) continue;
    const a = light(getComputedStyle(e).color), b = light(behind(e)), ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) wrong.push("contrast " + ratio.toFixed(1) + ": " + e.outerHTML.slice(0, 100));
  }
  return wrong;
})(%d)`

// fhirGet reads a resource.
func (t *tour) fhirGet(path string) map[string]any {
	t.Helper()
	resp, err := http.Get(t.base + "/fhir/" + path)
	t.ok(err)
	defer resp.Body.Close()
	var v map[string]any
	t.ok(json.NewDecoder(resp.Body).Decode(&v))
	return v
}

// TestClinicTour goes through the clinic as a newcomer would, in a real browser: two
// phones, a doctor's page, both languages.
func TestClinicTour(t *testing.T) {
	if race.Enabled {
		t.Skip("NOT RUN: the clinic in a browser under the race detector, which slows the search for a schedule beyond its timeout (make test runs it)")
	}
	browser, err := chromium.Start()
	if errors.Is(err, chromium.ErrAbsent) {
		t.Skip("NOT RUN: " + err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	defer browser.Close()
	g := &tour{t, startClinic(t, t.TempDir()), browser}
	phone := g.phone("p-006", "en")
	id, doctor := g.bookAndApprove(phone)
	g.sameDay(phone, id, doctor)
	g.fasterPatient()
	g.whatIf("dr-04")
	g.otherLanguage()
	for _, e := range phone.Errors() {
		t.Errorf("the phone page: %s", e)
	}
}

// bookAndApprove: need, recommended list, hold, book; the doctor is told at once and
// approves; the phone is told at once.
func (t *tour) bookAndApprove(phone *chromium.Page) (id, doctor string) {
	t.Helper()
	t.shot(phone, "phone-1-home")
	t.ok(phone.Click(`button[value="skin"]`))
	t.ok(phone.Until(`document.querySelectorAll(".doctor").length >= 2`))
	t.shot(phone, "phone-2-doctors")
	if why, err := phone.Text(".doctor .why"); err != nil || why == "" {
		t.Errorf("no reason: %q, %v", why, err)
	}
	t.ok(phone.Click(`.doctor form button`))
	t.ok(phone.Until(`document.querySelector(".held")`))
	t.shot(phone, "phone-3-held")
	t.ok(phone.Eval(`location.pathname.split("/").pop()`, &id))
	v := t.fhirGet("Appointment/" + id)
	for _, p := range v["participant"].([]any) {
		if ref := p.(map[string]any)["actor"].(map[string]any)["reference"].(string); strings.HasPrefix(ref, "Practitioner/") {
			doctor = strings.TrimPrefix(ref, "Practitioner/")
		}
	}
	page, err := t.browser.Open(1280, 900, false, "en")
	t.ok(err)
	defer page.Close()
	t.ok(page.Go(t.base + "/doctor/" + doctor))
	t.ok(page.Until(`document.querySelector("#request-` + id + `") === null`))
	t.ok(phone.Click(".held button.main"))
	t.ok(phone.Until(`document.querySelector(".badge.pending")`))
	t.ok(page.Until(`document.querySelector("#request-` + id + `")`)) // without a reload
	t.shot(page, "doctor-1-inbox")
	t.ok(page.Click("#request-" + id + " button.main"))
	t.ok(phone.Until(`document.querySelector(".badge.booked")`)) // without a reload
	t.shot(phone, "phone-4-booked")
	for _, e := range page.Errors() {
		t.Errorf("the doctor's page: %s", e)
	}
	return id, doctor
}

// sameDay: another time today, the queue, the visit, payment and rating.
func (t *tour) sameDay(phone *chromium.Page, id, doctor string) {
	t.Helper()
	today := ""
	t.ok(phone.Eval(`document.querySelector(".clock").innerText`, &today))
	page, err := t.browser.Open(1280, 900, false, "en")
	t.ok(err)
	defer page.Close()
	t.ok(page.Go(t.base + "/doctor/" + doctor))
	t.ok(phone.Click(`.actions a.button`))
	t.ok(phone.Until(`document.querySelector(".times button")`))
	t.shot(phone, "phone-5-times")
	t.ok(phone.Click(".times button"))
	t.ok(phone.Until(`document.querySelector(".badge.pending")`))
	t.ok(page.Click("#request-" + id + " button.main"))
	t.ok(phone.Until(`document.querySelector(".badge.booked")`))
	if here, _ := phone.Text(".queue"); here == "" {
		t.Logf("the first free time of %s is not today (%s): the visit is not played", doctor, today)
		return
	}
	t.shot(phone, "phone-6-queue")
	t.ok(phone.Click(".queue form button"))
	t.ok(phone.Until(`document.querySelector(".badge.arrived")`))
	lane := fmt.Sprintf(`li.lane:has(input[value=%q])`, id)
	t.ok(page.Until(`document.querySelector('` + lane + `.arrived [formaction$="begin"]')`))
	t.shot(page, "doctor-2-arrived")
	// Whoever is with the doctor leaves first.
	t.ok(page.Eval(`document.querySelector('[formaction$="fulfil"]')?.click()`, nil))
	t.ok(page.Click(lane + ` [formaction$="begin"]`))
	t.ok(phone.Until(`!document.querySelector(".queue .dots")`))
	t.shot(phone, "phone-7-with")
	t.ok(page.Click(lane + ` [formaction$="fulfil"]`))
	t.ok(phone.Until(`document.querySelector(".pay")`))
	t.shot(phone, "phone-8-after")
	t.ok(phone.Click(".pay button"))
	t.ok(phone.Until(`document.querySelector(".bank")`))
	t.shot(phone, "phone-9-bank")
	t.ok(phone.Click(".bank button.main"))
	t.ok(phone.Until(`document.querySelector(".done")`))
	t.ok(phone.Click("label[for=star4]"))
	t.ok(phone.Type("textarea", "kind and quick"))
	t.ok(phone.Click("form.card:has(.stars) > button"))
	t.ok(phone.Until(`document.querySelectorAll(".done").length === 2`))
	t.shot(phone, "phone-10-done")
	v := fmt.Sprint(t.fhirGet("Appointment/" + id))
	for _, want := range []string{"status:fulfilled", "valueString:paid", "valueInteger:4"} {
		if !strings.Contains(v, want) {
			t.Errorf("%s is not in %s", want, v)
		}
	}
}

// fasterPatient: of two phones that show the same time one gets it, the other is offered
// others, and takes one.
func (t *tour) fasterPatient() {
	t.Helper()
	a, b := t.phone("p-002", "en"), t.phone("p-003", "en")
	defer a.Close()
	defer b.Close()
	const path = "/phone/doctors?need=eyes"
	t.ok(a.Go(t.base + path))
	slot := ""
	t.ok(a.Eval(`document.querySelector("input[name=slot]").value`, &slot))
	t.ok(b.Go(t.base + path))
	// Whatever is recommended to the second, it had the same list open a moment ago.
	t.ok(b.Eval(fmt.Sprintf(`document.querySelector("input[name=slot]").value = %q`, slot), nil))
	t.ok(a.Click(".doctor form button"))
	t.ok(a.Until(`document.querySelector(".held")`))
	t.ok(b.Eval(`document.querySelector("input[name=slot]").form.requestSubmit()`, nil))
	t.ok(b.Until(`document.querySelector(".alert") && document.querySelectorAll(".list li").length > 0`))
	t.shot(b, "phone-11-faster")
	t.ok(b.Click(".list li button"))
	t.ok(b.Until(`document.querySelector(".held")`))
	t.ok(b.Click(".held button.quiet"))
	t.ok(b.Until(`document.querySelector(".badge.cancelled")`))
	a.Errors() // the answer 409 is in the console as an error
}

// whatIf: a bar dragged by mouse and by keyboard shows other waits and another cost and
// changes nothing; applied, later is moved and earlier is asked for.
func (t *tour) whatIf(doctor string) {
	t.Helper()
	page, err := t.browser.Open(1440, 1000, false, "en")
	t.ok(err)
	defer page.Close()
	day, half := "", ""
	for k := 0; half == "" && k < 14; k++ { // the first half-day to come with enough booked
		t.ok(page.Go(t.base + "/doctor/" + doctor))
		t.ok(page.Eval(fmt.Sprintf(`(() => { const d = new Date(new URL(document.querySelectorAll("nav a")[2].href).searchParams.get("day") + "T12:00:00Z"); d.setUTCDate(d.getUTCDate() + %d); return d.toISOString().slice(0, 10); })()`, k), &day))
		t.ok(page.Go(t.base + "/doctor/" + doctor + "?day=" + day))
		t.ok(page.Eval(`[...document.querySelectorAll(".half")].find((h) => h.querySelectorAll("[role=slider]").length >= 3)?.dataset.session ?? ""`, &half))
	}
	if half == "" {
		t.Fatalf("%s has no half-day of three appointments in two weeks", doctor)
	}
	t.shot(page, "doctor-3-day")
	half = fmt.Sprintf(".half[data-session='%s']", half)
	var ids []string
	t.ok(page.Eval(`[...document.querySelectorAll("`+half+` [role=slider]")].map((b) => b.dataset.id)`, &ids))
	second, third := fmt.Sprintf("[role=slider][data-id='%s']", ids[1]), fmt.Sprintf("[role=slider][data-id='%s']", ids[2])
	at := func(selector string) (id string, minute int) {
		t.ok(page.Eval(`document.querySelector("`+selector+`").dataset.id`, &id))
		t.ok(page.Eval(`Number(document.querySelector("`+selector+`").dataset.at)`, &minute))
		return id, minute
	}
	laterID, from := at(third)
	earlierID, from2 := at(second)
	before := t.fhirGet("Appointment/" + laterID)["start"]
	t.ok(page.DragBy(third, 60, 0))
	t.ok(page.Until(`/cost \d+ instead of \d+/.test(document.querySelector("` + half + ` .told").innerText)`))
	if _, m := at(third); m <= from {
		t.Errorf("dragged from minute %d to %d", from, m)
	}
	t.ok(page.Eval(`document.querySelector("`+second+`").focus()`, nil))
	t.ok(page.Press("ArrowLeft"))
	if _, m := at(second); m >= from2 {
		t.Errorf("the arrow moved from minute %d to %d", from2, m)
	}
	t.shot(page, "doctor-4-what-if")
	if now := t.fhirGet("Appointment/" + laterID)["start"]; now != before {
		t.Errorf("a what-if has changed the appointment from %v to %v", before, now)
	}
	earlierBefore := t.fhirGet("Appointment/" + earlierID)["start"]
	t.ok(page.Click(half + " .apply"))
	t.ok(page.Until(`/: 1\..*: 1\./.test(document.querySelector("` + half + ` .told").innerText)`))
	if now := t.fhirGet("Appointment/" + laterID)["start"]; now == before {
		t.Error("the later start was not applied")
	}
	if now := t.fhirGet("Appointment/" + earlierID)["start"]; now != earlierBefore {
		t.Error("somebody was moved earlier without consent")
	}
	t.ok(page.Click(half + " .suggest"))
	t.ok(page.Until(`document.querySelector("` + half + `.dirty")`))
	t.shot(page, "doctor-5-suggested")
	narrow, err := t.browser.Open(390, 844, true, "zh-CN")
	t.ok(err)
	t.ok(narrow.Go(t.base + "/doctor/" + doctor + "?day=" + day))
	t.shot(narrow, "doctor-6-phone-zh")
	for _, e := range append(page.Errors(), narrow.Errors()...) {
		t.Errorf("the doctor's page: %s", e)
	}
}

// otherLanguage: the pages in Chinese, by the browser's wish and by the button; free text
// without its model says what is missing; the poster has a code.
func (t *tour) otherLanguage() {
	t.Helper()
	p := t.phone("p-005", "zh-CN,zh;q=0.9")
	t.shot(p, "phone-12-zh")
	t.ok(p.Click(`button[value="heart"]`))
	t.ok(p.Until(`document.querySelector(".doctor .why")`))
	t.shot(p, "phone-13-zh-doctors")
	if why, _ := p.Text(".doctor .why"); !regexp.MustCompile(`\p{Han}`).MatchString(why) {
		t.Errorf("the reason is not Chinese: %q", why)
	}
	t.ok(p.Go(t.base + "/phone"))
	t.ok(p.Click("header form button"))
	t.ok(p.Until(`document.documentElement.lang === "en" && document.querySelector(".needs")`))
	t.ok(p.Type("input[name=text]", "my heart is racing"))
	t.ok(p.Press("Enter"))
	t.ok(p.Until(`document.querySelector(".alert")`))
	poster, err := t.browser.Open(1280, 900, false, "en")
	t.ok(err)
	t.ok(poster.Go(t.base + "/"))
	t.ok(poster.Until(`document.querySelector("svg.qr path")`))
	t.shot(poster, "poster")
}

// TestClinicNeeds: what `aimass clinic` is not told it asks for.
func TestClinicNeeds(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		if _, err := run(append([]string{"clinic"}, args...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
	f("give --clinic FILE")
	f("--store FILE", "--clinic", "x")
	f("which keeps nothing", "--clinic", "x", "--demo", "--store", "y")
	f("--speed", "--clinic", "x", "--demo", "--speed", "-1")
	f("--clinic", "--clinic", filepath.Join(t.TempDir(), "absent"), "--demo")
	bad := filepath.Join(t.TempDir(), "bad.json")
	if err := os.WriteFile(bad, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	f("--clinic", "--clinic", bad, "--demo")
}

// TestDemoMorning: the demo opens on a Monday at twenty past eight.
func TestDemoMorning(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, day := range []string{"2026-03-28", "2026-03-30", "2026-10-24", "2027-01-01"} {
		noon, err := time.ParseInLocation("2006-01-02 15:04", day+" 15:00", zone)
		if err != nil {
			t.Fatal(err)
		}
		m := demoMorning(noon, zone)
		if m.Weekday() != time.Monday || m.Hour() != 8 || m.Minute() != 20 || m.Sub(noon) > 7*24*time.Hour || noon.Sub(m) > 24*time.Hour {
			t.Errorf("%s: %s", day, m)
		}
	}
	if bytes.Contains([]byte(demoMorning(time.Now(), zone).String()), []byte("UTC")) {
		t.Error("not in the clinic's zone")
	}
}
