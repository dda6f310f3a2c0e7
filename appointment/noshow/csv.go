package noshow

import (
	"archive/zip"
	"cmp"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aimass/aimass/api"
)

// columns are the columns that a file must have, in any order; others are
// ignored.
var columns = [...]string{
	"PatientId", "AppointmentID", "Gender", "ScheduledDay", "AppointmentDay", "Age", "Neighbourhood",
	"Scholarship", "Hipertension", "Diabetes", "Alcoholism", "Handcap", "SMS_received", "No-show",
}

const (
	colPatient = iota
	colID
	colGender
	colBooked
	colDay
	colAge
	colPlace
	colScholarship
	colHypertension
	colDiabetes
	colAlcoholism
	colHandicap
	colReminded
	colNoShow
)

// Limits of a file.
const (
	// MaxCSVBytes is the most a file may hold, unpacked.
	MaxCSVBytes = 2 << 30
	// MaxAge is the greatest age taken for true.
	MaxAge = 120
	// minRows is the fewest rows that a split in three can be judged on.
	minRows = 500
	// maxDropped is the share of rows that may be left out for impossible ages
	// and leads before the whole file is refused, and freeDropped how many rows
	// may always be.
	maxDropped  = 0.01
	freeDropped = 10
)

// Table is a cleaned file: its rows by (Day, Booked, ID).
type Table struct {
	Records []Record
	// Places are the neighbourhoods in byte order; a place's number is its
	// index here.
	Places []string
	// SHA256 of the CSV in hex, Bytes its size, Read the number of its rows.
	SHA256 string
	Bytes  int64
	Read   int
	// BadAge and BadLead count the rows left out because of an age outside
	// 0..MaxAge and of an appointment day before the booking day.
	BadAge, BadLead int
	// Simulated says that the rows are of no real clinic.
	Simulated bool
}

// Open reads the CSV at path, or the one CSV in the zip archive at path. See
// ReadCSV.
func Open(path string, now time.Time) (*Table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, api.Errorf(api.CodeTrainingDataUnreadable, "the training data can't be opened: %w", err)
	}
	defer f.Close()
	var magic [4]byte
	if n, _ := f.ReadAt(magic[:], 0); n < 4 || string(magic[:]) != "PK\x03\x04" {
		return ReadCSV(f, now)
	}
	st, err := f.Stat()
	if err != nil {
		return nil, api.Errorf(api.CodeTrainingDataUnreadable, "the training data can't be opened: %w", err)
	}
	z, err := zip.NewReader(f, st.Size())
	if err != nil {
		return nil, api.Errorf(api.CodeTrainingDataUnreadable, "the training data look like a zip archive but can't be read as one: %w", err)
	}
	var member *zip.File
	for _, m := range z.File {
		if !strings.HasSuffix(strings.ToLower(m.Name), ".csv") {
			continue
		}
		if member != nil {
			return nil, api.Errorf(api.CodeTrainingDataUnreadable, "the archive holds more than one CSV file: %q and %q", member.Name, m.Name)
		}
		member = m
	}
	if member == nil {
		return nil, api.Errorf(api.CodeTrainingDataUnreadable, "the archive holds no CSV file")
	}
	r, err := member.Open()
	if err != nil {
		return nil, api.Errorf(api.CodeTrainingDataUnreadable, "%q in the archive can't be read: %w", member.Name, err)
	}
	defer r.Close()
	return ReadCSV(r, now)
}

// ReadCSV reads and cleans a file of appointments: rows whose age is impossible
// or whose day is before their booking are left out and counted, all else that
// is wrong is a *api.Error that names line, column and value. now is the time
// after which no outcome can be known.
func ReadCSV(r io.Reader, now time.Time) (*Table, error) {
	sum := sha256.New()
	limited := &io.LimitedReader{R: r, N: MaxCSVBytes + 1}
	in := csv.NewReader(io.TeeReader(limited, sum))
	in.ReuseRecord = true
	t := &Table{}
	rd := reader{now: dayOf(now.Unix()), places: map[string]string{}}
	if err := rd.header(in); err != nil {
		return nil, err
	}
	for {
		row, err := in.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, api.Errorf(api.CodeTrainingDataUnreadable, "the CSV can't be read: %w", err)
		}
		rd.line, _ = in.FieldPos(0)
		rec, err := rd.record(row)
		if err != nil {
			return nil, err
		}
		t.Read++
		switch {
		case rec.Age < 0 || rec.Age > MaxAge:
			t.BadAge++
		case rec.Lead() < 0:
			t.BadLead++
		default:
			t.Records = append(t.Records, rec)
		}
	}
	if limited.N <= 0 {
		return nil, api.Errorf(api.CodeTrainingDataUnreadable, "the CSV is larger than %d bytes", int64(MaxCSVBytes))
	}
	t.SHA256 = hex.EncodeToString(sum.Sum(nil))
	t.Bytes = MaxCSVBytes + 1 - limited.N
	t.Places = rd.sortedPlaces(t.Records)
	return t, t.check()
}

// check sorts the rows and judges the table as a whole.
func (t *Table) check() error {
	if n := t.BadAge + t.BadLead; n > freeDropped && float64(n) > maxDropped*float64(t.Read) {
		return api.Errorf(api.CodeTrainingValueInvalid, "%d of %d rows can't be used (%d with an age outside 0..%d, %d with AppointmentDay before "+
			"ScheduledDay): more than %v %%",
			n, t.Read, t.BadAge, MaxAge, t.BadLead, maxDropped*100)
	}
	if len(t.Records) < minRows {
		return api.Errorf(api.CodeTrainingTooFewRows, "the file has %d usable rows, training needs %d at least", len(t.Records), minRows)
	}
	missed := 0
	ids := make([]int64, len(t.Records))
	for i := range t.Records {
		ids[i] = t.Records[i].ID
		if t.Records[i].NoShow {
			missed++
		}
	}
	if missed == 0 || missed == len(t.Records) {
		return api.Errorf(api.CodeTrainingOneClass, "the file has one outcome alone (%d no-shows in %d rows): there is nothing to tell apart", missed, len(t.Records))
	}
	slices.Sort(ids)
	for i := 1; i < len(ids); i++ {
		if ids[i] == ids[i-1] {
			return api.Errorf(api.CodeTrainingRowDuplicate, "AppointmentID %d occurs more than once", ids[i])
		}
	}
	slices.SortFunc(t.Records, func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Booked, b.Booked), cmp.Compare(a.ID, b.ID))
	})
	return nil
}

// reader turns CSV rows into records.
type reader struct {
	at     [len(columns)]int
	line   int
	now    int32
	places map[string]string
}

func (rd *reader) header(in *csv.Reader) error {
	head, err := in.Read()
	if err == io.EOF {
		return api.Errorf(api.CodeTrainingDataUnreadable, "the CSV is empty")
	}
	if err != nil {
		return api.Errorf(api.CodeTrainingDataUnreadable, "the CSV's header can't be read: %w", err)
	}
	var missing []string
	for i, name := range columns {
		rd.at[i] = -1
		for k, h := range head {
			if k == 0 {
				h = strings.TrimPrefix(h, "\ufeff")
			}
			if strings.TrimSpace(h) != name {
				continue
			}
			if rd.at[i] >= 0 {
				return api.Errorf(api.CodeTrainingRowDuplicate, "the CSV has the column %q twice", name)
			}
			rd.at[i] = k
		}
		if rd.at[i] < 0 {
			missing = append(missing, strconv.Quote(name))
		}
	}
	if missing != nil {
		return api.Errorf(api.CodeTrainingColumnMissing, "the CSV lacks the columns %s", strings.Join(missing, ", "))
	}
	return nil
}

func (rd *reader) wrong(col int, value, want string) error {
	const most = 40
	if len(value) > most {
		value = strings.ToValidUTF8(value[:most], "") + "…"
	}
	return api.Errorf(api.CodeTrainingValueInvalid, "line %d: %s is %q, must be %s", rd.line, columns[col], value, want)
}

func (rd *reader) record(row []string) (Record, error) {
	var r Record
	var errs []error
	get := func(col int) string { return strings.TrimSpace(row[rd.at[col]]) }
	flag := func(col int, no, yes string) bool {
		v := get(col)
		if v != no && v != yes {
			errs = append(errs, rd.wrong(col, v, fmt.Sprintf("%s or %s", no, yes)))
		}
		return v == yes
	}
	whole := func(col int, low, high int64, want string) int64 {
		n, err := strconv.ParseInt(get(col), 10, 64)
		if err != nil || n < low || n > high {
			errs = append(errs, rd.wrong(col, get(col), want))
		}
		return n
	}
	instant := func(col int) int64 {
		t, err := time.Parse(time.RFC3339, get(col))
		if err != nil || t.Year() < 1900 || t.Year() > 2200 {
			errs = append(errs, rd.wrong(col, get(col), "a time with its zone such as 2016-04-29T18:38:08Z"))
			return 0
		}
		return t.Unix()
	}
	p, err := strconv.ParseFloat(get(colPatient), 64)
	if err != nil || math.IsInf(p, 0) || math.IsNaN(p) {
		errs = append(errs, rd.wrong(colPatient, get(colPatient), "a number"))
	}
	r.Patient = p
	r.ID = whole(colID, math.MinInt64, math.MaxInt64, "a whole number")
	r.Male = flag(colGender, "F", "M")
	r.Booked = instant(colBooked)
	r.Day = dayOf(instant(colDay))
	r.Age = int32(whole(colAge, -1000, 1000, "a whole number of years"))
	r.Scholarship = flag(colScholarship, "0", "1")
	r.Hypertension = flag(colHypertension, "0", "1")
	r.Diabetes = flag(colDiabetes, "0", "1")
	r.Alcoholism = flag(colAlcoholism, "0", "1")
	r.Handicap = int8(whole(colHandicap, 0, 4, "a whole number in 0..4"))
	r.Reminded = flag(colReminded, "0", "1")
	r.NoShow = flag(colNoShow, "No", "Yes")
	if place := get(colPlace); place == "" {
		errs = append(errs, rd.wrong(colPlace, place, "a name"))
	} else {
		r.Place = rd.intern(place)
	}
	if errs == nil && r.Day > rd.now {
		errs = append(errs, api.Errorf(api.CodeTrainingFutureOutcome,
			"line %d: AppointmentDay %s is in the future but has an outcome; what the file calls outcomes can't be true", rd.line, Date(r.Day)))
	}
	if errs != nil {
		return r, errs[0]
	}
	return r, nil
}

// intern keeps one copy of each name and lets go of the row's memory.
func (rd *reader) intern(name string) string {
	s, ok := rd.places[name]
	if !ok {
		s = strings.Clone(name)
		rd.places[s] = s
	}
	return s
}

// sortedPlaces lists the places that records name.
func (rd *reader) sortedPlaces(records []Record) []string {
	seen := make(map[string]bool, len(rd.places))
	for i := range records {
		seen[records[i].Place] = true
	}
	out := make([]string, 0, len(seen))
	for p := range seen {
		out = append(out, p)
	}
	slices.Sort(out)
	return out
}
