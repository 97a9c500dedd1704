# syntax=docker/dockerfile:1
# The one binary for every role: `docker build -t isobar .`, then `docker run isobar <command>`.

FROM rust:1.95.0-bookworm AS build
WORKDIR /src
COPY . .
# The caches keep dependencies compiled between builds; the binary has to leave them by a copy.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked --bin isobar \
    && install -D target/release/isobar /out/isobar

FROM debian:bookworm-slim AS isobar
# TLS roots are compiled in for Redis and PostgreSQL; HTTP uses those of the system.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 isobar \
    && useradd --system --uid 10001 --gid isobar --home-dir /data --shell /usr/sbin/nologin isobar \
    && install -d -o isobar -g isobar -m 750 /data
COPY --from=build /out/isobar /usr/local/bin/isobar
COPY LICENSE /usr/share/doc/isobar/LICENSE
ENV ISOBAR_DATA_DIR=/data ISOBAR_LOG_FORMAT=json
# A new named volume takes the owner of this folder, so that the outbox can be written without root.
VOLUME /data
WORKDIR /data
USER isobar
# SIGTERM finishes what is in flight or gives it back. Run with a grace of more than one lease
# (60 s), as docker-compose.yml does, or entries wait for their lease to expire. None is lost.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 CMD ["isobar", "healthcheck"]
ENTRYPOINT ["tini", "--", "isobar"]
CMD ["serve"]

# The same with Debian's cron, which fires `isobar produce` from deploy/crontab.
FROM isobar AS cron
USER root
RUN apt-get update \
    && apt-get install -y --no-install-recommends cron \
    && rm -rf /var/lib/apt/lists/* /etc/cron.*/*
COPY --chmod=644 deploy/crontab /etc/cron.d/isobar
COPY --chmod=755 deploy/cron-entrypoint /usr/local/bin/cron-entrypoint
# cron itself has to be root to become the user of a crontab line; `isobar produce` runs as isobar.
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s --retries=3 CMD ["pgrep", "-x", "cron"]
ENTRYPOINT ["tini", "--", "cron-entrypoint"]
CMD []

# What a bare `docker build` makes is the image without cron.
FROM isobar
