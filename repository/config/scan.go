package config

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxNesting bounds messages within messages; a model's configuration has five levels.
const maxNesting = 64

// scanner goes over a protobuf text without reading values, to learn what the parser
// doesn't tell: on which line each field stands, and every field that the schema lacks.
// Where the text is malformed it stops: the parser has the better message.
// Grammar: protobuf.dev/reference/protobuf/textformat-spec.
type scanner struct {
	text    string
	pos     int
	line    int
	depth   int
	lines   map[string]int
	values  map[int]string // path by the offset of a scalar value
	unknown []Field
	err     error
}

// scan fills lines and unknown. The error is for nesting alone.
func (s *scanner) scan(md protoreflect.MessageDescriptor) error {
	s.line, s.lines, s.values = 1, map[string]int{}, map[int]string{}
	s.message(md, "", 0)
	return s.err
}

// message reads fields until the closing byte (0: the end of the text). It reports false
// if it can't go on. A nil md is a message that the schema doesn't know.
func (s *scanner) message(md protoreflect.MessageDescriptor, prefix string, closing byte) bool {
	if s.depth++; s.depth > maxNesting {
		s.err = fmt.Errorf("line %d: messages nest deeper than %d", s.line, maxNesting)
		return false
	}
	defer func() { s.depth-- }()
	seen := map[string]int{}
	for {
		switch c := s.peek(); {
		case c == 0:
			return closing == 0
		case c == closing:
			s.pos++
			return true
		case c == ',' || c == ';':
			s.pos++
			continue
		}
		if !s.field(md, prefix, seen) {
			return false
		}
	}
}

// field reads one name with its value.
func (s *scanner) field(md protoreflect.MessageDescriptor, prefix string, seen map[string]int) bool {
	line, name := s.line, s.name()
	if name == "" {
		return false
	}
	path := name
	if prefix != "" {
		path = prefix + "." + name
	}
	var fd protoreflect.FieldDescriptor
	if md != nil {
		if fd = md.Fields().ByTextName(name); fd == nil {
			s.unknown = append(s.unknown, Field{Path: path, Line: line})
		}
	}
	var inner protoreflect.MessageDescriptor
	if fd != nil {
		inner = fd.Message()
	}
	element := func() bool {
		at := path
		if fd != nil && fd.IsList() && inner != nil {
			at = fmt.Sprintf("%s[%d]", path, seen[name])
			seen[name]++
		}
		if fd != nil && s.lines[at] == 0 {
			s.lines[at] = s.line
		}
		return s.value(inner, at)
	}
	if s.peek() == ':' {
		s.pos++
	}
	if fd != nil && s.lines[path] == 0 {
		s.lines[path] = line
	}
	if s.peek() != '[' {
		return element()
	}
	s.pos++
	for {
		switch s.peek() {
		case 0:
			return false
		case ']':
			s.pos++
			return true
		case ',':
			s.pos++
		default:
			if !element() {
				return false
			}
		}
	}
}

// value reads a message or a scalar; a nil md with a message is one that isn't known.
func (s *scanner) value(md protoreflect.MessageDescriptor, path string) bool {
	switch s.peek() {
	case '{':
		s.pos++
		return s.message(md, path, '}')
	case '<':
		s.pos++
		return s.message(md, path, '>')
	}
	s.values[s.pos] = path
	return s.scalar()
}

// peek skips white space and comments and gives the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; c {
		case '\n':
			s.line++
			s.pos++
		case ' ', '\t', '\r', '\v', '\f':
			s.pos++
		case '#':
			n := strings.IndexByte(s.text[s.pos:], '\n')
			if n < 0 {
				s.pos = len(s.text)
				return 0
			}
			s.pos += n
		default:
			return c
		}
	}
	return 0
}

// name reads a field's name, or an extension's in brackets; "" if there is none.
func (s *scanner) name() string {
	if s.peek() == '[' {
		n := strings.IndexByte(s.text[s.pos:], ']')
		if n < 0 {
			return ""
		}
		name := s.text[s.pos : s.pos+n+1]
		s.line += strings.Count(name, "\n")
		s.pos += n + 1
		return name
	}
	begin := s.pos
	for s.pos < len(s.text) && wordByte(s.text[s.pos]) {
		s.pos++
	}
	return s.text[begin:s.pos]
}

func wordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// scalar skips a number, a word, or strings that stand side by side.
func (s *scanner) scalar() bool {
	c := s.peek()
	if c != '"' && c != '\'' {
		begin := s.pos
		for s.pos < len(s.text) && (wordByte(s.text[s.pos]) || strings.IndexByte("+-.", s.text[s.pos]) >= 0) {
			s.pos++
		}
		return s.pos > begin
	}
	for c == '"' || c == '\'' {
		s.pos++
		for {
			if s.pos >= len(s.text) || s.text[s.pos] == '\n' {
				return false
			}
			b := s.text[s.pos]
			s.pos++
			if b == c {
				break
			}
			if b == '\\' {
				s.pos++
			}
		}
		c = s.peek()
	}
	return true
}
