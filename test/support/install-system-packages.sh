#!/usr/bin/env bash
# Installs what the tests need from the system and npm cannot bring:
#   docker-compose                  checks docker-compose.yml (`docker-compose config` needs no Docker engine)
#   psql, python3                   run the producer that is written in another language
#   rabbitmq-server, redis-server   brokers, run by the tests themselves on ports and in folders of their own
#   java, mvn                       run Kafka and RocketMQ, and fetch them from Maven Central, once
# Does nothing when all of it is there. Needs root only when something is missing.
set -euo pipefail

missing=()
command -v docker-compose >/dev/null || missing+=(docker-compose)
command -v psql >/dev/null || missing+=(postgresql-client)
command -v python3 >/dev/null || missing+=(python3)
[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || missing+=(rabbitmq-server)
command -v redis-server >/dev/null || missing+=(redis-server)
command -v java >/dev/null || missing+=(default-jre-headless)
command -v mvn >/dev/null || missing+=(maven)
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "please install with your package manager, then try again: ${missing[*]}" >&2
  exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "please run: sudo apt-get update && sudo apt-get install --yes --no-install-recommends ${missing[*]}" >&2
  exit 1
fi

# the brokers' packages would start services, which nobody asked for
if [ ! -e /usr/sbin/policy-rc.d ]; then
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod 755 /usr/sbin/policy-rc.d
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq || echo 'apt-get update failed; trying with the lists that are here' >&2
apt-get install --yes -qq --no-install-recommends "${missing[@]}" >/dev/null
