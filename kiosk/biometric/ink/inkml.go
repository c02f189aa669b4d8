package ink

import (
	"bytes"
	"strconv"
)

// MediaType is that of [Ink.InkML].
const MediaType = "application/inkml+xml"

// InkML writes the strokes as an InkML document: X and Y in hundredths of a millimetre with the area as their bounds, T in
// milliseconds, and F from 0 to 1000 where the pad tells force (InkML, clauses 3.2 and 6.2).
func (k Ink) InkML() []byte {
	force := k.hasForce()
	out := bytes.NewBuffer(make([]byte, 0, 1024+32*MaxPoints/8))
	number := func(v int) { out.Write(strconv.AppendInt(out.AvailableBuffer(), int64(v), 10)) }
	channel := func(name, units string, most int) {
		out.WriteString(`<channel name="` + name + `" type="integer" min="0" max="`)
		number(most)
		out.WriteString(`" units="` + units + `"/>`)
	}
	out.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<ink xmlns="http://www.w3.org/2003/InkML">` + "\n")
	out.WriteString(`<definitions><context xml:id="signature"><inkSource xml:id="pad"><traceFormat>`)
	channel("X", "0.01mm", k.Width)
	channel("Y", "0.01mm", k.Height)
	channel("T", "ms", MaxTime)
	if force {
		channel("F", "dev", MaxForce)
	}
	out.WriteString("</traceFormat></inkSource></context></definitions>\n")
	for _, s := range k.Strokes {
		out.WriteString(`<trace contextRef="#signature">`)
		for i, p := range s {
			if i > 0 {
				out.WriteString(", ")
			}
			number(p.X)
			out.WriteByte(' ')
			number(p.Y)
			out.WriteByte(' ')
			number(p.T)
			if force {
				out.WriteByte(' ')
				number(p.Force)
			}
		}
		out.WriteString("</trace>\n")
	}
	out.WriteString("</ink>\n")
	return out.Bytes()
}

func (k Ink) hasForce() bool {
	for _, s := range k.Strokes {
		for _, p := range s {
			if p.Force > 0 {
				return true
			}
		}
	}
	return false
}
