for protocol in connect grpcweb; do
  printf '{"source": {"data": "%s"}, "operations": [{"resize": {"width": 300}}, {"edges": {}}], "output": {"format": "FORMAT_PNG"}}' \
    "$(base64 < examples/sample.jpg | tr -d '\n')" |
    npx buf curl --protocol $protocol --http2-prior-knowledge -d @- http://127.0.0.1:8080/imagemesh.v1.ImageService/Transform |
    sed -n 's/.*"data": *"\([^"]*\)".*/\1/p' | base64 -d > edges-$protocol.png && ls -l edges-$protocol.png
done
