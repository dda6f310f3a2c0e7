package zones

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata"
)

// The packed zones are compared with those that package time finds, at times whose offsets no later
// release of the zone files changes.
func TestPacked(t *testing.T) {
	files, err := unpack()
	if err != nil {
		t.Fatal(err)
	}
	if len(files.File) < 400 {
		t.Fatalf("%d zones are packed, expected more than 400", len(files.File))
	}
	for _, name := range []string{"Europe/Berlin", "America/Sao_Paulo", "Asia/Shanghai", "Asia/Kolkata", "Australia/Lord_Howe", "America/New_York", "UTC"} {
		got, err := load(name)
		if err != nil {
			t.Fatal(err)
		}
		want, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for day := time.Date(2015, 1, 1, 0, 30, 0, 0, time.UTC); day.Year() < 2020; day = day.AddDate(0, 0, 7) {
			if g, w := day.In(got).Format(time.RFC3339), day.In(want).Format(time.RFC3339); g != w {
				t.Errorf("%s: %s, expected %s", name, g, w)
			}
		}
	}
}

func TestLoad(t *testing.T) {
	if z, err := Load("Europe/Berlin"); err != nil || z.String() != "Europe/Berlin" {
		t.Errorf("Europe/Berlin: %v, %v", z, err)
	}
	for _, name := range []string{"Europe/Atlantis", "../etc/passwd", "Europe", "/UTC"} {
		if _, err := Load(name); err == nil || !strings.Contains(err.Error(), "IANA name") {
			t.Errorf("%q: %v, expected an error that asks for an IANA name", name, err)
		}
	}
}
