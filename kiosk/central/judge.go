package central

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tus/tusd/v2/pkg/handler"

	"loket/kiosk/identity"
	"loket/kiosk/record"
)

// ahead is how far a station's clock may be ahead of ours.
const ahead = 15 * time.Minute

// epoch is before the first record of this form: a station that gives an earlier time has lost its clock.
const epoch = 2025

// docket reads the docket that a POST announces and judges it.
func (c *Central) docket(r *http.Request, who station) (record.SignedDocket, record.Docket, error) {
	var signed record.SignedDocket
	var err error
	bad := refusal(http.StatusBadRequest, "bad-docket", "the docket can't be read", "send docket and docket-sig as Upload-Metadata, each in base64")
	meta := handler.ParseMetadataHeader(r.Header.Get("Upload-Metadata"))
	signed.JSON, signed.Sig = []byte(meta[metaDocket]), []byte(meta[metaDocketSig])
	d, err := signed.Docket()
	if err != nil {
		return signed, d, bad.with("%v", err)
	}
	if _, err := signed.Verify(who.key); err != nil {
		return signed, d, refusal(http.StatusForbidden, "docket-signature", "the docket is not signed by the key of the client certificate",
			"a station sends its own records only")
	}
	length, err := strconv.ParseInt(r.Header.Get("Upload-Length"), 10, 64)
	if err != nil {
		return signed, d, bad.with("Upload-Length is missing")
	}
	return signed, d, c.judge(d, length, who.Peer)
}

// judge refuses a docket that must not be taken.
func (c *Central) judge(d record.Docket, length int64, who identity.Peer) error {
	switch {
	case d.Station != who.Name || d.Centre != who.Centre:
		return refusal(http.StatusForbidden, "foreign-docket", "the docket is of another station or centre", "a station sends its own records only").
			with("docket %q of %q, certificate %q of %q", d.Station, d.Centre, who.Name, who.Centre)
	case d.Size != length:
		return refusal(http.StatusBadRequest, "size", "the docket gives another size than the upload", "the outbox and its docket do not belong together")
	case d.Size > c.maxRecord():
		return refusal(http.StatusRequestEntityTooLarge, "too-large", "the record is too large", "see max_record in the service's configuration").
			with("%d bytes, at most %d are taken", d.Size, c.maxRecord())
	case d.Suite != record.SuiteAge:
		return refusal(http.StatusUnprocessableEntity, "unknown-suite", "the record is sealed in a way that is not accepted", "update the station or the service")
	case d.Simulated && !c.AcceptSimulated:
		return refusal(http.StatusUnprocessableEntity, "simulated", "a record of simulated devices has no business here",
			"the station's buses must be the kernel's; what the device calls itself does not matter")
	}
	return c.judgeTimes(d)
}

func (c *Central) judgeTimes(d record.Docket) error {
	if id, ok := c.Policies[d.Policy.Digest]; !ok || id != d.Policy.ID {
		return refusal(http.StatusUnprocessableEntity, "unknown-policy", "the policy is not accepted here", "list its digest in the service's configuration, or update the station").
			with("%s with digest %s", d.Policy.ID, d.Policy.Digest)
	}
	if d.Time.Year() < epoch || d.Time.After(c.now().Add(ahead)) {
		return refusal(http.StatusUnprocessableEntity, "clock", "the station's clock is wrong", "set the clock; a record that bears the wrong time needs a decision by staff").
			with("the docket says %s", d.Time.Format(time.RFC3339))
	}
	return nil
}

// checkClaim refuses a second record for one ticket and service.
func (c *Central) checkClaim(d record.Docket) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.claimed(d)
}

// claimed is checkClaim with the mutex held.
func (c *Central) claimed(d record.Docket) error {
	if other, ok := c.claims[claimOf(d)]; ok && other != d.Record {
		return refusal(http.StatusConflict, "conflict", "another record was taken for this ticket and service already", "staff compare the two and discard one").
			with("it is %s", other)
	}
	return nil
}

func claimOf(d record.Docket) claim { return claim{d.Centre, d.Ticket, d.Service} }

// take reserves the ticket and service for a record.
func (c *Central) take(d record.Docket) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.claimed(d); err != nil {
		return err
	}
	c.claims[claimOf(d)] = d.Record
	return nil
}

// conflict keeps the docket of a record that was refused as the second one, for staff to see.
func (c *Central) conflict(signed record.SignedDocket, d record.Docket) {
	c.mu.Lock()
	held := c.claims[claimOf(d)]
	c.mu.Unlock()
	data, err := json.Marshal(struct {
		Docket json.RawMessage `json:"docket"`
		Sig    []byte          `json:"docket_sig"`
		Held   record.ID       `json:"held"` // the record that was taken
		At     time.Time       `json:"at"`
	}{signed.JSON, signed.Sig, held, c.now().UTC()})
	path := filepath.Join(c.Dir, conflictsDir, string(d.Record)+".json")
	if _, statErr := os.Stat(path); err == nil && statErr != nil {
		err = replace(path, data)
	}
	if err != nil {
		c.log().Error("listing a conflict", "record", d.Record, "err", err)
	}
}

// uploadID keeps the uploads of stations apart, so that none can touch or even see another's.
func uploadID(who identity.Peer, id record.ID) string {
	sum := sha256.Sum256([]byte(who.Centre + "\x00" + who.Name))
	return hex.EncodeToString(sum[:8]) + "-" + string(id)
}

// checkQuota bounds the unfinished uploads of one station.
func (c *Central) checkQuota(id string) error {
	own, _, _ := strings.Cut(id, "-")
	list, err := filepath.Glob(filepath.Join(c.files.Path, own+"-*.info"))
	if err != nil {
		return err
	}
	if len(list) >= c.maxPartial() {
		return refusal(http.StatusTooManyRequests, "quota", "the station has too many unfinished uploads", "finish some first")
	}
	return nil
}

// docketOf reads the docket that was announced with an upload.
func docketOf(info handler.FileInfo) (record.SignedDocket, record.Docket, error) {
	json, err := base64.StdEncoding.DecodeString(info.MetaData[metaDocket])
	if err != nil {
		return record.SignedDocket{}, record.Docket{}, err
	}
	sig, err := base64.StdEncoding.DecodeString(info.MetaData[metaDocketSig])
	if err != nil {
		return record.SignedDocket{}, record.Docket{}, err
	}
	signed := record.SignedDocket{JSON: json, Sig: sig}
	d, err := signed.Docket()
	return signed, d, err
}
