// Kiosk-ui is the applicant's screen: it shows what kioskd says and sends what is pressed.
package main

import (
	"fmt"
	"os"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

type cli struct {
	Theme string   `help:"A theme instead of loket's own." type:"existingfile" placeholder:"FILE"`
	Fonts []string `help:"Folders with the Noto typefaces." env:"LOKET_FONTS" placeholder:"FOLDER"`

	Run     runCmd           `cmd:"" default:"withargs" help:"Opens the screen (the default)."`
	Screens screensCmd       `cmd:"" help:"Draws every screen into a folder, without a display."`
	Version kong.VersionFlag `help:"Print the version."`
}

type runCmd struct {
	Socket   string  `help:"Where kioskd listens." default:"/run/loket/kioskd.sock" env:"LOKET_SOCKET" placeholder:"FILE"`
	Windowed bool    `help:"A window instead of the whole screen."`
	Size     string  `help:"Of the window." default:"1280x800" placeholder:"WxH"`
	PxPerMM  float64 `name:"px-per-mm" help:"Pixels on a millimetre of the screen; 0 asks the screen."`
	Player   string  `help:"The program that plays a WAV from its standard input; none to be silent." default:"aplay -q -" placeholder:"COMMAND"`
	Headset  bool    `help:"Sound goes into a headset: personal data is spoken too." xor:"aloud"`
	Script   string  `name:"transcript" help:"Writes which page is shown, what can be pressed on it and what is said, a JSON object a line. Not together with --headset, since what is said there is personal." xor:"aloud" type:"path" placeholder:"FILE"`
}

type screensCmd struct {
	Out      string   `arg:"" help:"The folder." type:"path"`
	Language []string `help:"Only these languages." placeholder:"TAG"`
	Only     string   `help:"Only screens whose name begins so." placeholder:"NAME"`
	Quick    bool     `help:"One size and contrast of each."`
}

func main() {
	var c cli
	k := kong.Parse(&c, kong.Name("kiosk-ui"), kong.Description("The applicant's screen of a station."), kong.Vars{"version": version()})
	if err := k.Run(&c); err != nil {
		fmt.Fprintln(os.Stderr, "kiosk-ui:", err)
		os.Exit(1)
	}
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}
