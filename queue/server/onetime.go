package server

import (
	"context"
	"net/http"
	"sync"
	"time"

	"loket/queue"
	"loket/queue/station"
	"loket/queue/store"
)

// oneTimeCodes say at a station who somebody is that is signed in at the console. They are kept in memory alone. The zero value
// works.
type oneTimeCodes struct {
	mu    sync.Mutex
	given map[queue.Code]givenCode
	wrong throttle // by station
}

type givenCode struct {
	account queue.Account
	until   time.Time
}

// How long a code counts, and how many wrong ones a station may try before it waits.
const (
	oneTime    = 2 * time.Minute
	wrongCodes = queue.WrongTries
)

// give makes a code for an account in place of the one before.
func (o *oneTimeCodes) give(account queue.Account, now time.Time) (queue.Code, time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for code, g := range o.given {
		if g.account.ID == account.ID || !now.Before(g.until) {
			delete(o.given, code)
		}
	}
	if o.given == nil {
		o.given = map[queue.Code]givenCode{}
	}
	code := queue.NewCode()
	o.given[code] = givenCode{account: account, until: now.Add(oneTime)}
	return code, now.Add(oneTime)
}

// use says whose code it is. It counts once.
func (o *oneTimeCodes) use(code queue.Code, now time.Time) (account queue.Account, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	g, ok := o.given[code]
	delete(o.given, code)
	return g.account, ok && now.Before(g.until)
}

// oneTimeCode gives whoever is signed in a code for a station.
func (c *Console) oneTimeCode(w http.ResponseWriter, _ *http.Request, who store.Login) {
	if !who.Account.MayAnywhere(queue.Assisting) {
		refuse(w, notYours("decide at a station"))
		return
	}
	code, until := c.codes.give(who.Account, time.Now())
	reply(w, http.StatusOK, map[string]any{"code": string(code), "until": until})
}

// Identify says who gave a one-time code, where they may help with whoever is at the station.
func (s *stations) Identify(w http.ResponseWriter, r *http.Request) {
	var body station.OneTimeCode
	peer, err := asked(w, r, &body, kiosk, desk)
	if err == nil {
		err = length("code", string(body.Code), 64)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	forget, wait := s.codes.wrong.try(time.Now(), map[string]int{peer.Name: wrongCodes})
	if wait > 0 {
		refuse(w, refusal(http.StatusTooManyRequests, problemSlow, "too many wrong codes", "wait "+wait.Round(time.Second).String()))
		return
	}
	code, err := queue.ParseCode(string(body.Code))
	account, ok := s.codes.use(code, time.Now())
	if err != nil || !ok {
		refuse(w, refusal(http.StatusNotFound, station.ProblemUnknown, "the code is not right, or not any more", "let the console give another one"))
		return
	}
	forget()
	if err := s.mayAssist(r.Context(), account, peer.Name); err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, station.Attendant{Attendant: account.ID})
}

// mayAssist holds an account to the same right as at the console: for the organisations whose tickets are at a station.
func (s *Server) mayAssist(ctx context.Context, a queue.Account, name string) error {
	at, err := s.Store.AtStation(ctx, name)
	if err != nil {
		return err
	}
	for _, v := range at {
		if !a.May(queue.Assisting, s.organisation(v.Ticket.Service)) {
			return notYours("help with this session")
		}
	}
	return nil
}
