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

// tour is a clinic with its models, open in real browsers. Its demo's people go on booking
// and its clock goes on while the tour is on its way, so what they may do in the meantime
// is answered as a visitor would.
type tour struct {
	*testing.T
	base    string
	browser *chromium.Browser
	pages   map[string]*chromium.Page // that are open, by whose they are
}

// startClinic runs the demo with its models until the test ends and gives its address.
func startClinic(t *testing.T, models string) string {
	t.Helper()
	if err := writeDemo(context.Background(), models, io.Discard); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	said, done := &lockedBuffer{}, make(chan error, 1)
	f := clinicFlags{server: "http://127.0.0.1:" + freePort(t), models: models, http: "127.0.0.1:0", demo: true, speed: 4, patience: time.Minute}
	go func() { done <- runClinic(ctx, f, said) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the clinic ended with %v", err)
		}
	})
	at := regexp.MustCompile(`patient's phone\s+(\S+)/phone`)
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
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
	t.Fatalf("the clinic is not open in three minutes; it says: %s", said)
	return ""
}

func (t *tour) ok(err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open opens a page, which says where it stands if the test fails before it is left.
func (t *tour) open(whose string, width, height int, mobile bool, language, path string) *chromium.Page {
	t.Helper()
	p, err := t.browser.Open(width, height, mobile, language)
	t.ok(err)
	t.pages[whose] = p
	t.ok(p.Go(t.base + path))
	return p
}

// leave closes a page that must not have complained.
func (t *tour) leave(whose string) {
	t.Helper()
	p := t.pages[whose]
	for _, e := range p.Errors() {
		t.Errorf("the page of %s: %s", whose, e)
	}
	p.Close()
	delete(t.pages, whose)
}

// phone opens the phone page as one of the demo's patients.
func (t *tour) phone(patient, language string) *chromium.Page {
	t.Helper()
	p := t.open(patient, 390, 844, true, language, "/phone")
	t.shot(p, "phone-0-who-"+language[:2])
	t.ok(p.Click(`button[value="` + patient + `"]`))
	t.ok(p.Until(`document.querySelector(".needs")`))
	return p
}

// takes presses a button that takes a time, and while somebody was faster that of one of
// the times that are offered instead; where there are none, again begins anew.
func (t *tour) takes(p *chromium.Page, button, taken string, again func()) {
	t.Helper()
	press := button
	for range 20 {
		t.ok(p.Click(press))
		t.ok(p.Until(fmt.Sprintf(`document.querySelector(%q) || document.querySelector(".alert")`, taken)))
		alert, err := p.Text(".alert")
		t.ok(err)
		if alert == "" {
			return
		}
		t.Logf("not taken: %s", alert)
		p.Errors() // the browser's console has the refusal as an error
		others := false
		t.ok(p.Eval(`document.querySelector(".list li button") !== null`, &others))
		if press = ".list li button"; !others {
			again()
			press = button
		}
	}
	t.Fatalf("twenty times somebody was faster; %s", p.Says())
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
	t.Cleanup(func() { _ = browser.Close() })
	g := &tour{t, startClinic(t, t.TempDir()), browser, map[string]*chromium.Page{}}
	t.Cleanup(func() {
		for whose, p := range g.pages {
			if t.Failed() {
				t.Logf("the page of %s: %s; complaints: %q", whose, p.Says(), p.Errors())
			}
		}
	})
	phone := g.phone("p-006", "en")
	id, doctor := g.bookAndApprove(phone)
	g.sameDay(phone, id, doctor)
	g.leave("p-006")
	g.fasterPatient()
	g.whatIf("dr-04")
	g.otherLanguage()
}

// bookAndApprove: need, recommended list, hold, book; the doctor is told at once and
// approves; the phone is told at once.
func (t *tour) bookAndApprove(phone *chromium.Page) (id, doctor string) {
	t.shot(phone, "phone-1-home")
	t.ok(phone.Click(`button[value="skin"]`))
	t.ok(phone.Until(`document.querySelectorAll(".doctor").length >= 2`))
	doctors := ""
	t.ok(phone.Eval("location.href", &doctors))
	t.shot(phone, "phone-2-doctors")
	if why, err := phone.Text(".doctor .why"); err != nil || why == "" {
		t.Errorf("no reason: %q, %v", why, err)
	}
	t.takes(phone, ".doctor form button", ".held", func() { t.ok(phone.Go(doctors)) })
	t.shot(phone, "phone-3-held")
	t.ok(phone.Eval(`location.pathname.split("/").pop()`, &id))
	v := t.fhirGet("Appointment/" + id)
	for _, p := range v["participant"].([]any) {
		if ref := p.(map[string]any)["actor"].(map[string]any)["reference"].(string); strings.HasPrefix(ref, "Practitioner/") {
			doctor = strings.TrimPrefix(ref, "Practitioner/")
		}
	}
	page := t.open(doctor, 1280, 900, false, "en", "/doctor/"+doctor)
	t.ok(page.Until(`document.querySelector("#request-` + id + `") === null`))
	t.ok(phone.Click(".held button.main"))
	t.ok(phone.Until(`document.querySelector(".badge.pending")`))
	t.ok(page.Until(`document.querySelector("#request-` + id + `")`)) // without a reload
	t.shot(page, "doctor-1-inbox")
	t.ok(page.Click("#request-" + id + " button.main"))
	t.ok(phone.Until(`document.querySelector(".badge.booked")`)) // without a reload
	t.shot(phone, "phone-4-booked")
	t.leave(doctor)
	return id, doctor
}

// sameDay: another time today, the queue, the visit, payment and rating.
func (t *tour) sameDay(phone *chromium.Page, id, doctor string) {
	today := ""
	t.ok(phone.Eval(`document.querySelector(".clock").innerText`, &today))
	page := t.open(doctor, 1280, 900, false, "en", "/doctor/"+doctor)
	defer t.leave(doctor)
	t.ok(phone.Click(`.actions a.button`))
	t.ok(phone.Until(`document.querySelector(".times button")`))
	t.shot(phone, "phone-5-times")
	t.takes(phone, ".times button", ".badge.pending", func() { t.ok(phone.Go(t.base + "/phone/visit/" + id + "/times")) })
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
	other := false
	t.ok(page.Eval(`document.querySelector('[formaction$="fulfil"]') !== null`, &other))
	if other {
		t.ok(page.Click(`[formaction$="fulfil"]`))
	}
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
	a, b := t.phone("p-002", "en"), t.phone("p-003", "en")
	const path = "/phone/doctors?need=eyes"
	look := func(p *chromium.Page) {
		t.ok(p.Go(t.base + path))
		t.ok(p.Until(`document.querySelector("input[name=slot]")`))
	}
	look(a)
	look(b)
	t.takes(a, ".doctor form button", ".held", func() { look(a) })
	id := ""
	t.ok(a.Eval(`location.pathname.split("/").pop()`, &id))
	slot := t.fhirGet("Appointment/" + id)["slot"].([]any)[0].(map[string]any)["reference"].(string)
	// Whatever is recommended to the second, it had the same list open a moment ago.
	t.ok(b.Eval(fmt.Sprintf(`document.querySelector("input[name=slot]").value = %q`, strings.TrimPrefix(slot, "Slot/")), nil))
	t.ok(b.Eval(`document.querySelector("input[name=slot]").form.requestSubmit()`, nil))
	t.ok(b.Until(`document.querySelector(".alert") && document.querySelectorAll(".list li").length > 0`))
	t.shot(b, "phone-11-faster")
	b.Errors() // the browser's console has the answer 409 as an error
	t.takes(b, ".list li button", ".held", func() { look(b) })
	t.ok(b.Click(".held button.quiet"))
	t.ok(b.Until(`document.querySelector(".badge.cancelled")`))
	t.leave("p-002")
	t.leave("p-003")
}

// whatIf: a bar dragged by mouse and by keyboard shows other waits and another cost and
// changes nothing; applied, later is moved and earlier is asked for.
func (t *tour) whatIf(doctor string) {
	page := t.open(doctor, 1440, 1000, false, "en", "/doctor/"+doctor)
	day, half := "", ""
	// The first half-day with enough booked, from tomorrow: today they come, and bars are
	// gone. The third link is the day after today's.
	for k := 0; half == "" && k < 14; k++ {
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
	t.ok(page.Eval("refresh()", nil)) // as on an event; the answer has still to be drawn where it was asked for
	t.ok(page.Until(`document.querySelector("` + half + `.dirty")`))
	t.shot(page, "doctor-5-suggested")
	t.leave(doctor)
	narrow := t.open(doctor, 390, 844, true, "zh-CN", "/doctor/"+doctor+"?day="+day)
	t.shot(narrow, "doctor-6-phone-zh")
	t.leave(doctor)
}

// otherLanguage: the pages in Chinese, by the browser's wish and by the button; free text
// without its model says what is missing; the poster has a code.
func (t *tour) otherLanguage() {
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
	const words = "my heart is racing"
	t.ok(p.Type("input[name=text]", words))
	t.ok(p.Eval("document.activeElement.blur(), refresh()", nil)) // as on an event; what is not sent yet stays
	kept := ""
	t.ok(p.Eval(`document.querySelector("input[name=text]").value`, &kept))
	if kept != words {
		t.Errorf("of %q a refresh leaves %q", words, kept)
	}
	t.ok(p.Eval(`document.querySelector("input[name=text]").focus()`, nil))
	t.ok(p.Press("Enter"))
	t.ok(p.Until(`document.querySelector(".alert")`))
	poster := t.open("the poster", 1280, 900, false, "en", "/")
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
