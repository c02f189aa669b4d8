//go:build !failpoints

package failpoint

// Hit does nothing in a program built without the failpoints tag.
func Hit(string) {}
