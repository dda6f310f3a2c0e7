package seal

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/aimass/aimass/internal/child"
)

// Keyring holds the keys that containers are sealed for, the newest last.
type Keyring struct{ keys []key }

type key struct {
	id     string
	secret []byte
}

// LoadKeyring reads a keyring. The source is one of
//
//	file:PATH      a file that its owner alone can read
//	env:NAME       an environment variable
//	command:LINE   what a program prints within 30 s: the way to a key service (its words are
//	               split at spaces, no shell reads it)
//
// and gives lines of a key's name and its 32 bytes in base64, the newest last; empty lines
// and lines that begin with # count for nothing. Errors never hold a key.
func LoadKeyring(source string) (*Keyring, error) {
	kind, where, ok := strings.Cut(source, ":")
	if !ok || where == "" {
		return nil, fmt.Errorf("key source: expected file:PATH, env:NAME or command:LINE, got %q", source)
	}
	var b []byte
	switch kind {
	case "file":
		st, err := os.Stat(where)
		if err != nil {
			return nil, fmt.Errorf("key file: %w", err)
		}
		if st.Mode().Perm()&0o077 != 0 {
			return nil, fmt.Errorf("key file %s may be read by others (mode %o): chmod 600 it", where, st.Mode().Perm())
		}
		if b, err = os.ReadFile(where); err != nil {
			return nil, fmt.Errorf("key file: %w", err)
		}
	case "env":
		v, set := os.LookupEnv(where)
		if !set {
			return nil, fmt.Errorf("key source: the environment has no %s", where)
		}
		b = []byte(v)
	case "command":
		var err error
		if b, err = runKeyCommand(where, keyPatience); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("key source: expected file:PATH, env:NAME or command:LINE, got %q", source)
	}
	r, err := ParseKeyring(bytes.NewReader(b))
	if err != nil {
		if kind == "command" {
			where = strings.Fields(where)[0] // what the program is given may be secret
		}
		return nil, fmt.Errorf("key source %s:%s: %w", kind, where, err)
	}
	return r, nil
}

// keyPatience is how long a key command may take, mostKeys how many bytes it may print.
const (
	keyPatience = 30 * time.Second
	mostKeys    = 1 << 20
)

// runKeyCommand gives what a key service's program prints.
func runKeyCommand(line string, patience time.Duration) ([]byte, error) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return nil, fmt.Errorf("key command: it is empty")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, msg := limited{cancel: cancel}, limited{cancel: cancel}
	c := exec.CommandContext(ctx, words[0], words[1:]...)
	c.Stdout, c.Stderr, c.WaitDelay = &out, &msg, time.Second
	p, err := child.Start(c, child.Options{Spare: true})
	if err == nil {
		err = p.Wait()
	}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = fmt.Errorf("it did not end within %v", patience)
	case ctx.Err() != nil:
		err = fmt.Errorf("it printed more than %d bytes", mostKeys)
	case errors.Is(err, exec.ErrWaitDelay):
		err = nil // it ended well; what it left running keeps its output open
	}
	if err == nil {
		return out.buf.Bytes(), nil
	}
	if text := firstLine(msg.buf.String()); text != "" {
		return nil, fmt.Errorf("key command %s: %w: %s", words[0], err, text)
	}
	return nil, fmt.Errorf("key command %s: %w", words[0], err)
}

// limited is a buffer that cancels what writes too much into it.
type limited struct {
	buf    bytes.Buffer
	cancel context.CancelFunc
}

func (l *limited) Write(b []byte) (int, error) {
	if l.buf.Len()+len(b) > mostKeys {
		l.cancel()
		return len(b), nil
	}
	return l.buf.Write(b)
}

// ParseKeyring reads a keyring's lines.
func ParseKeyring(in io.Reader) (*Keyring, error) {
	r := &Keyring{}
	sc := bufio.NewScanner(in)
	for line := 1; sc.Scan(); line++ {
		text := strings.TrimSpace(sc.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		id, secret, ok := strings.Cut(text, " ")
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(secret))
		if !ok || err != nil || len(raw) != 32 || len(id) > maxID {
			return nil, fmt.Errorf("keys, line %d: expected a name and 32 bytes in base64", line)
		}
		for _, k := range r.keys {
			if k.id == id {
				return nil, fmt.Errorf("keys, line %d: the key %q is there twice", line, id)
			}
		}
		r.keys = append(r.keys, key{id, raw})
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("keys: expected lines of a name and 32 bytes in base64: %w", err)
	}
	if len(r.keys) == 0 {
		return nil, fmt.Errorf("keys: there are none")
	}
	return r, nil
}

// NewKey gives the line of a fresh key.
func NewKey(id string) (string, error) {
	if id == "" || len(id) > maxID || strings.ContainsAny(id, " \t\r\n#") {
		return "", fmt.Errorf("key name: expected 1 to %d characters without spaces and #, got %q", maxID, id)
	}
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		return "", err
	}
	return id + " " + base64.StdEncoding.EncodeToString(raw) + "\n", nil
}

// IDs lists the keys' names, the newest last.
func (r *Keyring) IDs() []string {
	if r == nil {
		return nil
	}
	out := make([]string, len(r.keys))
	for i, k := range r.keys {
		out[i] = k.id
	}
	return out
}

func (r *Keyring) newest() (key, error) {
	if r == nil || len(r.keys) == 0 {
		return key{}, fmt.Errorf("%w: no keys are configured", ErrKey)
	}
	return r.keys[len(r.keys)-1], nil
}

// wrap encrypts a data key; the header is authenticated with it.
func (k key) wrap(h header, data []byte) ([]byte, error) {
	aead, err := gcm(k.secret)
	if err != nil {
		return nil, err
	}
	n := make([]byte, 12)
	if _, err := rand.Read(n); err != nil {
		return nil, err
	}
	return aead.Seal(n, n, data, h.bytes()), nil
}

func (r *Keyring) unwrap(h header, wrapped []byte) ([]byte, error) {
	if r == nil {
		return nil, fmt.Errorf("%w: it is sealed for key %q, and no keys are configured", ErrKey, h.id)
	}
	for _, k := range r.keys {
		if k.id != h.id {
			continue
		}
		aead, err := gcm(k.secret)
		if err != nil {
			return nil, err
		}
		data, err := aead.Open(nil, wrapped[:12], wrapped[12:], h.bytes())
		if err != nil {
			return nil, fmt.Errorf("%w: key %q does not fit, or the header was changed", ErrKey, h.id)
		}
		return data, nil
	}
	return nil, fmt.Errorf("%w: it is sealed for key %q, and there are the keys %s", ErrKey, h.id, strings.Join(r.IDs(), ", "))
}

// firstLine is the first line of what a program says of its failure, cut where it is long.
func firstLine(s string) string {
	const most = 300
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
