package finger

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"loket/firmware-sim/synth"
)

// forest is a site's model in its plainest form.
const forest = `{"format": "loket-finger-quality-model/1", "algorithm": "site-forest", "version": "2026-11", "trees": [
	[{"measure": "OCL_Bin10_Mean", "most": 0.8, "then": 1, "else": 2}, {"value": 20}, {"value": 80}],
	[{"value": 40}]]}`

func read(t testing.TB, text string) *Model {
	t.Helper()
	m, err := ReadModel(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestASitesModelTakesThePlaceOfOurEstimate(t *testing.T) {
	img := grown(t)[0].Impress(synth.Usual(1), 1)
	r, err := Analyser{Model: read(t, forest)}.Analyse(img, 500)
	if err != nil {
		t.Fatal(err)
	}
	q := r.Quality
	if q.Algorithm != "site-forest" || q.Version != "2026-11" || q.Score != 60 {
		t.Errorf("%d by %s, %s", q.Score, q.Algorithm, q.Version)
	}
	if len(q.Measures) != len(analyse(t, img, 500).Quality.Measures) {
		t.Error("the measures depend on the model")
	}
}

func TestTermsAreHeldAndBentAndDoubted(t *testing.T) {
	const head = `{"format": "loket-finger-quality-model/1", "algorithm": "site", "version": "1", "offset": 10, "terms": [
		{"sum": ["FDA_Bin10_0", "FDA_Bin10_1"], "over": ["LCS_Bin10_0"], "low": 0, "high": 10, "reach": 0.5, "weight": 4, "amount": true}]`
	for _, c := range []struct {
		name, rest     string
		zero, one, per float64
		score          int
	}{
		{"a sum", "}", 3, 5, 2, 26},
		{"nothing to divide by", "}", 3, 5, 0, 10},
		{"beyond its reach", "}", 40, 40, 1, 70},
		{"more than 100", `, "link": {"centre": 0, "slope": 0.1}}`, 3, 5, 2, 100},
		{"bent", `, "link": {"centre": 26, "slope": 5}}`, 3, 5, 2, 50},
		{"within what is allowed", `, "doubt": {"towards": 30, "allowed": 0.1, "half": 0.1}}`, 11, 0, 1, 54},
		{"doubted", `, "doubt": {"towards": 30, "allowed": 0.1, "half": 0.1}}`, 12, 0, 1, 44},
		{"never drawn up", `, "doubt": {"towards": 90, "allowed": 0.1, "half": 0.1}}`, 12, 0, 1, 58},
	} {
		q, err := read(t, head+c.rest).Score(map[string]float64{"FDA_Bin10_0": c.zero, "FDA_Bin10_1": c.one, "LCS_Bin10_0": c.per})
		if err != nil || q.Score != c.score {
			t.Errorf("%s: %d, %v", c.name, q.Score, err)
		}
	}
}

func TestAModelThatNeedsWhatWasNotMeasuredGivesNoScore(t *testing.T) {
	for _, m := range []*Model{read(t, forest), estimate()} {
		if q, err := m.Score(map[string]float64{"Mu": 128}); err == nil || q.Algorithm != "" {
			t.Errorf("%+v, %v", q, err)
		}
	}
}

func TestAModelThatIsNotOneIsRefusedWithItsMistake(t *testing.T) {
	for part, with := range map[string]struct{ replacement, says string }{
		`"loket-finger-quality-model/1"`: {`"loket-finger-quality-model/2"`, "format"},
		`"site-forest"`:                  {`"loket-nfiq2-estimate"`, "name of our own"},
		`"2026-11"`:                      {`""`, "need a name"},
		`"trees"`:                        {`"forest"`, "unknown field"},
		`"OCL_Bin10_Mean"`:               {`"NFIQ1"`, `no measure "NFIQ1"`},
		`"else": 2`:                      {`"else": 0`, "must come later"},
		`"then": 1`:                      {`"then": 3`, "must come later"},
		`[{"value": 40}]`:                {`[]`, "no nodes"},
		`{"value": 40}`:                  {`{"value": 1e999}`, "1e999"},
		`{"value": 20}`:                  {`{"value": 20, "then": 2}`, "without naming"},
		`"most": 0.8`:                    {`"most": 0.8, "value": 3`, "has a value"},
		`{"value": 40}]]}`:               {`{"value": 40}]]} {}`, "follows"},
		`"version"`:                      {`"link": {"centre": 1}, "version"`, "slope"},
		`"algorithm"`:                    {`"doubt": {"towards": 200, "half": 1}, "algorithm"`, "doubt"},
		`"format"`:                       {`"terms": [{"sum": [], "high": 1}], "format"`, "sums up nothing"},
		`{"format"`:                      {`{"terms": [{"sum": ["Mu"]}], "format"`, "low does not lie below"},
		forest:                           {`{"format": "loket-finger-quality-model/1", "algorithm": "a", "version": "1"}`, "neither"},
	} {
		text := strings.Replace(forest, part, with.replacement, 1)
		if _, err := ReadModel(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), with.says) || !strings.Contains(err.Error(), "(hint: ") {
			t.Errorf("%s: %v", with.replacement, err)
		}
	}
}

// endless gives a beginning, then the same again and again, and counts.
type endless struct {
	next   []byte
	repeat []byte
	given  int
}

func (e *endless) Read(p []byte) (int, error) {
	for n := 0; n < len(p); {
		if len(e.next) == 0 {
			e.next = e.repeat
		}
		some := copy(p[n:], e.next)
		e.next, n = e.next[some:], n+some
	}
	e.given += len(p)
	return len(p), nil
}

func TestAModelOfTooMuchIsRefusedBeforeItIsRead(t *testing.T) {
	const head = `{"format": "loket-finger-quality-model/1", `
	for name, c := range map[string]struct {
		begin, repeat, says string
		most                int // bytes that are read
	}{
		"nodes":             {`"trees": [[{}`, strings.Repeat(`,{}`, 1000), "nodes", 8 << 20},
		"nodes of nothing":  {`"trees": [[{}`, strings.Repeat(`,null`, 1000), "nodes", 16 << 20},
		"numbers for nodes": {`"trees": [[{}`, strings.Repeat(`,0`, 1000), "Node", 1 << 20},
		"trees":             {`"trees": [[]`, strings.Repeat(`,[]`, 1000), "trees", 1 << 20},
		"terms":             {`"terms": [{}`, strings.Repeat(`,{}`, 1000), "terms", 1 << 20},
		"a name":            {`"algorithm": "`, strings.Repeat(`x`, 1000), "MiB", MaxModelBytes + 1},
		"a member twice":    {`"offset": 0`, strings.Repeat(`, "offset": 0`, 1000), "twice", 1 << 20},
	} {
		r := &endless{next: []byte(head + c.begin), repeat: []byte(c.repeat)}
		if _, err := ReadModel(r); err == nil || !strings.Contains(err.Error(), c.says) || r.given > c.most {
			t.Errorf("%s: after %d bytes %v", name, r.given, err)
		}
	}
	long := head + `"terms": [{"sum": ["Mu"` + strings.Repeat(`,""`, maxTermBytes/3) + `]}]}`
	if _, err := ReadModel(strings.NewReader(long)); err == nil || !strings.Contains(err.Error(), "term 0 has more than") {
		t.Errorf("a long term: %v", err)
	}
}

func TestOurEstimateIsAModelToo(t *testing.T) {
	m := *estimate()
	if err := m.check(); err != nil {
		t.Fatal(err)
	}
	m.Algorithm = "copy"
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	measures := analyse(t, ridges(416, 560, 140, 90, 10), 500).Quality.Measures
	a, errA := read(t, string(data)).Score(measures)
	b, errB := estimate().Score(measures)
	if errA != nil || errB != nil || a.Score != b.Score {
		t.Errorf("%d and %d, %v, %v", a.Score, b.Score, errA, errB)
	}
}

func TestMeasuresHaveTheNamesAndTheOrderOfNFIQ2(t *testing.T) {
	t.Attr("fixtures", "fingers/synthetic")
	header, _, _ := bytes.Cut(fixture(t, "synthetic/nfiq2_measures.csv"), []byte("\n"))
	if want := "file,score,ms," + strings.Join(MeasureNames(), ","); strings.TrimSpace(string(header)) != want {
		t.Errorf("%s\nis not\n%s", want, header)
	}
}

func FuzzModel(f *testing.F) {
	f.Add([]byte(forest))
	m := *estimate()
	m.Algorithm = "copy"
	if data, err := json.Marshal(m); err == nil {
		f.Add(data)
	}
	measures := map[string]float64{}
	for i, name := range MeasureNames() {
		measures[name] = float64(i)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ReadModel(bytes.NewReader(data))
		if err != nil {
			return
		}
		q, err := m.Score(measures)
		if err == nil && (q.Score < 0 || q.Score > 100 || q.Algorithm != m.Algorithm) {
			t.Errorf("%+v", q)
		}
		if q, err := m.Score(map[string]float64{"Mu": math.NaN()}); err == nil && (q.Score < 0 || q.Score > 100) {
			t.Errorf("%+v", q)
		}
	})
}
