package synth

import (
	"math"
)

// vec is a direction or a place: x to the viewer's right, y up, z towards the camera. Lengths are millimetres.
type vec struct{ x, y, z float32 }

func (a vec) add(b vec) vec            { return vec{a.x + b.x, a.y + b.y, a.z + b.z} }
func (a vec) sub(b vec) vec            { return vec{a.x - b.x, a.y - b.y, a.z - b.z} }
func (a vec) times(s float32) vec      { return vec{a.x * s, a.y * s, a.z * s} }
func (a vec) dot(b vec) float32        { return a.x*b.x + a.y*b.y + a.z*b.z }
func (a vec) mix(b vec, t float32) vec { return a.add(b.sub(a).times(t)) }

func (a vec) cross(b vec) vec {
	return vec{a.y*b.z - a.z*b.y, a.z*b.x - a.x*b.z, a.x*b.y - a.y*b.x}
}

func (a vec) unit() vec {
	n := sqrt(a.dot(a))
	if n == 0 {
		return vec{0, 0, 1}
	}
	return a.times(1 / n)
}

// turn is a rotation.
type turn struct{ a, b, c vec } // rows

// newTurn rotates by yaw (to the viewer's right), pitch (up) and roll (clockwise as seen), in degrees.
func newTurn(yaw, pitch, roll float64) turn {
	sy, cy := math.Sincos(radians(yaw))
	sp, cp := math.Sincos(radians(-pitch))
	sr, cr := math.Sincos(radians(-roll))
	f := func(x, y, z float64) vec { return vec{float32(x), float32(y), float32(z)} }
	aboutY := turn{f(cy, 0, sy), f(0, 1, 0), f(-sy, 0, cy)}
	aboutX := turn{f(1, 0, 0), f(0, cp, -sp), f(0, sp, cp)}
	aboutZ := turn{f(cr, -sr, 0), f(sr, cr, 0), f(0, 0, 1)}
	return aboutZ.after(aboutX.after(aboutY))
}

func (t turn) apply(v vec) vec { return vec{t.a.dot(v), t.b.dot(v), t.c.dot(v)} }

// after returns the rotation that does u first and then t.
func (t turn) after(u turn) turn {
	x, y, z := vec{u.a.x, u.b.x, u.c.x}, vec{u.a.y, u.b.y, u.c.y}, vec{u.a.z, u.b.z, u.c.z}
	row := func(r vec) vec { return vec{r.dot(x), r.dot(y), r.dot(z)} }
	return turn{row(t.a), row(t.b), row(t.c)}
}

// vertex is a point of a surface: where it is on the screen, where it was before the head moved (what the paint goes by),
// and which way the surface faces.
type vertex struct {
	x, y, z      float32 // px, px, mm from the camera
	rest, normal vec
}

// mesh is a surface of cols by rows points.
type mesh struct {
	cols, rows int
	points     []vertex
	paint      paint
}

// paint is the material of a surface.
type paint interface {
	// covers reports whether the surface is there at all, at a point at rest.
	covers(rest vec) bool
	// inside reports whether the surface is seen from within, too.
	inside() bool
	// colour returns the light (linear red, green, blue) that comes from a point.
	colour(rest, normal vec) vec
}

// lens projects places to pixels.
type lens struct {
	focal, cx, cy, distance float32
}

func (l lens) project(p vec) (x, y, z float32) {
	z = l.distance - p.z
	return l.cx + l.focal*p.x/z, l.cy - l.focal*p.y/z, z
}

// newMesh samples a surface given by at over the unit square, moves it, and works out its normals.
func newMesh(cols, rows int, at func(u, v float32) vec, move func(vec) vec, l lens, paint paint) *mesh {
	m := &mesh{cols: cols, rows: rows, points: make([]vertex, cols*rows), paint: paint}
	placed := make([]vec, cols*rows)
	for i := range m.points {
		u, v := float32(i%cols)/float32(cols-1), float32(i/cols)/float32(rows-1)
		rest := at(u, v)
		p := move(rest)
		placed[i] = p
		x, y, z := l.project(p)
		m.points[i] = vertex{x: x, y: y, z: z, rest: rest}
	}
	for i := range m.points {
		c, r := i%cols, i/cols
		along := placed[r*cols+min(c+1, cols-1)].sub(placed[r*cols+max(c-1, 0)])
		down := placed[min(r+1, rows-1)*cols+c].sub(placed[max(r-1, 0)*cols+c])
		m.points[i].normal = down.cross(along).unit()
	}
	return m
}

// hit is what a pixel sees.
type hit struct {
	z            float32 // mm; zero for nothing
	paint        paint
	rest, normal vec
}

// band is some rows of the picture while surfaces are drawn into it.
type band struct {
	w, top, h int
	hits      []hit
}

// draw lays a mesh over what is there, nearer points before farther ones. dx and dy move the picture by parts of a pixel.
func (b *band) draw(m *mesh, dx, dy float32) {
	for r := range m.rows - 1 {
		for c := range m.cols - 1 {
			i := r*m.cols + c
			p, q := &m.points[i], &m.points[i+1]
			s, t := &m.points[i+m.cols], &m.points[i+m.cols+1]
			lo, hi := min(p.y, q.y, s.y, t.y)+dy, max(p.y, q.y, s.y, t.y)+dy
			if hi < float32(b.top) || lo > float32(b.top+b.h) {
				continue
			}
			b.triangle(m.paint, p, s, q, dx, dy)
			b.triangle(m.paint, q, s, t, dx, dy)
		}
	}
}

// triangle draws a triangle: the side that faces the camera, or both where its paint can be seen from within.
func (b *band) triangle(paint paint, p, q, r *vertex, dx, dy float32) {
	area := (q.x-p.x)*(r.y-p.y) - (r.x-p.x)*(q.y-p.y)
	if area == 0 || area > 0 && !paint.inside() || p.z < 1 || q.z < 1 || r.z < 1 {
		return
	}
	x0 := max(int(floor(min(p.x, q.x, r.x)+dx)), 0)
	x1 := min(int(floor(max(p.x, q.x, r.x)+dx))+1, b.w)
	y0 := max(int(floor(min(p.y, q.y, r.y)+dy)), b.top)
	y1 := min(int(floor(max(p.y, q.y, r.y)+dy))+1, b.top+b.h)
	for y := y0; y < y1; y++ {
		for x := x0; x < x1; x++ {
			px, py := float32(x)-dx, float32(y)-dy
			wp := ((q.x-px)*(r.y-py) - (r.x-px)*(q.y-py)) / area
			wq := ((r.x-px)*(p.y-py) - (p.x-px)*(r.y-py)) / area
			wr := 1 - wp - wq
			if wp < 0 || wq < 0 || wr < 0 {
				continue
			}
			z := wp*p.z + wq*q.z + wr*r.z
			at := &b.hits[(y-b.top)*b.w+x]
			if at.paint != nil && at.z <= z {
				continue
			}
			rest := p.rest.times(wp).add(q.rest.times(wq)).add(r.rest.times(wr))
			if !paint.covers(rest) {
				continue
			}
			normal := p.normal.times(wp).add(q.normal.times(wq)).add(r.normal.times(wr))
			if area > 0 { // seen from within
				normal = normal.times(-1)
			}
			*at = hit{z: z, paint: paint, rest: rest, normal: normal}
		}
	}
}
