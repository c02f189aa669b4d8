package ansinist_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"loket/kiosk/record/ansinist"
	"loket/kiosk/record/recordtest"
)

// fixture reads a file of another maker.
func fixture(t *testing.T, name string) []byte {
	t.Helper()
	t.Attr("fixtures", "records")
	dir := os.Getenv("LOKET_FIXTURES")
	data, err := os.ReadFile(filepath.Join(dir, "records", name))
	if dir == "" || err != nil {
		t.Skipf("LOKET_FIXTURES names no folder with records/%s", name)
	}
	return data
}

// transaction is one of nobody that uses every field the writer has.
func transaction(t testing.TB) ansinist.Transaction {
	day := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	ours := ansinist.Score{Value: 61, Vendor: "0000", Product: 1}
	device := ansinist.Device{Make: "Maker", Model: "Model", Serial: "A1"}
	return ansinist.Transaction{
		Type: "ENROL", Time: day, Destination: "CENTRAL", Originator: "KIOSK-01", Control: "se_1-1", Domain: [2]string{"LOKET", "1"},
		Texts: []ansinist.Field{ansinist.Text(3, "V0000000001"), ansinist.Text(4, "Žofie")},
		Face:  &ansinist.Face{Source: "KIOSK-01", Captured: day, Image: recordtest.JPEG(t, 48, 64), Scores: []ansinist.Score{ours}, Comment: "quality: loket-basic 1", Device: device},
		Fingers: []ansinist.Finger{
			{Position: 2, Source: "KIOSK-01", Captured: day, Image: recordtest.PNG(t, 24, 32), PPI: 500, Scores: []ansinist.FingerScore{{2, ours}}, Comment: "x", Device: device},
			{Position: 13, Source: "KIOSK-01", Captured: day, Image: recordtest.PNG(t, 96, 32), PPI: 500,
				Missing:  []ansinist.Missing{{Position: 5, Amputated: true}},
				Segments: []ansinist.Segment{{2, 0, 24, 0, 30}, {3, 24, 48, 0, 30}, {4, 48, 96, 2, 32}},
				NFIQ:     []ansinist.FingerScore{{2, ansinist.Score{Value: 1}}, {3, ansinist.Score{Value: 254}}},
				Located:  []ansinist.FingerScore{{2, ours}}, Scores: []ansinist.FingerScore{{2, ours}, {3, ours}}},
			{Position: 7, Source: "KIOSK-01", Captured: day, Missing: []ansinist.Missing{{Position: 7}}},
		},
		Signature: &ansinist.Signature{Width: 20, Height: 3, Bits: make([]byte, 9)},
	}
}

func encoded(t testing.TB) []byte {
	t.Helper()
	data, err := transaction(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// render shows a file with its separators, for messages; images are counted only.
func render(f ansinist.File) string {
	var b strings.Builder
	for _, r := range f.Records {
		for _, x := range r.Fields {
			fmt.Fprintf(&b, "%d.%03d:%s\n", r.Type, x.Number, strings.NewReplacer("\x1e", " / ", "\x1f", ",").Replace(string(x.Value)))
		}
		if r.Image != nil {
			fmt.Fprintf(&b, "%d image: %d bytes\n", r.Type, len(r.Image))
		}
	}
	return b.String()
}

func TestATransactionIsWrittenFieldByField(t *testing.T) {
	f, err := ansinist.Parse(encoded(t))
	if err != nil {
		t.Fatal(err)
	}
	want := `1.002:0502
1.003:1,6 / 2,00 / 10,01 / 14,02 / 14,03 / 14,04 / 8,05
1.004:ENROL
1.005:20260302
1.007:CENTRAL
1.008:KIOSK-01
1.009:se_1-1
1.011:00.00
1.012:00.00
1.013:LOKET,1
1.014:20260302093000Z
1.015:003,UTF-8
2.002:00
2.003:V0000000001
2.004:Žofie
10.002:01
10.003:FACE
10.004:KIOSK-01
10.005:20260302
10.006:48
10.007:64
10.008:0
10.009:1
10.010:1
10.011:JPEGB
10.012:SRGB
10.013:0
10.024:61,0000,1
10.038:quality: loket-basic 1
10.904:Maker,Model,A1
10.992:00
14.002:02
14.003:0
14.004:KIOSK-01
14.005:20260302
14.006:24
14.007:32
14.008:1
14.009:500
14.010:500
14.011:PNG
14.012:8
14.013:2
14.020:x
14.024:2,61,0000,1
14.904:Maker,Model,A1
14.002:03
14.003:0
14.004:KIOSK-01
14.005:20260302
14.006:96
14.007:32
14.008:1
14.009:500
14.010:500
14.011:PNG
14.012:8
14.013:13
14.018:5,XX
14.021:2,0,24,0,30 / 3,24,48,0,30 / 4,48,96,2,32
14.022:2,1 / 3,254
14.023:2,61,0000,1
14.024:2,61,0000,1 / 3,61,0000,1
14.002:04
14.003:0
14.004:KIOSK-01
14.005:20260302
14.013:7
14.018:7,UP
8.002:5
8.003:0
8.004:0
8.005:0
8.006:20
8.007:3
`
	var got []string
	for line := range strings.Lines(render(f)) {
		if !strings.Contains(line, ".001:") && !strings.Contains(line, "image") {
			got = append(got, line)
		}
	}
	if text := strings.Join(got, ""); text != want {
		t.Errorf("got\n%s", text)
	}
}

func TestWhatIsWrittenHasExactLengthsAndTheSeparatorsOfAnnexB(t *testing.T) {
	data, at := encoded(t), 0
	f, err := ansinist.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range f.Records {
		n, _ := r.Int(1)
		at += n
		if r.Type != 8 && (data[at-1] != ansinist.FS || bytes.Contains(data[at-n:at-n+len(r.Fields)], []byte{ansinist.FS})) {
			t.Errorf("the Type-%d record does not end in FS", r.Type)
		}
		for i := 1; i < len(r.Fields); i++ {
			if r.Fields[i].Number <= r.Fields[i-1].Number {
				t.Errorf("Type %d: field %d follows field %d", r.Type, r.Fields[i].Number, r.Fields[i-1].Number)
			}
		}
	}
	if at != len(data) {
		t.Errorf("the lengths add up to %d, the file has %d bytes", at, len(data))
	}
}

func TestWhatIsReadCanBeWrittenAgain(t *testing.T) {
	data := encoded(t)
	f, err := ansinist.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := f.Encode()
	if err != nil || !bytes.Equal(again, data) {
		t.Errorf("%d bytes became %d: %v", len(data), len(again), err)
	}
}

func TestARecordOf1997WithShortTagsAndAType4PrintIsRead(t *testing.T) {
	f, err := ansinist.Parse(fixture(t, "valid1.1.an2"))
	if err != nil {
		t.Fatal(err)
	}
	text := render(f)
	for _, want := range []string{"1.002:0201\n", "1.003:1,2 / 2,00 / 4,01\n", "1.011:19.69\n", "2.002:00\n", "4.001:14864\n", "4.002:1\n", "4.003:0\n",
		"4.004:10\n", "4.005:0\n", "4.006:512\n", "4.007:512\n", "4.008:1\n", "4 image: 14846 bytes\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
	again, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if g, err := ansinist.Parse(again); err != nil || len(g.Records) != 3 || !bytes.Equal(g.Records[2].Image, f.Records[2].Image) {
		t.Errorf("it does not survive being written: %v", err)
	}
}

func TestASignatureOf2007WithOneByteAPixelIsRead(t *testing.T) {
	data := fixture(t, "sign_raw.an2")
	f, err := ansinist.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	want := "8.001:16396\n8.002:0\n8.003:0\n8.004:0\n8.005:0\n8.006:256\n8.007:64\n8 image: 16384 bytes\n"
	if text := render(f); !strings.HasSuffix(text, want) || f.Version != ansinist.V2007 {
		t.Errorf("version %s", f.Version)
	}
	if again, err := f.Encode(); err != nil || !bytes.Equal(again, data) {
		t.Errorf("it is not written as it was read: %v", err)
	}
}

// spoil changes one place of a good file and mends the lengths.
func spoil(t *testing.T, change func(f *ansinist.File)) []byte {
	t.Helper()
	f, err := ansinist.Parse(encoded(t))
	if err != nil {
		t.Fatal(err)
	}
	change(&f)
	return ansinist.Unchecked(f)
}

func set(record, number int, value string) func(f *ansinist.File) {
	return func(f *ansinist.File) {
		fields := f.Records[record].Fields
		for i := range fields {
			if fields[i].Number == number {
				fields[i].Value = []byte(value)
				return
			}
		}
		f.Records[record].Fields = append(fields, ansinist.Text(number, value))
	}
}

func both(changes ...func(f *ansinist.File)) func(f *ansinist.File) {
	return func(f *ansinist.File) {
		for _, change := range changes {
			change(f)
		}
	}
}

// without leaves a record out.
func without(record int) func(f *ansinist.File) {
	return func(f *ansinist.File) { f.Records = append(f.Records[:record:record], f.Records[record+1:]...) }
}

// reference takes an image out, with what is said of it, and the fields without, and refers to a file.
func reference(record int, leave ...int) func(f *ansinist.File) {
	return func(f *ansinist.File) {
		f.Records[record].Image = nil
		for _, number := range []int{6, 7, 8, 9, 10, 11, 12} {
			drop(record, number)(f)
		}
		set(record, 994, "https://example.org/image")(f)
		for _, number := range leave {
			drop(record, number)(f)
		}
	}
}

func halve(record int) func(f *ansinist.File) {
	return func(f *ansinist.File) {
		f.Records[record].Image = f.Records[record].Image[:len(f.Records[record].Image)*2/3]
	}
}

func drop(record, number int) func(f *ansinist.File) {
	return func(f *ansinist.File) {
		var kept []ansinist.Field
		for _, x := range f.Records[record].Fields {
			if x.Number != number {
				kept = append(kept, x)
			}
		}
		f.Records[record].Fields = kept
	}
}

func TestABrokenRuleIsNamedWithItsFieldAndEdition(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f *ansinist.File)
		want   string
	}{
		"no type of transaction":    {drop(0, 4), "field 1.004 TOT: it is mandatory"},
		"no destination":            {drop(0, 7), "field 1.007 DAI: it is mandatory"},
		"a bad date":                {set(0, 5, "20260231"), "field 1.005 DAT: it must be a date"},
		"a priority of 10":          {set(0, 6, "10"), "field 1.006 PRY: it must be a number from 1 to 9"},
		"eight bits in Type 1":      {set(0, 9, "naïve"), "field 1.009 TCN: a Type-1 record must be of printable 7-bit characters"},
		"items without end":         {set(1, 4, strings.Repeat("\x1f", 1<<16)), "field 2.004: at most 65536 information items are read of one field, and it has 65537"},
		"a bad time":                {set(0, 14, "20260302093000"), "field 1.014 GMT"},
		"no image type":             {drop(2, 3), "field 10.003 IMT: it is mandatory"},
		"no profile for a face":     {drop(2, 13), "field 10.013 SAP: it is mandatory where"},
		"a profile of none":         {set(2, 13, "2"), "field 10.013 SAP: it must be a subject acquisition profile"},
		"another width":             {set(2, 6, "49"), "field 10.006 HLL: it must be the width of the image, 48 pixels, and is 49"},
		"another height":            {set(3, 7, "31"), "field 14.007 VLL: it must be the height"},
		"another compression":       {set(3, 11, "WSQ20"), "field 14.011 CGA: it must name the compression"},
		"a compression of nobody":   {set(3, 11, "GIF"), "field 14.011 CGA: it must be one of NONE, WSQ20"},
		"raw that is none":          {set(3, 11, "NONE"), "field 14.999 DATA: an image that is not compressed must have as many bytes"},
		"no size":                   {drop(3, 6), "field 14.006 HLL: it is mandatory"},
		"no depth":                  {drop(3, 12), "field 14.012 BPX: it is mandatory"},
		"no position":               {drop(3, 13), "field 14.013 FGP: it is mandatory"},
		"a position of no finger":   {set(3, 13, "20"), "field 14.013 FGP: it must be a finger position"},
		"a missing palm":            {set(4, 18, "21\x1fXX"), "field 14.018 AMP"},
		"a finger beside the place": {set(3, 13, "3"), "field 14.024 FQM: each finger must be one that 14.013 FGP covers"},
		"a segment of another hand": {set(4, 21, "7\x1f0\x1f9\x1f0\x1f9"), "field 14.021 SEG: each finger must be one that 14.013 FGP covers"},
		"NFIQ of another hand":      {set(4, 22, "8\x1f1"), "field 14.022 NQM: each finger must be one that"},
		"other bits":                {set(3, 12, "16"), "field 14.012 BPX: it must be the bits of a pixel of the image, 8, and is 16"},
		"two scales":                {set(3, 10, "400"), "field 14.010 TVPS: it must be 14.009 THPS, 500"},
		"grey that has colours":     {set(2, 12, "GRAY"), "field 10.012 CSP: it must be a colour space, since the image has 3 components"},
		"an image of a foot's name": {set(2, 3, "FOOT"), "field 10.003 IMT: it must be one of FACE"},
		"a month of 13":             {set(0, 14, "20261399093000Z"), "field 1.014 GMT: it must be a UTC time"},
		"a domain of three":         {set(0, 13, "a\x1fb\x1fc"), "field 1.013 DOM: it must be the name of a domain"},
		"eight bits in UTF-8":       {set(1, 4, "K\xf6ln"), "field 2.004: it must be UTF-8, the only character set"},
		"eight bits of no set":      {both(drop(0, 15), set(1, 3, "x")), "field 2.004: it must be of 7-bit characters, since field 1.015 DCS names no other"},
		"no photograph":             {reference(2, 994), "field 10.999 DATA: it is mandatory"},
		"a photograph of nothing":   {func(f *ansinist.File) { f.Records[2].Image = []byte{} }, "field 10.999 DATA: it is mandatory and must not be empty"},
		"an agency of two":          {set(0, 8, "a\x1eb"), "field 1.008 ORI: it must be one value, without separators"},
		"a source of two":           {set(3, 4, "a\x1fb"), "field 14.004 SRC: it must be one value, without separators"},
		"an impression of nobody":   {set(3, 3, "16"), "field 14.003 IMP: it must be an impression type"},
		"a long comment":            {set(3, 20, strings.Repeat("x", 127)), "field 14.020 COM: it must have at most 126 characters"},
		"a device of two words":     {set(3, 904, "a\x1fb"), "field 14.904 MMS: it must be make, model and serial number"},
		"another image's hash":      {set(3, 996, strings.Repeat("0f", 32)), "field 14.996 HAS: it must be the SHA-256 of the image, and is another's"},
		"a hash that is none":       {set(3, 996, "0f"), "field 14.996 HAS: it must be a SHA-256"},
		"eyes of no colour":         {set(2, 27, "RED"), "field 10.027 SEC: it must be one of BLK"},
		"hair of no colour":         {set(2, 28, "BRO\x1eMAR"), "field 10.028 SHC: it must be one of XXX"},
		"a pose beyond":             {set(2, 21, "-181"), "field 10.021 POA: it must be an angle"},
		"nobody beside it":          {set(3, 30, "ALONE"), "field 14.030 DMM: it must be one of CONTROLLED"},
		"country codes of nobody":   {set(0, 18, "FIPS"), "field 1.018 GNS: it must be one of ISO, GENC"},
		"half a photograph":         {halve(2), "field 10.999 DATA: the image must be whole, and is cut"},
		"half a print":              {halve(3), "field 14.999 DATA: the image must be whole, and is cut"},
		"half a slap's reasons":     {both(set(5, 13, "14"), set(5, 18, "7\x1fXX\x1e8\x1fXX")), "field 14.999 DATA: an image is mandatory unless 14.018 AMP says why each finger"},
		"a reason of nobody":        {set(4, 18, "5\x1fYY"), "field 14.018 AMP: each subfield must be the position of one finger and XX or UP"},
		"a finger missing twice":    {set(4, 18, "5\x1fXX\x1e5\x1fUP"), "field 14.018 AMP: a finger must not be there twice"},
		"a segment twice":           {set(4, 21, "2\x1f0\x1f9\x1f0\x1f9\x1e2\x1f9\x1f19\x1f0\x1f9"), "field 14.021 SEG: a finger must not be there twice"},
		"a segment outside":         {set(4, 21, "2\x1f0\x1f97\x1f0\x1f30"), "field 14.021 SEG"},
		"a segment turned round":    {set(4, 21, "2\x1f24\x1f0\x1f0\x1f30"), "field 14.021 SEG"},
		"NFIQ 6":                    {set(4, 22, "2\x1f6"), "field 14.022 NQM"},
		"a place without a segment": {set(4, 23, "5\x1f61\x1f0000\x1f1"), "field 14.023 SQM: each finger must be one that 14.021 SEG"},
		"a score of 101":            {set(4, 24, "2\x1f101\x1f0000\x1f1"), "field 14.024 FQM"},
		"a vendor in words":         {set(4, 24, "2\x1f61\x1floket\x1f1"), "field 14.024 FQM"},
		"no product":                {set(4, 24, "2\x1f61\x1f0000\x1f0"), "field 14.024 FQM"},
		"no image and no reason":    {drop(5, 18), "field 14.999 DATA: an image is mandatory unless 14.018 AMP"},
		"another finger's reason":   {set(5, 18, "8\x1fUP"), "field 14.999 DATA: an image is mandatory unless 14.018 AMP"},
		"a signature type":          {set(6, 3, "2"), "field 8.003 SIG: it must be a number from 0 to 1"},
		"a signature of other size": {set(6, 7, "4"), "field 8.008 DATA: an image that is not compressed"},
		"vectors with a size":       {set(6, 4, "2"), "field 8.004 SRT: for vectors"},
	} {
		_, err := ansinist.Parse(spoil(t, c.change))
		var e *ansinist.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) || !strings.HasSuffix(err.Error(), "(a rule of ANSI/NIST-ITL 1-2011 Update 2015)") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestABrokenFormIsNamed(t *testing.T) {
	good := string(encoded(t))
	length := good[:strings.Index(good, "\x1d")]
	replace := func(from, to string) string { return strings.Replace(good, from, to, 1) }
	for name, c := range map[string]struct{ data, want string }{
		"nothing":                    {"", "record 1 (Type-1, at byte 0): each field must begin with"},
		"a PNG":                      {"\x89PNG\r\n\x1a\n", "each field must begin with"},
		"another type first":         {"2.001:10\x1d2.002:0\x1c", "a record of this type must stand here"},
		"a version of nobody":        {replace("1.002:0502", "1.002:0503"), "field 1.002 VER: it must be one of"},
		"version not second":         {replace("1.002:0502", "1.022:0502"), "field 1.002 VER: it is mandatory and must be the second"},
		"no content":                 {replace("\x1d1.003:", "\x1d1.016:"), "field 1.003 CNT: it is mandatory"},
		"too small a count":          {replace("1.003:1\x1f6", "1.003:1\x1f5"), "field 1.003 CNT: its first subfield must be 1 and the count of the others, 6"},
		"a type of nobody":           {replace("\x1e2\x1f00", "\x1e3\x1f00"), "field 1.003 CNT: this edition has no records of Type 3"},
		"another IDC":                {replace("14\x1f02", "14\x1f07"), "field 14.002 IDC: it must be the IDC that field 1.003 CNT gives"},
		"records in another order":   {replace("\x1e2\x1f00\x1e10\x1f01", "\x1e10\x1f01\x1e2\x1f00"), "record 2 (Type-10, at byte"},
		"a length one too large":     {replace(length, length[:len(length)-1]+string(length[len(length)-1]+1)), "field 1.001 LEN"},
		"a length one too small":     {replace(length, length[:len(length)-1]+string(length[len(length)-1]-1)), "field 1.001 LEN"},
		"a length in words":          {replace(length, "1.001:abc"), "field 1.001 LEN: it must be a number"},
		"a length beyond the file":   {replace(length, "1.001:999999999"), "field 1.001 LEN: it must be the length"},
		"cut":                        {good[:len(good)-20], "record 7 (Type-8"},
		"cut between records":        {good[:len(good)-21], "field 1.003 CNT lists it, and the file ends before it"},
		"more behind it":             {good + "x", "nothing must follow the last record that field 1.003 CNT lists, and 1 bytes do"},
		"a field twice":              {replace("1.012:00.00", "1.011:00.00"), "field 1.011 NSR: a field must not occur twice"},
		"a field number too large":   {replace("1.014:2", "1.1000:"), "a field's number must be"},
		"a field of another record":  {replace("10.004:", "14.004:"), "a record of this type must stand here"},
		"content of three items":     {replace("\x1e2\x1f00", "\x1e2\x1f\x1f0"), "field 1.003 CNT: each subfield must have two information items"},
		"an empty mandatory field":   {replace("1.007:CENTRAL", "1.007:\x1d1.010:"), "field 1.007 DAI: it is mandatory and must not be empty"},
		"IDC that is not the second": {replace("14.002:02\x1d14.003:0", "14.003:0\x1d14.002:02"), "field 14.002 IDC: it is mandatory"},
	} {
		_, err := ansinist.Parse([]byte(c.data))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEachEditionIsHeldToItsOwnRules(t *testing.T) {
	version := func(v ansinist.Version, more ...func(*ansinist.File)) func(*ansinist.File) {
		return func(f *ansinist.File) {
			f.Version = v
			for _, change := range more {
				change(f)
			}
		}
	}
	for name, c := range map[string]struct {
		change func(*ansinist.File)
		want   string
	}{
		"no Type 14 in 1997":                    {version(ansinist.V1997), "has no records of Type 14; subfield 4 lists one (a rule of ANSI/NIST-ITL 1a-1997)"},
		"no Type 10 in 1993":                    {version(ansinist.V1993), "has no records of Type 10; subfield 3 lists one (a rule of ANSI/NIST-CSL 1-1993)"},
		"the resolution in 2007":                {version(ansinist.V2007, drop(0, 11)), "field 1.011 NSR: it is mandatory (a rule of ANSI/NIST-ITL 1-2007)"},
		"and in 2015 it may go":                 {version(ansinist.V2015, drop(0, 11), drop(0, 12)), ""},
		"no profile in 2007":                    {version(ansinist.V2007, drop(2, 13)), ""},
		"but in 2011":                           {version(ansinist.V2011, drop(2, 13)), "field 10.013 SAP: it is mandatory where 10.003 IMT is FACE (a rule of ANSI/NIST-ITL 1-2011)"},
		"an unknown day in 2013":                {version(ansinist.V2013, set(2, 5, "20260300")), ""},
		"which 2007 does not have":              {version(ansinist.V2007, set(2, 5, "20260300")), "field 10.005 PHD: it must be a date"},
		"2000":                                  {version(ansinist.V2000, drop(2, 13), drop(2, 24), drop(3, 24), drop(4, 18), drop(4, 21), drop(4, 22), drop(4, 23), drop(4, 24), without(5)), ""},
		"no image in 2000":                      {version(ansinist.V2000, drop(2, 13), drop(2, 24), drop(3, 24), drop(4, 18), drop(4, 21), drop(4, 22), drop(4, 23), drop(4, 24), drop(5, 18)), "field 14.999 DATA: it is mandatory (a rule of ANSI/NIST-ITL 1-2000)"},
		"no impression without a print in 2015": {drop(5, 3), ""},
		"which 2013 wants":                      {version(ansinist.V2013, drop(5, 3)), "field 14.003 IMP: it is mandatory (a rule of ANSI/NIST-ITL 1-2011 Update 2013)"},
		"a user's own field in 2007":            {version(ansinist.V2007, set(3, 904, "mine"), set(3, 996, "mine")), ""},
		"a picture elsewhere":                   {version(ansinist.V2013, reference(2)), ""},
		"a print elsewhere":                     {version(ansinist.V2015, reference(3)), ""},
		"which 2011 doesn't have":               {version(ansinist.V2011, reference(2)), "field 10.994 EFR: this edition does not have the field"},
		"fingertips in 2013":                    {version(ansinist.V2013, set(3, 13, "51")), ""},
		"which 2011 lacks":                      {version(ansinist.V2011, set(3, 13, "51")), "field 14.013 FGP: it must be a finger position"},
		"combinations in 2011":                  {version(ansinist.V2011, set(3, 13, "47")), ""},
		"which 2007 lacks":                      {version(ansinist.V2007, set(3, 13, "40"), drop(3, 24)), "field 14.013 FGP: it must be a finger position"},
		"two positions in 2007":                 {version(ansinist.V2007, set(3, 13, "2\x1e3")), ""},
		"where 2011 has one":                    {version(ansinist.V2011, set(3, 13, "2\x1e3")), "field 14.013 FGP: it must be one position"},
		"a foot in 2011":                        {version(ansinist.V2011, set(2, 3, "FEET")), ""},
		"which 2007 has not":                    {version(ansinist.V2007, set(2, 3, "FEET")), "field 10.003 IMT: it must be one of FACE"},
		"segments in 2000":                      {version(ansinist.V2000, drop(2, 13), drop(2, 24), drop(3, 24), drop(4, 18)), "field 14.021 SEG: this edition does not have the field: it came with ANSI/NIST-ITL 1-2007 (a rule of ANSI/NIST-ITL 1-2000)"},
		"a scar in 2015":                        {set(5, 18, "7\x1fSR"), ""},
		"which 2013 has not":                    {version(ansinist.V2013, set(5, 18, "7\x1fSR")), "field 14.018 AMP: each subfield"},
		"a moving finger in 2015":               {set(3, 3, "41"), ""},
		"which 2013 lacks":                      {version(ansinist.V2013, set(3, 3, "41")), "field 14.003 IMP: it must be an impression type"},
		"agency names in 2007":                  {version(ansinist.V2007, set(0, 17, "A")), "field 1.017 ANM: this edition does not have the field: it came with ANSI/NIST-ITL 1-2011"},
		"a field of nobody":                     {version(ansinist.V2015, set(0, 19, "A")), "field 1.019: a Type-1 record has no such field"},
		"a domain in 1997":                      {version(ansinist.V1997), "(a rule of ANSI/NIST-ITL 1a-1997)"},
	} {
		_, err := ansinist.Parse(spoil(t, c.change))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheHashOfAnImageIsHeldToIt(t *testing.T) {
	sum := sha256.Sum256(recordtest.PNG(t, 24, 32))
	if _, err := ansinist.Parse(spoil(t, set(3, 996, hex.EncodeToString(sum[:])))); err != nil {
		t.Error(err)
	}
}

// beside adds a record of another type, with these fields behind IDC.
func beside(t *testing.T, kind int, image []byte, pairs ...string) error {
	t.Helper()
	r := ansinist.Record{Type: kind, Fields: []ansinist.Field{ansinist.Text(2, "40")}, Image: image}
	for _, p := range pairs {
		number, value, _ := strings.Cut(p, ":")
		n, err := strconv.Atoi(number)
		if err != nil {
			t.Fatal(err)
		}
		r.Fields = append(r.Fields, ansinist.Text(n, value))
	}
	_, err := ansinist.Parse(spoil(t, func(f *ansinist.File) { f.Records = append(f.Records, r) }))
	return err
}

func TestRecordsOfOtherTypesStandBesideOurs(t *testing.T) {
	png := recordtest.PNG(t, 24, 32)
	sized := func(more ...string) []string {
		return append(more, "4:X", "5:20260302", "6:24", "7:32", "8:1", "9:500", "10:500", "11:PNG", "12:8")
	}
	for name, c := range map[string]struct {
		kind   int
		image  []byte
		fields []string
		want   string
	}{
		"minutiae":                  {9, nil, []string{"3:0", "4:U", "137:100\x1f100\x1f90\x1f1\x1f50"}, ""},
		"minutiae of no format":     {9, nil, []string{"3:0", "4:X"}, "field 9.004 FMT: it must be one of S, U"},
		"a latent print":            {13, png, sized("3:4", "13:19"), ""},
		"without its image":         {13, nil, sized("3:4", "13:19")[:4], "field 13.999 DATA: it is mandatory"},
		"of no ridges":              {13, png, sized("3:4", "13:39"), "field 13.013 FGP: it must be a friction ridge position"},
		"a palm":                    {15, png, sized("3:10", "13:21"), ""},
		"a palm that is no palm":    {15, png, sized("3:10", "13:2"), "field 15.013 FGP: it must be a palm position"},
		"a palm that is not there":  {15, nil, []string{"3:10", "4:X", "5:20260302", "13:21", "18:21\x1fXX"}, ""},
		"an image of a test":        {16, png, sized("3:thing"), ""},
		"an iris":                   {17, png, sized("3:1", "13:GRAY"), ""},
		"an iris of a third eye":    {17, png, sized("3:3", "13:GRAY"), "field 17.003 ELR: it must be a number from 0 to 2"},
		"an iris that is not there": {17, nil, []string{"3:1", "4:X", "5:20260302", "28:MISSING"}, ""},
		"an iris without an image":  {17, nil, []string{"3:1", "4:X", "5:20260302"}, "field 17.999 DATA: it is mandatory"},
		"DNA":                       {18, nil, []string{"3:1", "4:X"}, ""},
		"a sole":                    {19, png, sized("3:30", "13:61"), ""},
		"CBEFF":                     {99, []byte{1, 0x1c, 0x1d}, []string{"4:X", "5:20260302", "100:0101", "101:8", "103:27", "104:1025"}, ""},
		"CBEFF without an owner":    {99, []byte{1}, []string{"4:X", "5:20260302", "100:0101", "101:8", "104:1025"}, "field 99.103 BFO: it is mandatory"},
	} {
		if err := beside(t, c.kind, c.image, c.fields...); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAFieldBehindTheImageIsNamed(t *testing.T) {
	data := spoil(t, func(f *ansinist.File) {
		f.Records[2].Image = append(f.Records[2].Image[:len(f.Records[2].Image):len(f.Records[2].Image)], "\x1d10.200:more"...)
	})
	if _, err := ansinist.Parse(data); err == nil || !strings.Contains(err.Error(), "field 10.999 DATA: it must be the last field of its record, and another follows") {
		t.Errorf("%v", err)
	}
}

func TestOptionalFieldsMayBeEmpty(t *testing.T) {
	for record, numbers := range map[int][]int{0: {6, 10, 13, 14, 16, 17, 18}, 1: {4}, 2: {20, 24, 38, 904, 992}, 3: {18, 20, 21, 22, 23, 24, 904}} {
		for _, number := range numbers {
			if _, err := ansinist.Parse(spoil(t, set(record, number, ""))); err != nil {
				t.Errorf("record %d: %v", record+1, err)
			}
		}
	}
}

func TestASlapWithoutAFingerHasNoImageButFourReasons(t *testing.T) {
	if _, err := ansinist.Parse(spoil(t, both(set(5, 13, "14"), set(5, 18, "7\x1fXX\x1e8\x1fXX\x1e9\x1fUP\x1e10\x1fXX")))); err != nil {
		t.Error(err)
	}
}

func TestErrorsHoldNoTextOfTheFile(t *testing.T) {
	for _, number := range []int{4, 5, 7, 9, 13} {
		_, err := ansinist.Parse(spoil(t, set(0, number, "SECRET secret \x01")))
		if err == nil || strings.Contains(strings.ToLower(err.Error()), "secret") {
			t.Errorf("1.%03d: %v", number, err)
		}
	}
}

func TestNothingIsWrittenThatTheReaderRefuses(t *testing.T) {
	for name, change := range map[string]func(*ansinist.Transaction){
		"no originator":          func(x *ansinist.Transaction) { x.Originator = "" },
		"separators in a number": func(x *ansinist.Transaction) { x.Control = "a\x1cb" },
		"a print in colour":      func(x *ansinist.Transaction) { x.Fingers[0].Image = recordtest.JPEG(t, 24, 32) },
		"no image":               func(x *ansinist.Transaction) { x.Face.Image = []byte("none") },
		"a finger of nobody":     func(x *ansinist.Transaction) { x.Fingers[0].Position = 77 },
		"a text twice":           func(x *ansinist.Transaction) { x.Texts = append(x.Texts, x.Texts[0]) },
		"a separator in a text":  func(x *ansinist.Transaction) { x.Texts = append(x.Texts, ansinist.Text(9, "a\x1db")) },
		"a short signature":      func(x *ansinist.Transaction) { x.Signature.Bits = x.Signature.Bits[:7] },
		"a hundred records":      func(x *ansinist.Transaction) { x.Fingers = make([]ansinist.Finger, 100) },
	} {
		x := transaction(t)
		change(&x)
		if data, err := x.Encode(); err == nil || data != nil {
			t.Errorf("%s: written, %d bytes", name, len(data))
		}
	}
}

func TestARecordKeepsItselfOutOfOutput(t *testing.T) {
	f, err := ansinist.Parse(encoded(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(verb, f.Records[1]); strings.Contains(s, "V0000000001") {
			t.Errorf("%s shows the subject", verb)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(encoded(f))
	f.Add([]byte("1.01:87\x1d1.02:0201\x1d1.03:1\x1f1\x1e2\x1f00\x1d1.04:CAR\x1d1.05:19980103\x1d1.07:A\x1d1.08:B\x1d1.09:1\x1d1.11:19.69\x1d1.12:19.69\x1c2.001:16\x1d2.002:00\x1c"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := ansinist.Parse(data)
		if err != nil {
			return
		}
		again, err := file.Encode()
		if err != nil {
			t.Fatalf("what was read can't be written: %v", err)
		}
		if twice, err := ansinist.Parse(again); err != nil || len(twice.Records) != len(file.Records) {
			t.Errorf("what was written can't be read: %v", err)
		}
	})
}
