// Package finger judges images of fingers.
//
// The one idea: an analyser takes one finger's pixels and gives a score that names who measured, the measures behind it, and
// the one hint that would help the person most. [Analyser] takes NFIQ 2's measures (ISO/IEC 29794-4:2024) and gives our own
// estimate of its score, or that of a [Model] which a site supplies.
package finger

import "loket/kiosk/biometric"

// Report is what an analyser says of one finger.
type Report struct {
	Quality biometric.Quality
	Hint    biometric.Hint // empty where there is nothing to do better
	Empty   bool           // there is no finger in the image, or too little of one to judge; then Quality is empty
}

const mmPerInch = 25.4
