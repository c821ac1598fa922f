"""What native OpenCV 4 makes of generated images: the reference that services/filter is compared with.

    python3 test/goldens/make.py            writes test/goldens/opencv.json
    python3 test/goldens/make.py --check    compares it with the OpenCV installed here

Needs opencv-python-headless 4 and numpy. Each case is an operation as the API has it and the same in OpenCV, on an RGB (or grey)
image of the generator below, handed to OpenCV as BGR. Exact cases keep the SHA-256 of the result's bytes; cases where the
order of floating-point operations matters keep the bytes, so that a difference of 1 can be told from a larger one.
"""
import base64
import hashlib
import json
import math
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np

TARGET = Path(__file__).with_name("opencv.json")
SIZES = [(61, 47), (128, 96), (5, 3)]


def image(width, height, channels):
    """Slopes with noise; the same numbers as `goldenImage` in services/filter/src/goldens.test.ts."""
    state, data = 1, bytearray()
    for at in range(width * height * channels):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        x, y, c = at // channels % width, at // channels // width, at % channels
        data.append((((x * 5 + y * 3 + c * 60) & 255) * 3 + (state >> 24)) >> 2)
    return np.frombuffer(bytes(data), np.uint8).reshape(height, width, channels)


def grey(bgr):
    return bgr if bgr.ndim == 2 else cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)


def on_luma(change):
    def run(bgr):
        if bgr.ndim == 2:
            return change(bgr)
        y, cr, cb = cv2.split(cv2.cvtColor(bgr, cv2.COLOR_BGR2YCrCb))
        return cv2.cvtColor(cv2.merge([change(y), cr, cb]), cv2.COLOR_YCrCb2BGR)

    return run


def side(sigma):
    # Halves up, as JavaScript rounds.
    return min(255, math.floor(6 * sigma + 1 + 0.5) | 1)


def gaussian(bgr, sigma):
    return cv2.GaussianBlur(bgr, (side(sigma), side(sigma)), sigma)


def absolute(deep):
    return cv2.convertScaleAbs(deep)


KINDS = ["ERODE", "DILATE", "OPEN", "CLOSE", "GRADIENT", "TOP_HAT", "BLACK_HAT"]
SHAPES = {"RECTANGLE": cv2.MORPH_RECT, "CROSS": cv2.MORPH_CROSS, "ELLIPSE": cv2.MORPH_ELLIPSE}
TYPES = ["BINARY", "BINARY_INVERSE", "TRUNCATE", "TO_ZERO", "TO_ZERO_INVERSE"]


def cases():
    """(operation, what OpenCV does, whether it is exact)"""
    for size in (1, 3, 5, 9, 15):
        yield {"blur": {"size": size}}, lambda m, s=size: cv2.blur(m, (s, s)), True
    for size in (3, 5, 7, 9, 31):
        yield {"gaussian_blur": {"size": size}}, lambda m, s=size: cv2.GaussianBlur(m, (s, s), 0), True
    for sigma in (0.5, 1.7, 4):
        yield {"gaussian_blur": {"sigma": sigma}}, lambda m, s=sigma: gaussian(m, s), True
    for size in (3, 5, 7, 11):
        yield {"median_blur": {"size": size}}, lambda m, s=size: cv2.medianBlur(m, s), True
    yield {"edges": {}}, lambda m: cv2.Canny(m, 100, 200), True
    yield (
        {"edges": {"low_threshold": 40, "high_threshold": 90, "l2_gradient": True}},
        lambda m: cv2.Canny(m, 40, 90, L2gradient=True),
        True,
    )
    yield {"edges": {"high_threshold": 900, "aperture": 5}}, lambda m: cv2.Canny(m, 100, 900, apertureSize=5), True
    for dx, dy in ((1, 0), (0, 1), (1, 1), (2, 0)):
        for size in (3, 5, 7):
            operation = {"sobel": {"dx": dx, "dy": dy, "size": size, "scale": 0.5}}
            yield operation, lambda m, a=dx, b=dy, s=size: absolute(cv2.Sobel(m, cv2.CV_16S, a, b, ksize=s, scale=0.5)), True
    for size in (1, 3, 5):
        operation = {"laplacian": {"size": size}}
        yield operation, lambda m, s=size: absolute(cv2.Laplacian(m, cv2.CV_16S, ksize=s)), True
    for number, name in enumerate(TYPES):
        operation = {"threshold": {"value": 90, "maximum": 200, "type": f"THRESHOLD_TYPE_{name}"}}
        yield operation, lambda m, n=number: cv2.threshold(grey(m), 90, 200, n)[1], True
    yield {"threshold": {"otsu": True}}, lambda m: cv2.threshold(grey(m), 0, 255, cv2.THRESH_OTSU)[1], True
    yield (
        {"adaptive_threshold": {}},
        lambda m: cv2.adaptiveThreshold(grey(m), 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 11, 2),
        True,
    )
    yield (
        {"adaptive_threshold": {"method": "ADAPTIVE_METHOD_GAUSSIAN", "size": 7, "offset": -3, "inverse": True}},
        lambda m: cv2.adaptiveThreshold(grey(m), 255, cv2.ADAPTIVE_THRESH_GAUSSIAN_C, cv2.THRESH_BINARY_INV, 7, -3),
        True,
    )
    for number, name in enumerate(KINDS):
        for shape, constant in SHAPES.items():
            yield (
                {"morphology": {"kind": f"MORPHOLOGY_KIND_{name}", "shape": f"MORPHOLOGY_SHAPE_{shape}", "size": 5, "iterations": 2}},
                lambda m, n=number, c=constant: cv2.morphologyEx(
                    m, n, cv2.getStructuringElement(c, (5, 5)), iterations=2
                ),
                True,
            )
    yield {"grayscale": {}}, grey, True
    yield {"invert": {}}, cv2.bitwise_not, True
    yield {"equalize": {}}, on_luma(cv2.equalizeHist), True
    yield {"clahe": {"clip_limit": 3, "tiles": 4}}, on_luma(lambda y: cv2.createCLAHE(3, (4, 4)).apply(y)), False
    yield {"bilateral": {}}, lambda m: cv2.bilateralFilter(m, 9, 75, 75), False
    yield {"bilateral": {"diameter": 5, "sigma_color": 30, "sigma_space": 3}}, lambda m: cv2.bilateralFilter(m, 5, 30, 3), False
    kernel = [0.5, -1, 0.25, -1, 3.5, -1, 0.25, -1, 0.5]
    yield (
        {"convolve": {"kernel": kernel, "divisor": 1.5, "offset": 10}},
        lambda m: cv2.filter2D(m, -1, np.float32(kernel).reshape(3, 3) / np.float32(1.5), delta=10),
        False,
    )
    yield (
        {"emboss": {}},
        lambda m: cv2.filter2D(m, -1, np.float32([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])),
        True,
    )
    yield {"sharpen": {"amount": 1.5, "radius": 2}}, lambda m: cv2.addWeighted(m, 2.5, gaussian(m, 2), -1.5, 0), False
    yield (
        {"perspective": {"corners": [3, 2, 55, 6, 50, 40, 8, 36], "width": 40, "height": 30}},
        lambda m: cv2.warpPerspective(
            m,
            cv2.getPerspectiveTransform(
                np.float32([[3, 2], [55, 6], [50, 40], [8, 36]]), np.float32([[0, 0], [40, 0], [40, 30], [0, 30]])
            ),
            (40, 30),
        ),
        False,
    )


def result(pixels, change):
    """RGB in, RGB out; OpenCV sees BGR."""
    bgr = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels[:, :, ::-1]
    changed = change(np.ascontiguousarray(bgr))
    return np.ascontiguousarray(changed if changed.ndim == 2 else changed[:, :, ::-1])


def goldens():
    made = []
    for operation, change, is_exact in cases():
        for width, height in SIZES:
            for channels in (3, 1):
                pixels = result(image(width, height, channels), change)
                case = {"operation": operation, "width": width, "height": height, "channels": channels}
                data = pixels.tobytes()
                case["sha256"] = hashlib.sha256(data).hexdigest()
                # The smallest image shows a difference as well as a large one.
                if not is_exact:
                    if (width, height) != SIZES[0]:
                        continue
                    case["bytes"] = base64.b64encode(zlib.compress(data, 9)).decode()
                made.append(case)
    return made


def main():
    if not cv2.__version__.startswith("4."):
        sys.exit(f"OpenCV 4 is needed; this is {cv2.__version__}")
    cv2.setNumThreads(1)
    made = goldens()
    if "--check" in sys.argv[1:]:
        known = json.loads(TARGET.read_text())
        different = [a["operation"] for a, b in zip(known["cases"], made) if a["sha256"] != b["sha256"]]
        different += [] if len(made) == len(known["cases"]) else ["another number of cases"]
        for operation in different:
            print("differs:", json.dumps(operation))
        print(f"{len(made)} cases, OpenCV {cv2.__version__} here, {known['opencv']} in the file, {len(different)} differ")
        sys.exit(1 if different else 0)
    lines = ",\n".join(json.dumps(case) for case in made)
    TARGET.write_text(f'{{"opencv": "{cv2.__version__}", "numpy": "{np.__version__}", "cases": [\n{lines}\n]}}\n')
    print(f"{len(made)} cases written")


if __name__ == "__main__":
    main()
