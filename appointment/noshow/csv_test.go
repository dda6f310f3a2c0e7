package noshow

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
)

var testNow = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// smallFile is the CSV of a small simulated clinic.
func smallFile(t testing.TB) string {
	t.Helper()
	c := DefaultClinic(1)
	c.Patients = 400
	var b bytes.Buffer
	if err := WriteCSV(&b, Simulate(c)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func code(err error) api.Code { return api.CodeOf(err) }

// field replaces a column's value in one line of a CSV, lines from 1.
func field(csv string, line int, column, value string) string {
	lines := strings.Split(csv, "\n")
	cells := strings.Split(lines[line-1], ",")
	cells[slices.Index(columns[:], column)] = value
	lines[line-1] = strings.Join(cells, ",")
	return strings.Join(lines, "\n")
}

// each replaces a column's value in all lines.
func each(csv, column, value string) string {
	for i := range strings.Count(csv, "\n") - 1 {
		csv = field(csv, i+2, column, value)
	}
	return csv
}

func TestBadFiles(t *testing.T) {
	good := smallFile(t)
	if _, err := ReadCSV(strings.NewReader(good), testNow); err != nil {
		t.Fatal(err)
	}
	f := func(wantCode api.Code, wantText, csv string) {
		t.Helper()
		_, err := ReadCSV(strings.NewReader(csv), testNow)
		if err == nil || code(err) != wantCode || !strings.Contains(err.Error(), wantText) {
			t.Errorf("error %q %v, want %q with %q", code(err), err, wantCode, wantText)
		}
	}
	f(api.CodeTrainingDataUnreadable, "empty", "")
	f(api.CodeTrainingColumnMissing, `"Age", "No-show"`, strings.NewReplacer("Age", "Years", "No-show", "Came").Replace(good))
	f(api.CodeTrainingRowDuplicate, `"Age" twice`, strings.Replace(good, "Diabetes", "Age", 1))
	f(api.CodeTrainingTooFewRows, "0 usable rows", strings.SplitAfter(good, "\n")[0])
	f(api.CodeTrainingDataUnreadable, "wrong number of fields", good+"1,2\n")
	f(api.CodeTrainingDataUnreadable, "quote", good+"\"1,2\n")
	wrong := map[string][]string{
		"PatientId": {"x", "", "NaN", "Inf"}, "AppointmentID": {"1.5", ""}, "Gender": {"f", "", "X"},
		"ScheduledDay":   {"2024-03-04", "2024-03-04T08:00:00", "2024-02-30T08:00:00Z", "0001-01-01T00:00:00Z", "9999-01-01T00:00:00Z", ""},
		"AppointmentDay": {"4.3.2024", "2024-03-04T00:00:00"}, "Age": {"", "old", "40.5", "99999999999"},
		"Neighbourhood": {"", "  "}, "Scholarship": {"2", "-1", "yes"}, "Hipertension": {""}, "Diabetes": {"3"}, "Alcoholism": {"o"},
		"Handcap": {"5", "-1", "x"}, "SMS_received": {"2"}, "No-show": {"yes", "1", "", "Maybe"},
	}
	for column, values := range wrong {
		for _, v := range values {
			f(api.CodeTrainingValueInvalid, fmt.Sprintf("line 3: %s is", column), field(good, 3, column, v))
		}
	}
	f(api.CodeTrainingFutureOutcome, "line 5", field(good, 5, "AppointmentDay", "2026-01-02T00:00:00Z"))
	f(api.CodeTrainingOneClass, "0 no-shows", each(good, "No-show", "No"))
	f(api.CodeTrainingOneClass, "one outcome", each(good, "No-show", "Yes"))
	f(api.CodeTrainingRowDuplicate, "AppointmentID 7", field(field(good, 2, "AppointmentID", "7"), 9, "AppointmentID", "7"))
	f(api.CodeTrainingValueInvalid, "can't be used", each(good, "Age", "-1"))
	f(api.CodeTrainingValueInvalid, "AppointmentDay before ScheduledDay", each(good, "AppointmentDay", "2020-01-01T00:00:00Z"))
}

func TestCleaningAndOrder(t *testing.T) {
	good := smallFile(t)
	csv := field(good, 2, "Age", "-1")
	csv = field(csv, 3, "Age", "121")
	csv = field(csv, 4, "AppointmentDay", "2019-01-01T00:00:00Z")
	csv = field(csv, 5, "Neighbourhood", "ÁGUA, \"NOVA\"")
	csv = strings.Replace(csv, "ÁGUA, \"NOVA\"", "\"ÁGUA, \"\"NOVA\"\"\"", 1)
	csv = "\ufeff" + strings.ReplaceAll(csv, "\n", "\r\n")
	got, err := ReadCSV(strings.NewReader(csv), testNow)
	if err != nil {
		t.Fatal(err)
	}
	if got.BadAge != 2 || got.BadLead != 1 || got.Read != len(got.Records)+3 || got.Bytes != int64(len(csv)) {
		t.Errorf("%d read, %d kept, %d bad ages, %d bad leads, %d bytes of %d", got.Read, len(got.Records), got.BadAge, got.BadLead, got.Bytes, len(csv))
	}
	if !slices.IsSorted(got.Places) || !slices.Contains(got.Places, `ÁGUA, "NOVA"`) {
		t.Errorf("places %q", got.Places)
	}
	for i := 1; i < len(got.Records); i++ {
		if a, b := &got.Records[i-1], &got.Records[i]; a.Day > b.Day || a.Day == b.Day && a.Booked > b.Booked {
			t.Fatalf("rows %d and %d are out of order", i-1, i)
		}
	}
}

func TestZipHoldsTheSameFile(t *testing.T) {
	good := smallFile(t)
	dir := t.TempDir()
	write := func(name string, members ...string) string {
		path := filepath.Join(dir, name)
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		z := zip.NewWriter(f)
		for _, m := range members {
			w, err := z.Create(m)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte(good)); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(z.Close(), f.Close()); err != nil {
			t.Fatal(err)
		}
		return path
	}
	plain := filepath.Join(dir, "a.csv")
	if err := os.WriteFile(plain, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	want, err := Open(plain, testNow)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Open(write("a.zip", "readme.txt", "x/DATA.CSV"), testNow)
	if err != nil || got.SHA256 != want.SHA256 || len(got.Records) != len(want.Records) {
		t.Errorf("from the archive: %v", err)
	}
	for _, path := range []string{write("two.zip", "a.csv", "b.csv"), write("none.zip", "a.txt"), filepath.Join(dir, "absent")} {
		if _, err := Open(path, testNow); code(err) != api.CodeTrainingDataUnreadable {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := os.WriteFile(plain, []byte("PK\x03\x04 and no more"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(plain, testNow); code(err) != api.CodeTrainingDataUnreadable {
		t.Errorf("a broken archive: %v", err)
	}
}

func TestSimulatedClinic(t *testing.T) {
	a, err := Simulated(DefaultClinic(3), testNow)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Simulated(DefaultClinic(3), testNow)
	if err != nil || a.SHA256 != b.SHA256 {
		t.Errorf("the same clinic twice: %s and %s (%v)", a.SHA256, b.SHA256, err)
	}
	if c, err := Simulated(DefaultClinic(4), testNow); err != nil || c.SHA256 == a.SHA256 {
		t.Errorf("another seed: %v", err)
	}
	if a.BadAge+a.BadLead != 0 {
		t.Errorf("%d impossible rows", a.BadAge+a.BadLead)
	}
	var same, sameMissed, missed float64
	for i := range a.Records {
		r := &a.Records[i]
		missed += float64(flag(r.NoShow))
		if r.Lead() == 0 {
			same++
			sameMissed += float64(flag(r.NoShow))
		}
	}
	n := float64(len(a.Records))
	f := func(what string, got, low, high float64) {
		t.Helper()
		if !(got >= low && got <= high) {
			t.Errorf("%s is %.4f, must be in %v..%v", what, got, low, high)
		}
	}
	f("the no-show rate", missed/n, 0.18, 0.23)
	f("the share of same-day rows", same/n, 0.33, 0.37)
	f("the same-day rate", sameMissed/same, 0.035, 0.06)
	f("the later rate", (missed-sameMissed)/(n-same), 0.26, 0.32)
}

func FuzzReadCSV(f *testing.F) {
	good := smallFile(f)
	lines := strings.SplitAfter(good, "\n")
	f.Add(good)
	f.Add(strings.Join(lines[:3], ""))
	f.Add(strings.ReplaceAll(strings.Join(lines[:3], ""), ",", ";"))
	f.Add("\ufeff" + lines[0] + "\"a\nb\"" + lines[1])
	f.Add(field(strings.Join(lines[:3], ""), 2, "ScheduledDay", "2024-03-04T08:00:00+14:00"))
	f.Fuzz(func(t *testing.T, csv string) {
		// Enough good rows behind the fuzzed ones let a file pass.
		for _, text := range []string{csv, csv + strings.Join(lines[1:], "")} {
			got, err := ReadCSV(strings.NewReader(text), testNow)
			if err != nil {
				if code(err) == "" {
					t.Fatalf("an error without a code: %v", err)
				}
				continue
			}
			if len(got.Records)+got.BadAge+got.BadLead != got.Read {
				t.Fatalf("%d rows read, %d accounted for", got.Read, len(got.Records)+got.BadAge+got.BadLead)
			}
			for i := range got.Records {
				r := &got.Records[i]
				if r.Age < 0 || r.Age > MaxAge || r.Lead() < 0 || int64(r.Day)*daySeconds > testNow.Unix() {
					t.Fatalf("a row that must not pass: %+v", r)
				}
			}
		}
	})
}
