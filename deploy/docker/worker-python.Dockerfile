# syntax=docker/dockerfile:1
# A base for workers in Python. Build it from the root of the repository, then put your application on it:
#   FROM jobforge-worker-py
#   COPY requirements.txt app.py ./
#   RUN pip install --no-cache-dir -r requirements.txt
ARG PYTHON=3.13
ARG DEBIAN=bookworm

FROM python:${PYTHON}-slim-${DEBIAN}
COPY sdks/python /tmp/sdk
RUN pip install --no-cache-dir /tmp/sdk \
    && rm -rf /tmp/sdk \
    && groupadd --system --gid 10001 jobforge \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /app --shell /usr/sbin/nologin jobforge
COPY --chmod=0755 deploy/docker/with-secrets /usr/local/bin/with-secrets
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
USER 10001:10001
# A worker that is told to stop finishes what it has.
STOPSIGNAL SIGTERM
ENTRYPOINT ["with-secrets"]
CMD ["python", "-m", "jobforge", "worker", "app:app"]
