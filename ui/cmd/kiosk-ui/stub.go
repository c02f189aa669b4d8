//go:build !cgo || !window

package main

import "errors"

var errNoScreen = errors.New("this kiosk-ui was built without a window and can't draw (hint: make screens names the packages that it needs; then make build)")

func (*runCmd) Run(*cli) error     { return errNoScreen }
func (*screensCmd) Run(*cli) error { return errNoScreen }
