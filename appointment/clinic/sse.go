package clinic

import (
	"fmt"
	"net/http"
	"time"

	"github.com/aimass/aimass/appointment/clinic/book"
)

// beat is how often a quiet stream shows that it lives.
const beat = 15 * time.Second

// stream sends server-sent events: each says which step has happened to which appointment,
// and the page fetches what is so now.
func (s *Clinic) stream(w http.ResponseWriter, r *http.Request, filter func(e *book.Event) bool) {
	flush := http.NewResponseController(w)
	sub := s.book.Subscribe(filter)
	defer sub.Close()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	if _, err := fmt.Fprint(w, "retry: 2000\n\n"); err != nil || flush.Flush() != nil {
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
