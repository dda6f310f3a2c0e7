package book

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/aimass/aimass/appointment"
)

// The buckets of the file.
var (
	bucketDoctors  = []byte("doctors")
	bucketPatients = []byte("patients")
	bucketSlots    = []byte("slots")    // doctor 0 start → Slot
	bucketVisits   = []byte("visits")   // appointments by id
	bucketOf       = []byte("of")       // patient 0 id → nothing
	bucketKeys     = []byte("keys")     // a caller's key → id of the appointment it made
	bucketHolds    = []byte("holds")    // expiry id → nothing
	bucketAudit    = []byte("audit")    // sequence → Entry
	bucketPayments = []byte("payments") // event ids that were taken
	bucketMeta     = []byte("meta")
	buckets        = [][]byte{bucketDoctors, bucketPatients, bucketSlots, bucketVisits, bucketOf, bucketKeys, bucketHolds, bucketAudit, bucketPayments, bucketMeta}
)

// Keys of the bucket meta.
var (
	metaLast     = []byte("last")     // id of the last transaction
	metaSeen     = []byte("seen")     // the latest time
	metaExtended = []byte("extended") // the day up to which there are slots
	metaSecret   = []byte("secret")
)

// Config of a Book.
type Config struct {
	// Path of the file.
	Path string
	// Zone is the clinic's.
	Zone *time.Location
	// Hold is how long a hold lasts; default 5 minutes.
	Hold time.Duration
	// Clock, by default the machine's.
	Clock *Clock
	// Price of a visit in cents, by visit type, and the currency.
	Price    func(visitType int) int
	Currency string
	// NoSync leaves out the wait for the disk: for tests and demos, which lose the last
	// bookings if the machine stops.
	NoSync bool
}

// Book is the ledger.
type Book struct {
	c   Config
	db  *bolt.DB
	hub hub
	// fault, in tests, makes the store fail at a step.
	fault func(step string) error
	// writing is held for a transaction and the look at how it ended.
	writing sync.Mutex
	close   sync.Once
}

// Open opens or makes the file.
func Open(c Config) (*Book, error) {
	if c.Zone == nil {
		return nil, errors.New("BUG: a book without a zone")
	}
	if c.Hold == 0 {
		c.Hold = 5 * time.Minute
	}
	if c.Clock == nil {
		c.Clock = NewClock()
	}
	if c.Currency == "" {
		c.Currency = "EUR"
	}
	if c.Price == nil {
		c.Price = func(int) int { return 0 }
	}
	db, err := bolt.Open(c.Path, 0o600, &bolt.Options{Timeout: 2 * time.Second, NoSync: c.NoSync, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return nil, fmt.Errorf("the clinic's file %s: %w", c.Path, err)
	}
	b := &Book{c: c, db: db}
	if err := b.begin(); err != nil {
		return nil, errors.Join(fmt.Errorf("the clinic's file %s: %w", c.Path, err), db.Close())
	}
	return b, nil
}

// begin makes the buckets and the secret, and distrusts a clock that stands before the
// latest time in the file.
func (b *Book) begin() error {
	err := b.db.Update(func(tx *bolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		if tx.Bucket(bucketMeta).Get(metaSecret) == nil {
			secret := make([]byte, 32)
			_, _ = rand.Read(secret)
			return tx.Bucket(bucketMeta).Put(metaSecret, secret)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return b.db.View(func(tx *bolt.Tx) error {
		if seen := tx.Bucket(bucketMeta).Get(metaSeen); len(seen) == 8 {
			if last := timeOf(seen); b.c.Clock.Look().Before(last.Add(-Tolerance)) {
				b.c.Clock.distrust()
			}
		}
		return nil
	})
}

// Close closes the file and ends all subscriptions.
func (b *Book) Close() (err error) {
	b.close.Do(func() {
		b.hub.end()
		err = b.db.Close()
	})
	return err
}

// Zone is the clinic's.
func (b *Book) Zone() *time.Location { return b.c.Zone }

// Clock is the clinic's.
func (b *Book) Clock() *Clock { return b.c.Clock }

// Secret is 32 bytes that were drawn when the file was made.
func (b *Book) Secret() []byte {
	var out []byte
	_ = b.db.View(func(tx *bolt.Tx) error {
		out = append(out, tx.Bucket(bucketMeta).Get(metaSecret)...)
		return nil
	})
	return out
}

// txn is one step in progress.
type txn struct {
	*bolt.Tx
	b   *Book
	now time.Time
	who string
	// events are published once the step has been committed.
	events []Event
}

// faultAt fails where a test wants it to.
func (t *txn) faultAt(step string) error {
	if t.b.fault == nil {
		return nil
	}
	return t.b.fault(step)
}

// step runs f as one transaction, at a time that can be trusted.
func (b *Book) step(who string, f func(t *txn) error) error {
	now, err := b.c.Clock.Now()
	if err != nil {
		return err
	}
	return b.write(now, who, f)
}

// write runs f as one transaction. An error of f that is the caller's fault is returned as
// it is, a failure of the store as [appointment.CodeStoreFailed]: then nothing has
// happened.
func (b *Book) write(now time.Time, who string, f func(t *txn) error) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	var t txn
	id := newID()
	jump := b.c.Clock.jump()
	err := b.db.Update(func(tx *bolt.Tx) error {
		t = txn{Tx: tx, b: b, now: now.UTC(), who: who}
		meta := tx.Bucket(bucketMeta)
		if seen := meta.Get(metaSeen); len(seen) != 8 || timeOf(seen).Before(now) {
			if err := meta.Put(metaSeen, keyOf(now)); err != nil {
				return err
			}
		}
		if err := meta.Put(metaLast, []byte(id)); err != nil {
			return err
		}
		if err := t.shiftHolds(jump); err != nil {
			return err
		}
		if err := f(&t); err != nil {
			return err
		}
		return t.faultAt("commit")
	})
	if err == nil {
		err = t.faultAt("committed")
	}
	var known *appointment.Error
	var taken *TakenError
	switch {
	case err == nil:
	case errors.As(err, &known), errors.As(err, &taken):
		return err
	case !b.happened(id):
		return storeFailed(err)
	}
	b.c.Clock.tookJump(jump)
	b.hub.publish(t.events)
	return nil
}

// happened says whether a transaction whose commit failed has reached the file after all.
func (b *Book) happened(id string) bool {
	last := ""
	err := b.db.View(func(tx *bolt.Tx) error {
		last = string(tx.Bucket(bucketMeta).Get(metaLast))
		return nil
	})
	return err == nil && last == id && (b.c.NoSync || b.db.Sync() == nil)
}

func storeFailed(err error) error {
	return appointment.Errorf(appointment.CodeStoreFailed, "store", "%v", err)
}

// view runs f on one state of the file.
func (b *Book) view(f func(t *txn) error) error {
	err := b.db.View(func(tx *bolt.Tx) error { return f(&txn{Tx: tx, b: b}) })
	if err != nil && appointment.CodeOf(err) == "" {
		return storeFailed(err)
	}
	return err
}

// get reads a JSON value; ok is false if there is none.
func get[T any](t *txn, bucket, key []byte) (v T, ok bool, err error) {
	raw := t.Bucket(bucket).Get(key)
	if raw == nil {
		return v, false, nil
	}
	err = json.Unmarshal(raw, &v)
	return v, true, err
}

// put writes a JSON value.
func put(t *txn, bucket, key []byte, v any) error {
	if err := t.faultAt("put " + string(bucket)); err != nil {
		return err
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return t.Bucket(bucket).Put(key, raw)
}

func newID() string { return rand.Text() }

// keyOf and timeOf turn instants to keys that sort by time, to the second.
func keyOf(t time.Time) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(t.Unix())^1<<63)
}

func timeOf(key []byte) time.Time {
	return time.Unix(int64(binary.BigEndian.Uint64(key)^1<<63), 0).UTC()
}

// under is the key of something that belongs to somebody.
func under(owner string, rest []byte) []byte {
	return append(append([]byte(owner), 0), rest...)
}
