package kernel

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aimass/aimass/cuda/driver"
	"github.com/aimass/aimass/cuda/ptx"
)

// mutation is one way to break an instruction. change gives the line's replacement, or
// false where it has nothing to change.
type mutation struct {
	name   string
	change func(line string) (string, bool)
}

var (
	boundLine   = regexp.MustCompile(`setp\.(ge|gt|lt|le)\.([su](?:32|64)) (.*)`)
	shuffleLine = regexp.MustCompile(`shfl\.sync\.bfly\.b32 (%\w+)\|%\w+, (%\w+), .*`)
	offsetLine  = regexp.MustCompile(`((?:ld|st)\.(?:shared|global)\S* .*\[%\w+\+)(\d+)(\].*)`)
	scaleLine   = regexp.MustCompile(`((?:mul\.lo|mul\.wide|mad\.lo)\.[su](?:32|64) %\w+, %\w+, )(\d+)(;|,.*)`)
)

var flipped = map[string]string{"ge": "gt", "gt": "ge", "lt": "le", "le": "lt"}

// mutations are those of the plan: a barrier removed, a bound moved by one, a shuffle
// that brings nothing, an address's offset or stride changed, a transposition dropped.
var mutations = []mutation{
	{"barrier", func(l string) (string, bool) { return "", strings.Contains(l, "bar.sync") }},
	{"bound", func(l string) (string, bool) {
		m := boundLine.FindStringSubmatch(plain(l))
		if m == nil {
			return "", false
		}
		return fmt.Sprintf("setp.%s.%s %s", flipped[m[1]], m[2], m[3]), true
	}},
	{"shuffle", func(l string) (string, bool) {
		m := shuffleLine.FindStringSubmatch(plain(l))
		if m == nil {
			return "", false
		}
		return fmt.Sprintf("mov.b32 %s, %s;", m[1], m[2]), true // a lane keeps its own
	}},
	{"offset", number(offsetLine, func(n int) int { return n + 4 })},
	{"stride", number(scaleLine, func(n int) int { return n + 1 })},
	{"transposition", func(l string) (string, bool) {
		return strings.Replace(l, ".x4.trans.", ".x4.", 1), strings.Contains(l, ".x4.trans.")
	}},
}

// plain is a line with single spaces.
func plain(line string) string { return strings.Join(strings.Fields(line), " ") }

func number(pattern *regexp.Regexp, change func(int) int) func(string) (string, bool) {
	return func(l string) (string, bool) {
		m := pattern.FindStringSubmatch(plain(l))
		if m == nil {
			return "", false
		}
		n, err := strconv.Atoi(m[2])
		return m[1] + strconv.Itoa(change(n)) + m[3], err == nil
	}
}

// perKind is how many places of a kernel each mutation is tried at.
const perKind = 2

// module is PTX cut into its entries and what stands before the first.
type module struct {
	head    string
	entries map[string]string
}

func cut(text string) module {
	parts := strings.Split(text, ".visible .entry ")
	m := module{parts[0], map[string]string{}}
	for _, p := range parts[1:] {
		name, _, _ := strings.Cut(p, "(")
		m.entries[name] = ".visible .entry " + p
	}
	return m
}

// mutant is a kernel with one line changed.
type mutant struct {
	module, kernel, kind string
	line, to             string
	body                 string
}

func (m mutant) String() string {
	return fmt.Sprintf("%s: %s: %s → %s", m.kernel, m.kind, plain(m.line), plain(m.to))
}

func mutantsOf(name, kernel, body string) []mutant {
	lines := strings.Split(body, "\n")
	var out []mutant
	for _, mu := range mutations {
		var at []int
		for i, l := range lines {
			if to, ok := mu.change(l); ok && to != l && i+1 < len(lines) {
				at = append(at, i)
			}
		}
		for n := range min(perKind, len(at)) {
			i := at[(2*n+1)*len(at)/(2*min(perKind, len(at)))]
			to, _ := mu.change(lines[i])
			changed := slices.Clone(lines)
			changed[i] = "\t" + to
			out = append(out, mutant{name, kernel, mu.name, lines[i], to, strings.Join(changed, "\n")})
		}
	}
	return out
}

// equivalents are survivors that compute the same, by kernel and instruction, with the
// reason. Registers are named as the compiler names them: a new PTX asks for a new look.
var equivalents = []struct {
	kernel, line string // regular expressions
	reason       string
}{
	{`binary_fmod_f32|linear_fmod`, `setp\.gt\.u32 %p\d+, %r\d+, (2139095039|-2147483648);`,
		"the borders of fmodf's cases: both ways of computing are exact there"},
	{`binary_(fmod|mod)_i\d+`, `setp\.lt\.u(32|64) .*, 2;`, "the divisor 1: the remainder is 0 on either path"},
	{`binary_mod_i32`, `setp\.lt\.s32 %p3, %r35, 0;`, "signs are compared only where neither the remainder nor the divisor is 0"},
	{`(gemm|conv)_sum`, `setp\.lt\.s32 .*, 1;`, "a split product has two parts at least"},
	{`gemm_rows16_nt`, `setp\.lt\.s32 %p(22|58), %r29, [13];`, "the kernel for 16 rows is given five at least"},
	{`gemm_f16_nn|gemm_tf32_nn`, `setp\.gt\.s32 .*, (2047|1023);`, "a block has fewer threads"},
	{`gemm_f16_nn|gemm_tf32_nn`, `setp\.lt\.s32 %p13, %r27, %r2;`, "a second stage that begins at K is all zeros and is never multiplied"},
	{`pad_.*`, `setp\.lt\.s32 %p24, %r3, 0;`, "place 0 lies inside and has been taken before"},
	{`norm_block`, `setp\.lt\.u32 %p56, %r202, 3;`, "a block has eight warps"},
	{`norm_block`, `bar\.sync 0;`, "the last barrier: no shared memory is touched after it"},
	{`arg_.*`, `setp\.(gt|lt)\.s64 .*`, "two different elements never have the same place"},
	{`reduce_row`, `setp\.lt\.u64 %p64, %rd95, 768;|.*%rd121\+2048.*`, "the loop that joins parts: there are at most 216, one a thread"},
	{`sum_parts`, `setp\.gt\.s32 %p8, %r1, 7;`, "the eighth of seven pointers is null and changes no alignment"},
	{`softmax_column|unary_log`, `setp\.lt\.u32 .*, 2139095040;`, "at +∞ both paths of logf give +∞"},
	{`unary_acosh`, `setp\.gt\.u32 .*, 1258291200;`, "the border of acoshf's cases: both formulas hold"},
	{`unary_(acosh|asinh|atanh|mish|softplus)`, `setp\.lt\.s32 .*, -1082130431;`, "the border of log1pf's cases: no argument is just below −1"},
}

// equivalent gives the place in equivalents of a mutant that is listed, else −1.
func equivalent(m mutant) int {
	whole := func(pattern, text string) bool {
		return regexp.MustCompile(`^(?:` + pattern + `)$`).MatchString(text)
	}
	for i, e := range equivalents {
		if whole(e.kernel, m.kernel) && whole(e.line, plain(m.line)) {
			return i
		}
	}
	return -1
}

// covering is a check with the kernels that it runs and what it takes.
type covering struct {
	check
	kernels []string
	took    time.Duration
}

// hunter tries mutants on one device.
type hunter struct {
	d       *driver.Driver
	modules map[string]module
	cover   map[string][]covering
}

// caught runs the checks of a mutant's kernel until one fails.
func (h *hunter) caught(m mutant) (bool, error) {
	for _, c := range h.cover[m.kernel] {
		b, err := newBench(h.d, nil)
		if err != nil {
			return false, err
		}
		b.source = func(name string) ([]byte, error) {
			cutUp := h.modules[name]
			var text strings.Builder
			text.WriteString(cutUp.head)
			for _, k := range c.kernels {
				switch body, ok := cutUp.entries[k]; {
				case ok && k == m.kernel:
					text.WriteString(m.body)
				case ok:
					text.WriteString(body)
				}
			}
			return []byte(text.String()), nil
		}
		err = b.try(c.check)
		b.ctx.Close()
		var e *driver.Error
		if errors.As(err, &e) && (e.Code == driver.InvalidPTX || e.Code == driver.UnsupportedPTX) {
			return false, fmt.Errorf("%v: %w", m, err)
		}
		if err != nil {
			return true, nil
		}
	}
	return false, nil
}

// TestMutants breaks every kernel in several ways and demands that its checks notice.
func TestMutants(t *testing.T) {
	if os.Getenv("AIMASS_CUDA_MUTANTS") == "" {
		t.Skip("NOT RUN: mutants of the CUDA kernels; make cuda-mutants")
	}
	only := regexp.MustCompile(os.Getenv("AIMASS_CUDA_MUTANTS"))
	d := open(t)
	h := &hunter{d: d, modules: map[string]module{}, cover: map[string][]covering{}}
	var all []mutant
	for _, name := range ptx.Modules() {
		text, err := shipped(name)
		if err != nil {
			t.Fatal(err)
		}
		m := cut(string(text))
		h.modules[name] = m
		for _, kernel := range slices.Sorted(maps.Keys(m.entries)) {
			if only.MatchString(kernel) {
				all = append(all, mutantsOf(name, kernel, m.entries[kernel])...)
			}
		}
	}
	b, err := newBench(d, shipped)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks() {
		if c.big {
			continue
		}
		clear(b.ran)
		start := time.Now()
		if err := b.try(c); err != nil {
			t.Fatalf("%s fails without any mutation: %v", c.name, err)
		}
		v := covering{c, slices.Sorted(maps.Keys(b.ran)), time.Since(start)}
		for _, k := range v.kernels {
			h.cover[k] = append(h.cover[k], v)
		}
	}
	b.ctx.Close()
	for _, list := range h.cover {
		slices.SortFunc(list, func(x, y covering) int { return int(x.took - y.took) })
	}
	tally(t, h, all, only.String() == ".")
}

// tally tries all mutants; whole says that they are those of every kernel.
func tally(t *testing.T, h *hunter, all []mutant, whole bool) {
	caught, same, survived := 0, 0, 0
	kinds, met := map[string]int{}, map[int]bool{}
	for _, m := range all {
		ok, err := h.caught(m)
		kinds[m.kind]++
		known := equivalent(m)
		switch {
		case err != nil:
			t.Error(err)
		case ok:
			caught++
		case known >= 0:
			same++
			met[known] = true
			t.Logf("equivalent: %v: %s", m, equivalents[known].reason)
		default:
			survived++
			t.Errorf("survived: %v", m)
		}
	}
	for i, e := range equivalents {
		if whole && !met[i] {
			t.Errorf("no mutant that survives is %s of %s: strike it from the equivalent ones", e.line, e.kernel)
		}
	}
	t.Logf("%d mutants %v: %d caught, %d equivalent, %d survived", len(all), kinds, caught, same, survived)
}
