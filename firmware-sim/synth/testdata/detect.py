# Reads grey pictures of one size from standard input and prints, a line each, what OpenCV's cascades find:
# faces by haar default, haar alt2 and lbp improved, then the middles of the eyes in the face that alt2 found.
import sys

import cv2
import numpy

width, height, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
faces = [cv2.CascadeClassifier(folder + name) for name in (
    "haarcascades/haarcascade_frontalface_default.xml",
    "haarcascades/haarcascade_frontalface_alt2.xml",
    "lbpcascades/lbpcascade_frontalface_improved.xml",
)]
eye = cv2.CascadeClassifier(folder + "haarcascades/haarcascade_eye.xml")
while True:
    data = sys.stdin.buffer.read(width * height)
    if len(data) < width * height:
        break
    grey = numpy.frombuffer(data, numpy.uint8).reshape(height, width)
    found = [c.detectMultiScale(grey, 1.1, 4, minSize=(80, 80)) for c in faces]
    line = [len(f) for f in found]
    if len(found[1]) == 1:
        x, y, w, h = found[1][0]
        upper = grey[y : y + h * 6 // 10, x : x + w]
        eyes = eye.detectMultiScale(upper, 1.1, 5, minSize=(int(w) // 8, int(w) // 8))
        for ex, ey, ew, eh in sorted(map(list, eyes)):
            line += [x + ex + ew // 2, y + ey + eh // 2]
    print(*line)
