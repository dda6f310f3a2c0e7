//go:build !linux

package seal

// private gives zeroed memory for plaintext, which stays until the content is freed.
func private(n int) (b []byte, free func(), drop func(from, to int) error, err error) {
	return make([]byte, n), nil, nil, nil
}
