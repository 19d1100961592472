# Neural Mesh: one image, every service. The command says which: registry, inference, metrics, certs ...
#   docker build -t neuralmesh .
#   docker run --rm neuralmesh neuralmesh --help

FROM python:3.11-slim AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
RUN python -m venv /opt/neuralmesh
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN /opt/neuralmesh/bin/pip install --no-cache-dir --require-hashes -r requirements/runtime.txt -r requirements/build.txt
COPY pyproject.toml setup.py README.md LICENSE ./
COPY native native
COPY clients clients
COPY services services
# The wheel is compiled for the baseline processor and chooses its instruction set when it starts.
RUN /opt/neuralmesh/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
 && /opt/neuralmesh/bin/pip uninstall --yes --quiet setuptools pip \
 && mkdir -p /data /certs && chown 10001:10001 /data /certs

FROM python:3.11-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin neuralmesh
COPY --from=build /opt/neuralmesh /opt/neuralmesh
COPY --from=build --chown=10001:10001 /data /data
COPY --from=build --chown=10001:10001 /certs /certs
ENV PATH=/opt/neuralmesh/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 10001
WORKDIR /data
CMD ["python", "-m", "neuralmesh_server", "--help"]
