package image

import (
	"bufio"
	"bytes"
	"fmt"
	"image"
	"image/color"
	"io"
)

// pnm is the header of a portable bitmap, graymap or pixmap: kinds 1 to 3 are text, 4 to
// 6 binary (netpbm's pbm, pgm and ppm).
type pnm struct {
	kind      byte
	w, h, top int
}

func readPNM(r *bufio.Reader) (p pnm, err error) {
	var magic [2]byte
	if _, err = io.ReadFull(r, magic[:]); err != nil {
		return p, err
	}
	p.kind, p.top = magic[1]-'0', 1
	for _, to := range []*int{&p.w, &p.h, &p.top} {
		if to == &p.top && (p.kind == 1 || p.kind == 4) {
			break
		}
		if *to, err = number(r); err != nil {
			return p, err
		}
	}
	if p.top < 1 || p.top > 65535 {
		return p, fmt.Errorf("a greatest value of %d", p.top)
	}
	return p, nil
}

// number reads a decimal after blanks and comments, and the one byte that ends it.
func number(r *bufio.Reader) (int, error) {
	v, digits := 0, 0
	for {
		c, err := r.ReadByte()
		switch {
		case err != nil && digits > 0 && err == io.EOF:
			return v, nil
		case err != nil:
			return 0, err
		case c >= '0' && c <= '9':
			if v = v*10 + int(c-'0'); v > 1<<30 {
				return 0, fmt.Errorf("a number beyond 2^30")
			}
			digits++
		case c == '#':
			if _, err := r.ReadString('\n'); err != nil {
				return 0, err
			}
			if digits > 0 {
				return v, nil
			}
		case c != ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\v' && c != '\f':
			return 0, fmt.Errorf("byte %q in a number", c)
		case digits > 0:
			return v, nil
		}
	}
}

func pnmConfig(r io.Reader) (image.Config, error) {
	p, err := readPNM(bufio.NewReader(r))
	return image.Config{ColorModel: color.NRGBAModel, Width: p.w, Height: p.h}, err
}

func pnmDecode(in io.Reader) (image.Image, error) {
	r := bufio.NewReader(in)
	p, err := readPNM(r)
	if err != nil {
		return nil, err
	}
	if b, ok := in.(*bytes.Reader); ok && p.least() > b.Len()+r.Buffered() {
		return nil, io.ErrUnexpectedEOF
	}
	img := image.NewNRGBA(image.Rect(0, 0, p.w, p.h))
	for y := range p.h {
		var bits byte
		for x := range p.w {
			var v [3]byte
			for i := range v {
				if i > 0 && p.kind != 3 && p.kind != 6 {
					v[i] = v[0]
					continue
				}
				if p.kind == 4 && x%8 != 0 {
					bits <<= 1
				} else if p.kind == 4 {
					if bits, err = r.ReadByte(); err != nil {
						return nil, err
					}
				}
				if v[i], err = p.sample(r, bits); err != nil {
					return nil, err
				}
			}
			img.SetNRGBA(x, y, color.NRGBA{v[0], v[1], v[2], 0xff})
		}
	}
	return img, nil
}

// least is the fewest bytes that the pixels can take: a header must not make a picture
// that is not there.
func (p pnm) least() int {
	switch p.kind {
	case 1:
		return p.w * p.h
	case 2:
		return 2*p.w*p.h - 1
	case 3:
		return 6*p.w*p.h - 1
	case 4:
		return (p.w + 7) / 8 * p.h
	}
	n := p.w * p.h
	if p.kind == 6 {
		n *= 3
	}
	if p.top > 255 {
		n *= 2
	}
	return n
}

// sample reads one value and scales it to 8 bits; bits holds a bitmap's next ones.
func (p pnm) sample(r *bufio.Reader, bits byte) (byte, error) {
	var v int
	var err error
	switch p.kind {
	case 1:
		return bit(r)
	case 4:
		return 255 * (1 - bits>>7), nil
	case 2, 3:
		v, err = number(r)
	default:
		var b byte
		if b, err = r.ReadByte(); err == nil && p.top > 255 {
			v = int(b) << 8
			b, err = r.ReadByte()
		}
		v |= int(b)
	}
	if err != nil {
		return 0, err
	}
	return byte((min(v, p.top)*255 + p.top/2) / p.top), nil
}

// bit reads one digit of a text bitmap, where 1 is black and blanks are optional.
func bit(r *bufio.Reader) (byte, error) {
	for {
		c, err := r.ReadByte()
		switch {
		case err != nil:
			return 0, err
		case c == '0':
			return 255, nil
		case c == '1':
			return 0, nil
		case c == '#':
			if _, err := r.ReadString('\n'); err != nil {
				return 0, err
			}
		case c != ' ' && c != '\t' && c != '\n' && c != '\r':
			return 0, fmt.Errorf("byte %q in a bitmap", c)
		}
	}
}
