package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"

	"filippo.io/age"

	"loket/firmware-sim/stage"
	"loket/kiosk/biometric/wsq"
	"loket/kiosk/identity"
	"loket/kiosk/record"
	"loket/kiosk/record/ansinist"
	"loket/kiosk/record/iso19794"
	"loket/kiosk/record/iso39794"
)

// form is one way in which a sample can be written down.
type form struct {
	name string
	data []byte
}

// records opens the records that a centre has in custody.
func records(centre *stage.Centre) ([]*record.Record, error) {
	keyFile, err := os.Open(centre.PKI.Path("service.age"))
	if err != nil {
		return nil, err
	}
	defer keyFile.Close()
	ids, err := age.ParseIdentities(keyFile)
	if err != nil {
		return nil, err
	}
	station := stage.StationName
	if centre.Desk {
		station = stage.DeskName // where sessions end
	}
	cert, err := identity.LoadCertificate(centre.PKI.Path(station + ".crt"))
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(centre.Dir, "central", "records", "*.age"))
	if err != nil {
		return nil, err
	}
	var list []*record.Record
	for _, path := range files {
		r, err := openRecord(path, ids, cert.PublicKey.(*ecdsa.PublicKey))
		if err != nil {
			return nil, fmt.Errorf("opening %s: %w", filepath.Base(path), err)
		}
		list = append(list, r)
	}
	return list, nil
}

func openRecord(path string, ids []age.Identity, station *ecdsa.PublicKey) (*record.Record, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return record.Open(f, ids, station)
}

// eachForm calls fn with every form of everything that was presented: what the devices sent, the parts of the records, and of
// every picture in either its pixels in the orders in which programs keep them. A form is valid during the call.
func eachForm(presented [][]byte, opened []*record.Record, fn func(form)) error {
	seen := map[[sha256.Size]byte]bool{}
	for _, data := range presented {
		fn(form{"what a device sent", data})
		for rest := data; ; {
			picture, tail := nextJPEG(rest)
			if picture == nil {
				break
			}
			rest = tail
			if sum := sha256.Sum256(picture); !seen[sum] {
				seen[sum] = true
				if err := pixels("a picture that a device sent", picture, fn); err != nil {
					return err
				}
			}
		}
	}
	for _, r := range opened {
		for _, p := range r.Parts {
			images, err := imagesOf(p)
			if err != nil {
				return err
			}
			for _, image := range images {
				fn(form{p.Name, image})
				if err := pixels(p.Name, image, fn); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// imagesOf gives the images of a part: the part itself, or those inside a file for other systems. What such a file says in words
// is no sample, and much of it is written elsewhere for good reasons: ids, the station, the policy.
func imagesOf(p record.Part) (images [][]byte, err error) {
	switch p.Name {
	case "record.an2":
		f, err := ansinist.Parse(p.Data)
		for _, r := range f.Records {
			if r.Image != nil {
				images = append(images, r.Image)
			}
		}
		return images, err
	case "face.iso19794":
		faces, err := iso19794.ParseFaces(p.Data)
		for _, f := range faces {
			images = append(images, f.Image)
		}
		return images, err
	case "fingers.iso19794":
		r, err := iso19794.ParseFingers(p.Data)
		for _, v := range r.Views {
			images = append(images, v.Image)
		}
		return images, err
	case "face.iso39794":
		r, err := iso39794.ParseFaces(p.Data)
		for _, f := range r.Faces {
			images = append(images, f.Image)
		}
		return images, err
	case "fingers.iso39794":
		r, err := iso39794.ParseFingers(p.Data)
		for _, f := range r.Fingers {
			images = append(images, f.Image)
		}
		return images, err
	}
	return [][]byte{p.Data}, nil
}

// nextJPEG cuts the next JPEG file out of a stream.
func nextJPEG(data []byte) (file, rest []byte) {
	for {
		start := bytes.Index(data, []byte{0xff, 0xd8, 0xff})
		if start < 0 {
			return nil, nil
		}
		data = data[start:]
		if _, err := jpeg.DecodeConfig(bytes.NewReader(data)); err == nil {
			if end := bytes.Index(data, []byte{0xff, 0xd9}); end > 0 {
				return data[:end+2], data[end+2:]
			}
		}
		data = data[3:]
	}
}

// pixels gives the forms of a picture's pixels, row by row.
func pixels(name string, file []byte, fn func(form)) error {
	var img image.Image
	var err error
	switch {
	case bytes.HasPrefix(file, []byte("\x89PNG")):
		img, err = png.Decode(bytes.NewReader(file))
	case bytes.HasPrefix(file, []byte{0xff, 0xd8}):
		img, err = jpeg.Decode(bytes.NewReader(file))
	case wsq.Is(file):
		var finger wsq.Image
		finger, err = wsq.Decode(file)
		img = finger.Gray
	default:
		return nil
	}
	if err != nil {
		return fmt.Errorf("decoding %s: %w", name, err)
	}
	switch img := img.(type) {
	case *image.Gray:
		fn(form{name + ", grey pixels", rows(img.Pix, img.Stride, img.Rect.Dx(), img.Rect.Dy())})
	case *image.YCbCr:
		planes(name, img, fn)
	default:
		return fmt.Errorf("decoding %s: a %T has no list of forms here", name, img)
	}
	colours(name, img, fn)
	return nil
}

// planes gives the planes of a picture, which is how a preview holds it.
func planes(name string, img *image.YCbCr, fn func(form)) {
	size := img.Rect.Size()
	half := img.Rect
	half.Max.X, half.Max.Y = (size.X+1)/2, (size.Y+1)/2
	wide, high := size.X, size.Y
	if img.SubsampleRatio != image.YCbCrSubsampleRatio444 {
		wide = half.Max.X
	}
	if img.SubsampleRatio == image.YCbCrSubsampleRatio420 {
		high = half.Max.Y
	}
	fn(form{name + ", luma plane", rows(img.Y, img.YStride, size.X, size.Y)})
	fn(form{name + ", blue chroma plane", rows(img.Cb, img.CStride, wide, high)})
	fn(form{name + ", red chroma plane", rows(img.Cr, img.CStride, wide, high)})
}

// rows gives a plane without what pads its rows.
func rows(pix []uint8, stride, wide, high int) []byte {
	out := make([]byte, 0, wide*high)
	for y := range high {
		out = append(out, pix[y*stride:y*stride+wide]...)
	}
	return out
}

// colours gives the interleaved orders: red first or blue first, with and without a fourth byte.
func colours(name string, img image.Image, fn func(form)) {
	all := image.NewRGBA(img.Bounds())
	draw.Draw(all, all.Rect, img, all.Rect.Min, draw.Src)
	fn(form{name + ", RGBA pixels", all.Pix})
	fn(form{name + ", RGB pixels", reordered(all.Pix, 0, 1, 2)})
	fn(form{name + ", BGR pixels", reordered(all.Pix, 2, 1, 0)})
	fn(form{name + ", BGRA pixels", reordered(all.Pix, 2, 1, 0, 3)})
}

func reordered(rgba []byte, order ...int) []byte {
	out := make([]byte, 0, len(rgba)/4*len(order))
	for i := 0; i < len(rgba); i += 4 {
		for _, o := range order {
			out = append(out, rgba[i+o])
		}
	}
	return out
}

// secret is something about a person that no disk but the queue's may hold.
type secret struct{ name, value string }

// secrets lists what the opened records and the queue know of the applicants.
func secrets(opened []*record.Record) []secret {
	list := []secret{{"the name", stage.ApplicantName}, {"the date of birth", stage.ApplicantBorn}}
	for _, r := range opened {
		list = append(list, secret{"the reference", r.Manifest.Subject.Reference})
	}
	return list
}
