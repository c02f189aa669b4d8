package slap60

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"loket/drivers/driverstest"
)

const document = "../../docs/protocols/slap60.md"

// number reads a field of a vector.
func number(t *testing.T, v driverstest.Vector, field string) int {
	t.Helper()
	n, err := strconv.Atoi(v.Fields[field])
	if err != nil {
		t.Fatalf("%s %s: %v", v.Kind, v.Fields["name"], err)
	}
	return n
}

func TestVectorsOfTheDocumentAreReadAndWritten(t *testing.T) {
	checks := map[string]func(*testing.T, driverstest.Vector){
		"command": checkCommand, "response": checkResponse, "event": checkEvent, "resync": checkResync,
		"damaged command": func(*testing.T, driverstest.Vector) {}, "damaged response": checkDamagedResponse, "damaged event": checkDamagedEvent,
	}
	for _, v := range driverstest.Vectors(t, document) {
		check := checks[v.Kind]
		if check == nil {
			t.Errorf("nobody checks vectors of kind %q", v.Kind)
			continue
		}
		check(t, v)
	}
}

func checkCommand(t *testing.T, v driverstest.Vector) {
	var payload []byte
	switch v.Fields["name"] {
	case "GUIDE":
		payload = encodeGuide(uint16(number(t, v, "mask")), uint8(number(t, v, "lamp")), uint8(number(t, v, "tone")))
	case "ARM":
		payload = encodeArm(number(t, v, "count"), uint16(number(t, v, "mask")), uint16(number(t, v, "settle")), uint16(number(t, v, "patience")))
	case "FETCH":
		payload = encodeFetch(uint32(number(t, v, "image")), number(t, v, "offset"), number(t, v, "length"))
	case "DONE":
		payload = le.AppendUint32(nil, uint32(number(t, v, "image")))
	}
	got := encodeCommand(uint8(number(t, v, "code")), uint32(number(t, v, "counter")), payload)
	if !bytes.Equal(got, v.Bytes) {
		t.Errorf("%s:\n% x, want\n% x", v.Fields["name"], got, v.Bytes)
	}
}

// small is the scanner of the document.
var small = identity{maker: "Loket", model: "Slap 60", serial: "SIM-SLAP60-1", width: 64, height: 64, ppi: 500, fingers: 4, previewW: 6, previewH: 6}

func checkResponse(t *testing.T, v driverstest.Vector) {
	r, err := decodeResponse(v.Bytes, uint8(number(t, v, "code")), uint32(number(t, v, "counter")))
	if int(r.status) != number(t, v, "status") || int(r.state) != number(t, v, "state") || int(r.events) != number(t, v, "events") {
		t.Errorf("%s: %+v", v.Fields["name"], r)
	}
	if (err != nil) != (r.status != 0) {
		t.Errorf("%s: status %d gives %v", v.Fields["name"], r.status, err)
	}
	if err == nil {
		checkPayload(t, v, r.payload)
	}
}

func checkPayload(t *testing.T, v driverstest.Vector, p []byte) {
	switch v.Fields["name"] {
	case "IDENTITY":
		id, err := decodeIdentity(p)
		if id != small || err != nil {
			t.Errorf("identity %+v, %v", id, err)
		}
	case "FIRMWARE":
		version, detector, err := decodeFirmware(p)
		if version != v.Fields["version"] || detector != v.Fields["detector"] || err != nil {
			t.Errorf("firmware %q, %q, %v", version, detector, err)
		}
	case "PREVIEW":
		m, fingers, err := decodePreview(p, small)
		if err != nil || fingers != number(t, v, "fingers") || m.Pix[0] != 0x16 || len(m.Pix) != 36 {
			t.Errorf("preview with %d fingers, %v", fingers, err)
		}
	case "IMAGE":
		pic, err := decodePicture(p, small, "detector")
		var boxes []string
		for _, f := range pic.fingers {
			b := f.Box
			boxes = append(boxes, fmt.Sprint(b.Min.X, b.Min.Y, b.Dx(), b.Dy(), 1, f.PAD.Score))
		}
		if err != nil || int(pic.number) != number(t, v, "image") || int(pic.sum) != number(t, v, "sum") ||
			fmt.Sprint(1, pic.pad.Score) != v.Fields["pad"] || strings.Join(boxes, ", ") != v.Fields["boxes"] {
			t.Errorf("image %+v, %v", pic, err)
		}
	case "SELF-TEST":
		result, err := decodeSelfTest(p)
		if err != nil || !result.Passed || len(result.Checks) != number(t, v, "passed") {
			t.Errorf("self-test %+v, %v", result, err)
		}
	}
}

func checkEvent(t *testing.T, v driverstest.Vector) {
	e, err := decodeEvent(v.Bytes)
	want := event{kind: uint8(number(t, v, "kind")), number: uint16(number(t, v, "number")), fingers: uint8(number(t, v, "fingers")),
		detail: uint8(number(t, v, "detail")), image: uint32(number(t, v, "image"))}
	if err != nil || e != want {
		t.Errorf("event %+v, %v", e, err)
	}
}

func checkResync(t *testing.T, v driverstest.Vector) {
	token := uint16(number(t, v, "token"))
	if err := decodeResync(v.Bytes, token); err != nil {
		t.Error(err)
	}
	if decodeResync(v.Bytes, token+1) == nil {
		t.Error("the answer to another resync was taken for ours")
	}
}

func checkDamagedResponse(t *testing.T, v driverstest.Vector) {
	if r, err := decodeResponse(v.Bytes, cmdFetch, 7); err == nil {
		t.Errorf("%s: read as %+v", v.Fields["why"], r)
	}
}

func checkDamagedEvent(t *testing.T, v driverstest.Vector) {
	if e, err := decodeEvent(v.Bytes); err == nil {
		t.Errorf("%s: read as %+v", v.Fields["why"], e)
	}
}

func TestResponsesToOtherCommandsAreNotOurs(t *testing.T) {
	for _, v := range driverstest.Vectors(t, document) {
		if v.Kind != "response" {
			continue
		}
		code, counter := uint8(number(t, v, "code")), uint32(number(t, v, "counter"))
		if _, err := decodeResponse(v.Bytes, code+1, counter); err == nil {
			t.Errorf("%s passed for another command", v.Fields["name"])
		}
		if _, err := decodeResponse(v.Bytes, code, counter+1); err == nil {
			t.Errorf("%s passed for the next command", v.Fields["name"])
		}
	}
}

func TestHostilePayloadsAreRefused(t *testing.T) {
	for name, change := range map[string]func(p []byte){
		"wider than the glass":    func(p []byte) { le.PutUint16(p[imageHead+4:], 60) },
		"beside the glass":        func(p []byte) { le.PutUint16(p[imageHead:], 0xffff) },
		"finger without extent":   func(p []byte) { le.PutUint16(p[imageHead+6:], 0) },
		"score over 100":          func(p []byte) { p[11] = 101 },
		"unknown result":          func(p []byte) { p[imageHead+8] = 3 },
		"more fingers than bytes": func(p []byte) { p[16] = 3 },
		"another resolution":      func(p []byte) { le.PutUint16(p[8:], 501) },
	} {
		p := payloadOf(t, "IMAGE")
		if _, err := decodePicture(p, small, ""); err != nil {
			t.Fatal(err)
		}
		change(p)
		if _, err := decodePicture(p, small, ""); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	for name, change := range map[string]func(p []byte){
		"no resolution":       func(p []byte) { le.PutUint16(p[100:], 0) },
		"huge":                func(p []byte) { le.PutUint16(p[96:], 4097) },
		"tiny":                func(p []byte) { le.PutUint16(p[98:], 63) },
		"no fingers":          func(p []byte) { p[102] = 0 },
		"preview over glass":  func(p []byte) { le.PutUint16(p[104:], 65) },
		"preview without row": func(p []byte) { le.PutUint16(p[106:], 0) },
	} {
		p := payloadOf(t, "IDENTITY")
		change(p)
		if _, err := decodeIdentity(p); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// payloadOf returns the payload of a response in the document.
func payloadOf(t testing.TB, name string) []byte {
	t.Helper()
	for _, v := range driverstest.Vectors(t, document) {
		if v.Kind == "response" && v.Fields["name"] == name {
			return v.Bytes[headSize : len(v.Bytes)-4]
		}
	}
	t.Fatalf("the document has no response %s", name)
	return nil
}

func FuzzDecodeResponse(f *testing.F) {
	for _, v := range driverstest.Vectors(f, document) {
		if strings.HasSuffix(v.Kind, "response") {
			f.Add(v.Bytes, uint8(v.Bytes[3]&0x7f), le.Uint32(v.Bytes[4:]))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, code uint8, counter uint32) {
		r, err := decodeResponse(b, code, counter)
		if err == nil && len(r.payload) != len(b)-frameSize {
			t.Errorf("%d bytes give a payload of %d", len(b), len(r.payload))
		}
	})
}

func FuzzDecodeEvent(f *testing.F) {
	for _, v := range driverstest.Vectors(f, document) {
		if strings.HasSuffix(v.Kind, "event") || v.Kind == "resync" {
			f.Add(v.Bytes, uint16(513))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, token uint16) {
		if _, err := decodeEvent(b); err == nil && decodeResync(b, token) == nil {
			t.Errorf("% x is an event and the answer to a resync", b)
		}
	})
}

// FuzzDecodePayloads reads anything as the payload of each response: a checksum proves only that the device meant it.
func FuzzDecodePayloads(f *testing.F) {
	for _, name := range []string{"IDENTITY", "FIRMWARE", "PREVIEW", "IMAGE", "SELF-TEST"} {
		f.Add(payloadOf(f, name))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if id, err := decodeIdentity(p); err == nil && (id.width*id.height > 1<<24 || id.previewW*id.previewH > 1<<24) {
			t.Errorf("an identity of %dx%d was taken", id.width, id.height)
		}
		if m, _, err := decodePreview(p, small); err == nil && len(m.Pix) != 36 {
			t.Errorf("a preview of %d px was taken", len(m.Pix))
		}
		if pic, err := decodePicture(p, small, ""); err == nil {
			for _, f := range pic.fingers {
				if f.Box.Empty() || f.Box.Max.X > 64 || f.Box.Max.Y > 64 || f.PAD.Score > 100 {
					t.Errorf("finger %v was taken", f)
				}
			}
		}
		_, _, _ = decodeFirmware(p)
		_, _ = decodeSelfTest(p)
	})
}
