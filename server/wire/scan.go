package wire

import (
	"unicode/utf16"
	"unicode/utf8"

	"github.com/aimass/aimass/api"
)

// parser is a position in a JSON text. Its methods leave i behind what they read and fail with an *api.Error that names
// the byte offset.
type parser struct {
	b    []byte
	i    int
	sink Sink
	// depth counts the arrays and objects that are open.
	depth int
	// scratch holds strings that had escapes, and the elements of the BYTES tensor that is being read, whose ends are in
	// marks.
	scratch []byte
	marks   []int
	// nestedData: the tensor that is being read is a nested array. stuck: a comma was missing behind an element.
	nestedData, stuck bool
}

func (p *parser) fail(code api.Code, format string, args ...any) error {
	args = append(args, p.i)
	return api.Errorf(code, format+" (at byte %d)", args...)
}

// unexpected says what stands where something else should.
func (p *parser) unexpected(want string) error {
	if p.i >= len(p.b) {
		return p.fail(api.CodeInvalidJSON, "JSON ends where %s is expected", want)
	}
	return p.fail(api.CodeInvalidJSON, "expected %s, got %q", want, p.b[p.i])
}

// ws skips white space.
func (p *parser) ws() {
	for p.i < len(p.b) {
		switch p.b[p.i] {
		case ' ', '\n', '\t', '\r':
			p.i++
		default:
			return
		}
	}
}

// peek returns the next byte that is not white space, 0 at the end.
func (p *parser) peek() byte {
	p.ws()
	if p.i < len(p.b) {
		return p.b[p.i]
	}
	return 0
}

func (p *parser) expect(c byte, want string) error {
	if p.peek() != c {
		return p.unexpected(want)
	}
	p.i++
	return nil
}

func (p *parser) open(c byte, want string) error {
	if err := p.expect(c, want); err != nil {
		return err
	}
	p.depth++
	if p.depth > MaxDepth {
		return p.fail(api.CodeJSONTooDeep, "JSON nests deeper than %d levels", MaxDepth)
	}
	return nil
}

// next moves to the next element of an array or the next key of an object that close ends; done is true when it has
// ended.
func (p *parser) next(first bool, close byte, what string) (done bool, err error) {
	c := p.peek()
	if c == close {
		p.i++
		p.depth--
		return true, nil
	}
	if first {
		return false, nil
	}
	if c != ',' {
		return false, p.unexpected("',' or the end of " + what)
	}
	p.i++
	if p.peek() == close {
		return false, p.unexpected("another element of " + what)
	}
	return false, nil
}

// key reads a key and the colon behind it.
func (p *parser) key() ([]byte, error) {
	k, err := p.str("a key")
	if err != nil {
		return nil, err
	}
	return k, p.expect(':', "':'")
}

// str reads a string. The result is a part of the text, or of scratch where the string has escapes.
func (p *parser) str(what string) ([]byte, error) {
	if p.peek() != '"' {
		return nil, p.unexpected(what + " (a string)")
	}
	start := p.i + 1
	for i := start; i < len(p.b); i++ {
		switch c := p.b[i]; {
		case c == '"':
			p.i = i + 1
			return p.b[start:i:i], nil
		case c == '\\':
			from := len(p.scratch)
			err := p.appendString()
			return p.scratch[from:len(p.scratch):len(p.scratch)], err
		case c < 0x20:
			p.i = i
			return nil, p.fail(api.CodeInvalidJSON, "control character 0x%02x inside a string", c)
		}
	}
	p.i = len(p.b)
	return nil, p.fail(api.CodeInvalidJSON, "JSON ends inside a string")
}

// appendString appends the string that begins here, without its quotes and escapes, to scratch.
func (p *parser) appendString() error {
	p.i++
	start := p.i
	for p.i < len(p.b) {
		c := p.b[p.i]
		switch {
		case c == '"':
			p.scratch = append(p.scratch, p.b[start:p.i]...)
			p.i++
			return nil
		case c == '\\':
			p.scratch = append(p.scratch, p.b[start:p.i]...)
			if err := p.escape(); err != nil {
				return err
			}
			start = p.i
		case c < 0x20:
			return p.fail(api.CodeInvalidJSON, "control character 0x%02x inside a string", c)
		default:
			p.i++
		}
	}
	return p.fail(api.CodeInvalidJSON, "JSON ends inside a string")
}

// escape appends the character that the escape sequence here stands for.
func (p *parser) escape() error {
	if p.i+1 >= len(p.b) {
		return p.fail(api.CodeInvalidJSON, "JSON ends inside a string")
	}
	c := p.b[p.i+1]
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		r := p.hex4(p.i)
		size := 6
		if utf16.IsSurrogate(r) {
			r = utf16.DecodeRune(r, p.hex4(p.i+6))
			size = 12
		}
		if r < 0 || r == utf8.RuneError && size == 12 {
			return p.fail(api.CodeInvalidJSON, "invalid escape sequence in a string")
		}
		p.scratch = utf8.AppendRune(p.scratch, r)
		p.i += size
		return nil
	default:
		return p.fail(api.CodeInvalidJSON, "invalid escape sequence in a string")
	}
	p.scratch = append(p.scratch, c)
	p.i += 2
	return nil
}

// hex4 reads \uXXXX at i, -1 if it is none.
func (p *parser) hex4(i int) rune {
	if i+6 > len(p.b) || p.b[i] != '\\' || p.b[i+1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range p.b[i+2 : i+6] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return -1
		}
	}
	return r
}

// literal reads true, false, null and their like.
func (p *parser) literal(word string) bool {
	if end := p.i + len(word); end <= len(p.b) && string(p.b[p.i:end]) == word {
		p.i = end
		return true
	}
	return false
}

// skip reads any value and checks that it is one.
func (p *parser) skip() error {
	var objects [MaxDepth + 1]bool
	base := p.depth
	for {
		opened, err := p.skipToken(&objects)
		if err != nil {
			return err
		}
		if opened {
			continue
		}
		for p.depth > base {
			object := objects[p.depth]
			done, err := p.next(false, closer(object), "an array or object")
			if err != nil {
				return err
			}
			if done {
				continue
			}
			if object {
				if err := p.skipKey(); err != nil {
					return err
				}
			}
			break
		}
		if p.depth == base {
			return nil
		}
	}
}

func closer(object bool) byte {
	if object {
		return '}'
	}
	return ']'
}

// skipToken reads a scalar or the beginning of an array or object up to where its first element's value begins; opened is
// true for the latter unless it is empty.
func (p *parser) skipToken(objects *[MaxDepth + 1]bool) (opened bool, err error) {
	switch c := p.peek(); c {
	case '{', '[':
		if err := p.open(c, "a value"); err != nil {
			return false, err
		}
		object := c == '{'
		objects[p.depth] = object
		if p.peek() == closer(object) {
			p.i++
			p.depth--
			return false, nil
		}
		if object {
			return true, p.skipKey()
		}
		return true, nil
	case '"':
		return false, p.skipString()
	case 't', 'f', 'n', 'N', 'I':
		if p.literal("true") || p.literal("false") || p.literal("null") || p.literal("NaN") || p.literal("Infinity") || p.literal("Inf") {
			return false, nil
		}
		return false, p.unexpected("a value")
	default:
		d := scanDecimal(p.b, p.i)
		if d.end < 0 {
			if p.literal("-Infinity") || p.literal("-Inf") {
				return false, nil
			}
			return false, p.unexpected("a value")
		}
		p.i = d.end
		return false, nil
	}
}

func (p *parser) skipKey() error {
	if p.peek() != '"' {
		return p.unexpected("a key (a string)")
	}
	if err := p.skipString(); err != nil {
		return err
	}
	return p.expect(':', "':'")
}

func (p *parser) skipString() error {
	from := len(p.scratch)
	_, err := p.str("a string")
	p.scratch = p.scratch[:from]
	return err
}

// Validate checks that text is one JSON value that nests no deeper than MaxDepth, with nothing behind it.
func Validate(text []byte) error {
	p := parser{b: text}
	if err := p.skip(); err != nil {
		return err
	}
	if p.ws(); p.i < len(p.b) {
		return p.fail(api.CodeTrailingBytes, "%d bytes follow the JSON value", len(p.b)-p.i)
	}
	return nil
}
