package usb

import (
	"fmt"
	"slices"
	"sync"
)

// Claims keeps which interfaces of an open device are claimed, and so which endpoints may be used. Buses that have no
// operating system below them share it. Its methods may be called from several goroutines at once.
type Claims struct {
	Layout Layout

	mu   sync.Mutex
	alts map[uint8]uint8 // interface number → alternate setting
}

// Claim notes the claim of an interface in an alternate setting; claiming it again changes the setting. It reports whether
// the device must be told by SET_INTERFACE: only where there is a choice, for some devices stall it where there is none.
// Error: [ErrNotFound].
func (c *Claims) Claim(iface, alt uint8) (tell bool, err error) {
	if _, ok := c.Layout.Setting(iface, alt); !ok {
		return false, fmt.Errorf("claiming interface %d, alternate setting %d: %w", iface, alt, ErrNotFound)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.alts == nil {
		c.alts = map[uint8]uint8{}
	}
	c.alts[iface] = alt
	return c.Layout.Alternates(iface) > 1, nil
}

// Claimed returns the claimed interfaces and their alternate settings.
func (c *Claims) Claimed() map[uint8]uint8 {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := make(map[uint8]uint8, len(c.alts))
	for k, v := range c.alts {
		m[k] = v
	}
	return m
}

// Endpoint returns a bulk or interrupt endpoint of a claimed interface. Error: [ErrNotFound].
func (c *Claims) Endpoint(address uint8) (Endpoint, error) {
	return c.endpoint(address, BulkType, InterruptType)
}

// Isochronous returns an isochronous endpoint of a claimed interface. Error: [ErrNotFound].
func (c *Claims) Isochronous(address uint8) (Endpoint, error) {
	return c.endpoint(address, IsochronousType)
}

func (c *Claims) endpoint(address uint8, types ...TransferType) (Endpoint, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Layout.endpoint(address, types, func(s Setting) bool {
		alt, ok := c.alts[s.Number]
		return ok && alt == s.Alternate
	})
}

func (l Layout) endpoint(address uint8, types []TransferType, active func(Setting) bool) (Endpoint, error) {
	for _, s := range l.Settings {
		if !active(s) {
			continue
		}
		for _, e := range s.Endpoints {
			if e.Address == address && slices.Contains(types, e.Type) {
				return e, nil
			}
		}
	}
	return Endpoint{}, fmt.Errorf("using endpoint %02x, which no active interface has for %s transfers: %w", address, types, ErrNotFound)
}
