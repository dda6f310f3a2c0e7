package noshow

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/aimass/aimass/train"
)

// referenceFile finds the real data, which are never part of the repository.
func referenceFile(t *testing.T) string {
	t.Helper()
	const file = "appointments/data/noshow-may-2016.csv.zip"
	shared := os.Getenv("AIMASS_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "shared")
	}
	path := filepath.Join(shared, file)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("NOT RUN: the real appointments are not at hand (%s in AIMASS_SHARED)", file)
	}
	return path
}

// TestReferenceFile trains on the real file as the command does: Train fails
// where a gate of the acceptance is missed.
func TestReferenceFile(t *testing.T) {
	path := referenceFile(t)
	for _, moment := range []Moment{Booking, DayOf} {
		j := train.Job{Trainer: TrainerName, Data: path, SHA256: ReferenceSHA256, Out: t.TempDir(), Seed: 1, Now: testNow,
			Parameters: map[string]string{"moment": moment.String()}}
		res, err := Train(context.Background(), j)
		for _, m := range res.Metrics {
			t.Logf("%s %s %.4f [%.4f, %.4f] %s", moment, m.Name, m.Value, m.Low, m.High, m.Gate)
		}
		if err != nil {
			t.Errorf("%s: %v", moment, err)
		}
	}
	table, err := Open(path, testNow)
	if err != nil {
		t.Fatal(err)
	}
	s, err := SplitByDays(table.Records)
	if err != nil {
		t.Fatal(err)
	}
	fit, valid, test, err := s.Part(table.Records)
	if err != nil || len(fit) != 67360 || len(valid) != 16711 || len(test) != 26450 || len(table.Places) != 81 {
		t.Errorf("%d, %d and %d rows, %d places (%v); want 67360, 16711, 26450 and 81", len(fit), len(valid), len(test), len(table.Places), err)
	}
}

// TestHistoryOfTheReferenceFile holds the fast history against the definition,
// on the patients with the most appointments and every 500th row.
func TestHistoryOfTheReferenceFile(t *testing.T) {
	table, err := Open(referenceFile(t), testNow)
	if err != nil {
		t.Fatal(err)
	}
	byPatient := make(map[float64][]Record)
	for _, r := range table.Records {
		byPatient[r.Patient] = append(byPatient[r.Patient], r)
	}
	h := NewHistory(table.Records)
	for i, r := range table.Records {
		own := byPatient[r.Patient]
		if len(own) < 20 && i%500 != 0 {
			continue
		}
		k := 0
		for own[k].ID != r.ID {
			k++
		}
		for _, m := range []Moment{Booking, DayOf} {
			at, cut := m.of(&r)
			if got, want := h.At(r.Patient, at, cut, 1), naivePast(own, k, m); got != want {
				t.Fatalf("%s, row %d: %+v, want %+v", m, i, got, want)
			}
		}
	}
}
