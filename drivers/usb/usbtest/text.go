package usbtest

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"loket/drivers/usb"
)

// # The text of a recording
//
// A recording is UTF-8 text, one thing a line; blank lines and lines that begin with # say nothing. The first line that says
// something is
//
//	loket-usb 1
//
// and then comes what the device says of itself, in this order, lines without a value left out:
//
//	device 1209:5a60 release 0100 speed high
//	manufacturer "Loket"
//	product "Echo"
//	serial "E1"
//	descriptors 12010002…          the device descriptor and the first configuration
//
// After it each transfer has one line. Lines stand in the order in which the transfers ended; each begins with the number
// of the transfer in the order in which they began. Where later ones had begun by then, <N follows with the last of them.
//
//	1 control c0 04 0007 0000 1: 01          request type, request, value, index, length: payload
//	2 out 02 8: 8038010008000000             endpoint, length: payload
//	4 in 83 540: 540 sha256:9f86…            a payload by its length and digest
//	3<5 in 81 64: 56aa 00*62                 bytes and then zeros
//	5 in 83 64: 24 hidden                    a payload of which nothing but the length was kept
//	6 out 02 31: 80380100 00*27 took 16      the device took less
//	7 in 81 64: - stall                      no payload, and how it failed
//	8 clear-halt 81:
//	9 reset:
//
// Numbers after the kind are hexadecimal but for lengths and counts. What can stand at the end is stall, gone, overflow (with
// the bytes that fitted), cancelled (the driver gave up waiting), closed and failed.

const (
	textHead      = "loket-usb 1"
	maxPayload    = 16 << 20  // bytes of one transfer
	maxRecording  = 256 << 20 // bytes of all payloads of one recording
	maxTransfers  = 1 << 20
	maxLine       = 2*maxPayload + 4096 // characters
	maxName       = 512                 // bytes of a string of the device
	maxDescriptor = 64 << 10            // bytes
)

// TransferKind is what a line of a recording is about.
type TransferKind string

// The kinds of line.
const (
	ControlTransfer TransferKind = "control"
	OutTransfer     TransferKind = "out"
	InTransfer      TransferKind = "in"
	HaltCleared     TransferKind = "clear-halt"
	DeviceReset     TransferKind = "reset"
)

// Outcome is how a transfer failed; empty where it didn't.
type Outcome string

// The outcomes. All but the last three are the errors of package usb of the same name.
const (
	Good         Outcome = ""
	WasStall     Outcome = "stall"
	WasGone      Outcome = "gone"
	WasOverflow  Outcome = "overflow"
	WasClosed    Outcome = "closed"
	WasCancelled Outcome = "cancelled" // its context ended
	WasFailed    Outcome = "failed"    // in another way
)

// outcomes maps outcomes to errors, in the order in which they are looked for.
var outcomes = []struct {
	outcome Outcome
	err     error
}{
	{WasStall, usb.ErrStall}, {WasGone, usb.ErrGone}, {WasOverflow, usb.ErrOverflow}, {WasClosed, usb.ErrClosed},
	{WasCancelled, context.Canceled}, {WasCancelled, context.DeadlineExceeded},
}

// Transfer is one transfer of a recording.
type Transfer struct {
	Line     int // of the file that it was read from
	Kind     TransferKind
	Endpoint uint8     // but for control transfers
	Setup    usb.Setup // of control transfers
	Length   int       // bytes of the driver's buffer
	Payload  Payload   // what was sent, or what came
	Count    int       // bytes that moved
	Outcome  Outcome
	Ended    int // how many transfers had begun when it ended
	leaf     bool
}

// in reports whether the payload runs from device to host.
func (t Transfer) in() bool {
	return t.Kind == InTransfer || t.Kind == ControlTransfer && t.Setup.In()
}

// Recording is the traffic with one device. Transfers stand in the order in which they began.
type Recording struct {
	Info        usb.Info
	Descriptors []byte
	Transfers   []Transfer
	// Merged says that the traffic of several runs was laid over each other, so that no run uses all of it.
	Merged bool
}

// Payload is what a transfer carried, or what is known of it.
type Payload struct {
	Size   int
	Data   []byte // in clear; nil where it is hidden
	Digest string // SHA-256 in lower-case hexadecimal; empty where Data is there or nothing is known
}

// clear makes a payload of bytes.
func inClear(b []byte) Payload { return Payload{Size: len(b), Data: bytes.Clone(b)} }

// smallest is the size below which a digest would tell what the bytes were.
const smallest = 32

// hide makes a payload that tells of the bytes no more than their length and digest.
func hide(b []byte) Payload {
	if len(b) < smallest {
		return Payload{Size: len(b)}
	}
	sum := sha256.Sum256(b)
	return Payload{Size: len(b), Digest: hex.EncodeToString(sum[:])}
}

// clear reports whether the payload is there.
func (p Payload) clear() bool { return p.Data != nil || p.Size == 0 }

// fits reports whether b may be what the payload was.
func (p Payload) fits(b []byte) bool {
	switch {
	case p.Size != len(b):
		return false
	case p.clear():
		return bytes.Equal(p.Data, b)
	case p.Digest != "":
		return hide(b).Digest == p.Digest
	}
	return true
}

func (p Payload) String() string {
	switch {
	case p.Size == 0:
		return "-"
	case p.Digest != "":
		return fmt.Sprintf("%d sha256:%s", p.Size, p.Digest)
	case p.Data == nil:
		return fmt.Sprintf("%d hidden", p.Size)
	}
	head := bytes.TrimRight(p.Data, "\x00")
	zeros := len(p.Data) - len(head)
	switch {
	case zeros < 4:
		return hex.EncodeToString(p.Data)
	case len(head) == 0:
		return fmt.Sprintf("00*%d", zeros)
	}
	return fmt.Sprintf("%s 00*%d", hex.EncodeToString(head), zeros)
}

// WriteTo writes the recording as text. A merged one has no such form.
func (r *Recording) WriteTo(w io.Writer) (int64, error) {
	if r.Merged {
		return 0, errors.New("writing the recording: the traffic of several runs was merged in it")
	}
	b := bufio.NewWriter(w)
	n := 0
	write := func(s string) {
		m, _ := b.WriteString(s) // the error stays in b
		n += m
	}
	write(headText(r.Info, r.Descriptors))
	for _, i := range r.order() {
		write(r.Transfers[i].text(i + 1))
	}
	if err := b.Flush(); err != nil {
		return int64(n), fmt.Errorf("writing the recording: %w", err)
	}
	return int64(n), nil
}

// order lists the transfers as they ended: by how many had begun, which is all that the recording knows.
func (r *Recording) order() []int {
	list := make([]int, 0, len(r.Transfers))
	waiting := []int{}
	for begun := 1; begun <= len(r.Transfers); begun++ {
		waiting = append(waiting, begun-1)
		still := waiting[:0]
		for _, i := range waiting {
			if max(r.Transfers[i].Ended, i+1) <= begun || begun == len(r.Transfers) {
				list = append(list, i)
			} else {
				still = append(still, i)
			}
		}
		waiting = still
	}
	return list
}

func headText(i usb.Info, descriptors []byte) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\ndevice %04x:%04x release %04x speed %s\n", textHead, i.Vendor, i.Product, i.Release, cmp.Or(i.Speed, usb.HighSpeed))
	for _, s := range []struct{ key, value string }{{"manufacturer", i.Manufacturer}, {"product", i.ProductName}, {"serial", i.Serial}} {
		if s.value != "" {
			fmt.Fprintf(&b, "%s %s\n", s.key, strconv.Quote(s.value))
		}
	}
	fmt.Fprintf(&b, "descriptors %x\n", descriptors)
	return b.String()
}

// text gives the line of a transfer, with its end.
func (t Transfer) text(number int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d", number)
	if t.Ended > number {
		fmt.Fprintf(&b, "<%d", t.Ended)
	}
	fmt.Fprintf(&b, " %s", t.Kind)
	switch t.Kind {
	case ControlTransfer:
		fmt.Fprintf(&b, " %02x %02x %04x %04x %d", t.Setup.RequestType, t.Setup.Request, t.Setup.Value, t.Setup.Index, t.Setup.Length)
	case InTransfer, OutTransfer:
		fmt.Fprintf(&b, " %02x %d", t.Endpoint, t.Length)
	case HaltCleared:
		fmt.Fprintf(&b, " %02x", t.Endpoint)
	}
	b.WriteString(":")
	if t.Kind != HaltCleared && t.Kind != DeviceReset {
		b.WriteString(" " + t.Payload.String())
	}
	if !t.in() && t.Count != t.Payload.Size {
		fmt.Fprintf(&b, " took %d", t.Count)
	}
	if t.Outcome != Good {
		b.WriteString(" " + string(t.Outcome))
	}
	return b.String() + "\n"
}

// ReadRecording reads the text of a recording. Errors name the line.
func ReadRecording(r io.Reader) (*Recording, error) {
	p := &parser{in: bufio.NewReader(r), rec: new(Recording), ends: map[int]Transfer{}}
	if err := p.read(); err != nil {
		return nil, fmt.Errorf("reading the recording, line %d: %w", p.line, err)
	}
	return p.rec, nil
}

// parser reads one recording.
type parser struct {
	in      *bufio.Reader
	rec     *Recording
	line    int
	begun   int // the highest number so far
	payload int // bytes of all payloads
	ends    map[int]Transfer
}

func (p *parser) read() error {
	text, err := p.next()
	switch {
	case err == io.EOF:
		return errors.New("the file is empty")
	case err != nil:
		return err
	case text != textHead:
		return fmt.Errorf("a recording begins with %q", textHead)
	}
	for {
		text, err := p.next()
		if err == io.EOF {
			return p.finish()
		}
		if err == nil {
			err = p.take(text)
		}
		if err != nil {
			return err
		}
	}
}

// next gives the next line that says something.
func (p *parser) next() (string, error) {
	for {
		p.line++
		text, err := p.whole()
		if err != nil && (err != io.EOF || text == "") {
			return "", err
		}
		if text = strings.TrimSpace(text); text != "" && text[0] != '#' {
			return text, nil
		}
	}
}

// whole reads one line of bounded length.
func (p *parser) whole() (string, error) {
	var b []byte
	for {
		part, err := p.in.ReadSlice('\n')
		if len(b)+len(part) > maxLine {
			return "", fmt.Errorf("longer than %d characters", maxLine)
		}
		b = append(b, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return string(b), err
		}
	}
}

// take reads one line of head or traffic.
func (p *parser) take(text string) error {
	key, rest, _ := strings.Cut(text, " ")
	i := &p.rec.Info
	switch key {
	case "device":
		return p.device(rest)
	case "manufacturer":
		return quoted(rest, &i.Manufacturer)
	case "product":
		return quoted(rest, &i.ProductName)
	case "serial":
		return quoted(rest, &i.Serial)
	case "descriptors":
		b, err := hex.DecodeString(rest)
		if err != nil || len(b) > maxDescriptor {
			return errors.New("the descriptors are no bytes, or too many")
		}
		return p.rec.describe(b)
	}
	if len(p.rec.Descriptors) == 0 {
		return fmt.Errorf("%q stands before the descriptors", key)
	}
	return p.transfer(text)
}

func (p *parser) device(rest string) error {
	i := &p.rec.Info
	var speed string
	if n, err := fmt.Sscanf(rest, "%04x:%04x release %04x speed %s", &i.Vendor, &i.Product, &i.Release, &speed); n != 4 || err != nil {
		return errors.New("this is not device VVVV:PPPP release RRRR speed SPEED")
	}
	switch i.Speed = usb.Speed(speed); i.Speed {
	case usb.LowSpeed, usb.FullSpeed, usb.HighSpeed, usb.SuperSpeed:
		return nil
	}
	return fmt.Errorf("%q is no speed", speed)
}

func quoted(s string, into *string) error {
	text, err := strconv.Unquote(s)
	if err != nil || len(text) > maxName {
		return errors.New("a quoted text of 512 bytes at the most belongs here")
	}
	*into = text
	return nil
}

// describe takes the descriptors, and what they say where the head doesn't.
func (r *Recording) describe(b []byte) error {
	l, err := usb.ParseDescriptors(b)
	if err != nil {
		return err
	}
	r.Descriptors = b
	told := r.Info
	r.Info = l.Device
	r.Info.Speed, r.Info.Port, r.Info.SysfsPath = cmp.Or(told.Speed, usb.HighSpeed), told.Port, told.SysfsPath
	r.Info.Manufacturer, r.Info.ProductName, r.Info.Serial = told.Manufacturer, told.ProductName, told.Serial
	return nil
}

// transfer reads the line of a transfer.
func (p *parser) transfer(text string) error {
	head, tail, ok := strings.Cut(text, ":")
	f := strings.Fields(head)
	if !ok || len(f) < 2 {
		return errors.New("this is no line of a recording")
	}
	number, ended, err := numbers(f[0])
	if err != nil {
		return err
	}
	t := Transfer{Line: p.line, Kind: TransferKind(f[1]), Ended: ended}
	if err := t.parseHead(f[2:]); err != nil {
		return err
	}
	if err := t.parseTail(strings.Fields(tail)); err != nil {
		return err
	}
	switch _, twice := p.ends[number]; {
	case twice:
		return fmt.Errorf("transfer %d is here twice", number)
	case len(p.ends) >= maxTransfers || number > maxTransfers || ended > maxTransfers:
		return fmt.Errorf("more than %d transfers", maxTransfers)
	}
	p.ends[number] = t
	if p.payload += t.Payload.Size; p.payload > maxRecording {
		return fmt.Errorf("more than %d bytes in all", maxRecording)
	}
	p.begun = max(p.begun, number, ended)
	return nil
}

// numbers reads "3" or "3<5".
func numbers(s string) (number, ended int, err error) {
	first, last, several := strings.Cut(s, "<")
	number, err = strconv.Atoi(first)
	ended = number
	if err == nil && several {
		ended, err = strconv.Atoi(last)
	}
	if err != nil || number < 1 || ended < number || several && ended == number {
		return 0, 0, fmt.Errorf("%q is no number of a transfer", s)
	}
	return number, ended, nil
}

func (t *Transfer) parseHead(f []string) error {
	want := map[TransferKind]int{ControlTransfer: 5, InTransfer: 2, OutTransfer: 2, HaltCleared: 1, DeviceReset: 0}
	n, ok := want[t.Kind]
	if !ok || len(f) != n {
		return fmt.Errorf("%q has no %d fields", t.Kind, len(f))
	}
	v := make([]int, n)
	for i := range f {
		var err error
		if v[i], err = field(f[i], n != 1 && i == n-1); err != nil {
			return err
		}
	}
	switch t.Kind {
	case ControlTransfer:
		if v[0] > math.MaxUint8 || v[1] > math.MaxUint8 || v[2] > math.MaxUint16 || v[3] > math.MaxUint16 || v[4] > math.MaxUint16 {
			return errors.New("a setup stage has no such field")
		}
		t.Setup = usb.Setup{RequestType: uint8(v[0]), Request: uint8(v[1]), Value: uint16(v[2]), Index: uint16(v[3]), Length: uint16(v[4])}
		t.Length = v[4]
		return nil
	case DeviceReset:
		return nil
	}
	if v[0] > math.MaxUint8 || v[0]&0x70 != 0 || t.Kind == InTransfer && v[0] < 0x80 || t.Kind == OutTransfer && v[0] >= 0x80 {
		return fmt.Errorf("%02x is no endpoint for it", v[0])
	}
	t.Endpoint = uint8(v[0])
	if n == 2 {
		t.Length = v[1]
	}
	return nil
}

// field reads a hexadecimal number, or a length in decimal.
func field(s string, length bool) (int, error) {
	base := 16
	if length {
		base = 10
	}
	n, err := strconv.ParseUint(s, base, 31)
	if err != nil || n > maxPayload {
		return 0, fmt.Errorf("%q is no number that belongs here", s)
	}
	return int(n), nil
}

// parseTail reads payload, count and outcome.
func (t *Transfer) parseTail(f []string) error {
	if t.Kind == HaltCleared || t.Kind == DeviceReset {
		return t.parseOutcome(f)
	}
	f, err := t.parsePayload(f)
	if err != nil {
		return err
	}
	t.Count = t.Payload.Size
	if len(f) >= 2 && f[0] == "took" {
		n, err := field(f[1], true)
		if err != nil || t.in() || n >= t.Count {
			return errors.New("a transfer that goes out can take less than it was given, and no other")
		}
		t.Count, f = n, f[2:]
	}
	switch {
	case t.in() && t.Payload.Size > t.Length, !t.in() && t.Payload.Size != t.Length:
		return fmt.Errorf("%d bytes do not fit a transfer of %d", t.Payload.Size, t.Length)
	}
	return t.parseOutcome(f)
}

func (t *Transfer) parseOutcome(f []string) error {
	if len(f) == 0 {
		return nil
	}
	t.Outcome = Outcome(f[0])
	known := t.Outcome == WasFailed
	for _, o := range outcomes {
		known = known || o.outcome == t.Outcome
	}
	if !known || len(f) > 1 {
		return fmt.Errorf("%q is no outcome", strings.Join(f, " "))
	}
	return nil
}

// parsePayload reads a payload and returns the fields after it.
func (t *Transfer) parsePayload(f []string) ([]string, error) {
	if len(f) == 0 {
		return nil, errors.New("no payload (hint: - is an empty one)")
	}
	if f[0] == "-" {
		return f[1:], nil
	}
	if len(f) >= 2 && (f[1] == "hidden" || strings.HasPrefix(f[1], "sha256:")) {
		return f[2:], t.Payload.parseHidden(f[0], f[1])
	}
	rest := f
	var b []byte
	if !strings.HasPrefix(rest[0], "00*") {
		var err error
		if b, err = hex.DecodeString(rest[0]); err != nil || len(b) > maxPayload {
			return nil, fmt.Errorf("%.40q is no payload", rest[0])
		}
		rest = rest[1:]
	}
	if len(rest) > 0 && strings.HasPrefix(rest[0], "00*") {
		n, err := field(rest[0][3:], true)
		if err != nil || n < 1 || len(b)+n > t.Length {
			return nil, fmt.Errorf("%q is no run of zeros that belongs here", rest[0])
		}
		b = append(b, make([]byte, n)...)
		rest = rest[1:]
	}
	t.Payload = Payload{Size: len(b), Data: b}
	return rest, nil
}

func (p *Payload) parseHidden(size, how string) error {
	n, err := field(size, true)
	if err != nil || n < 1 {
		return fmt.Errorf("%q is no size of a payload", size)
	}
	p.Size = n
	if digest, ok := strings.CutPrefix(how, "sha256:"); ok {
		if b, err := hex.DecodeString(digest); err != nil || len(b) != sha256.Size || strings.ToLower(digest) != digest {
			return fmt.Errorf("%.80q is no digest", how)
		}
		p.Digest = digest
	}
	return nil
}

// finish brings the transfers into the order in which they began.
func (p *parser) finish() error {
	p.line--
	switch {
	case len(p.rec.Descriptors) == 0:
		return errors.New("the recording has no descriptors")
	case p.begun != len(p.ends):
		return fmt.Errorf("%d transfers began and %d ended", p.begun, len(p.ends))
	}
	p.rec.Transfers = make([]Transfer, p.begun)
	for number, t := range p.ends {
		p.rec.Transfers[number-1] = t
	}
	return nil
}
