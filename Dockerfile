# `csm serve` in a container, not as root. The same file makes both variants:
#   docker build -t csm-plugin .                                            an NVIDIA GPU: the usual build of torch
#   docker build -t csm-plugin:cpu --build-arg TORCH_INDEX=<index> .        a CPU: <index> is PyTorch's of CPU builds
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY livekit livekit
COPY csm_plugin csm_plugin
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:${PYTHON}-slim AS server
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY constraints.txt /tmp/constraints.txt
# torch by itself, as the largest layer, which seldom changes.
ARG TORCH_INDEX=
RUN pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$(grep '^torch==' /tmp/constraints.txt)"
COPY --from=wheel /wheels /tmp/wheels
RUN pip install "$(ls /tmp/wheels/*.whl)[server]" -c /tmp/constraints.txt && rm -r /tmp/wheels

RUN useradd --system --uid 10001 --create-home csm && install -d -o csm -g csm /data /data/voices /data/models
USER 10001
VOLUME /data
ENV CSM_HOST=0.0.0.0 CSM_PORT=8000 CSM_VOICES=/data/voices HF_HOME=/data/models
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=300s --start-interval=2s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['CSM_PORT'] + '/ready', timeout=4)"]
ENTRYPOINT ["csm", "serve"]
