//go:build cgo && window

package main

import (
	"fmt"
	"os"

	"loket/ui"
)

// prepare reads theme, words and fonts.
func (c *cli) prepare() (*ui.UI, error) {
	var data []byte
	if c.Theme != "" {
		var err error
		if data, err = os.ReadFile(c.Theme); err != nil {
			return nil, fmt.Errorf("reading the theme: %w", err)
		}
	}
	theme, err := ui.LoadTheme(data)
	if err != nil {
		return nil, err
	}
	words, err := ui.NewWords()
	if err != nil {
		return nil, err
	}
	faces, err := ui.LoadFonts(append(c.Fonts, ui.FontFolders()...)...)
	if err != nil {
		return nil, err
	}
	return ui.New(theme, words, faces), nil
}
