package load

import (
	"bytes"
	"errors"

	"github.com/valyala/fastjson"
)

// response takes in one HTTP answer piece by piece. Bodies of successes are counted, not
// kept.
type response struct {
	status   int
	head     bool // the head is complete
	chunked  bool
	closing  bool
	left     int // body bytes to come, -1 until the connection ends
	chunk    chunkState
	chunkLen int
	body     []byte // of an error
	line     []byte // a part of the head, or of a chunk's size, that came without its end
}

type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkData
	chunkEnd // the line break after the data
	trailer
)

func (r *response) reset() {
	*r = response{body: r.body[:0], line: r.line[:0]}
}

var errResponse = errors.New("malformed HTTP response")

// maxHead bounds the head of an answer, keptBody what is kept of an error's.
const (
	maxHead  = 64 << 10
	keptBody = 4 << 10
)

// feed takes bytes in; done reports that the answer is complete and how many of b belong to it.
func (r *response) feed(b []byte) (used int, done bool, err error) {
	n := 0
	if !r.head {
		// The common case: the whole head in one piece.
		if len(r.line) == 0 {
			if k := bytes.Index(b, crlf2); k >= 0 {
				if err := r.parseHead(b[:k]); err != nil {
					return 0, false, err
				}
				n = k + 4
			} else {
				r.line = append(r.line, b...)
				return len(b), false, nil
			}
		} else {
			had := len(r.line)
			r.line = append(r.line, b...)
			k := bytes.Index(r.line, crlf2)
			if k < 0 {
				if len(r.line) > maxHead {
					return 0, false, errResponse
				}
				return len(b), false, nil
			}
			if err := r.parseHead(r.line[:k]); err != nil {
				return 0, false, err
			}
			n = k + 4 - had
			r.line = r.line[:0]
		}
		if r.status >= 100 && r.status < 200 { // an interim answer
			r.reset()
			k, done, err := r.feed(b[n:])
			return n + k, done, err
		}
		r.head = true
	}
	if r.chunked {
		k, done, err := r.feedChunks(b[n:])
		return n + k, done, err
	}
	k := len(b) - n
	if r.left >= 0 {
		k = min(k, r.left)
		r.left -= k
	}
	r.keep(b[n : n+k])
	return n + k, r.left == 0, nil
}

func (r *response) keep(b []byte) {
	if r.status != 200 && len(r.body) < keptBody {
		r.body = append(r.body, b[:min(len(b), keptBody-len(r.body))]...)
	}
}

var (
	crlf2         = []byte("\r\n\r\n")
	crlf          = []byte("\r\n")
	contentLength = []byte("content-length")
	connection    = []byte("connection")
	encodingName  = []byte("transfer-encoding")
)

func (r *response) parseHead(b []byte) error {
	if len(b) < 12 || string(b[:7]) != "HTTP/1." {
		return errResponse
	}
	r.status, r.left = number(b[9:12]), -1
	if r.status < 100 {
		return errResponse
	}
	r.closing = b[7] == '0'
	_, b, _ = bytes.Cut(b, crlf)
	for len(b) > 0 {
		var line []byte
		line, b, _ = bytes.Cut(b, crlf)
		name, value, ok := bytes.Cut(line, colon)
		if !ok {
			return errResponse
		}
		value = bytes.TrimSpace(value)
		switch {
		case len(name) == len(contentLength) && bytes.EqualFold(name, contentLength):
			if r.left = number(value); r.left < 0 {
				return errResponse
			}
		case len(name) == len(connection) && bytes.EqualFold(name, connection):
			r.closing = bytes.EqualFold(value, closeWord)
		case len(name) == len(encodingName) && bytes.EqualFold(name, encodingName):
			r.chunked = bytes.EqualFold(value, chunkedWord)
		}
	}
	if r.status == 204 || r.status == 304 {
		r.left = 0
	}
	if r.left < 0 && !r.chunked {
		r.closing = true
	}
	return nil
}

var (
	colon       = []byte(":")
	closeWord   = []byte("close")
	chunkedWord = []byte("chunked")
)

func number(b []byte) int {
	if len(b) == 0 || len(b) > 15 {
		return -1
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1
		}
		n = 10*n + int(c-'0')
	}
	return n
}

func (r *response) feedChunks(b []byte) (used int, done bool, err error) {
	n := 0
	for n < len(b) {
		if r.chunk == chunkData {
			k := min(r.chunkLen, len(b)-n)
			r.keep(b[n : n+k])
			n += k
			if r.chunkLen -= k; r.chunkLen == 0 {
				r.chunk = chunkEnd
			}
			continue
		}
		k := bytes.IndexByte(b[n:], '\n')
		if k < 0 {
			r.line = append(r.line, b[n:]...)
			if len(r.line) > maxHead {
				return 0, false, errResponse
			}
			return len(b), false, nil
		}
		r.line = append(r.line, b[n:n+k]...)
		n += k + 1
		line := bytes.TrimSuffix(r.line, crlf[:1])
		r.line = r.line[:0]
		switch r.chunk {
		case chunkSize:
			if r.chunkLen, err = hex(line); err != nil {
				return 0, false, err
			}
			r.chunk = chunkData
			if r.chunkLen == 0 {
				r.chunk = trailer
			}
		case chunkEnd:
			r.chunk = chunkSize
		case trailer:
			if len(line) == 0 {
				return n, true, nil
			}
		}
	}
	return n, false, nil
}

func hex(b []byte) (int, error) {
	n := 0
	digits := 0
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | int(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			n = n<<4 | int(c|0x20-'a'+10)
		case c == ';' && digits > 0:
			return n, nil
		default:
			return 0, errResponse
		}
		if digits++; digits > 8 {
			return 0, errResponse
		}
	}
	if digits == 0 {
		return 0, errResponse
	}
	return n, nil
}

// errorCode finds the error's code in its body, else names the status.
func errorCode(status int, body []byte) (code, text string) {
	if v, err := fastjson.ParseBytes(body); err == nil {
		code, text = string(v.GetStringBytes("code")), string(v.GetStringBytes("error"))
	}
	if code == "" {
		code = "http_" + string([]byte{byte('0' + status/100%10), byte('0' + status/10%10), byte('0' + status%10)})
	}
	return code, text
}
