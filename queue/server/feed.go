package server

import (
	"sync"

	"loket/queue/station"
	"loket/queue/store"
)

// maxBehind is how many messages a subscriber may be behind before it is cut off.
const maxBehind = 256

// Message is one thing that a live view shows. Exactly one of Event and Station is set.
type Message struct {
	Sequence uint64                // counts messages since the start of this process, without gaps
	Event    *store.Event          // of the queue
	Station  *station.StationState // as it is now
}

// Feed carries what happens to live views. The zero value works. A view subscribes, then reads its snapshot, then follows: what
// is in both is the same twice. One that can't keep up is cut off and begins again.
type Feed struct {
	mu       sync.Mutex
	sequence uint64
	views    map[chan Message]bool
	closed   bool
}

// Event tells of something in the queue; see [store.Options].
func (f *Feed) Event(e store.Event) { f.publish(Message{Event: &e}) }

// Station tells how a station is now; see [station.Hub].
func (f *Feed) Station(s station.StationState) { f.publish(Message{Station: &s}) }

func (f *Feed) publish(m Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sequence++
	m.Sequence = f.sequence
	for view := range f.views {
		select {
		case view <- m:
		default:
			delete(f.views, view)
			close(view)
		}
	}
}

// Subscribe gives all messages after the sequence number that it returns. The channel is closed when the view falls behind, when
// the feed ends, and by stop, which is to be called.
func (f *Feed) Subscribe() (sequence uint64, messages <-chan Message, stop func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	view := make(chan Message, maxBehind)
	if f.closed {
		close(view)
		return f.sequence, view, func() {}
	}
	if f.views == nil {
		f.views = map[chan Message]bool{}
	}
	f.views[view] = true
	return f.sequence, view, func() { f.drop(view) }
}

func (f *Feed) drop(view chan Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.views[view] {
		delete(f.views, view)
		close(view)
	}
}

// Close ends all views.
func (f *Feed) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for view := range f.views {
		delete(f.views, view)
		close(view)
	}
}
