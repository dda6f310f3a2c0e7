package clinic

import (
	"fmt"
	"html"
	"net/http"
	"strings"

	"rsc.io/qr"

	"github.com/aimass/aimass/appointment/clinic/book"
)

// quiet is the white border that a QR code needs, in modules (ISO/IEC 18004).
const quiet = 4

// qrSVG draws a text as a QR code, as markup.
func qrSVG(text, label string) (string, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	side := code.Size + 2*quiet
	fmt.Fprintf(&b, `<svg class="qr" role="img" aria-label="%s" viewBox="0 0 %d %d" shape-rendering="crispEdges"><rect width="%d" height="%d" fill="#fff"/><path fill="#000" d="`,
		html.EscapeString(label), side, side, side, side)
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			run := 0
			for code.Black(x+run, y) {
				run++
			}
			if run > 0 {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", x+quiet, y+quiet, run, run)
				x += run
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return b.String(), nil
}

// posterData is what hangs in the waiting room.
type posterData struct {
	QR      string // markup
	URL     string
	Doctors []book.Doctor
}

func (s *Clinic) poster(w http.ResponseWriter, r *http.Request) {
	url := s.c.PublicURL + "/phone"
	code, err := qrSVG(url, url)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	data := &posterData{QR: code, URL: url}
	if s.c.Demo && s.isStaff(r) {
		if data.Doctors, err = s.book.Doctors(); err != nil {
			s.refuse(w, r, err)
			return
		}
	}
	s.show(w, r, http.StatusOK, page{Title: say(languageOf(r), "poster-title"), Wide: true}, func(p *page) string { return posterPage(p, data) })
}
