package rest

import (
	"net/http"
	"sync/atomic"
	"time"
)

// dateLen is the length of a date as HTTP writes it.
const dateLen = len(http.TimeFormat)

// date is the text of the present second.
type date struct{ text atomic.Pointer[dateText] }

type dateText struct {
	second int64
	bytes  [dateLen]byte
}

// put writes the date of now.
func (d *date) put(dst []byte, now time.Time) {
	t := d.text.Load()
	if t == nil || t.second != now.Unix() {
		t = &dateText{second: now.Unix()}
		now.UTC().AppendFormat(t.bytes[:0], http.TimeFormat)
		d.text.Store(t)
	}
	copy(dst, t.bytes[:])
}
