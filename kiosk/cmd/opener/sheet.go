package main

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"loket/kiosk/biometric"
	"loket/kiosk/biometric/wsq"
	"loket/kiosk/record"
)

// The measures of a page, in px.
const (
	pageWidth  = 1800
	margin     = 48
	headHeight = 118
	footHeight = 66
	cardHeight = 782
	badHeight  = 150
	gap        = 26
	perPage    = 3 // records
	inside     = 28
)

// drawSheet draws all records on pages of a few each.
func drawSheet(path string, found []*opened) error {
	pages := (len(found) + perPage - 1) / perPage
	for page := range max(pages, 1) {
		part := found[page*perPage : min(len(found), (page+1)*perPage)]
		c := drawPage(part, page+1, max(pages, 1), len(found))
		if c.err != nil {
			return fmt.Errorf("drawing the contact sheet: %w", c.err)
		}
		if err := writePNG(pagePath(path, page), c.img); err != nil {
			return fmt.Errorf("drawing the contact sheet: %w", err)
		}
	}
	return nil
}

func pagePath(path string, page int) string {
	if page == 0 {
		return path
	}
	ext := filepath.Ext(path)
	return fmt.Sprintf("%s-%d%s", strings.TrimSuffix(path, ext), page+1, ext)
}

func writePNG(path string, img image.Image) error {
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, img); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o600)
}

func drawPage(found []*opened, page, pages, all int) *canvas {
	height := headHeight + footHeight
	for _, f := range found {
		height += cardOf(f) + gap
	}
	c := newCanvas(pageWidth, max(height, 400))
	c.head(found, page, pages, all)
	y := float64(headHeight)
	for _, f := range found {
		if f.Trouble != "" {
			c.badCard(y, f)
		} else {
			c.card(y, f)
		}
		y += float64(cardOf(f) + gap)
	}
	if len(found) == 0 {
		c.centred(pageWidth/2, 230, regular, 26, muted, "The store holds no records.")
	}
	c.legend(float64(c.img.Bounds().Dy() - footHeight + 18))
	return c
}

func cardOf(f *opened) int {
	if f.Trouble != "" {
		return badHeight
	}
	return cardHeight
}

func (c *canvas) head(found []*opened, page, pages, all int) {
	c.text(margin, 62, bold, 38, ink, "Contact sheet")
	what := fmt.Sprintf("%d records", all)
	if all == 1 {
		what = "1 record"
	}
	if len(found) > 0 {
		what += ", " + found[0].Docket.Centre
	}
	c.text(margin, 94, regular, 19, muted, what+". People appear under pseudonyms.")
	if pages > 1 {
		c.right(pageWidth-margin, 62, bold, 22, muted, fmt.Sprintf("page %d of %d", page, pages))
	}
}

// The columns of a card, in px from its left inner edge.
const (
	faceWidth   = 300
	rulesAt     = faceWidth + 28
	rulesWidth  = 306
	fingersAt   = rulesAt + rulesWidth + 32
	fingerWidth = 462
	ledgerAt    = fingersAt + fingerWidth + 34
)

// card draws one record.
func (c *canvas) card(y float64, f *opened) {
	c.box(margin, y, pageWidth-2*margin, cardHeight, 14, white, line)
	x := float64(margin + inside)
	c.title(x, y, f)
	top := y + 84
	c.faces(x, top, f)
	c.rules(x+rulesAt, top, f.Manifest)
	c.fingers(x+fingersAt, top, f)
	c.signature(x+fingersAt, top+418, f)
	c.label(x+ledgerAt, top, "Ten-finger ledger")
	c.hand(x+ledgerAt+10, top+22, f.Manifest.Ledger, false)
	c.hand(x+ledgerAt+262, top+22, f.Manifest.Ledger, true)
	c.ledger(x+ledgerAt, top+290, pageWidth-2*margin-2*inside-ledgerAt+14, f.Manifest.Ledger)
	c.chain(x, y+cardHeight-122, f)
}

// title says who, where and under which rules.
func (c *canvas) title(x, y float64, f *opened) {
	end := c.text(x, y+48, bold, 27, ink, "Person ")
	end = c.text(end, y+48, mono, 27, ink, f.Pseudonym[:4]+" "+f.Pseudonym[4:])
	m := f.Manifest
	c.text(end+28, y+47, regular, 18, muted, c.fit(regular, 18, 760, fmt.Sprintf("%s, %s. %s, version %s.", m.Service, m.Station, m.Policy.ID, m.Policy.Version)))
	right := pageWidth - margin - float64(inside)
	if f.unchecked {
		right = c.badge(right, y+24, "verified but for the receipt", amber)
	} else {
		right = c.badge(right, y+24, "verified", green)
	}
	if m.Simulated {
		c.badge(right-12, y+24, "SIMULATED DEVICES", amber)
	}
}

// badge draws a word in a box that ends at right, and returns where the box begins.
func (c *canvas) badge(right, y float64, word string, ground hue) float64 {
	w := c.width(bold, 16, word) + 28
	c.box(right-w, y, w, 32, 8, ground, nil)
	c.text(right-w+14, y+22, bold, 16, white, word)
	return right - w
}

func (c *canvas) label(x, y float64, s string) { c.text(x, y+4, bold, 15, muted, strings.ToUpper(s)) }

// faces draws the photograph with its quality.
func (c *canvas) faces(x, y float64, f *opened) {
	c.label(x, y, "Face")
	img, what := decoded(f, "face.jpg")
	if !has(f, "face.jpg") {
		c.pictureOr(nil, absent(f.Manifest, biometric.Face), x, y+18, faceWidth, 400)
		return
	}
	c.pictureOr(img, what, x, y+18, faceWidth, 400)
	c.text(x, y+438, regular, 15, muted, c.fit(regular, 15, faceWidth, what))
	if q := faceQuality(f.Manifest); q != nil {
		c.quality(x, y+448, faceWidth, *q)
		c.text(x, y+480, regular, 14, muted, c.fit(regular, 14, faceWidth, fmt.Sprintf("quality by %s %s", q.Algorithm, q.Version)))
	}
}

// faceQuality is what was found of the photograph that was kept; nil where there is none.
func faceQuality(m record.Manifest) *biometric.Quality {
	for _, o := range m.Outcomes {
		if o.Modality == biometric.Face && len(o.Findings) > 0 {
			return &o.Findings[0].Quality
		}
	}
	return nil
}

// prints finds the prints of a record by their positions.
func prints(f *opened) map[int]record.Part {
	found := map[int]record.Part{}
	for _, p := range f.record.Parts {
		var n int
		if _, err := fmt.Sscanf(p.Name, "fingers/%02d", &n); err == nil { // the reader has checked the name
			found[n] = p
		}
	}
	return found
}

// fingers draws the prints, as large as their number allows: a few beside each other, more of them hand by hand, with the places of
// those that are not there.
func (c *canvas) fingers(x, y float64, f *opened) {
	found := prints(f)
	c.label(x, y, fmt.Sprintf("Fingers captured: %d", len(found)))
	if len(found) == 0 {
		c.pictureOr(nil, "none", x, y+18, fingerWidth, 316)
		return
	}
	shown, columns, rows := slices.Sorted(maps.Keys(found)), len(found), 1
	if len(found) > 4 {
		shown, columns, rows = []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 5, 2
	}
	w := min((fingerWidth-float64(columns-1)*12)/float64(columns), 225)
	h := min(360/float64(rows)-44, w*1.41)
	for i, n := range shown {
		px, py := x+float64(i%columns)*(w+12), y+18+float64(i/columns)*(h+46)
		if p, ok := found[n]; ok {
			c.print(f, n, p, px, py, w, h)
		} else {
			c.pictureOr(nil, lookOf(f.Manifest.Ledger[n-1].Reason).name, px, py, w, h)
			c.fingerName(n, px, py+h, w)
		}
	}
	note := printsBy(f.Manifest)
	if w >= roomy {
		note += "Rings are ridge endings, dots bifurcations."
	}
	c.text(x, y+28+float64(rows)*(h+46), regular, 13, muted, c.fit(regular, 13, fingerWidth, note))
}

// printsBy names who measured the prints.
func printsBy(m record.Manifest) string {
	for _, e := range m.Ledger {
		if e.Quality != nil {
			return fmt.Sprintf("Quality by %s %s. ", e.Quality.Algorithm, e.Quality.Version)
		}
	}
	return ""
}

// roomy is how wide the frame of a print must be, in px, for its minutiae to be told apart.
const roomy = 140

// print draws one print with its minutiae where there is room, its name and its quality.
func (c *canvas) print(f *opened, n int, p record.Part, x, y, w, h float64) {
	img, what := decoded(f, p.Name)
	at := c.pictureOr(img, what, x, y, w, h)
	if grey, ok := img.(*image.Gray); ok && w >= roomy {
		c.minutiae(grey, at)
	}
	c.fingerName(n, x, y+h, w)
	if q := f.Manifest.Ledger[n-1].Quality; q != nil {
		c.quality(x, y+h+25, w, *q)
	}
}

// fingerName writes which finger it is; hands are shortened where the longest of all names would not fit.
func (c *canvas) fingerName(n int, x, y, w float64) {
	hand, finger, _ := strings.Cut(biometric.FingerPosition(n).String(), "-")
	if c.width(bold, 14, "10  right middle") > w {
		hand = hand[:1] + "."
	}
	c.text(x, y+18, bold, 14, ink, c.fit(bold, 14, w, fmt.Sprintf("%d  %s %s", n, hand, finger)))
}

// quality draws a score as a bar with its number.
func (c *canvas) quality(x, y, w float64, q biometric.Quality) {
	number := fmt.Sprint(q.Score)
	bar := w - c.width(bold, 13, number) - 8
	c.box(x, y+1, bar, 8, 4, line, nil)
	c.box(x, y+1, max(8, bar*float64(min(max(q.Score, 0), 100))/100), 8, 4, green, nil)
	c.right(x+w, y+10, bold, 13, ink, number)
}

// pictureOr draws an image, or a frame that says why there is none, and returns where the image came to lie.
func (c *canvas) pictureOr(img image.Image, what string, x, y, w, h float64) placed {
	if img != nil {
		return c.picture(img, x, y, w, h)
	}
	c.box(x, y, w, h, 6, faint, line)
	if c.width(regular, 16, what) <= w-12 {
		c.centred(x+w/2, y+h/2+5, regular, 16, muted, what)
		return placed{}
	}
	for i, word := range strings.Fields(what) { // in a narrow frame each word has a line
		c.centred(x+w/2, y+h/2+5+float64(i)*18, regular, 13, muted, c.fit(regular, 13, w-12, word))
	}
	return placed{}
}

func has(f *opened, name string) bool {
	return slices.ContainsFunc(f.record.Parts, func(p record.Part) bool { return p.Name == name })
}

// maxSide bounds the images that are drawn, in px.
const maxSide = 6000

// decoded reads the image of a part, and describes it.
func decoded(f *opened, name string) (image.Image, string) {
	for _, p := range f.record.Parts {
		if p.Name != name {
			continue
		}
		width, height, format, err := size(p)
		if err != nil || width > maxSide || height > maxSide {
			return nil, "a " + p.MediaType + " that is not drawn here"
		}
		what := fmt.Sprintf("%d × %d px, %s, %d kB", width, height, strings.ToUpper(format), len(p.Data)>>10)
		img, err := decode(p)
		if err != nil {
			return nil, "an image that can't be read"
		}
		return img, what
	}
	return nil, "not captured"
}

// size tells what an image is, without decoding it.
func size(p record.Part) (width, height int, format string, err error) {
	if p.MediaType == wsq.MediaType {
		head, err := wsq.DecodeConfig(p.Data)
		return head.Width, head.Height, "wsq", err
	}
	conf, format, err := image.DecodeConfig(bytes.NewReader(p.Data))
	return conf.Width, conf.Height, format, err
}

func decode(p record.Part) (image.Image, error) {
	switch p.MediaType {
	case "image/jpeg":
		return jpeg.Decode(bytes.NewReader(p.Data))
	case wsq.MediaType:
		img, err := wsq.Decode(p.Data)
		if err != nil {
			return nil, err // not a nil *image.Gray in an interface
		}
		return img.Gray, nil
	}
	return png.Decode(bytes.NewReader(p.Data))
}

// step is one box of the chain.
type step struct{ name, id, detail string }

// chain draws ticket, session, record and receipt, with times.
func (c *canvas) chain(x, y float64, f *opened) {
	d := f.Docket
	steps := []step{
		{"Ticket", d.Ticket, "service " + d.Service},
		{"Session", d.Session, fmt.Sprintf("attempt %d, record made %s", d.Attempt, clock(f.Manifest.Created))},
		{"Sealed record", string(d.Record[:16]) + "…", fmt.Sprintf("%s, %d kB, %d parts", clock(d.Time), d.Size>>10, len(f.Parts)+2)},
		{"Receipt", "key " + f.Receipt.KeyID, "in custody since " + clock(f.Receipt.Custody)},
	}
	const arrow = 44.0
	w := (float64(pageWidth-2*margin-2*inside) - arrow*3) / 4
	for i, s := range steps {
		sx := x + float64(i)*(w+arrow)
		c.box(sx, y, w, 94, 10, faint, nil)
		c.text(sx+18, y+28, bold, 16, ink, s.name)
		c.text(sx+18, y+54, mono, 17, ink, c.fit(mono, 17, w-36, s.id))
		c.text(sx+18, y+78, regular, 15, muted, c.fit(regular, 15, w-36, s.detail))
		if i > 0 {
			c.arrow(sx-arrow+8, y+47, arrow-16)
		}
	}
}

func (c *canvas) arrow(x, y, w float64) {
	c.stroke(muted, 3, point{x, y}, point{x + w, y})
	c.stroke(muted, 3, point{x + w - 8, y - 7}, point{x + w, y}, point{x + w - 8, y + 7})
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" }

// badCard draws a record that was not opened.
func (c *canvas) badCard(y float64, f *opened) {
	c.box(margin, y, pageWidth-2*margin, badHeight, 14, white, red)
	x := float64(margin + inside)
	right := c.badge(pageWidth-margin-inside, y+24, "QUARANTINED", red)
	c.text(x, y+48, bold, 27, ink, c.fit(bold, 27, right-x-20, "Record "+string(f.ID)))
	c.text(x, y+84, regular, 19, red, c.fit(regular, 19, pageWidth-2*margin-2*inside, "Not opened: "+f.Trouble))
	c.text(x, y+116, regular, 17, muted, "Keep the store as it is and call whoever is responsible for security.")
}

// legend explains the marks.
func (c *canvas) legend(y float64) {
	x := float64(margin)
	for _, r := range []biometric.Reason{biometric.Captured, biometric.OnFile, biometric.NotOwed, biometric.Missing, biometric.Bandaged,
		biometric.Damaged, biometric.PoorQuality, biometric.AgeExempt, biometric.Refused} {
		s := lookOf(r)
		if r == biometric.NotOwed {
			c.box(x-1, y-1, 26, 26, 13, line, nil)
		}
		c.box(x, y, 24, 24, 12, s.fill, nil)
		c.mark(point{x + 12, y + 12}, s, 13)
		x = c.text(x+32, y+18, regular, 16, muted, s.name) + 26
	}
	c.right(pageWidth-margin, y+18, regular, 16, muted, "“verified”: seal, signatures, digests, docket and receipt")
}
