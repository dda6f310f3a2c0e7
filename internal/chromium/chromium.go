// Package chromium drives a real Chromium for tests of pages, by the DevTools protocol
// over a pipe: no port, no library. It finds the browser by its usual names on the path,
// or by CHROMIUM.
//
// Pages may change under a test's hands, as they do under a reader's: a press counts when
// the page says that it has reached the element it was meant for, and is tried again
// otherwise (press.go).
//
// A Page is for one test's goroutine. Close ends the browser and removes its profile.
package chromium

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// ErrAbsent says that there is no browser on this machine.
var ErrAbsent = errors.New("there is no Chromium (install chromium, or name it in CHROMIUM)")

// Find gives the browser's path.
func Find() (string, error) {
	names := []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome", "chrome"}
	for _, n := range names {
		if n == "" {
			continue
		}
		if path, err := exec.LookPath(n); err == nil {
			return path, nil
		}
	}
	return "", ErrAbsent
}

// Browser is one running browser.
type Browser struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	profile string

	mu      sync.Mutex
	next    int
	waiting map[int]chan reply
	events  []func(session, method string, params json.RawMessage)
	ended   error
}

type reply struct {
	Result json.RawMessage
	Error  *struct{ Message string }
}

// Start starts a browser without a window.
func Start() (*Browser, error) {
	path, err := Find()
	if err != nil {
		return nil, err
	}
	profile, err := os.MkdirTemp("", "chromium")
	if err != nil {
		return nil, err
	}
	b := &Browser{profile: profile, waiting: map[int]chan reply{}}
	b.cmd = exec.Command(path, "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
		"--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-extensions", "--mute-audio", "--user-data-dir="+profile, "about:blank")
	// The browser reads commands from descriptor 3 and writes to descriptor 4.
	commands, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, answers, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	b.cmd.ExtraFiles, b.in = []*os.File{commands, answers}, in
	err = b.cmd.Start()
	_, _ = commands.Close(), answers.Close()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(profile))
	}
	go b.read(out)
	return b, nil
}

// read hands out what the browser says until it ends.
func (b *Browser) read(out io.ReadCloser) {
	defer out.Close()
	in := bufio.NewReaderSize(out, 1<<20)
	for {
		raw, err := in.ReadBytes(0)
		if err != nil {
			b.mu.Lock()
			b.ended = fmt.Errorf("the browser has ended: %w", err)
			for _, c := range b.waiting {
				close(c)
			}
			b.waiting = map[int]chan reply{}
			b.mu.Unlock()
			return
		}
		var m struct {
			ID        int
			SessionID string
			Method    string
			Params    json.RawMessage
			reply
		}
		if json.Unmarshal(raw[:len(raw)-1], &m) != nil {
			continue
		}
		b.mu.Lock()
		c := b.waiting[m.ID]
		delete(b.waiting, m.ID)
		events := b.events
		b.mu.Unlock()
		switch {
		case c != nil:
			c <- m.reply
		case m.Method != "":
			for _, f := range events {
				f(m.SessionID, m.Method, m.Params)
			}
		}
	}
}

// call sends a command and waits for its answer.
func (b *Browser) call(ctx context.Context, session, method string, params, result any) error {
	c := make(chan reply, 1)
	b.mu.Lock()
	if b.ended != nil {
		b.mu.Unlock()
		return b.ended
	}
	b.next++
	id := b.next
	b.waiting[id] = c
	m := map[string]any{"id": id, "method": method}
	if params != nil {
		m["params"] = params
	}
	if session != "" {
		m["sessionId"] = session
	}
	raw, err := json.Marshal(m)
	if err == nil {
		_, err = b.in.Write(append(raw, 0))
	}
	b.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", method, ctx.Err())
	case r, ok := <-c:
		switch {
		case !ok:
			return fmt.Errorf("%s: the browser has ended", method)
		case r.Error != nil:
			return fmt.Errorf("%s: %s", method, r.Error.Message)
		case result != nil:
			return json.Unmarshal(r.Result, result)
		}
		return nil
	}
}

// Close ends the browser.
func (b *Browser) Close() error {
	_ = b.in.Close()
	done := make(chan error, 1)
	go func() { done <- b.cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		_ = b.cmd.Process.Kill()
		<-done
	}
	return os.RemoveAll(b.profile)
}

// Page is one tab with cookies of its own.
type Page struct {
	// Width of the screen in CSS pixels.
	Width int

	b               *Browser
	session, target string
	patient         time.Duration

	mu     sync.Mutex
	errors []string
	turn   int    // of presses
	said   string // by the page, of the press of this turn
}

// Open opens a tab of a size in CSS pixels. language is what the browser asks pages for,
// such as "en" or "zh-CN".
func (b *Browser) Open(width, height int, mobile bool, language string) (*Page, error) {
	ctx := context.Background()
	var made struct{ BrowserContextID, TargetID, SessionID string }
	p := &Page{Width: width, b: b, patient: time.Minute}
	err := b.call(ctx, "", "Target.createBrowserContext", nil, &made)
	if err == nil {
		err = b.call(ctx, "", "Target.createTarget", map[string]any{"url": "about:blank", "browserContextId": made.BrowserContextID}, &made)
	}
	if err == nil {
		err = b.call(ctx, "", "Target.attachToTarget", map[string]any{"targetId": made.TargetID, "flatten": true}, &made)
	}
	if err != nil {
		return nil, err
	}
	p.session, p.target = made.SessionID, made.TargetID
	b.mu.Lock()
	b.events = append(b.events, p.event)
	b.mu.Unlock()
	var about struct{ UserAgent string }
	if err := b.call(ctx, "", "Browser.getVersion", nil, &about); err != nil {
		return nil, err
	}
	scale := 1
	if mobile {
		scale = 2
	}
	for _, c := range []struct {
		method string
		params map[string]any
	}{
		{"Page.enable", nil}, {"Runtime.enable", nil}, {"Log.enable", nil}, {"Inspector.enable", nil}, {"Runtime.addBinding", map[string]any{"name": pressedBinding}},
		{"Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": scale, "mobile": mobile}},
		{"Emulation.setUserAgentOverride", map[string]any{"userAgent": about.UserAgent, "acceptLanguage": language}},
	} {
		if err := b.call(ctx, p.session, c.method, c.params, nil); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Close closes the tab.
func (p *Page) Close() {
	_ = p.b.call(context.Background(), "", "Target.closeTarget", map[string]any{"targetId": p.target}, nil)
}

// event keeps what the page complains of, and what it says of a press.
func (p *Page) event(session, method string, params json.RawMessage) {
	if session != p.session {
		return
	}
	var e struct {
		ExceptionDetails struct {
			Text      string
			Exception struct{ Description string }
		}
		Entry         struct{ Level, Text, URL string }
		Name, Payload string
	}
	_ = json.Unmarshal(params, &e)
	text := ""
	switch {
	case method == "Runtime.exceptionThrown":
		text = e.ExceptionDetails.Text + " " + e.ExceptionDetails.Exception.Description
	case method == "Log.entryAdded" && e.Entry.Level == "error":
		text = e.Entry.Text + " " + e.Entry.URL
	case method == "Inspector.targetCrashed":
		text = "the tab has crashed"
	case method == "Runtime.bindingCalled" && e.Name == pressedBinding:
		p.heard(e.Payload)
		return
	default:
		return
	}
	p.mu.Lock()
	p.errors = append(p.errors, text)
	p.mu.Unlock()
}

// Errors gives what the page's scripts threw and its console has as errors, and forgets
// it.
func (p *Page) Errors() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.errors
	p.errors = nil
	return out
}

func (p *Page) call(method string, params, result any) error {
	ctx, cancel := context.WithTimeout(context.Background(), p.patient)
	defer cancel()
	return p.b.call(ctx, p.session, method, params, result)
}

// Go opens an address and waits until the page has loaded.
func (p *Page) Go(address string) error {
	var r struct{ ErrorText string }
	if err := p.call("Page.navigate", map[string]any{"url": address}, &r); err != nil {
		return err
	}
	if r.ErrorText != "" {
		return fmt.Errorf("%s: %s", address, r.ErrorText)
	}
	return p.Until(`document.readyState === "complete" && location.href !== "about:blank"`)
}

// Eval runs an expression in the page and decodes its value into result, which may be nil.
// A promise is waited for.
func (p *Page) Eval(expression string, result any) error {
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	if err := p.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true, "userGesture": true},
		&r); err != nil {
		return err
	}
	if e := r.ExceptionDetails; e != nil {
		return fmt.Errorf("%s: %s %s", expression, e.Text, e.Exception.Description)
	}
	if result == nil || len(r.Result.Value) == 0 {
		return nil
	}
	return json.Unmarshal(r.Result.Value, result)
}

// Until waits until an expression is true in the page, which may be another by then.
func (p *Page) Until(expression string) error {
	var last error
	for end := time.Now().Add(p.patient); time.Now().Before(end); time.Sleep(30 * time.Millisecond) {
		ok := false
		if last = p.Eval("!!("+expression+")", &ok); ok {
			return nil
		}
	}
	return errors.Join(fmt.Errorf("never true: %s; %s", expression, p.Says()), last)
}

// Says is where a page is and what it shows, for a message.
func (p *Page) Says() string {
	text := ""
	if err := p.Eval(`location.href + " (" + document.readyState + ") says: " + document.title + " | " + document.body.innerText.slice(0, 2000)`,
		&text); err != nil {
		return fmt.Sprintf("the page does not say where it is: %v", err)
	}
	return text
}

// Press presses a key by its DOM name, such as ArrowRight or Tab.
func (p *Page) Press(key string) error {
	codes := map[string]int{"Tab": 9, "Enter": 13, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
	for _, kind := range []string{"keyDown", "keyUp"} {
		params := map[string]any{"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
		if key == "Enter" && kind == "keyDown" {
			params["text"] = "\r" // a key without its character submits nothing
		}
		if err := p.call("Input.dispatchKeyEvent", params, nil); err != nil {
			return err
		}
	}
	return nil
}

// Text gives what an element says.
func (p *Page) Text(selector string) (string, error) {
	q, _ := json.Marshal(selector)
	text := ""
	err := p.Eval(fmt.Sprintf("document.querySelector(%s)?.innerText ?? ''", q), &text)
	return strings.TrimSpace(text), err
}

// Screenshot takes a picture (PNG) of the whole page.
func (p *Page) Screenshot() ([]byte, error) {
	var r struct{ Data string }
	if err := p.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &r); err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(r.Data)
}
