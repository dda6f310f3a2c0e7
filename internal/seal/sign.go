package seal

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// SignatureFile lies in a version's folder and signs all other files there.
const SignatureFile = "signature.json"

// ErrSignature is the reason for which an unsigned or changed version is refused.
var ErrSignature = errors.New("the signature does not hold")

// Signature says which content an owner of a private key stands for.
type Signature struct {
	Key       string            `json:"key"`   // public key, base64
	Files     map[string]string `json:"files"` // SHA-256 in hex, by slash-separated path
	Signature string            `json:"signature"`
}

// NewSigner makes a key pair, in base64: the private one for Sign, the public one for Verify.
func NewSigner() (private, public string, err error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", err
	}
	return base64.StdEncoding.EncodeToString(priv.Seed()), base64.StdEncoding.EncodeToString(pub), nil
}

// ParsePublic reads a public key.
func ParsePublic(s string) (ed25519.PublicKey, error) {
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s))
	if err != nil || len(b) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("public key: expected %d bytes in base64", ed25519.PublicKeySize)
	}
	return b, nil
}

// Sign gives the content of SignatureFile for a version's folder. private is what
// NewSigner gave.
func Sign(version fs.FS, private string) ([]byte, error) {
	seed, err := base64.StdEncoding.DecodeString(strings.TrimSpace(private))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("private key: expected %d bytes in base64", ed25519.SeedSize)
	}
	k := ed25519.NewKeyFromSeed(seed)
	s := Signature{Key: base64.StdEncoding.EncodeToString(k.Public().(ed25519.PublicKey))}
	if s.Files, err = sums(version); err != nil {
		return nil, err
	}
	if len(s.Files) == 0 {
		return nil, fmt.Errorf("there is nothing to sign")
	}
	s.Signature = base64.StdEncoding.EncodeToString(ed25519.Sign(k, s.message()))
	b, err := json.MarshalIndent(s, "", "  ")
	return append(b, '\n'), err
}

// Verify holds a version's folder to its signature by one of the trusted keys: every file
// there must be listed and equal, and none may be missing.
func Verify(version fs.FS, trusted []ed25519.PublicKey) error {
	b, err := fs.ReadFile(version, SignatureFile)
	if err != nil {
		return fmt.Errorf("%w: there is no %s", ErrSignature, SignatureFile)
	}
	var s Signature
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return fmt.Errorf("%w: %s is malformed", ErrSignature, SignatureFile)
	}
	pub, err := ParsePublic(s.Key)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if !slices.ContainsFunc(trusted, func(k ed25519.PublicKey) bool { return k.Equal(pub) }) {
		return fmt.Errorf("%w: it is signed by %s, which is not among the trusted keys", ErrSignature, s.Key)
	}
	raw, err := base64.StdEncoding.DecodeString(s.Signature)
	if err != nil || !ed25519.Verify(pub, s.message(), raw) {
		return fmt.Errorf("%w: the list of files was changed", ErrSignature)
	}
	have, err := sums(version)
	if err != nil {
		return err
	}
	for name, sum := range s.Files {
		switch got, ok := have[name]; {
		case !ok:
			return fmt.Errorf("%w: %s is missing", ErrSignature, name)
		case got != sum:
			return fmt.Errorf("%w: %s was changed", ErrSignature, name)
		}
	}
	for name := range have {
		if _, ok := s.Files[name]; !ok {
			return fmt.Errorf("%w: %s is not signed", ErrSignature, name)
		}
	}
	return nil
}

// message is what is signed: the list in order, under a prefix that no other use shares.
func (s *Signature) message() []byte {
	names := make([]string, 0, len(s.Files))
	for n := range s.Files {
		names = append(names, n)
	}
	slices.Sort(names)
	b := []byte("aimass model version signature 1\n")
	for _, n := range names {
		b = fmt.Appendf(b, "%q %s\n", n, s.Files[n])
	}
	return b
}

func sums(version fs.FS) (map[string]string, error) {
	out := map[string]string{}
	err := fs.WalkDir(version, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || name == SignatureFile {
			return err
		}
		f, err := version.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			return fmt.Errorf("%s: %w", path.Base(name), err)
		}
		out[name] = hex.EncodeToString(h.Sum(nil))
		return nil
	})
	return out, err
}
