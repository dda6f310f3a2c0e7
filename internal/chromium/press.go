package chromium

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// pressedBinding is the function by which a page says what became of a press: its turn and
// one of the words below.
const pressedBinding = "chromiumPressed"

const (
	hit    = "hit"    // the element has got it
	missed = "missed" // something else would have got it, and has not
	leaves = "leaves" // and the page is being left for another
)

// aim finds an element's middle, once the element lies still with nothing over it, and has
// the page say what the next press reaches. A press on anything but that very element is
// withheld: it would do what nobody meant.
const aim = `((selector, turn, drag) => {
  const e = document.querySelector(selector), own = (n) => n instanceof Node && e.contains(n);
  if (document.readyState !== "complete") return { Why: "the page is loading" };
  if (!e) return { Why: "it is not there" };
  if (e.disabled) return { Why: "it is disabled" };
  if (e.getAnimations({ subtree: true }).some((a) => a.playState === "running")) return { Why: "it moves" };
  e.scrollIntoView({ block: "center", behavior: "instant" });
  const r = e.getBoundingClientRect(), X = r.x + r.width / 2, Y = r.y + r.height / 2, there = document.elementFromPoint(X, Y);
  if (!own(there)) return { Why: "in its place is " + (there ? there.outerHTML.slice(0, 200) : "nothing") };
  window.chromiumTurn?.over.abort();
  const over = new AbortController(), say = (word) => ` + pressedBinding + `(turn + " " + word);
  window.chromiumTurn = { turn, over };
  let down = false;
  const on = (type, f) => addEventListener(type, (ev) => {
    if (!ev.isTrusted) return;
    if (type === "pointerdown") down = own(ev.target);
    if (down && own(ev.target)) { f(ev); return; }
    ev.preventDefault();
    ev.stopImmediatePropagation();
    say("` + missed + `");
    if (type === "click") over.abort();
  }, { capture: true, signal: over.signal });
  on("pointerdown", () => { if (drag) say("` + hit + `"); });
  on("mousedown", () => {});
  if (drag) return { X, Y };
  on("click", (ev) => {
    over.abort();
    say("` + hit + `");
    const after = new AbortController(), leave = (x) => { if (!x.defaultPrevented) say("` + leaves + `"); };
    addEventListener("submit", leave, { signal: after.signal });
    const link = ev.target.closest("a[href]");
    if (link && !link.target && link.href.split("#")[0] !== location.href.split("#")[0]) addEventListener("click", leave, { signal: after.signal });
    setTimeout(() => after.abort());
  });
  return { X, Y };
})(%s, %d, %t)`

// heard keeps what the page says of the latest press.
func (p *Page) heard(payload string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if word, ok := strings.CutPrefix(payload, fmt.Sprintf("%d ", p.turn)); ok && p.said != leaves {
		p.said = word
	}
}

// Click presses the middle of the first element that a selector finds, with a real mouse,
// as soon as that is there, and waits for the next page if that opens one.
func (p *Page) Click(selector string) error {
	turn, err := p.press(selector, false, func(x, y float64) error {
		return errors.Join(p.mouse("mouseMoved", x, y, 0), p.mouse("mousePressed", x, y, 1), p.mouse("mouseReleased", x, y, 0))
	})
	if err != nil || p.result() != leaves {
		return err
	}
	if err := p.Until(fmt.Sprintf(`window.chromiumTurn?.turn !== %d && document.readyState === "complete"`, turn)); err != nil {
		return fmt.Errorf("after a click on %s: %w", selector, err)
	}
	return nil
}

// DragBy drags the first element that a selector finds.
func (p *Page) DragBy(selector string, dx, dy float64) error {
	const steps = 5
	_, err := p.press(selector, true, func(x, y float64) error {
		err := errors.Join(p.mouse("mouseMoved", x, y, 0), p.mouse("mousePressed", x, y, 1), p.Eval("0", nil))
		toX, toY := x, y
		for k := 1; k <= steps && p.result() == hit && err == nil; k++ {
			toX, toY = x+dx*float64(k)/steps, y+dy*float64(k)/steps
			err = p.mouse("mouseMoved", toX, toY, 1)
		}
		return errors.Join(err, p.mouse("mouseReleased", toX, toY, 0), p.Eval("window.chromiumTurn.over.abort()", nil))
	})
	return err
}

// press does a press and does it again until the page says that it has reached its element.
func (p *Page) press(selector string, drag bool, do func(x, y float64) error) (turn int, err error) {
	q, _ := json.Marshal(selector)
	why := ""
	for end := time.Now().Add(p.patient); time.Now().Before(end); time.Sleep(30 * time.Millisecond) {
		p.mu.Lock()
		p.turn++
		p.said, turn = "", p.turn
		p.mu.Unlock()
		var at struct {
			Why  string
			X, Y float64
		}
		if err := p.Eval(fmt.Sprintf(aim, q, turn, drag), &at); err != nil {
			why = err.Error() // the page was being left
			continue
		}
		if why = at.Why; why != "" {
			continue
		}
		if err := do(at.X, at.Y); err != nil {
			return turn, fmt.Errorf("a press on %s: %w", selector, err)
		}
		// What the page says comes before the answer to what it is asked afterwards.
		_ = p.Eval("0", nil)
		switch p.result() {
		case hit, leaves:
			return turn, nil
		case missed:
			why = "something else was there when it was pressed"
		default:
			why = "it was gone when it was pressed"
		}
	}
	return turn, fmt.Errorf("no press has reached %s: %s; %s", selector, why, p.Says())
}

func (p *Page) result() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said
}

func (p *Page) mouse(kind string, x, y float64, buttons int) error {
	return p.call("Input.dispatchMouseEvent", map[string]any{"type": kind, "x": x, "y": y, "button": "left", "buttons": buttons, "clickCount": 1}, nil)
}

// Type focuses an element, types a text into it, and does so again if that was lost.
func (p *Page) Type(selector, text string) error {
	q, _ := json.Marshal(selector)
	t, _ := json.Marshal(text)
	for end := time.Now().Add(p.patient); time.Now().Before(end); time.Sleep(30 * time.Millisecond) {
		focused, typed := false, false
		if p.Eval(fmt.Sprintf("(() => { const e = document.querySelector(%s); e?.focus(); return !!e && document.activeElement === e; })()", q), &focused) != nil ||
			!focused {
			continue
		}
		if err := p.call("Input.insertText", map[string]any{"text": text}, nil); err != nil {
			return err
		}
		if p.Eval(fmt.Sprintf("!!document.querySelector(%s)?.value.endsWith(%s)", q, t), &typed) == nil && typed {
			return nil
		}
	}
	return fmt.Errorf("nothing could be typed into %s; %s", selector, p.Says())
}
