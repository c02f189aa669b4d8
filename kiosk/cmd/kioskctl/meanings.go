package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"loket/kiosk/biometric"
)

// What the codes of record formats mean, for people. A code that is not here stands alone.

// typeWords names the records of ANSI/NIST-ITL (table 3 of Update 2015).
func typeWords(kind int) string {
	return map[int]string{1: "transaction information", 2: "descriptive text", 3: "print, grey, low resolution", 4: "print, grey, high resolution",
		5: "print, black and white, low resolution", 6: "print, black and white, high resolution", 7: "image of the user's own kind", 8: "signature",
		9: "minutiae", 10: "photograph", 11: "voice", 12: "teeth", 13: "latent print", 14: "fingerprint", 15: "palm print", 16: "test image", 17: "iris",
		18: "DNA", 19: "foot print", 20: "source", 21: "context", 22: "image that is no photograph", 98: "assurance", 99: "CBEFF record"}[kind]
}

// fieldWords says what a field of ANSI/NIST-ITL is, by its mnemonic, which means the same in every type.
func fieldWords(mnemonic string) string {
	return map[string]string{
		"LEN": "length of the record", "IDC": "number of the record", "VER": "version", "CNT": "content", "TOT": "type of transaction", "DAT": "date",
		"PRY": "priority", "DAI": "destination", "ORI": "originator", "TCN": "control number", "TCR": "answers control number",
		"NSR": "native resolution", "NTR": "nominal resolution", "DOM": "domain", "GMT": "time", "DCS": "character sets", "APS": "application profiles",
		"ANM": "names of the agencies", "GNS": "country codes", "IMP": "impression", "FGP": "position", "ISR": "resolution", "HLL": "width", "VLL": "height",
		"GCA": "compression", "BCA": "compression", "CGA": "compression", "SIG": "who signed", "SRT": "representation", "FMT": "format",
		"IMT": "kind of image", "SRC": "source agency", "PHD": "day of the photograph", "SLC": "unit of the scale", "THPS": "scale across",
		"TVPS": "scale down", "SHPS": "scanned across", "SVPS": "scanned down", "CSP": "colour space", "SAP": "acquisition profile", "POS": "pose",
		"POA": "angle of the pose", "SQS": "quality", "COM": "comment", "MMS": "make, model, serial", "T2C": "belongs to Type-2", "EFR": "image elsewhere",
		"BPX": "bits a pixel", "FCD": "day of the capture", "UTD": "day of the capture", "UDI": "kind of image", "AMP": "fingers not there", "SEG": "segments",
		"NQM": "NFIQ", "SQM": "quality of segments", "FQM": "quality", "DATA": "image",
	}[mnemonic]
}

// domainWords says what a field of the domain LOKET is.
func domainWords(mnemonic string) string {
	return map[string]string{
		"REF": "reference", "DOB": "date of birth", "EST": "identity established", "SVC": "service", "TCK": "ticket", "SES": "session", "ATT": "attempt",
		"CTR": "centre", "STN": "station", "POL": "policy", "LGB": "legal basis", "SIM": "devices", "SFT": "software", "LED": "ten-finger ledger",
	}[mnemonic]
}

// fingerWords names a position of friction ridges (table 8 of ANSI/NIST-ITL 1-2011 Update 2015; ISO/IEC 19794-4 and 39794-4 number alike).
func fingerWords(position int) string {
	if position >= 1 && position <= 10 {
		return strings.ReplaceAll(biometric.FingerPosition(position).String(), "-", " ")
	}
	return map[int]string{0: "unknown finger", 11: "right thumb, plain", 12: "left thumb, plain", 13: "right four fingers", 14: "left four fingers", 15: "both thumbs",
		16: "right extra digit", 17: "left extra digit", 18: "unknown ridges", 19: "whole finger or tip", 20: "unknown palm", 21: "right full palm", 22: "right writer's palm",
		23: "left full palm", 24: "left writer's palm", 25: "right lower palm", 26: "right upper palm", 27: "left lower palm", 28: "left upper palm",
		40: "right index and middle", 41: "right middle and ring", 42: "right ring and little", 43: "left index and middle", 44: "left middle and ring",
		45: "left ring and little", 46: "both index fingers", 47: "right index to ring", 48: "right middle to little", 49: "left index to ring",
		50: "left middle to little", 51: "right four fingertips", 52: "left four fingertips", 53: "right five fingertips", 54: "left five fingertips"}[position]
}

// impressionWords names how a print was made (table 7 of Update 2015 and the editions before it; the ISO formats number alike).
func impressionWords(code int) string {
	return map[int]string{0: "live-scan plain", 1: "live-scan rolled", 2: "plain, of ink", 3: "rolled, of ink", 4: "latent impression", 5: "latent tracing",
		6: "latent photograph", 7: "latent lift", 8: "swipe", 9: "live-scan, no contact", 10: "live-scan palm", 11: "palm, of ink", 20: "optical, plain", 21: "optical, rolled",
		22: "not optical, plain", 23: "not optical, rolled", 24: "plain, no contact", 25: "rolled, no contact", 28: "other", 29: "unknown",
		41: "rolled, no contact, moving", 42: "plain, no contact, moving"}[code]
}

// pick gives the word of a code in a list; empty where there is none.
func pick(code int, words ...string) string {
	if code < 0 || code >= len(words) {
		return ""
	}
	return words[code]
}

// meaning says what one subfield of an ANSI/NIST-ITL field means.
func meaning(mnemonic string, kind int, items []string) string {
	n, err := strconv.Atoi(items[0])
	if err != nil {
		return wordMeaning(mnemonic, items)
	}
	switch mnemonic {
	case "CNT":
		if n != 1 && len(items) == 2 {
			return typeWords(n)
		}
		return "records behind this one"
	case "FGP":
		return each(items, fingerWords)
	case "AMP", "SEG", "NQM":
		return strings.Trim(fingerWords(n)+", "+reason(items), ", ")
	case "SQM", "FQM":
		return strings.Trim(fingerWords(n)+", "+scoreWords(items[1:]), ", ")
	case "SQS":
		return scoreWords(items)
	case "IMP":
		return impressionWords(n)
	case "SLC":
		return pick(n, "none: the shape of a pixel", "pixels an inch", "pixels a centimetre")
	case "GCA", "BCA":
		return pick(n, "none", "WSQ", "JPEG, lossy", "JPEG, lossless", "JPEG 2000, lossy", "JPEG 2000, lossless", "PNG")
	case "SIG":
		return pick(n, "the subject", "an official")
	case "SRT":
		return pick(n, "image, not compressed", "image, compressed as a facsimile", "vectors")
	case "ISR":
		if kind == 8 {
			return pick(n, "500 pixels an inch", "finer")
		}
		return pick(n, "as 1.012 NTR says", "as 1.011 NSR says")
	case "SAP":
		return profileWords(n)
	}
	return ""
}

// scoreWords reads score, vendor and product.
func scoreWords(items []string) string {
	if len(items) != 3 {
		return ""
	}
	by := fmt.Sprintf("by product %s of vendor %s", plain(items[2]), plain(items[1]))
	if items[1] == "0000" {
		by = fmt.Sprintf("by product %s of a vendor without a number", plain(items[2]))
	}
	switch items[0] {
	case "254":
		return "not measured " + by
	case "255":
		return "could not be measured " + by
	}
	return plain(items[0]) + " of 100 " + by
}

func reason(items []string) string {
	return map[string]string{"XX": "amputated", "UP": "unable to print", "SR": "scarred"}[items[len(items)-1]]
}

// wordMeaning says what a field means that is no number.
func wordMeaning(mnemonic string, items []string) string {
	switch mnemonic {
	case "NSR", "NTR":
		if f, err := strconv.ParseFloat(items[0], 64); err == nil && f > 0 && f < 1000 {
			return fmt.Sprintf("%.0f pixels an inch", f*25.4)
		}
		return "no prints of Types 3 to 6"
	case "POS":
		return map[string]string{"F": "frontal", "R": "right profile", "L": "left profile", "A": "at an angle", "D": "determined"}[items[0]]
	case "FMT":
		return map[string]string{"S": "standard", "U": "user-defined"}[items[0]]
	}
	return ""
}

// profileWords names the acquisition profiles of photographs (table 60 of Update 2015).
func profileWords(n int) string {
	return map[int]string{0: "none claimed", 1: "surveillance", 10: "driver's licence", 11: "ANSI full frontal", 12: "ANSI token", 13: "ISO full frontal", 14: "ISO token",
		15: "PIV", 20: "legacy mugshot", 30: "best practice, level 30", 32: "mobile, level 32", 40: "best practice, level 40", 42: "mobile, level 42",
		50: "best practice, level 50", 51: "best practice, level 51", 52: "mobile, level 52"}[n]
}

// each names every number of a list.
func each(items []string, word func(int) string) string {
	var words []string
	for _, item := range items {
		if n, err := strconv.Atoi(item); err == nil && word(n) != "" {
			words = append(words, word(n))
		}
	}
	return strings.Join(words, ", ")
}

// The codes of a face image, ISO/IEC 19794-5:2005, clause 5.5 and 5.7.

const notSaid = "not said"

func genderWords(b byte) string {
	return map[byte]string{0: notSaid, 1: "male", 2: "female", 255: "unknown"}[b]
}

func eyeWords(b byte) string {
	return map[byte]string{0: notSaid, 1: "black", 2: "blue", 3: "brown", 4: "grey", 5: "green", 6: "of several colours", 7: "pink", 255: "other or unknown"}[b]
}

func hairWords(b byte) string {
	return map[byte]string{0: notSaid, 1: "bald", 2: "black", 3: "blond", 4: "brown", 5: "grey", 6: "white", 7: "red", 8: "green", 9: "blue", 255: "other or unknown"}[b]
}

// propertyWords lists the bits of a property mask.
func propertyWords(mask uint32) string {
	if mask&1 == 0 {
		return notSaid
	}
	var list []string
	for i, word := range []string{"glasses", "moustache", "beard", "teeth visible", "blink", "mouth open", "left eye patch", "right eye patch", "dark glasses",
		"medical condition"} {
		if mask>>(i+1)&1 != 0 {
			list = append(list, word)
		}
	}
	return strings.Join(list, ", ")
}

func expressionWords(code uint16) string {
	return pick(int(code), notSaid, "neutral", "smile, mouth closed", "smile, mouth open", "eyebrows raised", "eyes away", "squinting", "frowning")
}

// poseWords says whether angles are there; the format counts them in steps of two degrees from 1.
func poseWords(codes [3]byte) string {
	if slices.Max(codes[:]) == 0 {
		return notSaid
	}
	return "yaw, pitch, roll"
}
