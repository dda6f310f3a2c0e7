package seal

import (
	"bytes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	goruntime "runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/klauspost/compress/zstd"
)

// Open decrypts a container. The error is of the kinds above and says which key is missing;
// no content is given before all of it was verified.
func (r *Keyring) Open(b []byte) ([]byte, error) {
	o, err := r.begin(bytes.NewReader(b), int64(len(b)), func(n int) ([]byte, error) { return make([]byte, n), nil })
	if err != nil {
		return nil, err
	}
	o.help()
	err = o.finish()
	o.release()
	if err != nil {
		clear(o.out)
		return nil, err
	}
	return o.out, nil
}

// Content is what a container holds, in memory of its own that is in no core dump.
type Content struct {
	// Bytes hold zeros where they have not been verified, and where Return has let go of them: only parts that were
	// awaited, or are borrowed, may be read.
	Bytes []byte
	o     *opening
	free  func()
}

// OpenFile is Open for a file, which is read piece by piece on all cores.
func (r *Keyring) OpenFile(path string) (*Content, error) {
	c, err := r.BeginFile(path)
	if err != nil {
		return nil, err
	}
	if err := c.Verify(); err != nil {
		c.Free()
		return nil, err
	}
	return c, nil
}

// BeginFile verifies a file's key and header, and has other cores decrypt its chunks from there
// on. The caller reads parts of Bytes that it has awaited, and must call Verify before it relies on
// what it has read, since a later chunk may turn out to be forged.
func (r *Keyring) BeginFile(path string) (*Content, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	c := &Content{}
	var drop func(from, to int) error
	c.o, err = r.begin(f, st.Size(), func(n int) (b []byte, err error) {
		b, c.free, drop, err = private(n)
		return b, err
	})
	if err != nil {
		_ = f.Close()
		c.Free()
		return nil, err
	}
	c.Bytes, c.o.file = c.o.out, f
	if unitBytes%c.o.size == 0 {
		c.o.drop = drop
	}
	c.o.help()
	return c, nil
}

// Await returns when a part of Bytes has been verified, which may be read from then on until Free. If the opening fails on
// the way that is what Verify tells, and zeros are there. The error, possible only where somebody has returned
// the part before, says that it can't be opened again. Memory that is no part of Bytes is there already.
func (c *Content) Await(part []byte) error {
	from, to := c.chunks(part)
	return c.o.ask(from, to, true)
}

// Borrow is Await for a reader who is done at some time: Return must follow, unless there is an error.
func (c *Content) Borrow(part []byte) error {
	from, to := c.chunks(part)
	err := c.o.ask(from, to, false)
	if err != nil {
		c.o.giveBack(from, to)
	}
	return err
}

// Return ends a Borrow of the same part, which its borrower must not read any more. Memory that nobody
// borrows and nobody has awaited is given back to the system; who asks for it again has it decrypted, and its
// tags verified, again.
func (c *Content) Return(part []byte) {
	from, to := c.chunks(part)
	c.o.giveBack(from, to)
}

// chunks are those that a part of Bytes lies in.
func (c *Content) chunks(part []byte) (from, to int) {
	if len(part) == 0 || len(c.Bytes) == 0 {
		return 0, 0
	}
	at, base := uintptr(unsafe.Pointer(unsafe.SliceData(part))), uintptr(unsafe.Pointer(unsafe.SliceData(c.Bytes)))
	if at < base || at >= base+uintptr(len(c.Bytes)) {
		return 0, 0
	}
	off := int(at - base)
	return off / c.o.size, (min(off+len(part), len(c.Bytes))-1)/c.o.size + 1
}

// Verify waits until all of it was open once. The error says that it can't be read or is not what was sealed.
func (c *Content) Verify() error { return c.o.finish() }

// Free gives the memory back; Bytes must not be used any more.
func (c *Content) Free() {
	if c.o != nil {
		c.o.fail(errFreed)
		c.o.release()
	}
	if c.free != nil {
		c.free()
	}
	c.Bytes, c.free = nil, nil
}

// unitBytes is how much a helper opens in a row, which fills a large page: where two write to a new page at
// once, the kernel clears one for each and throws one away. It is also how much is given back at a time, since
// the system has a large page back only whole.
const unitBytes = 2 << 20

// The states of a chunk. What is no longer sealed has been verified.
const (
	sealedChunk = iota
	takenChunk
	openChunk
	droppedChunk // its memory was given back
)

// use is who may read a chunk. Its state changes from open to dropped under the lock that guards this, so that who has
// entered himself here before he looks at the state finds what he waited for as long as he stays.
type use struct {
	borrowers int32
	held      bool // for good
	done      bool // was borrowed and returned
}

// opening is one container's way from sealed to open. Chunks are taken by whoever comes first: those
// who wait for one, and helpers, who go ahead of them. Nobody takes a chunk that was dropped but who has
// entered himself in its use.
type opening struct {
	from    io.ReaderAt
	file    *os.File // from, where that is to be closed
	size    int      // of a chunk
	chunks  []span
	sum     [32]byte
	aead    cipher.AEAD
	dec     *zstd.Decoder // nil for content that is not compressed
	buffers sync.Pool
	out     []byte

	states  []atomic.Uint32
	wanted  atomic.Int64 // the chunk after the last that somebody waited for
	failed  atomic.Pointer[error]
	lost    atomic.Pointer[error] // the first of those who opened again what was dropped
	helpers sync.WaitGroup
	mu      sync.Mutex // for opened, and uses
	opened  sync.Cond  // a chunk was, or is dropped again, or the opening has failed
	uses    []use
	drop    func(from, to int) error // gives bytes of out back, whole units; nil where that can't be done

	released sync.Once
}

// begin reads all that comes before the first chunk. alloc gives the memory for the content.
func (r *Keyring) begin(from io.ReaderAt, size int64, alloc func(n int) ([]byte, error)) (*opening, error) {
	head := make([]byte, min(size, int64(maxHead)))
	if err := readAt(from, head, 0); err != nil {
		return nil, err
	}
	h, wrapped, at, err := parse(head, size)
	if err != nil {
		return nil, err
	}
	data, err := r.unwrap(h, wrapped)
	if err != nil {
		return nil, err
	}
	o := &opening{from: from, size: int(h.chunk), sum: h.sum()}
	o.opened.L = &o.mu
	o.buffers.New = func() any { return make([]byte, lengthSize+sealedMost(o.size)) }
	if o.chunks, err = split(from, int64(at), size, h); err != nil {
		return nil, err
	}
	if o.aead, err = gcm(data); err != nil {
		return nil, err
	}
	if o.out, err = alloc(int(h.size)); err != nil {
		return nil, err
	}
	o.states, o.uses = make([]atomic.Uint32, len(o.chunks)), make([]use, len(o.chunks))
	if h.codec == codecZstd {
		o.dec, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(goruntime.GOMAXPROCS(0)), zstd.WithDecoderMaxMemory(uint64(h.chunk)))
	}
	return o, err
}

// help starts helpers for the cores that the caller does not run on.
func (o *opening) help() {
	for range min(o.units(), max(goruntime.GOMAXPROCS(0)-1, 1)) {
		o.helpers.Go(func() {
			ahead := queue{o: o}
			for ahead.open() {
			}
		})
	}
}

// perUnit is the number of chunks in a unit.
func (o *opening) perUnit() int { return max(unitBytes/o.size, 1) }

func (o *opening) units() int { return (len(o.chunks) + o.perUnit() - 1) / o.perUnit() }

// queue walks through the units in which there are chunks that nobody has taken: on from where somebody waited last, and then
// from the start.
type queue struct {
	o            *opening
	wanted, next int
	seen         int // units since the last change of wanted
}

// open opens what nobody has taken of the next unit and reports whether there was anything.
func (q *queue) open() bool {
	per, units := q.o.perUnit(), q.o.units()
	for q.o.failed.Load() == nil {
		if w := int(q.o.wanted.Load()) / per; w != q.wanted {
			q.wanted, q.next, q.seen = w, w, 0
		}
		if q.seen == units {
			return false
		}
		u := q.next % units
		q.next, q.seen = u+1, q.seen+1
		took := false
		for i := u * per; i < min((u+1)*per, len(q.o.chunks)); i++ {
			took = q.o.take(i) || took
		}
		if took {
			return true
		}
	}
	return false
}

// ask is Await, to hold, or Borrow.
func (o *opening) ask(from, to int, hold bool) error {
	if from == to {
		return nil
	}
	o.mu.Lock()
	for i := from; i < to; i++ {
		if u := &o.uses[i]; hold {
			u.held = true
		} else {
			u.borrowers++
		}
	}
	o.mu.Unlock()
	o.await(from, to)
	for i := from; i < to; i++ {
		if err := o.again(i); err != nil {
			return err
		}
	}
	return nil
}

// await returns when the chunks have been opened, or the opening has failed. It opens those that nobody has
// taken yet. Where a few of them are read says nothing of where their reader goes on.
func (o *opening) await(from, to int) {
	if to-from > o.perUnit()/2 {
		o.wanted.Store(int64(to))
	}
	for i := from; i < to && o.failed.Load() == nil; i++ {
		o.take(i)
	}
	for i := from; i < to; i++ {
		o.settled(i)
	}
}

// settled waits while a chunk is sealed or taken, unless the opening has failed, and gives its state.
func (o *opening) settled(i int) uint32 {
	s := o.states[i].Load()
	if s == openChunk || s == droppedChunk {
		return s
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		if s = o.states[i].Load(); s == openChunk || s == droppedChunk || o.failed.Load() != nil {
			return s
		}
		o.opened.Wait()
	}
}

// take opens a chunk unless somebody has taken it.
func (o *opening) take(i int) bool {
	if !o.states[i].CompareAndSwap(sealedChunk, takenChunk) {
		return false
	}
	if err := o.chunk(i, o.place(i)); err != nil {
		o.fail(err)
		return true
	}
	o.becomes(i, openChunk)
	return true
}

// again opens a chunk that was dropped, for a caller who has entered himself in its use. Others who wait for it try
// for themselves if it can't be opened.
func (o *opening) again(i int) error {
	for o.failed.Load() == nil && o.settled(i) == droppedChunk {
		if !o.states[i].CompareAndSwap(droppedChunk, takenChunk) {
			continue
		}
		if err := o.chunk(i, o.place(i)); err != nil {
			o.lost.CompareAndSwap(nil, &err)
			o.becomes(i, droppedChunk)
			return err
		}
		o.becomes(i, openChunk)
	}
	return nil
}

// place is where a chunk's content belongs.
func (o *opening) place(i int) []byte { return o.out[i*o.size : min((i+1)*o.size, len(o.out))] }

func (o *opening) becomes(i int, state uint32) {
	o.mu.Lock()
	o.states[i].Store(state)
	o.opened.Broadcast()
	o.mu.Unlock()
}

// giveBack is Return.
func (o *opening) giveBack(from, to int) {
	if from == to {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := from; i < to; i++ {
		o.uses[i].borrowers--
		o.uses[i].done = true
	}
	if o.drop == nil {
		return
	}
	per := o.perUnit()
	last := (to + per - 1) / per
	for u := from / per; u < last; {
		end := u
		for end < last && o.idle(end) {
			end++
		}
		// Where the system refuses that costs memory and nothing else.
		if end > u && o.drop(u*unitBytes, end*unitBytes) == nil {
			for i := u * per; i < min(end*per, len(o.chunks)); i++ {
				o.states[i].Store(droppedChunk)
			}
		}
		u = end + 1
	}
}

// idle reports a unit that there is no reader for, and that was read. The lock is held, and nobody takes a chunk of it
// meanwhile: none of them is sealed, and who opens one again has entered himself.
func (o *opening) idle(unit int) bool {
	there := false
	for i := unit * o.perUnit(); i < min((unit+1)*o.perUnit(), len(o.chunks)); i++ {
		s := o.states[i].Load()
		if u := o.uses[i]; u.borrowers > 0 || u.held || !u.done || s != openChunk && s != droppedChunk {
			return false
		}
		there = there || s == openChunk
	}
	return there
}

func (o *opening) fail(err error) {
	o.mu.Lock()
	o.failed.CompareAndSwap(nil, &err)
	o.opened.Broadcast()
	o.mu.Unlock()
}

// finish opens all that nobody has taken, and waits for the rest.
func (o *opening) finish() error {
	o.await(0, len(o.chunks))
	o.helpers.Wait() // who have nothing left to do
	for _, p := range []*error{o.failed.Load(), o.lost.Load()} {
		if p != nil {
			return *p
		}
	}
	return nil
}

// errFreed ends the opening of a content that is freed.
var errFreed = errors.New("the content was freed")

// release waits for the helpers, which have nothing left to do, and lets go of what it takes to open chunks.
func (o *opening) release() {
	o.helpers.Wait()
	o.released.Do(func() {
		if o.dec != nil {
			o.dec.Close()
		}
		if o.file != nil {
			_ = o.file.Close()
		}
	})
}

// chunk decrypts one chunk to its place. Between the file and there it passes through a buffer that
// stays in the core's cache, and that nobody else can write: the cipher reads each byte twice, for the
// tag and for the text, so a mapping of the file could give text that the tag was not checked for.
func (o *opening) chunk(i int, to []byte) error {
	b := o.buffers.Get().([]byte)
	defer o.buffers.Put(b)
	sealed := b[:lengthSize+o.chunks[i].n]
	if err := readAt(o.from, sealed, o.chunks[i].at-lengthSize); err != nil {
		return err
	}
	if n := binary.LittleEndian.Uint32(sealed); int(n) != o.chunks[i].n {
		return fmt.Errorf("%w: chunk %d is said to have %d bytes", ErrFormat, i+1, n)
	}
	sealed = sealed[lengthSize:]
	forged := fmt.Errorf("%w: chunk %d of %d", ErrForged, i+1, len(o.chunks))
	if o.dec == nil {
		if _, err := o.aead.Open(to[:0:len(to)], nonce(i), sealed, aad(o.sum, i)); err != nil {
			clear(to)
			return forged
		}
		return nil
	}
	packed, err := o.aead.Open(sealed[:0], nonce(i), sealed, aad(o.sum, i))
	if err != nil {
		return forged
	}
	got, err := o.dec.DecodeAll(packed, to[:0:len(to)])
	clear(packed)
	if err != nil || len(got) != len(to) {
		clear(to)
		return fmt.Errorf("%w: chunk %d does not unpack to %d bytes", ErrFormat, i+1, len(to))
	}
	return nil
}

// readAt reads the whole of b; a file that ends before was cut short.
func readAt(from io.ReaderAt, b []byte, at int64) error {
	n, err := from.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == io.EOF {
		return ErrFormat
	}
	return err
}

// span is where a chunk lies, behind the four bytes that say its length.
type span struct {
	at int64
	n  int
}

const lengthSize = 4

// split finds the chunks. Where none is compressed their lengths are known, and are looked at when they are read.
func split(from io.ReaderAt, at, size int64, h header) ([]span, error) {
	out := make([]span, h.chunks)
	var b [lengthSize]byte
	for i := range out {
		n := int64(min(uint64(h.chunk), h.size-uint64(i)*uint64(h.chunk))) + tagSize
		if h.codec != codecNone {
			if err := readAt(from, b[:], at); err != nil {
				return nil, err
			}
			n = int64(binary.LittleEndian.Uint32(b[:]))
		}
		if at += lengthSize; n > size-at || n > int64(sealedMost(int(h.chunk))) {
			return nil, ErrFormat
		}
		out[i] = span{at, int(n)}
		at += n
	}
	if at != size {
		return nil, fmt.Errorf("%w: %d bytes after its end", ErrFormat, size-at)
	}
	return out, nil
}
