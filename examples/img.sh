image=$(curl -s --data-binary @examples/sample.jpg http://127.0.0.1:8080/upload | grep -o '[0-9a-f]\{64\}' | head -n 1)
url=$(npm run -s sign -- $image resize:300x200,cover/sharpen --expires 7d)
echo "<img src=\"$url\">" > img.html && cat img.html
