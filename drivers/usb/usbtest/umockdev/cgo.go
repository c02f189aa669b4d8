//go:build cgo

package umockdev

// linked reports whether this program goes through the C library at all.
const linked = true
