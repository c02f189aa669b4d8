package usbtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"loket/drivers/usb"
)

// InClear, as [RecordOptions].Clear, keeps every payload as it is: for devices that carry nobody's data.
const InClear = math.MaxInt

// RecordOptions makes a [Recorder]. The zero value hides every payload but for its length, which is right for whatever reads
// codes or documents, takes signatures or prints: what is short or regular could be guessed from its digest.
type RecordOptions struct {
	Clear  int   // bytes up to which a message stands in the recording as it is
	Digest bool  // what is longer stands there by length and digest; below 32 bytes by length alone
	Limit  int64 // characters after which the recording ends; no limit where zero
}

// Recorder writes the traffic with one device as text, in the form that [ReadRecording] reads. It changes nothing of that
// traffic. A message of a bulk or interrupt endpoint is hidden whole, however many transfers it takes. Its methods may be
// called from several goroutines at once.
type Recorder struct {
	w io.Writer
	o RecordOptions

	mu      sync.Mutex
	last    *recorded // the device that was opened last
	begun   int
	pending map[int]Transfer
	hiding  map[uint8]bool // endpoints in the middle of a hidden message
	written int64
	ended   bool
	err     error
	done    chan struct{}
}

// Record starts a recording that goes to w, line by line as transfers end; w must not block for long.
func Record(w io.Writer, o RecordOptions) *Recorder {
	return &Recorder{w: w, o: o, pending: map[int]Transfer{}, hiding: map[uint8]bool{}, done: make(chan struct{})}
}

// Device wraps a device: what runs over the device that comes back is recorded. The next device that is wrapped takes its
// place, as after closing and opening; a recording is of one device.
func (r *Recorder) Device(dev usb.Device) usb.Device {
	d := &recorded{Device: dev, rec: r, packets: packets(dev.Descriptors())}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		r.write(headText(dev.Info(), dev.Descriptors()))
	} else {
		r.write("# opened again\n")
	}
	r.last = d
	_, resets := dev.(usb.Resetter)
	iso, streams := dev.(usb.Isochronous)
	switch {
	case resets && streams:
		return recordedStreamer{&recordedResetter{d}, iso}
	case resets:
		return &recordedResetter{d}
	}
	return d
}

// Bus wraps a bus: whatever is opened over the bus that comes back is recorded.
func (r *Recorder) Bus(b usb.Bus) usb.Bus { return recordedBus{b, r} }

type recordedBus struct {
	usb.Bus
	rec *Recorder
}

func (b recordedBus) Open(ctx context.Context, id usb.Identity) (usb.Device, error) {
	dev, err := b.Bus.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	return b.rec.Device(dev), nil
}

// Done returns a channel that is closed when the recording has ended: by Stop, at its limit, or because w failed.
func (r *Recorder) Done() <-chan struct{} { return r.done }

// Stop ends the recording; devices go on without it. What was pending stands in it as cancelled. The error is the first that
// w gave.
func (r *Recorder) Stop() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stop("# stopped\n")
	return r.err
}

// stop writes what is pending and a last line. The mutex is held.
func (r *Recorder) stop(why string) {
	if r.ended {
		return
	}
	for n := 1; n <= r.begun; n++ {
		if t, ok := r.pending[n]; ok {
			t.Ended, t.Outcome = r.begun, WasCancelled
			r.put(t.text(n))
		}
	}
	r.put(why)
	r.pending = nil
	r.ended = true
	close(r.done)
}

// write writes a line and ends the recording where it is full. The mutex is held.
func (r *Recorder) write(line string) {
	if r.ended {
		return
	}
	r.put(line)
	switch {
	case r.err != nil:
		r.stop("")
	case r.o.Limit > 0 && r.written >= r.o.Limit:
		r.stop("# stopped at its limit\n")
	case r.begun >= maxTransfers:
		r.stop("# stopped: more transfers than a recording holds\n")
	}
}

func (r *Recorder) put(line string) {
	if r.err != nil {
		return
	}
	n, err := io.WriteString(r.w, line)
	r.written += int64(n)
	if err != nil {
		r.err = fmt.Errorf("writing the recording: %w", err)
	}
}

// begin numbers a transfer; 0 where nothing is recorded any more.
func (r *Recorder) begin(d *recorded, t Transfer, out []byte) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended || r.last != d {
		return 0
	}
	if !t.in() {
		t.Payload = r.show(t, out, d.packets[t.Endpoint])
	}
	r.begun++
	r.pending[r.begun] = t
	return r.begun
}

// end writes the line of a transfer.
func (r *Recorder) end(d *recorded, number int, in []byte, n int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, ok := r.pending[number]
	if !ok {
		return
	}
	delete(r.pending, number)
	n = max(0, min(n, t.Length))
	if t.in() {
		t.Payload = r.show(t, in[:n], d.packets[t.Endpoint])
	}
	t.Count, t.Ended, t.Outcome = n, r.begun, outcomeOf(err)
	r.write(t.text(number))
}

// show decides what of a payload stands in the recording. A transfer that fills its buffer with whole packets goes on in the
// next one on its endpoint.
func (r *Recorder) show(t Transfer, b []byte, packet int) Payload {
	if len(b) == 0 {
		delete(r.hiding, t.Endpoint)
		return Payload{}
	}
	p := inClear(b)
	hidden := r.hiding[t.Endpoint] || len(b) > r.o.Clear
	switch {
	case hidden && r.o.Digest:
		p = hide(b)
	case hidden:
		p = Payload{Size: len(b)}
	}
	if t.Kind == InTransfer || t.Kind == OutTransfer {
		goes := packet > 0 && len(b) == t.Length && len(b)%packet == 0
		r.hiding[t.Endpoint] = hidden && goes
	}
	return p
}

func outcomeOf(err error) Outcome {
	if err == nil {
		return Good
	}
	for _, o := range outcomes {
		if errors.Is(err, o.err) {
			return o.outcome
		}
	}
	return WasFailed
}

// packets maps endpoints to the sizes of their packets.
func packets(descriptors []byte) map[uint8]int {
	m := map[uint8]int{}
	l, err := usb.ParseDescriptors(descriptors)
	if err != nil {
		return m
	}
	for _, s := range l.Settings {
		for _, e := range s.Endpoints {
			m[e.Address] = e.MaxPacket
		}
	}
	return m
}

// recorded is a device whose traffic is written down.
type recorded struct {
	usb.Device
	rec     *Recorder
	packets map[uint8]int
}

func (d *recorded) Control(ctx context.Context, s usb.Setup, data []byte) (int, error) {
	if len(data) < int(s.Length) {
		return d.Device.Control(ctx, s, data) // which refuses it
	}
	if s == usb.ClearHalt(uint8(s.Index)) {
		number := d.rec.begin(d, Transfer{Kind: HaltCleared, Endpoint: uint8(s.Index)}, nil)
		n, err := d.Device.Control(ctx, s, data)
		d.rec.end(d, number, nil, 0, err)
		return n, err
	}
	data = data[:s.Length]
	number := d.rec.begin(d, Transfer{Kind: ControlTransfer, Setup: s, Length: len(data)}, data)
	n, err := d.Device.Control(ctx, s, data)
	d.rec.end(d, number, data, n, err)
	return n, err
}

func (d *recorded) Transfer(ctx context.Context, endpoint uint8, data []byte) (int, error) {
	if d.packets[endpoint] == 0 {
		return d.Device.Transfer(ctx, endpoint, data) // which refuses it
	}
	t := Transfer{Kind: OutTransfer, Endpoint: endpoint, Length: len(data)}
	if endpoint&0x80 != 0 {
		t.Kind = InTransfer
	}
	number := d.rec.begin(d, t, data)
	n, err := d.Device.Transfer(ctx, endpoint, data)
	d.rec.end(d, number, data, n, err)
	return n, err
}

// recordedResetter is a recorded device that can be reset.
type recordedResetter struct{ *recorded }

func (d *recordedResetter) ClearHalt(ctx context.Context, endpoint uint8) error {
	number := d.rec.begin(d.recorded, Transfer{Kind: HaltCleared, Endpoint: endpoint}, nil)
	err := d.Device.(usb.Resetter).ClearHalt(ctx, endpoint)
	d.rec.end(d.recorded, number, nil, 0, err)
	return err
}

func (d *recordedResetter) Reset(ctx context.Context) error {
	number := d.rec.begin(d.recorded, Transfer{Kind: DeviceReset}, nil)
	err := d.Device.(usb.Resetter).Reset(ctx)
	d.rec.end(d.recorded, number, nil, 0, err)
	return err
}

// recordedStreamer is one that can be reset and streams. Isochronous transfers are not recorded.
type recordedStreamer struct {
	*recordedResetter
	usb.Isochronous
}
