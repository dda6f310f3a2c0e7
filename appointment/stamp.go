package appointment

import (
	"strings"
	"time"
)

// ParseStamp reads an RFC 3339 timestamp. One without an offset or Z gets
// [CodeTimestampZone], anything else that can't be read [CodeTimestampFormat].
func ParseStamp(field, s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err == nil {
		return t, nil
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04"} {
		if _, errLocal := time.Parse(layout, strings.TrimSpace(s)); errLocal == nil {
			return time.Time{}, Errorf(CodeTimestampZone, field, "%q", s)
		}
	}
	return time.Time{}, Errorf(CodeTimestampFormat, field, "%q", s)
}

// ParseStampIn reads a timestamp like [ParseStamp] for people who live in zone. One that is
// written with an offset of that zone but for a wall-clock time that the zone skips gets
// [CodeTimestampGap]: whoever wrote it took a time from the wall that is not there. With Z or
// the offset of elsewhere it is an instant like any other.
func ParseStampIn(field, s string, zone *time.Location) (time.Time, error) {
	t, err := ParseStamp(field, s)
	if err != nil || strings.HasSuffix(s, "Z") {
		return t, err
	}
	y, m, d := t.Date()
	wall := time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), zone)
	if wall.Day() == d && wall.Hour() == t.Hour() && wall.Minute() == t.Minute() {
		return t, nil
	}
	_, written := t.Zone()
	_, before := wall.Add(-3 * time.Hour).Zone()
	_, after := wall.Add(3 * time.Hour).Zone()
	if written == before || written == after {
		return time.Time{}, Errorf(CodeTimestampGap, field, "%q in %s", s, zone)
	}
	return t, nil
}

// LocalTime returns the instant of a wall-clock time in a zone. A time that the
// zone skips (clocks go forward) gets [CodeTimestampGap]. Of a time that occurs
// twice (clocks go back) it returns the first.
func LocalTime(field string, day time.Time, hour, minute int, zone *time.Location) (time.Time, error) {
	y, m, d := day.Date()
	t := time.Date(y, m, d, hour, minute, 0, 0, zone)
	ty, tm, td := t.Date()
	if ty != y || tm != m || td != d || t.Hour() != hour || t.Minute() != minute {
		return time.Time{}, Errorf(CodeTimestampGap, field, "%04d-%02d-%02d %02d:%02d in %s", y, m, d, hour, minute, zone)
	}
	for _, back := range []time.Duration{time.Hour, 30 * time.Minute} {
		if e := t.Add(-back); e.Hour() == hour && e.Minute() == minute && e.Day() == d {
			return e, nil
		}
	}
	return t, nil
}

// SessionMinute returns the minutes from the session's start to t, as elapsed
// time: a session across a change of clocks counts real minutes.
func SessionMinute(start, t time.Time) int {
	return int(t.Sub(start) / time.Minute)
}
