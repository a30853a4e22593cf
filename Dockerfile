# Broker and mock institutions in one image. The command decides which of them runs.
#
#   docker build -t broker .
#   docker compose -f deploy/compose.yaml up     # broker and mocks, like `make serve`

# --- build: a virtual environment with the locked packages --------------------------------------------------
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/broker
COPY locks/runtime.txt locks/runtime.txt
RUN /opt/broker/bin/pip install --no-cache-dir --require-hashes -r locks/runtime.txt
COPY pyproject.toml README.md ./
COPY broker broker
COPY mock_institutions mock_institutions
RUN /opt/broker/bin/pip install --no-cache-dir --no-deps .

# --- run: no compiler, no package index, no root --------------------------------------------------------------------
FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 broker \
    && useradd --uid 10001 --gid broker --no-create-home --home-dir /var/lib/broker --shell /usr/sbin/nologin broker \
    && install -d -o broker -g broker -m 0700 /var/lib/broker
COPY --from=build /opt/broker /opt/broker
ENV PATH=/opt/broker/bin:$PATH \
    PYTHONUNBUFFERED=1
# A numeric id lets an orchestrator verify that the user is not root.
USER 10001:10001
WORKDIR /var/lib/broker
VOLUME /var/lib/broker
EXPOSE 50051 9464
# BROKER_PROFILE, or BROKER_CA, BROKER_CERTIFICATE and BROKER_KEY, say with which certificate the broker is asked for its
# health; its own will do.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["broker", "health"]
# Docker stops the container with SIGTERM, which lets requests in progress finish. A network can reach the broker here, so
# the configuration to mount has to name certificates, policy and audit log (docs/tls.md).
CMD ["broker", "serve", "--config", "/etc/broker/broker.toml", "--listen", "0.0.0.0:50051", "--metrics", "0.0.0.0:9464"]
