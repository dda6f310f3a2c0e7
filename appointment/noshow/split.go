package noshow

import (
	"cmp"
	"math"
	"slices"

	"github.com/aimass/aimass/api"
)

// Split parts a table by appointment day: training before ValidFrom, then
// validation, then test from TestFrom on.
type Split struct{ ValidFrom, TestFrom int32 }

// Shares of the distinct appointment days that go to training, and to training
// and validation together.
const (
	trainShare = 0.63
	validShare = 0.78
)

// SplitByDays gives the split that puts the first 63 % of the distinct
// appointment days in training and the last 22 % in the test.
func SplitByDays(records []Record) (Split, error) {
	var days []int32
	for i := range records {
		if n := len(days); n == 0 || days[n-1] != records[i].Day {
			days = append(days, records[i].Day)
		}
	}
	slices.Sort(days)
	days = slices.Compact(days)
	a := int(math.Round(trainShare * float64(len(days))))
	b := int(math.Round(validShare * float64(len(days))))
	if a < 1 || b <= a || b >= len(days) {
		return Split{}, api.Errorf(api.CodeTrainingTooFewRows, "the file has %d appointment days: too few to part into training, validation and test", len(days))
	}
	return Split{days[a], days[b]}, nil
}

// Part cuts records, which must be sorted by Day, into the three sets, which
// share their memory. It fails where a set is empty or has one outcome alone.
func (s Split) Part(records []Record) (fit, valid, test []Record, err error) {
	byDay := func(r Record, day int32) int { return cmp.Compare(r.Day, day) }
	a, _ := slices.BinarySearchFunc(records, s.ValidFrom, byDay)
	b, _ := slices.BinarySearchFunc(records, s.TestFrom, byDay)
	if s.ValidFrom >= s.TestFrom {
		return nil, nil, nil, api.Errorf(api.CodeTrainingParameterInvalid, "validation begins on %s, which is not before the test's %s", Date(s.ValidFrom),
			Date(s.TestFrom))
	}
	fit, valid, test = records[:a], records[a:b], records[b:]
	for _, p := range []struct {
		name string
		rows []Record
	}{{"training", fit}, {"validation", valid}, {"test", test}} {
		missed := 0
		for i := range p.rows {
			if p.rows[i].NoShow {
				missed++
			}
		}
		if missed == 0 || missed == len(p.rows) {
			return nil, nil, nil, api.Errorf(api.CodeTrainingOneClass, "the %s days (split at %s and %s) have one outcome alone: %d no-shows in %d rows",
				p.name, Date(s.ValidFrom), Date(s.TestFrom), missed, len(p.rows))
		}
	}
	return fit, valid, test, nil
}
