package client

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options of a Client; the zero value is good for a server nearby.
type Options struct {
	// Token is sent as bearer token. A server answers calls that change it over loopback, or to its admin token.
	Token string
	// Tenant is sent in the header X-Aimass-Tenant; a Request may name another.
	Tenant string
	// RouteKey is sent in the header X-Route-Key; a Request may have another. Requests of one key stay on one side of a
	// canary.
	RouteKey string
	// Timeout bounds a call whose context has no deadline, retries included. Default 30 s; negative means no bound.
	Timeout time.Duration
	// Format of tensors; a Request may ask for another. Default Binary.
	Format Format
	// Compression of requests, and what answers may be compressed with. Default none.
	Compression Compression
	// MaxResponse bounds an answer in bytes, as sent and as decompressed. Default 1 GiB.
	MaxResponse int64
	// Retry says how often and how patiently a call is tried again.
	Retry Retry
	// HTTP replaces the client's own HTTP client, for TLS settings or instrumentation. Its transport should keep at least as
	// many idle connections a host as calls run at once, and leave compression to this package (DisableCompression).
	HTTP *http.Client
}

// Format is how tensors travel.
type Format uint8

// The formats. Binary tensors follow the JSON as raw bytes; JSON is for servers and proxies that know nothing else.
const (
	DefaultFormat Format = iota
	Binary
	JSON
)

// Client talks to one server.
type Client struct {
	base string // scheme, host and prefix, without a slash at the end
	o    Options
	http *http.Client
}

// Defaults of Options.
const (
	defaultTimeout     = 30 * time.Second
	defaultMaxResponse = 1 << 30
	idlePerHost        = 256
)

// New makes a client of the server at a URL such as http://127.0.0.1:8000; without a scheme it is http. Nothing is sent.
func New(server string, o Options) (*Client, error) {
	text := server
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("client: server %q: expected a URL such as http://127.0.0.1:8000", server)
	}
	if o.Compression >= compressions {
		return nil, fmt.Errorf("client: unknown compression %d", o.Compression)
	}
	if o.Format > JSON {
		return nil, fmt.Errorf("client: unknown format %d", o.Format)
	}
	if o.Format == DefaultFormat {
		o.Format = Binary
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.MaxResponse <= 0 {
		o.MaxResponse = defaultMaxResponse
	}
	o.Retry = o.Retry.withDefaults()
	c := &Client{base: u.Scheme + "://" + u.Host + strings.TrimRight(u.EscapedPath(), "/"), o: o, http: o.HTTP}
	if c.http == nil {
		c.http = &http.Client{Transport: newTransport(), CheckRedirect: noRedirect}
	}
	return c, nil
}

func newTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, idlePerHost
	t.DisableCompression = true
	return t
}

// noRedirect: a token must not follow a redirect to another host, and a POST would become a GET.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Close closes idle connections. The client may be used again.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// call is one request, which may be sent several times.
type call struct {
	method, path string
	// encode makes the body for one attempt; jsonLen is as in encodeRequest. Nil means no body.
	encode           func(ctx context.Context) (body []byte, jsonLen int, err error)
	tenant, routeKey string
	// once marks a call that must not be repeated unless the server said so.
	once bool
	// any status is an answer.
	any bool
	// header replaces what is set anyway; plain bodies are not compressed.
	header map[string]string
	plain  bool
	// patient calls are bounded by their context alone, not by Options.Timeout.
	patient bool
}

// answer is what came back, with its body decompressed.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// send sends a call, again where that is allowed. The body of the answer is the caller's.
func (c *Client) send(ctx context.Context, q *call) (*answer, error) {
	if _, bounded := ctx.Deadline(); !bounded && c.o.Timeout > 0 && !q.patient {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.o.Timeout)
		defer cancel()
	}
	for attempt := 1; ; attempt++ {
		a, err := c.attempt(ctx, q)
		if err == nil {
			return a, nil
		}
		var e *Error
		if errors.As(err, &e) {
			e.Attempts = attempt
		}
		if attempt >= c.o.Retry.Attempts || !mayRetry(err, q.once) {
			return nil, err
		}
		if !c.o.Retry.pause(ctx, attempt, err) {
			return nil, err
		}
	}
}

func (c *Client) attempt(ctx context.Context, q *call) (*answer, error) {
	r, err := c.request(ctx, q)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, header: resp.Header}
	if q.method != http.MethodHead { // whose length is that of a body that doesn't come
		if a.body, err = c.read(resp); err != nil {
			return nil, fmt.Errorf("client: %s %s: %w", q.method, q.path, err)
		}
	}
	if a.status != http.StatusOK && !q.any {
		return nil, answerError(a)
	}
	return a, nil
}

func (c *Client) request(ctx context.Context, q *call) (*http.Request, error) {
	var body []byte
	jsonLen := -1
	if q.encode != nil {
		var err error
		if body, jsonLen, err = q.encode(ctx); err != nil {
			return nil, err
		}
	}
	compression := c.o.Compression
	if q.plain {
		compression = None
	}
	packed, coding, err := compression.pack(body)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, q.method, c.base+q.path, bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	h := r.Header
	if jsonLen >= 0 {
		h.Set("Content-Type", "application/octet-stream")
		h.Set(headerLength, fmt.Sprint(jsonLen))
	} else if body != nil {
		h.Set("Content-Type", "application/json")
	}
	if coding != "" {
		h.Set("Content-Encoding", coding)
	}
	if compression != None {
		h.Set("Accept-Encoding", compression.String())
	}
	if c.o.Token != "" {
		h.Set("Authorization", "Bearer "+c.o.Token)
	}
	if tenant := q.tenant; tenant != "" {
		h.Set("X-Aimass-Tenant", tenant)
	} else if c.o.Tenant != "" {
		h.Set("X-Aimass-Tenant", c.o.Tenant)
	}
	if key := cmp.Or(q.routeKey, c.o.RouteKey); key != "" {
		h.Set("X-Route-Key", key)
	}
	for key, value := range q.header {
		h.Set(key, value)
	}
	if !q.once {
		// The key with no value makes net/http repeat a call whose reused connection turns out to be closed; nothing is sent.
		h["Idempotency-Key"] = []string{}
	}
	return r, nil
}

// read reads the body to its end, so that the connection can be used again, within the bound.
func (c *Client) read(resp *http.Response) ([]byte, error) {
	raw, err := readBounded(resp.Body, resp.ContentLength, c.o.MaxResponse)
	if err != nil {
		return nil, err
	}
	return unpack(resp.Header.Get("Content-Encoding"), raw, c.o.MaxResponse)
}

// ErrResponseTooLarge is what errors.Is finds where an answer is beyond Options.MaxResponse.
var ErrResponseTooLarge = errors.New("the answer is larger than Options.MaxResponse")

// trusted is the length up to which memory is taken because a header announces it.
const trusted = 16 << 20

func readBounded(r io.Reader, announced, limit int64) ([]byte, error) {
	if announced > limit {
		return nil, fmt.Errorf("%w: %d bytes, the bound is %d", ErrResponseTooLarge, announced, limit)
	}
	var b bytes.Buffer
	if announced > 0 {
		b.Grow(int(min(announced, trusted)) + bytes.MinRead) // ReadFrom wants that much free to see the end
	}
	n, err := b.ReadFrom(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrResponseTooLarge, limit)
	}
	return b.Bytes(), nil
}
