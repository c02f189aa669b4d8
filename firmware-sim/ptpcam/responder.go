package ptpcam

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/jpeg"
	"slices"
	"time"
)

const (
	storageID     = 0x00010001
	everything    = 0xffffffff // as a storage, a format or a parent: no restriction
	storeCapacity = 256 << 20  // bytes
	maxObjects    = 64
	maxEvents     = 16 // more than that nobody fetched: the oldest are dropped
)

// picture is a JPEG and the size that its frame header tells.
type picture struct {
	jpeg          []byte
	width, height int
}

// photo is an object in the camera's store.
type photo struct {
	picture
	handle uint32
	name   string
	taken  time.Time
}

// answer is what an operation comes to: a data phase where data is set, and a response.
type answer struct {
	code   uint16
	params []uint32
	data   [][]byte  // the payload in parts that are sent one after the other; nil for no data phase
	ready  time.Time // not before
}

func say(code uint16) answer                    { return answer{code: code} }
func give(data ...[]byte) answer                { return answer{code: rcOK, data: data} }
func tell(code uint16, params ...uint32) answer { return answer{code: code, params: params} }

// responder is the camera behind any framing: operations in, answers and events out. It starts nothing and waits for
// nothing; time comes in by now. Its owner serialises the calls.
type responder struct {
	serial   string
	exposure time.Duration
	interval time.Duration // between live view frames
	now      func() time.Time

	photograph picture
	frames     []picture
	session    uint32 // 0 for none
	photos     []photo
	lastHandle uint32
	pending    *exposing
	events     []event
	lastEvent  event

	live      bool
	liveSince time.Time
	lastTick  int64
}

// exposing is a capture that was initiated and is not in the store yet.
type exposing struct {
	at          time.Time // when it is there
	transaction uint32
	photo       photo
}

// handle runs one operation.
func (r *responder) handle(q request) answer {
	r.advance()
	switch q.code {
	case opGetDeviceInfo:
		return give(r.deviceInfo())
	case opOpenSession:
		return r.openSession(q)
	}
	run := operation(q.code)
	switch {
	case run == nil:
		return say(rcOperationNotSupported)
	case r.session == 0:
		return say(rcSessionNotOpen)
	}
	return run(r, q)
}

// operation finds what answers a code within a session; nil for none.
func operation(code uint16) func(*responder, request) answer {
	switch code {
	case opCloseSession:
		return (*responder).closeSession
	case opGetStorageIDs:
		return (*responder).storageIDs
	case opGetStorageInfo:
		return (*responder).storageInfo
	case opGetNumObjects:
		return (*responder).numObjects
	case opGetObjectHandles:
		return (*responder).objectHandles
	case opGetObjectInfo:
		return (*responder).objectInfo
	case opGetObject:
		return (*responder).object
	case opDeleteObject:
		return (*responder).deleteObject
	case opInitiateCapture:
		return (*responder).initiateCapture
	case opGetDevicePropDesc:
		return (*responder).propDesc
	case opGetDevicePropValue:
		return (*responder).propValue
	case opDeviceReady:
		return (*responder).deviceReady
	case opStartLiveView:
		return (*responder).startLiveView
	case opEndLiveView:
		return (*responder).endLiveView
	case opGetLiveViewImage:
		return (*responder).liveViewImage
	}
	return nil
}

// advance lets what is due happen: the end of an exposure.
func (r *responder) advance() {
	if r.pending == nil || r.now().Before(r.pending.at) {
		return
	}
	p := r.pending
	r.pending = nil
	r.photos = append(r.photos, p.photo)
	r.raise(event{eventObjectAdded, p.transaction, p.photo.handle})
	r.raise(event{eventCaptureComplete, p.transaction, 0})
}

// due tells when advance has something to do next; the zero time for never.
func (r *responder) due() time.Time {
	if r.pending == nil {
		return time.Time{}
	}
	return r.pending.at
}

func (r *responder) raise(e event) {
	r.lastEvent = e
	r.events = append(r.events, e)
	r.events = r.events[max(0, len(r.events)-maxEvents):]
}

// nextEvent takes the oldest event.
func (r *responder) nextEvent() (event, bool) {
	if len(r.events) == 0 {
		return event{}, false
	}
	e := r.events[0]
	r.events = r.events[1:]
	return e, true
}

// reset is the end of the session by class request or bus reset. The store keeps its photos, as a memory card does.
func (r *responder) reset() {
	r.session, r.live, r.pending, r.events = 0, false, nil, nil
}

// deviceInfo is the dataset of ISO 15740:2013, clause 5.5.1.
func (r *responder) deviceInfo() []byte {
	var d dataset
	d.u16(100) // standard version 1.00
	d.u32(vendorExtension)
	d.u16(100)
	d.text("")
	d.u16(0) // functional mode: standard
	d.codes(opGetDeviceInfo, opOpenSession, opCloseSession, opGetStorageIDs, opGetStorageInfo, opGetNumObjects,
		opGetObjectHandles, opGetObjectInfo, opGetObject, opDeleteObject, opInitiateCapture, opGetDevicePropDesc,
		opGetDevicePropValue, opDeviceReady, opStartLiveView, opEndLiveView, opGetLiveViewImage)
	d.codes(eventObjectAdded, eventCaptureComplete)
	d.codes(propBatteryLevel, propImageSize)
	d.codes(formatJPEG)
	d.codes(formatJPEG)
	d.text(manufacturer)
	d.text(model)
	d.text(version)
	d.text(r.serial)
	return d
}

func (r *responder) openSession(q request) answer {
	switch {
	case q.params[0] == 0:
		return say(rcInvalidParameter)
	case r.session != 0:
		return tell(rcSessionAlreadyOpen, r.session)
	}
	r.session = q.params[0]
	return say(rcOK)
}

func (r *responder) closeSession(request) answer {
	r.session, r.live, r.events = 0, false, nil
	return say(rcOK)
}

func (r *responder) storageIDs(request) answer {
	var d dataset
	d.handles(storageID)
	return give(d)
}

// storageInfo is the dataset of ISO 15740:2013, clause 5.5.3.
func (r *responder) storageInfo(q request) answer {
	if q.params[0] != storageID {
		return say(rcInvalidStorageID)
	}
	var d dataset
	d.u16(0x0004) // removable RAM
	d.u16(0x0002) // generic hierarchical
	d.u16(0x0000) // read and write
	d.u64(storeCapacity)
	d.u64(storeCapacity - uint64(r.stored()))
	d.u32(uint32(maxObjects - len(r.photos)))
	d.text("Memory card")
	d.text("LOKET")
	return give(d)
}

func (r *responder) stored() int {
	n := 0
	for _, p := range r.photos {
		n += len(p.jpeg)
	}
	return n
}

// selected lists the handles that storage, format and parent of a request let through.
func (r *responder) selected(q request) ([]uint32, uint16) {
	storage, format, parent := q.params[0], q.params[1], q.params[2]
	switch {
	case storage != storageID && storage != everything:
		return nil, rcInvalidStorageID
	case format != 0 && format != everything && format != formatJPEG:
		return nil, rcSpecificationByFormat
	case parent != 0 && parent != everything:
		return nil, rcInvalidObjectHandle
	}
	list := make([]uint32, len(r.photos))
	for i, p := range r.photos {
		list[i] = p.handle
	}
	return list, rcOK
}

func (r *responder) numObjects(q request) answer {
	list, code := r.selected(q)
	return tell(code, uint32(len(list)))
}

func (r *responder) objectHandles(q request) answer {
	list, code := r.selected(q)
	if code != rcOK {
		return say(code)
	}
	var d dataset
	d.handles(list...)
	return give(d)
}

func (r *responder) find(handle uint32) int {
	return slices.IndexFunc(r.photos, func(p photo) bool { return p.handle == handle })
}

// objectInfo is the dataset of ISO 15740:2013, clause 5.5.2.
func (r *responder) objectInfo(q request) answer {
	i := r.find(q.params[0])
	if i < 0 {
		return say(rcInvalidObjectHandle)
	}
	p := r.photos[i]
	var d dataset
	d.u32(storageID)
	d.u16(formatJPEG)
	d.u16(0) // no protection
	d.u32(uint32(len(p.jpeg)))
	d.u16(0) // no thumbnail: format, size, width, height
	d.u32(0)
	d.u32(0)
	d.u32(0)
	d.u32(uint32(p.width))
	d.u32(uint32(p.height))
	d.u32(24) // bits a pixel
	d.u32(0)  // in the root
	d.u16(0)  // no association
	d.u32(0)
	d.u32(0) // no sequence number
	d.text(p.name)
	d.text(p.taken.Format("20060102T150405"))
	d.text("")
	d.text("")
	return give(d)
}

func (r *responder) object(q request) answer {
	i := r.find(q.params[0])
	if i < 0 {
		return say(rcInvalidObjectHandle)
	}
	return give(r.photos[i].jpeg)
}

func (r *responder) deleteObject(q request) answer {
	if q.params[0] == everything {
		r.photos = nil
		return say(rcOK)
	}
	i := r.find(q.params[0])
	if i < 0 {
		return say(rcInvalidObjectHandle)
	}
	r.photos = slices.Delete(r.photos, i, i+1)
	return say(rcOK)
}

// initiateCapture takes what lies before the lens now; it is in the store after the exposure.
func (r *responder) initiateCapture(q request) answer {
	switch {
	case q.params[0] != 0 && q.params[0] != storageID:
		return say(rcInvalidStorageID)
	case q.params[1] != 0 && q.params[1] != formatJPEG:
		return say(rcSpecificationByFormat)
	case r.pending != nil:
		return say(rcDeviceBusy)
	case len(r.photos) >= maxObjects || r.stored()+len(r.still().jpeg) > storeCapacity:
		return say(rcStoreFull)
	}
	p := r.numbered(r.still())
	r.pending = &exposing{at: p.taken.Add(r.exposure), transaction: q.transaction, photo: p}
	return say(rcOK)
}

// numbered makes a photo of a picture: with the next handle, and taken now.
func (r *responder) numbered(p picture) photo {
	r.lastHandle++
	return photo{picture: p, handle: r.lastHandle, name: fmt.Sprintf("LOK_%04d.JPG", r.lastHandle), taken: r.now()}
}

// keep puts a picture into the store.
func (r *responder) keep(p picture) uint32 {
	r.photos = append(r.photos, r.numbered(p))
	return r.lastHandle
}

// propDesc is the dataset of ISO 15740:2013, clause 13.3.3.
func (r *responder) propDesc(q request) answer {
	var d dataset
	switch q.params[0] {
	case propBatteryLevel:
		d.u16(propBatteryLevel)
		d.u16(typeUint8)
		d.u8(0) // get only
		d.u8(100)
		d.u8(100)
		d.u8(1) // a range: from, to, step
		d.u8(0)
		d.u8(100)
		d.u8(1)
	case propImageSize:
		d.u16(propImageSize)
		d.u16(typeString)
		d.u8(0)
		d.text(r.imageSize())
		d.text(r.imageSize())
		d.u8(2) // an enumeration
		d.u16(1)
		d.text(r.imageSize())
	default:
		return say(rcDevicePropNotSupported)
	}
	return give(d)
}

func (r *responder) propValue(q request) answer {
	var d dataset
	switch q.params[0] {
	case propBatteryLevel:
		d.u8(100)
	case propImageSize:
		d.text(r.imageSize())
	case propLiveViewStatus:
		if r.live {
			d.u8(1)
		} else {
			d.u8(0)
		}
	default:
		return say(rcDevicePropNotSupported)
	}
	return give(d)
}

func (r *responder) imageSize() string {
	return fmt.Sprintf("%dx%d", r.still().width, r.still().height)
}

func (r *responder) deviceReady(request) answer {
	if r.pending != nil {
		return say(rcDeviceBusy)
	}
	return say(rcOK)
}

func (r *responder) startLiveView(request) answer {
	if !r.live {
		r.live, r.liveSince, r.lastTick = true, r.now(), -1
	}
	return say(rcOK)
}

func (r *responder) endLiveView(request) answer {
	r.live = false
	return say(rcOK)
}

// liveHeader is how many bytes come before a live view's JPEG: width and height, big-endian, then zeros.
const liveHeader = 64

// liveViewImage gives the frame of the present tick, or has the initiator wait for the next one where it has that already.
func (r *responder) liveViewImage(request) answer {
	if !r.live {
		return say(rcNotInLiveView)
	}
	tick := max(int64(r.now().Sub(r.liveSince)/r.interval), r.lastTick+1)
	r.lastTick = tick
	frame := r.frame(tick)
	head := make([]byte, liveHeader)
	binary.BigEndian.PutUint16(head, uint16(frame.width))
	binary.BigEndian.PutUint16(head[2:], uint16(frame.height))
	a := give(head, frame.jpeg)
	a.ready = r.liveSince.Add(time.Duration(tick) * r.interval)
	return a
}

// show puts a scene before the lens.
func (r *responder) show(s Scene) {
	r.photograph, r.frames = picture{}, nil
	if len(s.Still) > 0 {
		r.photograph = measure(s.Still)
	}
	for _, f := range s.Frames {
		r.frames = append(r.frames, measure(f))
	}
}

// still is what a photograph would show.
func (r *responder) still() picture {
	if r.photograph.jpeg == nil {
		r.photograph = dark(1920, 1080)
	}
	return r.photograph
}

// frame is what the live view shows at a tick.
func (r *responder) frame(tick int64) picture {
	if len(r.frames) == 0 {
		r.frames = []picture{dark(1280, 720)}
	}
	return r.frames[tick%int64(len(r.frames))]
}

// dark is what a camera sees that was shown nothing.
func dark(width, height int) picture {
	m := image.NewGray(image.Rect(0, 0, width, height))
	for i := range m.Pix {
		m.Pix[i] = 24
	}
	var b bytes.Buffer
	_ = jpeg.Encode(&b, m, nil) // into memory: can't fail
	return measure(b.Bytes())
}

// measure reads width and height out of a JPEG's frame header; zeros where it has none.
func measure(b []byte) picture {
	p := picture{jpeg: b}
	if c, err := jpeg.DecodeConfig(bytes.NewReader(b)); err == nil {
		p.width, p.height = c.Width, c.Height
	}
	return p
}
