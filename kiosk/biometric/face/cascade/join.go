package cascade

import (
	"image"
)

// alike is how far two hits may lie apart, in parts of their size, and still be of one object.
const alike = 0.2

// join makes one object of hits that lie close, and drops objects of too few hits and those within a surer one.
func join(hits []image.Rectangle, neighbours int) []Object {
	if neighbours < 0 {
		out := make([]Object, len(hits))
		for i, r := range hits {
			out[i] = Object{r, 1}
		}
		return out
	}
	means := average(hits)
	var out []Object
	for i, o := range means {
		if o.Hits > neighbours && !overruled(means, i, neighbours) {
			out = append(out, o)
		}
	}
	return out
}

// average joins hits that are alike, directly or by others between them, and gives their mean rectangles.
func average(hits []image.Rectangle) []Object {
	parent := make([]int, len(hits))
	for i := range parent {
		parent[i] = i
	}
	root := func(i int) int {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	for i := range hits {
		for j := range i {
			if near(hits[i], hits[j]) {
				parent[root(i)] = root(j)
			}
		}
	}
	sums, at := []Object{}, map[int]int{}
	for i, r := range hits {
		k, ok := at[root(i)]
		if !ok {
			k = len(sums)
			at[root(i)] = k
			sums = append(sums, Object{})
		}
		s := &sums[k]
		s.Min, s.Max, s.Hits = s.Min.Add(r.Min), s.Max.Add(r.Size()), s.Hits+1
	}
	for i := range sums {
		s := &sums[i]
		part := 1 / float32(s.Hits)
		mean := func(v int) int { return round(float64(float32(v) * part)) }
		s.Min = image.Pt(mean(s.Min.X), mean(s.Min.Y))
		s.Max = s.Min.Add(image.Pt(mean(s.Max.X), mean(s.Max.Y)))
	}
	return sums
}

func near(a, b image.Rectangle) bool {
	slack := alike * float64(min(a.Dx(), b.Dx())+min(a.Dy(), b.Dy())) / 2
	close := func(p, q int) bool { return float64(max(p-q, q-p)) <= slack }
	return close(a.Min.X, b.Min.X) && close(a.Min.Y, b.Min.Y) && close(a.Max.X, b.Max.X) && close(a.Max.Y, b.Max.Y)
}

// overruled reports whether object i lies within another with more hits.
func overruled(all []Object, i, neighbours int) bool {
	o := all[i]
	for j, other := range all {
		if j == i || other.Hits <= neighbours || !(other.Hits > max(3, o.Hits) || o.Hits < 3) {
			continue
		}
		dx, dy := round(float64(other.Dx())*alike), round(float64(other.Dy())*alike)
		if o.In(image.Rect(other.Min.X-dx, other.Min.Y-dy, other.Max.X+dx, other.Max.Y+dy)) {
			return true
		}
	}
	return false
}
