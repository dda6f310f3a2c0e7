// Package seal is how model files rest on disk encrypted: a container that is written and
// read as a whole, keys by version, and signatures over a version's folder.
//
// Container: a random data key encrypts the content in chunks with AES-256-GCM, and the
// newest key of a Keyring wraps the data key. A new key therefore costs a new header, not
// a new file (Rewrap). Every bit is authenticated: the header and the wrapped key by the
// wrapping, each chunk by its tag, its place and the header. No byte is given before its
// chunk has been verified, and nothing touches the disk. Open gives all or nothing; BeginFile lets
// its caller work on the first parts while the rest is decrypted, and the caller must Verify
// before anything that it made is used. Its caller can also give plaintext back that it has made its own form of, and
// have it opened again from the file, which therefore stays open.
//
//	magic[8] u16 len(key id), key id · fixed · nonce[12] wrapped data key[48] · chunks
//	fixed:  u8 codec, u32 chunk bytes, u64 content bytes, u32 chunks
//	chunk:  u32 bytes, AES-256-GCM(data key, nonce = index, aad = SHA-256(magic, fixed), index)
//
// All numbers are little-endian. Each chunk is compressed for itself, so that chunks are
// encrypted and decrypted on all cores.
//
// Neighbours: compress writes containers, repository opens them, cmd/aimass manages keys.
// Concurrency: a Keyring is read-only after it was made; a Content may be awaited, borrowed and returned by any
// number of goroutines, and is freed when none does any more; all else is free of state.
package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	goruntime "runtime"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
)

// Suffix is what a sealed file's name ends in: model.onnx.sealed.
const Suffix = ".sealed"

const (
	magic = "AIMSEAL1"
	// chunkSize is what is written: so small that what describes a model's tensors, which lies between their data, is there
	// long before these are. Others are read, too.
	chunkSize             = 64 << 10
	leastChunk, mostChunk = 4 << 10, 1 << 20
	// maxContent bounds what a header may promise before anything was verified.
	maxContent = 1 << 40

	codecNone = 0
	codecZstd = 1

	// worthPacking is the part that compression must save: unpacking takes longer than decrypting, and
	// weights that it hardly makes smaller are what most models are.
	worthPacking = 8

	fixedSize   = 1 + 4 + 8 + 4
	tagSize     = 16
	wrappedSize = 12 + 32 + tagSize
	maxID       = 256
	maxHead     = len(magic) + 2 + maxID + fixedSize + wrappedSize
)

// sealedMost is what a chunk may take: a compressor that can't make it smaller adds a little.
func sealedMost(chunk int) int { return chunk + chunk/8 }

// The reasons for which a container is refused; test with errors.Is.
var (
	ErrFormat = errors.New("not a sealed file, or cut short")
	ErrKey    = errors.New("no key opens it")
	ErrForged = errors.New("its content was changed or damaged")
)

// Is reports whether b begins as a container does.
func Is(b []byte) bool { return bytes.HasPrefix(b, []byte(magic)) }

// Seal encrypts content for the newest key, compressed where that makes it smaller.
func (r *Keyring) Seal(content []byte) ([]byte, error) { return r.seal(content, chunkSize) }

func (r *Keyring) seal(content []byte, chunk int) ([]byte, error) {
	k, err := r.newest()
	if err != nil {
		return nil, err
	}
	data := make([]byte, 32)
	if _, err := rand.Read(data); err != nil {
		return nil, err
	}
	n := (len(content) + chunk - 1) / chunk
	h := header{id: k.id, codec: codecZstd, chunk: uint32(chunk), size: uint64(len(content)), chunks: uint32(n)}
	aead, err := gcm(data)
	if err != nil {
		return nil, err
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(goruntime.GOMAXPROCS(0)))
	if err != nil {
		return nil, err
	}
	defer enc.Close()
	plain := make([][]byte, n)
	each(n, func(i int) error {
		plain[i] = enc.EncodeAll(content[i*chunk:min((i+1)*chunk, len(content))], nil)
		return nil
	})
	small := 0
	for _, p := range plain {
		small += len(p)
	}
	if small > len(content)-len(content)/worthPacking {
		h.codec = codecNone
		for i := range plain {
			plain[i] = content[i*chunk : min((i+1)*chunk, len(content))]
		}
	}
	sum := h.sum()
	sealed := make([][]byte, n)
	each(n, func(i int) error {
		sealed[i] = aead.Seal(nil, nonce(i), plain[i], aad(sum, i))
		return nil
	})
	wrapped, err := k.wrap(h, data)
	if err != nil {
		return nil, err
	}
	out := append(h.bytes(), wrapped...)
	for _, c := range sealed {
		out = binary.LittleEndian.AppendUint32(out, uint32(len(c)))
		out = append(out, c...)
	}
	return out, nil
}

// Rewrap gives the container for the newest key, its content untouched; changed is false
// where the newest key wraps it already.
func (r *Keyring) Rewrap(b []byte) (out []byte, changed bool, err error) {
	h, wrapped, at, err := parse(b, int64(len(b)))
	if err != nil {
		return nil, false, err
	}
	data, err := r.unwrap(h, wrapped)
	if err != nil {
		return nil, false, err
	}
	k, err := r.newest()
	if err != nil || k.id == h.id {
		return b, false, err
	}
	h.id = k.id
	if wrapped, err = k.wrap(h, data); err != nil {
		return nil, false, err
	}
	return append(append(h.bytes(), wrapped...), b[at:]...), true, nil
}

// KeyID is the key that a container is sealed for, as its header claims.
func KeyID(b []byte) (string, error) {
	h, _, _, err := parse(b, int64(len(b)))
	return h.id, err
}

type header struct {
	id     string
	codec  byte
	chunk  uint32
	size   uint64
	chunks uint32
}

func (h header) fixed() []byte {
	b := append(make([]byte, 0, fixedSize), h.codec)
	b = binary.LittleEndian.AppendUint32(b, h.chunk)
	b = binary.LittleEndian.AppendUint64(b, h.size)
	return binary.LittleEndian.AppendUint32(b, h.chunks)
}

// bytes is all that stands before the wrapped key.
func (h header) bytes() []byte {
	b := append([]byte(magic), byte(len(h.id)), byte(len(h.id)>>8))
	return append(append(b, h.id...), h.fixed()...)
}

func (h header) sum() [32]byte { return sha256.Sum256(append([]byte(magic), h.fixed()...)) }

// parse reads what stands before the chunks of a container of size bytes, which b begins; they
// begin at at.
func parse(b []byte, size int64) (h header, wrapped []byte, at int, err error) {
	short := func() (header, []byte, int, error) { return header{}, nil, 0, ErrFormat }
	if !Is(b) || len(b) < len(magic)+2 {
		return short()
	}
	n := int(binary.LittleEndian.Uint16(b[len(magic):]))
	at = len(magic) + 2 + n + fixedSize + wrappedSize
	if n == 0 || n > maxID || len(b) < at {
		return short()
	}
	h.id = string(b[len(magic)+2 : len(magic)+2+n])
	f := b[len(magic)+2+n:]
	h.codec, h.chunk, h.size, h.chunks = f[0], binary.LittleEndian.Uint32(f[1:]), binary.LittleEndian.Uint64(f[5:]), binary.LittleEndian.Uint32(f[13:])
	wrapped = f[fixedSize : fixedSize+wrappedSize]
	if h.codec > codecZstd || h.chunk < leastChunk || h.chunk > mostChunk || h.size > maxContent || uint64(h.chunks) != (h.size+uint64(h.chunk)-1)/uint64(h.chunk) {
		return short()
	}
	// A chunk takes its length and its tag at least: a promise beyond the file is refused
	// before memory is taken for it.
	if uint64(size-int64(at)) < uint64(h.chunks)*(lengthSize+tagSize) {
		return short()
	}
	return h, wrapped, at, nil
}

func gcm(key []byte) (cipher.AEAD, error) {
	c, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(c)
}

// nonce may be the index alone: a data key seals one content only.
func nonce(i int) []byte {
	return binary.LittleEndian.AppendUint64(make([]byte, 4, 12), uint64(i))
}

func aad(sum [32]byte, i int) []byte {
	return binary.LittleEndian.AppendUint64(sum[:], uint64(i))
}

// each calls f for 0 to n−1 on all cores and gives the first error by time.
func each(n int, f func(i int) error) error {
	var next atomic.Int64
	var first atomic.Pointer[error]
	var wg sync.WaitGroup
	for range min(n, goruntime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for first.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(i); err != nil {
					first.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	wg.Wait()
	if p := first.Load(); p != nil {
		return *p
	}
	return nil
}
