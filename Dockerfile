# syntax=docker/dockerfile:1
# Build: docker build -t weir .
# Run:   docker run --rm -p 8080:8080 -v ./weir.yaml:/etc/weir/weir.yaml:ro weir

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p weir

FROM debian:bookworm-slim
# The system's certificate authorities, for https upstreams.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --no-install-recommends -y ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/target/release/weir /usr/local/bin/weir
COPY --from=build /src/config/weir.yaml /etc/weir/weir.yaml
ENV WEIR_LISTEN=0.0.0.0:8080
EXPOSE 8080
USER 65532
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/usr/local/bin/weir", "health"]
ENTRYPOINT ["/usr/local/bin/weir"]
CMD ["run", "--config", "/etc/weir/weir.yaml"]
