package book

import (
	"slices"
	"sync"
)

// Event tells of a step that has happened.
type Event struct {
	Appointment Appointment
	Step        string
	// Session names the half-day whose queue has changed.
	Session string
}

// hub hands events to who listens.
type hub struct {
	mu    sync.Mutex
	subs  []*Subscription
	steps uint64
	ended bool
}

// Subscription gets the events that its filter lets through. One that does not read
// misses events, never holds up the clinic: each event says that something has changed,
// and what is so now is in the book.
type Subscription struct {
	// C is closed when the book is closed.
	C      <-chan Event
	c      chan Event
	filter func(e *Event) bool
	hub    *hub
}

// Subscribe listens until Close. The filter may change its event, which is a copy, to tell
// less.
func (b *Book) Subscribe(filter func(e *Event) bool) *Subscription {
	s := &Subscription{c: make(chan Event, 16), filter: filter, hub: &b.hub}
	s.C = s.c
	b.hub.mu.Lock()
	defer b.hub.mu.Unlock()
	if b.hub.ended {
		close(s.c)
		return s
	}
	b.hub.subs = append(b.hub.subs, s)
	return s
}

// Steps counts the events so far: who has read the book since it was this many, and
// subscribes while it still is, has missed none.
func (b *Book) Steps() uint64 {
	b.hub.mu.Lock()
	defer b.hub.mu.Unlock()
	return b.hub.steps
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.hub.subs = slices.DeleteFunc(s.hub.subs, func(o *Subscription) bool { return o == s })
}

func (h *hub) publish(events []Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.steps += uint64(len(events))
	for _, e := range events {
		for _, s := range h.subs {
			own := e
			if !s.filter(&own) {
				continue
			}
			select {
			case s.c <- own:
			default:
			}
		}
	}
}

func (h *hub) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.subs {
		close(s.c)
	}
	h.subs, h.ended = nil, true
}
