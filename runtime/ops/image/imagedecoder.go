package image

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"
)

// maxPixels bounds a picture; a few bytes can claim any size.
const maxPixels = 1 << 27

func imageDecoder() *ops.Op {
	return &ops.Op{
		Name: "ImageDecoder", Since: 20, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Str("pixel_format"),
		Shape: func(c *ops.ShapeCall) error {
			c.SetType(0, tensor.Uint8)
			_, err := channels(c.Node.Attrs.Str("pixel_format", "RGB"))
			return err
		},
		Eval: evalImageDecoder,
	}
}

func channels(format string) (int, error) {
	switch format {
	case "RGB", "BGR":
		return 3, nil
	case "Grayscale":
		return 1, nil
	}
	return 0, fmt.Errorf("pixel_format %q: expected RGB, BGR or Grayscale", format)
}

// picture is 8-bit RGB, row by row.
type picture struct {
	w, h int
	rgb  []byte
}

// codec is one file format: how it begins, its size and its pixels.
type codec struct {
	name   string
	magic  []string // "?" stands for any byte
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
	finish func(image.Image) (picture, error)
}

func codecs() []codec {
	return []codec{
		{"JPEG", []string{"\xff\xd8\xff"}, jpeg.DecodeConfig, jpeg.Decode, fromJPEG},
		{"PNG", []string{"\x89PNG\r\n\x1a\n"}, png.DecodeConfig, png.Decode, plain},
		{"BMP", []string{"BM"}, bmp.DecodeConfig, bmp.Decode, plain},
		{"TIFF", []string{"II*\x00", "MM\x00*"}, tiff.DecodeConfig, tiff.Decode, plain},
		{"WebP", []string{"RIFF????WEBP"}, webp.DecodeConfig, webp.Decode, fromWebP},
		{"PNM", []string{"P1", "P2", "P3", "P4", "P5", "P6"}, pnmConfig, pnmDecode, plain},
	}
}

func (c codec) begins(b []byte) bool {
	for _, m := range c.magic {
		ok := len(b) >= len(m)
		for i := 0; ok && i < len(m); i++ {
			ok = m[i] == '?' || m[i] == b[i]
		}
		if ok {
			return true
		}
	}
	return false
}

var errUndecodable = errors.New("the picture can't be decoded")

// decode reads a picture of any known format. errUndecodable is for bytes that are no
// whole picture, other errors for those that this program does not take.
func decode(b []byte) (picture, error) {
	if bytes.HasPrefix(b, []byte("\x00\x00\x00\x0cjP  ")) || bytes.HasPrefix(b, []byte("\xff\x4f\xff\x51")) {
		return picture{}, fmt.Errorf("JPEG 2000 pictures are not supported")
	}
	for _, c := range codecs() {
		if !c.begins(b) {
			continue
		}
		cfg, err := c.config(bytes.NewReader(b))
		if err != nil || cfg.Width < 1 || cfg.Height < 1 {
			return picture{}, errUndecodable
		}
		if cfg.Width > maxPixels/cfg.Height {
			return picture{}, fmt.Errorf("a %s picture of %d×%d pixels is beyond the limit of %d", c.name, cfg.Width, cfg.Height, maxPixels)
		}
		img, err := c.decode(bytes.NewReader(b))
		if err != nil {
			return picture{}, errUndecodable
		}
		return c.finish(img)
	}
	return picture{}, errUndecodable
}

// evalImageDecoder gives [height, width, channels]; the standard wants an empty picture
// for bytes that can't be decoded. Transparency is dropped.
func evalImageDecoder(c *ops.Call) error {
	x := c.T(0)
	if x == nil || x.DType != tensor.Uint8 || x.Rank() != 1 {
		return fmt.Errorf("expected the bytes of a picture as a uint8 tensor of rank 1, got %v", x)
	}
	format := c.Node.Attrs.Str("pixel_format", "RGB")
	n, err := channels(format)
	if err != nil {
		return err
	}
	p, err := decode(tensor.Data[uint8](x))
	if err != nil && !errors.Is(err, errUndecodable) {
		return err
	}
	y, err := c.Output(0, tensor.Uint8, tensor.Shape{p.h, p.w, n})
	if err != nil {
		return err
	}
	out := tensor.Data[uint8](y)
	switch format {
	case "RGB":
		copy(out, p.rgb)
	case "BGR":
		for i := 0; i < len(out); i += 3 {
			out[i], out[i+1], out[i+2] = p.rgb[i+2], p.rgb[i+1], p.rgb[i]
		}
	default:
		for i := range out {
			out[i] = luma(p.rgb[3*i], p.rgb[3*i+1], p.rgb[3*i+2])
		}
	}
	return nil
}

// luma weighs by ITU-R 601-2 in 16-bit fixed point.
func luma(r, g, b byte) byte {
	return byte((uint32(r)*19595 + uint32(g)*38470 + uint32(b)*7471 + 0x8000) >> 16)
}

// plain takes the pixels as the decoder gives them, without their alpha.
func plain(img image.Image) (picture, error) {
	r := img.Bounds()
	p := picture{w: r.Dx(), h: r.Dy(), rgb: make([]byte, 3*r.Dx()*r.Dy())}
	at := 0
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			c := opaque(img, x, y)
			p.rgb[at], p.rgb[at+1], p.rgb[at+2] = c.R, c.G, c.B
			at += 3
		}
	}
	return p, nil
}

// opaque is one pixel as stored, not multiplied by its alpha.
func opaque(img image.Image, x, y int) color.NRGBA {
	switch m := img.(type) {
	case *image.NRGBA:
		return m.NRGBAAt(x, y)
	case *image.RGBA:
		c := m.RGBAAt(x, y)
		if c.A == 0xff {
			return color.NRGBA(c)
		}
	case *image.Gray:
		v := m.GrayAt(x, y).Y
		return color.NRGBA{v, v, v, 0xff}
	}
	return color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
}
