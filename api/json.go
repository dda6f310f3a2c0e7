package api

import "unicode/utf8"

const hexDigits = "0123456789abcdef"

// AppendJSONEscaped appends s as it stands between the quotes of a JSON string (RFC 8259): quote, backslash and control
// characters escaped, each byte that is not part of valid UTF-8 replaced by U+FFFD.
func AppendJSONEscaped[T string | []byte](dst []byte, s T) []byte {
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			size := runeSize(s, i)
			if size > 1 {
				i += size
				continue
			}
			dst = append(dst, s[start:i]...)
			dst = append(dst, "\uFFFD"...)
			i++
			start = i
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	return append(dst, s[start:]...)
}

// runeSize returns the length of the valid UTF-8 sequence at s[i], 1 if there is none.
func runeSize[T string | []byte](s T, i int) int {
	var window [utf8.UTFMax]byte
	n := copy(window[:], s[i:min(len(s), i+utf8.UTFMax)])
	r, size := utf8.DecodeRune(window[:n])
	if r == utf8.RuneError {
		if size == 3 {
			return 3
		}
		return 1
	}
	return size
}
