package synth

import (
	"reflect"
	"testing"
)

func TestASignatureStaysInItsFieldAndBelongsToItsPerson(t *testing.T) {
	for who := range Person(200) {
		last := 0.0
		for _, s := range who.Scribble() {
			for _, p := range s {
				if p.X < 0 || p.X > ScribbleWidth || p.Y < 0 || p.Y > ScribbleHeight || p.T < last || p.Force <= 0 || p.Force > 1 {
					t.Fatalf("person %d: %+v", who, p)
				}
				last = p.T
			}
		}
	}
	if !reflect.DeepEqual(Person(3).Scribble(), Person(3).Scribble()) || reflect.DeepEqual(Person(3).Scribble(), Person(4).Scribble()) {
		t.Error("signatures change, or two people have the same")
	}
}
