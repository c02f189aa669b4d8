package record

import (
	"fmt"
	"strconv"
	"strings"

	"loket/kiosk/biometric"
	"loket/kiosk/biometric/ink"
)

// The entries that every record begins with.
const (
	manifestName  = "manifest.json"
	signatureName = "manifest.sig"
)

const wsqType = "image/x-wsq"

// kind is one sort of part that a record can hold. NN in the pattern is a finger position.
type kind struct {
	pattern   string
	mediaType string
	modality  biometric.Modality // of the sample that it holds; empty where it holds something else
}

// kinds lists the sorts in the order in which they stand in a record.
func kinds() []kind {
	return []kind{
		{"face.jpg", "image/jpeg", biometric.Face},
		{"fingers/NN.wsq", wsqType, biometric.Finger},
		{"fingers/NN.png", "image/png", biometric.Finger},
		{"signature.png", "image/png", biometric.Signature},
		{"signature.inkml", ink.MediaType, biometric.Signature},
		{"record.an2", filesMediaType, ""},
		{"face.iso19794", filesMediaType, ""},
		{"fingers.iso19794", filesMediaType, ""},
		{"face.iso39794", filesMediaType, ""},
		{"fingers.iso39794", filesMediaType, ""},
	}
}

// name fills in the finger.
func (k kind) name(p biometric.FingerPosition) string {
	return strings.Replace(k.pattern, "NN", fmt.Sprintf("%02d", int(p)), 1)
}

// place is where a name stands: its sort, and the finger for those that have one.
type place struct {
	kind
	order  int
	finger biometric.FingerPosition
}

// kindOf finds the place of a name. Names that a record never holds have none.
func kindOf(name string) (place, bool) {
	finger, pattern := biometric.FingerPosition(0), name
	if digits, ok := strings.CutPrefix(name, "fingers/"); ok && len(digits) > 2 {
		n, err := strconv.Atoi(digits[:2])
		finger = biometric.FingerPosition(n)
		if err != nil || !finger.Single() {
			return place{}, false
		}
		pattern = "fingers/NN" + digits[2:]
	}
	for i, k := range kinds() {
		if k.pattern == pattern && k.name(finger) == name {
			return place{kind: k, order: i, finger: finger}, true
		}
	}
	return place{}, false
}

// rank orders names: fingers among themselves by position whatever their form, all else by sort. Unknown names have none and
// give -1.
func rank(name string) int {
	p, ok := kindOf(name)
	switch {
	case !ok:
		return -1
	case p.modality == biometric.Finger:
		return 1000 + int(p.finger)*10 + p.order
	default:
		return p.order * 10000 // the face first, what follows the fingers after them
	}
}
