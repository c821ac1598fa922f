"""The peer of bench/operations.ts: native OpenCV on one thread, imread → filter → imwrite.

Reads lines of JSON, {"operation": name, "source": path, "calls": n}, and answers each with a line {"ms": wall, "cpu": CPU} per
call, or {"skipped": reason} for an operation that it does not know.
"""
import json
import os
import sys
import tempfile
import time

import cv2
import numpy as np

cv2.setNumThreads(1)

EMBOSS = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], np.float32)


def luma(change):
    def run(image):
        parts = cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb)
        y, cr, cb = cv2.split(parts)
        return cv2.cvtColor(cv2.merge([change(y), cr, cb]), cv2.COLOR_YCrCb2BGR)

    return run


def grey(image):
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def sharpen(image):
    return cv2.addWeighted(image, 2, cv2.GaussianBlur(image, (7, 7), 1), -1, 0)


def pixelate(image):
    height, width = image.shape[:2]
    small = cv2.resize(image, (-(-width // 16), -(-height // 16)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)


def perspective(image):
    height, width = image.shape[:2]
    corners = np.float32([[width * 0.1, height * 0.1], [width * 0.9, 0], [width, height], [0, height * 0.9]])
    target = np.float32([[0, 0], [width, 0], [width, height], [0, height]])
    return cv2.warpPerspective(image, cv2.getPerspectiveTransform(corners, target), (width, height))


OPERATIONS = {
    "blur": lambda image: cv2.blur(image, (5, 5)),
    "gaussian_blur": lambda image: cv2.GaussianBlur(image, (5, 5), 0),
    "gaussian_blur 31": lambda image: cv2.GaussianBlur(image, (31, 31), 0),
    "median_blur": lambda image: cv2.medianBlur(image, 5),
    "edges": lambda image: cv2.Canny(image, 100, 200),
    "grayscale": grey,
    "invert": cv2.bitwise_not,
    "equalize": luma(cv2.equalizeHist),
    "clahe": luma(lambda y: cv2.createCLAHE(2, (8, 8)).apply(y)),
    "bilateral": lambda image: cv2.bilateralFilter(image, 9, 75, 75),
    "sobel": lambda image: cv2.convertScaleAbs(cv2.Sobel(image, cv2.CV_16S, 1, 0)),
    "laplacian": lambda image: cv2.convertScaleAbs(cv2.Laplacian(image, cv2.CV_16S)),
    "threshold": lambda image: cv2.threshold(grey(image), 127, 255, cv2.THRESH_BINARY)[1],
    "adaptive_threshold": lambda image: cv2.adaptiveThreshold(
        grey(image), 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 11, 2
    ),
    "morphology open": lambda image: cv2.morphologyEx(image, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)),
    "sharpen": sharpen,
    "convolve": lambda image: cv2.filter2D(image, -1, np.ones((5, 5), np.float32) / 25),
    "emboss": lambda image: cv2.filter2D(image, -1, EMBOSS),
    "pixelate": pixelate,
    "perspective": perspective,
}


def run(operation, source, calls, target):
    change = OPERATIONS.get(operation)
    if change is None:
        return {"skipped": "no such operation here"}
    began, cpu = time.perf_counter(), time.process_time()
    for _ in range(calls):
        cv2.imwrite(target, change(cv2.imread(source)), [cv2.IMWRITE_JPEG_QUALITY, 80])
    return {
        "ms": (time.perf_counter() - began) * 1000 / calls,
        "cpu": (time.process_time() - cpu) * 1000 / calls,
    }


with tempfile.TemporaryDirectory() as folder:
    print(json.dumps({"version": cv2.__version__}), flush=True)
    for line in sys.stdin:
        ask = json.loads(line)
        answer = run(ask["operation"], ask["source"], ask["calls"], os.path.join(folder, "result.jpg"))
        print(json.dumps(answer), flush=True)
