image=$(curl -s --data-binary @examples/sample.jpg http://127.0.0.1:8080/upload | grep -o '[0-9a-f]\{64\}' | head -n 1)
read -r key secret < signing-keys
rest=/resize:300x200,cover/sharpen/$image.auto
mac=$(printf %s "$key$rest" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$secret" -binary | base64 | tr '+/' '-_' | tr -d '=\n')
echo "<img src=\"http://127.0.0.1:8080/i/$key.$mac$rest\">" > img.html && cat img.html
