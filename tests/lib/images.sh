#!/usr/bin/env bash
# Test images and a registry to pull them from.
#
# Sourced: make_busybox_image DIR, make_debian_image DIR, serve_registry DIR, push_image LAYOUT TAG ADDRESS/NAME.
# Run:     bash tests/lib/images.sh serve DIR [busybox] [debian]
#          prints HOST:PORT on one line once the images are there, and stays until its standard
#          input closes or it is killed. DIR holds the registry's data and is the caller's to remove.
#
# Images are OCI layouts written by hand, so that what is tested did not make its own input. They are
# kept in ${XDG_CACHE_HOME:-~/.cache}/sampan-tests and made once.
set -euo pipefail

images_cache() { echo "${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/sampan-tests"; }

# blob LAYOUT FILE: moves FILE into the layout and prints "DIGEST SIZE".
blob() {
  local hex size
  hex=$(sha256sum "$2" | cut -d' ' -f1)
  size=$(stat -c %s "$2")
  mv "$2" "$1/blobs/sha256/$hex"
  echo "sha256:$hex $size"
}

# oci_layout LAYOUT TAR CMD_JSON: an image of one layer, tagged `latest`; COMPRESSION is gzip or zstd.
oci_layout() {
  local layout=$1 tar=$2 cmd=$3 compression=${COMPRESSION:-gzip} arch diff layer config manifest
  arch=$(dpkg --print-architecture 2>/dev/null || echo amd64)
  mkdir -p "$layout/blobs/sha256"
  diff=$(sha256sum "$tar" | cut -d' ' -f1)
  case $compression in
    gzip) gzip -n -6 <"$tar" ;;
    zstd) zstd -q -3 <"$tar" ;;
  esac >"$layout/layer"
  layer=($(blob "$layout" "$layout/layer"))
  cat >"$layout/config" <<JSON
{"created":"2024-01-02T03:04:05Z","architecture":"$arch","os":"linux","config":{"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],"Cmd":$cmd},"rootfs":{"type":"layers","diff_ids":["sha256:$diff"]},"history":[{"created":"2024-01-02T03:04:05Z","created_by":"tests/lib/images.sh"}]}
JSON
  config=($(blob "$layout" "$layout/config"))
  cat >"$layout/manifest" <<JSON
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"${config[0]}","size":${config[1]}},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+$compression","digest":"${layer[0]}","size":${layer[1]}}]}
JSON
  manifest=($(blob "$layout" "$layout/manifest"))
  echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
  cat >"$layout/index.json" <<JSON
{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"${manifest[0]}","size":${manifest[1]},"annotations":{"org.opencontainers.image.ref.name":"latest"}}]}
JSON
}

# tree_to_layout TREE LAYOUT CMD_JSON: packs a tree, as root's whoever packs it, and renames the layout into place.
tree_to_layout() {
  local tree=$1 layout=$2 cmd=$3 new
  new=$(mktemp -d "$layout.XXXXXX")
  tar -C "$tree" --sort=name --mtime=@1704164645 --numeric-owner "${PACK_OPTIONS[@]}" -cf "$new/tree.tar" .
  oci_layout "$new" "$new/tree.tar" "$cmd"
  rm -f "$new/tree.tar"
  chmod 755 "$new"
  mv -T "$new" "$layout" 2>/dev/null || rm -rf "$new" # another run was first
}

# make_busybox_image LAYOUT: a static busybox with its applets, users root and app (1000).
make_busybox_image() {
  [ -e "$1/index.json" ] && return
  local busybox tree applet
  busybox=$(command -v busybox) || { echo "busybox is missing: apt-get install busybox-static" >&2; return 1; }
  tree=$(mktemp -d)
  chmod 755 "$tree"
  mkdir -p "$tree"/{bin,etc,root,home/app,var,usr/bin,dev,proc,sys} "$(dirname "$1")"
  install -d -m 1777 "$tree/tmp"
  install -m 755 "$busybox" "$tree/bin/busybox"
  for applet in $("$busybox" --list); do
    [ "$applet" = busybox ] || ln -s busybox "$tree/bin/$applet"
  done
  printf 'root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n' >"$tree/etc/passwd"
  printf 'root:x:0:\napp:x:1000:\nextra:x:2000:app\n' >"$tree/etc/group"
  PACK_OPTIONS=(--owner=0 --group=0)
  tree_to_layout "$tree" "$1" '["sh"]'
  rm -rf "$tree"
}

# debian_mirror SUITE: the mirror that apt is configured with.
debian_mirror() {
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $1" | head -1
}

# make_debian_image LAYOUT [SUITE]: debootstrap's minbase, as root.
make_debian_image() {
  [ -e "$1/index.json" ] && return
  local suite=${2:-bookworm} tree
  tree=$(mktemp -d)
  mkdir -p "$(dirname "$1")"
  debootstrap --variant=minbase "$suite" "$tree" "$(debian_mirror "$suite")" >"$tree.log" 2>&1 ||
    { tail -20 "$tree.log" >&2; rm -rf "$tree" "$tree.log"; return 1; }
  rm -rf "$tree"/var/cache/apt/archives/*.deb "$tree"/var/lib/apt/lists/*_* "$tree.log"
  PACK_OPTIONS=(--exclude=./dev/* --exclude=./proc/* --exclude=./sys/*)
  tree_to_layout "$tree" "$1" '["bash"]'
  rm -rf "$tree"
}

# serve_registry DIR: a registry on a free loopback port; sets REGISTRY and REGISTRY_PID.
serve_registry() {
  local dir=$1
  mkdir -p "$dir/data"
  cat >"$dir/config.yml" <<YAML
version: 0.1
log: {level: info, formatter: json}
storage: {filesystem: {rootdirectory: "$dir/data"}, delete: {enabled: true}}
http: {addr: "127.0.0.1:0"}
YAML
  # Made here: the loop below may look before the background shell has opened it.
  : >"$dir/log"
  env -u PORT docker-registry serve "$dir/config.yml" >>"$dir/log" 2>&1 </dev/null &
  REGISTRY_PID=$!
  # The kernel chooses the port and the registry's log names it: two runs can't collide.
  REGISTRY=
  while [ -z "$REGISTRY" ] && kill -0 $REGISTRY_PID 2>/dev/null; do
    REGISTRY=$(sed -n 's/.*listening on \(127\.0\.0\.1:[0-9]*\).*/\1/p' "$dir/log" | head -1)
    [ -n "$REGISTRY" ] || sleep 0.02
  done
  [ -n "$REGISTRY" ] || { echo "the registry did not start:" >&2; cat "$dir/log" >&2; return 1; }
}

# push_image LAYOUT ADDRESS/NAME:TAG
push_image() {
  skopeo copy -q --dest-tls-verify=false "oci:$1:latest" "docker://$2"
}

# push_busybox / push_debian ADDRESS
push_busybox() {
  make_busybox_image "$(images_cache)/busybox"
  push_image "$(images_cache)/busybox" "$1/busybox:latest"
  COMPRESSION=zstd make_busybox_image "$(images_cache)/busybox-zstd"
  push_image "$(images_cache)/busybox-zstd" "$1/busybox:zstd"
}

push_debian() {
  make_debian_image "$(images_cache)/debian"
  push_image "$(images_cache)/debian" "$1/debian:latest"
}

serve() {
  local dir=$1 image
  shift
  serve_registry "$(mkdir -p "$dir" && cd "$dir" && pwd)"
  trap 'kill $REGISTRY_PID 2>/dev/null' EXIT
  trap 'exit 0' TERM INT HUP
  for image in "${@:-busybox}"; do "push_$image" "$REGISTRY" >&2; done
  echo "$REGISTRY"
  # Reads to the end of standard input; a signal ends the read.
  while read -r _; do :; done
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  case "${1:-}" in
    serve) shift; serve "$@" ;;
    *) sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
fi
