package central

import (
	"crypto/ecdsa"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"

	"github.com/tus/tusd/v2/pkg/handler"

	"loket/kiosk/identity"
	"loket/kiosk/record"
)

const uploadsPath = "/v1/uploads/"

// The metadata of an upload.
const (
	metaDocket    = "docket"
	metaDocketSig = "docket-sig"
)

func (c *Central) routes() {
	c.mux = http.NewServeMux()
	c.mux.HandleFunc("OPTIONS "+uploadsPath, c.options)
	c.mux.HandleFunc("POST "+uploadsPath+"{$}", c.as(c.create))
	c.mux.HandleFunc("HEAD "+uploadsPath+"{id}", c.as(c.resume))
	c.mux.HandleFunc("PATCH "+uploadsPath+"{id}", c.as(c.resume))
	c.mux.HandleFunc("GET /v1/receipts/{id}", c.as(c.receipt))
}

// ServeHTTP answers stations. The connection must be TLS with a verified client certificate.
func (c *Central) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Header.Del("X-HTTP-Method-Override")
	c.mux.ServeHTTP(w, r)
}

// station is who calls: what its certificate says, and the key in it.
type station struct {
	identity.Peer
	key *ecdsa.PublicKey
}

// as finds out who calls, and answers with what the call comes to.
func (c *Central) as(serve func(http.ResponseWriter, *http.Request, station) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, err := c.caller(r)
		if err == nil {
			err = serve(w, r, who)
		}
		if err == nil {
			return
		}
		p := asProblem(err)
		level := c.log().Warn
		if p.Status >= 500 {
			level = c.log().Error
		}
		level("refused", "code", p.Code, "station", who.Name, "centre", who.Centre, "method", r.Method, "err", err)
		c.observe(p.Code, 0)
		writeProblem(w, err)
	}
}

func (c *Central) caller(r *http.Request) (station, error) {
	peer, err := identity.PeerFrom(r.TLS)
	if err != nil {
		return station{}, refusal(http.StatusForbidden, "certificate", "no usable client certificate", "the certificate names station, centre and role").with("%v", err)
	}
	who := station{Peer: peer}
	key, ok := r.TLS.PeerCertificates[0].PublicKey.(*ecdsa.PublicKey)
	switch {
	case !ok:
		return who, refusal(http.StatusForbidden, "certificate", "the certificate's key is not ECDSA", "issue one with a P-256 key")
	case peer.Role != identity.RoleKiosk && peer.Role != identity.RoleDesk:
		return who, refusal(http.StatusForbidden, "role", "only stations send records", "the certificate's role must be kiosk or desk").with("it is %q", peer.Role)
	case peer.Demo && !c.AcceptSimulated:
		return who, refusal(http.StatusForbidden, "demo-certificate", "a demonstration's certificate has no business here", "production stations have certificates of the production authority")
	}
	who.key = key
	return who, nil
}

// options says what of tus is spoken here.
func (c *Central) options(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Tus-Resumable", "1.0.0")
	w.Header().Set("Tus-Version", "1.0.0")
	w.Header().Set("Tus-Extension", "creation")
	w.Header().Set("Tus-Max-Size", strconv.FormatInt(c.maxRecord(), 10))
	w.WriteHeader(http.StatusNoContent)
}

// create judges a docket and begins its upload, or finds the one that there is: the answer says how far it is, and carries the
// receipt where it is complete.
func (c *Central) create(w http.ResponseWriter, r *http.Request, who station) error {
	w.Header().Set("Tus-Resumable", "1.0.0")
	if r.Header.Get("Tus-Resumable") != "1.0.0" {
		return refusal(http.StatusPreconditionFailed, "tus-version", "only tus 1.0.0 is spoken here", "send Tus-Resumable: 1.0.0")
	}
	signed, docket, err := c.docket(r, who)
	if err != nil {
		return err
	}
	w.Header().Set("Location", uploadsPath+string(docket.Record))
	id := uploadID(who.Peer, docket.Record)
	unlock := c.ending.lock("create " + id)
	defer unlock()
	held, err := c.find(r, id, signed, docket)
	if err != nil {
		return err
	}
	w.Header().Set("Upload-Offset", strconv.FormatInt(held.offset, 10))
	if held.receipt != nil {
		setReceipt(w, *held.receipt)
	}
	w.WriteHeader(held.status)
	return nil
}

// holding is what the store has of a record.
type holding struct {
	status  int
	offset  int64
	receipt *record.SignedReceipt
}

// find looks for a record in the store, then among the uploads; where there is neither it makes the upload.
func (c *Central) find(r *http.Request, id string, signed record.SignedDocket, d record.Docket) (holding, error) {
	receipt, err := c.stored(signed, d)
	if err != nil || receipt != nil {
		return holding{status: http.StatusOK, offset: d.Size, receipt: receipt}, err
	}
	if err := c.checkClaim(d); err != nil {
		c.conflict(signed, d)
		return holding{}, err
	}
	if u, err := c.files.GetUpload(r.Context(), id); err == nil {
		return c.continued(r, id, u, signed)
	}
	if err := c.checkQuota(id); err != nil {
		return holding{}, err
	}
	b64 := base64.StdEncoding.EncodeToString
	_, err = c.files.NewUpload(r.Context(), handler.FileInfo{ID: id, Size: d.Size, MetaData: handler.MetaData{
		metaDocket: b64(signed.JSON), metaDocketSig: b64(signed.Sig),
	}})
	return holding{status: http.StatusCreated}, err
}

// continued finds how far an upload is, and finishes it if all of it is there.
func (c *Central) continued(r *http.Request, id string, u handler.Upload, signed record.SignedDocket) (holding, error) {
	info, err := u.GetInfo(r.Context())
	if err != nil {
		return holding{}, err
	}
	if known, _, err := docketOf(info); err != nil || string(known.JSON) != string(signed.JSON) {
		return holding{}, differs()
	}
	held := holding{status: http.StatusCreated, offset: info.Offset}
	if info.Offset < info.Size {
		return held, nil
	}
	receipt, err := c.finalise(id)
	return holding{status: http.StatusOK, offset: info.Size, receipt: &receipt}, err
}

func differs() *Problem {
	return refusal(http.StatusConflict, "docket-differs", "the record is known here with another docket",
		"a record is sealed once and its docket signed once; look for a copied outbox")
}

// resume passes HEAD and PATCH on to tusd, once it is clear whose upload it is and that there is one. A record that is
// complete is answered from the store.
func (c *Central) resume(w http.ResponseWriter, r *http.Request, who station) error {
	w.Header().Set("Tus-Resumable", "1.0.0")
	rec, err := record.ParseID(r.PathValue("id"))
	if err != nil {
		return unknownUpload()
	}
	id := uploadID(who.Peer, rec)
	if done, err := c.complete(r, id, rec, who); err != nil || done != nil {
		return answerComplete(w, r, done, err)
	}
	if _, err := os.Stat(c.files.info(id)); err != nil {
		return unknownUpload()
	}
	r.URL.Path, r.URL.RawPath = uploadsPath+id, ""
	c.tus.ServeHTTP(w, r)
	return nil
}

func unknownUpload() *Problem {
	return refusal(http.StatusNotFound, "unknown-upload", "there is no such upload of this station", "announce it with POST")
}

// answerComplete answers a HEAD or PATCH for a record that needs no more bytes.
func answerComplete(w http.ResponseWriter, r *http.Request, done *holding, err error) error {
	if err != nil {
		return err
	}
	size := strconv.FormatInt(done.offset, 10)
	w.Header().Set("Upload-Offset", size)
	w.Header().Set("Upload-Length", size)
	w.Header().Set("Cache-Control", "no-store")
	setReceipt(w, *done.receipt)
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// complete finds a record of this station that is in the store already, or whose upload has all its bytes and was never
// finished: tusd does not call its hook a second time.
func (c *Central) complete(r *http.Request, id string, rec record.ID, who station) (*holding, error) {
	unlock := c.ending.lock("create " + id)
	defer unlock()
	if signed, d, err := c.loadDocket(rec); err == nil && d.Station == who.Name && d.Centre == who.Centre {
		receipt, err := c.stored(signed, d)
		if err != nil || receipt != nil {
			return &holding{offset: d.Size, receipt: receipt}, err
		}
	}
	u, err := c.files.GetUpload(r.Context(), id)
	if err != nil {
		return nil, nil
	}
	info, err := u.GetInfo(r.Context())
	if err != nil || info.Offset < info.Size {
		return nil, err
	}
	receipt, err := c.finalise(id)
	return &holding{offset: info.Size, receipt: &receipt}, err
}

// receipt answers with the receipt of a record that this station sent.
func (c *Central) receipt(w http.ResponseWriter, r *http.Request, who station) error {
	unknown := refusal(http.StatusNotFound, "unknown-record", "no record of this station has that id", "send it")
	rec, err := record.ParseID(r.PathValue("id"))
	if err != nil {
		return unknown
	}
	signed, d, err := c.loadDocket(rec)
	if errors.Is(err, os.ErrNotExist) || err == nil && (d.Station != who.Name || d.Centre != who.Centre) {
		return unknown
	}
	if err != nil {
		return err
	}
	receipt, err := c.stored(signed, d)
	if err != nil {
		return err
	}
	if receipt == nil {
		return unknown
	}
	setReceipt(w, *receipt)
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(receipt.JSON)
	if err != nil && !errors.Is(err, io.ErrClosedPipe) {
		c.log().Debug("answering", "err", err)
	}
	return nil
}
