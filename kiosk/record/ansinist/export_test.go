package ansinist

// Unchecked writes a file without asking the reader, for tests that need bad ones. Binary records it can't write are left out.
func Unchecked(f File) []byte {
	var out []byte
	for i, r := range f.Records {
		if i == 0 {
			r = f.first()
		}
		if _, ok := header(r.Type); ok {
			out, _ = appendBinary(out, r)
			continue
		}
		out = appendTagged(out, r)
	}
	return out
}
