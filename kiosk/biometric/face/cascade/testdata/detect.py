# Reads grey pictures from standard input, each after its width and height (32 bits, little-endian), and prints a line for each
# rectangle that OpenCV finds with a cascade: the picture's number, 0 for joined or 1 for single hits, x, y, width, height.
import struct
import sys

import cv2
import numpy

cascade = cv2.CascadeClassifier(sys.argv[1])
step, neighbours = float(sys.argv[2]), int(sys.argv[3])
number = 0
while len(head := sys.stdin.buffer.read(8)) == 8:
    width, height = struct.unpack("<II", head)
    grey = numpy.frombuffer(sys.stdin.buffer.read(width * height), numpy.uint8).reshape(height, width)
    for way, least in enumerate((neighbours, 0)):
        for rectangle in cascade.detectMultiScale(grey, step, least):
            print(number, way, *rectangle)
    number += 1
