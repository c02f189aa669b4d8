// Package uru4000 is the firmware of a simulated DigitalPersona U.are.U 4500, a reader for one finger.
//
// The one idea: registers on the host's side, a finger on the person's side, and between them a mode that says what the reader
// waits for. What a finger does is told by reports of 64 bytes; an image goes out in one transfer, scrambled row by row with a
// key that changes with every image. Nothing runs while nothing happens. The facts that it follows are in the README of the
// driver, drivers/uru4000.
package uru4000

import (
	"cmp"
	"slices"

	"loket/drivers/usb"
	"loket/firmware-sim/platen"
)

// The sensor's size in pixels, and its scale.
const (
	Width  = 384
	Height = 290
	PPI    = 512
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
	NextKey     byte = 1 << 7 // from these rows on, the key with the next number
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

// Presentation is what a person does with a finger. Rows that are not sent can't be shown, and the transfer of a scrambled
// block loses one pixel at the left edge.
type Presentation = platen.Presentation

// Guidance is what the reader's lamp tells the person.
type Guidance = platen.Guidance

// Device is a reader. It must be made by [New]; its methods may be called from several goroutines at once.
type Device struct {
	*platen.Platen
	opt Options

	felt    bool // a finger, when it was looked at last
	status  byte // register 07
	mode    byte // register 4e
	next    byte // number of the next image's key
	keys    [256]uint32
	asked   uint32 // what register 34 gives
	reports [][reportSize]byte
	image   []byte // waits to be fetched
	sent    int

	reportReady, imageReady chan struct{} // hold a token when there may be something
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
	d := &Device{opt: opt, reportReady: make(chan struct{}, 1), imageReady: make(chan struct{}, 1)}
	d.Platen = platen.New(Width, Height, PPI, d.moved)
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

// moved looks at the finger. The mutex is held.
func (d *Device) moved() {
	if there := d.FingerHeld() != nil; there != d.felt {
		d.felt = there
		d.feel()
	}
	d.tell()
}

// tell works out the guidance. The mutex is held.
func (d *Device) tell() {
	d.TellHeld(Guidance{Armed: d.mode == modeAwaitOn || d.mode == modeCapture, Lift: d.mode == modeAwaitOff && d.FingerHeld() != nil})
}
