#!/usr/bin/env bash
# Builds opencv.cjs and opencv.wasm: OpenCV for Node, with SIMD, without threads, with only the functions that
# functions.py names. Needed only to change OpenCV's version or that list.
#
#   third_party/opencv/build.sh path/to/opencv-4.12.0 [build folder]
#
# The sources are OpenCV's release archive, unpacked. Needs Emscripten 3.1.6 (Debian 12: emscripten terser node-acorn), cmake and
# Python 3; takes about 10 minutes on 2 cores.
set -euo pipefail

sources=$(realpath "${1:?usage: build.sh path/to/opencv-4.12.0 [build folder]}")
build=${2:-/tmp/opencv-build}
here=$(cd "$(dirname "$0")" && pwd)
wanted=4.12.0

version_of() { sed -n "s/^#define CV_VERSION_$1 *\([0-9]*\).*/\1/p" "$sources/modules/core/include/opencv2/core/version.hpp"; }
found=$(version_of MAJOR).$(version_of MINOR).$(version_of REVISION)
[ "$found" = "$wanted" ] || { echo "build.sh: these are the sources of OpenCV $found; $wanted is wanted" >&2; exit 1; }

# Names of source files end up in the result; they are to be the same on every machine.
ln -sfn "$sources" /tmp/opencv
sources=/tmp/opencv

# Rounding: halves to even, as everywhere else in OpenCV, and negative numbers like positive ones.
grep -q wasm_f32x4_nearest "$sources/modules/core/include/opencv2/core/hal/intrin_wasm.hpp" ||
  patch -p1 -d "$sources" <"$here/rounding.patch"

export EMSCRIPTEN=${EMSCRIPTEN:-/usr/share/emscripten}
python3 "$sources/platforms/js/build_js.py" "$build" \
  --emscripten_dir="$EMSCRIPTEN" \
  --build_wasm --simd --disable_single_file \
  --config="$here/functions.py" \
  --build_flags="-s ENVIRONMENT=node -s NODEJS_CATCH_EXIT=0 -s NODEJS_CATCH_REJECTION=0" \
  --cmake_option="-DBUILD_LIST=core,imgproc,objdetect,js" \
  --cmake_option="-DBUILD_TESTS=OFF" --cmake_option="-DBUILD_PERF_TESTS=OFF" --cmake_option="-DBUILD_EXAMPLES=OFF"

# The UMD wrapper around the module is of no use here.
cp "$build/bin/opencv_js.js" "$here/opencv.cjs"
cp "$build/bin/opencv_js.wasm" "$here/opencv.wasm"
cp "$sources/LICENSE" "$here/LICENSE"
