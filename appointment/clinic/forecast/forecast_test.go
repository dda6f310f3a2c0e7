package forecast

import (
	"slices"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/noshow"
	"github.com/aimass/aimass/appointment/recommend"
)

// TestRowIsThePast: days are the clinic's, and outcomes of the day of asking and later do
// not count; on the day itself the reminder and the visits since the booking do.
func TestRowIsThePast(t *testing.T) {
	zone, err := time.LoadLocation("America/Sao_Paulo")
	if err != nil {
		t.Fatal(err)
	}
	p := &recommend.Patient{Age: 70, Male: true, Diabetes: true, Open: []recommend.Open{{}, {}}, Visits: []recommend.Visit{
		{Day: "2026-01-10", Missed: true}, {Day: "2026-01-12"}, {Day: "2026-01-12", Missed: true}, {Day: "2026-03-02", Missed: true},
	}}
	// Half past ten in the evening is the next day in UTC.
	v := Visit{Patient: p, Booked: time.Date(2026, 3, 1, 22, 30, 0, 0, zone), Start: time.Date(2026, 3, 5, 9, 0, 0, 0, zone), Reminded: true}
	row := appendRow(nil, noshow.Booking, v)
	want := []float32{70, 1, 4, 0, 22.5, 6, 3, 0, 0, 1, 0, 0, 3, 2, .5, 48, 2}
	if !slices.Equal(row, want) {
		t.Errorf("%v, want %v", row, want)
	}
	if err := appointment.CheckNoShowRow(0, row); err != nil {
		t.Error(err)
	}
	row = appendRow(nil, noshow.DayOf, v)
	if len(row) != 18 || !slices.Equal(row[12:], []float32{4, 3, 1, 3, 2, 1}) {
		t.Errorf("on the day: %v", row)
	}
}
