package ansinist

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// need says when a field must be there.
type need int

const (
	optional  need = iota
	mandatory      // always
	withImage      // where the record has an image
	printed        // always; since Update 2015 only where there is an image
)

// rule is what the standard says of one field. check gives what is wrong with a value, or nothing; it may be nil. An edition before
// since has no such field; since is empty for fields that are as old as their record.
type rule struct {
	number int
	name   string
	need   need
	check  check
	since  Version
}

// scope is what a check may look at.
type scope struct {
	version Version
	record  Record
	file    File
}

// check gives what is wrong with a value, or nothing.
type check func(c scope, f Field) string

func must(number int, name string, c check) rule { return rule{number, name, mandatory, c, ""} }

func may(number int, name string, c check) rule { return rule{number, name, optional, c, ""} }

func imaged(number int, name string, c check) rule { return rule{number, name, withImage, c, ""} }

// since gives fields the edition that brought them.
func since(v Version, list ...rule) []rule {
	for i := range list {
		list[i].since = v
	}
	return list
}

// rules lists what is held against records of a type. Types that are not here are held to nothing but their form.
func rules(kind int) []rule {
	head := []rule{must(1, "LEN", nil), must(2, "IDC", nil)}
	switch kind {
	case 1:
		return transactionRules()
	case 3, 4, 5, 6:
		return append(append(head, must(3, "IMP", impression), must(4, "FGP", list(between(0, 15)))), binaryRules(kind)...)
	case 8:
		return append(head, must(3, "SIG", between(0, 1)), must(4, "SRT", between(0, 2)), must(5, "ISR", between(0, 1)), must(6, "HLL", nil), must(7, "VLL", nil))
	case 9:
		return append(head, must(3, "IMP", impression), must(4, "FMT", oneOf("S", "U")))
	case 10:
		return append(head, faceRules()...)
	case 13, 14, 15, 19:
		return append(head, frictionRules(kind)...)
	case 16:
		head = append(append(head, must(3, "UDI", one), must(4, "SRC", one), must(5, "UTD", captured)), commonRules()...)
		return append(head, imageRules("BPX", between(1, 64))...)
	case 17:
		head = append(append(head, must(3, "ELR", between(0, 2)), must(4, "SRC", one), must(5, "ICD", captured), imaged(13, "CSP", colourSpace)), commonRules()...)
		return append(append(head, may(28, "DME", nil)), imageRules("BPX", between(1, 64))...)
	case 99:
		head = append(head, must(4, "SRC", one), must(5, "BCD", nil), must(100, "HDV", nil), must(101, "BTY", nil), may(102, "BDQ", nil), must(103, "BFO", nil), must(104, "BFT", nil))
		return append(head, commonRules()...)
	}
	return head
}

// commonRules are of fields that all tagged records of samples share. Numbers from 200 on were free for users before 2011.
func commonRules() []rule {
	return append(since(V2011, may(902, "ANN", nil), may(903, "DUI", matches(`^[MP].{12,15}$`, "M or P and 12 to 15 characters")), may(904, "MMS", makeModelSerial),
		may(993, "SAN", text(125)), may(995, "ASC", nil), may(996, "HAS", hash), may(997, "SOR", nil), may(998, "GEO", nil)), since(V2013, may(994, "EFR", text(200)))...)
}

func transactionRules() []rule {
	list := []rule{
		must(1, "LEN", nil), must(2, "VER", nil), must(3, "CNT", nil),
		must(4, "TOT", matches(`^[!-~]{1,16}$`, "one word of at most 16 characters")),
		must(5, "DAT", transactionDate), may(6, "PRY", between(1, 9)),
		must(7, "DAI", one), must(8, "ORI", one), must(9, "TCN", one), may(10, "TCR", one),
		may(11, "NSR", resolution), may(12, "NTR", resolution),
	}
	list = append(list, since(V2000, may(13, "DOM", domain), may(14, "GMT", utc), may(15, "DCS", characterSets))...)
	list = append(list, since(V2011, may(16, "APS", nil), may(17, "ANM", nil))...)
	return append(list, since(V2013, may(18, "GNS", oneOf("ISO", "GENC")))...)
}

func binaryRules(kind int) []rule {
	compression := map[bool]string{true: "BCA", false: "GCA"}[kind > 4]
	return []rule{must(5, "ISR", between(0, 1)), must(6, "HLL", between(1, 65535)), must(7, "VLL", between(1, 65535)), must(8, compression, between(0, 6))}
}

func imageRules(last string, c check) []rule {
	return []rule{
		imaged(6, "HLL", lineLength), imaged(7, "VLL", lineLength), imaged(8, "SLC", between(0, 2)),
		imaged(9, "THPS", between(1, 99999)), imaged(10, "TVPS", between(1, 99999)), imaged(11, "CGA", compression), imaged(12, last, c),
	}
}

func faceRules() []rule {
	list := append([]rule{must(3, "IMT", imageType), must(4, "SRC", one), must(5, "PHD", captured)}, commonRules()...)
	list = append(list, imageRules("CSP", colourSpace)...)
	list = append(list, since(V2007, may(13, "SAP", acquisitionProfile), may(24, "SQS", qualities(0)))...)
	return append(list, may(16, "SHPS", between(1, 99999)), may(17, "SVPS", between(1, 99999)), may(20, "POS", oneOf("F", "R", "L", "A", "D")), may(21, "POA", angle),
		may(27, "SEC", eyeColour), may(28, "SHC", hairColour), may(30, "DMM", monitored), may(38, "COM", comment), may(992, "T2C", between(0, 99)))
}

func frictionRules(kind int) []rule {
	position := map[int]check{13: list(ridgePosition), 14: fingerPosition, 15: list(palmPosition), 19: list(between(60, 79))}[kind]
	all := []rule{{3, "IMP", printed, impression, ""}, must(4, "SRC", one), must(5, map[int]string{13: "LCD", 14: "FCD", 15: "PCD", 19: "PCD"}[kind], captured),
		must(13, "FGP", position), may(16, "SHPS", between(1, 99999)), may(17, "SVPS", between(1, 99999)), may(20, "COM", comment), may(30, "DMM", monitored)}
	all = append(append(all, commonRules()...), imageRules("BPX", between(1, 64))...)
	if kind == 15 || kind == 19 {
		all = append(all, may(18, "AMP", nil))
	}
	if kind == 14 {
		all = append(all, may(26, "SCF", between(1, 255)), may(27, "SIF", oneOf("Y")))
		all = append(all, since(V2007, may(18, "AMP", amputations), may(21, "SEG", segments), may(22, "NQM", nfiq), may(23, "SQM", segmentQuality),
			may(24, "FQM", qualities(1)))...)
	}
	return all
}

// judge holds every record to its rules.
func (p *parser) judge(f File) error {
	for i, r := range f.Records {
		p.record, p.kind = i+1, r.Type
		p.start = p.starts[i]
		c := scope{version: f.Version, record: r, file: f}
		for _, rule := range rules(r.Type) {
			if err := p.apply(rule, c); err != nil {
				return err
			}
		}
		if err := p.characters(c); err != nil {
			return err
		}
		if err := p.whole(c); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) apply(rule rule, c scope) error {
	f, ok := c.record.Field(rule.number)
	switch {
	case !ok && c.owes(rule.need):
		return p.fail(rule.number, "it is mandatory")
	case ok && c.version < rule.since && rule.number >= 200 && c.version < V2011: // one of the user's own
		return nil
	case ok && c.version < rule.since:
		return p.fail(rule.number, "this edition does not have the field: it came with %s", rule.since.Edition())
	case ok && len(f.Value) == 0 && c.owes(rule.need):
		return p.fail(rule.number, "it is mandatory and must not be empty")
	case rule.check == nil || len(f.Value) == 0:
		return nil
	}
	if wrong := rule.check(c, f); wrong != "" {
		return p.fail(rule.number, "%s", wrong)
	}
	return nil
}

// owes reports whether a field that is needed so must be there.
func (c scope) owes(n need) bool {
	pictured := c.record.Image != nil
	return n == mandatory || n == withImage && pictured || n == printed && (pictured || c.version < V2015)
}

// whole holds a record to what no single field shows.
func (p *parser) whole(c scope) error {
	switch kind := c.record.Type; {
	case kind == 1:
		return p.wholeTransaction(c)
	case kind == 8:
		return p.wholeSignature(c.record)
	case kind == 3, kind == 4:
		return p.wholeBinary(c.record)
	case kind == 10:
		if _, ok := c.record.Field(13); !ok && c.version >= V2011 && is(c.record, 3, "FACE") {
			return p.fail(13, "it is mandatory where 10.003 IMT is FACE")
		}
		return p.wholeImage(c)
	case kind >= 13 && kind <= 17 || kind == 19:
		return p.wholeImage(c)
	case kind == 99 && len(c.record.Image) == 0:
		return p.fail(imageField, "it is mandatory")
	}
	return nil
}

func is(r Record, number int, value string) bool {
	f, ok := r.Field(number)
	return ok && string(f.Value) == value
}

func (p *parser) wholeTransaction(c scope) error {
	for _, f := range c.record.Fields {
		if Name(1, f.Number) == "" {
			return p.fail(f.Number, "a Type-1 record has no such field")
		}
		if i := slices.IndexFunc(f.Value, func(b byte) bool { return b != RS && b != US && (b < ' ' || b > '~') }); i >= 0 {
			return p.fail(f.Number, "a Type-1 record must be of printable 7-bit characters; byte %d of this field is another", i+1)
		}
	}
	scanned := slices.ContainsFunc(c.file.Records, func(r Record) bool { return r.Type >= 3 && r.Type <= 6 })
	for _, number := range []int{11, 12} {
		f, ok := c.record.Field(number)
		if !ok && (scanned || c.version < V2011) {
			return p.fail(number, "it is mandatory%s", map[bool]string{true: " where a Type-4 record follows"}[c.version >= V2011])
		}
		if scanned && strings.Trim(string(f.Value), "0.") == "" {
			return p.fail(number, "it must not be 0 where a record of Types 3 to 6 follows, whose scale it gives")
		}
	}
	return nil
}

// The checks below each give what a value must be and is not.

// between demands one number in a range.
func between(low, high int) check {
	return func(_ scope, f Field) string {
		if n, ok := digits(f.Value); !ok || len(f.Value) == 0 || n < low || n > high {
			return fmt.Sprintf("it must be a number from %d to %d", low, high)
		}
		return ""
	}
}

// list applies a check to every subfield and item.
func list(each check) check {
	return func(c scope, f Field) string {
		for _, items := range f.Subfields() {
			for _, item := range items {
				if wrong := each(c, Text(f.Number, item)); wrong != "" {
					return wrong
				}
			}
		}
		return ""
	}
}

func matches(pattern, what string) check {
	return func(_ scope, f Field) string {
		if !regexp.MustCompile(pattern).Match(f.Value) {
			return "it must be " + what
		}
		return ""
	}
}

func oneOf(words ...string) check {
	return func(_ scope, f Field) string {
		if !slices.Contains(words, string(f.Value)) {
			return "it must be one of " + strings.Join(words, ", ")
		}
		return ""
	}
}

func transactionDate(c scope, f Field) string {
	_, err := time.Parse("20060102", string(f.Value))
	if c.version == V1993 && err != nil {
		_, err = time.Parse("060102", string(f.Value))
	}
	if err != nil {
		return "it must be a date of the form YYYYMMDD"
	}
	return ""
}

func utc(_ scope, f Field) string {
	if _, err := time.Parse("20060102150405Z", string(f.Value)); err != nil {
		return "it must be a UTC time of the form YYYYMMDDHHMMSSZ"
	}
	return ""
}

func domain(_ scope, f Field) string {
	if subs := f.Subfields(); len(subs) > 1 || len(subs[0]) > 2 || subs[0][0] == "" {
		return "it must be the name of a domain and, where there is one, its version"
	}
	return ""
}

// captured checks the date of a capture, in which 2011 and later allow zeros for what is not known.
func captured(c scope, f Field) string {
	s := string(f.Value)
	if c.version >= V2011 && regexp.MustCompile(`^\d{4}(0000|(0\d|1[0-2])00)$`).MatchString(s) || c.version >= V2011 && s == "00000000" {
		return ""
	}
	if _, err := time.Parse("20060102", s); err != nil {
		return "it must be a date of the form YYYYMMDD"
	}
	return ""
}

func resolution(_ scope, f Field) string {
	if !regexp.MustCompile(`^\d{1,3}\.\d{1,2}$`).Match(f.Value) {
		return "it must be pixels a millimetre, of the form 19.69, or 00.00"
	}
	return ""
}

func characterSets(_ scope, f Field) string {
	for _, items := range f.Subfields() {
		if n, ok := digits(items[0]); !ok || items[0] == "" || n > 999 || len(items) < 2 || len(items) > 3 {
			return "each subfield must be a character set's three-digit index, its name and, where there is one, its version"
		}
	}
	return ""
}

func lineLength(c scope, f Field) string {
	if c.version < V2007 {
		return between(1, 99999)(c, f)
	}
	return between(10, 99999)(c, f)
}

func compression(c scope, f Field) string {
	if c.version < V2007 || strings.HasPrefix(string(f.Value), "WSQ") {
		return ""
	}
	return oneOf("NONE", "WSQ20", "JPEGB", "JPEGL", "JP2", "JP2L", "PNG")(c, f)
}

func colourSpace(c scope, f Field) string {
	if c.version < V2011 {
		return ""
	}
	return oneOf("UNK", "GRAY", "RGB", "SRGB", "YCC", "SYCC")(c, f)
}

func imageType(c scope, f Field) string {
	if c.version < V2011 {
		return oneOf("FACE", "SCAR", "MARK", "TATTOO")(c, f)
	}
	return oneOf("FACE", "SCAR", "MARK", "TATTOO", "FRONTAL-C", "REAR-C", "FRONTAL-N", "REAR-N", "TORSO-BACK", "TORSO-FRONT", "CONDITION", "MISSING",
		"OTHER", "CHEST", "FEET", "HANDS-PALM", "HANDS-BACK", "GENITALS", "BUTTOCKS", "RIGHT LEG", "LEFT LEG", "RIGHT ARM", "LEFT ARM",
		"HEAD", "EXTRAORAL", "INTRAORAL", "LIP")(c, f)
}

func acquisitionProfile(c scope, f Field) string {
	if n, ok := digits(f.Value); ok && len(f.Value) > 0 && (c.version < V2011 || slices.Contains([]int{0, 1, 10, 11, 12, 13, 14, 15, 20, 30, 32, 40, 42, 50, 51, 52}, n)) {
		return ""
	}
	return "it must be a subject acquisition profile: 0, 1, 10 to 15, 20, 30, 32, 40, 42, 50, 51 or 52"
}

// amputations checks 14.018 AMP. Scars came with Update 2015.
func amputations(c scope, f Field) string {
	if twice(f) {
		return "a finger must not be there twice"
	}
	for _, items := range f.Subfields() {
		if len(items) != 2 || !single(items[0]) || items[1] != "XX" && items[1] != "UP" && (items[1] != "SR" || c.version < V2015) {
			return "each subfield must be the position of one finger and XX or UP, or since Update 2015 SR"
		}
	}
	return ""
}

// twice reports whether two subfields are of one finger.
func twice(f Field) bool {
	seen := map[string]bool{}
	for _, items := range f.Subfields() {
		if seen[items[0]] {
			return true
		}
		seen[items[0]] = true
	}
	return false
}

func segments(c scope, f Field) string {
	if twice(f) {
		return "a finger must not be there twice"
	}
	width, _ := c.record.Int(6)
	height, _ := c.record.Int(7)
	for _, items := range f.Subfields() {
		var n [5]int
		ok := len(items) == 5 && single(items[0])
		for i := 1; ok && i < 5; i++ {
			n[i], ok = digits(items[i])
			ok = ok && items[i] != ""
		}
		if !ok || n[1] >= n[2] || n[3] >= n[4] || n[2] > width || n[4] > height {
			return "each subfield must be the position of one finger, then left, right, top and bottom of its segment inside the image"
		}
	}
	if elsewhere(c, f) {
		return notHere
	}
	return ""
}

func nfiq(c scope, f Field) string {
	for _, items := range f.Subfields() {
		ok := len(items) == 2 && single(items[0])
		if n, number := digits(items[len(items)-1]); !ok || !number || (n < 1 || n > 5) && n != 254 && n != 255 && (n != 0 || c.version >= V2011) {
			return "each subfield must be the position of one finger and NIST's quality: 1 to 5, 254 or 255"
		}
	}
	if elsewhere(c, f) {
		return notHere
	}
	return ""
}

// qualities checks metrics of three items, score, vendor and product, behind as many positions as there are in front.
func qualities(front int) check {
	return func(c scope, f Field) string {
		for _, items := range f.Subfields() {
			if len(items) != front+3 || front == 1 && !single(items[0]) || !quality(items[front:], c.version) {
				return "each subfield must be " + strings.Repeat("the position of one finger, then ", front) +
					"a score of 0 to 100, 254 or 255, four hexadecimal digits for the vendor, and a product of 1 to 65535"
			}
		}
		if front == 1 && elsewhere(c, f) {
			return notHere
		}
		return ""
	}
}

// quality checks score, vendor and product. Before 2011 the product 0 was in use.
func quality(items []string, v Version) bool {
	score, ok := digits(items[0])
	_, err := strconv.ParseUint(items[1], 16, 16)
	product, isProduct := digits(items[2])
	return ok && items[0] != "" && (score <= 100 || score == 254 || score == 255) && err == nil && len(items[1]) == 4 && isProduct && items[2] != "" &&
		(product >= 1 || v < V2011) && product <= 65535
}

// segmentQuality is a quality for fingers that have a segment.
func segmentQuality(c scope, f Field) string {
	if wrong := qualities(1)(c, f); wrong != "" {
		return wrong
	}
	lie := segmented(c.record)
	for _, items := range f.Subfields() {
		if !lie[items[0]] {
			return "each finger must be one that 14.021 SEG or 14.025 ASEG lists"
		}
	}
	return ""
}

// segmented gives the fingers whose place in the image a record says.
func segmented(r Record) map[string]bool {
	lie := map[string]bool{}
	for _, number := range []int{21, 25} {
		f, ok := r.Field(number)
		if !ok {
			continue
		}
		for _, items := range f.Subfields() {
			lie[items[0]] = true
		}
	}
	return lie
}
