# The CPU image: one static binary on an empty base, no shell, no package manager.
# docker build -t aimass .   docker run --read-only -p 8000:8000 -v "$PWD/models:/models:ro" aimass
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN go build -trimpath -tags netgo,osusergo,grpcnotrace -ldflags '-s -w -extldflags "-static"' -o /aimass ./cmd/aimass

FROM scratch
COPY --from=build /aimass /usr/local/bin/aimass
USER 65532:65532
EXPOSE 8000 8001 8002
VOLUME ["/models"]
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/usr/local/bin/aimass", "health", "--http", "127.0.0.1:8000"]
ENTRYPOINT ["/usr/local/bin/aimass"]
CMD ["serve", "--models", "/models", "--http", "0.0.0.0:8000", "--grpc", "0.0.0.0:8001", "--metrics", "0.0.0.0:8002"]
