package usb

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
)

// Standard requests (USB 2.0, table 9-4).
const (
	RequestGetStatus        uint8 = 0
	RequestClearFeature     uint8 = 1
	RequestSetFeature       uint8 = 3
	RequestGetDescriptor    uint8 = 6
	RequestGetConfiguration uint8 = 8
	RequestSetConfiguration uint8 = 9
	RequestGetInterface     uint8 = 10
	RequestSetInterface     uint8 = 11
)

// SetConfiguration is the request that chooses a configuration by its value.
func SetConfiguration(value uint8) Setup {
	return Setup{Request: RequestSetConfiguration, Value: uint16(value)}
}

// SetInterface is the request that chooses an alternate setting of an interface.
func SetInterface(iface, alt uint8) Setup {
	return Setup{RequestType: 0x01, Request: RequestSetInterface, Value: uint16(alt), Index: uint16(iface)}
}

// ClearHalt is the request that ends the halt of an endpoint.
func ClearHalt(endpoint uint8) Setup {
	return Setup{RequestType: 0x02, Request: RequestClearFeature, Index: uint16(endpoint)}
}

// languageUS is the one language of the strings that a [Port] gives.
const languageUS = 0x0409

// BusResetter is the power of a [Gadget] that has state to drop when a host attaches it or resets the bus. It is found by
// type assertion. BusReset must not block.
type BusResetter interface{ BusReset() }

// Port plugs a [Gadget] into a simulated bus: it answers the standard requests from Info and Descriptors, keeps which
// endpoints are halted, and holds what the firmware returns to the rules of the wire. Its methods may be called from
// several goroutines at once; transfers on one endpoint are the caller's to put in order.
type Port struct {
	gadget Gadget
	layout Layout
	info   Info
	desc   []byte

	mu         sync.Mutex
	configured uint8
	alts       map[uint8]uint8
	halted     map[uint8]bool
}

// NewPort reads the gadget's descriptors. It fails where they are malformed.
func NewPort(g Gadget) (*Port, error) {
	p := &Port{gadget: g, desc: g.Descriptors()}
	var err error
	if p.layout, err = ParseDescriptors(p.desc); err != nil {
		return nil, err
	}
	told := g.Info()
	p.info = p.layout.Device
	p.info.Speed = told.Speed
	if p.layout.Manufacturer != 0 {
		p.info.Manufacturer = told.Manufacturer
	}
	if p.layout.Product != 0 {
		p.info.ProductName = told.ProductName
	}
	if p.layout.Serial != 0 {
		p.info.Serial = told.Serial
	}
	p.forget()
	return p, nil
}

// Info describes the gadget as a host sees it: numbers from the descriptors, strings where the descriptors have an index for
// them. Bus and Port are the bus's to fill in.
func (p *Port) Info() Info { return p.info }

// Layout returns what the descriptors say.
func (p *Port) Layout() Layout { return p.layout }

// Descriptors returns a copy of the gadget's descriptors.
func (p *Port) Descriptors() []byte { return append([]byte(nil), p.desc...) }

// Reset is what a bus reset does: no configuration, first alternate settings, nothing halted; a [BusResetter] is told.
func (p *Port) Reset() {
	p.mu.Lock()
	p.forget()
	p.mu.Unlock()
	if r, ok := p.gadget.(BusResetter); ok {
		r.BusReset()
	}
}

func (p *Port) forget() {
	p.configured = 0
	p.alts = map[uint8]uint8{}
	p.halted = map[uint8]bool{}
}

// Control answers a control transfer, itself where it can. Errors: [ErrStall], [ErrGone], [ErrOverflow], ctx.Err().
func (p *Port) Control(ctx context.Context, s Setup, data []byte) (int, error) {
	if len(data) < int(s.Length) {
		return 0, fmt.Errorf("running a control transfer of %d bytes with a buffer of %d", s.Length, len(data))
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	data = data[:s.Length]
	if s.RequestType&0x60 == 0 {
		if answer, err := p.standard(s); err == nil {
			return copy(data, answer), nil
		} else if !errors.Is(err, errNotOurs) {
			return 0, err
		}
	}
	n, err := p.gadget.Control(ctx, s, data)
	if err != nil {
		return 0, verdict(ctx, err)
	}
	return bounded(n, len(data), s.In())
}

// Transfer moves data over a bulk or interrupt endpoint. An IN buffer that is no whole number of packets is filled as
// hardware would fill it: what the last packet has beyond it is [ErrOverflow]. Other errors: [ErrNotFound], [ErrStall] (the
// endpoint is then halted until it is cleared), [ErrGone], ctx.Err().
func (p *Port) Transfer(ctx context.Context, endpoint uint8, data []byte) (int, error) {
	e, err := p.ready(endpoint)
	if err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	buf := data
	if e.In() && e.MaxPacket > 0 && len(data)%e.MaxPacket != 0 {
		buf = make([]byte, (len(data)/e.MaxPacket+1)*e.MaxPacket)
		defer clear(buf)
	}
	n, err := p.gadget.Transfer(ctx, endpoint, buf)
	if err != nil {
		err = verdict(ctx, err)
		p.haltOn(err, endpoint)
		return 0, err
	}
	if len(buf) != len(data) && n > 0 {
		copy(data, buf[:min(n, len(data))])
	}
	return bounded(n, len(data), e.In())
}

// ready finds an endpoint of the present alternate settings that is not halted.
func (p *Port) ready(endpoint uint8) (Endpoint, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, err := p.endpoint(endpoint)
	if err == nil && p.halted[endpoint] {
		err = ErrStall
	}
	return e, err
}

func (p *Port) endpoint(address uint8) (Endpoint, error) {
	return p.layout.endpoint(address, []TransferType{BulkType, InterruptType}, func(s Setting) bool { return p.alts[s.Number] == s.Alternate })
}

func (p *Port) haltOn(err error, endpoint uint8) {
	if errors.Is(err, ErrStall) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.halted[endpoint] = true
	}
}

// verdict makes of a gadget's error what a host sees of it.
func verdict(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, ErrGone):
		return ErrGone
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, ErrOverflow):
		return ErrOverflow
	case err == ErrStall:
		return err
	default:
		return fmt.Errorf("%w (firmware: %v)", ErrStall, err)
	}
}

// bounded holds the count that a gadget returned to its buffer: more than was asked for is babble.
func bounded(n, size int, in bool) (int, error) {
	switch {
	case n < 0:
		return 0, ErrStall
	case n > size && in:
		return size, ErrOverflow
	default:
		return min(n, size), nil
	}
}

// errNotOurs marks a standard request that only the firmware can answer.
var errNotOurs = errors.New("usb: a request for the firmware")

// standard answers a standard request: the data of an IN transfer, [ErrStall], or errNotOurs.
func (p *Port) standard(s Setup) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	recipient := s.RequestType & 0x1f
	switch {
	case s.Request == RequestGetDescriptor && s.RequestType == 0x80:
		return p.descriptor(s)
	case s.Request == RequestGetConfiguration && s.RequestType == 0x80:
		return []byte{p.configured}, nil
	case s.Request == RequestSetConfiguration && s.RequestType == 0x00:
		return nil, p.configure(s.Value)
	case s.Request == RequestGetInterface && s.RequestType == 0x81:
		if p.layout.Alternates(uint8(s.Index)) == 0 {
			return nil, ErrStall
		}
		return []byte{p.alts[uint8(s.Index)]}, nil
	case s.Request == RequestSetInterface && s.RequestType == 0x01:
		return nil, p.choose(s.Index, s.Value)
	case s.Request == RequestGetStatus && s.In():
		return p.status(recipient, uint8(s.Index))
	case (s.Request == RequestClearFeature || s.Request == RequestSetFeature) && recipient == 2 && s.Value == 0 && !s.In():
		return nil, p.halt(uint8(s.Index), s.Request == RequestSetFeature)
	}
	return nil, errNotOurs
}

func (p *Port) descriptor(s Setup) ([]byte, error) {
	index := uint8(s.Value)
	switch uint8(s.Value >> 8) {
	case DescriptorDevice:
		return p.desc[:18], nil
	case DescriptorConfiguration:
		if index != 0 {
			return nil, ErrStall
		}
		c := p.desc[18:]
		return c[:binary.LittleEndian.Uint16(c[2:])], nil
	case DescriptorQualifier: // USB 2.0, table 9-9; full speed is offered in the same shape
		if p.info.Speed != HighSpeed {
			return nil, ErrStall
		}
		return []byte{10, DescriptorQualifier, p.desc[2], p.desc[3], p.desc[4], p.desc[5], p.desc[6], p.desc[7], p.desc[17], 0}, nil
	case DescriptorString:
		return p.text(index)
	}
	return nil, errNotOurs
}

func (p *Port) text(index uint8) ([]byte, error) {
	switch {
	case index == 0:
		return binary.LittleEndian.AppendUint16([]byte{4, DescriptorString}, languageUS), nil
	case index == p.layout.Manufacturer:
		return EncodeString(p.info.Manufacturer), nil
	case index == p.layout.Product:
		return EncodeString(p.info.ProductName), nil
	case index == p.layout.Serial:
		return EncodeString(p.info.Serial), nil
	}
	return nil, errNotOurs
}

func (p *Port) configure(value uint16) error {
	if value != 0 && value != uint16(p.layout.Configuration) {
		return ErrStall
	}
	p.forget()
	p.configured = uint8(value)
	return nil
}

func (p *Port) choose(iface, alt uint16) error {
	s, ok := p.layout.Setting(uint8(iface), uint8(alt))
	if !ok || iface > 255 || alt > 255 {
		return ErrStall
	}
	p.alts[s.Number] = s.Alternate
	for _, e := range s.Endpoints {
		delete(p.halted, e.Address)
	}
	return nil
}

// status answers GET_STATUS (USB 2.0, clause 9.4.5).
func (p *Port) status(recipient, index uint8) ([]byte, error) {
	var bits byte
	switch recipient {
	case 0:
		if p.layout.SelfPowered {
			bits = 1
		}
	case 1:
		if p.layout.Alternates(index) == 0 {
			return nil, ErrStall
		}
	case 2:
		if _, err := p.endpoint(index); err != nil && index&0x7f != 0 {
			return nil, ErrStall
		}
		if p.halted[index] {
			bits = 1
		}
	default:
		return nil, errNotOurs
	}
	return []byte{bits, 0}, nil
}

func (p *Port) halt(endpoint uint8, on bool) error {
	if _, err := p.endpoint(endpoint); err != nil && endpoint&0x7f != 0 {
		return ErrStall
	}
	if on && endpoint&0x7f != 0 {
		p.halted[endpoint] = true
	} else {
		delete(p.halted, endpoint)
	}
	return nil
}
