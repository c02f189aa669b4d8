// Package uru4000 is the firmware of a simulated DigitalPersona U.are.U 4500, a reader for one finger.
//
// The one idea: registers on the host's side, a finger on the person's side, and between them a mode that says what the reader
// waits for. What a finger does is told by reports of 64 bytes; an image goes out in one transfer, scrambled row by row with a
// key that changes with every image. Nothing runs while nothing happens. The facts that it follows are in the README of the
// driver, drivers/uru4000.
package uru4000

import (
	"cmp"
	"image"
	"slices"
	"sync"

	"loket/drivers/usb"
)

// The sensor's size in pixels.
const (
	Width  = 384
	Height = 290
)

// Options describe one reader. The zero value is a good one.
type Options struct {
	Serial string  // "{SIM-URU4500-1}" where empty
	Key    uint32  // scrambles the first image; each later one has another. Zero: a fixed one that is none of the trivial ones
	Blocks []Block // how images are sent; as the recorded reader sent them where empty
}

// Flags of a block.
const (
	RowsAbsent  byte = 1 << 0 // the rows are not sent
	Scrambled   byte = 1 << 1
	NoKeyUpdate byte = 1 << 2 // the key stays where it is over these rows
)

// Block is some rows in the order in which the reader sends them: from the lower edge of the finger's image upwards.
type Block struct {
	Flags byte
	Rows  byte
}

// recorded is how the recorded reader sent its image, but for one row that leaves the key where it is.
func recorded() []Block {
	return []Block{{Scrambled, 72}, {0, 1}, {Scrambled, 49}, {RowsAbsent, 1}, {0, 1}, {Scrambled, 49}, {0, 1}, {Scrambled, 100},
		{NoKeyUpdate, 1}, {Scrambled, 15}}
}

// maxBlocks is how many blocks the head of an image has room for.
const maxBlocks = 15

// Presentation is what a person does with a finger: it lies still until the next one, or until Lift.
type Presentation struct {
	// Image is what a capture shows, ridges dark. Its upper left corner is placed on that of the sensor as it is; the rest of
	// the sensor is white, and what lies beyond it is not seen. Rows that are not sent can't be shown, and the transfer of a
	// scrambled block loses one pixel at the left edge.
	Image *image.Gray
}

// Guidance is what the reader's lamp tells the person.
type Guidance struct {
	Waiting bool // for a finger
	Lift    bool // the image is taken, the finger should leave
}

// Device is a reader. It must be made by [New]; its methods may be called from several goroutines at once.
type Device struct {
	opt Options

	mu     sync.Mutex
	finger *image.Gray // nil for none; not changed once it is here

	status  byte // register 07
	mode    byte // register 4e
	next    byte // number of the next image's key
	keys    [256]uint32
	asked   uint32 // what register 34 gives
	reports [][reportSize]byte
	image   []byte // waits to be fetched
	sent    int

	reportReady, imageReady chan struct{} // hold a token when there may be something

	told    Guidance
	changed chan struct{}
}

var (
	_ usb.Gadget      = (*Device)(nil)
	_ usb.BusResetter = (*Device)(nil)
)

// New makes a reader with nothing on it. Blocks that are not [Height] rows, or too many, panic: they are a programmer's mistake.
func New(opt Options) *Device {
	opt.Serial = cmp.Or(opt.Serial, "{SIM-URU4500-1}")
	opt.Key = cmp.Or(opt.Key, 0x2f6b1d47)
	if len(opt.Blocks) == 0 {
		opt.Blocks = recorded()
	}
	opt.Blocks = slices.Clone(opt.Blocks)
	both := func(b Block) bool { return b.Flags&(Scrambled|NoKeyUpdate) == Scrambled|NoKeyUpdate } // nobody has seen it
	if rows, _ := count(opt.Blocks); rows != Height || len(opt.Blocks) > maxBlocks || slices.ContainsFunc(opt.Blocks, both) {
		panic("uru4000: the blocks are not one image")
	}
	d := &Device{opt: opt, changed: make(chan struct{}), reportReady: make(chan struct{}, 1), imageReady: make(chan struct{}, 1)}
	key := opt.Key
	for i := range d.keys {
		d.keys[i] = key
		for range 4099 {
			key = step(key)
		}
	}
	d.status, d.mode = powered, modeOff
	return d
}

// count adds up rows, and those that are sent.
func count(blocks []Block) (rows, sent int) {
	for _, b := range blocks {
		rows += int(b.Rows)
		if b.Flags&RowsAbsent == 0 {
			sent += int(b.Rows)
		}
	}
	return rows, sent
}

// Present puts a finger on the reader, in place of one that lies there. The image is copied.
func (d *Device) Present(p Presentation) {
	seen := image.NewGray(image.Rect(0, 0, Width, Height))
	for i := range seen.Pix {
		seen.Pix[i] = 255
	}
	if p.Image != nil {
		from := p.Image.Bounds()
		for y := range min(from.Dy(), Height) {
			copy(seen.Pix[y*Width:][:min(from.Dx(), Width)], p.Image.Pix[p.Image.PixOffset(from.Min.X, from.Min.Y+y):])
		}
	}
	d.put(seen)
}

// Lift takes the finger off the reader.
func (d *Device) Lift() { d.put(nil) }

func (d *Device) put(finger *image.Gray) {
	d.mu.Lock()
	defer d.mu.Unlock()
	was := d.finger
	d.finger = finger
	if (was == nil) != (finger == nil) {
		d.feel()
	}
	d.tell()
}

// Guidance returns what the lamp tells now. To follow it, take [Device.Changed] first.
func (d *Device) Guidance() Guidance {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.told
}

// Changed returns a channel that is closed at the next change of [Device.Guidance].
func (d *Device) Changed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changed
}

// tell works out the guidance. The mutex is held.
func (d *Device) tell() {
	g := Guidance{Waiting: d.mode == modeAwaitOn && d.finger == nil, Lift: d.mode == modeAwaitOff && d.finger != nil}
	if g != d.told {
		d.told = g
		close(d.changed)
		d.changed = make(chan struct{})
	}
}
