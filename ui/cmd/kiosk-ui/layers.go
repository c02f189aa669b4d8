//go:build cgo && window

package main

import (
	"errors"
	"fmt"
	"image"
	"strings"

	"gioui.org/gpu"
	"github.com/go-gl/gl/v3.1/gles2"

	"loket/kiosk/api"
	"loket/kiosk/biometric"
	"loket/ui"
)

// layers are what lies on the screen: the live view, and above it Gio's drawing with a hole where the view belongs. Both are
// textures, so a new frame of the camera costs one upload and two quads.
type layers struct {
	program      uint32
	vertices     uint32
	array        uint32
	place, mode  int32
	crop         int32
	planes       [3]uint32
	page, buffer uint32
	size         image.Point // of the page's texture
	frame        image.Point // of the live view; zero where there is none
	shown        ui.Picture  // whose frame the live view holds; none until one came
}

const vertexShader = `#version 300 es
in vec2 corner;
uniform vec4 place; // left, top, right, bottom in clip space
uniform vec4 crop;  // left, top, right, bottom of the texture
out vec2 at;
void main() {
	gl_Position = vec4(mix(place.xy, place.zw, corner), 0.0, 1.0);
	at = mix(crop.xy, crop.zw, corner);
}`

// The live view is I420 by JPEG's matrix (ITU-R BT.601, full range). The target encodes sRGB by itself, so what is decoded
// here is brought to linear light first, by a polynomial that stays close to the curve: powers are dear in software.
const fragmentShader = `#version 300 es
precision mediump float;
in vec2 at;
uniform int mode; // 0 page, 1 live view
uniform sampler2D page, luma, blue, red;
out vec4 colour;
vec3 linear(vec3 c) { return c * (c * (c * 0.305306011 + 0.682171111) + 0.012522878); }
void main() {
	if (mode == 0) {
		colour = texture(page, at);
		return;
	}
	float y = texture(luma, at).r, u = texture(blue, at).r - 0.5, v = texture(red, at).r - 0.5;
	vec3 c = clamp(vec3(y + 1.402 * v, y - 0.344 * u - 0.714 * v, y + 1.772 * u), 0.0, 1.0);
	colour = vec4(linear(c), 1.0);
}`

func newLayers() (*layers, error) {
	l := &layers{}
	var err error
	if l.program, err = link(vertexShader, fragmentShader); err != nil {
		return nil, err
	}
	l.place, l.crop, l.mode = l.uniform("place"), l.uniform("crop"), l.uniform("mode")
	gles2.UseProgram(l.program)
	for i, name := range []string{"page", "luma", "blue", "red"} {
		gles2.Uniform1i(l.uniform(name), int32(i))
	}
	corners := []float32{0, 0, 1, 0, 0, 1, 1, 1}
	gles2.GenVertexArrays(1, &l.array)
	gles2.BindVertexArray(l.array)
	gles2.GenBuffers(1, &l.vertices)
	gles2.BindBuffer(gles2.ARRAY_BUFFER, l.vertices)
	gles2.BufferData(gles2.ARRAY_BUFFER, 4*len(corners), gles2.Ptr(corners), gles2.STATIC_DRAW)
	corner := uint32(gles2.GetAttribLocation(l.program, gles2.Str("corner\x00")))
	gles2.EnableVertexAttribArray(corner)
	gles2.VertexAttribPointerWithOffset(corner, 2, gles2.FLOAT, false, 0, 0)
	gles2.BindVertexArray(0)
	gles2.GenTextures(3, &l.planes[0])
	gles2.GenTextures(1, &l.page)
	gles2.GenFramebuffers(1, &l.buffer)
	return l, nil
}

func (l *layers) uniform(name string) int32 {
	return gles2.GetUniformLocation(l.program, gles2.Str(name+"\x00"))
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
		l.texture(0, l.page, gles2.SRGB8_ALPHA8, size, gles2.RGBA)
		gles2.BindFramebuffer(gles2.FRAMEBUFFER, l.buffer)
		gles2.FramebufferTexture2D(gles2.FRAMEBUFFER, gles2.COLOR_ATTACHMENT0, gles2.TEXTURE_2D, l.page, 0)
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

func (l *layers) texture(unit, name uint32, format int32, size image.Point, layout uint32) {
	gles2.ActiveTexture(gles2.TEXTURE0 + unit)
	gles2.BindTexture(gles2.TEXTURE_2D, name)
	gles2.TexImage2D(gles2.TEXTURE_2D, 0, format, int32(size.X), int32(size.Y), 0, layout, gles2.UNSIGNED_BYTE, nil)
	for _, p := range []uint32{gles2.TEXTURE_MIN_FILTER, gles2.TEXTURE_MAG_FILTER} {
		gles2.TexParameteri(gles2.TEXTURE_2D, p, gles2.LINEAR)
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
		l.texture(1, l.planes[0], gles2.R8, size, gles2.RED)
		l.texture(2, l.planes[1], gles2.R8, size.Div(2), gles2.RED)
		l.texture(3, l.planes[2], gles2.R8, size.Div(2), gles2.RED)
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
	for _, x := range []uint32{gles2.SCISSOR_TEST, gles2.DEPTH_TEST, gles2.CULL_FACE, gles2.STENCIL_TEST} {
		gles2.Disable(x)
	}
	gles2.ClearColor(0.7, 0.7, 0.7, 1) // an empty place for the live view
	gles2.Clear(gles2.COLOR_BUFFER_BIT)
	gles2.UseProgram(l.program)
	gles2.BindVertexArray(l.array)
	if slot != nil && slot.Picture == l.shown {
		gles2.Disable(gles2.BLEND)
		for i, p := range l.planes {
			gles2.ActiveTexture(gles2.TEXTURE0 + 1 + uint32(i))
			gles2.BindTexture(gles2.TEXTURE_2D, p)
		}
		gles2.Uniform1i(l.mode, 1)
		l.quad(size, slot.Rect, l.cropped(slot.Rect))
	}
	gles2.Enable(gles2.BLEND)
	gles2.BlendFunc(gles2.ONE, gles2.ONE_MINUS_SRC_ALPHA)
	gles2.ActiveTexture(gles2.TEXTURE0)
	gles2.BindTexture(gles2.TEXTURE_2D, l.page)
	gles2.Uniform1i(l.mode, 0)
	l.quad(size, image.Rectangle{Max: size}, [4]float32{0, 1, 1, 0}) // Gio's rows begin at the bottom
	gles2.BindVertexArray(0)
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

func (l *layers) quad(size image.Point, r image.Rectangle, crop [4]float32) {
	x := func(v int) float32 { return 2*float32(v)/float32(size.X) - 1 }
	y := func(v int) float32 { return 1 - 2*float32(v)/float32(size.Y) }
	gles2.Uniform4f(l.place, x(r.Min.X), y(r.Min.Y), x(r.Max.X), y(r.Max.Y))
	gles2.Uniform4f(l.crop, crop[0], crop[1], crop[2], crop[3])
	gles2.DrawArrays(gles2.TRIANGLE_STRIP, 0, 4)
}
