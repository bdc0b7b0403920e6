# A Warren node as an image: compiled in one stage, run by an unprivileged user in another. Debian packages only.
#
#   docker build -t warren .
#   docker run --rm -p 127.0.0.1:8091:8091 warren --standalone --set listen.demo=on
#
# Options come from the environment (WARREN_SECTION_KEY), from --set, or from a file mounted into the container (--config FILE).
# The internal listener stays on the container's loopback: `docker exec CONTAINER warrenctl doctor`.
ARG BASE=docker.io/library/debian:bookworm-slim

FROM ${BASE} AS build
# As build_packages in scripts/lib.sh.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        gcc libc6-dev python3 cmake ninja-build pkg-config libevent-dev libssl-dev libhiredis-dev librabbitmq-dev \
        libmsgpack-dev uthash-dev zlib1g-dev liburing-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY CMakeLists.txt CMakePresets.json ./
COPY third_party third_party
COPY pkg pkg
COPY cmd cmd
COPY docs/examples docs/examples
ARG JOBS
RUN cmake --preset release -DWARREN_COMMANDS="warrend;warrenctl" \
    && cmake --build --preset release --target warrend warrenctl ${JOBS:+-j "$JOBS"} \
    && install -D -s -t /out build/release/bin/warrend build/release/bin/warrenctl

FROM ${BASE}
# The libraries that the two programs name (ldd), by their names in Debian 12; another BASE may need another list.
ARG RUNTIME_PACKAGES="libevent-core-2.1-7 libevent-extra-2.1-7 libevent-openssl-2.1-7 libhiredis0.14 librabbitmq4 libssl3 liburing2 zlib1g"
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates ${RUNTIME_PACKAGES} \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 961 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin warren
COPY --from=build /out/ /usr/local/bin/
USER warren
WORKDIR /
# 8091 clients; 9091 publishing, admin, metrics and health, on loopback unless listen.internal says otherwise.
EXPOSE 8091 9091
STOPSIGNAL SIGTERM
# Whether the process answers, not whether broker and store do: a node without them keeps its clients and must not be replaced.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["sh", "-c", "warrenctl config >/dev/null"]
ENTRYPOINT ["warrend"]
