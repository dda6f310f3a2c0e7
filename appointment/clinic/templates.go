package clinic

import (
	"html/template"
	"time"
	"unicode/utf8"

	"github.com/aimass/aimass/appointment/clinic/book"
)

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"percent": func(p float32) int { return int(p*100 + .5) },
	"up":      func(v float32) int { return int(max(0, v) + .999) },
	"round":   func(v float32) int { return int(v + .5) },
	"money":   money,
	"list":    func(v ...any) []any { return v },
	"dots":    func(n int) []struct{} { return make([]struct{}, min(n, 12)) },
	"initial": initial,
	"risk":    riskBand,
	// Of a half-day, for the lanes of the doctor's page.
	"sessionID": func(h *half) string { return book.SlotID(h.Doctor.ID, h.Session) },
	"begin":     func(h *half) string { return clock(h.Session) },
	"ends":      func(h *half) time.Time { return h.Session.Add(time.Duration(h.Minutes) * time.Minute) },
	"span":      span,
	"axis":      axis,
	"now": func(h *half, now time.Time) int {
		if m := h.minute(now); h.Running && m <= span(h) {
			return m
		}
		return 0
	},
	"expected": func(g guest) float32 { return max(0, g.Expected) },
	"movable":  func(g guest) bool { return g.Status == book.Booked || g.Status == book.Pending },
	"past":     func(g guest, now time.Time) bool { return !now.Before(g.Start) },
}).ParseFS(web, "web/pages/*.html"))

// initial is the first letter of a name, without the title.
func initial(name string) string {
	const title = "Dr "
	if len(name) > len(title) && name[:len(title)] == title {
		name = name[len(title):]
	}
	r, _ := utf8.DecodeRuneInString(name)
	return string(r)
}

// riskBand is the class of a probability of not coming, by the bands of appt-noshow.
func riskBand(p float32) string {
	switch {
	case p >= .3:
		return "high"
	case p >= .15:
		return "medium"
	}
	return "low"
}

// overtime is how many minutes beyond its planned end a half-day's lanes show.
const overtime = 45

func span(h *half) int { return h.Minutes + overtime }

// mark is a full hour on the time axis.
type mark struct {
	Minute int
	At     time.Time
}

// axis lists the full hours of a half-day.
func axis(h *half) (out []mark) {
	for t := h.Session.Truncate(time.Hour); ; t = t.Add(time.Hour) {
		switch m := int(t.Sub(h.Session) / time.Minute); {
		case m > span(h):
			return out
		case m >= 0:
			out = append(out, mark{m, t})
		}
	}
}
