package rest

import (
	"bytes"
	"time"
)

// plain is an inference request in the form that nearly all have, as bytes: one that was read whole, in HTTP/1.1, with a
// body of known length that is not compressed and an answer that must not be either.
type plain struct {
	path           []byte
	model, version []byte
	tenant, id     []byte
	route          []byte
	timeout        time.Duration // of the header; 0 = none
	body           []byte
	jsonLen        int // of the body's JSON where binary data follow it, else -1
}

var (
	postWord     = []byte("POST ")
	versionsPart = []byte("versions/")
	http11       = []byte(" HTTP/1.1")
	inferWord    = []byte("infer")
)

// target reads the first line; rest is what follows it.
func (p *plain) target(request []byte) (rest []byte, ok bool) {
	line, rest, ok := cutLine(request)
	path, post := bytes.CutPrefix(line, postWord)
	path, modern := bytes.CutSuffix(path, http11)
	what, inModels := bytes.CutPrefix(path, pathModels)
	if !ok || !post || !modern || !inModels || bytes.IndexByte(path, '%') >= 0 {
		return nil, false
	}
	p.path = path
	p.model, what, _ = bytes.Cut(what, []byte{'/'})
	if after, ok := bytes.CutPrefix(what, versionsPart); ok {
		if p.version, what, _ = bytes.Cut(after, []byte{'/'}); len(p.version) == 0 {
			return nil, false
		}
	}
	return rest, len(p.model) > 0 && bytes.Equal(what, inferWord)
}

// headers reads the lines up to the body, and reports whether the body is there and all is plain.
func (p *plain) headers(rest []byte) bool {
	length, host := -1, false
	p.jsonLen = -1
	for {
		var line []byte
		var ok bool
		if line, rest, ok = cutLine(rest); !ok {
			return false
		}
		if len(line) == 0 {
			break
		}
		name, value, ok := bytes.Cut(line, []byte{':'})
		if !ok || bytes.IndexByte(name, ' ') >= 0 || bytes.IndexByte(name, '\t') >= 0 {
			return false
		}
		value = bytes.TrimSpace(value)
		once := true
		switch len(name) {
		case len("host"):
			if is(name, "host") {
				once, host = !host, true
			}
		case len("expect"):
			once = !is(name, "expect")
		case len("upgrade"):
			once = !is(name, "upgrade")
		case len("connection"):
			once = !is(name, "connection")
		case len("x-request-id"):
			if is(name, "x-request-id") {
				once, p.id = p.id == nil, value
			}
		case len("x-route-key"):
			if is(name, "x-route-key") {
				once, p.route = p.route == nil, value
			}
		case len("content-length"):
			if is(name, "content-length") {
				once, length = length < 0, number(value)
			}
		case len("accept-encoding"): // and x-aimass-tenant
			switch {
			case is(name, "accept-encoding"):
				once = false
			case is(name, "x-aimass-tenant"):
				once, p.tenant = p.tenant == nil, value
			}
		case len("content-encoding"):
			once = !is(name, "content-encoding")
		case len("transfer-encoding"):
			once = !is(name, "transfer-encoding")
		case len("x-request-timeout-ms"):
			if is(name, "x-request-timeout-ms") {
				ms := number(value)
				once, p.timeout = p.timeout == 0 && ms > 0, time.Duration(ms)*time.Millisecond
			}
		case len("inference-header-content-length"):
			if is(name, "inference-header-content-length") {
				n := number(value)
				once, p.jsonLen = p.jsonLen < 0 && n > 0, n
			}
		}
		if !once {
			return false
		}
	}
	p.body = rest
	return host && length == len(rest) && p.jsonLen <= length && (len(p.id) == 0 || usableID(p.id))
}

// json is the body without the binary data.
func (p *plain) json() []byte {
	if p.jsonLen >= 0 {
		return p.body[:p.jsonLen]
	}
	return p.body
}

// cutLine cuts a line that ends in CR LF.
func cutLine(b []byte) (line, rest []byte, ok bool) {
	n := bytes.IndexByte(b, '\n')
	if n < 1 || b[n-1] != '\r' {
		return nil, nil, false
	}
	return b[:n-1], b[n+1:], true
}

// is compares a header's name with one in small letters.
func is(name []byte, small string) bool {
	if len(name) != len(small) {
		return false
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != small[i] {
			return false
		}
	}
	return true
}

// number reads a decimal number below 10^12; −1 if it is none.
func number(b []byte) int {
	if len(b) == 0 || len(b) > 12 {
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
