//go:build cgo && window

package main

import "errors"

func (r *runCmd) Run(c *cli) error { return errors.New("not yet") }
