package hid

// Slot is where elements with one usage lie in a report: Count of Size bits from bit Offset, the ID not counted.
type Slot struct{ Offset, Size, Count int }

// Element reads the i-th element of a report without its ID: little-endian, from the lowest bit.
func (s Slot) Element(report []byte, i int) uint32 {
	var v uint32
	at := s.Offset + i*s.Size
	for bit := range s.Size {
		if report[(at+bit)/8]&(1<<((at+bit)%8)) != 0 {
			v |= 1 << bit
		}
	}
	return v
}

// Slot finds the elements of a report with a usage, and the field that they are of; those after the first gap are left out.
func (d Descriptor) Slot(report uint8, want Usage) (Slot, Field, bool) {
	for _, f := range d.Fields {
		if f.Report != report || f.Size > 32 {
			continue
		}
		if first, n := f.has(want); n > 0 {
			return Slot{f.Offset + first*f.Size, f.Size, n}, f, true
		}
	}
	return Slot{}, Field{}, false
}
