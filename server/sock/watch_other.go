//go:build !linux

package sock

// watcher is there on Linux only.
type watcher struct{}

func newWatcher() *watcher { return nil }

func (w *watcher) add(*Conn) bool { return false }

func (w *watcher) forget(*Conn) {}

func (w *watcher) close() {}
