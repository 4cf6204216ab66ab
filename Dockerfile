# syntax=docker/dockerfile:1
# seqfit with PyTorch, for the CPU or for CUDA:
#
#     docker build --target cpu --tag seqfit .
#     docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/work" seqfit train --dataset digits
#
#     docker build --target cuda --tag seqfit:cuda .
#     docker run --rm --gpus all --volume "$PWD:/work" seqfit:cuda train --cuda

FROM rust:1-bookworm AS wheel
RUN apt-get update \
    && apt-get install --yes --no-install-recommends patchelf python3-pip python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# libtorch is fetched again only if its version changes.
COPY scripts/fetch_libtorch.sh scripts/
RUN scripts/fetch_libtorch.sh
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    scripts/build_wheel.sh --out /wheels

FROM python:3.12-slim-bookworm AS base
WORKDIR /work
ENV SEQFIT_CACHE=/tmp/seqfit
ENTRYPOINT ["seqfit"]
CMD ["--help"]

# PyTorch from PyPI is built for CUDA 13, and brings NVIDIA's libraries; the driver is the host's.
FROM base AS cuda
RUN --mount=from=wheel,source=/wheels,target=/wheels pip install --no-cache-dir /wheels/*.whl

FROM base AS cpu
RUN --mount=from=wheel,source=/wheels,target=/wheels \
    pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu torch==2.13.0+cpu /wheels/*.whl
