package usbtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"loket/drivers/usb"
)

// Player is a bus with one device that answers as the one of a recording did, and to nothing else: on each endpoint the
// driver's transfers must be those of the recording in their order, with the same buffers and the same bytes. A transfer
// ends no sooner than the driver has sent everything that the recorded one had been sent by then. The first difference ends
// that transfer and every later one with a [*MismatchError].
//
// A player runs inside a testing/synctest bubble. Closing and opening the device goes on where the recording stands. Its
// methods may be called from several goroutines at once.
type Player struct {
	info   usb.Info
	desc   []byte
	layout usb.Layout
	merged bool

	mu       sync.Mutex
	steps    []step
	left     map[uint8][]int // by endpoint: what has not begun, 0 for all control transfers
	at       int             // in a merged recording: the step that began last; -1 for none
	sent     int             // the first step to the device that has not begun, or the number of steps
	supplied map[string][]byte
	failed   error
	changed  chan struct{}
	holder   *played
}

// step is a transfer with what became of it.
type step struct {
	Transfer
	begun, ended bool
	before       int // the transfer before it on its endpoint; -1 for none
}

// MismatchError says where a driver does other than the recording.
type MismatchError struct {
	Line int // of the recording; 0 where there is none
	What string
}

// Error names the line and the difference.
func (e *MismatchError) Error() string {
	if e.Line == 0 {
		return "playing the recording: " + e.What
	}
	return fmt.Sprintf("playing the recording, line %d: %s", e.Line, e.What)
}

// Playback reads a recording and makes a player of it.
func Playback(r io.Reader) (*Player, error) {
	rec, err := ReadRecording(r)
	if err != nil {
		return nil, err
	}
	return Play(rec)
}

// Play makes a player of a recording. It fails where the descriptors are malformed.
func Play(rec *Recording) (*Player, error) {
	layout, err := usb.ParseDescriptors(rec.Descriptors)
	if err != nil {
		return nil, err
	}
	p := &Player{info: rec.Info, desc: rec.Descriptors, layout: layout, merged: rec.Merged, at: -1,
		left: map[uint8][]int{}, supplied: map[string][]byte{}, changed: make(chan struct{})}
	p.info.Bus, p.info.Port, p.info.SysfsPath = "playback", "1-1", ""
	for i, t := range rec.Transfers {
		s := step{Transfer: t, before: -1}
		if list := p.left[t.queue()]; len(list) > 0 {
			s.before = list[len(list)-1]
		}
		p.steps = append(p.steps, s)
		p.left[t.queue()] = append(p.left[t.queue()], i)
	}
	return p, nil
}

// queue is the endpoint on whose order a transfer depends.
func (t Transfer) queue() uint8 {
	if t.Kind == InTransfer || t.Kind == OutTransfer {
		return t.Endpoint
	}
	return 0
}

// Supply gives payloads that stand in the recording by their digest.
func (p *Player) Supply(payloads ...[]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range payloads {
		p.supplied[hide(b).Digest] = b
	}
}

// Done proves that the driver did all of the recording: its error is the first difference, or what is left. Of a merged
// recording it proves that no exchange was left before its end.
func (p *Player) Done() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != nil {
		return p.failed
	}
	if p.merged {
		if p.at >= 0 && !p.steps[p.at].leaf {
			return &MismatchError{p.steps[p.at].Line, "the driver leaves in the middle of an exchange"}
		}
		return nil
	}
	for _, s := range p.steps {
		if !s.begun {
			return &MismatchError{s.Line, fmt.Sprintf("the driver did not run %s", s.words())}
		}
	}
	return nil
}

// words names a transfer.
func (t Transfer) words() string {
	switch t.Kind {
	case ControlTransfer:
		return fmt.Sprintf("control %02x %02x %04x %04x of %d bytes", t.Setup.RequestType, t.Setup.Request, t.Setup.Value, t.Setup.Index, t.Setup.Length)
	case DeviceReset:
		return "a reset"
	case HaltCleared:
		return fmt.Sprintf("clearing the halt of %02x", t.Endpoint)
	}
	return fmt.Sprintf("%s %02x of %d bytes", t.Kind, t.Endpoint, t.Length)
}

// Devices lists the one device.
func (p *Player) Devices(ctx context.Context) ([]usb.Info, error) {
	return []usb.Info{p.info}, ctx.Err()
}

// Open opens the device for one owner.
func (p *Player) Open(ctx context.Context, id usb.Identity) (usb.Device, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case id != p.info.Identity():
		return nil, fmt.Errorf("opening %s: %w", id, usb.ErrNotFound)
	case p.holder != nil:
		return nil, fmt.Errorf("opening %s: %w", id, usb.ErrBusy)
	}
	d := &played{player: p}
	d.claims.Layout = p.layout
	d.ctx, d.close = context.WithCancel(context.Background())
	p.holder = d
	return d, nil
}

// played is the open device of a player.
type played struct {
	player *Player
	claims usb.Claims
	ctx    context.Context // ends at Close
	close  context.CancelFunc
}

func (d *played) Info() usb.Info      { return d.player.info }
func (d *played) Descriptors() []byte { return slices.Clone(d.player.desc) }

func (d *played) Claim(iface, alt uint8) error {
	if d.ctx.Err() != nil {
		return usb.ErrClosed
	}
	_, err := d.claims.Claim(iface, alt)
	return err
}

func (d *played) Control(ctx context.Context, s usb.Setup, data []byte) (int, error) {
	if len(data) < int(s.Length) {
		return 0, fmt.Errorf("running a control transfer of %d bytes with a buffer of %d", s.Length, len(data))
	}
	if s == usb.ClearHalt(uint8(s.Index)) {
		return 0, d.ClearHalt(ctx, uint8(s.Index))
	}
	return d.player.run(ctx, d, Transfer{Kind: ControlTransfer, Setup: s, Length: int(s.Length)}, data[:s.Length])
}

func (d *played) Transfer(ctx context.Context, endpoint uint8, data []byte) (int, error) {
	if d.ctx.Err() != nil {
		return 0, usb.ErrClosed
	}
	if _, err := d.claims.Endpoint(endpoint); err != nil {
		return 0, err
	}
	t := Transfer{Kind: OutTransfer, Endpoint: endpoint, Length: len(data)}
	if endpoint&0x80 != 0 {
		t.Kind = InTransfer
	}
	return d.player.run(ctx, d, t, data)
}

// ClearHalt is one step of the recording.
func (d *played) ClearHalt(ctx context.Context, endpoint uint8) error {
	_, err := d.player.run(ctx, d, Transfer{Kind: HaltCleared, Endpoint: endpoint}, nil)
	return err
}

// Reset is one step of the recording.
func (d *played) Reset(ctx context.Context) error {
	_, err := d.player.run(ctx, d, Transfer{Kind: DeviceReset}, nil)
	return err
}

func (d *played) Close() error {
	d.close()
	d.player.mu.Lock()
	defer d.player.mu.Unlock()
	if d.player.holder == d {
		d.player.holder = nil
	}
	return nil
}

// run takes the next step on an endpoint and ends as it did.
func (p *Player) run(ctx context.Context, d *played, t Transfer, data []byte) (int, error) {
	switch {
	case d.ctx.Err() != nil:
		return 0, usb.ErrClosed
	case ctx.Err() != nil:
		return 0, ctx.Err()
	}
	i, err := p.begin(t, data)
	if err != nil {
		return 0, err
	}
	defer p.end(i)
	waits := p.steps[i].Outcome == WasCancelled || p.steps[i].Outcome == WasClosed
	for {
		due, changed, err := p.due(i)
		switch {
		case err != nil:
			return 0, err
		case due && !waits:
			return p.give(i, data)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, p.gaveUp(i, waits, ctx.Err())
		case <-d.ctx.Done():
			return 0, p.gaveUp(i, waits, usb.ErrClosed)
		}
	}
}

// begin finds the step that a transfer is.
func (p *Player) begin(t Transfer, data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != nil {
		return 0, p.failed
	}
	i, err := p.find(t, data)
	if err != nil {
		p.failed = err
		p.stir()
		return 0, err
	}
	p.steps[i].begun, p.at = true, i
	for p.sent < len(p.steps) && (p.steps[p.sent].begun || p.steps[p.sent].Kind == InTransfer) {
		p.sent++
	}
	p.stir()
	return i, nil
}

// find returns the step that a transfer must be, or why it isn't. The mutex is held.
func (p *Player) find(t Transfer, data []byte) (int, error) {
	if p.merged {
		return p.findMerged(t, data)
	}
	list := p.left[t.queue()]
	if len(list) == 0 {
		return 0, &MismatchError{0, fmt.Sprintf("the driver runs %s after everything on this endpoint", t.words())}
	}
	s := p.steps[list[0]]
	if what := s.differs(t, data); what != "" {
		return 0, &MismatchError{s.Line, what}
	}
	p.left[t.queue()] = list[1:]
	return list[0], nil
}

// differs says how a driver's transfer is another one; "" where it is not.
func (t Transfer) differs(d Transfer, data []byte) string {
	if t.Kind != d.Kind || t.Endpoint != d.Endpoint || t.Setup != d.Setup || t.Length != d.Length {
		return fmt.Sprintf("the driver runs %s instead of %s", d.words(), t.words())
	}
	if !d.in() && !t.Payload.fits(data) {
		return fmt.Sprintf("the driver sends other bytes with %s%s", t.words(), firstOther(t.Payload.Data, data))
	}
	return ""
}

func firstOther(want, got []byte) string {
	for i := range min(len(want), len(got)) {
		if want[i] != got[i] {
			return fmt.Sprintf(": byte %d is %02x and not %02x", i, got[i], want[i])
		}
	}
	return ""
}

// due reports whether a step may end. Only what the driver gives the device counts as before it: how many reads were waiting
// is the driver's own affair.
func (p *Player) due(i int) (bool, <-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.steps[i]
	if p.failed != nil {
		return false, nil, p.failed
	}
	if p.merged {
		return true, p.changed, nil
	}
	if s.before >= 0 && !p.steps[s.before].ended {
		return false, p.changed, nil
	}
	return p.sent >= min(s.Ended, len(p.steps)), p.changed, nil
}

// give ends a step as it ended.
func (p *Player) give(i int, data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.steps[i]
	if s.in() {
		b := s.Payload.Data
		if !s.Payload.clear() {
			var ok bool
			if b, ok = p.supplied[s.Payload.Digest]; !ok || len(b) != s.Payload.Size {
				p.failed = &MismatchError{s.Line, "the payload is hidden in the recording (hint: Supply gives it)"}
				p.stir()
				return 0, p.failed
			}
		}
		copy(data, b)
	}
	return s.Count, s.Outcome.error()
}

func (o Outcome) error() error {
	if o == Good {
		return nil
	}
	for _, known := range outcomes {
		if known.outcome == o {
			return known.err
		}
	}
	return errors.New("transfer failed, as recorded")
}

// gaveUp ends a step because the driver does. Where the recorded one ended otherwise, that is a difference.
func (p *Player) gaveUp(i int, expected bool, err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !expected && p.failed == nil {
		s := p.steps[i]
		p.failed = &MismatchError{s.Line, fmt.Sprintf("the driver gives up waiting for %s", s.words())}
		p.stir()
	}
	return err
}

func (p *Player) end(i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.steps[i].ended = true
	p.stir()
}

// stir wakes whatever waits. The mutex is held.
func (p *Player) stir() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// findMerged finds a step of a merged recording. A transfer to the device begins an exchange: the next one of the recording,
// round and round, that is the same. A transfer from it is the next of the present exchange that fits. The mutex is held.
func (p *Player) findMerged(t Transfer, data []byte) (int, error) {
	if t.in() && t.Kind != ControlTransfer {
		for i := p.at + 1; i < len(p.steps) && p.steps[i].Kind == InTransfer; i++ {
			if p.steps[i].differs(t, data) == "" {
				return i, nil
			}
		}
		return 0, &MismatchError{p.lineAt(), fmt.Sprintf("the driver runs %s, which does not follow here", t.words())}
	}
	if p.at >= 0 && !p.steps[p.at].leaf {
		return 0, &MismatchError{p.lineAt(), fmt.Sprintf("the driver runs %s in the middle of an exchange", t.words())}
	}
	for n := 1; n <= len(p.steps); n++ {
		if i := (p.at + n) % len(p.steps); p.steps[i].differs(t, data) == "" {
			return i, nil
		}
	}
	return 0, &MismatchError{0, fmt.Sprintf("the driver runs %s with bytes that the recording has nowhere", t.words())}
}

func (p *Player) lineAt() int {
	if p.at < 0 {
		return 0
	}
	return p.steps[p.at].Line
}
