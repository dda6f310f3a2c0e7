package sock

import (
	"bytes"
	"errors"
)

// ErrBareLine is what Read gives with the bytes in which a request's head ends with an empty line that is a bare line
// feed. The HTTP server would wait for CR LF until the client gives up: RFC 9112, section 2.2, lets a server refuse.
var ErrBareLine = errors.New("its head ends with a line feed that has no carriage return before it")

// head follows a request's head to its end, through any number of reads.
type head struct {
	on    bool // bytes that come are of a head
	begun bool // a line that is not empty has been seen
	line  int  // the bytes of the line so far
	last  byte // of them
}

// bare reports whether the head ends within p, by an empty line of a line feed alone.
func (h *head) bare(p []byte) bool {
	for h.on && len(p) > 0 {
		n := bytes.IndexByte(p, '\n')
		if n < 0 {
			h.line, h.last = h.line+len(p), p[len(p)-1]
			return false
		}
		if n > 0 {
			h.last = p[n-1]
		}
		switch h.line += n; {
		case h.line == 0:
			h.on = false
			return true
		case h.line > 1 || h.last != '\r':
			h.begun = true
		case h.begun: // lines before the first are no part of the request
			h.on = false
		}
		h.line, p = 0, p[n+1:]
	}
	return false
}
