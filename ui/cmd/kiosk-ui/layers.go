//go:build cgo && window

package main

import (
	"errors"
	"fmt"
	"image"
	"slices"
	"strings"

	"gioui.org/gpu"
	"github.com/go-gl/gl/v3.1/gles2"

	"loket/kiosk/api"
	"loket/kiosk/biometric"
	"loket/ui"
)

// layers are what lies on the screen: the live view, and above it Gio's drawing with a hole where the view belongs. Both are
// textures, so a new frame of the camera costs one upload and a few quads.
type layers struct {
	page, camera, empty program
	skips               bool   // the decoding of the page's texture
	array               uint32 // the corners of a quad
	drawn               uint32 // the page's texture
	buffer              uint32 // through which Gio draws into it
	planes              [3]uint32
	size                image.Point // of the page's texture
	frame               image.Point // of the live view; zero where there is none
	shown               ui.Picture  // whose frame the live view holds; none until one came
}

// program draws quads.
type program struct {
	id          uint32
	place, crop int32
}

const vertexShader = `#version 300 es
layout(location = 0) in vec2 corner;
uniform vec4 place; // left, top, right, bottom in clip space
uniform vec4 crop;  // left, top, right, bottom of the live view
out vec2 at, on; // of the live view, of the page
void main() {
	on = 0.5 + 0.5 * mix(place.xy, place.zw, corner);
	gl_Position = vec4(mix(place.xy, place.zw, corner), 0.0, 1.0);
	at = mix(crop.xy, crop.zw, corner);
}`

// Colours stay as they are stored, in sRGB: to bring every pixel to linear light and back was most of a software renderer's work.
const pageShader = `
in highp vec2 on;
uniform sampler2D page;
out vec4 colour;
void main() { colour = stored(texture(page, on)); }`

// The live view is I420 by JPEG's matrix (ITU-R BT.601, full range). It has a program of its own, since a software renderer goes
// through both branches of a condition.
const cameraShader = `
in highp vec2 at, on;
uniform sampler2D page, luma, blue, red;
out vec4 colour;
void main() {
	float y = texture(luma, at).r, u = texture(blue, at).r - 0.5, v = texture(red, at).r - 0.5;
	colour = over(stored(texture(page, on)), vec3(y + 1.402 * v, y - 0.344 * u - 0.714 * v, y + 1.772 * u));
}`

// An empty place for the live view is grey.
const emptyShader = `
in highp vec2 on;
uniform sampler2D page;
out vec4 colour;
void main() { colour = over(stored(texture(page, on)), vec3(0.85)); }`

// Gio has multiplied its colours by how much they cover before they were encoded, by about the power of 1/2. The root makes up for
// that: without it a trace of cover would show.
const shaderHead = `#version 300 es
precision mediump float;
vec4 over(vec4 above, vec3 below) { return vec4(above.rgb * sqrt(above.a) + below * (1.0 - above.a), 1.0); }
`

// What a texture gives is what is stored in it where its decoding can be skipped; elsewhere it must be encoded again.
const (
	asItIs  = "vec4 stored(vec4 c) { return c; }"
	encoded = `vec4 stored(vec4 c) {
	return vec4(mix(12.92 * c.rgb, 1.055 * pow(c.rgb, vec3(1.0 / 2.4)) - 0.055, greaterThan(c.rgb, vec3(0.0031308))), c.a);
}`
)

// skipsDecoding reports whether a texture can give its colours as they are stored (EXT_texture_sRGB_decode).
func skipsDecoding() bool {
	return slices.Contains(strings.Fields(gles2.GoStr(gles2.GetString(gles2.EXTENSIONS))), "GL_EXT_texture_sRGB_decode")
}

func newLayers() (*layers, error) {
	l := &layers{skips: skipsDecoding()}
	head := shaderHead + encoded
	if l.skips {
		head = shaderHead + asItIs
	}
	for p, fragments := range map[*program]string{&l.page: pageShader, &l.camera: cameraShader, &l.empty: emptyShader} {
		var err error
		if *p, err = newProgram(head + fragments); err != nil {
			return nil, err
		}
	}
	corners := []float32{0, 0, 1, 0, 0, 1, 1, 1}
	var buffer uint32
	gles2.GenVertexArrays(1, &l.array)
	gles2.BindVertexArray(l.array)
	gles2.GenBuffers(1, &buffer)
	gles2.BindBuffer(gles2.ARRAY_BUFFER, buffer)
	gles2.BufferData(gles2.ARRAY_BUFFER, 4*len(corners), gles2.Ptr(corners), gles2.STATIC_DRAW)
	gles2.EnableVertexAttribArray(0)
	gles2.VertexAttribPointerWithOffset(0, 2, gles2.FLOAT, false, 0, 0)
	gles2.BindVertexArray(0)
	gles2.GenTextures(3, &l.planes[0])
	gles2.GenTextures(1, &l.drawn)
	gles2.GenFramebuffers(1, &l.buffer)
	return l, nil
}

// newProgram makes a program whose textures are page, luma, blue and red, as far as it uses them, in this order.
func newProgram(fragments string) (program, error) {
	id, err := link(vertexShader, fragments)
	if err != nil {
		return program{}, err
	}
	uniform := func(name string) int32 { return gles2.GetUniformLocation(id, gles2.Str(name+"\x00")) }
	gles2.UseProgram(id)
	for i, name := range []string{"page", "luma", "blue", "red"} {
		gles2.Uniform1i(uniform(name), int32(i))
	}
	return program{id, uniform("place"), uniform("crop")}, nil
}

func link(sources ...string) (uint32, error) {
	program := gles2.CreateProgram()
	for i, source := range sources {
		shader := gles2.CreateShader([]uint32{gles2.VERTEX_SHADER, gles2.FRAGMENT_SHADER}[i])
		text, free := gles2.Strs(source + "\x00")
		gles2.ShaderSource(shader, 1, text, nil)
		free()
		gles2.CompileShader(shader)
		var ok int32
		if gles2.GetShaderiv(shader, gles2.COMPILE_STATUS, &ok); ok == 0 {
			message := strings.Repeat("\x00", 1024)
			gles2.GetShaderInfoLog(shader, 1023, nil, gles2.Str(message))
			return 0, fmt.Errorf("compiling a shader: %s", strings.TrimRight(message, "\x00"))
		}
		gles2.AttachShader(program, shader)
	}
	gles2.LinkProgram(program)
	var ok int32
	if gles2.GetProgramiv(program, gles2.LINK_STATUS, &ok); ok == 0 {
		return 0, errors.New("linking the shaders failed")
	}
	return program, nil
}

// drawing hands Gio the page's texture to draw into.
func (l *layers) drawing(size image.Point, draw func(gpu.RenderTarget) error) error {
	if size != l.size {
		l.texture(0, l.drawn, gles2.SRGB8_ALPHA8, size, gles2.RGBA, gles2.NEAREST)
		if l.skips {
			gles2.TexParameteri(gles2.TEXTURE_2D, gles2.TEXTURE_SRGB_DECODE_EXT, gles2.SKIP_DECODE_EXT)
		}
		gles2.BindFramebuffer(gles2.FRAMEBUFFER, l.buffer)
		gles2.FramebufferTexture2D(gles2.FRAMEBUFFER, gles2.COLOR_ATTACHMENT0, gles2.TEXTURE_2D, l.drawn, 0)
		if s := gles2.CheckFramebufferStatus(gles2.FRAMEBUFFER); s != gles2.FRAMEBUFFER_COMPLETE {
			return fmt.Errorf("preparing the page's texture: status %#x", s)
		}
		l.size = size
	}
	gles2.BindFramebuffer(gles2.FRAMEBUFFER, l.buffer)
	gles2.Viewport(0, 0, int32(size.X), int32(size.Y))
	gles2.ClearColor(0, 0, 0, 0)
	gles2.Clear(gles2.COLOR_BUFFER_BIT)
	return draw(gpu.OpenGLRenderTarget{V: uint(l.buffer)})
}

func (l *layers) texture(unit, name uint32, format int32, size image.Point, layout uint32, filter int32) {
	gles2.ActiveTexture(gles2.TEXTURE0 + unit)
	gles2.BindTexture(gles2.TEXTURE_2D, name)
	gles2.TexImage2D(gles2.TEXTURE_2D, 0, format, int32(size.X), int32(size.Y), 0, layout, gles2.UNSIGNED_BYTE, nil)
	for _, p := range []uint32{gles2.TEXTURE_MIN_FILTER, gles2.TEXTURE_MAG_FILTER} {
		gles2.TexParameteri(gles2.TEXTURE_2D, p, filter)
	}
	for _, p := range []uint32{gles2.TEXTURE_WRAP_S, gles2.TEXTURE_WRAP_T} {
		gles2.TexParameteri(gles2.TEXTURE_2D, p, gles2.CLAMP_TO_EDGE)
	}
}

// view takes in a new frame and reports whether the screen must be shown again. Without a slot the last frame is forgotten: a
// face does not come back on a later page.
func (l *layers) view(f *api.Frame, slot *ui.Slot) bool {
	if slot == nil {
		l.shown = ui.PictureNone
		return false
	}
	if f == nil || len(f.I420) == 0 || (slot.Picture == ui.PictureFace) != (f.Modality == biometric.Face) {
		return false
	}
	size := image.Pt(f.Width, f.Height)
	if size != l.frame {
		l.texture(1, l.planes[0], gles2.R8, size, gles2.RED, gles2.LINEAR)
		l.texture(2, l.planes[1], gles2.R8, size.Div(2), gles2.RED, gles2.LINEAR)
		l.texture(3, l.planes[2], gles2.R8, size.Div(2), gles2.RED, gles2.LINEAR)
		l.frame = size
	}
	n := f.Width * f.Height
	gles2.PixelStorei(gles2.UNPACK_ALIGNMENT, 1)
	l.upload(1, l.planes[0], size, f.I420[:n])
	l.upload(2, l.planes[1], size.Div(2), f.I420[n:n+n/4])
	l.upload(3, l.planes[2], size.Div(2), f.I420[n+n/4:])
	gles2.PixelStorei(gles2.UNPACK_ALIGNMENT, 4)
	l.shown = slot.Picture
	return true
}

func (l *layers) upload(unit, name uint32, size image.Point, plane []byte) {
	gles2.ActiveTexture(gles2.TEXTURE0 + unit)
	gles2.BindTexture(gles2.TEXTURE_2D, name)
	gles2.TexSubImage2D(gles2.TEXTURE_2D, 0, 0, 0, int32(size.X), int32(size.Y), gles2.RED, gles2.UNSIGNED_BYTE, gles2.Ptr(plane))
}

// show puts both layers on the screen.
func (l *layers) show(size image.Point, slot *ui.Slot) {
	gles2.BindFramebuffer(gles2.FRAMEBUFFER, 0)
	gles2.Viewport(0, 0, int32(size.X), int32(size.Y))
	for _, x := range []uint32{gles2.SCISSOR_TEST, gles2.DEPTH_TEST, gles2.CULL_FACE, gles2.STENCIL_TEST, gles2.BLEND} {
		gles2.Disable(x)
	}
	for i, name := range []uint32{l.drawn, l.planes[0], l.planes[1], l.planes[2]} {
		gles2.ActiveTexture(gles2.TEXTURE0 + uint32(i))
		gles2.BindTexture(gles2.TEXTURE_2D, name)
	}
	gles2.BindVertexArray(l.array)
	whole := image.Rectangle{Max: size}
	if slot == nil {
		l.page.draw(size, [4]float32{}, whole)
	} else {
		l.page.draw(size, [4]float32{}, around(whole, slot.Rect)...)
		l.under(slot.Picture).draw(size, l.cropped(slot.Rect), slot.Rect)
	}
	gles2.BindVertexArray(0)
}

// under is what draws below the hole for a picture.
func (l *layers) under(p ui.Picture) program {
	if p != l.shown {
		return l.empty
	}
	return l.camera
}

// around is what of a rectangle lies beside a hole in it.
func around(whole, hole image.Rectangle) []image.Rectangle {
	above, below, beside := whole, whole, whole
	above.Max.Y, below.Min.Y = hole.Min.Y, hole.Max.Y
	beside.Min.Y, beside.Max.Y = hole.Min.Y, hole.Max.Y
	left, right := beside, beside
	left.Max.X, right.Min.X = hole.Min.X, hole.Max.X
	return []image.Rectangle{above, left, right, below}
}

// cropped is the middle of the live view, in the shape of its place, mirrored for a face.
func (l *layers) cropped(place image.Rectangle) [4]float32 {
	r := cover(image.Rectangle{Max: l.frame}, place)
	w, h := float32(l.frame.X), float32(l.frame.Y)
	c := [4]float32{float32(r.Min.X) / w, float32(r.Min.Y) / h, float32(r.Max.X) / w, float32(r.Max.Y) / h}
	if l.shown == ui.PictureFace {
		c[0], c[2] = c[2], c[0]
	}
	return c
}

// draw fills rectangles of a window.
func (p program) draw(window image.Point, crop [4]float32, places ...image.Rectangle) {
	gles2.UseProgram(p.id)
	x := func(v int) float32 { return 2*float32(v)/float32(window.X) - 1 }
	y := func(v int) float32 { return 1 - 2*float32(v)/float32(window.Y) }
	gles2.Uniform4f(p.crop, crop[0], crop[1], crop[2], crop[3])
	for _, r := range places {
		gles2.Uniform4f(p.place, x(r.Min.X), y(r.Min.Y), x(r.Max.X), y(r.Max.Y))
		gles2.DrawArrays(gles2.TRIANGLE_STRIP, 0, 4)
	}
}
