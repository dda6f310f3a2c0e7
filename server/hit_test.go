package server

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aimass/aimass/batcher"
	"github.com/aimass/aimass/internal/race"
	"github.com/aimass/aimass/pipeline"
	"github.com/aimass/aimass/runtime"
)

// line is one connection to the server, kept open.
type line struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func connect(t testing.TB, s *Server) *line {
	t.Helper()
	c, err := net.Dial("tcp", s.httpL.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return &line{t, c, bufio.NewReader(c)}
}

func (l *line) send(text string) {
	if _, err := io.WriteString(l.Conn, text); err != nil {
		l.t.Error(err)
	}
}

func (l *line) receive() answer {
	resp, err := http.ReadResponse(l.r, nil)
	if err != nil {
		l.t.Error(err)
		return answer{}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		l.t.Error(err)
	}
	return answer{resp.StatusCode, resp.Header, string(b), resp.Close}
}

func (l *line) ask(text string) answer {
	l.send(text)
	return l.receive()
}

func post(path, body string, headers ...string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", path, lines(headers), len(body), body)
}

const inferStrings = "/v2/models/strings/infer"

func stringsBody(value, rest string) string {
	return `{"inputs":[{"name":"INPUT0","datatype":"BYTES","shape":[1,1],"data":["` + value + `"]}]` + rest + `}`
}

// warm asks until whole requests are answered by their bytes, and checks every answer.
func warm(t *testing.T, s *Server, l *line, request string, check func(answer)) {
	t.Helper()
	st := s.Service().Pipeline().Cache().Stats()
	from := st.Wires.Load()
	for range 200 {
		check(l.ask(request))
		if st.Wires.Load() >= from+3 {
			return
		}
		time.Sleep(time.Millisecond) // the cache takes new entries in the background
	}
	t.Fatalf("no request was answered by its bytes: %d by key, %d by body", st.Hits.Load(), st.Bodies.Load())
}

func expect(t *testing.T, status int, texts ...string) func(answer) {
	return func(a answer) {
		t.Helper()
		if a.status != status {
			t.Fatalf("%d %s", a.status, a.body)
		}
		for _, text := range texts {
			if !strings.Contains(a.body, text) {
				t.Fatalf("%q is not in %s", text, a.body)
			}
		}
	}
}

func TestHitsWithoutParsing(t *testing.T) {
	s, _ := serve(t, Config{}, io.Discard)
	l := connect(t, s)
	n := 0
	var first answer
	warm(t, s, l, post(inferStrings, stringsBody("a", "")), func(a answer) {
		if n++; n == 1 {
			first = a
		}
		if a.status != 200 || a.body != first.body || len(a.header) != len(first.header) || a.header.Get("Content-Type") != "application/json" {
			t.Fatalf("answer %d: %+v, the first was %+v", n, a, first)
		}
		if d, err := http.ParseTime(a.header.Get("Date")); err != nil || time.Since(d) > 3*time.Second {
			t.Fatalf("date %q: %v", a.header.Get("Date"), err)
		}
	})
	st := s.Service().Pipeline().Cache().Stats()
	n++
	if a := connect(t, s).ask(post(inferStrings, stringsBody("a", ""))); a.body != first.body { // the first on its connection
		t.Errorf("%+v", a)
	}
	if st.Bodies.Load() == 0 {
		t.Error("no answer was found by its body")
	}
	v := s.Service().Pipeline().Peek([]byte("strings"), nil)
	if hits := v.Stats.CacheHit.Count.Load(); hits != int64(n-1) || v.Stats.Success.Count.Load() != int64(n) || st.AllHits() != int64(n-1) {
		t.Errorf("%d requests, %d hits and %d successes counted, %d hits in the cache", n, hits, v.Stats.Success.Count.Load(), st.AllHits())
	}
	found := int64(0)
	s.Service().Counts.Each(func(protocol, code string, count int64) {
		if protocol == "http" && code == "ok" {
			found = count
		}
	})
	if found != int64(n) {
		t.Errorf("%d answers counted, want %d", found, n)
	}
}

// TestHitEchoesIDs: an id in a header is the request's own, whatever was remembered of others.
func TestHitEchoesIDs(t *testing.T) {
	s, _ := serve(t, Config{}, io.Discard)
	l := connect(t, s)
	st := s.Service().Pipeline().Cache().Stats()
	binary := `,"outputs":[{"name":"OUTPUT0","parameters":{"binary_data":true}}]`
	for round := range 60 {
		for _, id := range []string{"", "x", `q"uote`, "long-" + strings.Repeat("i", 100)} {
			for _, tail := range []string{"", binary} {
				var headers []string
				if id != "" {
					id += strconv.Itoa(round)
					headers = append(headers, "X-Request-Id: "+id)
				}
				a := l.ask(post(inferStrings, stringsBody("b", tail), headers...))
				head := a.body
				if tail != "" {
					n, err := strconv.Atoi(a.header.Get("Inference-Header-Content-Length"))
					if err != nil || n > len(a.body) || a.body[n:] != "\x01\x00\x00\x00b" {
						t.Fatalf("length %q of %q", a.header.Get("Inference-Header-Content-Length"), a.body)
					}
					head = a.body[:n]
				}
				want := `{"model_name"`
				if id != "" {
					want = `{"id":` + strconv.Quote(id) + `,"model_name"`
				}
				if a.status != 200 || a.header.Get("X-Request-Id") != id || !strings.HasPrefix(head, want) || !strings.HasSuffix(head, "}") {
					t.Fatalf("id %q: %v %s", id, a.header, a.body)
				}
			}
		}
	}
	if st.Bodies.Load() == 0 || st.Wires.Load() == 0 {
		t.Errorf("%d answers by body, %d by all bytes", st.Bodies.Load(), st.Wires.Load())
	}
	// An id in the body goes before one in a header, and both kinds of memory keep to that.
	for range 60 {
		a := l.ask(post(inferStrings, stringsBody("c", `,"id":"inner"`), "X-Request-Id: outer"))
		if a.header.Get("X-Request-Id") != "inner" || !strings.Contains(a.body, `"id":"inner"`) {
			t.Fatalf("%v %s", a.header, a.body)
		}
	}
}

func TestHitEndsWithWhatItRestsOn(t *testing.T) {
	s, f := serve(t, Config{}, io.Discard)
	l := connect(t, s)
	st := s.Service().Pipeline().Cache().Stats()
	request := post(inferStrings, stringsBody("d", ""))
	one := expect(t, 200, `"model_version":"1"`, `"d"`)
	warm(t, s, l, request, one)

	misses := st.Misses.Load()
	one(l.ask(post(inferStrings, stringsBody("d", ""), "X-Aimass-Tenant: other")))
	if st.Misses.Load() != misses+1 {
		t.Error("another tenant was answered from the first one's entry")
	}
	expect(t, 400)(l.ask(post(inferStrings, stringsBody("d", ""), "X-Request-Timeout-Ms: soon")))
	expect(t, 400)(l.ask(post(inferStrings, stringsBody("d", ""), "Inference-Header-Content-Length: x")))
	expect(t, 404)(l.ask(post("/v2/models/strangs/infer", stringsBody("d", ""))))

	misses = st.Misses.Load()
	expect(t, 200)(l.ask(post("/v2/cache/purge", "")))
	one(l.ask(request))
	if st.Misses.Load() != misses+1 {
		t.Error("an answer outlived the purge")
	}
	warm(t, s, l, request, one)

	old := f.pipe.Peek([]byte("strings"), nil)
	spec := old.Spec
	spec.Version, spec.Batcher = 2, batcher.Config{}.WithDefaults(1)
	next, err := f.pipe.Attach(spec)
	if err != nil {
		t.Fatal(err)
	}
	two := expect(t, 200, `"model_version":"2"`)
	warm(t, s, l, request, two)
	warm(t, s, l, post("/v2/models/strings/versions/1/infer", stringsBody("d", "")), one)
	f.pipe.Detach(next)
	one(l.ask(request))
	f.pipe.Detach(old)
	expect(t, 404)(l.ask(request))
}

// TestHitOfAnEnsembleEndsWithItsModels: what is remembered of an ensemble by bytes, too, goes when a model of it is replaced.
func TestHitOfAnEnsembleEndsWithItsModels(t *testing.T) {
	s, f := serve(t, Config{}, io.Discard)
	if err := attachEnsemble(t, f, "twofold", `platform: "ensemble" max_batch_size: 8 response_cache { enable: true }
input { name: "IN" data_type: TYPE_INT32 dims: [ 16 ] }
output { name: "OUT" data_type: TYPE_INT32 dims: [ 16 ] }
ensemble_scheduling { step { model_name: "simple" model_version: -1 input_map { key: "INPUT0" value: "IN" } input_map { key: "INPUT1" value: "IN" } output_map { key: "OUTPUT0" value: "OUT" } } }`); err != nil {
		t.Fatal(err)
	}
	l := connect(t, s)
	request := post("/v2/models/twofold/infer", fmt.Sprintf(`{"inputs":[{"name":"IN","datatype":"INT32","shape":[1,16],"data":[%s]}]}`, ints(5, 16)))
	warm(t, s, l, request, expect(t, 200, `"data":[10,12,`))
	b, err := sums("Sub").Encode()
	if err != nil {
		t.Fatal(err)
	}
	spec := f.pipe.Peek([]byte("simple"), nil).Spec
	spec.Version++
	if spec.Runtime, err = runtime.NewEngine(runtime.Config{}).Read(b); err != nil {
		t.Fatal(err)
	}
	if _, err := f.pipe.Attach(spec); err != nil {
		t.Fatal(err)
	}
	warm(t, s, l, request, expect(t, 200, `"data":[0,0,`))
}

func TestHitOfOtherForms(t *testing.T) {
	s, _ := serve(t, Config{}, io.Discard)
	l := connect(t, s)
	long := stringsBody(strings.Repeat("e", 3000), "")
	plain := expect(t, 200, "eeee")
	warm(t, s, l, post(inferStrings, long), plain)
	for range 30 {
		a := l.ask(post(inferStrings, long, "Accept-Encoding: gzip"))
		if a.header.Get("Content-Encoding") != "gzip" || a.header.Get("Vary") != "Accept-Encoding" || !strings.Contains(string(decompress(t, "gzip", []byte(a.body))), "eeee") {
			t.Fatalf("%v", a.header)
		}
		a = l.ask(post(inferStrings, long, "Accept-Encoding: gzip", "X-Request-Id: 7"))
		if text := string(decompress(t, "gzip", []byte(a.body))); a.header.Get("X-Request-Id") != "7" || !strings.HasPrefix(text, `{"id":"7",`) {
			t.Fatalf("%v %.100s", a.header, text)
		}
	}
	for _, coding := range []string{"gzip", "deflate"} {
		for range 10 {
			plain(l.ask(post(inferStrings, string(compress(t, coding, []byte(long))), "Content-Encoding: "+coding)))
		}
	}
	huge := stringsBody(strings.Repeat("f", 200<<10), "")
	for range 30 {
		expect(t, 200, "ffff")(l.ask(post(inferStrings, huge)))
		time.Sleep(time.Millisecond)
	}
	for range 3 { // asks for the connection's end each time
		c := connect(t, s)
		if a := c.ask(post(inferStrings, long, "Connection: close")); a.status != 200 || !a.closes {
			t.Fatalf("%+v", a.header)
		}
		if _, err := c.r.ReadByte(); err != io.EOF {
			t.Fatalf("the connection stays open: %v", err)
		}
	}
}

// TestStreamsOfRequests sends requests known and unknown, cut and joined at random places: each has its own answer, in
// order.
func TestStreamsOfRequests(t *testing.T) {
	s, f := serve(t, Config{}, io.Discard)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Add(1)
	go func() { // reloads and purges all the while
		defer wg.Done()
		base := f.pipe.Peek([]byte("strings"), nil).Spec
		base.Batcher = batcher.Config{}.WithDefaults(1)
		var last *pipeline.Served
		for n := int64(2); ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(3 * time.Millisecond):
			}
			base.Version = n
			v, err := f.pipe.Attach(base)
			if err != nil {
				t.Error(err)
				return
			}
			if last != nil {
				f.pipe.Detach(last)
			}
			if last = v; n%8 == 0 {
				f.pipe.Cache().Purge()
			}
		}
	}()
	var clients sync.WaitGroup
	for k := range 8 {
		clients.Add(1)
		go func() {
			defer clients.Done()
			r := rand.New(rand.NewPCG(7, uint64(k)))
			l := connect(t, s)
			for range 150 {
				stream(l, r)
			}
		}()
	}
	clients.Wait()
	close(stop)
	wg.Wait()
	if st := s.Service().Pipeline().Cache().Stats(); !race.Enabled && st.Wires.Load() == 0 || st.Bodies.Load() == 0 {
		t.Errorf("%d answers by body, %d by all bytes", st.Bodies.Load(), st.Wires.Load())
	}
}

// stream sends some requests and checks their answers.
func stream(l *line, r *rand.Rand) {
	var text strings.Builder
	var want []string
	for range 1 + r.IntN(4) {
		value := "v" + strconv.Itoa(r.IntN(3))
		switch r.IntN(12) {
		case 0:
			text.WriteString("GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
			want = append(want, `"live":true`)
		case 1:
			text.WriteString(post("/v2/models/nothing/infer", stringsBody(value, "")))
			want = append(want, "nothing")
		default:
			text.WriteString(post(inferStrings, stringsBody(value, ""), "x-trace: "+strconv.Itoa(r.IntN(2))))
			want = append(want, `["`+value+`"]`)
		}
	}
	for all := text.String(); len(all) > 0; {
		n := len(all)
		if r.IntN(3) == 0 {
			n = 1 + r.IntN(n)
		}
		l.send(all[:n])
		if all = all[n:]; len(all) > 0 {
			time.Sleep(200 * time.Microsecond)
		}
	}
	for i, w := range want {
		if a := l.receive(); !strings.Contains(a.body, w) {
			l.t.Errorf("answer %d of %d to %q is %s", i, len(want), text.String(), a.body)
		}
	}
}

func lines(headers []string) (text string) {
	for _, h := range headers {
		text += h + "\r\n"
	}
	return text
}
