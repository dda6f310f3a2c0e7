package inferencepb

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// testdata/protocol.txt lists names, numbers and types of the public protocol as the compiled descriptors of tritonclient
// 2.73.0 give them.
func TestDescriptorIsThePublicProtocol(t *testing.T) {
	golden, err := os.ReadFile("testdata/protocol.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := sections(string(golden))
	var d dump
	for _, file := range []protoreflect.FileDescriptor{File_model_config_proto, File_inference_proto} {
		if file.Syntax() != protoreflect.Proto3 || file.Package() != "inference" {
			t.Errorf("%s: syntax %v, package %s", file.Path(), file.Syntax(), file.Package())
		}
		d.file(file)
	}
	got := sections(d.String())
	if len(want) < 100 {
		t.Fatalf("the golden list has only %d sections", len(want))
	}
	for name, body := range want {
		if got[name] != body {
			t.Errorf("%s: got\n%swant\n%s", name, got[name], body)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is not in the public protocol", name)
		}
	}
}

// sections splits the list at the lines that are not indented.
func sections(text string) map[string]string {
	m := map[string]string{}
	name := ""
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, " ") {
			name = line
			m[name] = ""
			continue
		}
		m[name] += line
	}
	return m
}

type dump struct{ strings.Builder }

func (d *dump) file(f protoreflect.FileDescriptor) {
	for i := range f.Messages().Len() {
		d.message(f.Messages().Get(i))
	}
	for i := range f.Enums().Len() {
		d.enum(f.Enums().Get(i))
	}
	for i := range f.Services().Len() {
		s := f.Services().Get(i)
		fmt.Fprintf(d, "service %s\n", s.FullName())
		for j := range s.Methods().Len() {
			m := s.Methods().Get(j)
			fmt.Fprintf(d, "  %s %s%s -> %s%s\n", m.Name(), stream(m.IsStreamingClient()), m.Input().FullName(),
				stream(m.IsStreamingServer()), m.Output().FullName())
		}
	}
}

func stream(is bool) string {
	if is {
		return "stream "
	}
	return ""
}

func (d *dump) message(m protoreflect.MessageDescriptor) {
	if m.IsMapEntry() {
		return
	}
	fmt.Fprintf(d, "message %s\n", m.FullName())
	var fields []protoreflect.FieldDescriptor
	for i := range m.Fields().Len() {
		fields = append(fields, m.Fields().Get(i))
	}
	slices.SortFunc(fields, func(a, b protoreflect.FieldDescriptor) int { return cmp.Compare(a.Number(), b.Number()) })
	for _, f := range fields {
		fmt.Fprintf(d, "  %d %s ", f.Number(), f.Name())
		switch {
		case f.IsMap():
			fmt.Fprintf(d, "map<%s,%s>", kind(f.MapKey()), kind(f.MapValue()))
		case f.IsList():
			fmt.Fprintf(d, "repeated %s", kind(f))
		default:
			d.WriteString(kind(f))
		}
		if o := f.ContainingOneof(); o != nil {
			fmt.Fprintf(d, " oneof %s", o.Name())
		}
		d.WriteByte('\n')
	}
	for i := range m.Messages().Len() {
		d.message(m.Messages().Get(i))
	}
	for i := range m.Enums().Len() {
		d.enum(m.Enums().Get(i))
	}
}

func (d *dump) enum(e protoreflect.EnumDescriptor) {
	fmt.Fprintf(d, "enum %s\n", e.FullName())
	for i := range e.Values().Len() {
		v := e.Values().Get(i)
		fmt.Fprintf(d, "  %d %s\n", v.Number(), v.Name())
	}
}

func kind(f protoreflect.FieldDescriptor) string {
	switch f.Kind() {
	case protoreflect.MessageKind:
		return string(f.Message().FullName())
	case protoreflect.EnumKind:
		return string(f.Enum().FullName())
	}
	return f.Kind().String()
}
