package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/api/inferencepb"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// FileName is the configuration's name in a model's folder.
const FileName = "config.pbtxt"

// maxText bounds a configuration's text.
const maxText = 4 << 20

// Field is a place in a configuration.
type Field struct {
	Path string // "input[0].dims"
	Line int    // from 1; 0 where the text has no lines to tell (JSON)
}

// String prints "config.pbtxt line 3: input[0].dims".
func (f Field) String() string {
	if f.Line == 0 {
		return "config: " + f.Path
	}
	return fmt.Sprintf("%s line %d: %s", FileName, f.Line, f.Path)
}

// File is a configuration as written, nothing derived. It does not change.
type File struct {
	Proto *inferencepb.ModelConfig
	// Unknown lists the fields that the protocol does not have.
	Unknown []Field
	lines   map[string]int
	isJSON  bool
}

// Has reports whether a field is written, be it with its zero value: "max_batch_size".
func (f *File) Has(path string) bool { return f != nil && f.lines[path] > 0 }

// At names the place of a field for messages, or of the nearest field around it.
func (f *File) At(path string) Field {
	at := Field{Path: path}
	if f.isJSON {
		return at
	}
	for path != "" && f.lines[path] == 0 {
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	at.Line = max(f.lines[path], 1)
	return at
}

// invalid makes the error of a field.
func (f *File) invalid(path, format string, args ...any) error {
	return api.Errorf(api.CodeConfigInvalid, "%v: %s", f.At(path), fmt.Sprintf(format, args...))
}

// Parse reads config.pbtxt. Unknown fields are left out and listed; anything else that
// is wrong is an error that names the line.
func Parse(text []byte) (*File, error) {
	if len(text) > maxText {
		return nil, api.Errorf(api.CodeConfigInvalid, "%s has %d bytes, the limit is %d", FileName, len(text), maxText)
	}
	f := &File{Proto: &inferencepb.ModelConfig{}}
	s := scanner{text: string(text)}
	if err := s.scan(f.Proto.ProtoReflect().Descriptor()); err != nil {
		return nil, api.Errorf(api.CodeConfigInvalid, "%s: %w", FileName, err)
	}
	if err := (prototext.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(text, f.Proto); err != nil {
		return nil, api.Errorf(api.CodeConfigInvalid, "%s: %s%s", FileName, parserText(err), s.fieldAt(err))
	}
	f.lines, f.Unknown = s.lines, s.unknown
	return f, nil
}

// ParseJSON reads a configuration that a load request brings.
func ParseJSON(text []byte) (*File, error) {
	if len(text) > maxText {
		return nil, api.Errorf(api.CodeConfigInvalid, "the config has %d bytes, the limit is %d", len(text), maxText)
	}
	f := &File{Proto: &inferencepb.ModelConfig{}, isJSON: true, lines: map[string]int{}}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(text, f.Proto); err != nil {
		return nil, api.Errorf(api.CodeConfigInvalid, "config: %s", parserText(err))
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		return nil, api.Errorf(api.CodeConfigInvalid, "config: %w", err)
	}
	f.walkJSON(f.Proto.ProtoReflect().Descriptor(), "", tree)
	return f, nil
}

// walkJSON notes which fields are there and which the schema lacks.
func (f *File) walkJSON(md protoreflect.MessageDescriptor, prefix string, tree any) {
	obj, ok := tree.(map[string]any)
	if !ok {
		return
	}
	names := make([]string, 0, len(obj))
	for name := range obj {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fd := md.Fields().ByJSONName(name)
		if fd == nil {
			fd = md.Fields().ByTextName(name)
		}
		if fd == nil {
			f.Unknown = append(f.Unknown, Field{Path: join(prefix, name)})
			continue
		}
		path := join(prefix, fd.TextName())
		if obj[name] != nil {
			f.lines[path] = 1
		}
		inner := fd.Message()
		switch v := obj[name].(type) {
		case []any:
			for i, x := range v {
				if inner != nil {
					f.walkJSON(inner, fmt.Sprintf("%s[%d]", path, i), x)
				}
			}
		case map[string]any:
			if fd.IsMap() {
				if inner = fd.MapValue().Message(); inner == nil {
					continue
				}
				for key, x := range v {
					f.walkJSON(inner, fmt.Sprintf("%s[%s]", path, key), x)
				}
			} else if inner != nil {
				f.walkJSON(inner, path, v)
			}
		}
	}
}

func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}

// place is how the parser names one.
var place = regexp.MustCompile(`\(line (\d+):(\d+)\)`)

// fieldAt says which field's value the parser's error is about, "" if none.
func (s *scanner) fieldAt(err error) string {
	m := place.FindStringSubmatch(err.Error())
	if m == nil {
		return ""
	}
	line, _ := strconv.Atoi(m[1])
	column, _ := strconv.Atoi(m[2])
	at := 0
	for ; line > 1; line-- {
		at += strings.IndexByte(s.text[at:], '\n') + 1
	}
	if path := s.values[at+column-1]; path != "" {
		return " (field " + path + ")"
	}
	return ""
}

// parserText cleans a message of the protobuf parsers, which mark theirs with a prefix
// and vary the space after it on purpose.
func parserText(err error) string {
	s := strings.ReplaceAll(err.Error(), "\u00a0", " ")
	return strings.TrimSpace(strings.TrimPrefix(s, "proto:"))
}
