package ui

import (
	"strings"

	"gioui.org/io/input"
	"gioui.org/io/semantic"
)

// Tone is a short sound that goes with a lamp. Every tone is also seen.
type Tone string

// The tones.
const (
	TonePlace   Tone = "place"
	ToneHold    Tone = "hold"
	ToneLift    Tone = "lift"
	ToneWarning Tone = "warning"
	ToneDone    Tone = "done"
)

// Speaker is what is heard. None of its methods waits until something was heard.
type Speaker interface {
	// Say speaks a text; what is being said stops at once.
	Say(language, text string)
	// Hush stops what is being said.
	Hush()
	// Sound plays a tone, beside what is being said.
	Sound(t Tone)
}

// Narrator reads screens aloud: each new page from the semantics tree of what was drawn, then what changes on it, and the name
// of whatever gets the focus.
type Narrator struct {
	Speaker Speaker
	Headset bool // nobody else hears: personal data is spoken too

	key     string
	again   int
	hint    string
	focused string
	lamp    Lamp
}

// Follow takes in what was drawn last. Nodes are the router's, after its frame.
func (n *Narrator) Follow(u *UI, nodes []input.SemanticNode) {
	p := u.Page()
	lang := languageOf(u.Local.Language)
	if lang.Voice == "" { // said in a language that has a voice, while the screen says it in writing
		lang = Languages()[0]
		for i := range nodes {
			nodes[i].Desc.Label = ""
		}
		nodes = append(nodes, input.SemanticNode{Desc: input.SemanticDesc{Label: u.Words.in(lang.Tag).say("voice-none", nil)}})
	}
	n.sound(p)
	key := p.Key
	fresh := key != n.key || u.Local.again != n.again
	hint := labelOf(nodes, describeHint)
	focus := u.Focused()
	switch {
	case fresh:
		n.Speaker.Say(lang.Tag, n.read(nodes, p))
	case hint != n.hint && hint != "":
		n.Speaker.Say(lang.Tag, hint)
	case focus != n.focused && focus != "":
		n.Speaker.Say(lang.Tag, focus)
	}
	n.key, n.again, n.hint, n.focused = key, u.Local.again, hint, focus
}

// sound plays the tone of a lamp that changed, and those of a warning and of a good end.
func (n *Narrator) sound(p Page) {
	if p.Lamp != n.lamp && p.Lamp != LampNone {
		n.Speaker.Sound(Tone(p.Lamp))
	}
	n.lamp = p.Lamp
	switch {
	case p.Key == n.key:
	case p.ID == "warning":
		n.Speaker.Sound(ToneWarning)
	case p.Good:
		n.Speaker.Sound(ToneDone)
	}
}

// read gives a page as it is read aloud: the texts in their order, then what can be pressed but for the tools.
func (n *Narrator) read(nodes []input.SemanticNode, p Page) string {
	silent := map[string]bool{}
	for _, a := range append(p.Tools, p.Keys...) {
		silent[a.Label] = true
	}
	var said []string
	for _, x := range nodes {
		d := x.Desc
		switch {
		case d.Label == "" || d.Description == describePrivate && !n.Headset || d.Description == describeStep:
		case d.Class == semantic.Button && (silent[d.Label] || d.Disabled):
		default:
			said = append(said, sentence(d.Label))
		}
	}
	return strings.Join(said, " ")
}

func labelOf(nodes []input.SemanticNode, description string) string {
	for _, x := range nodes {
		if x.Desc.Description == description {
			return x.Desc.Label
		}
	}
	return ""
}

// sentence ends a text, so that a voice pauses after it.
func sentence(s string) string {
	if strings.ContainsRune(".?!؟:", []rune(s)[len([]rune(s))-1]) {
		return s
	}
	return s + "."
}
