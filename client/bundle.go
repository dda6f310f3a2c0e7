package client

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aimass/aimass/api"
)

// Upload says how far the upload of a bundle is.
type Upload struct {
	Model   string `json:"model"`
	Version int64  `json:"version"`
	// Offset is where the next piece begins, Size the length of the whole, −1 if unknown.
	Offset int64 `json:"offset"`
	Size   int64 `json:"size"`
	// SHA256 is what the bundle has, or before it is complete what was stated of it.
	SHA256 string `json:"sha256"`
	// Complete: the version is in its place. The rest is only set then.
	Complete bool `json:"complete"`
	// Config is kept where the model's configuration on the server differs from the bundle's and stayed as it is.
	Config string `json:"config"`
	State  string `json:"state"`
	Reason string `json:"reason"`
}

// PushOptions say how a bundle is uploaded; the zero value is good.
type PushOptions struct {
	// Piece is the length of one request in bytes. Default 8 MiB.
	Piece int64
	// NoLoad leaves the version unloaded.
	NoLoad bool
	// Progress, if not nil, is told after each piece how many bytes are there.
	Progress func(done, size int64)
}

// maxBreaks bounds the failures in a row, without a byte between them, that a transfer survives.
const maxBreaks = 5

// Push uploads a bundle of size bytes as a version of a model; sha256 is its hash in hexadecimal digits, or empty. Broken
// connections are made up for; an upload of the same bundle that was begun earlier, by whomever, is gone on with. Only ctx
// bounds the time.
func (c *Client) Push(ctx context.Context, model string, version int64, bundle io.ReaderAt, size int64, sha256 string, o PushOptions) (*Upload, error) {
	if o.Piece <= 0 {
		o.Piece = 8 << 20
	}
	path := versionPath(model, strconv.FormatInt(version, 10)) + "/upload"
	digest := ""
	if sha256 != "" {
		raw, err := hex.DecodeString(sha256)
		if err != nil {
			return nil, fmt.Errorf("client: the SHA-256 %q: %w", sha256, err)
		}
		digest = "sha-256=:" + base64.StdEncoding.EncodeToString(raw) + ":"
	}
	offset, err := c.pushOffset(ctx, path, size, sha256)
	if err != nil {
		return nil, err
	}
	farthest := offset
	for breaks := 0; ; {
		u, err := c.pushPiece(ctx, path, bundle, offset, size, digest, o)
		if err == nil {
			if u.Complete {
				return u, nil
			}
			if u.Offset <= offset {
				return nil, fmt.Errorf("client: the server took no byte of the piece at %d", offset)
			}
			if offset = u.Offset; offset > farthest {
				farthest, breaks = offset, 0
			}
			if o.Progress != nil {
				o.Progress(offset, size)
			}
			continue
		}
		if !resumable(err) || breaks >= maxBreaks || !c.o.Retry.pause(ctx, breaks+1, err) {
			return nil, err
		}
		now, perr := c.pushOffset(ctx, path, size, sha256)
		if perr != nil && !resumable(perr) {
			return nil, err
		}
		breaks++
		if perr == nil {
			offset = now
		}
		if offset > farthest {
			farthest, breaks = offset, 0
		}
	}
}

// resumable reports failures that asking for the offset may make up for.
func resumable(err error) bool {
	var e *Error
	if errors.As(err, &e) && e.Code() == api.CodeUploadOffsetMismatch {
		return true
	}
	return mayRetry(err, false)
}

// pushOffset asks where to go on. An upload of another bundle is begun anew.
func (c *Client) pushOffset(ctx context.Context, path string, size int64, sha256 string) (int64, error) {
	u, err := get[Upload](ctx, c, path)
	var e *Error
	if errors.As(err, &e) && e.Code() == api.CodeUploadNotFound {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if u.Size != size || u.Offset > size || sha256 == "" || u.SHA256 != sha256 {
		return 0, nil
	}
	return u.Offset, nil
}

func (c *Client) pushPiece(ctx context.Context, path string, bundle io.ReaderAt, offset, size int64, digest string, o PushOptions) (*Upload, error) {
	b := make([]byte, min(o.Piece, size-offset))
	if n, err := bundle.ReadAt(b, offset); err != nil && (!errors.Is(err, io.EOF) || n < len(b)) {
		return nil, fmt.Errorf("client: reading the bundle: %w", err)
	}
	q := &call{method: http.MethodPut, path: path, plain: true, patient: true, header: map[string]string{"Content-Type": "application/zstd"},
		encode: func(context.Context) ([]byte, int, error) { return b, -1, nil }}
	q.header["Content-Range"] = fmt.Sprintf("bytes %d-%d/%d", offset, offset+int64(len(b))-1, size)
	if len(b) == 0 {
		q.header["Content-Range"] = fmt.Sprintf("bytes */%d", size)
	}
	if digest != "" {
		q.header["Repr-Digest"] = digest
	}
	if o.NoLoad {
		q.path += "?load=false"
	}
	a, err := c.send(ctx, q)
	if err != nil {
		return nil, err
	}
	u := &Upload{}
	return u, decodeJSON(a, path, u)
}

// Bundle describes a version that was downloaded.
type Bundle struct {
	Size   int64
	SHA256 string
}

// Pull downloads a version, named by number or alias, as one file into w. have is how many bytes w has already of the
// bundle with the SHA-256 sha256 (from an earlier Pull that broke off); if the version's bundle is another one by now,
// restart is called before anything is written, and the download begins anew. Broken connections are made up for. The
// caller checks the hash of the whole. Only ctx bounds the time.
func (c *Client) Pull(ctx context.Context, model, version string, w io.Writer, have int64, sha256 string, restart func() error) (*Bundle, error) {
	path := versionPath(model, version) + "/download"
	for breaks := 0; ; {
		before := have
		b, err := c.pull(ctx, path, w, &have, &sha256, restart)
		if err == nil {
			return b, nil
		}
		if have > before {
			breaks = 0
		}
		if breaks++; !mayRetry(err, false) || breaks > maxBreaks || !c.o.Retry.pause(ctx, breaks, err) {
			return nil, err
		}
	}
}

// BundleSHA256 asks for the hash of a version's bundle.
func (c *Client) BundleSHA256(ctx context.Context, model, version string) (string, error) {
	a, err := c.send(ctx, &call{method: http.MethodHead, path: versionPath(model, version) + "/download", plain: true, patient: true})
	if err != nil {
		return "", err
	}
	return strings.Trim(a.header.Get("ETag"), `"`), nil
}

func (c *Client) pull(ctx context.Context, path string, w io.Writer, have *int64, sha256 *string, restart func() error) (*Bundle, error) {
	q := &call{method: http.MethodGet, path: path, plain: true, header: map[string]string{}}
	if *have > 0 {
		q.header["Range"], q.header["If-Range"] = fmt.Sprintf("bytes=%d-", *have), `"`+*sha256+`"`
	}
	r, err := c.request(ctx, q)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	defer resp.Body.Close()
	got := strings.Trim(resp.Header.Get("ETag"), `"`)
	b := &Bundle{SHA256: got}
	switch {
	case resp.StatusCode == http.StatusPartialContent && *have > 0:
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && got == *sha256 && *have > 0:
		b.Size = *have // all of it is there
		return b, nil
	case resp.StatusCode == http.StatusOK:
		if *have > 0 {
			if err := restart(); err != nil {
				return nil, err
			}
		}
		*have, *sha256 = 0, got
	default:
		body, err := c.read(resp)
		if err != nil {
			return nil, err
		}
		return nil, answerError(&answer{status: resp.StatusCode, header: resp.Header, body: body})
	}
	n, err := io.Copy(w, resp.Body)
	*have += n
	if b.Size = *have; err != nil {
		return nil, fmt.Errorf("client: GET %s: %w", path, err)
	}
	return b, nil
}

func versionPath(model, version string) string {
	return modelRelease(model) + "/versions/" + url.PathEscape(version)
}

func modelRelease(model string) string { return "/v2/repository/models/" + url.PathEscape(model) }

// Release is what is decided about a model's versions, and how they do.
type Release struct {
	Model string `json:"model"`
	// Stable answers requests that name no version; 0: the newest does. Previous is what a rollback would make stable.
	Stable   int64            `json:"stable"`
	Previous int64            `json:"previous"`
	Canary   *Split           `json:"canary"`
	Shadow   *Shadow          `json:"shadow"`
	Aliases  map[string]int64 `json:"aliases"`
	Versions []VersionState   `json:"versions"`
	// Gate is what a promotion measured; nil where it had no held-out set.
	Gate *GateResult `json:"gate"`
}

// Split is a version that takes a share of the requests.
type Split struct {
	Version int64   `json:"version"`
	Percent float64 `json:"percent"`
}

// Shadow is a version that gets copies of requests, and how its answers compare.
type Shadow struct {
	Version         int64   `json:"version"`
	Percent         float64 `json:"percent"`
	Tolerance       float64 `json:"tolerance"`
	Mirrored        int64   `json:"mirrored"`
	Dropped         int64   `json:"dropped"`
	Failed          int64   `json:"failed"`
	Differing       int64   `json:"differing"`
	Values          int64   `json:"values"`
	ValuesDiffering int64   `json:"values_differing"`
	MaxDifference   float64 `json:"max_difference"`
	ServedP50MS     float64 `json:"served_p50_ms"`
	ShadowP50MS     float64 `json:"shadow_p50_ms"`
}

// VersionState is one version on the server's disk.
type VersionState struct {
	Version  int64      `json:"version"`
	State    string     `json:"state"`
	Reason   string     `json:"reason"`
	SHA256   string     `json:"sha256"`
	Bytes    int64      `json:"bytes"`
	Pushed   *time.Time `json:"pushed"`
	Requests int64      `json:"requests"`
	Failures int64      `json:"failures"`
	P50MS    float64    `json:"p50_ms"`
	P99MS    float64    `json:"p99_ms"`
}
