package record

import (
	"bytes"
	"testing"
)

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"schema":"loket/manifest/1"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := DecodeManifest(data)
		if err != nil {
			return
		}
		again, err := m.Encode()
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("what was read is not what is written: %v", err)
		}
	})
}

func FuzzTar(f *testing.F) {
	var b bytes.Buffer
	w := tarWriter{w: &b}
	w.entry(manifestName, []byte(`{}`))
	w.entry(signatureName, []byte("sig"))
	w.end()
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ReadTar(bytes.NewReader(data))
		if err != nil {
			return
		}
		var size int
		for _, p := range r.Parts {
			size += len(p.Data)
		}
		if size > len(data) {
			t.Errorf("%d bytes came out of %d", size, len(data))
		}
	})
}

func FuzzDocket(f *testing.F) {
	f.Add([]byte(`{"schema":"loket/docket/1","record":""}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := SignedDocket{JSON: data}.Docket()
		if err != nil {
			return
		}
		if again, err := encode(d); err != nil || !bytes.Equal(again, data) {
			t.Errorf("what was read is not what is written: %v", err)
		}
	})
}

func FuzzReceipt(f *testing.F) {
	f.Add([]byte(`{"schema":"loket/receipt/1","key_id":""}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := SignedReceipt{JSON: data}.Receipt()
		if err != nil {
			return
		}
		if again, err := encode(r); err != nil || !bytes.Equal(again, data) {
			t.Errorf("what was read is not what is written: %v", err)
		}
	})
}
