// Package console holds the staff console as files for a browser.
//
// The one idea: what Vite makes of the sources beside this file (`make build`, where Node is) is embedded as it is. A tree that
// was built without Node has a page instead that says so.
package console

import (
	"embed"
	"io/fs"
)

//go:embed dist
var dist embed.FS

// The pages: Index where the console was built, Placeholder always.
const (
	Index       = "index.html"
	Placeholder = "placeholder.html"
)

// Files gives what a browser may ask for. Names under assets/ carry a hash of their content.
func Files() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // "dist" is a valid name
	}
	return files
}

// Page names the page to begin with, and says whether it is the console.
func Page() (name string, built bool) {
	if _, err := fs.Stat(Files(), Index); err != nil {
		return Placeholder, false
	}
	return Index, true
}
