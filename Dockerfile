# One image for every service; the command says which:
#   node services/{gateway,balancer,resize,filter}/dist/main.js
FROM node:20-bookworm-slim AS build
WORKDIR /app
COPY . .
# `prepare` builds the services and the page; then only what runs stays.
RUN npm ci --no-audit --no-fund \
 && npm prune --omit=dev --ignore-scripts \
 && rm -rf proto third_party/proto test bench examples docs \
 && find packages services web -type d -name src -prune -exec rm -rf {} +

FROM node:20-bookworm-slim
# jemalloc gives large pixel buffers back where glibc keeps them; tini forwards signals and reaps.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libjemalloc2 tini \
 && rm -rf /var/lib/apt/lists/* \
 && ln -s /usr/lib/*/libjemalloc.so.2 /usr/local/lib/libjemalloc.so.2 \
 && install -d -o node -g node /data
ENV NODE_ENV=production \
    LD_PRELOAD=/usr/local/lib/libjemalloc.so.2 \
    HOST=0.0.0.0 \
    ADMIN_PORT=9090 \
    DATA_DIR=/data
WORKDIR /app
COPY --from=build /app /app
USER node
VOLUME ["/data"]
EXPOSE 8080 9090 9100 9200
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["node", "services/gateway/dist/main.js"]
