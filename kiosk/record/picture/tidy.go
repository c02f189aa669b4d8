package picture

import "encoding/binary"

// Tidy drops from a JPEG what stands between its marker segments before the first scan and belongs to none of them (T.81, clause
// B.1.1). Programs that show images skip such bytes, readers of records do not. It works in place, overwrites what is left over at
// the end, and leaves alone what is [Whole] or no JPEG.
func Tidy(data []byte) []byte {
	if len(data) < 2 || data[0] != 0xff || data[1] != 0xd8 || Whole(data) {
		return data
	}
	kept, at := 2, 2
	for at+4 <= len(data) {
		marker := data[at+1]
		if data[at] != 0xff || marker == 0xff {
			at++
			continue
		}
		if marker <= 0x01 || marker&^7 == 0xd0 { // a byte FF that is data, TEM, or a restart: they have no length
			at += 2
			continue
		}
		size := int(binary.BigEndian.Uint16(data[at+2:]))
		end := at + 2 + size
		if marker == 0xd8 || marker == 0xd9 || marker == 0xda || size < 2 || end > len(data) {
			break
		}
		kept += copy(data[kept:], data[at:end])
		at = end
	}
	kept += copy(data[kept:], data[at:])
	clear(data[kept:])
	return data[:kept]
}
