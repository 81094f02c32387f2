# The service without its embedded database: in containers PostgreSQL has one of its own, named by DATABASE_URL
# (docker-compose.yml brings it). Debian's slim image rather than Alpine: smaller matters less than glibc.

FROM node:22-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Without optional dependencies: they are the binaries of the embedded PostgreSQL, 61 MB that nothing here would run.
RUN npm ci --omit=optional
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build

FROM node:22-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=optional

FROM node:22-slim
ENV NODE_ENV=production HOST=0.0.0.0 PORT=3000
WORKDIR /app
# Owned by root and run by `node`: the service cannot change its own code. No volume, since it keeps nothing on disk.
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json LICENSE ./
COPY migrations ./migrations
USER node
EXPOSE 3000
# The image has no curl; node brings fetch. `/healthz` is whether the process lives; `/readyz` is for load balancers.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/healthz`).then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# node itself, not npm, so that SIGTERM arrives and what is in flight is finished.
ENTRYPOINT ["node", "--max-semi-space-size=128", "--single-threaded-gc", "dist/main.js"]
CMD ["serve"]
