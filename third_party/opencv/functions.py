# The classes and functions of OpenCV that are bound to JavaScript: what services/filter/src/opencv.ts declares. Read by
# OpenCV's own build_js.py (--config).

core = {
    '': [
        'absdiff', 'addWeighted', 'bitwise_and', 'bitwise_not', 'bitwise_or', 'convertScaleAbs', 'flip', 'LUT',
        'mixChannels', 'rotate', 'transform',
    ],
    'Algorithm': [],
}

imgproc = {
    '': [
        'adaptiveThreshold', 'bilateralFilter', 'blur', 'Canny', 'createCLAHE', 'cvtColor', 'equalizeHist', 'filter2D',
        'GaussianBlur', 'getPerspectiveTransform', 'getStructuringElement', 'Laplacian', 'medianBlur', 'morphologyEx',
        'resize', 'Sobel', 'threshold', 'warpPerspective',
    ],
    'CLAHE': ['apply', 'collectGarbage', 'getClipLimit', 'getTilesGridSize', 'setClipLimit', 'setTilesGridSize'],
}

objdetect = {
    'CascadeClassifier': ['CascadeClassifier', 'detectMultiScale', 'empty', 'load'],
}

white_list = makeWhiteList([core, imgproc, objdetect])

namespace_prefix_override = {}
