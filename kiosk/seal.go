package kiosk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"loket/drivers"
	"loket/kiosk/biometric"
	"loket/kiosk/outbox"
	"loket/kiosk/record"
	"loket/kiosk/session"
	"loket/queue/station"
)

// seal builds the record, seals it into the outbox and tells the session. Once the outbox has it, it is committed: whatever
// fails after that is mended at the next start.
func (d *Daemon) seal(s session.Session, t station.Ticket, devices map[string]record.DeviceInfo) {
	var id record.ID
	var docket record.SignedDocket
	err := d.vault.use(func(samples []biometric.Sample) error {
		r, err := d.record(s, t, devices, samples)
		if err != nil {
			return err
		}
		files, err := record.Files(r.Manifest, samples, s.Plan.Files)
		if err != nil {
			return err
		}
		defer record.WipeParts(files)
		r.Parts = append(r.Parts, files...)
		id, err = d.outbox.Put(
			func(w io.Writer) error { return d.sealer.Seal(w, r) },
			func(id record.ID, size int64) (_ record.SignedDocket, err error) {
				docket, err = r.Manifest.Docket(id, size, d.now()).Sign(d.identity.Signer)
				return docket, err
			})
		return err
	})
	e := session.Event{Kind: session.Sealed, By: session.Station, Record: string(id)}
	if err != nil {
		d.log.Error("sealing", "session", s.ID, "err", err)
		e = session.Event{Kind: session.Faulted, By: session.Station, Verdict: sealingVerdict(err)}
	} else {
		d.committed(docket)
	}
	if err := d.send(s.ID, e, nil); err != nil {
		d.log.Error("ending the session", "session", s.ID, "err", err)
	}
	d.outbox.Kick()
}

// sealingVerdict names why nothing was sealed.
func sealingVerdict(err error) string {
	if errors.Is(err, outbox.ErrFull) {
		return "disk-full"
	}
	return "sealing-failed"
}

// committed notes a record that the outbox has. Were this lost, the next start would note it.
func (d *Daemon) committed(signed record.SignedDocket) {
	if err := d.journal.AddDocket(signed); err != nil {
		d.log.Error("writing the journal", "err", err)
	}
	docket, err := signed.Docket()
	if err != nil {
		d.log.Error("reading a docket", "err", err)
		return
	}
	d.tellFact(station.FactSealed, docket, "", docket.Time)
}

// record puts together what one session came to. Its parts share the samples' bytes.
func (d *Daemon) record(s session.Session, t station.Ticket, devices map[string]record.DeviceInfo, samples []biometric.Sample) (*record.Record, error) {
	rules, err := json.Marshal(s.Plan)
	if err != nil {
		return nil, fmt.Errorf("writing the plan: %w", err)
	}
	m := record.Manifest{
		Suite: record.SuiteAge, Session: s.ID, Ticket: s.Ticket, Attempt: s.Attempt, Service: t.Service,
		Centre: d.identity.Centre, Station: d.identity.Name, Created: d.now(),
		Subject:  record.Subject{Reference: t.Subject.Reference, BirthDate: string(t.Subject.BirthDate), Established: record.CodeOnly},
		Policy:   record.PolicyRef(s.Plan.Policy),
		Software: record.Software{Name: "loket kioskd", Version: d.Version},
		Plan:     rules, Outcomes: s.Results(), Attempts: s.Attempts, Ledger: s.Ledger, Comparisons: s.Comparisons,
	}
	for _, x := range s.Decisions {
		m.Decisions = append(m.Decisions, record.Decision{Kind: string(x.Kind), State: string(x.State), Attendant: x.Attendant, Reason: x.Reason, At: x.At})
	}
	for _, info := range devices {
		m.Devices = append(m.Devices, info)
		m.Simulated = m.Simulated || info.Simulated
	}
	slices.SortFunc(m.Devices, func(a, b record.DeviceInfo) int { return strings.Compare(a.Identity, b.Identity) })
	r := &record.Record{Manifest: m, Signer: d.identity.Signer}
	for _, sample := range samples {
		part, err := record.PartOf(sample)
		if err != nil {
			return nil, err
		}
		r.Parts = append(r.Parts, part)
	}
	return r, nil
}

func deviceInfo(i drivers.Info) record.DeviceInfo {
	return record.DeviceInfo{Identity: i.USB.Identity().String(), Kind: string(i.Kind), Driver: i.Driver, Vendor: i.Vendor, Model: i.Model,
		Serial: i.Serial, Firmware: i.Firmware, Simulated: i.Simulated}
}
