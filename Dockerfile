# syntax=docker/dockerfile:1
# One image for every role: `docker build -t isobar .`, then `docker run isobar <command>`.
# The target `cron` adds Debian's cron, which fires `isobar produce`.

FROM rust:1.95.0-bookworm AS build
WORKDIR /src
COPY . .
# The caches keep dependencies compiled between builds; the binary leaves them as a copy.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked --bin isobar \
    && install -D target/release/isobar /out/isobar

FROM debian:bookworm-slim AS base
# HTTPS trusts the system's roots; those for Redis and PostgreSQL are compiled in.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 isobar \
    && useradd --system --uid 10001 --gid isobar --home-dir /data --shell /usr/sbin/nologin isobar \
    && install -d -o isobar -g isobar -m 750 /data
COPY --from=build /out/isobar /usr/local/bin/isobar
COPY LICENSE /usr/share/doc/isobar/LICENSE
# A new named volume on /data takes this folder's owner, so the outbox needs no root.
ENV ISOBAR_DATA_DIR=/data ISOBAR_LOG_FORMAT=json
WORKDIR /data
# SIGTERM finishes what is in flight or gives it back. Allow more than one lease (60 s) for it,
# as docker-compose.yml does; after a SIGKILL other workers have to wait for the lease to run out.
STOPSIGNAL SIGTERM

FROM base AS cron
RUN apt-get update \
    && apt-get install -y --no-install-recommends cron \
    && rm -rf /var/lib/apt/lists/* /etc/cron.d/* /etc/cron.daily/*
COPY --chmod=644 deploy/docker/crontab /etc/cron.d/isobar
COPY --chmod=755 deploy/docker/cron-entrypoint /usr/local/bin/cron-entrypoint
# Only root can become the user of a crontab line: cron is root, `isobar produce` is not.
USER root
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
    CMD ["sh", "-c", "kill -0 \"$(cat /run/crond.pid)\""]
ENTRYPOINT ["cron-entrypoint"]

# Last, so that a bare `docker build` makes this one.
FROM base AS isobar
USER isobar
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 CMD ["isobar", "healthcheck"]
ENTRYPOINT ["isobar"]
CMD ["serve"]
