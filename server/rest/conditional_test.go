package rest

import "testing"

func TestByteRange(t *testing.T) {
	const size = 1000
	for field, want := range map[string]span{
		"bytes=0-9": {0, 9}, "Bytes=0-9": {0, 9}, "bytes= 10-": {10, 999}, "bytes=-7": {993, 999}, "bytes=-5000": {0, 999}, "bytes=999-": {999, 999},
		"bytes=5-99999999999999999999": {5, 999}, "bytes=-99999999999999999999": {0, 999},
		"bytes=1000-": {1, 0}, "bytes=9-5": {1, 0}, "bytes=-0": {1, 0}, "bytes=a-b": {1, 0}, "bytes=": {1, 0}, "bytes=-": {1, 0}, "bytes=1.5-2": {1, 0},
		"bytes=+1-2": {1, 0}, "bytes=99999999999999999999-": {1, 0}, "bytes=1-2-3": {1, 0},
	} {
		if got, ok := byteRange(field, size); !ok || got != want {
			t.Errorf("%s: %v %v, want %v", field, got, ok, want)
		}
	}
	for _, field := range []string{"", "0-5", "items=0-5", "bytes=0-1,5-6"} {
		if got, ok := byteRange(field, size); ok {
			t.Errorf("%q is to be passed over, got %v", field, got)
		}
	}
}

func TestTagListed(t *testing.T) {
	const etag = `"abc"`
	for field, want := range map[string]bool{etag: true, "*": true, `W/"abc"`: false, `"x", "abc"`: true} {
		if tagListed([]byte(field), etag, false) != want {
			t.Errorf("If-Match: %s: expected %v", field, want)
		}
	}
	for field, want := range map[string]bool{etag: true, "*": true, `W/"abc"`: true, `"x", "abc"`: true, `"x",W/"abc" , "y"`: true, "": false, `"x"`: false, "abc": false} {
		if tagListed([]byte(field), etag, true) != want {
			t.Errorf("%s: expected %v", field, want)
		}
	}
}
