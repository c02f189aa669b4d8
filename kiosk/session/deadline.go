package session

import "time"

// Deadline is how long a state waits for its person. The daemon holds the timers: at Warn the person is warned by sight and
// sound and may send [Extended], at End the daemon sends [TimedOut].
type Deadline struct {
	Warn       time.Time // zero where nobody stands there to be warned
	End        time.Time
	Extensions int // left
}

// Deadline gives the limit of the current state; false where it has none. Whatever the person does at a device or on the
// screen starts the time anew: active is when that was last seen, or zero.
func (s Session) Deadline(active time.Time) (Deadline, bool) {
	limits := s.Plan.TimeLimits
	var seconds int
	switch s.State {
	case Called:
		return Deadline{End: s.Since.Add(time.Duration(limits.CalledSeconds) * time.Second)}, true
	case Confirming:
		seconds = limits.ConfirmSeconds
	case Capturing, Reviewing:
		seconds = limits.InactivitySeconds
	default:
		return Deadline{}, false
	}
	from := s.Since
	if active.After(from) {
		from = active
	}
	end := from.Add(time.Duration(seconds) * time.Second)
	return Deadline{
		Warn:       end.Add(-time.Duration(limits.WarningSeconds) * time.Second),
		End:        end,
		Extensions: max(limits.Extensions-s.Extra, 0),
	}, true
}
