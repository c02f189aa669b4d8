package ui

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"gioui.org/font"
	"gioui.org/font/opentype"
)

// fontFiles are the files of the typefaces that the screens use; all are in Debian's fonts-noto-core. Those that no language
// of the catalogue needs may be missing.
func fontFiles() map[string][]string {
	return map[string][]string{
		"Noto Sans":            {"NotoSans-Regular.ttf", "NotoSans-Bold.ttf"},
		"Noto Sans Arabic":     {"NotoSansArabic-Regular.ttf", "NotoSansArabic-Bold.ttf"},
		"Noto Sans Devanagari": {"NotoSansDevanagari-Regular.ttf", "NotoSansDevanagari-Bold.ttf"},
		"Noto Sans Ethiopic":   {"NotoSansEthiopic-Regular.ttf", "NotoSansEthiopic-Bold.ttf"},
	}
}

// FontFolders lists where fonts are looked for.
func FontFolders() []string {
	return []string{"/usr/share/fonts/truetype/noto", "/usr/share/fonts/noto", "/usr/local/share/fonts/noto"}
}

// LoadFonts reads the typefaces that the languages need from the first of the folders that has each.
func LoadFonts(folders ...string) ([]font.FontFace, error) {
	faces, need := []string{"Noto Sans"}, map[string]bool{"Noto Sans": true}
	for _, l := range Languages() {
		if l.Face != "" && !need[l.Face] {
			faces, need[l.Face] = append(faces, l.Face), true
		}
	}
	for name := range fontFiles() {
		if !need[name] {
			faces = append(faces, name)
		}
	}
	slices.Sort(faces[len(need):])
	var all []font.FontFace
	for _, name := range faces {
		for _, file := range fontFiles()[name] {
			data, err := readFont(folders, file)
			if err != nil && need[name] {
				return nil, fmt.Errorf("loading fonts: %w (hint: apt-get install fonts-noto-core)", err)
			} else if err != nil {
				continue
			}
			parsed, err := opentype.ParseCollection(data)
			if err != nil {
				return nil, fmt.Errorf("loading font %s: %w", file, err)
			}
			all = append(all, parsed...)
		}
	}
	return all, nil
}

func readFont(folders []string, file string) ([]byte, error) {
	for _, folder := range folders {
		data, err := os.ReadFile(filepath.Join(folder, file))
		if err == nil || !errors.Is(err, os.ErrNotExist) {
			return data, err
		}
	}
	return nil, fmt.Errorf("%s is in none of %v", file, folders)
}
