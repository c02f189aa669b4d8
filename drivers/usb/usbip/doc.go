// Package usbip carries USB over TCP: a [Server] that makes gadgets look like devices behind a USB/IP host, and a [Bus] that
// uses such devices without a kernel module and without root.
//
// The one idea: the wire is pure encoding and decoding (wire.go), the two ends are thin loops around it. The server also
// serves a Linux kernel (vhci_hcd) and the usbip tool. The protocol is the one of
// https://docs.kernel.org/usb/usbip_protocol.html, version 1.1.1. It has no authentication, so the server listens on loopback
// addresses only. Isochronous transfers are understood on the wire and refused.
package usbip
