# syntax=docker/dockerfile:1
# One image, many commands: docker run … memoire run extractor
#
# The base is pinned by tag and by the digest of its multi-architecture index; see
# docs/operations.md on how to renew both.
ARG BASE=python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d

# ---- build: everything is installed into one folder, which is all that is taken over

FROM ${BASE} AS build

# "yes" brings the local embedding model and its runtime (170 MB); "no" needs
# MEMOIRE_EMBED_BASE_URL or MEMOIRE_EMBED_API_KEY at run time.
ARG LOCAL_MODEL=yes

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore

RUN python -m venv /opt/memoire
WORKDIR /src

# What changes seldom comes first: code alone does not install everything again. There is no
# compiler here: every dependency comes as a wheel, or the build fails.
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY deploy/image/requirements.py deploy/image/
RUN python deploy/image/requirements.py --local-model "${LOCAL_MODEL}" > requirements.txt \
    && /opt/memoire/bin/pip install --only-binary :all: \
        --constraint constraints.txt --requirement requirements.txt

COPY services services
COPY shared shared
COPY benchmarks benchmarks
RUN /opt/memoire/bin/pip install --no-deps . \
    && /opt/memoire/bin/pip uninstall --yes pip setuptools \
    && python -m compileall -q -j 0 /opt/memoire/lib

# ---- the image itself

FROM ${BASE}

LABEL org.opencontainers.image.title="memoire" \
      org.opencontainers.image.description="A memory sidecar for LLM applications" \
      org.opencontainers.image.licenses="MIT"

RUN groupadd --system --gid 10001 memoire \
    && useradd --system --uid 10001 --gid memoire --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin memoire \
    && install -d -o memoire -g memoire -m 0755 /run/memoire

COPY --from=build /opt/memoire /opt/memoire

# Nothing is ever written but /run/memoire/alive: the root file system may be read-only, with a
# tmpfs on /run/memoire.
ENV PATH=/opt/memoire/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    MEMOIRE_HOST=0.0.0.0 \
    MEMOIRE_METRICS_HOST=0.0.0.0 \
    MEMOIRE_HEARTBEAT_FILE=/run/memoire/alive

USER 10001:10001
WORKDIR /run/memoire
# The gateway, and every process' metrics.
EXPOSE 8080 9464
STOPSIGNAL SIGTERM

# Of every `run …`: does its loop turn? Servers that are away are no reason to restart it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-m", "shared.heartbeat"]

ENTRYPOINT ["memoire"]
CMD ["run", "gateway"]
