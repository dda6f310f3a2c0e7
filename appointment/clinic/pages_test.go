package clinic

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/aimass/aimass/appointment/clinic/book"
	"github.com/aimass/aimass/appointment/recommend"
)

// written puts a text into every empty string that a page could show.
func written(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			written(v.Elem(), text)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				written(v.Field(i), text)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			written(v.Index(i), text)
		}
	case reflect.String:
		if v.CanSet() && v.Len() == 0 {
			v.SetString(text)
		}
	}
}

// drawn is each page in each of its states, with one text wherever a text comes from
// outside.
func drawn(lang, text string) map[string]string {
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	out := map[string]string{}
	draw := func(name string, data any, f func(p *page) string) {
		if data != nil {
			written(reflect.ValueOf(data), text)
		}
		for _, me := range []*book.Patient{nil, {}} {
			for _, wide := range []bool{false, true} {
				p := &page{Lang: lang, Other: chinese, Title: text, Path: "/" + text, Live: "/" + text, Demo: wide, Now: at, Wide: wide, Me: me, Error: text}
				if me != nil {
					me.Name, me.ID = text, text
				}
				out[fmt.Sprintf("%s, known %v, wide %v", name, me != nil, wide)] = f(p)
			}
		}
	}
	doctors := []book.Doctor{{Specialities: []string{"", "heart"}}, {}}
	poster := &posterData{Doctors: doctors, QR: "<svg></svg>"}
	draw("poster", poster, func(p *page) string { return posterPage(p, poster) })
	problem := &struct{ Free []offer }{make([]offer, 2)}
	draw("problem", problem, func(p *page) string { return problemPage(p, problem.Free, toHold) })
	draw("problem without times", nil, func(p *page) string { return problemPage(p, nil, "") })
	choices := &doctorsData{Choices: make([]choice, 3)}
	draw("doctors", choices, func(p *page) string { return doctorsPage(p, choices) })
	taken := &doctorsData{Choices: make([]choice, 2)}
	draw("doctors, one taken", taken, func(p *page) string { taken.Choices[1].Own = ""; return doctorsPage(p, taken) })
	phone := &phoneData{Specialities: make([]recommend.Speciality, 2), Visits: make([]book.Appointment, 2), Patients: make([]book.Patient, 2),
		Doctors: map[string]string{text: text}}
	draw("phone", phone, func(p *page) string { return phonePage(p, phone) })
	for _, status := range []book.Status{book.Proposed, book.Pending, book.Booked, book.Arrived, book.Fulfilled, book.Cancelled, book.NoShow} {
		for i, pay := range []string{"none", book.PaymentDue, book.PaymentPending, book.PaymentFailed} {
			v := &visitData{Appointment: book.Appointment{Status: status, Rating: i, Payment: book.Payment{State: pay, Cents: 4050}, WaitP90: float32(i - 1),
				EarlierOK: i == 1}, Today: i > 0, Queue: place{Ahead: i, With: i == 3, Known: i > 1}, Free: make([]offer, 3)}
			v.Free[2].Start = at
			if i == 2 {
				v.Offer = at
			}
			draw(fmt.Sprintf("visit %s, payment %s", status, pay), v, func(p *page) string { return visitPage(p, v) })
			draw(fmt.Sprintf("times %s, payment %s", status, pay), v, func(p *page) string { return timesPage(p, v) })
			draw(fmt.Sprintf("bank %s, payment %s", status, pay), v, func(p *page) string { return bankPage(p, &v.Appointment) })
			g := guest{Appointment: v.Appointment, Minute: 20 * i, Mean: 15, Risk: float32(i) * .3, Expected: float32(i)*2.5 - 1, Place: i}
			h := &half{Session: at, Minutes: 180, Interval: 15, Guests: []guest{g, g}, Running: i > 0, Predicted: i > 1, Cost: float32(i) * 10}
			d := &doctorData{Day: at, Today: i > 1, Inbox: []request{{Appointment: v.Appointment}, {}}, Halves: []*half{h, {Session: at}}, Unreachable: i == 0}
			draw(fmt.Sprintf("doctor, guests %s, payment %s", status, pay), d, func(p *page) string { return doctorPage(p, d) })
		}
	}
	return out
}

// skeleton is what a browser makes of a page: its tags and the names of their attributes.
// Targets of links and forms must stay on the site.
func skeleton(t *testing.T, name, text string) string {
	t.Helper()
	var b strings.Builder
	z := html.NewTokenizer(strings.NewReader(text))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return b.String()
		case html.StartTagToken, html.EndTagToken, html.SelfClosingTagToken:
			tag := z.Token()
			b.WriteString("\n" + tag.Data)
			for _, a := range tag.Attr {
				b.WriteString(" " + a.Key)
				switch a.Key {
				case "href", "action", "formaction", "src":
					if !strings.HasPrefix(a.Val, "/") && !strings.HasPrefix(a.Val, "#") || strings.HasPrefix(a.Val, "//") || strings.ContainsAny(a.Val, `"'<> `) {
						t.Errorf("%s: a %s leads to %q", name, a.Key, a.Val)
					}
				}
			}
		}
	}
}

// TestHostileTexts: whatever a name or a note holds, no page gets another tag or another
// attribute from it, and the text is shown as it was written.
func TestHostileTexts(t *testing.T) {
	const harmless, hostile = "Ada", `"><script>alert('1')</script>&amp;<b onclick=x`
	for _, lang := range []string{english, chinese} {
		plain := drawn(lang, harmless)
		for name, text := range drawn(lang, hostile) {
			if strings.Contains(text, "<script>") || strings.Contains(text, "alert('1')") {
				t.Errorf("%s: the text went in as it is", name)
			}
			if !strings.Contains(html.UnescapeString(text), hostile) {
				t.Errorf("%s: the text is not shown", name)
			}
			if a, b := skeleton(t, name, plain[name]), skeleton(t, name, text); a != b {
				t.Errorf("%s: the text made tags or attributes: %s\n\ninstead of%s", name, b, a)
			}
		}
	}
}
