// Package bundle packs a model version into one file and unpacks it again, distrusting
// every byte.
//
// A bundle is zstd around a tar whose first entry, manifest.json, lists every file with
// its size and SHA-256; the files follow in that order:
//
//	manifest.json
//	model/config.pbtxt      what lies beside the versions: configuration, labels, warm-up data
//	version/model.onnx      what lies in the version's folder: model, card, signatures
//
// `tar --zstd -tf` lists one. The same files always give the same bytes, so that the
// SHA-256 of a bundle names its content. The model's name is in the manifest for people; who
// unpacks says where it goes.
//
// Neighbours: repository stores what is unpacked here, cmd packs folders to push.
//
// Ownership: readers and writers belong to the caller. Unpack leaves in its folder what
// it had written when it failed; the folder is the caller's to remove.
//
// Concurrency: all functions are safe for concurrent use on folders of their own.
//
// Errors have the codes bundle_…, disk_full or storage_failed.
package bundle

import (
	"encoding/json"
	"io/fs"
	"strings"
	"unicode/utf8"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/repository/config"
)

// Format is what a manifest says of itself.
const Format = "aimass-bundle-1"

// ManifestName is the first entry of a bundle.
const ManifestName = "manifest.json"

// The folders of a bundle.
const (
	ModelFolder   = "model/"
	VersionFolder = "version/"
)

// Bounds on what a bundle may hold, beside Limits.
const (
	maxFiles    = 10000
	maxManifest = 8 << 20
	maxName     = 255 // of one part of a path
	maxDepth    = 10
)

// Limits bound what Unpack writes.
type Limits struct {
	// Unpacked bounds the sum of the files in bytes. Default 64 GiB.
	Unpacked int64
}

// WithDefaults fills the fields that are zero.
func (l Limits) WithDefaults() Limits {
	if l.Unpacked == 0 {
		l.Unpacked = 64 << 30
	}
	return l
}

// Manifest is the first entry of a bundle.
type Manifest struct {
	Format string `json:"format"`
	Model  string `json:"model"`
	Files  []File `json:"files"`
}

// File is one file of a bundle.
type File struct {
	// Path begins with ModelFolder or VersionFolder.
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Bytes is the sum of the files.
func (m *Manifest) Bytes() int64 {
	var n int64
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

// parse reads and checks a manifest.
func parse(b []byte, limits Limits) (*Manifest, error) {
	m := &Manifest{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, api.Errorf(api.CodeBundleInvalid, "%s is not valid JSON of a manifest", ManifestName)
	}
	if m.Format != Format {
		return nil, api.Errorf(api.CodeBundleInvalid, "%s: got the format '%.50s', expected '%s'", ManifestName, m.Format, Format)
	}
	if len(m.Files) > maxFiles {
		return nil, api.Errorf(api.CodeBundleTooLarge, "the bundle lists %d files, at most %d are allowed", len(m.Files), maxFiles)
	}
	kinds := map[string]bool{} // path → it is a file
	var sum int64
	version := false
	for _, f := range m.Files {
		if err := checkPath(f.Path); err != nil {
			return nil, err
		}
		if err := place(kinds, f.Path); err != nil {
			return nil, err
		}
		if len(f.SHA256) != 64 || strings.Trim(f.SHA256, "0123456789abcdef") != "" {
			return nil, api.Errorf(api.CodeBundleInvalid, "%s: '%s' has no SHA-256 of 64 small hexadecimal digits", ManifestName, f.Path)
		}
		if f.Size < 0 || f.Size > limits.Unpacked || sum+f.Size > limits.Unpacked {
			return nil, api.Errorf(api.CodeBundleTooLarge, "the bundle's files have more than %d bytes", limits.Unpacked)
		}
		sum += f.Size
		version = version || strings.HasPrefix(f.Path, VersionFolder)
	}
	if !version {
		return nil, api.Errorf(api.CodeBundleIncomplete, "the bundle lists no file in %s", VersionFolder)
	}
	return m, nil
}

// place notes a file and the folders above it, and refuses a name that is both or comes
// twice, also where the file system does not tell capitals from small letters.
func place(kinds map[string]bool, p string) error {
	low := strings.ToLower(p)
	for i := range low {
		if low[i] != '/' {
			continue
		}
		if kinds[low[:i]] {
			return api.Errorf(api.CodeBundleInvalid, "'%s' is a file and a folder", p[:i])
		}
		kinds[low[:i]] = false
	}
	if _, known := kinds[low]; known {
		return api.Errorf(api.CodeBundleInvalid, "'%s' comes twice", p)
	}
	kinds[low] = true
	return nil
}

// checkPath refuses names that could lead outside, hide, or collide with what the
// repository keeps beside versions.
func checkPath(p string) error {
	bad := func(why string) error {
		return api.Errorf(api.CodeBundlePathInvalid, "got the file name %.200q, which %s", p, why)
	}
	rest, inModel := strings.CutPrefix(p, ModelFolder)
	if !inModel {
		var inVersion bool
		if rest, inVersion = strings.CutPrefix(p, VersionFolder); !inVersion {
			return bad("begins with neither " + ModelFolder + " nor " + VersionFolder)
		}
	}
	if !utf8.ValidString(p) || !fs.ValidPath(rest) || rest == "." {
		return bad("is no clean relative path")
	}
	parts := strings.Split(rest, "/")
	if len(parts) > maxDepth {
		return bad("nests too deeply")
	}
	for _, part := range parts {
		switch {
		case part[0] == '.':
			return bad("has a part with a dot in front")
		case len(part) > maxName:
			return bad("has a part that is too long")
		case strings.ContainsFunc(part, func(r rune) bool { return r < 0x20 || r == 0x7f || r == '\\' || r == ':' }):
			return bad("holds a control character, a backslash or a colon")
		}
	}
	if _, isVersion := config.ParseVersion(parts[0]); inModel && isVersion {
		return bad("would be in the folder of another version")
	}
	return nil
}
