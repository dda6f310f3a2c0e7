package image

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
)

func eval(b []byte, format string) (*tensor.Tensor, error) {
	x := tensor.New(tensor.Uint8, tensor.Shape{len(b)})
	copy(tensor.Data[uint8](x), b)
	n := &graph.Node{Op: "ImageDecoder", Opset: 20, Attrs: graph.Attrs{}, Out: []*graph.Value{{}}}
	if format != "" {
		n.Attrs["pixel_format"] = graph.StrAttr(format)
	}
	c := &ops.Call{Node: n, In: []tensor.Value{x}, Out: make([]tensor.Value, 1)}
	if err := imageDecoder().Eval(c); err != nil {
		return nil, err
	}
	return c.Out[0].(*tensor.Tensor), nil
}

// sample is a picture with every value different from its neighbours'.
func sample(w, h int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.SetNRGBA(x, y, color.NRGBA{byte(7*x + y), byte(3*x + 11*y), byte(5*x - 2*y), 0xff})
		}
	}
	return m
}

func encoded(t *testing.T, m *image.NRGBA) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	add := func(name string, err error, b *bytes.Buffer) {
		if err != nil {
			t.Fatal(err)
		}
		out[name] = b.Bytes()
	}
	var p, b, f bytes.Buffer
	add("png", png.Encode(&p, m), &p)
	add("bmp", bmp.Encode(&b, m), &b)
	add("tiff", tiff.Encode(&f, m, nil), &f)
	r := m.Bounds()
	bin := fmt.Sprintf("P6\n# made by a test\n%d %d\n255\n", r.Dx(), r.Dy())
	text, wide := fmt.Sprintf("P3 %d %d 255\n", r.Dx(), r.Dy()), fmt.Sprintf("P6 %d %d 65535\n", r.Dx(), r.Dy())
	for y := range r.Dy() {
		for x := range r.Dx() {
			c := m.NRGBAAt(x, y)
			bin += string([]byte{c.R, c.G, c.B})
			wide += string([]byte{c.R, c.R, c.G, c.G, c.B, c.B})
			text += fmt.Sprintf("%d %d\t%d\n", c.R, c.G, c.B)
		}
	}
	out["ppm"], out["text ppm"], out["16-bit ppm"] = []byte(bin), []byte(text), []byte(wide)
	return out
}

func TestLossless(t *testing.T) {
	const w, h = 13, 7
	m := sample(w, h)
	for name, b := range encoded(t, m) {
		for _, format := range []string{"", "RGB", "BGR", "Grayscale"} {
			y, err := eval(b, format)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			n, _ := channels(y0(format))
			if !y.Shape.Equal(tensor.Shape{h, w, n}) {
				t.Fatalf("%s %s: shape %v", name, format, y.Shape)
			}
			for i := range h * w {
				c := m.NRGBAAt(i%w, i/w)
				want := []byte{c.R, c.G, c.B}
				switch format {
				case "BGR":
					want = []byte{c.B, c.G, c.R}
				case "Grayscale":
					want = []byte{byte((299*int(c.R) + 587*int(c.G) + 114*int(c.B) + 500) / 1000)}
				}
				got := tensor.Data[uint8](y)[i*n : (i+1)*n]
				for k := range want {
					if d := int(got[k]) - int(want[k]); d != 0 && (format != "Grayscale" || d*d > 1) {
						t.Fatalf("%s %s: pixel %d is %v, want %v", name, format, i, got, want)
					}
				}
			}
		}
	}
}

func y0(format string) string {
	if format == "" {
		return "RGB"
	}
	return format
}

func TestBitmaps(t *testing.T) {
	for name, b := range map[string]string{
		"binary": "P4 10 2\n\x80\x40\x01\x80",
		"text":   "P1\n10 2\n1000000001 00000001 10\n",
	} {
		y, err := eval([]byte(b), "Grayscale")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := ""
		for _, v := range tensor.Data[uint8](y) {
			got += map[byte]string{0: "1", 255: "0"}[v]
		}
		if want := "10000000010000000110"; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	y, err := eval([]byte("P5 2 1 100\n\x32\x64"), "Grayscale")
	if err != nil || tensor.Data[uint8](y)[0] != 128 || tensor.Data[uint8](y)[1] != 255 {
		t.Errorf("graymap with a greatest value of 100: %v, %v", y, err)
	}
}

// A slope of chroma must come out as a slope: repeated samples would be off by a quarter
// of the step between samples, 4 here.
func TestChromaIsInterpolated(t *testing.T) {
	m := image.NewYCbCr(image.Rect(0, 0, 32, 32), image.YCbCrSubsampleRatio420)
	for i := range m.Y {
		m.Y[i] = 128
	}
	for i := range m.Cb {
		m.Cb[i], m.Cr[i] = 128, byte(100+i%m.CStride*4)
	}
	p, err := fromJPEG(m)
	if err != nil {
		t.Fatal(err)
	}
	for x := 1; x < 31; x++ {
		cr := 100 + (float64(x)-0.5)/2*4
		if d := float64(p.rgb[3*(16*32+x)]) - (128 + 1.402*(cr-128)); d > 2 || d < -2 {
			t.Errorf("column %d: red is off by %v", x, d)
		}
	}
}

func TestJPEGStaysNear(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {2, 3}, {5, 5}, {16, 16}, {33, 17}} {
		m := image.NewNRGBA(image.Rect(0, 0, size[0], size[1]))
		for y := range size[1] {
			for x := range size[0] {
				m.SetNRGBA(x, y, color.NRGBA{byte(100 + x), byte(90 + y), byte(120 - x), 0xff})
			}
		}
		var b bytes.Buffer
		if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 98}); err != nil {
			t.Fatal(err)
		}
		y, err := eval(b.Bytes(), "RGB")
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range tensor.Data[uint8](y) {
			if d := int(v) - int(m.Pix[i/3*4+i%3]); d > 8 || d < -8 {
				t.Errorf("%v: sample %d is off by %d", size, i, d)
			}
		}
	}
}

func TestHostile(t *testing.T) {
	for name, b := range encoded(t, sample(9, 9)) {
		for n := range len(b) {
			if y, err := eval(b[:n], ""); err != nil || y.Elements() != 0 && !y.Shape.Equal(tensor.Shape{9, 9, 3}) {
				t.Fatalf("%s cut to %d of %d bytes gave %v, %v", name, n, len(b), y, err)
			}
		}
		r := rand.New(rand.NewPCG(1, 2))
		for range 300 {
			c := bytes.Clone(b)
			for range 1 + r.IntN(4) {
				c[r.IntN(min(len(c), 80))] = byte(r.Uint32())
			}
			if y, err := eval(c, ""); err == nil && y.Elements() > 3*maxPixels {
				t.Fatalf("%s: %v", name, y)
			}
		}
	}
	for _, b := range []string{"P6 99999999 99999999 255\n", "P6 1000000 1000000 255\n"} {
		if _, err := eval([]byte(b), ""); err == nil || !strings.Contains(err.Error(), "beyond the limit") {
			t.Errorf("%q: %v", b, err)
		}
	}
	for _, b := range []string{"", "P6", "P6 2 2", "P6 0 0 255\n", "GIF89a", "\xff\xd8\xff", "P6 2 2 0\n1234"} {
		y, err := eval([]byte(b), "")
		if err != nil || !y.Shape.Equal(tensor.Shape{0, 0, 3}) {
			t.Errorf("%q: expected an empty picture, got %v, %v", b, y, err)
		}
	}
	if _, err := eval([]byte("\x00\x00\x00\x0cjP  \r\n\x87\n"), ""); err == nil || !strings.Contains(err.Error(), "JPEG 2000") {
		t.Errorf("JPEG 2000: %v", err)
	}
	if _, err := eval(nil, "CMYK"); err == nil {
		t.Error("an unknown pixel format was taken")
	}
}
