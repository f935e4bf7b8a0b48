# syntax=docker/dockerfile:1
# A base for workers in TypeScript and JavaScript. Build it from the root of the repository, then put your application on it:
#   FROM jobforge-worker-ts
#   COPY package.json app.js ./
#   RUN npm install --omit=dev && npm install --no-save /opt/jobforge/sdk.tgz
ARG NODE=22
ARG DEBIAN=bookworm

FROM node:${NODE}-${DEBIAN}-slim AS sdk
WORKDIR /sdk
COPY sdks/typescript .
RUN npm ci && npm pack --pack-destination /tmp && mv /tmp/*.tgz /sdk.tgz

FROM node:${NODE}-${DEBIAN}-slim
COPY --from=sdk /sdk.tgz /opt/jobforge/sdk.tgz
WORKDIR /app
# Once, beside the application: a second copy of the library would not know the tasks of the first.
RUN npm install --no-save /opt/jobforge/sdk.tgz \
    && rm -rf /root/.npm \
    && groupadd --system --gid 10001 jobforge \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /app --shell /usr/sbin/nologin jobforge
COPY --chmod=0755 deploy/docker/with-secrets /usr/local/bin/with-secrets
ENV NODE_ENV=production \
    PATH=/app/node_modules/.bin:$PATH
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["with-secrets"]
CMD ["jobforge-worker", "app.js"]
