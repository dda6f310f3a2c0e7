// Package zones finds a time zone by its IANA name where the system has no zone files, as in an empty container.
// It holds what time/tzdata holds, packed to a seventh of its size. It has no state: any number of
// goroutines may call it.
package zones

import (
	"archive/zip"
	"bytes"
	_ "embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/klauspost/compress/zstd"
)

//go:generate go run ./pack

// packed is lib/time/zoneinfo.zip of the Go distribution, whose entries are not compressed one by one.
//
//go:embed zoneinfo.zip.zst
var packed []byte

// Load returns the zone that the system knows by the name, else the packed one.
func Load(name string) (*time.Location, error) {
	z, err := time.LoadLocation(name)
	if err == nil {
		return z, nil
	}
	if z, inner := load(name); inner == nil {
		return z, nil
	}
	return nil, fmt.Errorf("time zone %q is not known, expected an IANA name such as Europe/Berlin: %w", name, err)
}

// load unpacks all zones for the one: a process asks for few of them.
func load(name string) (*time.Location, error) {
	files, err := unpack()
	if err != nil {
		return nil, err
	}
	data, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, err
	}
	return time.LoadLocationFromTZData(name, data)
}

func unpack() (*zip.Reader, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	all, err := dec.DecodeAll(packed, nil)
	if err != nil {
		return nil, err
	}
	return zip.NewReader(bytes.NewReader(all), int64(len(all)))
}
