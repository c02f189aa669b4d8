package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"loket/kiosk/biometric"
)

const (
	supervised  = "nl-residence-permit"
	selfService = "nl-residence-permit-self-service"
)

func on(t testing.TB, day string) time.Time {
	t.Helper()
	d, err := time.Parse(time.DateOnly, day)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func load(t testing.TB, id string) Policy {
	t.Helper()
	p, err := LoadPolicy(id)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// edited parses a built-in policy with one piece of its text replaced.
func edited(t testing.TB, id, before, after string) (Policy, error) {
	t.Helper()
	data, err := os.ReadFile("policies/" + id + ".json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte(before)) {
		t.Fatalf("the policy does not hold %q", before)
	}
	return Parse(bytes.Replace(data, []byte(before), []byte(after), 1))
}

func steps(p Plan) string {
	var all []string
	for _, s := range p.Steps {
		text := s.ID
		for _, f := range s.Want {
			text += " " + f.String()
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

func reasons(p Plan) []string {
	all := []string{}
	for _, r := range p.Reasons {
		all = append(all, r.String())
	}
	return all
}

func TestBuiltInPoliciesNameThemselvesByTheDigestOfTheirFile(t *testing.T) {
	if got := Policies(); !slices.Equal(got, []string{"device-test", "identity-document-live", selfService, supervised, "nl-ten-print-thumbs-apart", "nl-ten-print"}) {
		t.Fatalf("built in are %v", got)
	}
	for _, id := range Policies() {
		data, err := os.ReadFile("policies/" + id + ".json")
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		if p := load(t, id); p.Digest() != hex.EncodeToString(sum[:]) || p.ID != id {
			t.Errorf("%s: digest %s, id %s", id, p.Digest(), p.ID)
		}
	}
	if _, err := LoadPolicy("../policy"); err == nil || !strings.Contains(err.Error(), "hint:") {
		t.Errorf("an unknown policy gives %v", err)
	}
}

func TestWhatIsOwedFollowsFromAgeLetterAndFile(t *testing.T) {
	all := []biometric.Modality{biometric.Face, biometric.Finger, biometric.Signature}
	faceAndFingers := all[:2]
	held := func(m biometric.Modality, f biometric.FingerPosition, day string) OnFile {
		o := OnFile{Modality: m, Position: f, Source: "register"}
		if day != "" {
			o.Date = on(t, day)
		}
		return o
	}
	for _, c := range []struct {
		name, born, today string
		asked             []biometric.Modality
		onFile            []OnFile
		steps             string
		because           []string // among the reasons
	}{
		{"an adult with nothing on file owes all", "1990-05-04", "2026-03-10", all, []OnFile{},
			"face, fingers right-index left-index, signature", []string{"face: owed", "finger right-index: owed"}},
		{"the letter decides", "1990-05-04", "2026-03-10", faceAndFingers, []OnFile{}, "face, fingers right-index left-index", []string{"signature: not-asked"}},
		{"without a letter the policy decides", "1990-05-04", "2026-03-10", nil, nil,
			"face, fingers right-index left-index, signature", []string{"letter-unknown", "on-file-unknown"}},
		{"a letter that asks for nothing", "1990-05-04", "2026-03-10", []biometric.Modality{}, []OnFile{}, "", []string{"face: not-asked"}},

		{"the day before the sixth birthday", "2020-03-11", "2026-03-10", faceAndFingers, []OnFile{}, "face", []string{"finger: age-exempt 6"}},
		{"the sixth birthday", "2020-03-10", "2026-03-10", faceAndFingers, []OnFile{}, "face, fingers right-index left-index", nil},
		{"the day before the first birthday", "2025-03-11", "2026-03-10", faceAndFingers, []OnFile{}, "", []string{"face: photo-by-form 1"}},
		{"the first birthday", "2025-03-10", "2026-03-10", faceAndFingers, []OnFile{}, "face", nil},
		{"the day before the twelfth birthday", "2014-03-11", "2026-03-10", all, []OnFile{}, "face, fingers right-index left-index", []string{"signature: below-signing-age 12"}},
		{"the twelfth birthday", "2014-03-10", "2026-03-10", all, []OnFile{}, "face, fingers right-index left-index, signature", nil},
		{"born today", "2026-03-10", "2026-03-10", faceAndFingers, []OnFile{}, "", nil},

		{"born on a leap day, 28 February of a common year", "2020-02-29", "2026-02-28", faceAndFingers, []OnFile{}, "face", nil},
		{"born on a leap day, 1 March of a common year", "2020-02-29", "2026-03-01", faceAndFingers, []OnFile{}, "face, fingers right-index left-index", nil},
		{"born on a leap day, twelfth birthday in a leap year", "2012-02-29", "2024-02-29", all, []OnFile{}, "face, fingers right-index left-index, signature", nil},
		{"born on a leap day, the day before", "2012-02-29", "2024-02-28", all, []OnFile{}, "face, fingers right-index left-index", nil},

		{"a photograph of yesterday serves", "1990-05-04", "2026-03-10", faceAndFingers, []OnFile{held(biometric.Face, 0, "2026-03-09")},
			"fingers right-index left-index", []string{"face: on-file 2026-03-09"}},
		{"one day less than six months ago", "1990-05-04", "2026-03-09", faceAndFingers, []OnFile{held(biometric.Face, 0, "2025-09-10")}, "fingers right-index left-index", nil},
		{"six months ago to the day", "1990-05-04", "2026-03-10", faceAndFingers, []OnFile{held(biometric.Face, 0, "2025-09-10")},
			"face, fingers right-index left-index", []string{"face: on-file-too-old 2025-09-10"}},
		{"six months after 31 August end in February", "1990-05-04", "2026-02-27", faceAndFingers, []OnFile{held(biometric.Face, 0, "2025-08-31")}, "fingers right-index left-index", nil},
		{"and are over on its last day", "1990-05-04", "2026-02-28", faceAndFingers, []OnFile{held(biometric.Face, 0, "2025-08-31")}, "face, fingers right-index left-index", nil},
		{"or on 29 February of a leap year", "1990-05-04", "2028-02-28", faceAndFingers, []OnFile{held(biometric.Face, 0, "2027-08-31")}, "fingers right-index left-index", nil},

		{"fingers on file as a whole", "1990-05-04", "2026-03-10", faceAndFingers, []OnFile{held(biometric.Finger, 0, "2026-01-01")}, "face", []string{"finger left-index: on-file 2026-01-01"}},
		{"one finger on file", "1990-05-04", "2026-03-10", faceAndFingers, []OnFile{held(biometric.Finger, biometric.RightIndex, "2026-01-01")}, "face, fingers left-index", nil},
		{"an undated sample never serves", "1990-05-04", "2026-03-10", faceAndFingers, []OnFile{held(biometric.Face, 0, "")}, "face, fingers right-index left-index", []string{"face: on-file-undated"}},
		{"a sample of tomorrow is not believed", "1990-05-04", "2026-03-10", faceAndFingers, []OnFile{held(biometric.Face, 0, "2026-03-11")},
			"face, fingers right-index left-index", []string{"face: on-file-in-future 2026-03-11"}},
		{"of two the fresh one counts", "1990-05-04", "2026-03-10", faceAndFingers,
			[]OnFile{held(biometric.Face, 0, "2020-01-01"), held(biometric.Face, 0, "2026-01-01"), held(biometric.Face, 0, "2026-12-01")}, "fingers right-index left-index", nil},

		{"the twelfth birthday since", "2014-03-10", "2026-03-10", faceAndFingers, []OnFile{held(biometric.Face, 0, "2026-03-09")},
			"face, fingers right-index left-index", []string{"face: on-file-before-age 12 2026-03-09"}},
		{"the eighteenth birthday since", "2008-03-10", "2026-03-10", faceAndFingers, []OnFile{held(biometric.Finger, 0, "2026-03-09")},
			"face, fingers right-index left-index", []string{"finger right-index: on-file-before-age 18 2026-03-09"}},
		{"taken on the birthday itself", "2008-03-10", "2026-03-11", faceAndFingers, []OnFile{held(biometric.Face, 0, "2026-03-10")}, "fingers right-index left-index", nil},
		{"a birthday that asks for nothing", "2009-03-10", "2026-03-10", faceAndFingers, []OnFile{held(biometric.Face, 0, "2026-03-09")}, "fingers right-index left-index", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Make(load(t, supervised), Subject{BirthDate: on(t, c.born), Asked: c.asked, OnFile: c.onFile}, on(t, c.today))
			if err != nil {
				t.Fatal(err)
			}
			if got := steps(p); got != c.steps {
				t.Errorf("owed is %q, not %q\n%v", got, c.steps, reasons(p))
			}
			for _, r := range c.because {
				if !slices.Contains(reasons(p), r) {
					t.Errorf("no reason %q among %q", r, reasons(p))
				}
			}
			if err := p.Ledger.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLedgerTellsOwedOnFileAndExemptApart(t *testing.T) {
	fresh := []OnFile{
		{Modality: biometric.Finger, Position: biometric.RightIndex, Date: on(t, "2026-03-01")},
		{Modality: biometric.Finger, Position: biometric.LeftThumb, Date: on(t, "2026-03-01")},
		{Modality: biometric.Finger, Position: biometric.LeftRing, Date: on(t, "2020-03-01")},
	}
	want := func(age string, lines map[biometric.FingerPosition]biometric.Reason) {
		t.Helper()
		p, err := Make(load(t, supervised), Subject{BirthDate: on(t, age), OnFile: fresh}, on(t, "2026-03-10"))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range p.Ledger {
			expected := lines[e.Position]
			if expected == "" {
				expected = biometric.NotOwed
			}
			if e.Reason != expected {
				t.Errorf("born %s: %v is %q, not %q", age, e.Position, e.Reason, expected)
			}
		}
	}
	want("1990-01-01", map[biometric.FingerPosition]biometric.Reason{
		biometric.RightIndex: biometric.OnFile, biometric.LeftIndex: biometric.Owed, biometric.LeftThumb: biometric.OnFile})
	want("2024-01-01", map[biometric.FingerPosition]biometric.Reason{
		biometric.RightIndex: biometric.AgeExempt, biometric.LeftIndex: biometric.AgeExempt, biometric.LeftThumb: biometric.OnFile})
}

func TestArticleOutOfForceTakesAwayWhatItCovers(t *testing.T) {
	article := `"covers": ["face", "finger"],
      "in_force": true`
	p, err := edited(t, supervised, article, strings.Replace(article, "true", "false", 1))
	if err != nil {
		t.Fatal(err)
	}
	made, err := Make(p, Subject{BirthDate: on(t, "1990-01-01")}, on(t, "2026-03-10"))
	if err != nil {
		t.Fatal(err)
	}
	if steps(made) != "signature" {
		t.Errorf("owed is %q", steps(made))
	}
	for _, r := range []string{"face: legal-basis-off vw-2000-106a", "finger: legal-basis-off vw-2000-106a"} {
		if !slices.Contains(reasons(made), r) {
			t.Errorf("no reason %q among %q", r, reasons(made))
		}
	}
	if strings.Contains(made.Policy.LegalBasis, "106a") {
		t.Errorf("an article out of force is given as legal basis: %s", made.Policy.LegalBasis)
	}
	if made.Policy.Digest == load(t, supervised).Digest() {
		t.Error("the change does not show in the digest")
	}
}

func TestStepsCarryTheRulesOfTheirPolicy(t *testing.T) {
	find := func(id, step string) Step {
		p, err := Make(load(t, id), Subject{BirthDate: on(t, "1990-01-01")}, on(t, "2026-03-10"))
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(p.Steps, func(s Step) bool { return s.ID == step })
		return p.Steps[i]
	}
	s := find(supervised, "fingers")
	if s.Rules.Attempts != 3 || s.Limit() != 0 || s.Rules.PresentationAttack != PADRejects || s.Lossless ||
		*s.Compression != (CompressionRule{Format: "wsq", Rate: 0.75, LeastRatio: 10, MostRatio: 20}) {
		t.Errorf("supervised: %+v", s.Rules)
	}
	if got := s.Fallback[biometric.LeftIndex]; !slices.Equal(got, []biometric.FingerPosition{biometric.LeftThumb, biometric.LeftMiddle, biometric.LeftRing}) {
		t.Errorf("instead of the left index come %v", got)
	}
	if s.Thresholds[biometric.RightIndex] != 30 || s.Thresholds[biometric.LeftMiddle] != 20 || s.Thresholds[biometric.LeftLittle] != 10 {
		t.Errorf("thresholds: %v", s.Thresholds)
	}
	s = find(selfService, "fingers")
	if s.Rules.Attempts != 0 || s.Limit() != 30*time.Second || s.Rules.PresentationAttack != PADEnds || s.Fallback != nil {
		t.Errorf("self-service: %+v", s)
	}
}

func TestPlansAreMadeOfKnownPeopleOnly(t *testing.T) {
	p := load(t, supervised)
	for name, s := range map[string]Subject{
		"no birth date":    {},
		"born tomorrow":    {BirthDate: on(t, "2026-03-11")},
		"unknown modality": {BirthDate: on(t, "1990-01-01"), Asked: []biometric.Modality{"iris"}},
	} {
		if _, err := Make(p, s, on(t, "2026-03-10")); err == nil {
			t.Errorf("%s: a plan was made", name)
		}
	}
	if _, err := Make(Policy{}, Subject{BirthDate: on(t, "1990-01-01")}, on(t, "2026-03-10")); err == nil {
		t.Error("a plan was made of a policy that nobody parsed")
	}
}

func TestTheDayIsThatOfTheStation(t *testing.T) {
	amsterdam := time.FixedZone("CET", 3600)
	midnight := time.Date(2026, 3, 10, 0, 30, 0, 0, amsterdam)
	p, err := Make(load(t, supervised), Subject{BirthDate: on(t, "2020-03-10")}, midnight)
	if err != nil {
		t.Fatal(err)
	}
	if p.Day != "2026-03-10" || !strings.Contains(steps(p), "fingers") {
		t.Errorf("on %s owed is %q", p.Day, steps(p))
	}
}

func TestAgeCountsBirthdays(t *testing.T) {
	for _, c := range []struct {
		born, day string
		age       int
	}{
		{"2000-02-29", "2018-02-28", 17}, {"2000-02-29", "2018-03-01", 18}, {"2000-02-29", "2004-02-29", 4}, {"2000-02-29", "2004-02-28", 3},
		{"2000-12-31", "2001-12-30", 0}, {"2000-12-31", "2001-12-31", 1}, {"2000-01-01", "2000-01-01", 0}, {"1900-03-01", "2000-02-29", 99},
	} {
		if got := Age(on(t, c.born), on(t, c.day)); got != c.age {
			t.Errorf("born %s, on %s: %d, not %d", c.born, c.day, got, c.age)
		}
	}
}

func TestContradictoryPoliciesAreRefused(t *testing.T) {
	for _, c := range []struct{ id, before, after, says string }{
		{supervised, `"supervised": true`, `"supervised": false`, "time limit"},
		{selfService, `"supervised": false`, `"supervised": true`, "attempts"},
		{selfService, `"verification": "always"`, `"verification": "none"`, "counter"},
		{selfService, `"presentation_attack": "end"`, `"presentation_attack": "reject"`, "ends the capture"},
		{selfService, `"lossless": false`, `"lossless": false, "fallback": ["thumb"]`, "supervised"},
		{selfService, `"lossless": false`, `"lossless": true`, "one of the two"},
		{supervised, `"compression": {"format": "wsq", "rate": 0.75, "least_ratio": 10, "most_ratio": 20},`, ``, "one of the two"},
		{supervised, `"most_ratio": 20`, `"most_ratio": 10`, "not below"},
		{supervised, `"most_ratio": 20`, `"most_ratio": 21`, "10:1 to 20:1"},
		{supervised, `"least_ratio": 10`, `"least_ratio": 9.9`, "10:1 to 20:1"},
		{supervised, `"format": "wsq"`, `"format": "jpeg"`, "format"},
		{supervised, `"warning_seconds": 30`, `"warning_seconds": 19`, "warning_seconds"},
		{supervised, `"extensions": 10`, `"extensions": 9`, "extensions"},
		{supervised, `"warning_seconds": 30`, `"warning_seconds": 100`, "warning"},
		{supervised, `["right-index", "left-index"]`, `["right-index", "right-index"]`, "want"},
		{supervised, `["right-index", "left-index"]`, `["right-toe"]`, "want"},
		{supervised, `"groups": [`, `"groups": [{"id": "fingers", "want": ["left-ring"], "best": "each"}, `, "called"},
		{supervised, `"groups": [`, `"groups": [{"id": "more", "want": ["left-index"], "best": "each"}, `, "twice"},
		{supervised, `"order": ["face", "finger", "signature"]`, `"order": ["face", "finger"]`, "order"},
		{supervised, `"min_width": 600`, `"min_width": 6000`, "smallest"},
		{supervised, `"retention_days": 90`, `"retention_days": 0`, "retention_days"},
		{supervised, `"review": true`, `"review": true, "formula": "age > 6"`, "formula"},
		{supervised, `"id": "nl-residence-permit"`, `"ID": "x", "id": "nl-residence-permit"`, "ID"},
		{supervised, `"covers": ["face", "finger", "signature"]`, `"covers": ["face", "finger"]`, "no legal basis"},
	} {
		if _, err := edited(t, c.id, c.before, c.after); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s with %s: %v, which does not speak of %q", c.id, c.after, err, c.says)
		}
	}
	for _, data := range []string{"", "null", "[]", "{}", `{"id": 3}`, strings.Repeat("[", 20000), strings.Repeat(" ", MaxPolicyBytes+1)} {
		if _, err := Parse([]byte(data)); err == nil {
			t.Errorf("%.10q was parsed", data)
		}
	}
}

// subjects draws people, letters and files.
func subjects(t *rapid.T) (Subject, time.Time) {
	today := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC).AddDate(0, 0, rapid.IntRange(0, 3000).Draw(t, "day"))
	s := Subject{BirthDate: today.AddDate(0, 0, -rapid.IntRange(0, 40000).Draw(t, "age in days"))}
	s.Asked = rapid.SliceOfDistinct(rapid.SampledFrom([]biometric.Modality{biometric.Face, biometric.Finger, biometric.Signature}), rapid.ID).Draw(t, "asked")
	for range rapid.IntRange(0, 4).Draw(t, "on file") {
		o := OnFile{Modality: rapid.SampledFrom([]biometric.Modality{biometric.Face, biometric.Finger, biometric.Signature}).Draw(t, "modality")}
		o.Position = biometric.FingerPosition(rapid.IntRange(0, 10).Draw(t, "position"))
		o.Date = today.AddDate(0, 0, -rapid.IntRange(-10, 400).Draw(t, "days ago"))
		s.OnFile = append(s.OnFile, o)
	}
	return s, today
}

func TestPlansAreDeterministicAndAgreeWithTheirLedger(t *testing.T) {
	policies := []Policy{load(t, supervised), load(t, selfService)}
	rapid.Check(t, func(t *rapid.T) {
		s, today := subjects(t)
		p := rapid.SampledFrom(policies).Draw(t, "policy")
		a, err := Make(p, s, today)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := Make(p, s, today)
		first, _ := json.Marshal(a)
		second, _ := json.Marshal(b)
		if !bytes.Equal(first, second) {
			t.Fatal("two plans of one person differ")
		}
		var back Plan
		if err := json.Unmarshal(first, &back); err != nil || !reflect.DeepEqual(a, back) {
			t.Fatalf("the plan does not survive JSON: %v", err)
		}
		owed := map[biometric.FingerPosition]bool{}
		for _, step := range a.Steps {
			for _, f := range step.Want {
				owed[f] = true
			}
		}
		for _, e := range a.Ledger {
			if owed[e.Position] != (e.Reason == biometric.Owed) {
				t.Fatalf("%v is %q, and wanted is %v", e.Position, e.Reason, owed)
			}
		}
		if len(a.Reasons) == 0 {
			t.Fatal("a plan without a reason")
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, id := range Policies() {
		data, err := os.ReadFile("policies/" + id + ".json")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"id":"x"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse(data)
		if err != nil {
			return
		}
		for _, born := range []string{"1990-01-01", "2025-12-01", "2020-02-29"} {
			made, err := Make(p, Subject{BirthDate: on(t, born)}, on(t, "2026-03-10"))
			if err != nil {
				t.Fatalf("a policy that was parsed makes no plan: %v", err)
			}
			if err := made.Ledger.Check(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func ExampleReason_String() {
	fmt.Println(Reason{Code: CodeOnFileStale, Modality: biometric.Finger, Position: biometric.RightIndex, Date: "2025-09-10"})
	// Output: finger right-index: on-file-too-old 2025-09-10
}

func TestWhatFollowsAFingerInTwoPlacesDependsOnWhoStandsThere(t *testing.T) {
	for id, swap := range map[string][2]string{
		"nl-residence-permit":              {`"uniqueness": "reject"`, `"uniqueness": "restart"`},
		"nl-residence-permit-self-service": {`"uniqueness": "restart"`, `"uniqueness": "reject"`},
	} {
		data, err := policyFiles.ReadFile("policies/" + id + ".json")
		if err != nil {
			t.Fatal(err)
		}
		if p, err := Parse(data); err != nil || p.Finger.Slaps != SlapsChecked {
			t.Errorf("%s: %v", id, err)
		}
		for _, to := range []string{swap[1], `"fallback": []`} {
			if _, err := Parse(bytes.Replace(data, []byte(swap[0]), []byte(to), 1)); err == nil {
				t.Errorf("%s with %s is taken", id, to)
			}
		}
	}
}
