# Functions for building a one-layer OCI layout from Debian packages; sourced by perl-image and busybox-image.
# In: package names. Out: OUT_DIR with oci-layout, index.json and blobs. Sets $root (the image's files) and $work (temporary).

# begin_layout OUT_DIR: checks the tools, makes the working directory.
begin_layout() {
    local tool
    for tool in apt-get dpkg-deb dpkg tar gzip sha256sum; do
        command -v "$tool" >/dev/null || { echo "$0: needs $tool" >&2; exit 1; }
    done
    out=$1
    if [ -e "$out" ] && [ -n "$(ls -A "$out" 2>/dev/null)" ]; then
        echo "$0: $out exists and is not empty; name an empty or new directory" >&2
        exit 1
    fi
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    root=$work/root
    mkdir -p "$root" "$work/debs"
    umask 022
    chmod 0755 "$root"
}

# make_usrmerge_root: the links that Debian 12 has in place of /bin, /sbin, /lib and /lib64.
make_usrmerge_root() {
    local directory
    for directory in bin sbin lib lib64; do
        mkdir -p "$root/usr/$directory"
        ln -s "usr/$directory" "$root/$directory"
    done
}

# install_packages NAME...: downloads with apt-get (which verifies signatures) and unpacks without running maintainer scripts.
install_packages() {
    if ! apt-cache show --no-all-versions "$1" >/dev/null 2>&1; then
        echo "$0: no package lists, running apt-get update" >&2
        apt-get update -q >&2
    fi
    local names
    # apt's sandbox user cannot write into our private directory; as root download as root.
    names=("$@")
    (cd "$work/debs" && apt-get download -q -o APT::Sandbox::User=root "${names[@]}" >"$work/apt.log" 2>&1) || {
        # Lists that are older than the archive name versions that are gone.
        apt-get update -q >&2
        (cd "$work/debs" && apt-get download -q -o APT::Sandbox::User=root "${names[@]}" >&2)
    }
    local deb
    for deb in "$work"/debs/*.deb; do
        # --keep-directory-symlink: ./lib/... goes through the usrmerge links.
        dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink --no-same-owner -p
    done
}

# make_basic_files: what programs expect in every root file system.
make_basic_files() {
    mkdir -p "$root"/{etc,tmp,var/tmp,root,proc,sys,dev,run,home}
    chmod 1777 "$root/tmp" "$root/var/tmp"
    chmod 0700 "$root/root"
    cat >"$root/etc/passwd" <<'EOF'
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
EOF
    cat >"$root/etc/group" <<'EOF'
root:x:0:
daemon:x:1:
nogroup:x:65534:
EOF
    chmod 0644 "$root/etc/passwd" "$root/etc/group"
}

# store_blob FILE: moves FILE to its place by digest; prints `HEX SIZE`.
store_blob() {
    local hex size
    hex=$(sha256sum "$1")
    hex=${hex%% *}
    size=$(stat -c %s "$1")
    mv "$1" "$out/blobs/sha256/$hex"
    echo "$hex $size"
}

# finish_layout REFERENCE CONFIG: the layer (sorted names, fixed times and owners, so the same packages give the same digest) and the documents.
# CONFIG is the inside of the JSON object `config`.
finish_layout() {
    local reference=$1 run_config=$2 diff layer layer_size config config_size manifest manifest_size architecture
    architecture=$(dpkg --print-architecture)
    mkdir -p "$out/blobs/sha256"
    tar -C "$root" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=gnu -cf "$work/layer.tar" .
    diff=$(sha256sum "$work/layer.tar")
    diff=${diff%% *}
    gzip -1 -n "$work/layer.tar"
    read -r layer layer_size < <(store_blob "$work/layer.tar.gz")
    printf '{"created":"1970-01-01T00:00:00Z","architecture":"%s","os":"linux","config":{%s},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
        "$architecture" "$run_config" "$diff" >"$work/config.json"
    read -r config config_size < <(store_blob "$work/config.json")
    printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%s},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:%s","size":%s}]}' \
        "$config" "$config_size" "$layer" "$layer_size" >"$work/manifest.json"
    read -r manifest manifest_size < <(store_blob "$work/manifest.json")
    printf '{"imageLayoutVersion":"1.0.0"}' >"$out/oci-layout"
    printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s,"platform":{"architecture":"%s","os":"linux"},"annotations":{"org.opencontainers.image.ref.name":"%s","io.containerd.image.name":"%s"}}]}' \
        "$manifest" "$manifest_size" "$architecture" "$reference" "$reference" >"$out/index.json"
    echo "$reference: $out ($((layer_size / 1048576)) MiB)"
}
