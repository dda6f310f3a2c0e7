package noshow

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// naivePast follows the definition literally, over all rows for each row.
func naivePast(records []Record, k int, m Moment) Past {
	me := &records[k]
	t, cut := me.Booked, dayOf(me.Booked)
	if m == DayOf {
		t, cut = max(me.Booked, int64(me.Day)*daySeconds), me.Day
	}
	p := Past{Last: -1, Since: -1}
	latest := int32(math.MinInt32)
	for i := range records {
		r := &records[i]
		if r.Patient != me.Patient {
			continue
		}
		if r.Day < cut {
			p.Count++
			if r.NoShow {
				p.Missed++
			}
			latest = max(latest, r.Day)
		}
		if i != k && r.Booked <= t && r.Day >= cut {
			p.Open++
		}
	}
	if p.Count == 0 {
		return p
	}
	var sum, n float64
	for i := range records {
		if r := &records[i]; r.Patient == me.Patient && r.Day == latest {
			n++
			sum += float64(flag(r.NoShow))
		}
	}
	p.Last, p.Since = sum/n, float64(cut-latest)
	return p
}

// crowded makes few patients with many appointments, often several on one day
// and booked in the same second.
func crowded(seed uint64, n int) []Record {
	rng := rand.New(rand.NewPCG(seed, 4))
	out := make([]Record, n)
	for i := range out {
		day := int32(17000 + rng.IntN(25))
		booked := int64(day-int32(rng.IntN(12)))*daySeconds + int64(rng.IntN(4))*daySeconds/4
		out[i] = Record{Patient: float64(rng.IntN(6)) + 0.5, ID: int64(i), Day: day, Booked: booked, NoShow: rng.IntN(3) == 0}
	}
	return out
}

func TestHistoryIsWhatTheDefinitionSays(t *testing.T) {
	for seed := range uint64(40) {
		records := crowded(seed, 120)
		h := NewHistory(records)
		for _, m := range []Moment{Booking, DayOf} {
			for k := range records {
				at, cut := m.of(&records[k])
				if got, want := h.At(records[k].Patient, at, cut, 1), naivePast(records, k, m); got != want {
					t.Fatalf("seed %d, %s, row %d: %+v, want %+v", seed, m, k, got, want)
				}
			}
		}
	}
}

// TestFutureChangesNothing flips every outcome that is not known yet, and drops
// every appointment not booked yet: no feature may move.
func TestFutureChangesNothing(t *testing.T) {
	records := crowded(99, 150)
	for _, m := range []Moment{Booking, DayOf} {
		e := &Encoder{Moment: m, History: NewHistory(records)}
		for k := range records {
			me := records[k]
			at, cut := m.of(&me)
			var known []Record
			for _, r := range records {
				if r.Booked > at && r.ID != me.ID {
					continue
				}
				if r.Day >= cut {
					r.NoShow = !r.NoShow
				}
				known = append(known, r)
			}
			want, _ := e.Append(nil, nil, &me, true)
			then := &Encoder{Moment: m, History: NewHistory(known)}
			me.NoShow = !me.NoShow
			if got, _ := then.Append(nil, nil, &me, true); !slices.Equal(got, want) {
				t.Fatalf("%s, row %d: %v with what was known, %v with the future", m, k, got, want)
			}
		}
	}
}

// TestServingEncodesAsTrainingDid takes the row itself out of the history, as
// it is when a new appointment is asked about.
func TestServingEncodesAsTrainingDid(t *testing.T) {
	records := crowded(5, 100)
	all := &Encoder{History: NewHistory(records)}
	for k := range records {
		others := slices.Delete(slices.Clone(records), k, k+1)
		serve := &Encoder{History: NewHistory(others)}
		want, _ := all.Append(nil, nil, &records[k], true)
		if got, _ := serve.Append(nil, nil, &records[k], false); !slices.Equal(got, want) {
			t.Fatalf("row %d: served %v, trained %v", k, got, want)
		}
	}
}

func TestFeaturesByHand(t *testing.T) {
	// Friday 2016-04-29 18:38:08, for Monday 2016-05-02.
	r := Record{Booked: 1461955088, Day: 16923, Age: 62, Male: true, Place: "B", Hypertension: true, Handicap: 2, Reminded: true}
	past := Past{Count: 4, Missed: 3, Last: 0.5, Since: 9, Open: 1}
	want := []float32{62, 1, 3, 0, float32(18 + 38.0/60), 4, 0, 0, 1, 0, 0, 2, 4, 3, 0.5, 9, 1}
	if got := AppendFeatures(nil, &r, Booking, past); !slices.Equal(got, want) {
		t.Errorf("booking: %v, want %v", got, want)
	}
	if got := AppendFeatures(nil, &r, DayOf, past); !slices.Equal(got, append(want, 1)) {
		t.Errorf("day-of: %v, want the reminder at the end", got)
	}
	for m, n := range map[Moment]int{Booking: 17, DayOf: 18} {
		if got := len(FeatureNames(m)); got != n {
			t.Errorf("%s has %d names, want %d", m, got, n)
		}
	}
	e := &Encoder{Places: []string{"A", "B"}, History: NewHistory(nil)}
	for name, want := range map[string]int64{"A": 0, "B": 1, "C": -1, "": -1} {
		if got := e.Place(name); got != want {
			t.Errorf("place %q is %d, want %d", name, got, want)
		}
	}
}

func TestWeekdayBefore1970(t *testing.T) {
	for day, want := range map[int32]int{0: 3, 4: 0, -3: 0, -4: 6, 16920: 4} {
		if got := weekday(day); got != want {
			t.Errorf("day %d is weekday %d, want %d", day, got, want)
		}
	}
	if dayOf(-1) != -1 || dayOf(0) != 0 || dayOf(-daySeconds) != -1 {
		t.Error("days before 1970 are rounded up")
	}
}
