package clinic

import (
	"net/url"
	"time"
	"unicode/utf8"

	"github.com/aimass/aimass/appointment/clinic/book"
)

// The pages are compiled: text/template and html/template would keep the linker from
// dropping methods that nothing calls.
//go:generate go tool qtc -dir=. -skipLineComments

// visitPath and doctorPath are where the pages of an appointment and of a doctor's day lie.
func visitPath(id string) string  { return "/phone/visit/" + url.PathEscape(id) }
func doctorPath(id string) string { return "/doctor/" + url.PathEscape(id) }

// percent, and minutes rounded up.
func percent(p float32) int { return int(p*100 + .5) }
func up(v float32) int      { return int(max(0, v) + .999) }

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

// nowMark is where the present lies on a running half-day's lanes, 0 if not on them.
func (h *half) nowMark(now time.Time) int {
	if m := h.minute(now); h.Running && m <= span(h) {
		return m
	}
	return 0
}

// movable reports whether a guest's bar may be dragged.
func (g *guest) movable() bool { return g.Status == book.Booked || g.Status == book.Pending }

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
