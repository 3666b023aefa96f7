# One image for every pod: Ray's head, workers and submitter, MLflow, the explorer.
#
#   docker build --build-arg TORCH_INDEX=<pip index with CPU builds of torch> -t grokstudy:0.1.0 .
#   docker build --build-arg VARIANT=cuda -t grokstudy:0.1.0-cuda .
#
# Needs BuildKit (Docker 23 or newer, or `podman build`). A pip configuration of your own, with an index and its password:
# `--secret id=pip.conf,src=$HOME/.config/pip/pip.conf`; a secret is never in a layer.
# A tag may move. For an image that can be built again name the digest that `docker buildx imagetools inspect` prints:
# `--build-arg BASE=python:3.11-slim-bookworm@sha256:...`
ARG PYTHON_VERSION=3.11
ARG BASE=python:${PYTHON_VERSION}-slim-bookworm


# Everything that is not ours, at the versions of constraints.txt: a layer that stays when only our code changes.
FROM ${BASE} AS dependencies
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
ARG VARIANT=cpu
ARG TORCH_INDEX=""
WORKDIR /build
COPY constraints.txt pyproject.toml ./
RUN python -m venv /opt/grokstudy
ENV PATH=/opt/grokstudy/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# torch comes alone and first: its index holds CPU builds (2.13.0+cpu) of it, and nothing else shall come from there.
# CUDA's libraries, in the plain build, are pinned by torch itself.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    grep '^torch==' constraints.txt > torch.txt; \
    if [ -n "$TORCH_INDEX" ]; then pip install --no-deps --index-url "$TORCH_INDEX" --requirement torch.txt; \
    else pip install --constraint constraints.txt --requirement torch.txt; fi
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
extras = project['optional-dependencies']; \
print(*project['dependencies'], *extras['cluster'], *extras['k8s'], sep='\n')" > requirements.txt; \
    printf '%s\n' 'mlflow[auth]' psycopg2-binary boto3 >> requirements.txt; \
    pip install --constraint constraints.txt --requirement requirements.txt
# The wrong torch shows here, and not on a node.
RUN python -c "import torch; found = 'cuda' if torch.version.cuda else 'cpu'; \
assert found == '$VARIANT', f'VARIANT=$VARIANT, but pip brought torch for {found}: cpu needs --build-arg TORCH_INDEX=...'"


# Our own wheel, built with the pinned setuptools.
FROM dependencies AS wheel
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    pip install --constraint constraints.txt setuptools
COPY README.md LICENSE ./
COPY conf conf
COPY grokstudy grokstudy
RUN pip wheel --no-deps --no-build-isolation --wheel-dir dist .


FROM ${BASE}
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# torch.compile needs a C++ compiler when it runs; wget is what KubeRay's own probes may call.
# Debian keeps only the newest of a package, so a pinned version would soon not build: the digest of BASE is the pin.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ wget \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 1000 grokstudy \
    && useradd --uid 1000 --gid 1000 --create-home --shell /bin/bash grokstudy \
    && echo "export PATH=/opt/grokstudy/bin:\$PATH" > /etc/profile.d/grokstudy.sh
COPY --from=dependencies /opt/grokstudy /opt/grokstudy
ENV PATH=/opt/grokstudy/bin:$PATH
RUN --mount=type=bind,from=wheel,source=/build/dist,target=/dist \
    pip install --no-cache-dir --no-deps --no-index /dist/*.whl
# Nothing but /tmp, /dev/shm and HOME is written to: the root may be read-only. What is compiled while running goes to /tmp.
# NVIDIA_DRIVER_CAPABILITIES tells a GPU node which parts of its driver to lend; elsewhere it means nothing.
ENV HOME=/home/grokstudy \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    GIT_PYTHON_REFRESH=quiet \
    MPLCONFIGDIR=/tmp/matplotlib \
    XDG_CACHE_HOME=/tmp/cache \
    TORCHINDUCTOR_CACHE_DIR=/tmp/torchinductor \
    TRITON_CACHE_DIR=/tmp/triton \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    MLFLOW_DISABLE_TELEMETRY=true \
    RAY_USAGE_STATS_ENABLED=0
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG VARIANT=cpu
LABEL org.opencontainers.image.title="grokstudy" \
      org.opencontainers.image.description="Maps where small neural networks grok" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      grokstudy.variant="${VARIANT}"
WORKDIR /home/grokstudy
# A number, so that Kubernetes can see that it is not root (runAsNonRoot).
USER 1000:1000
# No HEALTHCHECK: each workload has its own probes, and Kubernetes does not read it.
CMD ["grokstudy", "--help"]
