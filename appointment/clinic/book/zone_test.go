package book

import (
	"path/filepath"
	"testing"
	"time"
)

// TestDaylightSaving: slots of the days on which the clocks change, in zones that do it at
// different hours and by different steps.
func TestDaylightSaving(t *testing.T) {
	f := func(name, day string, h Hours, want ...string) {
		t.Helper()
		z := zone(t, name)
		noon, err := time.ParseInLocation("2006-01-02 15:04", day+" 12:00", z)
		if err != nil {
			t.Fatal(err)
		}
		h.Weekday = weekday(noon)
		hand := &hands{wall: noon.AddDate(0, 0, -1)}
		b, err := Open(Config{Path: filepath.Join(t.TempDir(), "c.db"), Zone: z, Clock: newClock(hand.read), NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if err := b.AddDoctor(Doctor{ID: "d", Specialities: []string{"x"}, Hours: []Hours{h}}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Extend(3); err != nil {
			t.Fatal(err)
		}
		if n, err := b.Extend(3); n != 0 || err != nil {
			t.Errorf("%s: %d slots were made twice, %v", name, n, err)
		}
		from, to := DayBounds(noon, z)
		slots, err := b.Slots("d", from, to)
		if err != nil || len(slots) != len(want) {
			t.Fatalf("%s %s: %d slots, want %d, %v", name, day, len(slots), len(want), err)
		}
		for i, s := range slots {
			if got := s.Start.In(z).Format(time.RFC3339); got != want[i] {
				t.Errorf("%s: slot %d at %s, want %s", name, i, got, want[i])
			}
		}
	}
	// The clocks go forward at 2: the session goes on in real minutes.
	f("Europe/Berlin", "2026-03-29", Hours{0, "01:00", 30, 4}, "2026-03-29T01:00:00+01:00", "2026-03-29T01:30:00+01:00", "2026-03-29T03:00:00+02:00",
		"2026-03-29T03:30:00+02:00")
	f("Europe/Berlin", "2026-03-29", Hours{0, "02:30", 30, 4}) // an hour that the day does not have
	f("Europe/Berlin", "2026-03-29", Hours{0, "09:00", 30, 1}, "2026-03-29T09:00:00+02:00")
	// They go back at 3: of an hour that comes twice, the first.
	f("Europe/Berlin", "2026-10-25", Hours{0, "02:30", 30, 3}, "2026-10-25T02:30:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T02:30:00+01:00")
	f("America/New_York", "2026-03-08", Hours{0, "08:00", 60, 2}, "2026-03-08T08:00:00-04:00", "2026-03-08T09:00:00-04:00")
	// Midnight itself is skipped.
	f("America/Sao_Paulo", "2018-11-04", Hours{0, "01:00", 60, 2}, "2018-11-04T01:00:00-02:00", "2018-11-04T02:00:00-02:00")
	f("America/Sao_Paulo", "2018-11-04", Hours{0, "00:30", 60, 2})
	// The clocks go back at midnight, so that 23 o'clock of the day before comes twice.
	f("America/Sao_Paulo", "2019-02-17", Hours{0, "00:00", 60, 1}, "2019-02-17T00:00:00-03:00")
	f("America/Sao_Paulo", "2019-02-16", Hours{0, "23:00", 60, 1}, "2019-02-16T23:00:00-02:00")
	// Half an hour.
	f("Australia/Lord_Howe", "2026-10-04", Hours{0, "01:40", 20, 2}, "2026-10-04T01:40:00+10:30", "2026-10-04T02:30:00+11:00")
	f("Asia/Kathmandu", "2026-06-01", Hours{0, "09:00", 45, 1}, "2026-06-01T09:00:00+05:45")
}

func TestDayBounds(t *testing.T) {
	f := func(name, noon, from, to string, hours float64) {
		t.Helper()
		z := zone(t, name)
		a, b := DayBounds(at(t, noon), z)
		if a.In(z).Format(time.RFC3339) != from || b.In(z).Format(time.RFC3339) != to || b.Sub(a).Hours() != hours {
			t.Errorf("%s: %s to %s, %v hours", name, a.In(z).Format(time.RFC3339), b.In(z).Format(time.RFC3339), b.Sub(a).Hours())
		}
	}
	f("Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00", 23)
	f("Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00", 25)
	f("America/Sao_Paulo", "2018-11-04T15:00:00Z", "2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00", 23)
	f("America/Sao_Paulo", "2018-11-03T15:00:00Z", "2018-11-03T00:00:00-03:00", "2018-11-04T01:00:00-02:00", 24)
	f("America/Sao_Paulo", "2019-02-16T15:00:00Z", "2019-02-16T00:00:00-02:00", "2019-02-17T00:00:00-03:00", 25)
	f("Asia/Shanghai", "2026-03-02T20:00:00Z", "2026-03-03T00:00:00+08:00", "2026-03-04T00:00:00+08:00", 24)
}
