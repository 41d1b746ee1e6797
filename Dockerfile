# syntax=docker/dockerfile:1

FROM rust:1.95-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /checkout
COPY . .
# The caches live beside the image, so the binary is copied out of one in the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/checkout/target \
    cargo build --locked --release \
    && install -D target/release/overspill /out/overspill

FROM debian:bookworm-slim
# Providers are reached over TLS with the system's roots; curl asks for the health.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin overspill
# Records of requests, unless the configuration says otherwise: a volume keeps them.
RUN install -d -o 10001 /var/lib/overspill
ENV STATE_DIRECTORY=/var/lib/overspill
COPY --from=build /out/overspill /usr/local/bin/overspill
COPY conf/docker.yaml /etc/overspill/overspill.yaml
USER 10001
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=2s --start-period=5s --retries=3 \
    CMD ["curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:9090/health/ready"]
ENTRYPOINT ["overspill"]
CMD ["serve", "-c", "/etc/overspill/overspill.yaml"]
