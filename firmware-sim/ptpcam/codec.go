package ptpcam

import (
	"encoding/binary"
	"unicode/utf16"
)

// Operation codes (ISO 15740:2013, clause 10) and the vendor operations of live view.
const (
	opGetDeviceInfo      = 0x1001
	opOpenSession        = 0x1002
	opCloseSession       = 0x1003
	opGetStorageIDs      = 0x1004
	opGetStorageInfo     = 0x1005
	opGetNumObjects      = 0x1006
	opGetObjectHandles   = 0x1007
	opGetObjectInfo      = 0x1008
	opGetObject          = 0x1009
	opDeleteObject       = 0x100b
	opInitiateCapture    = 0x100e
	opGetDevicePropDesc  = 0x1014
	opGetDevicePropValue = 0x1015
	opDeviceReady        = 0x90c8
	opStartLiveView      = 0x9201
	opEndLiveView        = 0x9202
	opGetLiveViewImage   = 0x9203
)

// Response codes (ISO 15740:2013, clause 11).
const (
	rcOK                            = 0x2001
	rcGeneralError                  = 0x2002
	rcSessionNotOpen                = 0x2003
	rcOperationNotSupported         = 0x2005
	rcInvalidStorageID              = 0x2008
	rcInvalidObjectHandle           = 0x2009
	rcDevicePropNotSupported        = 0x200a
	rcStoreFull                     = 0x200c
	rcSpecificationByFormat         = 0x2014
	rcDeviceBusy                    = 0x2019
	rcInvalidParameter              = 0x201d
	rcSessionAlreadyOpen            = 0x201e
	rcNotInLiveView                 = 0xa00b
	eventObjectAdded                = 0x4002
	eventCaptureComplete            = 0x400d
	cancelTransaction               = 0x4001
	propBatteryLevel                = 0x5001
	propImageSize                   = 0x5003
	propLiveViewStatus              = 0xd1a2 // answered, not announced
	formatJPEG                      = 0x3801 // EXIF/JPEG
	vendorExtension                 = 0x0000000a
	typeUint8                uint16 = 0x0002
	typeString               uint16 = 0xffff
)

// The container of the USB binding (ISO 15740:2013, annex D): length, type, code, transaction, then parameters or payload.
const (
	headerSize = 12
	maxParams  = 5

	blockCommand  = 1
	blockData     = 2
	blockResponse = 3
	blockEvent    = 4
)

// dataset writes the fields of a dataset, little-endian, one after the other (ISO 15740:2013, clause 5.3).
type dataset []byte

func (d *dataset) u8(v uint8)   { *d = append(*d, v) }
func (d *dataset) u16(v uint16) { *d = binary.LittleEndian.AppendUint16(*d, v) }
func (d *dataset) u32(v uint32) { *d = binary.LittleEndian.AppendUint32(*d, v) }
func (d *dataset) u64(v uint64) { *d = binary.LittleEndian.AppendUint64(*d, v) }

// codes writes an array of 16-bit codes.
func (d *dataset) codes(list ...uint16) {
	d.u32(uint32(len(list)))
	for _, v := range list {
		d.u16(v)
	}
}

// handles writes an array of 32-bit values.
func (d *dataset) handles(list ...uint32) {
	d.u32(uint32(len(list)))
	for _, v := range list {
		d.u32(v)
	}
}

// text writes a string: the number of UTF-16 units with the closing null, then the units; an empty one is a single zero.
// What is longer than 254 units is cut.
func (d *dataset) text(s string) {
	if s == "" {
		d.u8(0)
		return
	}
	units := utf16.Encode([]rune(s))
	units = units[:min(len(units), 254)]
	d.u8(uint8(len(units) + 1))
	for _, u := range units {
		d.u16(u)
	}
	d.u16(0)
}

// request is one operation as the initiator asked for it, whatever the framing.
type request struct {
	code        uint16
	transaction uint32
	params      [maxParams]uint32 // absent ones are zero
}

// event is one event as the responder tells it, whatever the framing.
type event struct {
	code        uint16
	transaction uint32
	param       uint32
}

// header writes the head of a container whose payload has that many bytes.
func header(block, code uint16, transaction uint32, payload int) []byte {
	d := make(dataset, 0, headerSize+4*maxParams)
	d.u32(uint32(headerSize + payload))
	d.u16(block)
	d.u16(code)
	d.u32(transaction)
	return d
}

// container writes a response or event block.
func container(block, code uint16, transaction uint32, params ...uint32) []byte {
	d := dataset(header(block, code, transaction, 4*len(params)))
	for _, p := range params {
		d.u32(p)
	}
	return d
}

// parseCommand reads one whole command block.
func parseCommand(b []byte) (request, bool) {
	le := binary.LittleEndian
	if len(b) < headerSize || len(b) > headerSize+4*maxParams || len(b)%4 != 0 {
		return request{}, false
	}
	if int64(le.Uint32(b)) != int64(len(b)) || le.Uint16(b[4:]) != blockCommand {
		return request{}, false
	}
	q := request{code: le.Uint16(b[6:]), transaction: le.Uint32(b[8:])}
	for i, rest := 0, b[headerSize:]; len(rest) > 0; i, rest = i+1, rest[4:] {
		q.params[i] = le.Uint32(rest)
	}
	return q, true
}
