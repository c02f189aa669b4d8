package face

import (
	"slices"

	"loket/kiosk/biometric"
)

// The criteria for a photograph (BSI TR-03121-3 v6.0, after ISO/IEC 19794-5 and 29794-5). Lengths are shares of the picture
// unless they say px; degrees count clockwise as seen in the picture.
const (
	Faces       = "faces"        // how many
	ImageWidth  = "image-width"  // px
	ImageHeight = "image-height" // px
	EyeDistance = "eye-distance" // px between the middles of the eyes
	Roll        = "roll"         // degrees
	Yaw         = "yaw"          // degrees, rough: from symmetry
	Pitch       = "pitch"        // degrees
	HeadWidth   = "head-width"   // estimated from the eyes
	HeadHeight  = "head-height"  // estimated from the eyes
	Vertical    = "vertical"     // of the eyes, from the upper edge
	Horizontal  = "horizontal"   // of the middle between the eyes, from the left edge
	MouthClosed = "mouth-closed" // opening as a share of the eye distance
	Exposure    = "exposure"     // grey levels
	Focus       = "focus"        // share of slopes that smoothing takes away
	ColourSpace = "colour-space" // bits a pixel
	GreyDensity = "grey-density" // range of the face's grey levels, share of the brightest
	Saturation  = "saturation"   // departure from natural colours; 1 is the limit of what is natural
	Background  = "background"   // unevenness beside the head, share of its mean
	Shadows     = "shadows"      // difference between the halves of the face, share of their mean
	HotSpots    = "hot-spots"    // share of the skin that shines
	RedEye      = "red-eye"      // share of the redder pupil that is red
	EyesOpen    = "eyes-open"    // signs of open eyes; 1 is the limit below which they are shut, or not seen
	Expression  = "expression"   // these and the next can't be measured here
	Occlusion   = "occlusion"    //
	Gaze        = "gaze"         //
	Glasses     = "glasses"      //
)

// Judgement is one criterion with what came of it.
type Judgement struct {
	biometric.Criterion
	Value   float64           // meaningless where the verdict is not-available
	Verdict biometric.Verdict //
	Rough   bool              // measured in a way that allows for no more than an estimate
	Hint    biometric.Hint    // what the person can do better; empty unless it fails
}

// rough are the criteria whose values are estimates.
func rough(name string) bool {
	return name == Yaw || name == HeadWidth || name == HeadHeight || name == EyesOpen
}

// judge holds measures against criteria, in the order of the criteria.
func judge(measures map[string]float64, criteria []biometric.Criterion) []Judgement {
	list := make([]Judgement, 0, len(criteria))
	for _, c := range criteria {
		j := Judgement{Criterion: c, Verdict: biometric.NotAvailable}
		if v, ok := measures[c.Name]; ok {
			j.Value, j.Rough, j.Verdict = v, rough(c.Name), biometric.Pass
			if !c.Holds(v) {
				j.Verdict = biometric.Fail
				j.Hint = hintFor(c, v)
			}
		}
		list = append(list, j)
	}
	return list
}

// hintFor is what a person can do about a criterion that fails. Nobody is called for one that is optional.
func hintFor(c biometric.Criterion, v float64) biometric.Hint {
	low := c.Min != nil && v < *c.Min
	either := func(below, above biometric.Hint) biometric.Hint {
		if low {
			return below
		}
		return above
	}
	switch c.Name {
	case Faces:
		return either(biometric.HintNoFace, biometric.HintSeveralFaces)
	case EyeDistance, HeadWidth, HeadHeight:
		return either(biometric.HintComeCloser, biometric.HintStepBack)
	case Roll:
		return biometric.HintHeadUpright
	case Yaw, Pitch, Gaze:
		return biometric.HintLookStraight
	case Vertical, Horizontal:
		return biometric.HintMiddle
	case MouthClosed, Expression:
		return biometric.HintCloseMouth
	case Exposure:
		return either(biometric.HintTooDark, biometric.HintTooBright)
	case HotSpots:
		return biometric.HintTooBright
	case Focus:
		return biometric.HintOutOfFocus
	case EyesOpen:
		return biometric.HintOpenEyes
	}
	if !c.Mandatory {
		return biometric.HintNone
	}
	return biometric.HintCallAttendant
}

// score is the share of what holds, in hundredths: each mandatory criterion counts as much as four optional ones, and
// what is not available counts only where it is mandatory. Without exactly one face it is 0.
func score(list []Judgement, faces int) int {
	if faces != 1 {
		return 0
	}
	held, all := 0, 0
	for _, j := range list {
		weight := 1
		if j.Mandatory {
			weight = 4
		}
		if j.Mandatory || j.Verdict != biometric.NotAvailable {
			all += weight
		}
		if j.Verdict == biometric.Pass {
			held += weight
		}
	}
	if all == 0 {
		return 100
	}
	return 100 * held / all
}

// mendable reports whether an optional criterion fails about which a person can do something.
func mendable(list []Judgement) bool {
	return slices.ContainsFunc(list, func(j Judgement) bool { return !j.Mandatory && j.Hint != biometric.HintNone })
}

// firstHint is that of the first mandatory criterion that fails, or else of the first optional one. But the roll is told by the eyes, and so
// is dark skin from too little light: they must be open for that.
func firstHint(list []Judgement) biometric.Hint {
	shut := slices.ContainsFunc(list, func(j Judgement) bool { return j.Name == EyesOpen && j.Verdict == biometric.Fail })
	hint := biometric.HintNone
	for _, j := range list {
		if j.Verdict != biometric.Fail || j.Hint == biometric.HintNone {
			continue
		}
		switch {
		case j.Mandatory && shut && (j.Name == Roll || j.Hint == biometric.HintTooDark):
			return biometric.HintOpenEyes
		case j.Mandatory:
			return j.Hint
		}
		if hint == biometric.HintNone {
			hint = j.Hint
		}
	}
	return hint
}
