package clinic

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aimass/aimass/appointment/clinic/book"
)

// beat is how often a quiet stream shows that it lives.
const beat = 15 * time.Second

// live is the address of a page's events. The page names the steps that it has seen, read
// before it is drawn: those between its drawing and its listening are not lost.
func live(path string, seen uint64) string {
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	return path + sep + "since=" + strconv.FormatUint(seen, 10)
}

// stream sends server-sent events: each says which step has happened to which appointment,
// and the page fetches what is so now.
func (s *Clinic) stream(w http.ResponseWriter, r *http.Request, filter func(e *book.Event) bool) {
	flush := http.NewResponseController(w)
	sub := s.book.Subscribe(filter)
	defer sub.Close()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	hello := "retry: 2000\n\n"
	if since := r.FormValue("since"); since != "" && since != strconv.FormatUint(s.book.Steps(), 10) {
		hello += "event: step\ndata: {\"step\":\"missed\"}\n\n"
	}
	if _, err := fmt.Fprint(w, hello); err != nil || flush.Flush() != nil {
		return
	}
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-r.Context().Done():
			return
		case e, ok := <-sub.C:
			if !ok {
				return
			}
			_, err = fmt.Fprintf(w, "event: step\ndata: {\"step\":%q,\"status\":%q,\"appointment\":%q}\n\n", e.Step, e.Appointment.Status, e.Appointment.ID)
		case <-tick.C:
			_, err = fmt.Fprint(w, ": still here\n\n")
		}
		if err != nil || flush.Flush() != nil {
			return
		}
	}
}
