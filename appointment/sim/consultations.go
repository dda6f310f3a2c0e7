package sim

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/aimass/aimass/appointment"
)

// HanguSHA256 is the checksum of the Hangu clinic's file of service times.
const HanguSHA256 = "bf4e377c0fd9b4adf65a53b2b2a53d60391808dfdc6d752877c28b6b05956bc8"

// Consultation is one row of the clinic's file; what is known only afterwards is
// in Minutes alone.
type Consultation struct {
	Patient string
	// Session is the half-day's number, in order of time.
	Session int
	Morning bool
	Working bool
	// Visit is the number of the patient's visit, 1 for the first.
	Visit           int
	Female          bool
	Mental, Somatic bool
	// Address is 0 unknown, 1 in the city, 2 out of it.
	Address int
	// StartHour is the hour of the day with its fraction.
	StartHour float64
	// Minutes is the service time.
	Minutes float64
}

// ReadConsultations reads the file at path in its order. checksum is the
// SHA-256 it must have in hex, or "" for any.
func ReadConsultations(path, checksum string) ([]Consultation, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("service times: %w", err)
	}
	if sum := sha256.Sum256(b); checksum != "" && hex.EncodeToString(sum[:]) != checksum {
		return nil, appointment.Errorf(appointment.CodeDataChecksum, path, "%x", sum)
	}
	return parseConsultations(b)
}

var consultationColumns = []string{"ID", "Session", "WorkingDay", "AM_PM", "Visit.No", "Gender", "M.Cancer", "S.Cancer", "StartTime", "Address", "ServTime"}

func parseConsultations(b []byte) ([]Consultation, error) {
	rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	if err != nil {
		return nil, appointment.Errorf(appointment.CodeDataBadRow, "csv", "%v", err)
	}
	if len(rows) < 2 {
		return nil, appointment.Errorf(appointment.CodeEmptyBatch, "csv", "no rows")
	}
	at := map[string]int{}
	for i, name := range rows[0] {
		at[strings.TrimPrefix(name, "\ufeff")] = i
	}
	for _, name := range consultationColumns {
		if _, ok := at[name]; !ok {
			return nil, appointment.Errorf(appointment.CodeDataMissingColumn, name, "the file has %v", rows[0])
		}
	}
	out := make([]Consultation, 0, len(rows)-1)
	for n, row := range rows[1:] {
		c, err := parseConsultation(func(name string) string { return row[at[name]] })
		if err != nil {
			return nil, appointment.Errorf(appointment.CodeDataBadRow, "csv", "line %d: %v", n+2, err)
		}
		out = append(out, c)
	}
	return out, nil
}

func parseConsultation(field func(string) string) (Consultation, error) {
	c := Consultation{
		Patient: field("ID"), Morning: field("AM_PM") == "morning", Working: field("WorkingDay") == "TRUE",
		Female: field("Gender") == "F", Mental: field("M.Cancer") == "TRUE", Somatic: field("S.Cancer") == "TRUE",
		Address: map[string]int{"In the city": 1, "Out of city": 2}[field("Address")],
	}
	var err error
	if c.Session, err = strconv.Atoi(field("Session")); err != nil {
		return c, fmt.Errorf("session: %w", err)
	}
	if c.Visit, err = strconv.Atoi(field("Visit.No")); err != nil {
		return c, fmt.Errorf("visit number: %w", err)
	}
	seconds, err := strconv.ParseFloat(field("ServTime"), 64)
	if err != nil || math.IsNaN(seconds) || seconds <= 0 || seconds > 24*3600 {
		return c, fmt.Errorf("service time %q", field("ServTime"))
	}
	c.Minutes = seconds / 60
	var h, m, s int
	if _, err := fmt.Sscanf(field("StartTime"), "%d:%d:%d", &h, &m, &s); err != nil {
		return c, fmt.Errorf("start time: %w", err)
	}
	c.StartHour = float64(h) + float64(m)/60 + float64(s)/3600
	return c, nil
}

// FitTypes returns the mean and coefficient of variation of first and of return
// visits, with their shares.
func FitTypes(rows []Consultation) (first, again VisitType) {
	fit := func(name string, of func(Consultation) bool) VisitType {
		n, sum, sum2 := 0.0, 0.0, 0.0
		for _, c := range rows {
			if of(c) {
				n++
				sum += c.Minutes
				sum2 += c.Minutes * c.Minutes
			}
		}
		mean := sum / n
		return VisitType{name, n / float64(len(rows)), mean, math.Sqrt(sum2/n-mean*mean) / mean}
	}
	return fit("first", func(c Consultation) bool { return c.Visit == 1 }), fit("return", func(c Consultation) bool { return c.Visit > 1 })
}
