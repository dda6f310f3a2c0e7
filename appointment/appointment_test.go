package appointment

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
)

func TestCodesAreInTheTable(t *testing.T) {
	rows := Codes()
	if len(rows) < 40 {
		t.Fatalf("%d codes", len(rows))
	}
	for _, c := range rows {
		if c.Retryable != (c.HTTP == 503) {
			t.Errorf("%s: retryable must mean 503", c.Code)
		}
	}
}

func TestErrorCarriesItsCode(t *testing.T) {
	err := fmt.Errorf("row: %w", CheckProbability("p", 3, 1.5))
	if CodeOf(err) != CodeBadProbability {
		t.Fatalf("code %q", CodeOf(err))
	}
	if !strings.Contains(err.Error(), "[appt_bad_probability]") {
		t.Fatalf("text %q", err)
	}
	if CodeOf(errors.New("other")) != "" {
		t.Fatal("a plain error has no code")
	}
	public := Public(err)
	if api.CodeOf(public) != CodeBadProbability || api.Message(public) != err.Error() || CodeOf(public) != CodeBadProbability {
		t.Fatalf("public error %q has code %q", api.Message(public), api.CodeOf(public))
	}
	if other := errors.New("other"); Public(other) != other {
		t.Fatal("a plain error was changed")
	}
}

func TestValueChecks(t *testing.T) {
	f := func(err error, want Code) {
		t.Helper()
		if CodeOf(err) != want {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f(CheckProbability("p", 0, math.NaN()), CodeNotFinite)
	f(CheckProbability("p", 0, -0.01), CodeBadProbability)
	f(CheckProbability("p", 0, 1), "")
	f(CheckService(0, 0, .4), CodeBadServiceMean)
	f(CheckService(0, 13, -.1), CodeBadServiceCV)
	f(CheckService(0, 13, 3.01), CodeBadServiceCV)
	f(CheckService(0, math.Inf(1), 1), CodeNotFinite)
	f(CheckService(0, 13, 0), "")
	row := make([]float32, NumNoShowFeatures)
	f(CheckNoShowRow(0, row), "")
	f(CheckNoShowRow(0, row[:16]), CodeFeatureCount)
	bad := func(i int, v float32, want Code) {
		t.Helper()
		r := append([]float32(nil), row...)
		r[i] = v
		f(CheckNoShowRow(0, r), want)
	}
	bad(0, -1, CodeBadAge)
	bad(0, 121, CodeBadAge)
	bad(2, -1, CodeBookedAfterDay)
	bad(13, 2, CodeBadHistory)
	bad(5, float32(math.NaN()), CodeNotFinite)
}

func TestTimestamps(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("NOT RUN: no time zone data")
	}
	if _, err := ParseStamp("t", "2026-03-29T09:00:00"); CodeOf(err) != CodeTimestampZone {
		t.Errorf("no zone: %v", err)
	}
	if _, err := ParseStamp("t", "next Tuesday"); CodeOf(err) != CodeTimestampFormat {
		t.Errorf("nonsense: %v", err)
	}
	got, err := ParseStamp("t", "2026-03-29T09:00:00+02:00")
	if err != nil || got.UTC().Hour() != 7 {
		t.Errorf("good stamp: %v %v", got, err)
	}
	for stamp, want := range map[string]Code{
		"2026-03-29T02:30:00+01:00": CodeTimestampGap, "2026-03-29T02:00:00+02:00": CodeTimestampGap, "2026-03-29T02:59:59+01:00": CodeTimestampGap,
		"2026-03-29T02:30:00Z": "", "2026-03-29T02:30:00+05:30": "", "2026-03-29T01:59:59+01:00": "", "2026-03-29T03:00:00+02:00": "",
		"2026-03-29T03:30:00+01:00": "",
		"2026-10-25T02:30:00+01:00": "", "2026-10-25T02:30:00+02:00": "", "2026-03-29T02:30:00": CodeTimestampZone,
	} {
		if got, err := ParseStampIn("t", stamp, berlin); CodeOf(err) != want || err == nil && got.Format(time.RFC3339) != stamp {
			t.Errorf("%s: %v %v, want %q", stamp, got, err, want)
		}
	}
	spring := time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC)
	if _, err := LocalTime("t", spring, 2, 30, berlin); CodeOf(err) != CodeTimestampGap {
		t.Errorf("gap: %v", err)
	}
	autumn := time.Date(2026, 10, 25, 0, 0, 0, 0, time.UTC)
	first, err := LocalTime("t", autumn, 2, 30, berlin)
	if err != nil || first.UTC().Hour() != 0 {
		t.Errorf("fold: %v %v, want the first of the two", first.UTC(), err)
	}
	before, err := LocalTime("t", spring, 1, 30, berlin)
	if err != nil {
		t.Fatal(err)
	}
	after, err := LocalTime("t", spring, 3, 30, berlin)
	if err != nil {
		t.Fatal(err)
	}
	if m := SessionMinute(before, after); m != 60 {
		t.Errorf("across the change of clocks %d minutes, want 60", m)
	}
}
