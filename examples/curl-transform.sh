curl -s --data-binary @examples/sample.jpg 'http://127.0.0.1:8080/transform?ops=resize:300x200/blur:5&format=webp' -o small.webp && ls -l small.webp
