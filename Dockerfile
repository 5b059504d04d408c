# docker run --rm --privileged -e SCMFS_USER=alice -e SCMFS_PASSWORD_FILE=/run/secrets/scm -v /mnt/scm:/mnt/scm:rshared \
#   scmfs gateway:8080/rootsite /mnt/scm
# --privileged may be narrowed to --device /dev/fuse --cap-add SYS_ADMIN --security-opt apparmor=unconfined.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=0.1.0-dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /scmfs ./cmd/scmfs

# As root nothing but the kernel and a shell for --password-command is needed.
FROM alpine:3
RUN apk add --no-cache ca-certificates
COPY --from=build /scmfs /usr/bin/scmfs
RUN scmfs install --prefix /usr >/dev/null
VOLUME /var/lib/scmfs
# SIGTERM waits for uploads: give 'docker stop' time, with --stop-timeout 150.
STOPSIGNAL SIGTERM
ENTRYPOINT ["scmfs", "mount", "--foreground"]
