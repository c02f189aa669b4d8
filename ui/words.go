package ui

import (
	"embed"
	"encoding/json"
	"fmt"
	"path"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/number"
)

//go:embed words/*.json
var wordFiles embed.FS

// Language is one that the screens speak.
type Language struct {
	Tag         string // BCP 47, and the name of its catalogue
	Name        string // in the language itself
	RightToLeft bool
	Voice       string // espeak-ng's name of it; empty where there is none that can be understood
	Face        string // the typeface that has its letters, beside Noto Sans
}

// Languages lists what a person can choose, in the order of the screen. The first is spoken to whoever has not chosen.
func Languages() []Language {
	return []Language{
		{Tag: "nl", Name: "Nederlands", Voice: "nl"},
		{Tag: "en", Name: "English", Voice: "en-gb"},
		{Tag: "ar", Name: "العربية", RightToLeft: true, Voice: "ar", Face: "Noto Sans Arabic"},
	}
}

func languageOf(tag string) Language {
	all := Languages()
	for _, l := range all {
		if l.Tag == tag {
			return l
		}
	}
	return all[0]
}

// Words is the catalogue of all languages.
type Words struct {
	bundle *i18n.Bundle
}

// NewWords reads the catalogues that are built in.
func NewWords() (*Words, error) {
	w := &Words{bundle: i18n.NewBundle(language.Make(Languages()[0].Tag))}
	w.bundle.RegisterUnmarshalFunc("json", json.Unmarshal)
	for _, l := range Languages() {
		if _, err := w.bundle.LoadMessageFileFS(wordFiles, path.Join("words", l.Tag+".json")); err != nil {
			return nil, fmt.Errorf("reading the words of %s: %w", l.Name, err)
		}
	}
	return w, nil
}

// texts gives messages in one language and remembers which were missing.
type texts struct {
	tag       string
	localizer *i18n.Localizer
	printer   *message.Printer
	missing   map[string]bool
}

func (w *Words) in(tag string) *texts {
	t := language.Make(tag)
	return &texts{tag: tag, localizer: i18n.NewLocalizer(w.bundle, tag), printer: message.NewPrinter(t), missing: map[string]bool{}}
}

// say gives a message; with fills its fields.
func (t *texts) say(id string, with map[string]any) string {
	return t.localize(&i18n.LocalizeConfig{MessageID: id, TemplateData: with})
}

// count gives a message in the form for n of something; its field Number is n in the language's own digits.
func (t *texts) count(id string, n int) string {
	return t.localize(&i18n.LocalizeConfig{MessageID: id, PluralCount: n, TemplateData: map[string]any{"Number": t.number(n)}})
}

// localize never fails: what is missing shows its id, and is remembered for the tests that look for it.
func (t *texts) localize(c *i18n.LocalizeConfig) string {
	text, tag, err := t.localizer.LocalizeWithTag(c)
	if err != nil || tag.String() != t.tag {
		t.missing[c.MessageID] = true
	}
	if text == "" {
		return c.MessageID
	}
	return text
}

func (t *texts) number(n int) string { return t.printer.Sprint(number.Decimal(n)) }

// list joins words as a language does: "a", "a and b", "a, b and c".
func (t *texts) list(words []string) string {
	comma := ", "
	if t.tag == "ar" {
		comma = "، "
	}
	switch len(words) {
	case 0:
		return ""
	case 1:
		return words[0]
	}
	first := words[0]
	for _, w := range words[1 : len(words)-1] {
		first += comma + w
	}
	return t.say("and", map[string]any{"First": first, "Last": words[len(words)-1]})
}

// Say gives a message without fields in a language; its id where there is none.
func (w *Words) Say(language, id string) string { return w.in(language).say(id, nil) }
