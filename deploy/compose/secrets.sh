#!/bin/sh
# Makes the secrets that compose.yaml mounts, once: what is there already is kept.
# The folder is for its owner only; its files are readable, since containers read them as
# users of their own.
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p secrets
chmod 0700 secrets

random() { # 32 characters that mean nothing to a URL or a shell
    LC_ALL=C tr -dc 'A-Za-z0-9' < /dev/urandom | head -c 32
}

once() { # NAME TEXT
    test -e "secrets/$1" || printf '%s' "$2" > "secrets/$1"
    chmod 0444 "secrets/$1"
}

once postgres_password "$(random)"
once database_url "postgresql://memoire:$(cat secrets/postgres_password)@postgres:5432/memoire"

once redis_password "$(random)"
once publisher_password "$(random)"
once redis_url "redis://memoire:$(cat secrets/redis_password)@redis:6379/0"
once redis_acl "$(sed -e "s/MEMOIRE_PASSWORD/$(cat secrets/redis_password)/" \
    -e "s/PUBLISHER_PASSWORD/$(cat secrets/publisher_password)/" \
    -e '/^#/d' -e '/^$/d' -e '/^user scaler/d' -e '/^user reader/d' ../redis/users.acl)
"

once admin_key "mem_$(random)"
once grafana_password "$(random)"

# Yours to fill in: while they are empty, rules extract and the local model embeds.
for name in llm_base_url llm_api_key embed_base_url embed_api_key; do once "$name" ""; done

echo "Secrets are in $(pwd)/secrets; the gateway's key is in admin_key, Grafana's in grafana_password."
