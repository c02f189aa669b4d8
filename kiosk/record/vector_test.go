package record_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"loket/kiosk/identity"
	"loket/kiosk/record"
	"loket/kiosk/record/recordtest"
)

var update = flag.Bool("update", false, "write testdata/vectors anew, with new keys")

const vectors = "testdata/vectors"

// fixed signs the same bytes with the same signature (RFC 6979), so that vectors stay as they are.
type fixed struct{ *ecdsa.PrivateKey }

func (f fixed) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return f.PrivateKey.Sign(nil, digest, opts)
}

// vectorKey reads a key of the vectors.
func vectorKey(t *testing.T, name string) *ecdsa.PrivateKey {
	t.Helper()
	block, _ := pem.Decode(vector(t, name))
	if block == nil {
		t.Fatalf("%s is not PEM", name)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*ecdsa.PrivateKey)
}

func vector(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(vectors, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestTheVectorsOfTheSpecificationHold(t *testing.T) {
	if *update {
		updateVectors(t)
	}
	station, receipts := vectorKey(t, "station.key"), vectorKey(t, "receipts.key")
	ids, err := age.ParseIdentities(bytes.NewReader(vector(t, "service.age")))
	if err != nil {
		t.Fatal(err)
	}
	sealed := vector(t, "record.age")
	r, err := record.Open(bytes.NewReader(sealed), ids, &station.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	r.Signer = fixed{station}
	if got := written(t, r); !bytes.Equal(got, vector(t, "record.tar")) {
		t.Error("the record is not written as the vector says")
	}
	docket, err := record.SignedDocket{JSON: vector(t, "docket.json"), Sig: vector(t, "docket.json.sig")}.Verify(&station.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(sealed); docket.Record != record.ID(hex.EncodeToString(sum[:])) || docket.Size != int64(len(sealed)) {
		t.Error("the docket is not of the sealed record")
	}
	if err := record.Agree(docket, r.Manifest); err != nil {
		t.Error(err)
	}
	receipt := record.SignedReceipt{JSON: vector(t, "receipt.json"), Sig: vector(t, "receipt.json.sig")}
	if _, err := receipt.Verify([]*ecdsa.PublicKey{&receipts.PublicKey}, docket); err != nil {
		t.Error(err)
	}
}

// follows validates a document against one of the published schemas.
func follows(t *testing.T, name string, data []byte, change func(map[string]any)) error {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	schema, err := c.Compile("../../docs/schema/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(doc.(map[string]any))
	}
	return schema.Validate(doc)
}

func TestWhatIsWrittenFollowsItsSchema(t *testing.T) {
	for name, data := range map[string][]byte{
		"manifest": member(t, vector(t, "record.tar"), "manifest.json"), "docket": vector(t, "docket.json"), "receipt": vector(t, "receipt.json"),
	} {
		if err := follows(t, name, data, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := follows(t, name, data, func(m map[string]any) { m["surname"] = "x" }); err == nil {
			t.Errorf("the schema of %s allows a field that it does not name", name)
		}
	}
}

func TestASparseManifestFollowsItsSchemaToo(t *testing.T) {
	m := recordtest.Manifest(2)
	m.Attempts, m.Outcomes, m.Devices, m.Subject.BirthDate = nil, nil, nil, ""
	for i := range m.Ledger {
		m.Ledger[i].Reason, m.Ledger[i].Quality = "not-owed", nil
	}
	data, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := follows(t, "manifest", data, nil); err != nil {
		t.Error(err)
	}
	if data[len(data)-1] != '\n' {
		t.Error("no newline at the end")
	}
}

// updateVectors makes all vectors anew.
func updateVectors(t *testing.T) {
	t.Helper()
	if err := os.MkdirAll(vectors, 0o755); err != nil {
		t.Fatal(err)
	}
	recipients, ids := recordtest.Recipients(t)
	station, receipts := recordtest.Key(t), recordtest.Key(t)
	for name, key := range map[string]*ecdsa.PrivateKey{"station": station, "receipts": receipts} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		write(t, vectors, name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
		write(t, vectors, name+".pub", publicPEM(t, key))
	}
	write(t, vectors, "service.age", []byte(ids[0].(*age.HybridIdentity).String()+"\n"))
	r := recordtest.Record(1, 100, fixed{station})
	write(t, vectors, "record.tar", written(t, r))
	var b bytes.Buffer
	if err := (record.AgeSealer{Recipients: recipients}).Seal(&b, r); err != nil {
		t.Fatal(err)
	}
	write(t, vectors, "record.age", b.Bytes())
	sum := sha256.Sum256(b.Bytes())
	d := r.Manifest.Docket(record.ID(hex.EncodeToString(sum[:])), int64(b.Len()), recordtest.Created())
	signed, err := d.Sign(fixed{station})
	if err != nil {
		t.Fatal(err)
	}
	write(t, vectors, "docket.json", signed.JSON)
	write(t, vectors, "docket.json.sig", signed.Sig)
	receipt, err := d.Receipt(fixed{receipts}, recordtest.Created().Add(1500e6))
	if err != nil {
		t.Fatal(err)
	}
	write(t, vectors, "receipt.json", receipt.JSON)
	write(t, vectors, "receipt.json.sig", receipt.Sig)
	if err := identity.Verify(&station.PublicKey, signed.JSON, signed.Sig); err != nil {
		t.Fatal(err)
	}
}
