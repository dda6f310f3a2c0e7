package rest

import (
	"math"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/aimass/aimass/api"
)

// tagListed reports whether an If-Match or If-None-Match field names etag, or anything. Only for the latter
// weak tags count as strong ones (RFC 9110, sections 13.1.1 and 13.1.2).
func tagListed(field []byte, etag string, weak bool) bool {
	for tag := range strings.SplitSeq(string(field), ",") {
		tag = strings.TrimSpace(tag)
		if weak {
			tag = strings.TrimPrefix(tag, "W/")
		}
		if tag == "*" || tag == etag {
			return true
		}
	}
	return false
}

// ifMatch holds a request to its If-Match field; etag is "" where there is nothing.
func ifMatch(h *fasthttp.RequestHeader, etag string) error {
	field := h.Peek(fasthttp.HeaderIfMatch)
	switch {
	case len(field) == 0 || etag != "" && tagListed(field, etag, false):
		return nil
	case etag == "":
		return api.Errorf(api.CodePreconditionFailed, "got If-Match '%.100s', and there is no such version", field)
	}
	return api.Errorf(api.CodePreconditionFailed, "got If-Match '%.100s', the version's ETag is %s", field, etag)
}

// span is a range of bytes, to included; from > to is none.
type span struct{ from, to int64 }

// byteRange reads a Range field for something of size bytes (RFC 9110, section 14.2). Not ok
// means that there is nothing to obey: no field, another unit than bytes, or several ranges,
// for which a server may send the whole.
func byteRange(field string, size int64) (r span, ok bool) {
	unit, set, ok := strings.Cut(field, "=")
	if !ok || !strings.EqualFold(strings.TrimSpace(unit), "bytes") || strings.Contains(set, ",") {
		return span{}, false
	}
	none := span{1, 0}
	first, last, ok := strings.Cut(strings.TrimSpace(set), "-")
	low, lok := position(first)
	high, hok := position(last)
	switch {
	case !ok || !lok && first != "" || !hok && last != "":
		return none, true
	case first == "" && hok && high > 0:
		return span{max(0, size-high), size - 1}, true
	case lok && last == "" && low < size:
		return span{low, size - 1}, true
	case lok && hok && low <= high && low < size:
		return span{low, min(high, size-1)}, true
	}
	return none, true
}

// position reads a whole number; one that an int64 can't hold is beyond every file's end.
func position(text string) (int64, bool) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return math.MaxInt64, true
	}
	return n, true
}
