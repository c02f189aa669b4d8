package slap60

import (
	"image"
	"slices"
	"time"
)

// What the scanner says of itself.
const (
	maker         = "Loket"
	model         = "Slap 60"
	resolution    = 500
	maxFingers    = 4
	previewScale  = 10
	previewFrames = 15 // a second
	detector      = "slap60-sim-pad 1"
)

var firmware = [3]uint16{1, 0, 0}

// The checks of the self-test.
const (
	checkSensor = 2
	checks      = 6
)

// run runs a command whose counter was right. The mutex is held. The payload is valid until the next command.
func (d *Device) run(c command) (status, []byte) {
	switch c.code {
	case cmdGuide:
		return d.guide(c.payload)
	case cmdArm:
		return d.arm(c.payload)
	case cmdFetch:
		return d.fetch(c.payload)
	case cmdDone:
		return d.done(c.payload)
	case cmdIdentity, cmdFirmware, cmdStatus, cmdPreview, cmdImage, cmdSelfTest, cmdCancel:
		if len(c.payload) != 0 {
			return statusBadArgument, nil
		}
		return d.plain(c.code)
	}
	return statusUnknownCommand, nil
}

// plain runs a command without payload.
func (d *Device) plain(code uint8) (status, []byte) {
	switch code {
	case cmdIdentity:
		return statusOK, d.identity()
	case cmdFirmware:
		return statusOK, d.firmware()
	case cmdStatus:
		return statusOK, d.status()
	case cmdPreview:
		return statusOK, d.preview()
	case cmdImage:
		if d.capture.state != stateCaptured {
			return statusWrongState, nil
		}
		return statusOK, d.describe()
	case cmdSelfTest:
		if d.capture.state != stateIdle {
			return statusWrongState, nil
		}
		return statusOK, d.selfTest()
	default: // cancel
		d.disarm()
		return statusOK, nil
	}
}

func (d *Device) identity() []byte {
	b := appendText(nil, maker, 32)
	b = appendText(b, model, 32)
	b = appendText(b, d.opt.Serial, 32)
	b = le.AppendUint16(b, uint16(d.opt.Width))
	b = le.AppendUint16(b, uint16(d.opt.Height))
	b = le.AppendUint16(b, resolution)
	b = append(b, maxFingers, 1)
	b = le.AppendUint16(b, uint16(d.opt.Width/previewScale))
	return le.AppendUint16(b, uint16(d.opt.Height/previewScale))
}

func (d *Device) firmware() []byte {
	var b []byte
	for _, v := range firmware {
		b = le.AppendUint16(b, v)
	}
	return appendText(append(b, 0, 0), detector, 24)
}

func (d *Device) status() []byte {
	b := []byte{uint8(len(d.contacts)), d.capture.count}
	b = le.AppendUint16(b, d.capture.mask)
	return le.AppendUint32(b, d.capture.images)
}

func (d *Device) guide(p []byte) (status, []byte) {
	g, ok := decodeGuide(p)
	if !ok {
		return statusBadArgument, nil
	}
	d.lamps, d.tone = g.lamps, g.tone
	if g.tone == ToneTryAgain {
		d.again++
	}
	return statusOK, nil
}

func (d *Device) arm(p []byte) (status, []byte) {
	a, ok := decodeArm(p)
	switch {
	case !ok:
		return statusBadArgument, nil
	case d.capture.state != stateIdle:
		return statusWrongState, nil
	case slices.Contains(d.failing, checkSensor):
		return statusFault, nil
	}
	c := &d.capture
	c.state, c.count, c.mask = stateArmed, a.count, a.mask
	c.settle, c.patience = time.Duration(a.settle)*time.Millisecond, time.Duration(a.patience)*time.Millisecond
	if c.settle == 0 {
		c.settle = d.opt.Settle
	}
	d.weigh()
	return statusOK, nil
}

func (d *Device) preview() []byte {
	if d.reduced == nil {
		d.reduced = reduce(d.glass)
	}
	b := make([]byte, 0, 12+len(d.reduced))
	b = le.AppendUint32(b, uint32(time.Since(d.started)*previewFrames/time.Second))
	b = append(b, uint8(len(d.contacts)), 0)
	b = le.AppendUint16(b, uint16(d.opt.Width/previewScale))
	b = le.AppendUint16(b, uint16(d.opt.Height/previewScale))
	return append(append(b, 0, 0), d.reduced...)
}

// reduce averages squares of pixels.
func reduce(m *image.Gray) []byte {
	w, h := m.Rect.Dx()/previewScale, m.Rect.Dy()/previewScale
	small, sums := make([]byte, 0, w*h), make([]int, w)
	for y := range h {
		clear(sums)
		for line := range previewScale {
			row := m.Pix[(y*previewScale+line)*m.Stride:]
			for x := range sums {
				for _, p := range row[x*previewScale:][:previewScale] {
					sums[x] += int(p)
				}
			}
		}
		for _, s := range sums {
			small = append(small, byte(s/(previewScale*previewScale)))
		}
	}
	return small
}

func (d *Device) selfTest() []byte {
	nominal := map[uint8]uint16{3: 1000}
	b := []byte{checks, 0, 0, 0}
	for n := uint8(1); n <= checks; n++ {
		passed, value := byte(1), nominal[n]
		if slices.Contains(d.failing, n) {
			passed, value = 0, 7
		}
		b = le.AppendUint16(append(b, n, passed), value)
	}
	return b
}
