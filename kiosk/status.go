package kiosk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"loket/drivers"
	"loket/kiosk/api"
	"loket/kiosk/outbox"
	"loket/kiosk/record"
	"loket/kiosk/session"
)

// Status returns the present status and a channel that is closed at the next change.
func (d *Daemon) Status() (api.Status, <-chan struct{}) {
	d.mu.Lock()
	sequence, changed := d.sequence, d.changed // from before the look at devices: what changes meanwhile is told again
	d.mu.Unlock()
	st := api.Status{
		Station: d.identity.Name, Centre: d.identity.Centre, Demo: d.identity.Demo, Version: d.Version, Started: d.started,
		Desk: d.Desk, Devices: d.devices(), Outbox: d.outboxSummary(), QueueLink: d.connected(), Problems: d.problems(),
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	st.Sequence, st.LastEnd, st.LastScan = sequence, d.lastEnd, d.lastScan
	st.Locked, st.Booth = d.locked, d.booth
	st.Warnings = boothWarnings(d.booth)
	st.Ready = len(st.Problems) == 0 && d.idle()
	if d.cur == nil {
		return st, changed
	}
	s := d.cur.session
	st.Session, st.Number, st.Guidance = &s, d.cur.ticket.Number, d.cur.guidance
	st.Moving, st.Verification = d.cur.moving, d.cur.verified
	if s.State == session.Confirming {
		st.Confirm = confirm(d.cur.ticket.Subject)
	}
	if deadline, ok := s.Deadline(d.cur.active); ok {
		st.Deadline = &deadline.End
	}
	return st, changed
}

func (d *Daemon) devices() []api.Device {
	list := []api.Device{}
	for _, s := range d.judged() {
		list = append(list, deviceStatus(s))
	}
	return list
}

func (d *Daemon) outboxSummary() api.OutboxSummary {
	var sum api.OutboxSummary
	for _, e := range d.outbox.List() {
		if e.State == outbox.Refused {
			sum.Refused++
		} else {
			sum.Pending++ // a receipted one too, until its sealed file is gone
		}
	}
	return sum
}

// problems lists what keeps a session from starting.
func (d *Daemon) problems() []api.Problem {
	var list []api.Problem
	missing := d.registry.Missing(d.kinds())
	for _, kind := range d.kinds() {
		if fault := missing[kind]; fault != nil {
			list = append(list, deviceProblem(kind, fault))
		}
	}
	if p := unfit(d.judged()); p != nil && slices.Contains(d.kinds(), drivers.KindFingerprint) && missing[drivers.KindFingerprint] == nil {
		list = append(list, *p)
	}
	if err := d.outbox.Ready(d.Config.MinimumFree); err != nil {
		list = append(list, api.Problem{Code: "disk-full", Text: err.Error(),
			Hint: "free space on the station's disk, or let the outbox deliver; nothing that is sealed is lost"})
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.reconciled {
		list = append(list, api.Problem{Code: "queue-unreachable", Text: "the queue has not yet been told how earlier sessions ended",
			Hint: "check the network and whether queued runs; this goes on by itself"})
	}
	if d.locked {
		list = append(list, api.Problem{Code: "locked", Text: "staff have locked this station", Hint: "staff unlock it at the console"})
	}
	return list
}

func (d *Daemon) kinds() []drivers.Kind {
	var kinds []drivers.Kind
	for _, k := range d.Config.Devices {
		kinds = append(kinds, drivers.Kind(k))
	}
	return kinds
}

// Do runs a command of a local caller.
func (d *Daemon) Do(ctx context.Context, as api.Caller, c api.Command) (api.Reply, error) {
	var err error
	switch {
	case c.Start != nil && c.Start.Code == "" && !as.Is(api.RoleTechnician):
		err = &api.Error{Code: "forbidden", Text: "only technicians may call a ticket", Hint: "a screen starts with the code that was scanned"}
	case c.Start != nil:
		err = d.start(ctx, *c.Start)
	case c.Event != nil:
		err = d.said(ctx, as, c)
	case c.Sign != nil:
		err = d.sign(as, c.Session, *c.Sign)
	case !as.Is(api.RoleTechnician):
		err = &api.Error{Code: "forbidden", Text: "only technicians may ask that"}
	case c.Outbox != nil:
		if c.Outbox.Again != "" {
			if err := d.again(c.Outbox.Again); err != nil {
				return api.Reply{}, err
			}
		}
		if c.Outbox.Retry {
			d.outbox.Kick()
		}
		return result(d.outbox.List())
	case c.SelfTest != nil:
		return d.selfTest(ctx, c.SelfTest.Device)
	case c.StopRecording != nil:
		err = d.stopRecording(c.StopRecording.Device)
	case c.Trace != nil:
		return d.trace(ctx, c.Trace.ID)
	default:
		err = &api.Error{Code: "bad-command", Text: "the command is empty"}
	}
	if err != nil {
		return api.Reply{}, err
	}
	st, _ := d.Status()
	return api.Reply{Status: &st}, nil
}

// said takes in what a local caller says of the session. An attendant is whom a one-time code names, else the user who called.
func (d *Daemon) said(ctx context.Context, as api.Caller, c api.Command) error {
	e := *c.Event
	switch {
	case c.Code != "" && !as.Is(api.RoleTechnician): // before the code is used up
		return &api.Error{Code: "forbidden", Text: "the screen speaks for the applicant alone"}
	case c.Code == "" && e.Attendant != "" && e.Attendant != as.Name():
		return &api.Error{Code: "who", Text: "nobody decides in another's name: this user is " + as.Name(),
			Hint: "give a one-time code of the console, or leave the name out"}
	case c.Code != "":
		who, err := d.queue.Identify(ctx, c.Code)
		if err != nil {
			return refused(err)
		}
		e.By, e.Attendant = session.Attendant, who
	case e.Kind == session.Override:
		return &api.Error{Code: "who", Text: "an override is decided by somebody who says who they are", Hint: "give a one-time code of the console"}
	case e.By == session.Attendant:
		e.Attendant = as.Name()
	}
	return d.event(as, c.Session, e)
}

// again sends a refused record again, named by its id or the beginning of it.
func (d *Daemon) again(id string) error {
	var found []record.ID
	for _, e := range d.outbox.List() {
		if e.State == outbox.Refused && strings.HasPrefix(string(e.Docket.Record), id) {
			found = append(found, e.Docket.Record)
		}
	}
	if len(found) != 1 {
		return &api.Error{Code: "unknown", Text: fmt.Sprintf("%d refused records have an id that begins so", len(found)),
			Hint: "kioskctl outbox --json lists the records that this station keeps"}
	}
	return d.outbox.Retry(found[0])
}

func result(v any) (api.Reply, error) {
	data, err := json.Marshal(v)
	return api.Reply{Result: data}, err
}

// Frames streams previews.
func (d *Daemon) Frames(ctx context.Context, fn func(api.Frame) error) error {
	return d.previews.stream(ctx, fn)
}

// watch looks for changes in devices, disk, outbox and lines and tells those who watch the status, until ctx ends.
func (d *Daemon) watch(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	told, before := map[record.ID]bool{}, ""
	for {
		devices := d.registry.Changed()
		up, line := d.link.Connected()
		d.refusals(told)
		if now := fmt.Sprint(up, d.problems(), d.outboxSummary(), d.registry.List()); now != before {
			before = now
			d.mu.Lock()
			d.touch()
			d.mu.Unlock()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-devices:
		case <-line:
		case <-tick.C:
		}
	}
}

func (d *Daemon) connected() bool {
	up, _ := d.link.Connected()
	return up
}

// metrics serves Prometheus metrics where an address is configured.
func (d *Daemon) metrics(ctx context.Context) error {
	if d.Config.Metrics == "" {
		<-ctx.Done()
		return ctx.Err()
	}
	l, err := net.Listen("tcp", d.Config.Metrics)
	if err != nil {
		return fmt.Errorf("serving metrics: %w (hint: metrics in the configuration names the address)", err)
	}
	server := &http.Server{Handler: promhttp.HandlerFor(d.gauges(), promhttp.HandlerOpts{}), ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving metrics: %w", err)
	}
	return ctx.Err()
}

// gauges are the station's figures for whoever watches many stations. None names a person.
func (d *Daemon) gauges() *prometheus.Registry {
	r := prometheus.NewRegistry()
	gauge := func(name, help string, value func() float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "loket", Name: name, Help: help}, value))
	}
	gauge("ready", "1 where a session can start now.", func() float64 { st, _ := d.Status(); return flag(st.Ready) })
	gauge("queue_link", "1 where the line to the queue is up.", func() float64 { return flag(d.connected()) })
	gauge("outbox_pending", "Sealed records that wait for their receipt.", func() float64 { return float64(d.outboxSummary().Pending) })
	gauge("outbox_refused", "Sealed records that the central service refused.", func() float64 { return float64(d.outboxSummary().Refused) })
	gauge("devices_missing", "Kinds of device that the station needs and lacks.", func() float64 { return float64(len(d.registry.Missing(d.kinds()))) })
	gauge("booth_failed", "Checks of light and background that failed in the booth; 0 where all passed or nothing could be judged.", d.boothFailed)
	gauge("booth_judged", "When light and background were judged last, in seconds since 1970; 0 where they never were.", d.boothJudged)
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
