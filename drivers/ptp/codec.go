package ptp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
)

// Operation codes (ISO 15740:2013, clause 10.5); those from 9000 are the vendor operations of live view.
const (
	opGetDeviceInfo     uint16 = 0x1001
	opOpenSession       uint16 = 0x1002
	opCloseSession      uint16 = 0x1003
	opGetStorageIDs     uint16 = 0x1004
	opGetStorageInfo    uint16 = 0x1005
	opGetObjectHandles  uint16 = 0x1007
	opGetObjectInfo     uint16 = 0x1008
	opGetObject         uint16 = 0x1009
	opDeleteObject      uint16 = 0x100b
	opInitiateCapture   uint16 = 0x100e
	opGetDevicePropDesc uint16 = 0x1014
	opDeviceReady       uint16 = 0x90c8
	opStartLiveView     uint16 = 0x9201
	opEndLiveView       uint16 = 0x9202
	opGetLiveViewImage  uint16 = 0x9203
)

// Response codes (clause 11.3), event codes (clause 12.5) and others that the driver tells apart.
const (
	rcOK                   uint16 = 0x2001
	rcSessionNotOpen       uint16 = 0x2003
	rcOperationUnsupported uint16 = 0x2005
	rcInvalidObjectHandle  uint16 = 0x2009
	rcStoreFull            uint16 = 0x200c
	rcDeviceBusy           uint16 = 0x2019
	rcSessionAlreadyOpen   uint16 = 0x201e
	rcCancelled            uint16 = 0x201f
	rcNotInLiveView        uint16 = 0xa00b

	eventObjectAdded uint16 = 0x4002
	eventStoreFull   uint16 = 0x400a

	formatEXIF uint16 = 0x3801 // EXIF/JPEG
	formatJFIF uint16 = 0x3808

	propBatteryLevel uint16 = 0x5001
	propImageSize    uint16 = 0x5003
)

// The container of the USB binding (annex D.3): length, type, code, transaction id; then parameters or payload.
const (
	headerSize  = 12
	maxParams   = 5
	maxResponse = headerSize + 4*maxParams
	maxEvent    = headerSize + 4*3 // clause 12.3: an event has three parameters at the most

	blockCommand  uint16 = 1
	blockData     uint16 = 2
	blockResponse uint16 = 3
	blockEvent    uint16 = 4
)

// Errors of a camera that breaks the protocol. Each of them means that the camera has crashed, in the words of package drivers.
var (
	ErrShort       = errors.New("camera sent less than it announced")
	ErrLong        = errors.New("camera sent more than it announced")
	ErrGarbled     = errors.New("camera sent what is no answer")
	ErrTransaction = errors.New("camera answered another transaction")
	ErrTooBig      = errors.New("camera announced more than can be right")
	ErrNotJPEG     = errors.New("camera sent a picture that is no whole JPEG")
)

// header is the head of a container.
type header struct {
	length      uint32
	block       uint16
	code        uint16
	transaction uint32
}

// command writes a command container.
func command(code uint16, transaction uint32, params ...uint32) []byte {
	le := binary.LittleEndian
	b := make([]byte, 0, maxResponse)
	b = le.AppendUint32(b, uint32(headerSize+4*len(params)))
	b = le.AppendUint16(b, blockCommand)
	b = le.AppendUint16(b, code)
	b = le.AppendUint32(b, transaction)
	for _, p := range params {
		b = le.AppendUint32(b, p)
	}
	return b
}

// parseHeader reads the head of what came over the bus.
func parseHeader(b []byte) (header, error) {
	if len(b) < headerSize {
		return header{}, fmt.Errorf("reading a container of %d bytes: %w", len(b), ErrShort)
	}
	le := binary.LittleEndian
	h := header{length: le.Uint32(b), block: le.Uint16(b[4:]), code: le.Uint16(b[6:]), transaction: le.Uint32(b[8:])}
	if h.length < headerSize {
		return h, fmt.Errorf("reading a container that says it has %d bytes: %w", h.length, ErrGarbled)
	}
	return h, nil
}

// parseParams reads the parameters of a whole response or event.
func parseParams(b []byte, h header, longest int) ([]uint32, error) {
	switch {
	case h.length > uint32(longest) || h.length%4 != 0:
		return nil, fmt.Errorf("reading a container of type %d that says it has %d bytes: %w", h.block, h.length, ErrGarbled)
	case len(b) < int(h.length):
		return nil, fmt.Errorf("reading %d of %d bytes: %w", len(b), h.length, ErrShort)
	case len(b) > int(h.length):
		return nil, fmt.Errorf("reading %d bytes where there should be %d: %w", len(b), h.length, ErrLong)
	}
	var params []uint32
	for rest := b[headerSize:]; len(rest) > 0; rest = rest[4:] {
		params = append(params, binary.LittleEndian.Uint32(rest))
	}
	return params, nil
}

// event is what came over the interrupt endpoint.
type event struct {
	code        uint16
	transaction uint32
	params      []uint32
}

// parseEvent reads a whole event.
func parseEvent(b []byte) (event, error) {
	h, err := parseHeader(b)
	if err != nil {
		return event{}, err
	}
	if h.block != blockEvent {
		return event{}, fmt.Errorf("reading a container of type %d where an event belongs: %w", h.block, ErrGarbled)
	}
	params, err := parseParams(b, h, maxEvent)
	return event{code: h.code, transaction: h.transaction, params: params}, err
}

// fields reads a dataset field by field (clause 5.3). After the first field that isn't there every field is zero and err
// is set.
type fields struct {
	b   []byte
	err error
}

func (f *fields) take(n int) []byte {
	if f.err != nil || n > len(f.b) {
		f.b = nil
		if f.err == nil {
			f.err = fmt.Errorf("reading a dataset that ends too soon: %w", ErrShort)
		}
		return nil
	}
	taken := f.b[:n]
	f.b = f.b[n:]
	return taken
}

// number reads an unsigned little-endian number of 1, 2, 4 or 8 bytes.
func (f *fields) number(size int) uint64 {
	var n uint64
	for i, b := range f.take(size) {
		n |= uint64(b) << (8 * i)
	}
	return n
}

func (f *fields) u8() uint8   { return uint8(f.number(1)) }
func (f *fields) u16() uint16 { return uint16(f.number(2)) }
func (f *fields) u32() uint32 { return uint32(f.number(4)) }
func (f *fields) u64() uint64 { return f.number(8) }

// count reads how many elements of that many bytes follow; none that the dataset has no room for.
func (f *fields) count(size int) int {
	n := f.u32()
	if f.err == nil && uint64(n)*uint64(size) > uint64(len(f.b)) {
		f.take(len(f.b) + 1)
	}
	if f.err != nil {
		return 0
	}
	return int(n)
}

func (f *fields) codes() []uint16 {
	list := make([]uint16, f.count(2))
	for i := range list {
		list[i] = f.u16()
	}
	return list
}

func (f *fields) handles() []uint32 {
	list := make([]uint32, f.count(4))
	for i := range list {
		list[i] = f.u32()
	}
	return list
}

// text reads a string (clause 5.3.3): the number of UTF-16 units, then the units. It ends at the first null; what no one
// can print is left out.
func (f *fields) text() string {
	raw := f.take(2 * int(f.u8()))
	units := make([]uint16, 0, len(raw)/2)
	for ; len(raw) > 0; raw = raw[2:] {
		u := binary.LittleEndian.Uint16(raw)
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, string(utf16.Decode(units))))
}

// deviceInfo is the dataset of clause 5.5.1, as far as the driver uses it.
type deviceInfo struct {
	extension    uint32
	operations   []uint16
	events       []uint16
	properties   []uint16
	manufacturer string
	model        string
	version      string
	serial       string
}

func parseDeviceInfo(b []byte) (deviceInfo, error) {
	f := &fields{b: b}
	var d deviceInfo
	f.u16() // version of the standard
	d.extension = f.u32()
	f.u16() // version of the extension
	f.text()
	f.u16() // functional mode
	d.operations, d.events, d.properties = f.codes(), f.codes(), f.codes()
	f.codes() // capture formats
	f.codes() // image formats
	d.manufacturer, d.model, d.version, d.serial = f.text(), f.text(), f.text(), f.text()
	return d, f.err
}

// can reports whether the camera announces all these operations.
func (d deviceInfo) can(ops ...uint16) bool {
	for _, op := range ops {
		if !slices.Contains(d.operations, op) {
			return false
		}
	}
	return true
}

// storageInfo is the dataset of clause 5.5.3, as far as the driver uses it.
type storageInfo struct {
	access   uint16 // 0 is read and write
	capacity uint64 // bytes
	free     uint64 // bytes
}

func parseStorageInfo(b []byte) (storageInfo, error) {
	f := &fields{b: b}
	f.u16() // storage type
	f.u16() // file system
	s := storageInfo{access: f.u16(), capacity: f.u64(), free: f.u64()}
	f.u32() // free in images
	f.text()
	f.text()
	return s, f.err
}

// objectInfo is the dataset of clause 5.5.2, as far as the driver uses it.
type objectInfo struct {
	storage  uint32
	format   uint16
	size     uint32 // bytes
	width    uint32 // px
	height   uint32 // px
	parent   uint32
	filename string
	taken    string
}

func parseObjectInfo(b []byte) (objectInfo, error) {
	f := &fields{b: b}
	o := objectInfo{storage: f.u32(), format: f.u16()}
	f.u16() // protection
	o.size = f.u32()
	f.take(2 + 4 + 4 + 4) // thumbnail: format, size, width, height
	o.width, o.height = f.u32(), f.u32()
	f.u32() // bits a pixel
	o.parent = f.u32()
	f.take(2 + 4 + 4) // association, sequence number
	o.filename, o.taken = f.text(), f.text()
	return o, f.err
}

// The forms of a property (clause 13.3.3).
const (
	formNone        uint8 = 0
	formRange       uint8 = 1
	formEnumeration uint8 = 2

	typeArray uint16 = 0x4000
	typeText  uint16 = 0xffff
)

// property is the dataset of clause 13.3.3.
type property struct {
	code     uint16
	kind     uint16 // of its values (clause 5.3.2)
	writable bool
	standard value // the factory's
	current  value
	form     uint8
	values   []value // of a range: lowest, highest, step; of an enumeration: all
}

// value is one value of a property: a number, a text or a list.
type value struct {
	number int64
	text   string
	list   []value
}

func parseProperty(b []byte) (property, error) {
	f := &fields{b: b}
	p := property{code: f.u16(), kind: f.u16(), writable: f.u8() == 1}
	p.standard, p.current = f.value(p.kind), f.value(p.kind)
	p.form = f.u8()
	n := 0
	switch p.form {
	case formRange:
		n = 3
	case formEnumeration:
		n = int(f.u16())
	}
	for i := 0; i < n && f.err == nil; i++ {
		p.values = append(p.values, f.value(p.kind))
	}
	return p, f.err
}

// value reads a value of a data type (clause 5.3.2): numbers of 1 to 16 bytes, signed where the type is odd; of the longest
// only the lower half is kept.
func (f *fields) value(kind uint16) value {
	switch {
	case kind == typeText:
		return value{text: f.text()}
	case kind&^typeArray < 0x0001 || kind&^typeArray > 0x000a:
		if f.err == nil {
			f.err = fmt.Errorf("reading a property of type %04x: %w", kind, ErrGarbled)
		}
		return value{}
	}
	size := 1 << ((kind&^typeArray - 1) / 2)
	if kind&typeArray == 0 {
		return value{number: f.integer(size, kind%2 == 1)}
	}
	v := value{list: make([]value, f.count(size))}
	for i := range v.list {
		v.list[i].number = f.integer(size, kind%2 == 1)
	}
	return v
}

func (f *fields) integer(size int, signed bool) int64 {
	if size == 16 {
		low := f.u64()
		f.u64()
		return int64(low)
	}
	n := f.number(size)
	if shift := 64 - 8*size; signed {
		return int64(n<<shift) >> shift
	}
	return int64(n)
}
